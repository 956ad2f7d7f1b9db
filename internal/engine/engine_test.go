package engine_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/message"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/strategy"
	"github.com/dulyhq/duly/rulepacks"
	"github.com/dulyhq/duly/templates"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// ladder is a strategy small enough to be followed by eye: a push that falls back to a text message, a text message on
// the due day, one after it.
const ladder = `name: test
title: {zh: 测试, en: test}
steps:
  - id: before
    at: due-1d
    window: {from: "09:00", to: "20:00"}
    channels:
      - {channel: push}
      - {channel: sms, after: 2h, unless: delivered}
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
  - id: after
    at: due+3d
    window: {from: "09:00", to: "20:00"}
    channels: [{channel: sms}]
    tone: plain
    template: overdue-plain
    late_template: late-overdue
    catch_up: send_late
    within: 5d
`

// due is the day the world's instalments are due; the day before is a Monday.
var due = civil.On(2026, 3, 10)

// world is an engine over a store with one kind of person in it, and a carrier that does as it is told.
type world struct {
	t      *testing.T
	db     *store.DB
	e      *engine.Engine
	car    *carrier
	loc    *time.Location
	h      *engine.Holding  // of the engines made next; nil holds everything
	law    []string         // the packs of the engines made next; nil is all
	more   []channel.Sender // carriers of the engines made next, after car
	routes route.Config     // and how they are chosen
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	loc, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, car: &carrier{}, loc: loc}
	w.e = w.engine(ladder, engine.Config{
		Location: loc, Lender: "测试消金", ServicePhone: "95000", FeedMaxAge: time.Hour, Lease: time.Minute, Workers: 4,
	})
	return w
}

// carriers are those of the engines made next: one that does as it is told, and whoever comes after it.
func (w *world) carriers() map[duly.Channel][]channel.Sender {
	list := append([]channel.Sender{w.car}, w.more...)
	return map[duly.Channel][]channel.Sender{duly.ChannelPush: list, duly.ChannelSMS: list}
}

