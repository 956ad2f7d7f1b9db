package message

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// ValueMax bounds the characters of a value. SignatureMin and SignatureMax bound those of the lender's name where it
// signs an SMS, as Chinese carriers do.
const (
	ValueMax     = 64
	SignatureMin = 2
	SignatureMax = 16
)

// Values is what a message may speak of. All of it is data. Control characters are taken out, line breaks become
// spaces: a value cannot add a line, or a header.
type Values struct {
	Name         string // of the borrower; never logged
	Lender       string
	ServicePhone string
	PayHint      string
	Code         string // of the message
	DebitReason  string // code of the debit's failure; "" if none failed
	Items        []duly.Item
	Contracts    map[duly.LoanID]string // the contract number of every item's loan
	Today        civil.Date             // in the lender's calendar
}

// Words is a message as it goes out, with what it was made from.
type Words struct {
	Template string
	Language string // of the template that was used: the borrower's, or what stood in for it
	Hash     string // of the template's file
	Subject  string // of an e-mail, title of a push, heading of an inbox entry and a letter; otherwise ""
	Text     string
	Encoding Encoding // of an SMS
	Segments int      // of an SMS; otherwise 0
	Units    int      // of an SMS in its encoding; otherwise the characters of Text
}

// Render fills a template for a borrower's language and a channel. A language that the template is not in gives way to
// the one it is a form of (en-GB to en), then to the set's default. It refuses, with code refused and what is amiss,
// where a value is missing or unfit, or the words come out too long; the error holds no value.
func (s *Set) Render(name, language string, ch duly.Channel, v *Values) (Words, error) {
	f, ok := formOf(ch)
	if !ok {
		return Words{}, duly.Errorf(duly.Invalid, "unknown channel %q", string(ch))
	}
	t := s.find(name, language, f)
	if t == nil {
		return Words{}, duly.Errorf(duly.NotFound, "there is no template %q with words for channel %s", name, ch).
			WithHint("`duly template check` lists what there is")
	}
	return t.render(f, v)
}

// Variables returns what a template's words for a channel speak of, by name, as it would be written: for carriers that keep
// the words themselves. It refuses as Render does.
func (s *Set) Variables(name, language string, ch duly.Channel, v *Values) (map[string]string, error) {
	f, ok := formOf(ch)
	if !ok {
		return nil, duly.Errorf(duly.Invalid, "unknown channel %q", string(ch))
	}
	t := s.find(name, language, f)
	if t == nil {
		return nil, duly.Errorf(duly.NotFound, "there is no template %q with words for channel %s", name, ch).
			WithHint("`duly template check` lists what there is")
	}
	fill, out := filler{t: t, form: f, l: t.locale, v: v, signed: f == formSMS && t.locale.signed}, map[string]string{}
	for _, p := range []*phrase{t.texts[f].heading, t.texts[f].body} {
		if p == nil {
			continue
		}
		for _, index := range p.variables {
			row := &variables[index]
			fill.b = nil
			if problem := row.write(&fill); problem != "" {
				fill.amiss(row.Name, problem, row.help)
			}
			out[row.Name] = string(fill.b)
		}
	}
	if len(fill.problems) > 0 {
		return nil, fill.refusal()
	}
	return out, nil
}

// Known returns all that has a value, by name, as it would be written in a language: for carriers whose own words are many, such as
// the voice robot. What has none is left out.
func Known(language string, v *Values) map[string]string {
	t := &template{locale: nearest(language)}
	fill, out := filler{t: t, form: formCall, l: t.locale, v: v}, map[string]string{}
	for i := range variables {
		fill.b = nil
		if variables[i].write(&fill) == "" {
			out[variables[i].Name] = string(fill.b)
		}
	}
	return out
}

func (t *template) render(f form, v *Values) (Words, error) {
	w := Words{Template: t.name, Language: t.locale.tag, Hash: t.hash}
	fill := filler{t: t, form: f, l: t.locale, v: v, signed: f == formSMS && t.locale.signed}
	text := t.texts[f]
	switch {
	case text.heading != nil:
		w.Subject = fill.fill(text.heading)
		if utf8.RuneCountInString(w.Subject) > headingMax {
			fill.amiss("the "+forms[f].heading, "is too long", "shorten the heading")
		}
	case forms[f].titled:
		w.Subject = t.title
	}
	w.Text = fill.fill(text.body)
	if t.tone == duly.ToneFirm && !fill.allPastDue() {
		fill.amiss("the tone", "is firm, and not every instalment is past due", "use a template that is plain or friendly")
	}
	if len(fill.problems) == 0 {
		fill.measure(&w)
	}
	if len(fill.problems) > 0 {
		return Words{}, fill.refusal()
	}
	return w, nil
}

