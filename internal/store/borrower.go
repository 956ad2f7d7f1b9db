package store

import (
	"slices"

	duly "github.com/dulyhq/duly"
)

var borrowerPut = putBatch("borrower", []string{"id"}, []string{"name", "language", "country", "tier", "segment", "zones", "flags"}, nil, "")

var borrowerTable = factTable{
	kind:  duly.FactBorrower,
	known: knownQuery("borrower", "id", "id"),
	add:   addBatch(borrowerPut),
	put:   borrowerPut,
	args: func(a []any, f duly.Fact) []any {
		b := f.(*duly.Borrower)
		return append(a, string(b.ID), b.Name, b.Language, b.Country, b.Tier, b.Segment, jsonText(b.Zones), jsonText(b.Flags))
	},
}

const borrowerQuery = "SELECT id, name, language, country, tier, segment, zones, flags, version FROM borrower WHERE bucket = $1 AND id @ids($2)"

// scanBorrower reads a borrower. Zones repeat from person to person, so those read before are kept by their text; borrowers
// share them and must not change them in place.
func scanBorrower(r *row, zones map[string][]duly.Zone) duly.Borrower {
	b := duly.Borrower{
		ID: duly.BorrowerID(r.text()), Name: r.text(), Language: r.text(), Country: r.text(), Tier: r.text(), Segment: r.text(),
	}
	text := r.text()
	known, ok := zones[text]
	if !ok && text != "" {
		r.decode(text, &known)
		zones[text] = known
	}
	b.Zones = slices.Clip(known)
	r.json(&b.Flags)
	b.Version = r.int64()
	return b
}
