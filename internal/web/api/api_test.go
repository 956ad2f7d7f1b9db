package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/webhook"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// noPersonal fails the test where text holds anything of a borrower.
func noPersonal(t *testing.T, where, text string) {
	t.Helper()
	for _, p := range personal {
		if strings.Contains(text, p) {
			t.Errorf("%s holds personal data (%s): %s", where, p, text)
		}
	}
}

func applied(results []any, settled, stopped float64) map[string]any {
	return map[string]any{"results": results, "installments_settled": settled, "contacts_stopped": stopped}
}

func TestPaymentStopsContact(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "")
		w.lend()
		w.at(-1, 1) // planned for nine, not sent
		w.step()
		got := w.post("/v1/payments", pay, http.StatusOK)
		if diff := cmp.Diff(applied([]any{"added"}, 1, 1), got); diff != "" {
			t.Errorf("the payment (-want +got):\n%s", diff)
		}
		w.at(-1, 2) // the same again, later: without a version of its own it must not look newer
		got = w.post("/v1/payments", pay, http.StatusOK)
		if diff := cmp.Diff(applied([]any{"same"}, 0, 0), got); diff != "" {
			t.Errorf("the payment again (-want +got):\n%s", diff)
		}
		w.at(-1, 10)
		w.step()
		w.at(0, 10)
		w.step()
		if len(w.car.sent) != 0 {
			t.Errorf("got %d messages after the payment, want none", len(w.car.sent))
		}
	})
}

func TestPaymentWakesTheEngine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	select {
	case <-w.h.Wake():
		t.Fatal("the engine is woken without a fact")
	default:
	}
	w.lend()
	w.post("/v1/payments", pay, http.StatusOK)
	<-w.h.Wake()
	select {
	case <-w.h.Wake():
		t.Error("two calls woke the engine twice: one wake is enough, it looks at everything")
	default:
	}
}

func TestPaymentList(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	list := `  [` + pay + `, ` + strings.NewReplacer(`"P1"`, `"P2"`, `"L1"`, `"L9"`).Replace(pay) + `]`
	got := w.post("/v1/payments", list, http.StatusConflict)
	if diff := cmp.Diff(applied([]any{"added", "unknown_loan"}, 1, 0), got); diff != "" {
		t.Errorf("a list with an unknown loan (-want +got):\n%s", diff)
	}
	reversal := `{"id": "P3", "loan_id": "L1", "reverses": "P1", "amount": {"minor": ` + personMinor + `, "currency": "CNY"}, "value_at": "2026-03-08T10:00:00+08:00"}`
	w.post("/v1/payments", reversal, http.StatusOK)
	w.at(-1, 10)
	w.step()
	if len(w.car.sent) != 1 {
		t.Errorf("got %d messages after the payment was reversed, want 1", len(w.car.sent))
	}
}

