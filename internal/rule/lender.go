package rule

import (
	"slices"

	"github.com/dulyhq/duly"
)

// Lender is what rules ask of whoever lends and is the same for every contact. A nil Lender knows nothing.
type Lender struct {
	EntityClass     string // where duties begin by class: commercial_bank, nbfc_large, …
	CreditPurchaser bool   // the lender bought the credit
	Senders         map[duly.Channel]Identity
}

// Identity is from whom a channel's contacts come.
type Identity struct {
	Number    string            // the number or header that the borrower sees
	Hidden    bool              // the number is withheld
	Templates map[string]string // the registrations of the words, by name of the template
}

// Tell adds to the facts of a contact what is known of the lender.
func (l *Lender) Tell(f *Facts) {
	if l == nil {
		return
	}
	f.EntityClass, f.CreditPurchaser = l.EntityClass, l.CreditPurchaser
	id := l.Senders[f.Contact.Channel]
	f.Sender = Sender{Number: id.Number, Hidden: id.Hidden, TemplateID: id.Templates[f.Contact.Template]}
}

// Classes lists the classes of lender that rules of the packs know, in order.
func Classes(packs []*Pack) []string {
	var out []string
	for _, p := range packs {
		for i := range p.Rules {
			if s, ok := p.Rules[i].checker.(*sender); ok {
				for class := range s.classes {
					out = append(out, class)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
