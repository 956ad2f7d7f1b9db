package store

import (
	duly "github.com/dulyhq/duly"
)

var holdPut = putBatch("hold", []string{"borrower_id", "id"},
	[]string{"kind", "scope", "loan_id", "point_id", "reason", "author", "from_at", "until", "released_at", "review_on"}, nil, "")

var holdTable = factTable{
	kind:  duly.FactHold,
	known: knownQuery("hold", "borrower_id", "id"),
	add:   addBatch(holdPut),
	put:   holdPut,
	scan:  asFact(scanHold),
	args: func(a []any, f duly.Fact) []any {
		h := f.(*duly.Hold)
		return append(a, string(h.BorrowerID), string(h.ID), h.Kind, string(h.Scope), string(h.LoanID), string(h.PointID), h.Reason, h.Author,
			micros(h.From), micros(h.Until), micros(h.ReleasedAt), h.ReviewOn.Int())
	},
	loan: func(f duly.Fact) duly.LoanID { return f.(*duly.Hold).LoanID },
}

// A person's holds that had not ended at $3.
const holdQuery = "SELECT borrower_id, id, kind, scope, loan_id, point_id, reason, author, from_at, until, released_at, review_on, version FROM hold " +
	"WHERE bucket = $1 AND borrower_id @ids($2) AND (until = 0 OR until > $3) AND (released_at = 0 OR released_at > $3) ORDER BY borrower_id, id"

func scanHold(r *row) duly.Hold {
	return duly.Hold{
		BorrowerID: duly.BorrowerID(r.text()), ID: duly.HoldID(r.text()), Kind: r.text(), Scope: duly.HoldScope(r.text()),
		LoanID: duly.LoanID(r.text()), PointID: duly.PointID(r.text()), Reason: r.text(), Author: r.text(), From: r.time(), Until: r.time(),
		ReleasedAt: r.time(), ReviewOn: r.date(), Version: r.int64(),
	}
}