// filler fills one template once.
type filler struct {
	t        *template
	form     form
	l        *locale
	v        *Values
	signed   bool // the lender's name is a signature
	b        []byte
	problems []string
	hint     string
}

// room is what the values of one text need at first.
const room = 160

func (f *filler) fill(p *phrase) string {
	if len(p.variables) == 0 {
		return p.literals[0]
	}
	n := room
	for _, l := range p.literals {
		n += len(l)
	}
	f.b = make([]byte, 0, n)
	for i, index := range p.variables {
		f.b = append(f.b, p.literals[i]...)
		row := &variables[index]
		if problem := row.write(f); problem != "" {
			f.amiss(row.Name, problem, row.help)
		}
	}
	return string(append(f.b, p.literals[len(p.literals)-1]...))
}

// amiss notes a problem, once.
func (f *filler) amiss(what, problem, hint string) {
	s := what + " " + problem
	for _, p := range f.problems {
		if p == s {
			return
		}
	}
	if len(f.problems) == 0 {
		f.hint = hint
	}
	f.problems = append(f.problems, s)
}

// measure counts the text and holds it to the form's limits.
func (f *filler) measure(w *Words) {
	if f.form != formSMS {
		w.Units = utf8.RuneCountInString(w.Text)
		if w.Units > forms[f.form].runesMax {
			f.amiss("the text", "is longer than "+strconv.Itoa(forms[f.form].runesMax)+" characters", "shorten it")
		}
		return
	}
	c := Segments(w.Text)
	w.Encoding, w.Segments, w.Units = c.Encoding, c.Segments, c.Units
	if c.Segments > f.t.segmentsMax {
		f.amiss("the text", "takes "+strconv.Itoa(c.Segments)+" SMS segments in "+string(c.Encoding)+", more than "+strconv.Itoa(f.t.segmentsMax),
			"shorten it, or raise max_segments")
	}
}

func (f *filler) refusal() error {
	return duly.Errorf(duly.Refused, "template %s (%s, %s): %s", f.t.name, f.l.tag, forms[f.form].key, strings.Join(f.problems, "; ")).
		WithHint("%s", f.hint).At(duly.Place{File: f.t.file})
}

// value appends a value as data: without line breaks and without what cannot be seen.
func (f *filler) value(s string) string {
	start, runes := len(f.b), 0
	for _, r := range s {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029':
			r = ' '
		case r == utf8.RuneError || unicode.IsControl(r) || unseen(r):
			continue
		}
		if r == ' ' && (len(f.b) == start || f.b[len(f.b)-1] == ' ') {
			continue
		}
		f.b = utf8.AppendRune(f.b, r)
		if runes++; runes > ValueMax {
			return "is longer than " + strconv.Itoa(ValueMax) + " characters"
		}
	}
	if len(f.b) > start && f.b[len(f.b)-1] == ' ' {
		f.b = f.b[:len(f.b)-1]
	}
	if len(f.b) == start {
		return noValue
	}
	return ""
}

// unseen reports whether r changes how the characters around it are shown, or is there and not seen. The joiners that
// some scripts need to spell a name are safe.
func unseen(r rune) bool {
	return r >= 0x80 && unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) && r != '\u200c' && r != '\u200d'
}

func checkSignature(s string) string {
	n := utf8.RuneCountInString(s)
	switch {
	case strings.ContainsAny(s, "【】"):
		return "must not hold 【 or 】, which close the signature"
	case n < SignatureMin || n > SignatureMax:
		return "must have " + strconv.Itoa(SignatureMin) + " to " + strconv.Itoa(SignatureMax) + " characters to sign an SMS"
	}
	return ""
}

// allPastDue reports whether the day is known and every item's due day lies before it.
func (f *filler) allPastDue() bool {
	_, last := f.due()
	return !last.IsZero() && last.Before(f.v.Today)
}

// due returns the first and the last due day of the items; no date if there are none or one has none.
func (f *filler) due() (first, last civil.Date) {
	for i := range f.v.Items {
		d := f.v.Items[i].DueOn
		if d.IsZero() {
			return civil.Date{}, civil.Date{}
		}
		if i == 0 || d.Before(first) {
			first = d
		}
		if i == 0 || d.After(last) {
			last = d
		}
	}
	return first, last
}
