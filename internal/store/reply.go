package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
)

var replyPut = putBatch("reply", []string{"borrower_id", "id"},
	[]string{"contact_id", "loan_id", "point_id", "channel", "language", "text", "at", "said"}, nil, "")

var replyTable = factTable{
	kind:  duly.FactReply,
	known: knownQuery("reply", "borrower_id", "id"),
	add:   addBatch(replyPut),
	put:   replyPut,
	scan:  asFact(scanReply),
	args: func(a []any, f duly.Fact) []any {
		r := f.(*duly.Reply)
		return append(a, string(r.BorrowerID), string(r.ID), string(r.ContactID), string(r.LoanID), string(r.PointID), string(r.Channel), r.Language,
			r.Text, micros(r.At), saidText(&r.Said))
	},
	loan:  func(f duly.Fact) duly.LoanID { return f.(*duly.Reply).LoanID },
	later: 1, // said
	own:   []string{"meaning"},
}

// saidText is how what was said besides the words is kept: as JSON, or "" for nothing.
func saidText(s *duly.Said) string {
	if *s == (duly.Said{}) {
		return ""
	}
	return jsonOf(s)
}

func scanReply(r *row) duly.Reply {
	return duly.Reply{
		BorrowerID: duly.BorrowerID(r.text()), ID: duly.ReplyID(r.text()), ContactID: duly.ContactID(r.text()), LoanID: duly.LoanID(r.text()),
		PointID: duly.PointID(r.text()), Channel: duly.Channel(r.text()), Language: r.text(), Text: r.text(), At: r.time(), Said: readSaid(r), Version: r.int64(),
	}
}

func readSaid(r *row) (s duly.Said) { r.json(&s); return s }

const replyQuery = "SELECT borrower_id, id, contact_id, loan_id, point_id, channel, language, text, at, said, version, meaning FROM reply WHERE "

// BorrowerReplies returns what a borrower wrote from one instant to before another, the oldest first.
func (tx *Tx) BorrowerReplies(id duly.BorrowerID, from, to time.Time) ([]duly.Reply, error) {
	var out []duly.Reply
	var bad error
	err := tx.query(func(r *row) error {
		x := scanReply(r)
		if err := json.Unmarshal([]byte(r.text()), &x.Meaning); err != nil && bad == nil {
			bad = fmt.Errorf("meaning of reply %s: %w", x.ID, err)
		}
		out = append(out, x)
		return nil
	}, replyQuery+"bucket = $1 AND borrower_id = $2 AND at >= $3 AND at < $4 ORDER BY at, id", int64(id.Bucket()), string(id), micros(from), micros(to))
	if err == nil {
		err = bad
	}
	return out, err
}

// HasReply reports whether a reply of a borrower is known.
func (db *DB) HasReply(ctx context.Context, b duly.BorrowerID, id duly.ReplyID) (yes bool, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		yes = false
		return tx.query(func(*row) error { yes = true; return nil }, "SELECT id FROM reply WHERE bucket = $1 AND borrower_id = $2 AND id = $3",
			int64(b.Bucket()), string(b), string(id))
	})
	return yes, err
}

// SetMeaning records what a reply was taken to mean. The reply's bucket must be held.
func (tx *Tx) SetMeaning(r *duly.Reply) error {
	b := r.BorrowerID.Bucket()
	if _, err := tx.held(b); err != nil {
		return fmt.Errorf("set meaning: %w", err)
	}
	meaning, err := json.Marshal(r.Meaning)
	if err != nil {
		return fmt.Errorf("set meaning: %w", err)
	}
	_, err = tx.exec("UPDATE reply SET meaning = $4 WHERE bucket = $1 AND borrower_id = $2 AND id = $3", int64(b), string(r.BorrowerID), string(r.ID), string(meaning))
	return err
}
