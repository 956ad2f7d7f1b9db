package sim_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel/sandbox"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/sim"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var start = civil.On(2026, 3, 2)

// rough is a carrier that fails in every way it can.
var rough = sandbox.Behaviour{
	Temporary: 60, Throttled: 20, BadAddress: 20, OptedOut: 5, Permanent: 5, UnknownDelivered: 30, UnknownLost: 30,
	Undelivered: 40, Bounced: 20, Silent: 40, Read: 200, Late: 50, Duplicate: 100, Shuffled: 100,
	DelayMin: time.Second, DelayMax: 3 * time.Hour,
}

// run makes a world of a seed, runs it and returns what is left of it.
func run(t *testing.T, dsn string, seed uint64, borrowers, days int) sim.Summary {
	t.Helper()
	ctx := t.Context()
	cfg := app.Default()
	cfg.Store = dsn
	cfg.Node.Lease = app.Duration(time.Minute) // a busy machine must not cost the lease
	b := rough
	b.Seed = seed
	cfg.Carriers = map[string]app.CarrierConfig{"sandbox": {Kind: "sandbox", Settings: &b}}
	a, err := app.New(ctx, cfg, app.Options{Create: true, Clock: func() time.Time { return time.Time{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	leave, err := a.Join(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := leave(); err != nil {
			t.Error(err)
		}
	}()
	o := sim.Options{Seed: seed, Borrowers: borrowers, Start: start, Days: days, Location: a.Location}
	book, err := sim.NewBook(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Engine.Apply(ctx, start.At(0, a.Location).UTC(), "test", append(book.Facts(), wishes(book, start.At(0, a.Location).UTC())...)); err != nil {
		t.Fatal(err)
	}
	sent := 0
	r := sim.Runner{Engine: a.Engine, Events: book.Events(o), Day: func(d sim.DayReport) { sent += d.Sent }}
	if err := r.Run(ctx, start, days); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	check(t, ctx, a, seed)
	sealed(t, a, seed, start, start.Add(days))
	s, err := sim.Summarise(ctx, a.DB, a.Location, start, start.Add(days))
	if err != nil {
		t.Fatal(err)
	}
	if sent < borrowers/4 {
		t.Fatalf("seed %d: only %d messages went out: the world is too quiet to test anything", seed, sent)
	}
	return s
}

// wishes are hours that every other borrower asks for: most can be met, some hardly.
func wishes(b *sim.Book, at time.Time) []duly.Fact {
	var out []duly.Fact
	for i := range b.Borrowers {
		p := &duly.Preference{BorrowerID: b.Borrowers[i].ID, ID: "W", Days: civil.EveryDay, Source: "agent", At: at, Version: 1}
		switch i % 8 {
		case 1:
			p.Kind, p.From, p.To = duly.PreferAllow, 12*60, 14*60
		case 3:
			p.Kind, p.From, p.To = duly.PreferForbid, 8*60, 11*60+30
		case 5:
			p.Kind, p.From, p.To, p.Days = duly.PreferAllow, 18*60, 9*60+30, civil.Weekdays{1: true, 3: true, 5: true}
		case 7:
			p.Kind, p.From, p.To, p.Days = duly.PreferForbid, 0, 24*60, civil.Weekdays{0: true, 6: true}
		default:
			continue
		}
		out = append(out, p)
	}
	return out
}

func check(t *testing.T, ctx context.Context, a *app.App, seed uint64) {
	t.Helper()
	violations, checked, err := sim.Check(ctx, a.DB, a.Location)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Errorf("seed %d: %s", seed, v)
	}
	if checked == 0 {
		t.Errorf("seed %d: nothing was checked", seed)
	}
	rep, err := a.DB.AuditVerify(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Breaks) > 0 {
		t.Errorf("seed %d: the audit does not hold: %v", seed, rep.Breaks)
	}
}

// No promise is broken, whatever carriers and people do.
func TestPromises(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			run(t, filepath.Join(t.TempDir(), "duly.db")+store.Hasty, seed+1, 120, 21)
		})
	}
}

// The same seed leaves the same contacts for the same reasons: run again, and on the other store.
func TestSameSeedSameContacts(t *testing.T) {
	t.Parallel()
	first := run(t, filepath.Join(t.TempDir(), "a.db")+store.Hasty, 11, 80, 14)
	again := run(t, filepath.Join(t.TempDir(), "b.db")+store.Hasty, 11, 80, 14)
	if first.Hash != again.Hash {
		t.Errorf("run again: got %s, want %s", again.Hash, first.Hash)
	}
	other := run(t, storetest.DSN(t, "postgres"), 11, 80, 14)
	if first.Hash != other.Hash {
		t.Errorf("on PostgreSQL: got %s, want %s", other.Hash, first.Hash)
	}
	if fmt.Sprint(first.Steps) != fmt.Sprint(other.Steps) {
		t.Errorf("on PostgreSQL: got %v, want %v", other.Steps, first.Steps)
	}
}

// The check is able to fail: an attempt after a payment is found, and one outside the hours asked for.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	cfg := app.Default()
	cfg.Store = filepath.Join(t.TempDir(), "duly.db") + store.Hasty
	cfg.Node.Lease = app.Duration(time.Minute)
	a, err := app.New(ctx, cfg, app.Options{Create: true, Clock: func() time.Time { return time.Time{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	leave, err := a.Join(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := leave(); err != nil {
			t.Error(err)
		}
	}()
	o := sim.Options{Seed: 3, Borrowers: 60, Start: start, Days: 5, Location: a.Location}
	book, err := sim.NewBook(o)
	if err != nil {
		t.Fatal(err)
	}
	began := start.At(0, a.Location).UTC()
	if _, err := a.Engine.Apply(ctx, began, "test", book.Facts()); err != nil {
		t.Fatal(err)
	}
	if err := (&sim.Runner{Engine: a.Engine}).Run(ctx, start, 5); err != nil {
		t.Fatal(err)
	}
	// Payments that had arrived before the run, and that nobody told the engine of until after it.
	var late []duly.Fact
	for i := range book.Installments {
		in := &book.Installments[i]
		late = append(late, &duly.Payment{
			BorrowerID: in.BorrowerID, ID: duly.PaymentID("late-" + in.FactKey()), LoanID: in.LoanID, Amount: in.Outstanding(),
			ValueAt: began, ArrivedAt: began, Version: 1,
		})
	}
	for i := range book.Borrowers { // and hours that it was not told of either
		late = append(late, &duly.Preference{
			BorrowerID: book.Borrowers[i].ID, ID: "late", Kind: duly.PreferForbid, Days: civil.EveryDay, To: 24 * 60, At: began, Version: 1,
		})
	}
	if _, err := a.Engine.Apply(ctx, start.Add(6).At(0, a.Location).UTC(), "test", late); err != nil {
		t.Fatal(err)
	}
	violations, checked, err := sim.Check(ctx, a.DB, a.Location)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, v := range violations {
		found[v.Promise]++
	}
	if checked == 0 || found["no contact after payment"] < checked || found["only in the hours asked for"] != checked {
		t.Errorf("got %v of %d attempts, want every one found", found, checked)
	}
}
