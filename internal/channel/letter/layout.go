package letter

import (
	"strconv"
	"strings"

	"golang.org/x/image/font/sfnt"

	"github.com/dulyhq/duly/internal/channel"
)

// The sheet, in millimetres: A4.
const (
	sheetWidth   = 210
	sheetHeight  = 297
	marginLeft   = 25
	marginRight  = 20
	marginTop    = 25
	marginBottom = 27
	footerAt     = 283 // the line at the foot
	gap          = 10  // between the window and what is beside or below it
	textWidth    = sheetWidth - marginLeft - marginRight

	headerTop      = 22
	headerWidthMin = 40
	returnZone     = 17.7 // of DIN 5008: for the sender's line and the post's notes, above the address
	returnZoneMin  = 6
	windowPadding  = 2
)

// Sizes of type in points, and how high a line of them is in millimetres.
const (
	pointMM     = 25.4 / 72
	sizeText    = 11.0
	sizeHeading = 13.0
	sizeAddress = 10.0
	sizeHeader  = 9.0
	sizeName    = 12.0
	sizeSmall   = 7.0
	lineText    = 5.6
	lineAddress = 4.5
	lineHeader  = 4.3
)

// run is text of one font at a place; y is its base line.
type run struct {
	x, y, size float64
	face       int
	text       string
}

// sheet is a letter laid out, page by page.
type sheet struct {
	pages [][]run
	rules [][4]float64 // lines on the first page
}

// setter lays out one letter.
type setter struct {
	c       *Config
	faces   []face
	buffer  sfnt.Buffer
	chinese bool
	sheet   sheet
	missing bool // a character that no font has
}

// set lays a letter out, or says why it can be none.
func (s *Sender) set(m channel.Message) (sheet, *channel.Error) {
	t := &setter{c: &s.c, faces: s.faces, chinese: strings.HasPrefix(strings.ToLower(m.Language), "zh"), sheet: sheet{pages: [][]run{nil}}}
	box, folds := s.c.window()
	address := addressLines(m, t.chinese)
	if len(address) == 0 {
		return sheet{}, &channel.Error{Class: channel.BadAddress, Code: "no_address"}
	}
	if !t.address(box, address) {
		return sheet{}, &channel.Error{Class: channel.BadAddress, Code: "address_too_long"}
	}
	for _, y := range folds {
		t.sheet.rules = append(t.sheet.rules, [4]float64{4, y, 8, y})
	}
	y := max(t.header(box), box.Top+box.Height) + gap
	y = t.block(y, sizeHeading, lineText+1, plain(m.Subject))
	t.block(y+lineText/2, sizeText, lineText, plain(m.Text))
	if len(t.sheet.pages) > s.c.PagesMax {
		return sheet{}, &channel.Error{Class: channel.Permanent, Code: "too_long", Detail: strconv.Itoa(len(t.sheet.pages)) + " pages"}
	}
	t.footer(string(m.AttemptID))
	if t.missing {
		return sheet{}, &channel.Error{Class: channel.Permanent, Code: "no_glyph", Detail: "no font has a character of the letter"}
	}
	return t.sheet, nil
}

// addressLines is who the letter is for. A contact point has the address; the name is the borrower's, unless the address begins
// or ends with it. In Chinese it stands below the address, else above.
func addressLines(m channel.Message, chinese bool) []string {
	var out []string
	for line := range strings.Lines(plain(m.To)) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	name := strings.TrimSpace(plain(m.Variables["borrower_name"]))
	if len(out) == 0 || name == "" || strings.Contains(out[0], name) || strings.Contains(out[len(out)-1], name) {
		return out
	}
	if chinese {
		return append(out, name+"（收）")
	}
	return append([]string{name}, out...)
}

// plain leaves out what cannot be printed, and makes tabs spaces.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t', r == '\u00a0':
			return ' '
		case r < ' ', r == 0x7f, r == '\u200b', r == '\ufeff':
			return -1
		}
		return r
	}, text)
}

// address sets the sender's line and the address into the window, and reports whether they fit.
func (t *setter) address(box Box, lines []string) bool {
	width := box.Width - 2*windowPadding
	var wrapped []string
	for _, l := range lines {
		wrapped = append(wrapped, t.wrap(l, sizeAddress, width)...)
	}
	zone := returnZone
	need := float64(len(wrapped)) * lineAddress
	if box.Height < returnZone+need+windowPadding {
		zone = returnZoneMin
	}
	if box.Height < zone+need+windowPadding {
		return false
	}
	if t.c.Sender != "" {
		line := t.wrap(t.c.Sender, sizeSmall, width)[0] // what does not fit is cut: it is there for the post to read
		y := box.Top + zone - 2
		t.put(box.Left+windowPadding, y, sizeSmall, line)
		t.sheet.rules = append(t.sheet.rules, [4]float64{box.Left + windowPadding, y + 1, box.Left + windowPadding + min(width, t.width(line, sizeSmall)), y + 1})
	}
	for i, l := range wrapped {
		t.put(box.Left+windowPadding, box.Top+zone+float64(i+1)*lineAddress-1, sizeAddress, l)
	}
	return true
}

