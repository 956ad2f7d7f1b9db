package engine

import (
	"context"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// File is all that is on record of one borrower, for a person to look at: see [Engine.File].
type File struct {
	Person   duly.Person // of all times
	Ledger   store.Ledger
	Contacts []Recorded // oldest first
	Replies  []duly.Reply
	Cases    []CaseFile
}

// File returns what is on record of a borrower. It fails with NotFound for one who is not known. Whoever shows it masks what is
// personal by role: names, addresses and the words of messages and replies.
func (e *Engine) File(ctx context.Context, now time.Time, id duly.BorrowerID) (File, error) {
	var f File
	err := e.db.View(ctx, func(tx *store.Tx) error {
		b := id.Bucket()
		persons, err := tx.PersonsSince(b, []duly.BorrowerID{id}, store.Since{})
		if err != nil {
			return err
		}
		if len(persons) == 0 {
			return duly.Errorf(duly.NotFound, "there is no borrower with this id").WithHint("ids are the lender's customer numbers, as imported")
		}
		f.Person = persons[0]
		ledgers, err := tx.Ledgers(b, []duly.BorrowerID{id})
		if err != nil {
			return err
		}
		if len(ledgers) > 0 {
			f.Ledger = ledgers[0]
		}
		for i := range f.Person.Contacts {
			r, err := record(tx, f.Person.Contacts[i])
			if err != nil {
				return err
			}
			f.Contacts = append(f.Contacts, r)
		}
		if f.Replies, err = tx.BorrowerReplies(id, time.Time{}, now.AddDate(1, 0, 0)); err != nil {
			return err
		}
		cases, err := tx.BorrowerCases(id)
		if err != nil {
			return err
		}
		for _, c := range cases {
			duties, err := tx.Duties(id, c.ID)
			if err != nil {
				return err
			}
			f.Cases = append(f.Cases, CaseFile{c, duties})
		}
		return nil
	})
	return f, err
}
