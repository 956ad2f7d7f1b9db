package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/webhook"
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

func TestMain(m *testing.M) { storetest.Main(m) }

// steps is a strategy with one message the day before and one on the due day.
const steps = `name: test
title: {zh: 测试, en: test}
steps:
  - id: before
    at: due-1d
    window: {from: "09:00", to: "20:00"}
    channels: [{channel: sms}]
    tone: friendly
    template: due-tomorrow
    catch_up: expire
  - id: today
    at: due
    window: {from: "09:00", to: "20:00"}
    channels: [{channel: sms}]
    tone: plain
    template: due-today
    catch_up: expire
`

// What of the test's borrowers must never stand in an error, a log or a metric.
const (
	personName  = "欧阳测试"
	personPhone = "+8613812345678"
	personMinor = "12345678"
)

var personal = []string{personName, personPhone, "13812345678", personMinor, "123456.78"}

// due is the day on which the world's instalments fall due: 2026-03-10 in Shanghai.
var due = civil.On(2026, 3, 10)

// callbackSecret signs the callbacks of carrier gate.
var callbackSecret = channel.NewSecret("0123456789abcdef0123456789abcdef")

// world is the API over a store, with a clock that a test sets.
type world struct {
	t   testing.TB
	h   *api.Handler
	e   *engine.Engine
	db  *store.DB
	car *carrier
	log *bytes.Buffer
	loc *time.Location
	mu  sync.Mutex
	now time.Time
}

// newWorld makes a world with an empty store, at noon three days before the due day.
func newWorld(t testing.TB, db *store.DB, token string) *world {
	t.Helper()
	loc, err := time.LoadLocation("Asia/Shanghai")
	must(t, err)
	packs, err := rule.LoadFS(rulepacks.FS)
	must(t, err)
	words, err := message.LoadFS(templates.FS)
	must(t, err)
	s, err := strategy.Load("test.yaml", []byte(steps))
	must(t, err)
	calendars, err := civil.BuiltIn()
	must(t, err)
	w := &world{t: t, db: db, car: &carrier{}, loc: loc, log: &bytes.Buffer{}}
	w.at(-3, 12)
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.e, err = engine.New(engine.Deps{
		DB: db, Strategies: []*strategy.Strategy{s}, Packs: packs, Calendars: calendars, Messages: words,
		Carriers: map[duly.Channel][]channel.Sender{duly.ChannelSMS: {w.car}}, Log: log,
	}, engine.Config{Location: loc, Lender: "测试消金", ServicePhone: "95000", FeedMaxAge: time.Hour, Lease: time.Minute, Workers: 2})
	must(t, err)
	gate, err := webhook.New("gate", webhook.Config{
		URL: "https://gate.lender.example", Secrets: []channel.Secret{callbackSecret}, CallbackSecrets: []channel.Secret{callbackSecret},
	}, channel.Host{Clock: w.clock})
	must(t, err)
	w.h = api.New(api.Deps{Engine: w.e, DB: db, Inbound: map[string]channel.Inbound{"gate": gate}, Packs: packs, Calendars: calendars, Token: token, Log: log, Now: w.clock})
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// at sets the clock to an hour of a day relative to the due day, in the lender's time.
func (w *world) at(day, hour int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = due.Add(day).At(0, w.loc).Add(time.Duration(hour) * time.Hour).UTC()
}

// call makes a request and returns the status and body of the answer.
func (w *world) call(method, target, body string, headers ...string) (int, string) {
	w.t.Helper()
	code, got, _ := w.callFull(method, target, body, headers...)
	return code, got
}

func (w *world) callFull(method, target, body string, headers ...string) (int, string, http.Header) {
	w.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, in)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.h.ServeHTTP(rec, r)
	return rec.Code, rec.Body.String(), rec.Header()
}

// post posts a body, wants a status, and returns the answer.
func (w *world) post(target, body string, want int) map[string]any {
	w.t.Helper()
	code, got := w.call("POST", target, body)
	if code != want {
		w.t.Fatalf("POST %s: got status %d and %s, want %d", target, code, got, want)
	}
	return decode(w.t, got)
}

func (w *world) get(target string, want int) map[string]any {
	w.t.Helper()
	code, got := w.call("GET", target, "")
	if code != want {
		w.t.Fatalf("GET %s: got status %d and %s, want %d", target, code, got, want)
	}
	return decode(w.t, got)
}

func decode(t testing.TB, body string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatalf("the answer is not a JSON object: %v: %s", err, body)
	}
	return out
}

// book is one borrower with a phone, a loan and an instalment, as events.
const book = `{"events": [
  {"kind": "borrower", "id": "B1", "name": "` + personName + `", "language": "zh-CN", "country": "CN", "zones": [{"name": "Asia/Shanghai", "source": "address"}]},
  {"kind": "contact_point", "borrower_id": "B1", "id": "m", "point_kind": "mobile", "value": "` + personPhone + `"},
  {"kind": "loan", "borrower_id": "B1", "id": "L1", "schedule": "bullet", "currency": "CNY", "principal": {"minor": ` + personMinor + `, "currency": "CNY"}, "disbursed_on": "2026-02-10"},
  {"kind": "installment", "borrower_id": "B1", "loan_id": "L1", "no": 1, "due_on": "2026-03-10", "principal": {"minor": ` + personMinor + `, "currency": "CNY"}}
]}`

// pay is a payment of the whole of L1.
const pay = `{"id": "P1", "loan_id": "L1", "amount": {"minor": ` + personMinor + `, "currency": "CNY"}, "value_at": "2026-03-08T09:30:00+08:00"}`

// lend posts the book.
func (w *world) lend() { w.t.Helper(); w.post("/v1/events", book, http.StatusOK) }

// step makes payments known up to now and steps the engine.
func (w *world) step() {
	w.t.Helper()
	now := w.clock()
	must(w.t, w.e.FeedThrough(w.t.Context(), now, engine.FeedPayments, now))
	r, err := w.e.Step(w.t.Context(), now)
	must(w.t, err)
	w.h.Stepped(r, nil)
}

// carrier takes every message, or does what fate says.
type carrier struct {
	mu   sync.Mutex
	sent []channel.Message
	fate error
}

func (c *carrier) Name() string { return "gate" }

func (c *carrier) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelSMS}, Receipts: true, Timeout: time.Second}
}

func (c *carrier) Send(_ context.Context, m channel.Message) (channel.Accepted, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, m)
	return channel.Accepted{ProviderID: "p-" + string(m.AttemptID)}, c.fate
}