// headerColumn is where the lender's lines stand: beside the window, on the side that has more room.
func headerColumn(box Box) (left, width float64) {
	right, before := sheetWidth-marginRight-(box.Left+box.Width+gap), box.Left-gap-marginLeft
	if right >= before {
		return box.Left + box.Width + gap, right
	}
	return marginLeft, before
}

// header sets the lender's lines and returns where they end.
func (t *setter) header(box Box) float64 {
	left, width := headerColumn(box)
	y := float64(headerTop)
	for i, l := range t.c.Header {
		size, height := sizeHeader, lineHeader
		if i == 0 {
			size, height = sizeName, lineHeader+2
		}
		for _, w := range t.wrap(plain(l), size, width) {
			t.put(left, y, size, w)
			y += height
		}
	}
	return y
}

// block sets paragraphs from y down, on as many pages as they take, and returns where the last one ends.
func (t *setter) block(y, size, height float64, text string) float64 {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		if line == "" {
			y += height * 0.6
			continue
		}
		for _, w := range t.wrap(line, size, textWidth) {
			if y += height; y > sheetHeight-marginBottom {
				t.sheet.pages = append(t.sheet.pages, nil)
				if y = marginTop; len(t.sheet.pages) > pagesMax {
					return y // more than any letter may have
				}
			}
			t.put(marginLeft, y, size, w)
		}
	}
	return y
}

// footer numbers the pages, and names the attempt: a letter that comes back is known by it.
func (t *setter) footer(id string) {
	n := len(t.sheet.pages)
	for i := range n {
		text := "Page " + strconv.Itoa(i+1) + " of " + strconv.Itoa(n)
		if t.chinese {
			text = "第 " + strconv.Itoa(i+1) + " 页，共 " + strconv.Itoa(n) + " 页"
		}
		t.place(i, marginLeft, footerAt, sizeSmall, id)
		t.place(i, sheetWidth-marginRight-t.width(text, sizeSmall), footerAt, sizeSmall, text)
	}
}

// put sets one line on the last page.
func (t *setter) put(x, y, size float64, text string) {
	t.place(len(t.sheet.pages)-1, x, y, size, text)
}

// place sets one line on a page, in runs of one font each.
func (t *setter) place(page int, x, y, size float64, text string) {
	var b strings.Builder
	at, face := x, -1
	flush := func() {
		if b.Len() > 0 {
			t.sheet.pages[page] = append(t.sheet.pages[page], run{at, y, size, face, b.String()})
			b.Reset()
		}
		at = x
	}
	for _, r := range text {
		f, w := t.glyph(r)
		if f != face {
			flush()
			face = f
		}
		b.WriteRune(r)
		x += w * size * pointMM
	}
	flush()
}

// glyph finds the font that has a character, and how wide it is at a size of 1. Chinese is looked for in the last font first,
// Latin in the first.
func (t *setter) glyph(r rune) (int, float64) {
	for i := range t.faces {
		if wide(r) {
			i = len(t.faces) - 1 - i
		}
		if w, ok := t.faces[i].advance(&t.buffer, r); ok {
			return i, w
		}
	}
	t.missing = true
	return 0, 0
}

func (t *setter) width(text string, size float64) float64 {
	sum := 0.0
	for _, r := range text {
		_, w := t.glyph(r)
		sum += w
	}
	return sum * size * pointMM
}

// wrap breaks a line into lines of a width: at spaces, and between Chinese characters where their rules allow it; a word that is
// longer than the line is cut.
func (t *setter) wrap(line string, size, width float64) []string {
	var out []string
	runes := []rune(line)
	start, last, used := 0, 0, 0.0 // last: where the line may end
	for i := 0; i < len(runes); i++ {
		_, w := t.glyph(runes[i])
		w *= size * pointMM
		if i > start && breaks(runes[i-1], runes[i]) {
			last = i
		}
		if used+w > width && i > start && runes[i] != ' ' {
			if last <= start {
				last = i
			}
			out = append(out, strings.TrimRight(string(runes[start:last]), " "))
			start, i, used = last, last-1, 0
			continue
		}
		used += w
	}
	return append(out, strings.TrimRight(string(runes[start:]), " "))
}
