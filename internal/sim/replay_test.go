package sim_test

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/sim"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/strategies"
)

// month is a world that changes under its feet: the strategy is replaced in the middle, facts are corrected, payments come
// late, are reversed, and some fit no loan.
type month struct {
	days, borrowers int
	cfg             app.Config
	printed         []engine.Decisions // by day, as the day ended
}

// live lives the month in a store.
func (m *month) live(t *testing.T, dsn string) {
	t.Helper()
	ctx := t.Context()
	m.cfg = app.Default()
	m.cfg.Store, m.cfg.Node.Lease = dsn, app.Duration(time.Minute)
	b := rough
	b.Seed = 11
	m.cfg.Carriers = map[string]app.CarrierConfig{"sandbox": {Kind: "sandbox", Settings: &b}}
	m.cfg.Strategies = []string{m.strategy(t, func(s []byte) []byte { return s })}
	loc, err := time.LoadLocation(m.cfg.Lender.Timezone)
	if err != nil {
		t.Fatal(err)
	}
	o := sim.Options{Seed: 11, Borrowers: m.borrowers, Start: start, Days: m.days, Location: loc}
	book, err := sim.NewBook(o)
	if err != nil {
		t.Fatal(err)
	}
	r := sim.Runner{Events: troubled(book, o)}
	half := m.days / 2
	for part, days := range []int{half, m.days - half} {
		if part == 1 { // upgraded over night: another hour, other words for the hurry
			m.cfg.Strategies = []string{m.strategy(t, func(s []byte) []byte {
				return bytes.ReplaceAll(bytes.ReplaceAll(s, []byte(`from: "09:00"`), []byte(`from: "10:30"`)), []byte("priority: 20"), []byte("priority: 45"))
			})}
		}
		a, err := app.New(ctx, m.cfg, app.Options{Create: true, Clock: func() time.Time { return time.Time{} }})
		if err != nil {
			t.Fatal(err)
		}
		leave, err := a.Join(ctx, "test")
		if err != nil {
			t.Fatal(err)
		}
		if part == 0 {
			if _, err := a.Engine.Apply(ctx, start.At(0, loc).UTC(), "test", append(book.Facts(), wishes(book, start.At(0, loc).UTC())...)); err != nil {
				t.Fatal(err)
			}
		}
		r.Engine = a.Engine
		r.Day = func(d sim.DayReport) {
			v, err := a.Engine.Volumes(ctx, d.Day)
			if err != nil {
				t.Error(err)
			}
			m.printed = append(m.printed, v.Decided)
		}
		if err := r.Run(ctx, start.Add(part*half), days); err != nil {
			t.Fatal(err)
		}
		if err := leave(); err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

// strategy writes the shipped strategy, changed, and returns its path.
func (m *month) strategy(t *testing.T, change func([]byte) []byte) string {
	t.Helper()
	src, err := strategies.FS.ReadFile("consumer-cn.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "consumer-cn.yaml")
	if err := os.WriteFile(path, change(src), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// troubled are the events of a book, with corrections among them.
func troubled(b *sim.Book, o sim.Options) []sim.Event {
	events := b.Events(o)
	at := func(day, hour, n int) time.Time {
		return o.Start.Add(day).At(civil.Clock(hour*60+n%60), o.Location).UTC()
	}
	add := func(when time.Time, f duly.Fact) { events = append(events, sim.Event{At: when, Fact: f}) }
	for i := range events {
		if i%9 == 0 && events[i].Fact.FactKind() == duly.FactPayment { // it came in days ago, and nobody said so
			events[i].At = events[i].At.AddDate(0, 0, 3)
		}
	}
	for i := range b.Installments {
		in := b.Installments[i]
		if in.DueOn.Before(o.Start) || in.DueOn.After(o.Start.Add(o.Days)) {
			continue
		}
		day := in.DueOn.Sub(o.Start)
		switch i % 7 {
		case 0: // the due day is moved when the reminders have begun
			in.Version, in.DueOn = 2, in.DueOn.Add(4)
			add(at(max(0, day-2), 11, i), &in)
		case 1:
			in.Version, in.Fee = 2, money.New(1234, in.Currency())
			add(at(day+1, 13, i), &in)
		}
	}
	for i := range b.Borrowers {
		p := b.Borrowers[i]
		day := i % o.Days
		switch i % 6 {
		case 0:
			h := &duly.Hold{BorrowerID: p.ID, ID: "h", Kind: "dispute", Scope: duly.HoldPerson, Reason: "contests it", Author: "test", From: at(day, 10, i), Version: 1}
			add(at(day, 10, i), h)
			released := *h
			released.Version, released.ReleasedAt = 2, at(day+4, 15, i)
			add(at(day+4, 15, i), &released)
		case 1:
			add(at(day, 12, i), &duly.OptOut{BorrowerID: p.ID, ID: "o", Key: "sms", At: at(day, 12, i), Source: "call", Version: 1})
		case 2:
			p.Version, p.Tier = 2, "E"
			add(at(day, 9, i), &p)
		case 3: // in a currency that none of the loans is in
			add(at(day, 14, i), &duly.Payment{BorrowerID: p.ID, ID: duly.PaymentID("X-" + string(p.ID)), Amount: money.New(100, "USD"),
				ValueAt: at(day, 14, i), ArrivedAt: at(day, 14, i), Version: 1})
		case 4:
			pt := b.Points[slices.IndexFunc(b.Points, func(x duly.ContactPoint) bool { return x.BorrowerID == p.ID })]
			pt.Version, pt.Value = 2, strings.Replace(pt.Value, "100", "101", 1)
			add(at(day, 16, i), &pt)
		}
	}
	slices.SortStableFunc(events, func(x, y sim.Event) int { return x.At.Compare(y.At) })
	return events
}

// A month that was recorded is decided again, day by day, after all that happened since: every day has the hash that it
// printed, on both stores, and both stores have the same.
func TestReplayMonth(t *testing.T) {
	t.Parallel()
	var printed [2][]engine.Decisions
	t.Run("stores", func(t *testing.T) {
		for i, kind := range []string{"sqlite", "postgres"} {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				m := month{days: 30, borrowers: 40}
				dsn := storetest.DSN(t, kind)
				if kind == "sqlite" {
					dsn += store.Hasty
				}
				m.live(t, dsn)
				printed[i] = m.printed
				m.again(t)
			})
		}
	})
	for d := range min(len(printed[0]), len(printed[1])) {
		if printed[0][d] != printed[1][d] {
			t.Errorf("%s: SQLite decided %+v, PostgreSQL %+v", printed[0][d].Day, printed[0][d], printed[1][d])
		}
	}
}

// again decides every day again.
func (m *month) again(t *testing.T) {
	t.Helper()
	a, r := m.replayer(t)
	changes := 0
	for _, was := range m.printed {
		got, err := r.Day(t.Context(), was.Day)
		if err != nil {
			t.Fatal(err)
		}
		if got.Recorded != was {
			t.Errorf("%s printed %+v, and %+v is on record", was.Day, was, got.Recorded)
		}
		if !got.Same {
			t.Errorf("%s decided %+v, and %+v again; buckets %v differ", was.Day, got.Recorded, got.Again, got.Differ)
		}
		changes += got.Again.Changes
	}
	if changes < 3*m.borrowers {
		t.Errorf("only %d contacts were decided: the month is too quiet to test anything", changes)
	}
	if _, err := r.Day(t.Context(), start.Add(-1)); duly.CodeOf(err) != duly.NotFound {
		t.Errorf("a day that nobody planned: got %v", err)
	}
	m.different(t, a, r)
}

func (m *month) replayer(t *testing.T) (*app.App, *engine.Replayer) {
	t.Helper()
	a, err := app.New(t.Context(), m.cfg, app.Options{Clock: func() time.Time { return time.Time{} }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	r, err := a.Replayer(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Scratch.Close() })
	return a, r
}

// different asks what makes the difference between days.
func (m *month) different(t *testing.T, a *app.App, r *engine.Replayer) {
	t.Helper()
	ctx := t.Context()
	day := start.Add(m.days/2 - 1)
	if list, n, err := r.Differences(ctx, day, day, day, 10); err != nil || n != 0 || len(list) != 0 {
		t.Errorf("a day beside itself: got %d differences, %v, %v", n, list, err)
	}
	list, n, err := r.Differences(ctx, day, day, day.Add(6), 1000)
	if err != nil || n == 0 || len(list) != n {
		t.Fatalf("the last day before the upgrade with what was known a week later: got %d of %d differences, %v", len(list), n, err)
	}
	if !slices.IsSortedFunc(list, func(x, y engine.Difference) int { return cmp.Compare(x.Borrower, y.Borrower) }) {
		t.Error("they are not in order")
	}
	kinds := map[string]int{}
	for _, d := range list {
		if len(d.Because) == 0 || slices.Equal(d.A, d.B) && len(d.A) == 0 {
			t.Errorf("%s: no cause of %v and %v", d.Borrower, d.A, d.B)
		}
		for _, c := range d.Because {
			kind, _, _ := strings.Cut(c.What, " ")
			kinds[kind]++
			if kind == "payment" && (c.Known.Before(day.At(0, a.Location)) || c.Known.After(day.Add(7).At(0, a.Location))) {
				t.Errorf("%s: %s is said to be known from %s", d.Borrower, c.What, c.Known)
			}
		}
	}
	for _, kind := range []string{"strategy", "payment"} {
		if kinds[kind] == 0 {
			t.Errorf("no difference because of a %s: %v", kind, kinds)
		}
	}
}
