// Package approved is the list of templates that a provider has approved in place of Duly's own words.
//
// Some providers, those of mainland China among them, send no free text: a message is the id of a template that they have
// read and approved beforehand, the sign name in front of it, and values for its variables. The configuration says for each
// of Duly's templates which of the provider's stands for it, and since when:
//
//	templates:
//	  due-soon: {template_id: SMS_154950909, sign: 示例消金, approved_at: 2026-10-08, variables: {when: due_when, amount: total}}
//	  due-soon/en: …
//
// A message whose template is not there, or not approved yet, is not sent.
package approved

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
)

// Templates are the provider's, by the names of Duly's: <name>, or <name>/<language> where languages differ.
type Templates map[string]Template

// Template is one of the provider's templates.
type Template struct {
	ID         string            `yaml:"template_id"`
	Sign       string            `yaml:"sign"`        // the sign name before the words; the carrier's where it is not given
	Variables  map[string]string `yaml:"variables"`   // the provider's variable: Duly's; providers that count have 1, 2, …
	ApprovedAt civil.Date        `yaml:"approved_at"` // the day of the approval
}

// Limits of a list.
const (
	templatesMax = 500
	variablesMax = 50
	idMax        = 128
	signMax      = 64
)

// Check notes what is wrong with the list.
func (t Templates) Check(p *channel.Problems, key string) {
	if len(t) == 0 || len(t) > templatesMax {
		p.Add(key, "not from 1 to "+strconv.Itoa(templatesMax)+" templates", "name the provider's template for each of yours, see docs/channels.md")
	}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		t[name].check(p, key+"."+name)
	}
}

func (t Template) check(p *channel.Problems, at string) {
	if t.ID == "" || len(t.ID) > idMax {
		p.Add(at+".template_id", "missing, or too long", "copy the template's id from the provider's console")
	}
	if len(t.Sign) > signMax {
		p.Add(at+".sign", "longer than "+strconv.Itoa(signMax)+" bytes", "write the approved sign name without its brackets")
	}
	if t.ApprovedAt.IsZero() {
		p.Add(at+".approved_at", "missing", "write the day on which the provider approved it: 2026-10-08; leave the template out until then")
	}
	if len(t.Variables) > variablesMax {
		p.Add(at+".variables", "more than "+strconv.Itoa(variablesMax), "write the provider's variables only")
	}
	for _, theirs := range slices.Sorted(maps.Keys(t.Variables)) {
		if ours := t.Variables[theirs]; theirs == "" || ours == "" {
			p.Add(at+".variables", "a name is empty", "write {their_variable: our_variable}; `duly strategy variables` lists ours")
		}
	}
}

// Filled is a template with the values of one message.
type Filled struct {
	Template
	Values map[string]string // by the provider's names
}

// Fill finds the provider's template for a message and fills it in. What it refuses is refused before anything is sent, and
// is Permanent: another template, and another carrier, may serve; this message never will here.
func (t Templates) Fill(m channel.Message, runesMax int) (Filled, *channel.Error) {
	one, ok := t[m.Template+"/"+m.Language]
	if !ok {
		one, ok = t[m.Template]
	}
	switch {
	case !ok:
		return Filled{}, refused("template_missing", "")
	case civil.In(m.Now.Add(dayAhead), time.UTC).Before(one.ApprovedAt):
		return Filled{}, refused("template_not_approved", "")
	}
	out := Filled{one, make(map[string]string, len(one.Variables))}
	for _, theirs := range slices.Sorted(maps.Keys(one.Variables)) {
		ours := one.Variables[theirs]
		v := m.Variables[ours]
		switch {
		case v == "":
			return Filled{}, refused("variable_missing", ours)
		case !utf8.ValidString(v):
			return Filled{}, refused("malformed_message", ours)
		case runesMax > 0 && utf8.RuneCountInString(v) > runesMax:
			return Filled{}, refused("variable_too_long", ours)
		}
		out.Values[theirs] = v
	}
	return out, nil
}

// dayAhead makes the day of an instant the latest that it is anywhere.
const dayAhead = 14 * time.Hour

func refused(code, detail string) *channel.Error {
	return &channel.Error{Class: channel.Permanent, Code: code, Detail: detail}
}

// List returns the values in the order of their names, those that are numbers as numbers: 2 is before 10.
func (f Filled) List() []string {
	names := make([]string, 0, len(f.Values))
	for name := range f.Values {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		x, err := strconv.Atoi(a)
		y, err2 := strconv.Atoi(b)
		if err == nil && err2 == nil {
			return x - y
		}
		return strings.Compare(a, b)
	})
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = f.Values[name]
	}
	return out
}
