package store

import (
	duly "github.com/dulyhq/duly"
)

var consentPut = putBatch("consent", []string{"borrower_id", "id"}, []string{"key", "given_at", "until", "withdrawn_at", "evidence"}, nil, "")

var consentTable = factTable{
	kind:  duly.FactConsent,
	known: knownQuery("consent", "borrower_id", "id"),
	add:   addBatch(consentPut),
	put:   consentPut,
	scan:  asFact(scanConsent),
	args: func(a []any, f duly.Fact) []any {
		c := f.(*duly.Consent)
		return append(a, string(c.BorrowerID), string(c.ID), c.Key, micros(c.GivenAt), micros(c.Until), micros(c.WithdrawnAt), c.Evidence)
	},
}

// A person's consents that had not ended at $3.
const consentQuery = "SELECT borrower_id, id, key, given_at, until, withdrawn_at, evidence, version FROM consent " +
	"WHERE bucket = $1 AND borrower_id @ids($2) AND (until = 0 OR until > $3) AND (withdrawn_at = 0 OR withdrawn_at > $3) ORDER BY borrower_id, id"

func scanConsent(r *row) duly.Consent {
	return duly.Consent{
		BorrowerID: duly.BorrowerID(r.text()), ID: duly.ConsentID(r.text()), Key: r.text(), GivenAt: r.time(), Until: r.time(),
		WithdrawnAt: r.time(), Evidence: r.text(), Version: r.int64(),
	}
}

var optOutPut = putBatch("opt_out", []string{"borrower_id", "id"}, []string{"key", "loan_id", "at", "revoked_at", "source"}, nil, "")

var optOutTable = factTable{
	kind:  duly.FactOptOut,
	known: knownQuery("opt_out", "borrower_id", "id"),
	add:   addBatch(optOutPut),
	put:   optOutPut,
	scan:  asFact(scanOptOut),
	args: func(a []any, f duly.Fact) []any {
		o := f.(*duly.OptOut)
		return append(a, string(o.BorrowerID), string(o.ID), o.Key, string(o.LoanID), micros(o.At), micros(o.RevokedAt), o.Source)
	},
	loan: func(f duly.Fact) duly.LoanID { return f.(*duly.OptOut).LoanID },
}

// A person's refusals that had not ended at $3.
const optOutQuery = "SELECT borrower_id, id, key, loan_id, at, revoked_at, source, version FROM opt_out " +
	"WHERE bucket = $1 AND borrower_id @ids($2) AND (revoked_at = 0 OR revoked_at > $3) ORDER BY borrower_id, id"

func scanOptOut(r *row) duly.OptOut {
	return duly.OptOut{
		BorrowerID: duly.BorrowerID(r.text()), ID: duly.ConsentID(r.text()), Key: r.text(), LoanID: duly.LoanID(r.text()), At: r.time(),
		RevokedAt: r.time(), Source: r.text(), Version: r.int64(),
	}
}
