package letter

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"

	"github.com/dulyhq/duly/internal/channel"
)

// fontSizeMax bounds a font's file; those of Chinese have some ten megabytes.
const fontSizeMax = 64 << 20

// face is one font: what is embedded, and what it measures.
type face struct {
	name string
	file []byte
	font *sfnt.Font
	unit fixed.Int26_6 // what a size of 1 is measured at
}

// openFonts reads the fonts. A font that is absent or unfit is a problem of the configuration, with what to install.
func openFonts(at string, files []string) ([]face, error) {
	p := channel.ProblemsAt(at)
	var out []face
	for i, file := range files {
		f, problem := openFont(file)
		if problem != "" {
			p.Add("fonts["+strconv.Itoa(i)+"]", problem,
				"on Debian: apt-get install fonts-dejavu-core fonts-droid-fallback; or name TrueType files (.ttf) of your own under fonts")
			continue
		}
		f.name = "f" + strconv.Itoa(i)
		out = append(out, f)
	}
	return out, p.Err()
}

func openFont(file string) (face, string) {
	r, err := os.Open(file)
	if err != nil {
		return face{}, "the font is not there, or cannot be read"
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, fontSizeMax+1))
	switch {
	case err != nil:
		return face{}, "the font cannot be read"
	case len(b) > fontSizeMax:
		return face{}, "the font is larger than " + strconv.Itoa(fontSizeMax>>20) + " MiB"
	case bytes.HasPrefix(b, []byte("ttcf")):
		return face{}, "a collection of fonts (.ttc), which cannot be embedded"
	case bytes.HasPrefix(b, []byte("OTTO")):
		return face{}, "an OpenType font with PostScript outlines (.otf), which cannot be embedded"
	}
	parsed, err := sfnt.Parse(b)
	if err != nil {
		return face{}, "not a TrueType font"
	}
	return face{file: b, font: parsed, unit: fixed.Int26_6(parsed.UnitsPerEm()) << 6}, ""
}

// runeMax is the last character that can be embedded: the library knows the basic plane alone.
const runeMax = 0xffff

// advance returns how wide a character is at a size of 1, and whether the font has it.
func (f *face) advance(b *sfnt.Buffer, r rune) (float64, bool) {
	if r > runeMax {
		return 0, false
	}
	i, err := f.font.GlyphIndex(b, r)
	if err != nil || i == 0 {
		return 0, false
	}
	a, err := f.font.GlyphAdvance(b, i, f.unit, font.HintingNone)
	if err != nil {
		return 0, false
	}
	return float64(a) / float64(f.unit), true
}

// wide reports whether a character is Chinese, or stands in the square of one.
func wide(r rune) bool { return r >= 0x2e80 }

// The characters that no line begins with, and those that none ends with (GB/T 15834).
const (
	noStart = "，。、；：？！）」』】》〉”’…—·～％%,.;:?!)]}"
	noEnd   = "（「『【《〈“‘([{￥¥$"
)

// breaks reports whether a line may end between two characters.
func breaks(a, b rune) bool {
	switch {
	case strings.ContainsRune(noStart, b), strings.ContainsRune(noEnd, a), b == ' ':
		return false
	case a == ' ':
		return true
	}
	return wide(a) || wide(b)
}
