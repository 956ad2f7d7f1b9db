package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

const askCall = `{"borrower": "B1", "loan": "L1", "channel": "call_agent", "purpose": "due_day_reminder", "expected_minutes": 5,
  "actor": {"type": "human", "agency": "agency-1"}, "key": "K1"}`

// fresh makes payments known up to now.
func (w *world) fresh() {
	w.t.Helper()
	must(w.t, w.e.FeedThrough(w.t.Context(), w.clock(), engine.FeedPayments, w.clock()))
}

// The life of a slot, as an agency's dialler sees it.
func TestReservation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "")
		w.lend()
		w.at(0, 10)
		w.fresh()
		slot := w.post("/v1/contacts/reservations", askCall, http.StatusOK)
		if slot["verdict"] != "allow" || slot["purpose"] != "due_day_reminder" || slot["point"] != "m" || slot["expires_at"] != "2026-03-10T02:15:00Z" {
			t.Fatalf("got %v", slot)
		}
		again := w.post("/v1/contacts/reservations", askCall, http.StatusOK)
		if again["id"] != slot["id"] {
			t.Errorf("the same key again: got %v, want %v", again["id"], slot["id"])
		}
		other := w.post("/v1/contacts/reservations", strings.Replace(askCall, "call_agent", "call_ai", 1), http.StatusConflict)
		if code := other["error"].(map[string]any)["code"]; code != "conflict" {
			t.Errorf("the same key for something else: got %v", other)
		}
		at := "/v1/contacts/reservations/" + slot["id"].(string)
		if s := w.get(at, http.StatusOK); s["good"] != true || s["paid"] != false {
			t.Errorf("before dialling: got %v", s)
		}
		w.post("/v1/payments", pay, http.StatusOK)
		if s := w.get(at, http.StatusOK); s["good"] != false || s["paid"] != true {
			t.Errorf("before dialling, paid: got %v", s)
		}
		s := w.post(at+"/commit", `{"outcome": "no_answer", "at": "2026-03-10T10:00:00+08:00"}`, http.StatusOK)
		if s["paid"] != true || s["reservation"].(map[string]any)["state"] != "committed" {
			t.Errorf("committed: got %v", s)
		}
		w.post(at+"/release", `{"reason": "mistake"}`, http.StatusConflict)
		w.get("/v1/contacts/reservations/r000nope", http.StatusNotFound)
		noPersonal(t, "the log", w.log.String())
	})
}

// A refusal is a 409 with the reasons, and keeps nothing.
func TestReservationRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	w.at(0, 22)
	w.fresh()
	got := w.post("/v1/contacts/reservations", askCall, http.StatusConflict)
	var codes []string
	for _, r := range got["reasons"].([]any) {
		codes = append(codes, r.(map[string]any)["code"].(string))
	}
	if got["error"].(map[string]any)["code"] != "refused" || got["verdict"] != "defer" || got["id"] != nil ||
		got["not_before"] != "2026-03-11T00:00:00Z" || !slices.Contains(codes, "outside_policy_quiet_hours") {
		t.Errorf("at ten at night: got %v", got)
	}
	for _, c := range []struct {
		name, body string
		status     int
		field      string
	}{
		{"an unknown key", strings.Replace(askCall, `"key"`, `"kye"`, 1), 422, "kye"},
		{"no time at all", strings.Replace(askCall, `"key"`, `"expires_in": "0m", "key"`, 1), 422, "expires_in"},
		{"too long", strings.Replace(askCall, `"key"`, `"expires_in": "25h", "key"`, 1), 422, "expires_in"},
		{"no key", strings.Replace(askCall, `"K1"`, `""`, 1), 422, "key"},
		{"no such channel", strings.Replace(askCall, "call_agent", "pigeon", 1), 422, "channel"},
		{"no such borrower", strings.Replace(askCall, "B1", "B9", 1), 404, ""},
	} {
		e := w.post("/v1/contacts/reservations", c.body, c.status)["error"].(map[string]any)
		if place, _ := e["place"].(map[string]any); c.field != "" && place["field"] != c.field {
			t.Errorf("%s: got %v, want field %s", c.name, e, c.field)
		}
	}
}
