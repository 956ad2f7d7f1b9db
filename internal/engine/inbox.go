package engine

import (
	"context"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// InboxMessage is a message for the lender's app, as it is to be shown now. Title and Text are personal.
type InboxMessage struct {
	ID       duly.AttemptID `json:"id"`
	Carrier  string         `json:"-"`
	Title    string         `json:"title"`
	Text     string         `json:"text,omitempty"` // "" where it is not true any more
	Language string         `json:"language,omitempty"`
	At       time.Time      `json:"at"`
	Until    time.Time      `json:"expires_at,omitzero"`
	ReadAt   time.Time      `json:"read_at,omitzero"`
	Settled  bool           `json:"settled"` // nothing of what it is about is owed any more
	Changed  bool           `json:"changed"` // less, or more, is owed than it says
	Items    []duly.Item    `json:"items"`   // with what is owed now
	fetched  bool
}

// inboxMax bounds the messages of one person that are looked at: the newest.
const inboxMax = 500

// Inbox returns what a person's inbox holds at now, newest first, and how many of the messages are unread. A message that was
// dismissed, or has expired, is left out. One about instalments that were paid since it was written is settled, and one whose
// amount is not that of the ledger any more is changed: both come without their words, and neither is counted as unread.
func (e *Engine) Inbox(ctx context.Context, now time.Time, id duly.BorrowerID) (out []InboxMessage, unread int, err error) {
	err = e.db.View(ctx, func(tx *store.Tx) error {
		out, unread = nil, 0
		entries, err := tx.Inbox(id, now, inboxMax)
		if err != nil || len(entries) == 0 {
			return err
		}
		ledgers, err := tx.Ledgers(id.Bucket(), []duly.BorrowerID{id})
		if err != nil {
			return err
		}
		owed := map[store.OpenItem]duly.Item{}
		for _, l := range ledgers {
			for i := range l.Installments {
				in := &l.Installments[i]
				if in.Open() {
					owed[store.OpenItem{BorrowerID: id, LoanID: in.LoanID, No: in.No}] = duly.Item{LoanID: in.LoanID, No: in.No, DueOn: in.DueOn, Outstanding: in.Outstanding()}
				}
			}
		}
		for i := range entries {
			m := inboxMessage(&entries[i], owed)
			if m.ReadAt.IsZero() && m.Text != "" {
				unread++
			}
			out = append(out, m)
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read inbox: %w", err)
	}
	return out, unread, nil
}

// inboxMessage holds an entry against what is owed.
func inboxMessage(x *store.InboxEntry, owed map[store.OpenItem]duly.Item) InboxMessage {
	m := InboxMessage{
		ID: x.AttemptID, Carrier: x.Carrier, Title: x.Title, Text: x.Text, Language: x.Language, At: x.At, Until: x.ExpiresAt, ReadAt: x.ReadAt,
		Items: make([]duly.Item, len(x.Items)), Settled: len(x.Items) > 0, fetched: !x.FetchedAt.IsZero(),
	}
	for i, was := range x.Items {
		is, open := owed[store.OpenItem{BorrowerID: x.BorrowerID, LoanID: was.LoanID, No: was.No}]
		if !open {
			is = was
			is.Outstanding.Minor = 0
		}
		m.Items[i] = is
		m.Settled = m.Settled && !open
		m.Changed = m.Changed || is.Outstanding != was.Outstanding || is.DueOn != was.DueOn
	}
	if m.Changed {
		m.Text = ""
	}
	return m
}

// InboxReceipts returns the receipts of messages that were fetched for the first time.
func InboxReceipts(messages []InboxMessage, now time.Time) []duly.Receipt {
	var out []duly.Receipt
	for i := range messages {
		if m := &messages[i]; !m.fetched {
			out = append(out, inboxReceipt(m.Carrier, m.ID, duly.ReceiptDelivered, now))
		}
	}
	return out
}

// InboxRead returns the receipt of a message that was read, or put away by hand.
func InboxRead(carrier string, id duly.AttemptID, now time.Time) duly.Receipt {
	return inboxReceipt(carrier, id, duly.ReceiptRead, now)
}

func inboxReceipt(carrier string, id duly.AttemptID, s duly.ReceiptStatus, now time.Time) duly.Receipt {
	return duly.Receipt{Provider: carrier, Key: string(id) + ":" + string(s), AttemptID: id, ProviderID: string(id), Status: s, At: now}
}
