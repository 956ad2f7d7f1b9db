package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// Limits of a page of the inbox.
const (
	inboxPage    = 50
	inboxPageMax = 200
)

// inboxBody is a page of one person's inbox.
type inboxBody struct {
	Messages []engine.InboxMessage `json:"messages"`
	Unread   int                   `json:"unread"`
	Next     duly.AttemptID        `json:"next,omitempty"` // give it as after for the next page
}

// getInbox gives a person's messages to the lender's app: with that they are delivered.
func (h *Handler) getInbox(w http.ResponseWriter, r *http.Request) error {
	limit := inboxPage
	if s := r.URL.Query().Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > inboxPageMax {
			return duly.Errorf(duly.Usage, "not a number from 1 to %d", inboxPageMax).At(duly.Place{Field: "limit"})
		}
		limit = n
	}
	id, now := duly.BorrowerID(r.PathValue("borrower")), h.Now().UTC()
	all, unread, err := h.Engine.Inbox(r.Context(), now, id)
	if err != nil {
		return err
	}
	if after := duly.AttemptID(r.URL.Query().Get("after")); after != "" {
		at := slices.IndexFunc(all, func(m engine.InboxMessage) bool { return m.ID == after })
		if at < 0 {
			return duly.Errorf(duly.NotFound, "the message to go on after is not in the inbox any more").At(duly.Place{Field: "after"}).
				WithHint("begin again without after")
		}
		all = all[at+1:]
	}
	out := inboxBody{Messages: all[:min(limit, len(all))], Unread: unread}
	if out.Messages == nil {
		out.Messages = []engine.InboxMessage{}
	}
	if len(all) > limit {
		out.Next = all[limit-1].ID
	}
	if receipts := engine.InboxReceipts(out.Messages, now); len(receipts) > 0 {
		if err := h.received(r, id, receipts, store.InboxFetched); err != nil {
			return err
		}
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// postInboxMark returns the handler of one mark of a message.
func (h *Handler) postInboxMark(mark store.InboxMark) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		borrower, id := duly.BorrowerID(r.PathValue("borrower")), duly.AttemptID(r.PathValue("message"))
		carrier, found, err := h.DB.FindInbox(r.Context(), borrower, id)
		if err != nil {
			return err
		}
		if !found {
			return duly.Errorf(duly.NotFound, "this inbox has no such message").WithHint("GET /v1/inbox/{borrower} lists those that it has")
		}
		if err := h.received(r, borrower, []duly.Receipt{engine.InboxRead(carrier, id, h.Now().UTC())}, mark); err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, map[string]duly.AttemptID{"message": id})
		return nil
	}
}

// received writes receipts down, and then the mark: a receipt that comes twice is kept once.
func (h *Handler) received(r *http.Request, borrower duly.BorrowerID, receipts []duly.Receipt, mark store.InboxMark) error {
	if len(receipts) == 0 {
		return nil
	}
	now, ids := h.Now().UTC(), make([]duly.AttemptID, len(receipts))
	for i := range receipts {
		ids[i] = receipts[i].AttemptID
	}
	var rep engine.ReceiveReport
	if err := h.Facts.Hear(r.Context(), now, receipts[0].Provider, channel.Heard{Receipts: receipts}, &rep); err != nil {
		return fmt.Errorf("keep receipts: %w", err)
	}
	if err := h.DB.MarkInbox(r.Context(), now, borrower, ids, mark); err != nil {
		return err
	}
	h.poke()
	return nil
}
