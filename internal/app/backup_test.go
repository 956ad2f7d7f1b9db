package app_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/webhook"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/sim"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// taker is a carrier outside: it remembers what it took when the store does not.
type taker struct {
	mu   sync.Mutex
	seen map[duly.ContactID]int
}

func (k *taker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := duly.AttemptID(r.Header.Get("Duly-Attempt")).Contact()
	if !ok {
		http.Error(w, "no attempt", http.StatusBadRequest)
		return
	}
	k.mu.Lock()
	k.seen[id]++
	k.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
}

func (k *taker) total() (contacts, twice int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range k.seen {
		if n > 1 {
			twice++
		}
	}
	return len(k.seen), twice
}

// lost is a store that is backed up, works on, and is lost.
type lost struct {
	cfg   app.Config
	book  *sim.Book
	o     sim.Options
	sink  *taker
	start civil.Date
	after map[duly.ContactID]bool // sent after the backup by the store that was lost
}

func newLost(t *testing.T, dsn string) *lost {
	t.Helper()
	l := &lost{sink: &taker{seen: map[duly.ContactID]int{}}, start: civil.On(2026, 3, 2), cfg: app.Default()}
	srv := httptest.NewServer(l.sink)
	t.Cleanup(srv.Close)
	l.cfg.Store, l.cfg.Node.Lease = dsn, app.Duration(time.Minute)
	l.cfg.Carriers = map[string]app.CarrierConfig{"out": {Kind: "webhook", Settings: &webhook.Config{
		URL: srv.URL, Secrets: []channel.Secret{channel.NewSecret("a-secret-of-32-bytes-for-this-test")}, Serves: []duly.Channel{duly.ChannelSMS, duly.ChannelPush, duly.ChannelEmail, duly.ChannelRobot, duly.ChannelInApp, duly.ChannelIM},
	}}}
	loc, err := time.LoadLocation(l.cfg.Lender.Timezone)
	if err != nil {
		t.Fatal(err)
	}
	l.o = sim.Options{Seed: 3, Borrowers: 150, Start: l.start, Days: 14, Location: loc}
	if l.book, err = sim.NewBook(l.o); err != nil {
		t.Fatal(err)
	}
	return l
}