// engine makes an engine over the world's store, with a strategy and packs beside those that are shipped.
func (w *world) engine(text string, cfg engine.Config, own ...*rule.Pack) *engine.Engine {
	w.t.Helper()
	e, err := w.make(text, cfg, own...)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// make is engine for one that may be refused.
func (w *world) make(text string, cfg engine.Config, own ...*rule.Pack) (*engine.Engine, error) {
	w.t.Helper()
	packs, err := rule.LoadFS(rulepacks.FS)
	if err != nil {
		w.t.Fatal(err)
	}
	packs = slices.DeleteFunc(packs, func(p *rule.Pack) bool { return w.law != nil && !slices.Contains(w.law, p.ID) })
	words, err := message.LoadFS(templates.FS)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := strategy.Load("test.yaml", []byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	cal, err := civil.BuiltIn()
	if err != nil {
		w.t.Fatal(err)
	}
	return engine.New(engine.Deps{
		DB: w.db, Holding: w.h, Strategies: []*strategy.Strategy{s}, Packs: append(packs, own...), Calendars: cal, Messages: words,
		Carriers: w.carriers(), Routes: w.routes,
	}, cfg)
}

// at returns an instant of a day relative to the due day.
func (w *world) at(day int, clock string) time.Time {
	w.t.Helper()
	c, err := civil.ParseClock(clock)
	if err != nil {
		w.t.Fatal(err)
	}
	return due.Add(day).At(c, w.loc).UTC()
}

// person makes a borrower with a phone, an app and one loan of one instalment.
func person(id duly.BorrowerID) []duly.Fact {
	amount := func(minor int64) money.Amount { return money.New(minor, "CNY") }
	loan := duly.LoanID("L-" + id)
	return []duly.Fact{
		&duly.Borrower{ID: id, Name: "王伟", Language: "zh-CN", Country: "CN", Tier: "C", Zones: []duly.Zone{{Name: "Asia/Shanghai", Source: duly.ZoneAddress}}, Version: 1},
		&duly.ContactPoint{BorrowerID: id, ID: "m", Kind: duly.PointMobile, Value: "+8610000000001", State: duly.PointActive, Version: 1},
		&duly.ContactPoint{BorrowerID: id, ID: "a", Kind: duly.PointApp, Value: "token", State: duly.PointActive, Version: 1},
		&duly.Loan{BorrowerID: id, ID: loan, Schedule: duly.Bullet, Currency: "CNY", Principal: amount(100_00), DisbursedOn: due.Add(-30), Version: 1},
		&duly.Installment{BorrowerID: id, LoanID: loan, No: 1, DueOn: due, Principal: amount(100_00), Interest: amount(1_50), Fee: amount(0), Version: 1},
	}
}

func payment(id duly.BorrowerID, ref string, minor int64, at time.Time) *duly.Payment {
	return &duly.Payment{BorrowerID: id, ID: duly.PaymentID(ref), LoanID: duly.LoanID("L-" + id), Amount: money.New(minor, "CNY"), ValueAt: at, ArrivedAt: at, Version: 1}
}

func (w *world) apply(now time.Time, facts ...duly.Fact) engine.Applied {
	w.t.Helper()
	a, err := w.e.Apply(w.t.Context(), now, "test", facts)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, r := range a.Results {
		if r != store.Added && r != store.Changed {
			w.t.Fatalf("fact %s %s: got %s, want it applied", facts[i].FactKind(), facts[i].FactKey(), r)
		}
	}
	return a
}

// step tells that payments are known up to now, and steps the engine until there is nothing more to do at now.
func (w *world) step(now time.Time) engine.Report {
	w.t.Helper()
	if err := w.e.FeedThrough(w.t.Context(), now, engine.FeedPayments, now); err != nil {
		w.t.Fatal(err)
	}
	return w.stepOnly(now)
}

func (w *world) stepOnly(now time.Time) engine.Report {
	w.t.Helper()
	var total engine.Report
	for more := true; more; {
		r, err := w.e.Step(w.t.Context(), now)
		if err != nil {
			w.t.Fatal(err)
		}
		total.Add(r)
		more = r.More
	}
	return total
}

// contacts returns the contacts of a borrower, oldest first.
func (w *world) contacts(id duly.BorrowerID) []duly.Contact {
	w.t.Helper()
	var out []duly.Contact
	err := w.db.View(w.t.Context(), func(tx *store.Tx) error {
		persons, err := tx.Persons(id.Bucket(), []duly.BorrowerID{id}, time.Time{})
		if err != nil || len(persons) != 1 {
			return fmt.Errorf("person %s: %d found: %w", id, len(persons), err)
		}
		out = persons[0].Contacts
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// want checks the contacts of a borrower, each written "step channel state reason".
func (w *world) want(id duly.BorrowerID, want ...string) {
	w.t.Helper()
	var got []string
	for _, c := range w.contacts(id) {
		s := fmt.Sprintf("%s %s %s", c.Step, c.Channel, c.State)
		if c.Reason != "" {
			s += " " + c.Reason
		}
		got = append(got, s)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("contacts of %s:\n got %q\nwant %q", id, got, want)
	}
}

// carrier does as it is told, and remembers what it was given.
type carrier struct {
	name  string // "": test
	mu    sync.Mutex
	sent  []channel.Message
	fate  func(channel.Message) (channel.Accepted, error) // nil accepts
	polls []duly.Receipt
	find  func(channel.Question) (duly.ReceiptStatus, bool, error) // nil knows nothing
}

func (c *carrier) Name() string { return cmp.Or(c.name, "test") }

func (c *carrier) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelPush, duly.ChannelSMS}, Receipts: true, Timeout: time.Second}
}

func (c *carrier) Send(_ context.Context, m channel.Message) (channel.Accepted, error) {
	c.mu.Lock()
	c.sent = append(c.sent, m)
	fate := c.fate
	c.mu.Unlock()
	if fate != nil {
		return fate(m)
	}
	return channel.Accepted{ProviderID: "p-" + string(m.AttemptID)}, nil
}

func (c *carrier) Poll(context.Context, time.Time, int) ([]duly.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.polls
	c.polls = nil
	return out, nil
}

// receipt has the carrier report something of the last message.
func (c *carrier) receipt(key string, status duly.ReceiptStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.polls = append(c.polls, duly.Receipt{Provider: c.Name(), Key: key, AttemptID: c.sent[len(c.sent)-1].AttemptID, Status: status})
}

// attempts returns what was sent.
func (c *carrier) attempts() []channel.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sent)
}

