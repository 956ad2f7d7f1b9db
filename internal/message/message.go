// Package message makes the words that a borrower gets: it fills a template, in the borrower's language and for one
// channel, with what is known at this moment.
//
// A template is a YAML file, <language>/<name>.yaml. Its texts hold placeholders for declared variables and no logic:
//
//	name: due-today
//	language: en
//	tone: friendly
//	title: Repayment reminder
//	variables: [lender, total]
//	sms: "{{lender}}: {{total}} is due today."
//
// What a variable holds is data: it is never read as a template. A value that is missing or unfit is an error with code
// refused, so a message with a gap in it is not sent. Money and dates are written for people here and nowhere else.
//
//	set, err := message.LoadFS(templates.FS)
//	words, err := set.Render("due-today", "zh-CN", duly.ChannelSMS, &message.Values{…})
package message

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/dulyhq/duly"
)

// MaxTemplates bounds the files of a set, and MaxFileBytes the size of each.
const (
	MaxTemplates = 2000
	MaxFileBytes = 64 << 10
)

// DefaultLanguage is what a borrower is written to whose own language no template has, if the set has this one;
// otherwise it is the first of the set's languages.
const DefaultLanguage = "zh-CN"

// Set is the templates of a lender. It does not change once it is loaded.
type Set struct {
	byKey     map[key]*template
	names     []string
	languages []string
	byBase    map[string]string // from zh to zh-CN
	fallback  string
}

type key struct{ name, language string }

// LoadFS loads every file <language>/<name>.yaml. It reports all problems of all files at once: each is a *duly.Error
// with file, line and column.
func LoadFS(fsys fs.FS) (*Set, error) {
	files, err := templateFiles(fsys)
	if err != nil {
		return nil, err
	}
	s := &Set{byKey: make(map[key]*template, len(files)), byBase: map[string]string{}}
	var problems []error
	for _, file := range files {
		t, err := loadFile(fsys, file)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		s.byKey[key{t.name, t.locale.tag}] = t
		s.names = append(s.names, t.name)
		s.languages = append(s.languages, t.locale.tag)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	s.index()
	return s, nil
}

// templateFiles lists the files of templates in order, or says what about them is wrong.
func templateFiles(fsys fs.FS) ([]string, error) {
	files, err := fs.Glob(fsys, "*/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	other, err := fs.Glob(fsys, "*/*.yml")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	switch {
	case len(other) > 0:
		return nil, duly.Errorf(duly.Invalid, "the name of a template's file must end in .yaml").
			At(duly.Place{File: other[0]}).WithHint("rename it")
	case len(files) == 0:
		return nil, duly.Errorf(duly.NotFound, "there are no templates").
			WithHint("a template is a file <language>/<name>.yaml, such as zh-CN/due-today.yaml")
	case len(files) > MaxTemplates:
		return nil, duly.Errorf(duly.Invalid, "there are more than %d templates", MaxTemplates)
	}
	return files, nil
}

// loadFile loads one file and holds it to the name and the folder it has.
func loadFile(fsys fs.FS, file string) (*template, error) {
	src, err := readFile(fsys, file)
	if err != nil {
		return nil, err
	}
	t, err := load(file, src)
	if err != nil {
		return nil, err
	}
	if want := strings.TrimSuffix(path.Base(file), ".yaml"); t.name != want {
		return nil, duly.Errorf(duly.Invalid, "the name must be that of the file, %s", want).At(duly.Place{File: file, Field: "name"})
	}
	if want := path.Dir(file); t.locale.tag != want {
		return nil, duly.Errorf(duly.Invalid, "the language must be that of the folder, %s", want).At(duly.Place{File: file, Field: "language"})
	}
	return t, nil
}

func readFile(fsys fs.FS, file string) ([]byte, error) {
	info, err := fs.Stat(fsys, file)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	if info.Size() > MaxFileBytes {
		return nil, tooLarge(file)
	}
	src, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	return src, nil
}

func tooLarge(file string) error {
	return duly.Errorf(duly.Invalid, "the file is larger than %d KiB", MaxFileBytes>>10).At(duly.Place{File: file})
}

func (s *Set) index() {
	slices.Sort(s.names)
	s.names = slices.Compact(s.names)
	slices.Sort(s.languages)
	s.languages = slices.Compact(s.languages)
	s.fallback = s.languages[0]
	for _, l := range s.languages {
		if l == DefaultLanguage {
			s.fallback = l
		}
		if _, taken := s.byBase[base(l)]; !taken {
			s.byBase[base(l)] = l
		}
	}
}

// Names lists the templates in order.
func (s *Set) Names() []string { return slices.Clone(s.names) }

// Languages lists the languages of the set in order.
func (s *Set) Languages() []string { return slices.Clone(s.languages) }

// Check reports whether a step may use a template: whether in every language of the set it is there, has words for the
// channel, and is not firmer than the step's tone. A template may be softer, as one for catching up serves steps of any
// tone. It tells all that is amiss at once.
func (s *Set) Check(name string, ch duly.Channel, tone duly.Tone) error {
	f, ok := formOf(ch)
	if !ok {
		return duly.Errorf(duly.Invalid, "unknown channel %q", string(ch))
	}
	if tone.Rank() == 0 {
		return duly.Errorf(duly.Invalid, "unknown tone %q", string(tone)).WithHint("the tones are friendly, plain and firm")
	}
	if !slices.Contains(s.names, name) {
		return duly.Errorf(duly.NotFound, "there is no template %q", name).WithHint("there are %s", strings.Join(s.names, ", "))
	}
	var problems []error
	for _, l := range s.languages {
		if err := s.checkIn(l, name, f, ch, tone); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

func (s *Set) checkIn(language, name string, f form, ch duly.Channel, tone duly.Tone) error {
	t := s.byKey[key{name, language}]
	switch {
	case t == nil:
		return duly.Errorf(duly.NotFound, "template %s is not there in %s", name, language).
			WithHint("add %s/%s.yaml", language, name)
	case t.texts[f] == nil:
		return duly.Errorf(duly.Invalid, "the template has no words for channel %s", ch).
			At(duly.Place{File: t.file, Field: forms[f].key}).WithHint("add %s", forms[f].key)
	case t.tone.Rank() > tone.Rank():
		return duly.Errorf(duly.Invalid, "the template's tone is %s and the step's is %s", t.tone, tone).
			At(duly.Place{File: t.file, Field: "tone"}).WithHint("use a softer template, or a firmer tone where the law lets you")
	}
	return nil
}

// find returns the template in the borrower's language, else in the language it is a dialect of, else in the set's
// default; nil if none of them has words for the form.
func (s *Set) find(name, language string, f form) *template {
	if t := s.byKey[key{name, language}]; t != nil && t.texts[f] != nil {
		return t
	}
	if l, ok := s.byBase[base(language)]; ok {
		if t := s.byKey[key{name, l}]; t != nil && t.texts[f] != nil {
			return t
		}
	}
	if t := s.byKey[key{name, s.fallback}]; t != nil && t.texts[f] != nil {
		return t
	}
	return nil
}

// base returns the language that a BCP 47 tag is a form of: zh for zh-Hans-CN.
func base(tag string) string {
	if i := strings.IndexAny(tag, "-_"); i >= 0 {
		tag = tag[:i]
	}
	return strings.ToLower(tag)
}
