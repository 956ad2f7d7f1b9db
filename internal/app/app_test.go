package app_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/channel/sandbox"
	"github.com/dulyhq/duly/internal/channel/smtp"
	"github.com/dulyhq/duly/internal/channel/webhook"
)

var secret = channel.NewSecret("0123456789abcdef0123456789abcdef")

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

func config(t *testing.T) app.Config {
	t.Helper()
	c := app.Default()
	c.Store = filepath.Join(t.TempDir(), "duly.db")
	c.Listen = "127.0.0.1:0"
	return c
}

func TestDefaultWorks(t *testing.T) {
	t.Parallel()
	a, err := app.New(t.Context(), config(t), app.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Engine.Step(t.Context(), time.Now()); duly.CodeOf(err) != duly.Internal {
		t.Errorf("a step without a lease: got %v, want a defect", err)
	}
	leave, err := a.Join(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if _, err := a.Engine.Step(t.Context(), time.Date(2026, 3, 10, 2, 0, 0, 0, time.UTC)); err != nil {
		t.Errorf("step: %v", err)
	}
	for range 2 {
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// Carriers that hold connections can be closed twice too.
func TestCloseTwice(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Carriers = map[string]app.CarrierConfig{
		"rest": {Channels: []duly.Channel{duly.ChannelPush, duly.ChannelRobot, duly.ChannelIM, duly.ChannelInApp}, Kind: "sandbox", Settings: &sandbox.Behaviour{}},
		"mail": {Kind: "smtp", Settings: &smtp.Config{Host: "mail.lender.example", From: "a@lender.example"}},
		"sms":  {Kind: "webhook", Settings: &webhook.Config{URL: "https://sms.lender.example", Secrets: []channel.Secret{secret}}},
	}
	a, err := app.New(t.Context(), c, app.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if a.Inbound["sms"] == nil || a.Inbound["mail"] == nil || len(a.Inbound) != 2 {
		t.Errorf("got %d carriers that are called back, want sms and mail", len(a.Inbound))
	}
	for range 2 {
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	hook := func(timeout time.Duration, serves ...duly.Channel) *webhook.Config {
		return &webhook.Config{URL: "https://sms.lender.example", Secrets: []channel.Secret{secret}, Serves: serves, Timeout: timeout}
	}
	tests := []struct {
		name   string
		change func(c *app.Config)
		code   duly.Code
		field  string
		say    string
	}{
		{"a channel without a carrier", func(c *app.Config) {
			c.Carriers = map[string]app.CarrierConfig{"a": {Channels: []duly.Channel{duly.ChannelSMS}, Kind: "sandbox", Settings: &sandbox.Behaviour{}}}
		}, duly.Invalid, "steps.", "no carrier is configured for channel"},
		{"a route by a carrier that does not serve the channel", func(c *app.Config) {
			c.Carriers["b"] = app.CarrierConfig{Kind: "webhook", Settings: hook(0, duly.ChannelPush)}
			c.Routes = map[duly.Channel]app.RouteConfig{duly.ChannelSMS: {Carriers: []string{"sandbox", "b"}}}
		}, duly.Invalid, "routes.sms", `no carrier "b" serves channel sms`},
		{"the cheapest of those without a price", func(c *app.Config) {
			c.Routes = map[duly.Channel]app.RouteConfig{duly.ChannelSMS: {Prefer: "price"}}
		}, duly.Invalid, "routes.sms", "carrier sandbox has no price"},
		{"a limit of what is not known", func(c *app.Config) {
			c.Routes = map[duly.Channel]app.RouteConfig{duly.ChannelSMS: {Spend: app.Spend{Micros: 1, Currency: "CNY"}}}
		}, duly.Invalid, "routes.sms", "carrier sandbox has no price"},
		{"prices in two currencies", func(c *app.Config) {
			b := app.CarrierConfig{Kind: "webhook", Settings: hook(0), Limits: route.Limits{Price: &route.Price{Currency: "USD"}}}
			c.Carriers = map[string]app.CarrierConfig{"a": {Kind: "sandbox", Settings: &sandbox.Behaviour{}, Limits: route.Limits{Price: &route.Price{Currency: "CNY"}}}, "b": b}
			c.Routes = map[duly.Channel]app.RouteConfig{duly.ChannelSMS: {Prefer: "price"}}
		}, duly.Invalid, "routes.sms", "carrier b has its price in another currency"},
		{"more carriers than are chosen from", func(c *app.Config) {
			for i := range 9 {
				c.Carriers[fmt.Sprint("c", i)] = app.CarrierConfig{Kind: "sandbox", Settings: &sandbox.Behaviour{}}
			}
		}, duly.Invalid, "routes.", "10 carriers; up to 8"},
		{"a channel that the carrier cannot serve", func(c *app.Config) {
			c.Carriers["a"] = app.CarrierConfig{Channels: []duly.Channel{duly.ChannelSMS}, Kind: "smtp", Settings: &smtp.Config{Host: "h", From: "a@lender.example"}}
		}, duly.Invalid, "carriers.a.channels", "cannot serve channel sms"},
		{"channels beyond serves", func(c *app.Config) {
			c.Carriers["a"] = app.CarrierConfig{Channels: []duly.Channel{duly.ChannelSMS}, Kind: "webhook", Settings: hook(0, duly.ChannelPush)}
		}, duly.Invalid, "carriers.a.channels", "cannot serve channel sms"},
		{"a lease shorter than a time-out", func(c *app.Config) {
			c.Carriers = map[string]app.CarrierConfig{"a": {Kind: "webhook", Settings: hook(3 * time.Minute)}}
		}, duly.Invalid, "carriers.a", "lease"},
		{"a behaviour without sense", func(c *app.Config) {
			c.Carriers["sandbox"] = app.CarrierConfig{Kind: "sandbox", Settings: &sandbox.Behaviour{Temporary: 1001}}
		}, duly.Invalid, "carriers.sandbox.sandbox.temporary", ""},
		{"a strategy that is not shipped", func(c *app.Config) { c.Strategies = []string{"none"} }, duly.NotFound, "", "none"},
		{"no strategy", func(c *app.Config) { c.Strategies = nil }, duly.Usage, "", "no strategy"},
		{"a pack that is not shipped", func(c *app.Config) { c.Packs = []string{"none"} }, duly.NotFound, "", "none"},
		{"a rule that is none", func(c *app.Config) { c.Rules.Enforce = []string{"cn-mainland/CN-99"} }, duly.NotFound, "", `"cn-mainland/CN-99"`},
		{"a class of lender that is none", func(c *app.Config) {
			c.Packs, c.Lender.EntityClass = append(c.Packs, "in-rbi"), "pawnshop"
		}, duly.Invalid, "lender.entity_class", "commercial_bank"},
		{"a time zone that is none", func(c *app.Config) { c.Lender.Timezone = "Nowhere" }, duly.Invalid, "lender.timezone", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			tt.change(&c)
			a, err := app.New(t.Context(), c, app.Options{Create: true})
			if err == nil {
				a.Close()
				t.Fatal("got no error")
			}
			found := all(err)
			if len(found) == 0 || found[0].Code != tt.code || !strings.HasPrefix(found[0].Place.Field, tt.field) || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("got %v, want code %s at %q that says %q", err, tt.code, tt.field, tt.say)
			}
		})
	}
	if _, err := app.New(t.Context(), config(t), app.Options{}); duly.CodeOf(err) == duly.Internal {
		t.Errorf("a store that is missing and must not be made: got %v, want an error for a person", err)
	}
}

// noon is a time zone in which it is about noon now, so that quiet hours do not stand in the way of a test.
func noon(now time.Time) string {
	east := 12 - now.UTC().Hour()
	return fmt.Sprintf("Etc/GMT%+d", -east) // their signs are the other way round
}

const today = `name: test
title: {zh: 测试, en: test}
steps:
  - id: today
    at: due
    window: {from: "09:00", to: "20:00"}
    channels: [{channel: sms}]
    tone: plain
    template: due-today
    catch_up: expire
`

// serve runs an app until the test ends or stop is called; wait returns what Serve returned.
func serve(t *testing.T, a *app.App) (url string, stop func(), wait func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- a.Serve(ctx, func(addr string) { ready <- addr }) }()
	t.Cleanup(cancel)
	wait = func() error {
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			t.Error("Serve did not return")
			return nil
		}
	}
	select {
	case addr := <-ready:
		return "http://" + addr, cancel, wait
	case err := <-done:
		t.Fatalf("Serve returned: %v", err)
		return "", cancel, wait
	}
}

func post(t *testing.T, url, body string) {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: got %d %s", url, res.StatusCode, got)
	}
}

// firstStep waits until the engine has stepped once.
func firstStep(t *testing.T, url string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		res, err := http.Get(url + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil && strings.Contains(string(body), "last_step_at") {
			return
		}
	}
	t.Fatal("the engine did not step")
}

// A stop while a slow carrier has a message: the message is finished and its answer is stored, then Serve returns.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan string, 8), make(chan struct{})
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.Header.Get(webhook.HeaderAttempt)
		<-release
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"id":"p-1"}`)
	}))
	defer sink.Close()
	defer func() {
		select {
		case <-release:
		default:
			close(release)
		}
	}()
	now := time.Now()
	c := config(t)
	c.Lender.Timezone, c.Strategies, c.Packs = noon(now), []string{write(t, today)}, []string{"policy-default"}
	c.Tick = app.Duration(time.Hour) // only what is posted wakes the engine
	c.Carriers = map[string]app.CarrierConfig{"gate": {Kind: "webhook", Settings: &webhook.Config{URL: sink.URL, Secrets: []channel.Secret{secret}}}}
	a, err := app.New(t.Context(), c, app.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	url, stop, wait := serve(t, a)
	firstStep(t, url)

	day := now.In(a.Location).Format(time.DateOnly)
	post(t, url+"/v1/events", fmt.Sprintf(`{"events": [
		{"kind": "borrower", "id": "B1", "name": "王伟", "language": "zh-CN", "country": "CN", "zones": [{"name": %q, "source": "address"}]},
		{"kind": "contact_point", "borrower_id": "B1", "id": "m", "point_kind": "mobile", "value": "+8613800138000"},
		{"kind": "loan", "borrower_id": "B1", "id": "L1", "schedule": "bullet", "currency": "CNY", "principal": {"minor": 10000, "currency": "CNY"}, "disbursed_on": "2026-01-01"},
		{"kind": "installment", "borrower_id": "B1", "loan_id": "L1", "no": 1, "due_on": %q, "principal": {"minor": 10000, "currency": "CNY"}},
		{"kind": "feed", "through": %q}]}`, c.Lender.Timezone, day, now.UTC().Format(time.RFC3339)))
	var attempt string
	select {
	case attempt = <-arrived:
	case <-time.After(patience):
		t.Fatal("no message came: a posted fact should wake the engine")
	}
	stop()
	done := make(chan error, 1)
	go func() { done <- wait() }()
	select {
	case err := <-done:
		t.Fatalf("Serve returned (%v) while a message was on its way", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	got, err := a.DB.FindAttempt(t.Context(), duly.AttemptID(attempt))
	if err != nil {
		t.Fatal(err)
	}
	if got.State != duly.AttemptAccepted || got.ProviderID != "p-1" {
		t.Errorf("got the try %s with reference %q, want it accepted as p-1", got.State, got.ProviderID)
	}
	if len(arrived) != 0 {
		t.Errorf("%d more messages went out", len(arrived))
	}
	if _, err := http.Get(url + "/healthz"); err == nil {
		t.Error("the API still answers after Serve returned")
	}
}

// Those whom a carrier's rate sent away go out though nothing else wakes the engine, and each once.
func TestServeKeepsTheRate(t *testing.T) {
	t.Parallel()
	const people = 30
	arrived := make(chan string, 2*people)
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.Header.Get(webhook.HeaderAttempt)
		io.WriteString(w, `{"id":"p"}`)
	}))
	defer sink.Close()
	now := time.Now()
	c := config(t)
	c.Lender.Timezone, c.Strategies, c.Packs = noon(now), []string{write(t, today)}, []string{"policy-default"}
	c.Tick = app.Duration(time.Hour)
	c.Carriers = map[string]app.CarrierConfig{"gate": {
		Kind: "webhook", Settings: &webhook.Config{URL: sink.URL, Secrets: []channel.Secret{secret}}, Limits: route.Limits{Rate: route.Rate{N: 10, Per: time.Second}},
	}}
	a, err := app.New(t.Context(), c, app.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	url, stop, wait := serve(t, a)
	firstStep(t, url)
	day := now.In(a.Location).Format(time.DateOnly)
	var events strings.Builder
	for i := range people {
		fmt.Fprintf(&events, `{"kind": "borrower", "id": "B%[1]d", "name": "王伟", "language": "zh-CN", "country": "CN", "zones": [{"name": %[2]q, "source": "address"}]},
			{"kind": "contact_point", "borrower_id": "B%[1]d", "id": "m", "point_kind": "mobile", "value": "+8613800138000"},
			{"kind": "loan", "borrower_id": "B%[1]d", "id": "L%[1]d", "schedule": "bullet", "currency": "CNY", "principal": {"minor": 10000, "currency": "CNY"}, "disbursed_on": "2026-01-01"},
			{"kind": "installment", "borrower_id": "B%[1]d", "loan_id": "L%[1]d", "no": 1, "due_on": %[3]q, "principal": {"minor": 10000, "currency": "CNY"}},`,
			i, c.Lender.Timezone, day)
	}
	post(t, url+"/v1/events", fmt.Sprintf(`{"events": [%s {"kind": "feed", "through": %q}]}`, &events, now.UTC().Format(time.RFC3339)))
	seen := map[string]bool{}
	for range people {
		select {
		case id := <-arrived:
			if seen[id] {
				t.Errorf("%s came twice", id)
			}
			seen[id] = true
		case <-time.After(patience):
			t.Fatalf("%d of %d messages came", len(seen), people)
		}
	}
	stop()
	if err := wait(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if got := a.Engine.RouteReports(time.Now())[0]; got.Sent != people || len(arrived) != 0 {
		t.Errorf("got %+v and %d more messages, want %d sent", got, len(arrived), people)
	}
}

func TestServeAnswers(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Tick = app.Duration(10 * time.Millisecond)
	a, err := app.New(t.Context(), c, app.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	url, stop, wait := serve(t, a)
	res, err := http.Get(url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"store":"sqlite"`) {
		t.Errorf("got %d %s, want 200", res.StatusCode, body)
	}

	taken := config(t)
	taken.Listen = strings.TrimPrefix(url, "http://")
	b, err := app.New(t.Context(), taken, app.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Serve(t.Context(), nil); duly.CodeOf(err) != duly.Unavailable {
		t.Errorf("an address in use: got %v, want unavailable", err)
	}
	stop()
	if err := wait(); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// The command line can change the address after the file was checked: the API is never open to a network without a token.
func TestServeNeedsToken(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "nonsense"} {
		c := config(t)
		c.Listen = listen
		a, err := app.New(t.Context(), c, app.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = a.Serve(ctx, func(string) { cancel() }) // so that a fault fails the test and does not hang it
		cancel()
		if duly.CodeOf(err) != duly.Refused {
			t.Errorf("%s: got %v, want it refused", listen, err)
		}
		a.Close()
	}
}

// Every shipped mapping can be loaded by its name, and what is not shipped is told.
func TestMappings(t *testing.T) {
	t.Parallel()
	names, err := app.Mappings()
	if err != nil || !slices.Contains(names, "duly-book") {
		t.Fatalf("got %v, %v, want duly-book among them", names, err)
	}
	for _, name := range names {
		if _, err := app.LoadMapping(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"none", filepath.Join(t.TempDir(), "none.yaml"), "../go"} {
		if _, err := app.LoadMapping(name); duly.CodeOf(err) != duly.NotFound {
			t.Errorf("%s: got %v, want not found", name, err)
		}
	}
}