func (c *carrier) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sent)
}

func refuse(class channel.Class) func(channel.Message) (channel.Accepted, error) {
	return func(channel.Message) (channel.Accepted, error) {
		return channel.Accepted{}, &channel.Error{Class: class, Code: "told_so"}
	}
}

const who = duly.BorrowerID("B1")

func TestReminderGoesOut(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.step(w.at(-1, "00:01"))
		w.want(who, "before push planned")
		if w.car.count() != 0 {
			t.Fatal("sent at night")
		}
		w.step(w.at(-1, "09:30"))
		w.want(who, "before push accepted")
		w.step(w.at(-1, "10:00"))
		if w.car.count() != 1 {
			t.Errorf("got %d messages, want 1", w.car.count())
		}
	})
}

// A payment that is applied while its reminder waits stops the reminder before Apply returns.
func TestPaymentStopsWhatWaits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.step(w.at(-1, "00:01"))
		a := w.apply(w.at(-1, "08:00"), payment(who, "P1", 101_50, w.at(-1, "08:00")))
		if a.Stopped != 1 || a.Settled != 1 {
			t.Errorf("got %d contacts stopped, %d settled; want 1 and 1", a.Stopped, a.Settled)
		}
		w.want(who, "before push cancelled paid")
		for day := -1; day <= 8; day++ {
			w.step(w.at(day, "12:00"))
		}
		if w.car.count() != 0 {
			t.Errorf("%d messages went out after the payment", w.car.count())
		}
	})
}

// A part payment lowers what the message asks for; it does not stop it.
func TestPartPaymentIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.step(w.at(0, "00:01"))
	w.apply(w.at(0, "08:00"), payment(who, "P1", 50_00, w.at(0, "08:00")))
	w.step(w.at(0, "12:00"))
	if w.car.count() != 1 {
		t.Fatalf("got %d messages, want 1", w.car.count())
	}
	c := w.contacts(who)
	if got := c[len(c)-1].Items[0].Outstanding; got != money.New(51_50, "CNY") {
		t.Errorf("the message asks for %s, want CNY 51.50", got)
	}
}

// A reversal brings the reminder back, once.
func TestReversalBringsTheReminderBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.step(w.at(0, "00:01"))
		w.apply(w.at(0, "07:00"), payment(who, "P1", 101_50, w.at(0, "07:00")))
		undo := payment(who, "P2", 101_50, w.at(0, "08:00"))
		undo.Reverses = "P1"
		if a := w.apply(w.at(0, "08:00"), undo); a.Reopened != 1 {
			t.Errorf("got %d instalments open again, want 1", a.Reopened)
		}
		w.step(w.at(0, "12:00"))
		w.step(w.at(0, "13:00"))
		w.want(who, "today sms accepted")
		if w.car.count() != 1 {
			t.Errorf("got %d messages, want 1", w.car.count())
		}
	})
}

// A payment that commits between the claim and the POST keeps the POST from happening.
func TestFenceBetweenClaimAndPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	// Two persons of one bucket are claimed together; with one of them on its way, the other pays.
	a, b := sameBucket(t)
	now := w.at(0, "00:01")
	w.apply(w.at(-5, "10:00"), append(person(a), person(b)...)...)
	w.step(now)
	first := true
	w.car.fate = func(m channel.Message) (channel.Accepted, error) {
		w.car.mu.Lock()
		mine := first
		first = false
		w.car.mu.Unlock()
		if mine {
			other := a
			if m.BorrowerID == a {
				other = b
			}
			if _, err := w.e.Apply(context.Background(), w.at(0, "12:00"), "test", []duly.Fact{payment(other, "P-"+string(other), 101_50, w.at(0, "12:00"))}); err != nil {
				return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: err.Error()}
			}
		}
		return channel.Accepted{}, nil
	}
	cfg := w.e.Config()
	cfg.Workers = 1
	w.e = w.engine(ladder, cfg)
	r := w.step(w.at(0, "12:00"))
	if w.car.count() != 1 || r.Dispatched.Recalled != 1 {
		t.Errorf("got %d messages and %d recalled, want 1 and 1", w.car.count(), r.Dispatched.Recalled)
	}
}