// A payment that names the borrower alone pays the oldest due.
func TestPaymentByBorrower(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	got := w.post("/v1/payments", strings.Replace(pay, `"loan_id": "L1"`, `"borrower_id": "B1"`, 1), http.StatusOK)
	if diff := cmp.Diff(applied([]any{"added"}, 1, 0), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPaymentConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	versioned := strings.Replace(pay, `{`, `{"version": 7, `, 1)
	w.post("/v1/payments", versioned, http.StatusOK)
	got := w.post("/v1/payments", strings.Replace(versioned, `09:30`, `09:31`, 1), http.StatusConflict)
	if want := []any{"conflict"}; !reflect.DeepEqual(got["results"], want) {
		t.Errorf("the same version with another content: got %v, want %v", got["results"], want)
	}
	got = w.post("/v1/payments", strings.Replace(versioned, `7`, `6`, 1), http.StatusOK)
	if want := []any{"stale"}; !reflect.DeepEqual(got["results"], want) {
		t.Errorf("an older version: got %v, want %v", got["results"], want)
	}
}

// Every kind of fact can be posted, and is known the second time.
func TestEventsOfEveryKind(t *testing.T) {
	t.Parallel()
	const at = `"2026-03-01T10:00:00+08:00"`
	rest := map[duly.FactKind]string{
		duly.FactPayment:    strings.Replace(pay, `{`, `{"kind": "payment", `, 1),
		duly.FactDebit:      `{"kind": "debit", "borrower_id": "B1", "id": "D1", "loan_id": "L1", "installment_no": 1, "at": ` + at + `, "state": "failed", "reason": "insufficient_funds"}`,
		duly.FactConsent:    `{"kind": "consent", "borrower_id": "B1", "id": "C1", "key": "sms", "given_at": ` + at + `, "evidence": "app"}`,
		duly.FactOptOut:     `{"kind": "opt_out", "borrower_id": "B1", "id": "O1", "key": "sms", "at": ` + at + `, "source": "agent"}`,
		duly.FactHold:       `{"kind": "hold", "borrower_id": "B1", "id": "H1", "hold_kind": "dispute", "reason": "asked", "author": "a", "from": ` + at + `}`,
		duly.FactTouch:      `{"kind": "touch", "borrower_id": "B1", "id": "T1", "channel": "call_agent", "purpose": "collection", "outcome": "no_answer", "at": ` + at + `}`,
		duly.FactReply:      `{"kind": "reply", "borrower_id": "B1", "id": "R1", "channel": "sms", "text": "好的", "at": ` + at + `}`,
		duly.FactCase:       `{"kind": "case", "borrower_id": "B1", "id": "K1", "case_kind": "complaint", "opened_at": ` + at + `}`,
		duly.FactNotice:     `{"kind": "notice", "id": "N1", "type": "transfer_notice", "loan_id": "L1", "at": ` + at + `}`,
		duly.FactPreference: `{"kind": "preference", "borrower_id": "B1", "id": "W1", "preference_kind": "allow", "days": "mon-fri", "from": "18:00", "to": "20:00", "source": "self_service", "at": ` + at + `}`,
	}
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	for _, kind := range duly.FactKinds()[4:] {
		body := `{"events": [` + rest[kind] + `]}`
		for _, want := range []string{"added", "same"} {
			got := w.post("/v1/events", body, http.StatusOK)
			if diff := cmp.Diff([]any{want}, got["results"]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", kind, diff)
			}
		}
	}
	got := w.post("/v1/events", book, http.StatusOK)
	if diff := cmp.Diff([]any{"same", "same", "same", "same"}, got["results"]); diff != "" {
		t.Errorf("the book again (-want +got):\n%s", diff)
	}
}

func TestFeedEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	feed := func(at time.Time) string {
		return fmt.Sprintf(`{"events": [{"kind": "feed", "through": %q}]}`, at.Format(time.RFC3339))
	}
	known := func() time.Time {
		at, err := w.db.FeedAt(t.Context(), engine.FeedPayments)
		must(t, err)
		return at
	}
	now := w.clock()
	w.post("/v1/events", feed(now), http.StatusOK)
	if got := known(); !got.Equal(now) {
		t.Errorf("got payments known up to %s, want %s", got, now)
	}
	w.post("/v1/events", feed(now.Add(-time.Hour)), http.StatusOK)
	if got := known(); !got.Equal(now) {
		t.Errorf("the feed went back to %s, want %s still", got, now)
	}
	// A feed of the future is a source with a wrong clock: nothing of the call is applied.
	mixed := strings.TrimSuffix(book, "\n]}") + `, {"kind": "feed", "through": "2026-03-08T12:00:00+08:00"}` + "\n]}"
	e := w.post("/v1/events", mixed, http.StatusUnprocessableEntity)["error"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"file": "body", "line": 5., "field": "through"}, e["place"]); diff != "" {
		t.Errorf("place (-want +got):\n%s", diff)
	}
	w.get("/v1/borrowers/B1/why", http.StatusNotFound)
	if got := known(); !got.Equal(now) {
		t.Errorf("the feed is known up to %s, want %s", got, now)
	}
}

// A call that says that payments are complete while one of its own is refused does not move the feed.
func TestFeedBesideARefusedPayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	at := w.clock().Format(time.RFC3339)
	body := fmt.Sprintf(`{"events": [{"kind": "payment", "loan_id": "nobody's", "id": "P", "amount": {"minor": 100, "currency": "CNY"}, "value_at": %q, "arrived_at": %q}, {"kind": "feed", "through": %q}]}`, at, at, at)
	got := w.post("/v1/events", body, http.StatusConflict)
	if got["feed_held"] != true {
		t.Errorf("got %v, want the feed held", got)
	}
	if known, err := w.db.FeedAt(t.Context(), engine.FeedPayments); err != nil || !known.IsZero() {
		t.Errorf("payments count as known up to %s (%v), want never told", known, err)
	}
}

