package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// A reply is answered with what it means and what was done, once, and never with its words.
func TestReplies(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "")
		w.lend()
		body := `[{"borrower_id": "B1", "id": "R1", "channel": "sms", "text": "别再给我打电话了，我要投诉", "at": "2026-03-09T09:00:00+08:00"},
			{"loan_id": "L1", "id": "R2", "channel": "sms", "text": "我不想活了", "at": "2026-03-09T09:01:00+08:00"}]`
		got := w.post("/v1/replies", body, http.StatusOK)
		if diff := cmp.Diff([]string{"added", "added"}, rows(t, got, "replies", "result")); diff != "" {
			t.Fatalf("results (-want +got):\n%s", diff)
		}
		meaning := func(i int) map[string]any {
			return got["replies"].([]any)[i].(map[string]any)["meaning"].(map[string]any)
		}
		if m := meaning(0); m["intent"] != "opt_out" || cmp.Diff([]any{"opt_out calls"}, m["done"]) != "" {
			t.Errorf("got %v, want an opt-out of calls", m)
		}
		if m := meaning(1); m["intent"] != "crisis" {
			t.Errorf("got %v, want a crisis", m)
		}
		if diff := cmp.Diff([]string{"crisis", "complaint"}, rows(t, w.get("/v1/cases", http.StatusOK), "cases", "kind")); diff != "" {
			t.Errorf("cases, the urgent one first (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"same", "same"}, rows(t, w.post("/v1/replies", body, http.StatusOK), "replies", "result")); diff != "" {
			t.Errorf("again (-want +got):\n%s", diff)
		}
		status, why := w.call("GET", "/v1/borrowers/B1/why?date=2026-03-09", "")
		if status != http.StatusOK || !strings.Contains(why, `"opt_out calls"`) || strings.Contains(why, "投诉") {
			t.Errorf("why: got %d, want what was made of the replies and not their words:\n%s", status, why)
		}
		for _, bad := range []string{
			`{"borrower_id": "B1", "id": "R3", "channel": "pigeon", "text": "x", "at": "2026-03-09T09:00:00Z"}`,
			`{"borrower_id": "B1", "id": "R3", "channel": "sms", "text": "x"}`,
			`{"id": "R3", "channel": "sms", "text": "x", "at": "2026-03-09T09:00:00Z"}`,
			`{"borrower_id": "B1", "id": "R3", "channel": "sms", "text": "x", "at": "2026-03-09T09:00:00Z", "meaning": {}}`,
			`[]`,
		} {
			if status, answer := w.call("POST", "/v1/replies", bad); status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
				t.Errorf("%s: got %d %s, want it refused", bad, status, answer)
			}
		}
		w.post("/v1/replies", `{"borrower_id": "NOBODY", "id": "R4", "channel": "sms", "text": "x", "at": "2026-03-09T09:00:00Z"}`, http.StatusConflict)
	})
}

// teller is a carrier that calls back with whatever it is given.
type teller struct{ heard channel.Heard }

func (k teller) Hear(*http.Request, []byte) (channel.Heard, error) { return k.heard, nil }

// A callback may tell of replies and of addresses; it is answered as the carrier asks once all of it is kept.
func TestCallbackTellsOfReplies(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "secret")
		token := []string{"Authorization", "Bearer secret"}
		if code, body := w.call("POST", "/v1/events", book, token...); code != http.StatusOK {
			t.Fatalf("got %d %s", code, body)
		}
		at := w.clock().Add(-time.Minute)
		reply := channel.Reply{Key: "1", Channel: duly.ChannelSMS, From: personPhone, Text: "TD", At: at}
		unknown := channel.Reply{Key: "2", Channel: duly.ChannelSMS, From: "+8613899999999", Text: "TD", At: at}
		w.h.Inbound["sms"] = teller{channel.Heard{Replies: []channel.Reply{reply, unknown}}}
		for _, want := range []string{`{"kept":1,"orphans":1}`, `{"kept":0,"orphans":1}`} {
			if code, got := w.call("POST", "/v1/receipts/sms", "{}"); code != http.StatusOK || !strings.Contains(got, want) {
				t.Errorf("got %d %s, want %s", code, got, want)
			}
		}
		w.h.Inbound["sms"] = teller{channel.Heard{Replies: []channel.Reply{reply}, Answer: &channel.Answer{Status: 202, Type: "text/xml", Body: []byte("<ok/>")}}}
		code, got, head := w.callFull("POST", "/v1/receipts/sms", "{}")
		if code != 202 || got != "<ok/>" || head.Get("Content-Type") != "text/xml" {
			t.Errorf("got %d %q %v, want the carrier's own answer", code, got, head)
		}
		code, got = w.call("GET", "/v1/replies/unmatched", "", token...)
		if code != http.StatusOK || !strings.Contains(got, `"from":"…9999"`) || strings.Contains(got, "99999999") || strings.Contains(got, "TD") {
			t.Errorf("got %d %s, want one masked", code, got)
		}
	})
}
