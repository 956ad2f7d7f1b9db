package message

import (
	"errors"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// signature is how an SMS in Chinese opens: carriers pass none without it.
const signature = "【{{lender}}】"

// checkForm holds the words of a form to what the form allows.
func (d *draft) checkForm(f form, body, heading *field) {
	t := d.t.texts[f]
	before := len(d.problems)
	for _, part := range []struct {
		field   *field
		phrase  *phrase
		oneLine bool
	}{{heading, t.heading, true}, {body, t.body, forms[f].oneLine}} {
		if part.phrase == nil {
			continue
		}
		if part.oneLine && strings.Contains(strings.Join(part.phrase.literals, ""), "\n") {
			d.fail(part.field, "write it on one line, or fold it with >-", "must be one line")
		}
		d.checkSecrecy(f, part.field, part.phrase)
	}
	if f == formSMS && d.t.locale != nil && d.t.locale.signed && !t.body.signed() {
		d.fail(body, "open it with "+signature, "an SMS in %s must open with the lender's signature", d.t.locale.tag)
	}
	if len(d.problems) == before && d.t.locale != nil {
		d.checkLength(f, body)
	}
}

// signed reports whether the phrase opens with the signature.
func (p *phrase) signed() bool {
	return len(p.variables) > 0 && variables[p.variables[0]].Name == "lender" && p.literals[0] == "【" && strings.HasPrefix(p.literals[1], "】")
}

// checkSecrecy refuses words and variables that give away more than the form may.
func (d *draft) checkSecrecy(f form, fd *field, p *phrase) {
	s := &forms[f]
	why := "a call may be answered by anybody"
	if f == formPush {
		why = "a locked screen shows it to anybody"
	}
	seen := map[string]bool{}
	for _, i := range p.variables {
		if v := &variables[i]; v.shows > s.shows && !seen[v.Name] {
			seen[v.Name] = true
			d.add(d.find(fd, "{{"+v.Name+"}}", 0), "take it out", "%s must not hold %s: %s", s.key, v.Name, why)
		}
	}
	if s.banned == nil {
		return
	}
	for _, literal := range p.literals {
		for _, word := range s.banned.FindAllString(literal, -1) {
			if !seen[word] {
				seen[word] = true
				d.add(d.find(fd, word, 0), "say it without", "%s must not hold the word %q: %s", s.key, word, why)
			}
		}
	}
}

// checkLength fills the words with the longest values that are likely, so that a text which is too long is found before
// anybody waits for it.
func (d *draft) checkLength(f form, fd *field) {
	v, ok := longest(d.t, d.t.texts[f])
	if !ok {
		d.fail(fd, "use one of the two", "days_to_due and days_past_due never both have a value")
		return
	}
	if _, err := d.t.render(f, v); err != nil {
		message := "cannot be filled"
		if e, ok := errors.AsType[*duly.Error](err); ok {
			message = e.Message
		}
		remedy := "shorten it"
		if f == formSMS {
			remedy = "shorten it, or raise max_segments"
		}
		d.fail(fd, remedy, "with the longest likely values: %s", message)
	}
}

// longest returns the longest values that are likely in the template's language, on a day on which the text has a meaning.
func longest(tp *template, t *text) (*Values, bool) {
	l := tp.locale
	first, last := civil.On(2026, time.September, 28), civil.On(2026, time.December, 30) // the longest names
	v := &Values{
		Name: strings.Repeat("名", 16), Lender: strings.Repeat("行", SignatureMax), ServicePhone: "+00 0000 000 000 000",
		Code: "00000000", PayHint: strings.Repeat("付", 40), Today: first.Add(-20),
		Contracts: map[duly.LoanID]string{"1": "0001", "2": "0002", "3": "0003"},
		Items: []duly.Item{
			{LoanID: "1", No: 1, DueOn: first, Outstanding: money.New(3_333_333_33, "CNY")},
			{LoanID: "2", No: 1, DueOn: last, Outstanding: money.New(3_333_333_33, "CNY")},
			{LoanID: "3", No: 1, DueOn: last, Outstanding: money.New(3_333_333_33, "CNY")},
		},
	}
	if l.tag != DefaultLanguage {
		v.Name, v.Lender, v.PayHint = strings.Repeat("n", 40), strings.Repeat("l", 30), strings.Repeat("p", 60)
	}
	for i := range debitReasons {
		if r := &debitReasons[i]; len(l.reason(r)) > len(l.reason(reasonOf(v.DebitReason))) {
			v.DebitReason = r.code
		}
	}
	if v.DebitReason == "" {
		v.DebitReason = "other"
	}
	before, after := t.uses("days_to_due"), t.uses("days_past_due")
	if after || tp.tone == duly.ToneFirm {
		v.Today = last.Add(100)
	}
	return v, !before || !after
}

// uses reports whether heading or body have a place for the variable.
func (t *text) uses(name string) bool {
	for _, p := range []*phrase{t.heading, t.body} {
		if p == nil {
			continue
		}
		for _, i := range p.variables {
			if variables[i].Name == name {
				return true
			}
		}
	}
	return false
}