// Wrong bodies are refused with a status, a code and a place, and nothing of a person is told back.
func TestStrict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	event := func(s string) string { return `{"events": [` + s + `]}` }
	many := event(strings.TrimSuffix(strings.Repeat(`{},`, 10_001), ","))
	tests := []struct {
		name, target, body string
		status             int
		code               string
		place              map[string]any
	}{
		{"not JSON", "/v1/payments", `{"id": ` + personName + `}`, 400, "usage", map[string]any{"file": "body", "column": 8.}},
		{"cut short", "/v1/payments", pay[:40], 400, "usage", map[string]any{"file": "body"}},
		{"empty", "/v1/payments", ``, 400, "usage", map[string]any{"file": "body"}},
		{"empty list", "/v1/payments", `[]`, 400, "usage", nil},
		{"null", "/v1/payments", `null`, 422, "invalid", map[string]any{"file": "body", "line": 1., "field": "id"}},
		{"a number", "/v1/payments", personMinor, 422, "invalid", map[string]any{"file": "body", "line": 1.}},
		{"no events", "/v1/events", `{}`, 400, "usage", nil},
		{"empty events", "/v1/events", `{"events": []}`, 400, "usage", nil},
		{"too many events", "/v1/events", many, 400, "usage", nil},
		{"two values", "/v1/payments", pay + pay, 400, "usage", nil},
		{"too large", "/v1/payments", `{"id": "` + strings.Repeat("x", 8<<20) + `"}`, 400, "usage", nil},
		{"unknown key outside", "/v1/events", `{"event": []}`, 422, "invalid", map[string]any{"file": "body", "field": "event"}},
		{"a value for a key", "/v1/events", `{"` + personPhone + `": []}`, 422, "invalid", map[string]any{"file": "body"}},
		{"a list outside", "/v1/events", `[` + pay + `]`, 422, "invalid", map[string]any{"file": "body"}},
		{"not a list", "/v1/events", `{"events": ` + personMinor + `}`, 422, "invalid", map[string]any{"file": "body", "field": "events"}},
		{"unknown key", "/v1/payments", `[` + pay + `, {"amont": {"minor": ` + personMinor + `}}]`, 422, "invalid", map[string]any{"file": "body", "line": 2., "field": "amont"}},
		{"wrong type", "/v1/payments", strings.Replace(pay, `"P1"`, personMinor, 1), 422, "invalid", map[string]any{"file": "body", "line": 1., "field": "id"}},
		{"a float", "/v1/payments", strings.Replace(pay, personMinor, "123456.78", 1), 422, "invalid", map[string]any{"file": "body", "line": 1., "field": "amount.minor"}},
		{"no zone", "/v1/payments", strings.Replace(pay, "+08:00", "", 1), 422, "invalid", map[string]any{"file": "body", "line": 1., "field": "value_at"}},
		{"another kind", "/v1/payments", `{"kind": "loan"}`, 422, "invalid", map[string]any{"file": "body", "line": 1., "field": "kind"}},
		{"no kind", "/v1/events", event(pay), 422, "invalid", map[string]any{"file": "body", "line": 1., "field": "kind"}},
		{"unknown kind", "/v1/events", event(`{"kind": "` + personPhone + `"}`), 422, "invalid", map[string]any{"file": "body", "line": 1., "field": "kind"}},
		{"event is no object", "/v1/events", event(`{"kind": "borrower", "id": "B9", "name": "x", "country": "CN"}, ` + personMinor), 422, "invalid", nil},
		{"feed without time", "/v1/events", event(`{"kind": "feed"}`), 422, "invalid", map[string]any{"file": "body", "line": 1., "field": "through"}},
		{"feed with another time", "/v1/events", event(`{"through": "` + personPhone + `", "kind": "feed"}`), 422, "invalid", map[string]any{"file": "body", "line": 1., "field": "through"}},
		{"feed with more", "/v1/events", event(`{"kind": "feed", "through": "2026-03-01T00:00:00Z", "name": "` + personName + `"}`), 422, "invalid", map[string]any{"file": "body", "line": 1.}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := w.call("POST", tt.target, tt.body)
			noPersonal(t, "the answer", body)
			e, ok := decode(t, body)["error"].(map[string]any)
			if !ok || status != tt.status || e["code"] != tt.code || e["message"] == "" {
				t.Fatalf("got status %d and %s, want %d and code %s with a message", status, body, tt.status, tt.code)
			}
			if tt.place == nil {
				return
			}
			if diff := cmp.Diff(tt.place, e["place"]); diff != "" {
				t.Errorf("place (-want +got):\n%s\n%s", diff, body)
			}
		})
	}
	w.get("/v1/borrowers/B9/why", http.StatusNotFound) // nothing of a refused call was applied
	noPersonal(t, "the log", w.log.String())
}

