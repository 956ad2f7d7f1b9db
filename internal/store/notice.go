package store

import (
	duly "github.com/dulyhq/duly"
)

var noticePut = putBatch("notice", []string{"borrower_id", "id"}, []string{"type", "loan_id", "at", "evidence"}, nil, "")

var noticeTable = factTable{
	kind:  duly.FactNotice,
	known: knownQuery("notice", "borrower_id", "id"),
	add:   addBatch(noticePut),
	put:   noticePut,
	scan:  asFact(scanNotice),
	args: func(a []any, f duly.Fact) []any {
		n := f.(*duly.Notice)
		return append(a, string(n.BorrowerID), string(n.ID), n.Type, string(n.LoanID), micros(n.At), n.Evidence)
	},
	loan: func(f duly.Fact) duly.LoanID { return f.(*duly.Notice).LoanID },
}

// A person's notices, however old: what was told stays told.
const noticeQuery = "SELECT borrower_id, id, type, loan_id, at, evidence, version FROM notice " +
	"WHERE bucket = $1 AND borrower_id @ids($2) ORDER BY borrower_id, id"

func scanNotice(r *row) duly.Notice {
	return duly.Notice{
		BorrowerID: duly.BorrowerID(r.text()), ID: duly.NoticeID(r.text()), Type: r.text(), LoanID: duly.LoanID(r.text()), At: r.time(),
		Evidence: r.text(), Version: r.int64(),
	}
}