func sameBucket(t *testing.T) (a, b duly.BorrowerID) {
	t.Helper()
	for i := range 100_000 {
		if id := duly.BorrowerID(fmt.Sprintf("C%d", i)); id != who && id.Bucket() == who.Bucket() {
			return who, id
		}
	}
	t.Fatal("no two ids of one bucket")
	return
}

// Without fresh payments nothing leaves, and the reason is on record.
func TestStaleFeedHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.step(w.at(0, "00:01"))
	w.stepOnly(w.at(0, "12:00"))
	w.want(who, "today sms planned payment_feed_stale")
	w.step(w.at(0, "13:00"))
	w.want(who, "today sms accepted")
}

// A carrier that does not answer leaves the contact in doubt; it is never sent again, and a late receipt settles it.
func TestUnknownIsInDoubt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.car.fate = refuse(channel.Unknown)
		w.step(w.at(0, "12:00"))
		w.want(who, "today sms in_doubt told_so")
		for h := 13; h < 20; h++ {
			w.step(w.at(0, fmt.Sprintf("%02d:00", h)))
		}
		if w.car.count() != 1 {
			t.Errorf("got %d tries, want 1", w.car.count())
		}
		w.car.receipt("r1", duly.ReceiptDelivered)
		w.step(w.at(1, "03:00"))
		w.want(who, "today sms delivered")
	})
}

// A definite refusal is tried again after a wait, and not for ever.
func TestTemporaryIsRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.car.fate = refuse(channel.Temporary)
	for now := w.at(0, "09:00"); now.Before(w.at(0, "19:00")); now = now.Add(10 * time.Minute) {
		w.step(now)
	}
	w.want(who, "today sms failed told_so")
	if got := w.car.count(); got != 5 {
		t.Errorf("got %d tries, want 5", got)
	}
}

// A dead address moves on to the next rung of the ladder and is not used again.
func TestBadAddressFallsBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.car.fate = func(m channel.Message) (channel.Accepted, error) {
			if m.Channel == duly.ChannelPush {
				return channel.Accepted{}, &channel.Error{Class: channel.BadAddress, Code: "gone"}
			}
			return channel.Accepted{}, nil
		}
		w.step(w.at(-1, "09:30"))
		w.step(w.at(-1, "09:31"))
		w.want(who, "before push failed gone", "before sms accepted")
	})
}

// A push that is not delivered in time falls back; one that is does not.
func TestFallbackWaitsForDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), append(person(who), person("B2")...)...)
	w.step(w.at(-1, "09:30"))
	for _, m := range w.car.sent {
		if m.BorrowerID == "B2" {
			w.car.polls = append(w.car.polls, duly.Receipt{Provider: "test", Key: "r", AttemptID: m.AttemptID, Status: duly.ReceiptDelivered})
		}
	}
	w.step(w.at(-1, "10:00"))
	w.step(w.at(-1, "12:00"))
	w.want(who, "before push accepted", "before sms accepted")
	w.want("B2", "before push delivered")
}

// A refusal at the provider is written down, and no other channel is used in its place.
func TestOptOutAtTheProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.car.fate = refuse(channel.OptedOut)
	for h := 9; h < 20; h++ {
		w.step(w.at(-1, fmt.Sprintf("%02d:30", h)))
	}
	if w.car.count() != 1 {
		t.Errorf("got %d tries, want 1", w.car.count())
	}
}