// Text that JSON can carry and a store cannot is an error of the caller, or is kept: never a failure of the store.
func TestOddText(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "")
		w.lend()
		for _, odd := range []string{`\u0000`, `\ud800`, "\xff", `\u202e`, strings.Repeat("长", 5000)} {
			for _, body := range []string{
				`{"kind": "borrower", "id": "B1", "name": "` + odd + `", "country": "CN"}`,
				`{"kind": "borrower", "id": "` + odd + `", "name": "x", "country": "CN"}`,
				`{"kind": "contact_point", "borrower_id": "B1", "id": "m", "point_kind": "app", "value": "` + odd + `"}`,
				`{"kind": "loan", "borrower_id": "B1", "id": "L2", "product": "` + odd + `", "contract_no": "` + odd + `", "schedule": "bullet", "currency": "CNY", "principal": {"minor": 1, "currency": "CNY"}, "disbursed_on": "2026-02-10"}`,
				`{"kind": "payment", "loan_id": "` + odd + `", "id": "P", "amount": {"minor": 1, "currency": "CNY"}, "value_at": "2026-03-01T00:00:00Z"}`,
				`{"kind": "payment", "loan_id": "L1", "id": "P", "method": "` + odd + `", "amount": {"minor": 1, "currency": "CNY"}, "value_at": "2026-03-01T00:00:00Z"}`,
				`{"kind": "hold", "borrower_id": "B1", "id": "H", "hold_kind": "` + odd + `", "reason": "` + odd + `", "author": "` + odd + `", "from": "2026-03-01T00:00:00Z"}`,
				`{"kind": "consent", "borrower_id": "B1", "id": "C", "key": "sms", "given_at": "2026-03-01T00:00:00Z", "evidence": "` + odd + `"}`,
				`{"kind": "debit", "borrower_id": "B1", "id": "D", "loan_id": "L1", "installment_no": 1, "at": "2026-03-01T00:00:00Z", "state": "failed", "reason": "` + odd + `"}`,
				`{"kind": "touch", "borrower_id": "B1", "id": "T", "channel": "sms", "purpose": "collection", "outcome": "` + odd + `", "at": "2026-03-01T00:00:00Z"}`,
				`{"kind": "payment", "loan_id": "L1", "id": "Q", "amount": {"minor": 9223372036854775807, "currency": "CNY"}, "value_at": "9999-12-31T23:59:59Z"}`,
				`{"kind": "payment", "loan_id": "L1", "id": "R", "amount": {"minor": 9223372036854775807, "currency": "CNY"}, "value_at": "0001-01-02T00:00:00Z"}`,
			} {
				if code, got := w.call("POST", "/v1/events", `{"events": [`+body+`]}`); code >= 500 {
					t.Errorf("%.200s: got %d %s\n%s", body, code, got, w.log)
				}
			}
		}
	})
}

func TestNoSuchCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "secret")
	tests := []struct {
		method, target string
		status         int
		code           string
	}{
		{"GET", "/", 404, "not_found"},
		{"GET", "/v1/payments", 405, "usage"},
		{"DELETE", "/v1/borrowers/B1/why", 405, "usage"},
	}
	for _, tt := range tests {
		status, body, header := w.callFull(tt.method, tt.target, "")
		e, _ := decode(t, body)["error"].(map[string]any)
		if status != tt.status || e["code"] != tt.code || !strings.HasPrefix(header.Get("Content-Type"), "application/json") {
			t.Errorf("%s %s: got %d %q %s, want %d as JSON with code %s", tt.method, tt.target, status, header.Get("Content-Type"), body, tt.status, tt.code)
		}
		if tt.status == 405 && header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow header", tt.method, tt.target)
		}
	}
}

