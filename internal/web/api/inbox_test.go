package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// The app fetches a person's messages: newest first, once delivered, read when it says so, and asking for no money that came in.
func TestInbox(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "")
		w.lend()
		w.at(-1, 12)
		item := []duly.Item{{LoanID: "L1", No: 1, DueOn: due, Outstanding: money.New(12345678, "CNY")}}
		var ids []string
		keep := func(n int, items []duly.Item, until time.Duration) {
			t.Helper()
			at := w.clock().Add(time.Duration(n) * time.Second)
			id := duly.NewAttemptID(duly.NewContactID("B1", "test", "app", civil.Of(at), n), 1)
			must(t, db.KeepInbox(t.Context(), at, store.InboxEntry{BorrowerID: "B1", AttemptID: id, Carrier: "app", Title: "还款提醒", Text: "words", Items: items, At: at, ExpiresAt: at.Add(until)}))
			ids = append(ids, string(id))
		}
		keep(0, item, 48*time.Hour)
		keep(1, item, time.Minute) // expires
		keep(2, nil, 48*time.Hour)
		keep(3, item, 48*time.Hour)
		w.mu.Lock()
		w.now = w.now.Add(time.Hour)
		w.mu.Unlock()
		get := func(target string) map[string]any { t.Helper(); return w.get(target, http.StatusOK) }
		page := get("/v1/inbox/B1?limit=2")
		if diff := cmp.Diff([]string{ids[3], ids[2]}, rows(t, page, "messages", "id")); diff != "" || page["unread"] != 3.0 || page["next"] != ids[2] {
			t.Errorf("first page: unread %v, next %v (-want +got):\n%s", page["unread"], page["next"], diff)
		}
		page = get("/v1/inbox/B1?limit=2&after=" + ids[2])
		if diff := cmp.Diff([]string{ids[0]}, rows(t, page, "messages", "id")); diff != "" || page["next"] != nil {
			t.Errorf("second page: next %v (-want +got):\n%s", page["next"], diff)
		}
		w.post("/v1/inbox/B1/"+ids[0]+"/read", "", http.StatusOK)
		w.post("/v1/inbox/B1/"+ids[0]+"/read", "", http.StatusOK)
		w.post("/v1/inbox/B1/"+ids[2]+"/dismissed", "", http.StatusOK)
		w.post("/v1/inbox/B2/"+ids[0]+"/read", "", http.StatusNotFound)
		page = get("/v1/inbox/B1")
		if diff := cmp.Diff([]string{ids[3], ids[0]}, rows(t, page, "messages", "id")); diff != "" || page["unread"] != 1.0 {
			t.Errorf("after one was read and one dismissed: unread %v (-want +got):\n%s", page["unread"], diff)
		}
		receipts := func(n int) (out []string) {
			id := duly.AttemptID(ids[n])
			contact, _ := id.Contact()
			must(t, db.View(t.Context(), func(tx *store.Tx) error {
				rs, err := tx.Receipts(contact)
				for _, r := range rs {
					out = append(out, string(r.Status))
				}
				return err
			}))
			return out
		}
		if diff := cmp.Diff([][]string{{"delivered", "read"}, nil, {"delivered", "read"}, {"delivered"}}, [][]string{receipts(0), receipts(1), receipts(2), receipts(3)}); diff != "" {
			t.Errorf("receipts, each once (-want +got):\n%s", diff)
		}
		first := func() map[string]any { return get("/v1/inbox/B1")["messages"].([]any)[0].(map[string]any) }
		if m := first(); m["text"] != "words" || m["settled"] != false || m["changed"] != false {
			t.Errorf("before the payment: got %v", m)
		}
		pay := func(id, minor string) {
			t.Helper()
			w.post("/v1/payments", `{"borrower_id": "B1", "loan_id": "L1", "id": "`+id+`", "amount": {"minor": `+minor+`, "currency": "CNY"}, "value_at": "2026-03-09T05:00:00Z"}`, http.StatusOK)
		}
		pay("P1", "678")
		if m := first(); m["text"] != nil || m["settled"] != false || m["changed"] != true {
			t.Errorf("after a part was paid: got %v", m)
		}
		pay("P2", "12345000")
		if m := first(); m["text"] != nil || m["settled"] != true || get("/v1/inbox/B1")["unread"] != 0.0 {
			t.Errorf("after all was paid: got %v", m)
		}
		for target, want := range map[string]int{"/v1/inbox/B1?limit=0": 400, "/v1/inbox/B1?limit=x": 400, "/v1/inbox/B1?after=nothing": 404} {
			if status, answer := w.call("GET", target, ""); status != want {
				t.Errorf("%s: got %d %s", target, status, answer)
			}
		}
		if got := get("/v1/inbox/NOBODY"); got["unread"] != 0.0 || len(got["messages"].([]any)) != 0 {
			t.Errorf("of nobody: got %v", got)
		}
	})
}