// Holds and refusals of every kind stop what waits.
func TestHoldAndOptOutStop(t *testing.T) {
	t.Parallel()
	now := due.At(9*60, time.UTC).Add(-8 * time.Hour)
	tests := map[string]duly.Fact{
		"any hold":            &duly.Hold{BorrowerID: who, ID: "h", Kind: "manual", Scope: duly.HoldPerson, Reason: "asked", Author: "t", From: now.Add(-time.Hour), Version: 1},
		"hold on the loan":    &duly.Hold{BorrowerID: who, ID: "h", Kind: "dispute", Scope: duly.HoldLoan, LoanID: "L-B1", Reason: "asked", Author: "t", From: now.Add(-time.Hour), Version: 1},
		"hold on the address": &duly.Hold{BorrowerID: who, ID: "h", Kind: "wrong_party", Scope: duly.HoldAddress, PointID: "m", Reason: "asked", Author: "t", From: now.Add(-time.Hour), Version: 1},
		"refusal of all":      &duly.OptOut{BorrowerID: who, ID: "o", Key: "all", At: now.Add(-time.Hour), Version: 1},
		"refusal of sms":      &duly.OptOut{BorrowerID: who, ID: "o", Key: "sms", At: now.Add(-time.Hour), Version: 1},
	}
	for name, fact := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.Open(t, "sqlite"))
			w.apply(w.at(-5, "10:00"), person(who)...)
			w.step(w.at(0, "00:01"))
			w.apply(w.at(0, "08:59"), fact)
			w.step(w.at(0, "12:00"))
			if w.car.count() != 0 {
				t.Errorf("a message went out despite it")
			}
		})
	}
}

// After five days without the engine, a person gets at most one catch-up message.
func TestOutageManners(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.step(w.at(-2, "12:00"))
		w.step(w.at(5, "12:00"))
		w.step(w.at(5, "15:00"))
		if got := w.car.count(); got != 1 {
			t.Errorf("got %d messages after the outage, want 1", got)
		}
		sent := 0
		for _, c := range w.contacts(who) {
			if c.State.CountsAsSent() {
				sent++
				if !c.Late || c.Step != "after" {
					t.Errorf("got step %s late %v, want the latest missed step in its late words", c.Step, c.Late)
				}
			}
		}
		if sent != 1 {
			t.Errorf("got %d contacts sent, want 1", sent)
		}
	})
}

// Planning twice changes nothing, whatever happened between.
func TestPlanTwice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for i := range 20 {
			w.apply(w.at(-5, "10:00"), person(duly.BorrowerID(fmt.Sprintf("B%d", i)))...)
		}
		for _, now := range []time.Time{w.at(-1, "00:01"), w.at(-1, "12:00"), w.at(0, "00:01"), w.at(0, "12:00")} {
			w.step(now)
			r, err := w.e.Plan(t.Context(), now)
			if err != nil {
				t.Fatal(err)
			}
			if r.New+r.Moved != 0 {
				t.Errorf("at %s planning again changed %d contacts", now, r.New+r.Moved)
			}
		}
	})
}

// A receipt may come before the answer of Send is stored, twice, and after a better one.
func TestReceiptsInAnyOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.step(w.at(0, "12:00"))
	w.car.receipt("r2", duly.ReceiptRead)
	w.car.receipt("r2", duly.ReceiptRead)
	w.step(w.at(0, "12:01"))
	w.car.receipt("r1", duly.ReceiptAccepted)
	w.car.receipt("r3", duly.ReceiptDelivered)
	w.car.receipt("r4", duly.ReceiptFailed)
	r := w.step(w.at(0, "12:02"))
	w.want(who, "today sms read")
	if r.Received.Receipts != 3 {
		t.Errorf("got %d receipts kept, want 3: they are all kept, whatever they say", r.Received.Receipts)
	}
}

// The audit holds after a life of a contact, and tells of it.
func TestAuditHolds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.step(w.at(-1, "12:00"))
		w.apply(w.at(0, "08:00"), payment(who, "P1", 101_50, w.at(0, "08:00")))
		w.step(w.at(0, "12:00"))
		r, err := db.AuditVerify(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Breaks) != 0 || r.Entries < 4 {
			t.Errorf("got %d entries and breaks %v, want at least 4 entries that hold", r.Entries, r.Breaks)
		}
	})
}

