package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
)

// InboxEntry is a message that waits for the lender's app. Title and Text are personal.
type InboxEntry struct {
	BorrowerID  duly.BorrowerID
	AttemptID   duly.AttemptID
	Carrier     string
	Title       string
	Text        string
	Language    string
	Items       []duly.Item // as they were when it was sent
	At          time.Time
	ExpiresAt   time.Time // zero: never
	FetchedAt   time.Time // zero while it was not
	ReadAt      time.Time
	DismissedAt time.Time
}

// InboxMark is what became of an entry.
type InboxMark string

// The marks.
const (
	InboxFetched   InboxMark = "fetched_at"
	InboxRead      InboxMark = "read_at"
	InboxDismissed InboxMark = "dismissed_at"
)

var putInbox = batch{
	head: "@insert INTO inbox_entry (bucket, borrower_id, attempt_id, contact_id, carrier, title, body, language, items, at, expires_at, fetched_at, read_at, dismissed_at) ",
	cols: 14,
	tail: " ON CONFLICT (bucket, borrower_id, attempt_id) DO NOTHING",
}

// KeepInbox keeps an entry. One that is there already stays as it is.
func (db *DB) KeepInbox(ctx context.Context, now time.Time, e InboxEntry) error {
	b := e.BorrowerID.Bucket()
	contact, ok := e.AttemptID.Contact()
	if !ok {
		return fmt.Errorf("keep inbox: %q is no attempt's id", e.AttemptID)
	}
	items, err := json.Marshal(e.Items)
	if err != nil {
		return fmt.Errorf("keep inbox: %w", err)
	}
	err = db.Update(ctx, now, []int{b}, func(tx *Tx) error {
		_, err := tx.rows(&putInbox, []any{int64(b), string(e.BorrowerID), string(e.AttemptID), string(contact), e.Carrier, e.Title, e.Text, e.Language, string(items),
			micros(e.At), micros(e.ExpiresAt), int64(0), int64(0), int64(0)})
		return err
	})
	if err != nil {
		return fmt.Errorf("keep inbox: %w", err)
	}
	return nil
}

// Inbox returns a person's entries that were not dismissed and are true at now still, newest first.
func (tx *Tx) Inbox(id duly.BorrowerID, now time.Time, limit int) ([]InboxEntry, error) {
	var out []InboxEntry
	err := tx.query(func(r *row) error {
		out = append(out, InboxEntry{
			BorrowerID: id, AttemptID: duly.AttemptID(r.text()), Carrier: r.text(), Title: r.text(), Text: r.text(), Language: r.text(), Items: readItems(r),
			At: r.time(), ExpiresAt: r.time(), FetchedAt: r.time(), ReadAt: r.time(),
		})
		return nil
	}, "SELECT attempt_id, carrier, title, body, language, items, at, expires_at, fetched_at, read_at FROM inbox_entry "+
		"WHERE bucket = $1 AND borrower_id = $2 AND dismissed_at = 0 AND (expires_at = 0 OR expires_at > $3) ORDER BY at DESC, attempt_id DESC LIMIT $4",
		int64(id.Bucket()), string(id), micros(now), int64(limit))
	return out, err
}

// FindInbox returns the carrier of an entry, or false where there is no such entry.
func (db *DB) FindInbox(ctx context.Context, borrower duly.BorrowerID, id duly.AttemptID) (carrier string, found bool, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { carrier, found = r.text(), true; return nil },
			"SELECT carrier FROM inbox_entry WHERE bucket = $1 AND borrower_id = $2 AND attempt_id = $3", int64(borrower.Bucket()), string(borrower), string(id))
	})
	return carrier, found, err
}

// HasInbox reports whether an attempt's message is kept, whosever it is.
func (db *DB) HasInbox(ctx context.Context, id duly.AttemptID) (found bool, err error) {
	b, ok := id.Bucket()
	contact, is := id.Contact()
	if !ok || !is {
		return false, nil
	}
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(*row) error { found = true; return nil },
			"SELECT attempt_id FROM inbox_entry WHERE bucket = $1 AND contact_id = $2 AND attempt_id = $3", int64(b), string(contact), string(id))
	})
	return found, err
}

// MarkInbox notes what became of entries of one person, the first time that it did.
func (db *DB) MarkInbox(ctx context.Context, now time.Time, borrower duly.BorrowerID, ids []duly.AttemptID, m InboxMark) error {
	switch m {
	case InboxFetched, InboxRead, InboxDismissed:
	default:
		return fmt.Errorf("mark inbox: no mark %q", m)
	}
	b := borrower.Bucket()
	err := db.Update(ctx, now, []int{b}, func(tx *Tx) error {
		for _, id := range ids { // a page at most
			if _, err := tx.exec("UPDATE inbox_entry SET "+string(m)+" = $4 WHERE bucket = $1 AND borrower_id = $2 AND attempt_id = $3 AND "+string(m)+" = 0",
				int64(b), string(borrower), string(id), micros(now)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark inbox: %w", err)
	}
	return nil
}
