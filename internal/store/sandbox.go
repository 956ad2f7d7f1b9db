package store

import (
	"context"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
)

// SandboxMessage is a message that the sandbox carrier kept instead of sending.
type SandboxMessage struct {
	AttemptID duly.AttemptID
	Channel   duly.Channel
	To        string // personal
	Subject   string
	Text      string // personal
	SentAt    time.Time
}

// SandboxReceipt is a receipt that the sandbox carrier will give, not before DueAt.
type SandboxReceipt struct {
	AttemptID duly.AttemptID
	No        int    // from 1, within the attempt
	Key       string // the provider's id of the event, unique among all attempts; the same key again is the event told twice
	Status    duly.ReceiptStatus
	At        time.Time // the provider's clock
	DueAt     time.Time
}

var (
	keepMessages = batch{
		head: "@insert INTO sandbox_message (bucket, attempt_id, channel, to_value, subject, body, sent_at) ", cols: 7,
		tail: " ON CONFLICT (bucket, attempt_id) DO NOTHING",
	}
	keepReceipts = batch{
		head: "@insert INTO sandbox_receipt (bucket, attempt_id, no, key, status, at, due_at, taken) ", cols: 8,
		tail: " ON CONFLICT (bucket, attempt_id, no) DO NOTHING",
	}
)

// KeepSandbox keeps messages and the receipts that they will bring, and returns how many messages were not there yet: an
// attempt handed over twice is kept once.
func (db *DB) KeepSandbox(ctx context.Context, now time.Time, messages []SandboxMessage, receipts []SandboxReceipt) (added int, err error) {
	var ms, rs []any
	for _, m := range messages {
		b, ok := m.AttemptID.Bucket()
		if !ok {
			return 0, fmt.Errorf("keep sandbox: %q is no attempt's id", m.AttemptID)
		}
		ms = append(ms, int64(b), string(m.AttemptID), string(m.Channel), m.To, m.Subject, m.Text, micros(m.SentAt))
	}
	for _, r := range receipts {
		b, ok := r.AttemptID.Bucket()
		if !ok {
			return 0, fmt.Errorf("keep sandbox: %q is no attempt's id", r.AttemptID)
		}
		rs = append(rs, int64(b), string(r.AttemptID), int64(r.No), r.Key, string(r.Status), micros(r.At), micros(r.DueAt), int64(0))
	}
	err = db.Update(ctx, now, nil, func(tx *Tx) error {
		n, err := tx.rows(&keepMessages, ms)
		if err != nil {
			return err
		}
		added = int(n)
		_, err = tx.rows(&keepReceipts, rs)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("keep sandbox: %w", err)
	}
	return added, nil
}

// notElsewhere leaves out what another cell gives, while its rows are still here or come to be.
const notElsewhere = "EXISTS (SELECT 1 FROM bucket b WHERE b.bucket = sandbox_receipt.bucket AND b.place <= 1)"

// DueSandboxReceipts returns receipts that are due at now, for a provider's name. Those that have reached the inbox are
// not returned again; a crash before that loses none.
func (db *DB) DueSandboxReceipts(ctx context.Context, now time.Time, provider string, limit int) (out []duly.Receipt, err error) {
	err = db.Update(ctx, now, nil, func(tx *Tx) error {
		out = nil
		_, err := tx.exec("UPDATE sandbox_receipt SET taken = 1 WHERE taken = 0 AND due_at <= $1 AND EXISTS (SELECT 1 FROM receipt r "+
			"WHERE r.bucket = sandbox_receipt.bucket AND r.provider = $2 AND r.key = sandbox_receipt.key) AND "+notElsewhere, micros(now), provider)
		if err != nil {
			return err
		}
		return tx.query(func(r *row) error {
			id := duly.AttemptID(r.text())
			out = append(out, duly.Receipt{
				Provider: provider, AttemptID: id, ProviderID: string(id), Key: r.text(), Status: duly.ReceiptStatus(r.text()), At: r.time(),
			})
			return nil
		}, "SELECT attempt_id, key, status, at FROM sandbox_receipt WHERE taken = 0 AND due_at <= $1 AND "+notElsewhere+" ORDER BY due_at, attempt_id, no LIMIT $2",
			micros(now), int64(limit))
	})
	return out, err
}

// SandboxMessages returns kept messages sent at or after an instant, oldest first.
func (db *DB) SandboxMessages(ctx context.Context, since time.Time, limit int) (out []SandboxMessage, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			out = append(out, SandboxMessage{duly.AttemptID(r.text()), duly.Channel(r.text()), r.text(), r.text(), r.text(), r.time()})
			return nil
		}, "SELECT attempt_id, channel, to_value, subject, body, sent_at FROM sandbox_message WHERE sent_at >= $1 ORDER BY sent_at, attempt_id LIMIT $2",
			micros(since), int64(limit))
	})
	return out, err
}

// FindSandboxMessage returns what was kept of an attempt, or false.
func (db *DB) FindSandboxMessage(ctx context.Context, id duly.AttemptID) (m SandboxMessage, found bool, err error) {
	b, ok := id.Bucket()
	if !ok {
		return m, false, nil
	}
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			m, found = SandboxMessage{id, duly.Channel(r.text()), r.text(), r.text(), r.text(), r.time()}, true
			return nil
		}, "SELECT channel, to_value, subject, body, sent_at FROM sandbox_message WHERE bucket = $1 AND attempt_id = $2", int64(b), string(id))
	})
	return m, found, err
}
