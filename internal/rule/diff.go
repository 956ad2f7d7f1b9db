package rule

import (
	"fmt"
	"slices"
)

// Diff tells in words what changed from pack a to pack b: the pack itself, rules that are new, gone or other than before,
// field by field. Nothing is told where nothing changed; comments and the order of rules are nothing.
func Diff(a, b *Pack) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, f := range []struct{ name, was, is string }{
		{"id", a.ID, b.ID}, {"version", a.Version, b.Version}, {"jurisdiction", a.Jurisdiction, b.Jurisdiction},
		{"title.zh", a.TitleZH, b.TitleZH}, {"title.en", a.TitleEN, b.TitleEN},
	} {
		if f.was != f.is {
			say("pack: %s was %q, is %q", f.name, f.was, f.is)
		}
	}
	diffFields("pack", a.conditions, b.conditions, say)
	for i := range a.Rules {
		r := &a.Rules[i]
		if s := b.Rule(r.ID); s != nil {
			diffFields(r.ID, r.fields, s.fields, say)
		} else {
			say("%s: is gone (%s, %s)", r.ID, r.Kind, r.TitleEN)
		}
	}
	for i := range b.Rules {
		if r := &b.Rules[i]; a.Rule(r.ID) == nil {
			say("%s: is new (%s, %s)", r.ID, r.Kind, r.TitleEN)
		}
	}
	return out
}

// Conditions lists what the pack demands of contacts before any of its rules looks at them.
func (p *Pack) Conditions() []Field { return p.conditions }

// Rule returns the pack's rule with the id, or nil.
func (p *Pack) Rule(id string) *Rule {
	for i := range p.Rules {
		if p.Rules[i].ID == id {
			return &p.Rules[i]
		}
	}
	return nil
}

func diffFields(of string, a, b []Field, say func(format string, args ...any)) {
	find := func(list []Field, name string) (string, bool) {
		i := slices.IndexFunc(list, func(f Field) bool { return f.Name == name })
		if i < 0 {
			return "", false
		}
		return list[i].Value, true
	}
	for _, f := range a {
		is, there := find(b, f.Name)
		switch {
		case !there:
			say("%s: %s is gone, was %q", of, f.Name, f.Value)
		case is != f.Value:
			say("%s: %s was %q, is %q", of, f.Name, f.Value, is)
		}
	}
	for _, f := range b {
		if _, there := find(a, f.Name); !there {
			say("%s: %s is new: %q", of, f.Name, f.Value)
		}
	}
}