func TestWhy(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "")
		w.lend()
		w.at(-1, 10)
		w.step()
		x := w.get("/v1/borrowers/B1/why?date=2026-03-09", http.StatusOK)
		recorded, _ := x["recorded"].([]any)
		if x["date"] != "2026-03-09" || len(recorded) != 1 {
			t.Fatalf("got date %v and %d contacts on record, want 2026-03-09 and 1", x["date"], len(recorded))
		}
		if attempts, _ := recorded[0].(map[string]any)["attempts"].([]any); len(attempts) != 1 {
			t.Errorf("got attempts %v, want the one that was sent", attempts)
		}
		quiet := w.get("/v1/borrowers/B1/why?date=2026-02-20", http.StatusOK)
		if got := fmt.Sprint(quiet["recorded"]); got != "[]" || quiet["summary"] == "" {
			t.Errorf("a day without contacts: got %s on record and summary %q, want [] and why", got, quiet["summary"])
		}
		today := w.get("/v1/borrowers/B1/why", http.StatusOK)
		if today["date"] != "2026-03-09" {
			t.Errorf("without a date: got %v, want the lender's today", today["date"])
		}
		for _, id := range []string{"nobody", "%00", "%ff", strings.Repeat("x", 4000), "a%2Fb"} {
			e := w.get("/v1/borrowers/"+id+"/why", http.StatusNotFound)["error"].(map[string]any)
			if e["code"] != "not_found" {
				t.Errorf("borrower %.10s: got %v, want not_found", id, e)
			}
		}
		for _, date := range []string{"2026-02-30", "yesterday", "13812345678", "2026-3-9"} {
			status, body := w.call("GET", "/v1/borrowers/B1/why?date="+date, "")
			noPersonal(t, "the answer", body)
			e := decode(t, body)["error"].(map[string]any)
			if diff := cmp.Diff(map[string]any{"field": "date"}, e["place"]); status != 400 || e["code"] != "usage" || diff != "" {
				t.Errorf("date %s: got %d %s, want 400, usage, at date", date, status, body)
			}
		}
	})
}

// The volumes of a day close, and tell what was held back and why.
func TestPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	second := strings.NewReplacer(`"B1"`, `"B2"`, `"L1"`, `"L2"`).Replace(book)
	w.post("/v1/events", second, http.StatusOK)
	w.post("/v1/events", `{"events": [{"kind": "opt_out", "borrower_id": "B2", "id": "O1", "key": "all", "at": "2026-03-01T10:00:00+08:00", "source": "agent"}]}`, http.StatusOK)
	w.at(-1, 10)
	w.step()
	v := w.get("/v1/plan?date=2026-03-09", http.StatusOK)
	if v["considered"] != v["contacts"].(float64)+v["held_back"].(float64) {
		t.Errorf("got considered %v, contacts %v, held back %v: they do not close", v["considered"], v["contacts"], v["held_back"])
	}
	if v["contacts"] != 1. || v["held_back"] != 1. {
		t.Errorf("got contacts %v and held back %v, want 1 and 1: %v", v["contacts"], v["held_back"], v)
	}
	want := []any{map[string]any{"step": "before", "channel": "sms", "hour": 10., "count": 1.}}
	if diff := cmp.Diff(want, v["wanted"]); diff != "" {
		t.Errorf("wanted (-want +got):\n%s", diff)
	}
	empty := w.get("/v1/plan?date=2020-01-01", http.StatusOK)
	if empty["considered"] != 0. || fmt.Sprint(empty["wanted"], empty["held"]) != "[] []" {
		t.Errorf("got %v on a day without contacts, want nothing considered and empty lists", empty)
	}
	w.get("/v1/plan?date=tomorrow", http.StatusBadRequest)
}

func TestDoubts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	if got := w.get("/v1/doubts", http.StatusOK)["attempts"]; fmt.Sprint(got) != "[]" {
		t.Errorf("without doubts: got %v, want an empty list", got)
	}
	w.lend()
	w.car.fate = &channel.Error{Class: channel.Unknown, Code: "lost"}
	w.at(-1, 10)
	w.step()
	status, body := w.call("GET", "/v1/doubts?limit=1", "")
	attempts, _ := decode(t, body)["attempts"].([]any)
	if status != 200 || len(attempts) != 1 {
		t.Fatalf("got %d %s, want the attempt in doubt", status, body)
	}
	if a := attempts[0].(map[string]any); a["id"] != string(w.car.sent[0].AttemptID) {
		t.Errorf("got attempt %v, want %s", a["id"], w.car.sent[0].AttemptID)
	}
	if strings.Contains(body, personName) || strings.Contains(body, personPhone) {
		t.Errorf("a list that is printed and mailed around tells who it is about: %s", body)
	}
	for _, limit := range []string{"0", "-1", "x", "10001"} {
		w.get("/v1/doubts?limit="+limit, http.StatusBadRequest)
	}
}

