package store

import (
	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

var preferencePut = putBatch("preference", []string{"borrower_id", "id"},
	[]string{"kind", "days", "from_clock", "to_clock", "source", "at", "revoked_at"}, nil, "")

var preferenceTable = factTable{
	kind:  duly.FactPreference,
	known: knownQuery("preference", "borrower_id", "id"),
	add:   addBatch(preferencePut),
	put:   preferencePut,
	scan:  asFact(scanPreference),
	args: func(a []any, f duly.Fact) []any {
		p := f.(*duly.Preference)
		return append(a, string(p.BorrowerID), string(p.ID), string(p.Kind), p.Days.String(), int64(p.From), int64(p.To), p.Source, micros(p.At),
			micros(p.RevokedAt))
	},
}

// A person's wishes that had not ended at $3.
const preferenceQuery = "SELECT borrower_id, id, kind, days, from_clock, to_clock, source, at, revoked_at, version FROM preference " +
	"WHERE bucket = $1 AND borrower_id @ids($2) AND (revoked_at = 0 OR revoked_at > $3) ORDER BY borrower_id, id"

func scanPreference(r *row) duly.Preference {
	return duly.Preference{
		BorrowerID: duly.BorrowerID(r.text()), ID: duly.PreferenceID(r.text()), Kind: duly.PreferenceKind(r.text()), Days: r.weekdays(),
		From: civil.Clock(r.int64()), To: civil.Clock(r.int64()), Source: r.text(), At: r.time(), RevokedAt: r.time(), Version: r.int64(),
	}
}
