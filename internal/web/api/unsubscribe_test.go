package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/message"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/strategy"
	"github.com/dulyhq/duly/internal/web/api"
	"github.com/dulyhq/duly/rulepacks"
	"github.com/dulyhq/duly/templates"
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
		form := "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n" // RFC 8058 leaves programs the choice
		if code, body := w.call("POST", "/v1/unsubscribe/"+token, form, "Content-Type", "multipart/form-data; boundary=b"); code != http.StatusOK {
			t.Errorf("as multipart/form-data: got %d %s", code, body)
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

// elsewhere takes what is another cell's.
type elsewhere struct {
	api.Facts
	receipts []duly.Receipt
}

func (e *elsewhere) Hear(_ context.Context, _ time.Time, _ string, heard channel.Heard, _ *engine.ReceiveReport) error {
	e.receipts = append(e.receipts, heard.Receipts...)
	return nil
}

// TestUnsubscribeOfAnotherCell: the store of this process does not have the attempt; the cell that has it is told.
func TestUnsubscribeOfAnotherCell(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	marks := channel.Marks{Use: "unsubscribe", Secrets: []channel.Secret{callbackSecret}}
	id := duly.NewAttemptID(duly.NewContactID("B1", "s", "step", civil.On(2026, 3, 2), 0), 1)
	bucket, _ := id.Bucket()
	share := engine.Share{From: (bucket + 1) % duly.Buckets, To: (bucket+1)%duly.Buckets + 1}
	calendars, err := civil.BuiltIn()
	must(t, err)
	packs, err := rule.LoadFS(rulepacks.FS)
	must(t, err)
	words, err := message.LoadFS(templates.FS)
	must(t, err)
	st, err := strategy.Load("test.yaml", []byte(steps))
	must(t, err)
	carriers := map[duly.Channel][]channel.Sender{duly.ChannelSMS: {w.car}}
	w.e, err = engine.New(engine.Deps{DB: w.db, Strategies: []*strategy.Strategy{st}, Messages: words, Carriers: carriers, Packs: packs, Calendars: calendars, Holding: engine.NewHoldingOf(w.clock, share), Log: slog.New(slog.DiscardHandler)},
		engine.Config{Location: w.loc, Lender: "测试消金", FeedMaxAge: time.Hour, Lease: time.Minute, Workers: 1})
	must(t, err)
	var other elsewhere
	w.h = api.New(api.Deps{Engine: w.e, DB: w.db, Facts: &other, Inbound: map[string]channel.Inbound{"links": linked{marks}}, Log: slog.New(slog.DiscardHandler), Now: w.clock})
	if code, body := w.oneClick(marks.Make(id)); code != http.StatusOK {
		t.Fatalf("got %d %s", code, body)
	}
	want := []duly.Receipt{{Provider: "links", Key: "link:" + string(id), AttemptID: id, Status: duly.ReceiptOptedOut, Detail: "link", At: w.clock()}}
	if diff := cmp.Diff(want, other.receipts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