// signed makes the headers of a callback.
func (w *world) signed(secret channel.Secret, body string) []string {
	unix := w.clock().Unix()
	return []string{webhook.HeaderTimestamp, strconv.FormatInt(unix, 10), webhook.HeaderSignature, webhook.Sign(secret, unix, []byte(body))}
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "secret") // callbacks carry no token: the signature is their proof
		token := []string{"Authorization", "Bearer secret"}
		if code, body := w.call("POST", "/v1/events", book, token...); code != http.StatusOK {
			t.Fatalf("got %d %s", code, body)
		}
		w.at(-1, 10)
		w.step()
		body := fmt.Sprintf(`{"receipts":[{"key":"e1","attempt":%q,"status":"delivered","at":"2026-03-09T10:00:05+08:00"}]}`, w.car.sent[0].AttemptID)
		tests := []struct {
			name, carrier string
			secret        channel.Secret
			body          string
			status        int
			want          string
		}{
			{"unknown carrier", "nobody", callbackSecret, body, 404, "not_found"},
			{"bad signature", "gate", channel.NewSecret("another-secret-of-some-length"), body, 403, "refused"},
			{"bad body", "gate", callbackSecret, `{"receipts":[{"phone":"` + personPhone + `"}]}`, 422, "invalid"},
			{"too large", "gate", callbackSecret, strings.Repeat(" ", 8<<20+1), 400, "usage"},
			{"good", "gate", callbackSecret, body, 200, `{"kept":1,"orphans":0}`},
			{"again", "gate", callbackSecret, body, 200, `{"kept":0,"orphans":0}`},
			{"orphan", "gate", callbackSecret, `{"receipts":[{"key":"e2","id":"nobodys","status":"delivered","at":"2026-03-09T10:00:05+08:00"}]}`, 200, `{"kept":0,"orphans":1}`},
		}
		for _, tt := range tests {
			code, got := w.call("POST", "/v1/receipts/"+tt.carrier, tt.body, w.signed(tt.secret, tt.body)...)
			noPersonal(t, "the answer", got)
			if code != tt.status || !strings.Contains(got, tt.want) {
				t.Errorf("%s: got %d %s, want %d %s", tt.name, code, got, tt.status, tt.want)
			}
		}
		w.step()
		counts, err := db.CountContacts(t.Context())
		must(t, err)
		if counts[duly.Delivered] != 1 {
			t.Errorf("got contacts %v, want one delivered", counts)
		}
	})
}

func TestToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "secret")
	targets := []string{"POST /v1/payments", "POST /v1/events", "GET /v1/borrowers/B1/why", "GET /v1/plan", "GET /v1/doubts", "GET /v1/nodes", "GET /v1/retention", "GET /metrics",
		"POST /v1/doubts/answers", "POST /v1/doubts/a1/resolve", "GET /v1/attempts/a1/certificate", "GET /v1/fence", "GET /v1/audit/roots", "GET /v1/audit/roots/1", "GET /v1/audit/export"}
	for _, target := range targets {
		method, path, _ := strings.Cut(target, " ")
		for name, headers := range map[string][]string{
			"missing": nil, "wrong": {"Authorization", "Bearer secre"}, "longer": {"Authorization", "Bearer secret2"},
			"bare": {"Authorization", "secret"}, "basic": {"Authorization", "Basic secret"}, "empty": {"Authorization", "Bearer "},
		} {
			code, body, header := w.callFull(method, path, pay, headers...)
			if code != http.StatusUnauthorized || header.Get("WWW-Authenticate") != "Bearer" || !strings.Contains(body, `"code":"refused"`) {
				t.Errorf("%s with token %s: got %d %s, want 401 and refused", target, name, code, body)
			}
		}
		if code, body := w.call(method, path, "", "Authorization", "Bearer secret"); code == http.StatusUnauthorized {
			t.Errorf("%s with the token: got 401 %s", target, body)
		}
	}
	if code, body := w.call("GET", "/healthz", ""); code != http.StatusOK {
		t.Errorf("/healthz without a token: got %d %s, want 200", code, body)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	got := w.get("/healthz", http.StatusOK)
	if diff := cmp.Diff(map[string]any{"status": "ok", "store": "sqlite", "payment_feed_stale": true}, got); diff != "" {
		t.Errorf("before anything happened (-want +got):\n%s", diff)
	}
	w.step()
	got = w.get("/healthz", http.StatusOK)
	at := w.clock().Format(time.RFC3339)
	want := map[string]any{"status": "ok", "store": "sqlite", "payment_feed_stale": false, "payment_feed_at": at, "last_step_at": at}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after a step (-want +got):\n%s", diff)
	}
	w.at(-3, 14)
	if got := w.get("/healthz", http.StatusOK); got["payment_feed_stale"] != true {
		t.Errorf("two hours later: got %v, want a stale feed shown", got)
	}
	w.h.Stepped(engine.Report{}, errors.New("disk full"))
	if got := w.get("/healthz", http.StatusServiceUnavailable); got["status"] == "ok" || strings.Contains(fmt.Sprint(got), "disk") {
		t.Errorf("after a failed step: got %v, want that said and no more", got)
	}
	w.h.Stepped(engine.Report{}, nil)
	w.get("/healthz", http.StatusOK)
	must(t, w.db.Close())
	if got := w.get("/healthz", http.StatusServiceUnavailable); got["status"] == "ok" {
		t.Errorf("without a store: got %v, want that said", got)
	}
}