// Why tells what was sent, and why nothing is due.
func TestWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-20, "10:00"), person(who)...)
	x, err := w.e.Why(t.Context(), w.at(-20, "12:00"), who, due.Add(-20))
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Recorded) != 0 || x.Summary == "" {
		t.Errorf("got %d contacts and summary %q, want none and a summary of why", len(x.Recorded), x.Summary)
	}
	w.step(w.at(0, "12:00"))
	x, err = w.e.Why(t.Context(), w.at(2, "12:00"), who, due)
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Recorded) != 1 || len(x.Recorded[0].Attempts) != 1 || x.Recorded[0].Attempts[0].Known.FeedAt.IsZero() {
		t.Errorf("got %+v, want the contact with its try and what was known", x.Recorded)
	}
	if _, err := w.e.Why(t.Context(), w.at(0, "12:00"), "nobody", due); duly.CodeOf(err) != duly.NotFound {
		t.Errorf("got %v, want not found", err)
	}
}

// A clock behind what is on record sends nothing, and the contact waits until the clock has caught up.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.step(w.at(0, "00:01"))
	w.apply(w.at(0, "15:00"), &duly.Consent{BorrowerID: who, ID: "c", Key: "out_of_hours", GivenAt: w.at(0, "15:00"), Version: 1})
	w.step(w.at(0, "12:00"))
	w.want(who, "today sms planned clock_or_data_not_trustworthy")
	w.step(w.at(0, "15:30"))
	w.want(who, "today sms accepted")
}

// A call or message on record that is later than now is a fault of some clock: nothing is sent until it has passed.
func TestHistoryLaterThanNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.step(w.at(0, "00:01"))
	w.apply(w.at(0, "08:00"), &duly.Touch{BorrowerID: who, ID: "t", Channel: duly.ChannelAgent, Outcome: "no_answer", At: w.at(0, "15:00"), Version: 1})
	w.step(w.at(0, "12:00"))
	w.want(who, "today sms planned clock_or_data_not_trustworthy")
	w.step(w.at(0, "15:30"))
	w.want(who, "today sms accepted")
}

// What rules ask of the lender comes from the configuration: in India, words without a registration are not sent as SMS.
func TestLenderIsTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		law  *rule.Lender
		want string
	}{
		{"nothing known", nil, "today sms blocked dlt_template_missing"},
		{"another template", &rule.Lender{Senders: map[duly.Channel]rule.Identity{duly.ChannelSMS: {Templates: map[string]string{"due-soon": "1107"}}}},
			"today sms blocked dlt_template_missing"},
		{"registered", &rule.Lender{Senders: map[duly.Channel]rule.Identity{duly.ChannelSMS: {Templates: map[string]string{"due-today": "1107"}}}},
			"today sms accepted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.Open(t, "sqlite"))
			w.e = w.engine(ladder, engine.Config{
				Location: w.loc, Lender: "测试消金", ServicePhone: "95000", FeedMaxAge: time.Hour, Lease: time.Minute, Workers: 4, Law: c.law,
			})
			facts := person(who)
			b := facts[0].(*duly.Borrower)
			b.Country, b.Zones = "IN", []duly.Zone{{Name: "Asia/Kolkata"}}
			w.apply(w.at(-5, "10:00"), facts...)
			w.step(w.at(0, "00:01"))
			w.step(w.at(0, "15:00"))
			w.want(who, c.want)
		})
	}
}

// A payment in a currency that its loan does not have holds the borrower and lets everyone else's facts in.
func TestPaymentThatDoesNotFit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	a, b := sameBucket(t)
	w.apply(w.at(-5, "10:00"), append(person(a), person(b)...)...)
	wrong := payment(a, "P1", 101_50, w.at(0, "08:00"))
	wrong.LoanID, wrong.Amount.Currency = "", "USD"
	got := w.apply(w.at(0, "08:00"), wrong, payment(b, "P2", 101_50, w.at(0, "08:00")))
	if got.Unsettled != 1 || got.Settled != 1 {
		t.Errorf("got %d borrowers unsettled and %d instalments settled, want 1 and 1", got.Unsettled, got.Settled)
	}
	w.step(w.at(0, "12:00"))
	if w.car.count() != 0 {
		t.Errorf("someone was contacted of whom it is not known what they owe")
	}
}
