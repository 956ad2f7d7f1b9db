package api_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/web/api"
)

// linked is a carrier whose messages carry links of refusal.
type linked struct{ channel.Marks }

func (linked) Hear(*http.Request, []byte) (channel.Heard, error) { return channel.Heard{}, nil }
func (l linked) Unsubscribe(token string) (duly.AttemptID, bool) { return l.Read(token) }
func (linked) Counts() map[string]int64                          { return map[string]int64{"reply": 3} }

// oneClick makes the call that a mail program makes (RFC 8058).
func (w *world) oneClick(token string) (int, string) {
	return w.call("POST", "/v1/unsubscribe/"+token, "List-Unsubscribe=One-Click", "Content-Type", "application/x-www-form-urlencoded")
}

func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "")
		marks := channel.Marks{Use: "unsubscribe", Secrets: []channel.Secret{callbackSecret}}
		w.lend()
		w.at(-1, 10)
		w.step()
		if len(w.car.sent) != 1 {
			t.Fatalf("%d messages, want 1", len(w.car.sent))
		}
		w.h = api.New(api.Deps{
			Engine: w.e, DB: db, Inbound: map[string]channel.Inbound{"links": linked{marks}}, Token: "needed of others", Now: w.clock,
			Log: slog.New(slog.NewTextHandler(w.log, nil)),
		})
		token := marks.Make(w.car.sent[0].AttemptID)
		forged := token[:len(token)-1] + map[bool]string{true: "1", false: "0"}[strings.HasSuffix(token, "0")]
		gone := marks.Make(duly.NewAttemptID(duly.NewContactID("B1", "other", "s", civil.On(2026, 1, 1), 0), 1))

		_, ours := w.call("GET", "/v1/unsubscribe/"+token, "")
		if code, theirs := w.call("GET", "/v1/unsubscribe/"+forged, ""); code != http.StatusOK || ours != theirs || !strings.Contains(ours, `<form method="post">`) {
			t.Errorf("GET: %d, the page of a guess differs from that of a link:\n%s\n%s", code, theirs, ours)
		}
		for name, tt := range map[string]struct {
			token, body string
			status      int
		}{
			"forged": {forged, "List-Unsubscribe=One-Click", 404}, "no token": {"x", "List-Unsubscribe=One-Click", 404}, "no body": {token, "", 400},
			"other body": {token, "a=b", 400}, "forgotten": {gone, "List-Unsubscribe=One-Click", 410}, "long body": {token, strings.Repeat("a", 1<<20), 400},
		} {
			if code, body := w.call("POST", "/v1/unsubscribe/"+tt.token, tt.body, "Content-Type", "application/x-www-form-urlencoded"); code != tt.status || strings.Contains(body, "B1") {
				t.Errorf("%s: got %d %s, want %d", name, code, body, tt.status)
			}
		}
		if n := optOuts(t, db); n != 0 {
			t.Fatalf("%d refusals before anybody refused", n)
		}
		for range 2 { // a program may ask twice
			if code, body := w.oneClick(token); code != http.StatusOK || !strings.Contains(body, "已停止") {
				t.Errorf("got %d %s", code, body)
			}
		}
		if n := optOuts(t, db); n != 1 {
			t.Errorf("%d refusals, want 1", n)
		}
		w.at(0, 10)
		w.step()
		if len(w.car.sent) != 1 {
			t.Errorf("%d messages, want no more after the refusal", len(w.car.sent))
		}
		noPersonal(t, "the log", w.log.String())
		if strings.Contains(w.log.String(), token) {
			t.Error("the log holds a token")
		}
	})
}

func optOuts(t *testing.T, db *store.DB) int {
	t.Helper()
	n := 0
	must(t, db.View(t.Context(), func(tx *store.Tx) error {
		persons, err := tx.Persons(duly.BorrowerID("B1").Bucket(), []duly.BorrowerID{"B1"}, time.Time{})
		if err == nil {
			n = len(persons[0].OptOuts)
		}
		return err
	}))
	return n
}

// TestUnsubscribeRate: guesses are held down, and keep nobody from refusing.
func TestUnsubscribeRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	marks := channel.Marks{Use: "unsubscribe", Secrets: []channel.Secret{callbackSecret}}
	w.lend()
	w.at(-1, 10)
	w.step()
	w.h = api.New(api.Deps{Engine: w.e, DB: w.db, Inbound: map[string]channel.Inbound{"links": linked{marks}}, Log: slog.New(slog.DiscardHandler), Now: w.clock})
	busy := 0
	for n := range 600 {
		if code, _ := w.oneClick(fmt.Sprint("guess", n)); code == http.StatusTooManyRequests {
			busy++
		}
	}
	if busy != 100 {
		t.Errorf("%d of 600 guesses at one instant were turned away, want 100", busy)
	}
	if code, _ := w.oneClick(marks.Make(w.car.sent[0].AttemptID)); code != http.StatusOK {
		t.Errorf("a real link: got %d", code)
	}
}

func TestCountsOfCarriers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.h = api.New(api.Deps{Engine: w.e, DB: w.db, Inbound: map[string]channel.Inbound{"mail": linked{}}, Log: slog.New(slog.DiscardHandler), Now: w.clock})
	if _, body := w.call("GET", "/metrics", ""); !strings.Contains(body, `duly_carrier_heard_total{carrier="mail",what="reply"} 3`) {
		t.Error("what a carrier counts is not among the metrics")
	}
}