// A store that fails is an internal or unavailable error that tells nothing, and the log tells no more of persons.
func TestStoreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	must(t, w.db.Close())
	for _, target := range []string{"POST /v1/payments", "GET /v1/borrowers/B1/why", "GET /v1/plan", "GET /v1/doubts", "GET /v1/fence", "GET /v1/audit/roots", "GET /v1/audit/export"} {
		method, path, _ := strings.Cut(target, " ")
		code, body := w.call(method, path, pay)
		if e, _ := decode(t, body)["error"].(map[string]any); code < 500 || e["code"] == nil {
			t.Errorf("%s: got %d %s, want 500 or 503 with a code", target, code, body)
		}
		noPersonal(t, "the answer", body)
	}
	if code, body := w.call("GET", "/metrics", ""); code != 200 || strings.Contains(body, "duly_contacts{") {
		t.Errorf("/metrics without a store: got %d, want 200 without the counts of the store", code)
	}
	if w.log.Len() == 0 {
		t.Error("nothing was logged")
	}
	noPersonal(t, "the log", w.log.String())
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	w.at(-1, 10)
	w.step()
	w.h.Stepped(engine.Report{Dispatched: engine.DispatchReport{Held: map[string]int{"paid": 2}}}, errors.New("x"))
	code, body := w.call("GET", "/metrics", "")
	if code != http.StatusOK {
		t.Fatalf("got %d", code)
	}
	for _, want := range []string{
		`duly_steps_total{result="ok"} 1`, `duly_steps_total{result="failed"} 1`, `duly_dispatched_total{result="accepted"} 1`,
		`duly_held_total{reason="paid"} 2`, `duly_planned_total{state="planned"} 1`, `duly_receipts_total 0`,
		`duly_contacts{state="accepted"} 1`, `duly_contacts{state="in_doubt"} 0`,
		fmt.Sprintf(`duly_payment_feed_timestamp_seconds %s`, strconv.FormatFloat(float64(w.clock().Unix()), 'g', -1, 64)),
	} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("no line %q", want)
		}
	}
	noPersonal(t, "the metrics", body)
	for _, id := range []string{"B1", "L1", string(w.car.sent[0].AttemptID)} {
		if strings.Contains(body, `"`+id) {
			t.Errorf("a label holds the id %s", id)
		}
	}
}

// Whatever happens in a day of the API, neither log nor answer of an error tells of a person.
func TestLogsAreQuiet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	for _, fate := range []error{&channel.Error{Class: channel.Config, Code: "login"}, &channel.Error{Class: channel.BadAddress, Code: "gone"}, errors.New("to " + personPhone)} {
		w.car.fate = fate
		w.at(-1, 10)
		w.step()
	}
	w.call("POST", "/v1/receipts/gate", personPhone)
	w.call("POST", "/v1/events", strings.Replace(book, `"due_on": "2026-03-10"`, `"due_on": "`+personPhone+`"`, 1))
	w.call("POST", "/v1/payments", pay)
	w.call("GET", "/v1/borrowers/"+personName+"/why", "")
	noPersonal(t, "the log", w.log.String())
}

