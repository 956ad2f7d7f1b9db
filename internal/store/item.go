package store

import (
	"encoding/json"
	"strconv"
	"strings"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// Items are written with every contact and read with every person, so the form that [json.Marshal] gives them is read
// here without reflection. Anything that is not just that form, such as an id with an escaped character, goes to
// encoding/json.

func readItems(r *row) []duly.Item {
	text := r.text()
	if text == "" {
		return nil
	}
	if items, ok := parseItems(text); ok {
		return items
	}
	var items []duly.Item
	r.decode(text, &items)
	return items
}

func parseItems(s string) ([]duly.Item, bool) {
	p := itemParser{rest: s, ok: true}
	p.skip("[")
	items := make([]duly.Item, 0, 1+strings.Count(s, "},{"))
	for p.ok {
		items = append(items, p.item())
		if p.rest == "]" {
			return items, p.ok
		}
		p.skip(",")
	}
	return nil, false
}

// itemParser reads the rest of a text from left to right; ok turns false at the first thing that is not as expected.
type itemParser struct {
	rest string
	ok   bool
}

func (p *itemParser) item() duly.Item {
	var it duly.Item
	p.skip(`{"loan":"`)
	it.LoanID = duly.LoanID(p.until('"'))
	p.skip(`,"no":`)
	it.No = int(p.number(','))
	p.skip(`"due_on":"`)
	it.DueOn = p.date(p.until('"'))
	p.skip(`,"outstanding":{"minor":`)
	it.Outstanding.Minor = p.number(',')
	p.skip(`"currency":"`)
	it.Outstanding.Currency = money.Currency(p.until('"'))
	p.skip(`}}`)
	return it
}

func (p *itemParser) skip(s string) {
	rest, ok := strings.CutPrefix(p.rest, s)
	p.rest, p.ok = rest, p.ok && ok
}

// until reads up to a character and past it. A backslash or a byte beyond ASCII needs the real decoder: not because it is
// hard, but because it knows best.
func (p *itemParser) until(end byte) string {
	for i := range len(p.rest) {
		switch c := p.rest[i]; {
		case c == end:
			s := p.rest[:i]
			p.rest = p.rest[i+1:]
			return s
		case c == '\\' || c < ' ' || c > '~':
			p.ok = false
			return ""
		}
	}
	p.ok = false
	return ""
}

func (p *itemParser) number(end byte) int64 {
	s := p.until(end)
	n, err := strconv.ParseInt(s, 10, 64)
	p.ok = p.ok && err == nil && strconv.FormatInt(n, 10) == s // not +1 or 007
	return n
}

func (p *itemParser) date(s string) civil.Date {
	var d civil.Date
	if s != "" {
		p.ok = p.ok && d.UnmarshalText([]byte(s)) == nil
	}
	return d
}

// itemsText writes items as [json.Marshal] does.
func itemsText(items []duly.Item) string {
	if len(items) == 0 {
		return ""
	}
	b := make([]byte, 0, 96*len(items))
	b = append(b, '[')
	for i, it := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"loan":`...), string(it.LoanID))
		b = strconv.AppendInt(append(b, `,"no":`...), int64(it.No), 10)
		b = appendText(append(b, `,"due_on":`...), it.DueOn.String())
		b = strconv.AppendInt(append(b, `,"outstanding":{"minor":`...), it.Outstanding.Minor, 10)
		b = appendText(append(b, `,"currency":`...), string(it.Outstanding.Currency))
		b = append(b, "}}"...)
	}
	return string(append(b, ']'))
}

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic("store.appendText: " + err.Error()) // a text always marshals
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
