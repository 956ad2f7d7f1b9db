package store

import (
	duly "github.com/dulyhq/duly"
)

var touchPut = putBatch("touch", []string{"borrower_id", "id"},
	[]string{"loan_id", "point_id", "channel", "purpose", "inbound", "outcome", "at", "agency"}, nil, "")

// A reservation's row is its own calls' alone: a fact of the same id is older than it, whatever its version.
const touchKnown = "SELECT borrower_id, id, CASE WHEN state = '' THEN version ELSE 9223372036854775807 END, digest FROM touch " +
	"WHERE bucket = $1 AND borrower_id @ids($2)"

var touchTable = factTable{
	kind:  duly.FactTouch,
	known: touchKnown,
	add:   addBatch(touchPut),
	put:   touchPut,
	scan:  asFact(scanTouch),
	args: func(a []any, f duly.Fact) []any {
		t := f.(*duly.Touch)
		return append(a, string(t.BorrowerID), t.ID, string(t.LoanID), string(t.PointID), string(t.Channel), string(t.Purpose), flag(t.Inbound),
			t.Outcome, micros(t.At), t.Agency)
	},
	loan:  func(f duly.Fact) duly.LoanID { return f.(*duly.Touch).LoanID },
	later: 1, // agency
	own:   []string{"state", "reserved_at", "expires_at", "terms"},
}

// A person's touches since $3, those reserved among them; what was released was never made.
const touchQuery = "SELECT borrower_id, id, loan_id, point_id, channel, purpose, inbound, outcome, at, agency, version FROM touch " +
	"WHERE bucket = $1 AND borrower_id @ids($2) AND at >= $3 AND state <> 'released' ORDER BY borrower_id, at, id"

func scanTouch(r *row) duly.Touch {
	return duly.Touch{
		BorrowerID: duly.BorrowerID(r.text()), ID: r.text(), LoanID: duly.LoanID(r.text()), PointID: duly.PointID(r.text()),
		Channel: duly.Channel(r.text()), Purpose: duly.Purpose(r.text()), Inbound: r.bool(), Outcome: r.text(), At: r.time(), Agency: r.text(),
		Version: r.int64(),
	}
}