// FuzzPostEvents: whatever comes in, the answer is JSON with a status of the table, and it is never an internal error.
func FuzzPostEvents(f *testing.F) {
	for _, body := range []string{
		book, `{"events": [` + pay + `]}`, `{"events": [{"kind": "feed", "through": "2026-03-01T00:00:00Z"}]}`, `{"events": [null, 1, "x", []]}`,
		`{"events": {"kind": "payment"}}`, `{"events": [{"kind": "borrower", "id": "\u0000"}]}`, `[`, ``, `{"events": [{"kind":"payment","loan_id":"L1","id":"P","amount":{"minor":9223372036854775807,"currency":"CNY"},"value_at":"2026-03-01T00:00:00Z"}]}`,
	} {
		f.Add(body)
	}
	w := newWorld(f, storetest.Open(f, "sqlite"), "")
	f.Fuzz(func(t *testing.T, body string) {
		rec := httptest.NewRecorder()
		w.h.ServeHTTP(rec, httptest.NewRequest("POST", "/v1/events", strings.NewReader(body)))
		var out struct {
			Results []string
			Error   *duly.Error
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
			t.Fatalf("the answer is not JSON: %v: %s", err, rec.Body)
		}
		switch rec.Code {
		case 200, 409:
			if out.Results == nil && out.Error == nil {
				t.Errorf("got %d with neither results nor an error", rec.Code)
			}
		case 400, 403, 422:
			if out.Error == nil {
				t.Errorf("got %d without an error", rec.Code)
			}
		default:
			t.Errorf("got status %d: %s\n%s", rec.Code, rec.Body, w.log)
		}
	})
}

// For how long records are kept is told, with what demands it: here for ever, for no term is given.
func TestRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	got := w.get("/v1/retention", http.StatusOK)
	var kinds []string
	for _, r := range got["records"].([]any) {
		r := r.(map[string]any)
		kinds = append(kinds, r["record"].(string))
		if len(r["at_least"].([]any)) == 0 || r["keep"] != nil || r["before"] != nil {
			t.Errorf("got %v, want no term and something that demands one", r)
		}
	}
	if want := "[words proofs receipts outcomes contacts touches cases loans sandbox]"; fmt.Sprint(kinds) != want {
		t.Errorf("got %v, want %s", kinds, want)
	}
	if got["every_days"] != 30.0 || got["buckets_due"] != 0.0 {
		t.Errorf("got %v", got)
	}
}

// Who works on the store is told, with what nobody works on; the same in metrics.
func TestNodes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "")
		got := w.get("/v1/nodes", http.StatusOK)
		if diff := cmp.Diff(map[string]any{"nodes": []any{}, "unowned": 1024.0, "unowned_seconds": 0.0}, got); diff != "" {
			t.Errorf("without nodes (-want +got):\n%s", diff)
		}
		for name, lease := range map[string]time.Duration{"alive": time.Hour, "silent": -time.Minute, "left": time.Hour} {
			_, err := db.JoinNode(t.Context(), store.Node{ID: "id-" + name, Name: name, Version: "v1", Skew: 1500 * time.Millisecond}, lease)
			must(t, err)
		}
		must(t, db.EndNode(t.Context(), "id-left"))
		for id, buckets := range map[string][]int{"id-alive": {1, 2, 3}, "id-silent": {4, 5}, "id-left": {6}} {
			_, err := db.TakeBuckets(t.Context(), id, "", buckets)
			must(t, err)
		}
		got = w.get("/v1/nodes", http.StatusOK)
		if got["unowned"] != 1021.0 || got["unowned_seconds"].(float64) < 60 {
			t.Errorf("got %v unowned for %v s, want 1021 for at least the minute of the silent node", got["unowned"], got["unowned_seconds"])
		}
		states := map[string]any{}
		for _, n := range got["nodes"].([]any) {
			n := n.(map[string]any)
			states[n["name"].(string)] = fmt.Sprint(n["state"], " ", n["buckets"], " ", n["clock_seconds_ahead"])
		}
		if diff := cmp.Diff(map[string]any{"alive": "alive 3 1.5", "silent": "silent 0 1.5", "left": "ended 0 1.5"}, states); diff != "" {
			t.Errorf("nodes (-want +got):\n%s", diff)
		}
		_, body := w.call("GET", "/metrics", "")
		for _, want := range []string{`duly_node_buckets{name="alive",node="id-alive"} 3`, "duly_buckets_unowned 1021", "duly_sending 1"} {
			if !strings.Contains(body, want) {
				t.Errorf("/metrics does not hold %s", want)
			}
		}
		if strings.Contains(body, `name="left"`) {
			t.Error("/metrics holds a node that ended")
		}
	})
}