// with opens the store of an address and runs fn with every bucket leased.
func (l *lost) with(t *testing.T, dsn string, fn func(a *app.App)) {
	t.Helper()
	cfg := l.cfg
	cfg.Store = dsn
	a, err := app.New(t.Context(), cfg, app.Options{Create: true, Clock: func() time.Time { return time.Time{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	leave, err := a.Join(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	fn(a)
	if err := leave(); err != nil {
		t.Error(err)
	}
}

func (l *lost) at(day, hour int) time.Time {
	return l.start.Add(day).At(civil.Clock(hour*60), l.o.Location).UTC()
}

// step has the engine work at an instant, with payments known up to it.
func (l *lost) step(t *testing.T, a *app.App, now time.Time) engine.Report {
	t.Helper()
	if err := a.Engine.FeedThrough(t.Context(), now, engine.FeedPayments, now); err != nil {
		t.Fatal(err)
	}
	var sum engine.Report
	for more := true; more; {
		r, err := a.Engine.Step(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		sum.Add(r)
		more = r.More
	}
	return sum
}

// A store is backed up, sends for a day and a half more, and is lost. What is restored from the backup sends nothing until it is
// released, and then, for a week and more, nothing that the lost store had sent: of no contact are there two.
func TestRestoreNeverSendsTwice(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres", storetest.Partitioned} {
		for _, unknown := range []string{engine.UnknownInDoubt, engine.UnknownSkip} {
			if kind != "sqlite" && unknown == engine.UnknownSkip {
				continue // decided by the plan, which is the same for all
			}
			t.Run(kind+" "+unknown, func(t *testing.T) {
				t.Parallel()
				testRestore(t, kind, unknown)
			})
		}
	}
}

func testRestore(t *testing.T, kind, unknown string) {
	ctx := t.Context()
	from, to := storetest.DSN(t, kind), filepath.Join(t.TempDir(), "new.db")+store.Hasty
	if kind == "sqlite" {
		from += store.Hasty
	}
	if kind != "sqlite" {
		to = storetest.DSN(t, storetest.Bare)
	}
	l := newLost(t, from)
	file := filepath.Join(t.TempDir(), "backup")
	before, after := 0, 0
	l.with(t, from, func(a *app.App) {
		if _, err := a.Engine.Apply(ctx, l.at(0, 1), "test", l.book.Facts()); err != nil {
			t.Fatal(err)
		}
		l.step(t, a, l.at(0, 7))
		l.step(t, a, l.at(0, 11))
		l.step(t, a, l.at(1, 7))
		l.step(t, a, l.at(1, 10)) // some of the day's contacts have gone, some are to go
		before, _ = l.sink.total()
		known := maps.Clone(l.sink.seen)
		if err := a.DB.Backup(ctx, file, "B1", l.at(1, 10)); err != nil {
			t.Fatal(err)
		}
		if err := a.DB.Backup(ctx, file, "B2", l.at(1, 10)); duly.CodeOf(err) != duly.Conflict {
			t.Errorf("a second backup into the file: got %v, want a conflict", err)
		}
		l.step(t, a, l.at(1, 14))
		l.step(t, a, l.at(1, 20))
		l.step(t, a, l.at(2, 7))
		l.step(t, a, l.at(2, 12))
		after, _ = l.sink.total()
		l.after = map[duly.ContactID]bool{}
		for id := range l.sink.seen {
			l.after[id] = known[id] == 0
		}
	})
	if after-before < 20 {
		t.Fatalf("only %d messages went out after the backup: the world is too quiet to test anything", after-before)
	}
	if _, err := store.Restore(ctx, file, from, l.at(2, 13)); duly.CodeOf(err) != duly.Conflict {
		t.Errorf("a restore over a store: got %v, want a conflict", err)
	}
	if r, err := store.Restore(ctx, file, to, l.at(2, 13)); err != nil || r.ID != "B1" || !r.TakenAt.Equal(l.at(1, 10)) || !r.Held() {
		t.Fatalf("restore: got %+v, %v", r, err)
	}
	l.with(t, to, func(a *app.App) { l.held(t, a, after); l.released(t, a, unknown, before, after) })
}

// held checks that a restored store sends nothing, and is not released before payments are known.
func (l *lost) held(t *testing.T, a *app.App, after int) {
	t.Helper()
	ctx := t.Context()
	if _, err := a.Engine.Resume(ctx, l.at(2, 13), "test", engine.UnknownInDoubt); duly.CodeOf(err) != duly.Refused || !strings.Contains(err.Error(), "payments") {
		t.Errorf("released before payments are known: got %v", err)
	}
	l.step(t, a, l.at(2, 14))
	l.step(t, a, l.at(2, 18))
	l.importAgain(t, a) // what came in since, as an operator does: the days that were planned are forgotten with it
	if n, _ := l.sink.total(); n != after {
		t.Errorf("%d messages left a store that is held", n-after)
	}
	slot := engine.Ask{BorrowerID: l.book.Borrowers[0].ID, Key: "k", Channel: duly.ChannelAgent, Minutes: 5, Actor: duly.Actor{Type: "human"}}
	if _, err := a.Engine.Reserve(ctx, l.at(2, 14), "test", slot); duly.CodeOf(err) != duly.Refused {
		t.Errorf("a slot in a store that is held: got %v", err)
	}
	if _, err := a.Engine.Resume(ctx, l.at(2, 19), "test", "whatever"); duly.CodeOf(err) != duly.Usage {
		t.Errorf("a rule that does not exist: got %v", err)
	}
}

// importAgain does to buckets what an import of many facts does.
func (l *lost) importAgain(t *testing.T, a *app.App) {
	t.Helper()
	for b := range duly.Buckets {
		err := a.DB.Update(t.Context(), l.at(2, 18), []int{b}, func(tx *store.Tx) error { return tx.MarkBucketDirty(b) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

// released lets the store go on for days, and counts.
func (l *lost) released(t *testing.T, a *app.App, unknown string, before, after int) {
	t.Helper()
	ctx := t.Context()
	through, err := a.Engine.Resume(ctx, l.at(2, 19), "test", unknown)
	if err != nil || through != l.start.Add(2) {
		t.Fatalf("resume: got %s, %v", through, err)
	}
	if _, err := a.Engine.Resume(ctx, l.at(2, 19), "test", unknown); duly.CodeOf(err) != duly.Conflict {
		t.Errorf("released twice: got %v", err)
	}
	l.step(t, a, l.at(2, 19))
	if n, _ := l.sink.total(); n != after {
		t.Errorf("%d messages of the days that the lost store worked on went out", n-after)
	}
	for d := 3; d < 11; d++ {
		for _, h := range []int{7, 10, 14, 18, 20} {
			l.step(t, a, l.at(d, h))
		}
	}
	n, twice := l.sink.total()
	if twice != 0 {
		t.Errorf("%d contacts were sent twice", twice)
	}
	if n-after < 50 {
		t.Errorf("only %d messages went out in the week after: the store does not work on", n-after)
	}
	counts, err := a.DB.CountContacts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	doubts, err := a.DB.InDoubt(ctx, "", time.Time{}, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	if len(doubts) != counts[duly.InDoubt] {
		t.Errorf("%d attempts are in doubt but %d contacts", len(doubts), counts[duly.InDoubt])
	}
	if unknown == engine.UnknownSkip {
		if len(doubts) != 0 {
			t.Errorf("%d in doubt, want none: they are to be skipped", len(doubts))
		}
		return
	}
	l.everyLostOneIsInDoubt(t, doubts, after-before)
	if report, err := a.DB.AuditVerify(ctx); err != nil || len(report.Breaks) > 0 {
		t.Errorf("the audit does not hold: %v, %v", report.Breaks, err)
	}
}

// everyLostOneIsInDoubt checks that what the lost store sent after the backup is in doubt under the very id that it had, so that
// its receipts are understood.
func (l *lost) everyLostOneIsInDoubt(t *testing.T, doubts []duly.Attempt, sent int) {
	t.Helper()
	if len(doubts) < sent {
		t.Errorf("%d are in doubt, and %d were sent after the backup", len(doubts), sent)
	}
	reached := 0
	for _, d := range doubts {
		if !l.after[d.ContactID] {
			continue
		}
		reached++
		if d.ID != duly.NewAttemptID(d.ContactID, 1) {
			t.Errorf("contact %s was sent as its first try, and attempt %s is in doubt", d.ContactID, d.ID)
		}
	}
	if reached != sent {
		t.Errorf("of %d that the lost store sent after the backup, %d are in doubt", sent, reached)
	}
}
