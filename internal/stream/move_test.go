package stream_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/sim"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/stream"
)

// smallParts makes parts of two buckets, so that a move has few steps.
const smallParts = duly.Buckets / 2

func mover(from, to stream.Cell, parts int) *stream.Mover {
	m := &stream.Mover{From: from, To: to, Parts: parts, Run: rand.Text(), Lease: time.Hour, Grace: time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	stream.SetBatch(m, 4)
	return m
}

// lived makes a store on which some days were run, and returns a part with much in it.
func lived(t *testing.T, dsn string) (*store.DB, int) {
	t.Helper()
	c := app.Default()
	c.Store, c.Carriers = dsn, map[string]app.CarrierConfig{"sandbox": {Kind: "sandbox", Settings: &rough}}
	a, err := app.New(t.Context(), c, app.Options{Create: true, Clock: func() time.Time { return time.Time{} }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	leave, err := a.Join(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	start, days := civil.On(2026, 3, 2), 3
	o := sim.Options{Seed: 11, Borrowers: 60, Start: start, Days: days, Location: a.Location}
	w, err := sim.NewBook(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Engine.Apply(t.Context(), start.At(0, a.Location).UTC(), "test", w.Facts()); err != nil {
		t.Fatal(err)
	}
	r := sim.Runner{Engine: a.Engine, Events: w.Events(o)}
	if err := r.Run(t.Context(), start, days); err != nil {
		t.Fatal(err)
	}
	if err := leave(); err != nil {
		t.Fatal(err)
	}
	best, most := 0, int64(0)
	for part := range smallParts {
		n := int64(0)
		for _, s := range sums(t, a.DB, part) {
			n += s.Rows()
		}
		if n > most {
			best, most = part, n
		}
	}
	if most < 40 {
		t.Fatalf("the largest part has %d rows: the test tests nothing", most)
	}
	return a.DB, best
}

// sums is what the two buckets of a part hold.
func sums(t *testing.T, db *store.DB, part int) (out [2]store.BucketSum) {
	t.Helper()
	for i := range out {
		var err error
		if out[i], err = db.SumBucket(t.Context(), 2*part+i, nil); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func settle(t *testing.T, db *store.DB, place store.Place) {
	t.Helper()
	if err := db.Settle(t.Context(), func(int) store.Place { return place }); err != nil {
		t.Fatal(err)
	}
}

func placings(t *testing.T, db *store.DB) [duly.Buckets]store.Placing {
	t.Helper()
	all, err := db.Placings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A move that is killed at any step leaves every bucket with one cell that may work on it, or none, and all that it had where it is
// or comes to be; run again, it ends as one that was not killed.
func TestMoveKilled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, from, to string
		stride         int
	}{{"sqlite", "sqlite", "sqlite", 1}, {"postgres", "sqlite", "postgres", 3}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db, part := lived(t, storetest.DSN(t, c.from)+hasty(c.from))
			other, err := store.Create(t.Context(), storetest.DSN(t, c.to)+hasty(c.to))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { other.Close() })
			settle(t, db, store.Here)
			settle(t, other, store.Away)
			k := &killer{t: t, part: part, want: sums(t, db, part), from: stream.Cell{Name: "a", DB: db}, to: stream.Cell{Name: "b", DB: other}}
			for at := 1; k.kill(at); at += c.stride {
				k.from, k.to = k.to, k.from // and back
			}
			if k.killed < 8 {
				t.Errorf("killed %d times only", k.killed)
			}
			t.Logf("killed %d times, at %v", k.killed, slices.Sorted(maps.Keys(k.steps)))
		})
	}
}

// Nobody moves while a cell was restored and what the lost one may have sent is not closed; the texts that decided go along.
func TestMoveRestored(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, part := lived(t, storetest.DSN(t, "sqlite")+hasty("sqlite"))
	other, err := store.Create(ctx, storetest.DSN(t, "sqlite")+hasty("sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	settle(t, db, store.Here)
	settle(t, other, store.Away)
	now := civil.On(2026, 3, 5).At(12*60, time.UTC)
	put := func(db *store.DB, r store.Restoration) {
		t.Helper()
		err := db.Update(ctx, now, nil, func(tx *store.Tx) error {
			return errors.Join(tx.PutRestoration(&r), tx.PutDocuments([]store.Document{{Hash: "h", Text: "rules of then"}}))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	m := mover(stream.Cell{Name: "a", DB: db}, stream.Cell{Name: "b", DB: other}, smallParts)
	move := func() error { _, err := m.Move(ctx, func() time.Time { return now }, part); return err }
	for _, c := range []struct {
		name string
		in   *store.DB
		r    store.Restoration
	}{
		{"the old cell is held", db, store.Restoration{ID: "r", RestoredAt: now}},
		{"it was not planned since its release", db, store.Restoration{ID: "r", RestoredAt: now, ReleasedAt: now, Through: civil.On(2026, 3, 5)}},
		{"the new cell is held", other, store.Restoration{ID: "s", RestoredAt: now}},
	} {
		put(c.in, c.r)
		if err := move(); duly.CodeOf(err) != duly.Refused {
			t.Errorf("%s: got %v, want it refused", c.name, err)
		}
		if p := placings(t, db)[2*part].Place; p != store.Here {
			t.Errorf("%s: the part is %s", c.name, p)
		}
		put(c.in, store.Restoration{ID: c.r.ID, RestoredAt: now, ReleasedAt: now, Through: civil.On(2026, 3, 1)})
	}
	err = db.Update(ctx, now, nil, func(tx *store.Tx) error {
		return tx.PutDocuments([]store.Document{{Hash: "only here", Text: "策略"}})
	})
	if err == nil {
		err = move()
	}
	if err != nil {
		t.Fatal(err)
	}
	if text, err := other.FindDocument(ctx, "only here"); err != nil || text != "策略" {
		t.Errorf("a text that decided, in the new cell: got %q, %v", text, err)
	}
}

func hasty(kind string) string {
	if kind == "sqlite" {
		return store.Hasty
	}
	return ""
}

// killer kills a move of a part at one step after the other.
type killer struct {
	t        *testing.T
	part     int
	want     [2]store.BucketSum
	from, to stream.Cell
	killed   int
	steps    map[string]bool
}

// kill moves the part and kills that at a step, looks at what there is, and runs the move again. It returns false where there are not
// so many steps.
func (k *killer) kill(at int) bool {
	t := k.t
	m, n, step := mover(k.from, k.to, smallParts), 0, ""
	stream.SetFault(m, func(s string, _ int) error {
		if n++; n == at {
			step = s
			return stream.ErrKilled
		}
		return nil
	})
	_, err := m.Move(t.Context(), time.Now, k.part)
	if step == "" {
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	if !errors.Is(err, stream.ErrKilled) {
		t.Fatalf("killed at %s: got %v", step, err)
	}
	if k.killed++; k.steps == nil {
		k.steps = map[string]bool{}
	}
	k.steps[step] = true
	k.look(step)
	if again := mover(k.from, k.to, smallParts); k.killed%2 == 0 { // another run waits until the first has been silent for long
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if _, err := again.Move(ctx, time.Now, k.part); !errors.Is(err, context.DeadlineExceeded) && err != nil {
			t.Fatalf("beside one that was killed at %s: %v", step, err)
		}
		cancel()
		k.look(step + ", and another run")
	}
	for _, c := range []stream.Cell{k.from, k.to} {
		if err := c.DB.KeepMoving(t.Context(), m.Run, -time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if k.killed%3 == 0 { // the cell itself goes on where it can
		l, err := k.from.DB.Leases(t.Context())
		if err == nil {
			err = k.from.DB.Reclaim(t.Context(), l.Halted)
		}
		if err != nil {
			t.Fatal(err)
		}
		k.look(step + ", and reclaimed")
	}
	if _, err := mover(k.from, k.to, smallParts).Move(t.Context(), time.Now, k.part); err != nil {
		t.Fatalf("again after it was killed at %s: %v", step, err)
	}
	k.ended(step)
	return true
}

// look fails unless every bucket has at most one owner, with all that it had; one without has all in the cell that it comes to.
func (k *killer) look(when string) {
	k.t.Helper()
	from, to := placings(k.t, k.from.DB), placings(k.t, k.to.DB)
	old, fresh := sums(k.t, k.from.DB, k.part), sums(k.t, k.to.DB, k.part)
	for i := range k.want {
		b := 2*k.part + i
		f, o := from[b].Place, to[b].Place
		owns := f == store.Here || f == store.Leaving || f == store.Sealed
		switch {
		case owns && o == store.Here:
			k.t.Fatalf("%s: bucket %d has two owners", when, b)
		case owns && old[i].Differs(&k.want[i]) != "":
			k.t.Fatalf("%s: table %s of bucket %d is not what it was", when, old[i].Differs(&k.want[i]), b)
		case !owns && o != store.Here && o != store.Ready:
			k.t.Fatalf("%s: bucket %d is %s in one cell and %s in the other", when, b, f, o)
		case !owns && fresh[i].Differs(&k.want[i]) != "":
			k.t.Fatalf("%s: table %s of bucket %d is not what it was, in its new cell", when, fresh[i].Differs(&k.want[i]), b)
		}
	}
}

// marks are the rows that every bucket has, whosever it is.
const marks = 2

// ended fails unless the part is in its new cell, and gone from the old one.
func (k *killer) ended(when string) {
	k.t.Helper()
	k.look(when)
	from, to := placings(k.t, k.from.DB), placings(k.t, k.to.DB)
	for i, s := range sums(k.t, k.from.DB, k.part) {
		b := 2*k.part + i
		if s.Rows() != marks || from[b].Place != store.Away || to[b].Place != store.Here || to[b].Moves != from[b].Moves || to[b].Mover != "" || from[b].Mover != "" {
			k.t.Fatalf("%s: bucket %d: %d rows are left, %+v and %+v", when, b, s.Rows(), from[b], to[b])
		}
	}
}

// What cannot be moved is refused, and changes nothing.
func TestMoveRefused(t *testing.T) {
	t.Parallel()
	var dbs [3]*store.DB
	for i := range dbs {
		db, err := store.Create(t.Context(), storetest.DSN(t, "sqlite")+store.Hasty)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		dbs[i] = db
	}
	settle(t, dbs[0], store.Here)
	settle(t, dbs[1], store.Away)
	settle(t, dbs[2], store.Away)
	a, b, c := stream.Cell{Name: "a", DB: dbs[0]}, stream.Cell{Name: "b", DB: dbs[1]}, stream.Cell{Name: "c", DB: dbs[2]}
	refused := func(what string, m *stream.Mover, part int) {
		t.Helper()
		var before, after [3][duly.Buckets]store.Placing
		for i := range dbs {
			before[i] = placings(t, dbs[i])
		}
		_, err := m.Move(t.Context(), time.Now, part)
		for i := range dbs {
			after[i] = placings(t, dbs[i])
			for b := range after[i] {
				for _, p := range []*store.Placing{&after[i][b], &before[i][b]} {
					p.Now, p.Until = time.Time{}, time.Time{}
				}
			}
		}
		if duly.CodeOf(err) != duly.Conflict || before != after {
			t.Errorf("%s: got %v, changed: %t; want a conflict and no change", what, err, before != after)
		}
	}
	killed := mover(a, b, smallParts)
	stream.SetFault(killed, func(step string, _ int) error {
		if step == "ready" {
			return stream.ErrKilled
		}
		return nil
	})
	if _, err := killed.Move(t.Context(), time.Now, 5); !errors.Is(err, stream.ErrKilled) {
		t.Fatal(err)
	}
	heard, silent := context.WithCancel(t.Context())
	var beats sync.WaitGroup
	for _, db := range dbs[:2] {
		beats.Go(func() {
			for n := time.Duration(0); heard.Err() == nil; n++ {
				if err := db.KeepMoving(heard, killed.Run, time.Hour+n*time.Second); err != nil && heard.Err() == nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	refused("by another while one moves it", mover(a, b, smallParts), 5)
	silent()
	beats.Wait()
	refused("to another cell while one moves it", mover(a, c, smallParts), 5)
	refused("from a cell that does not have it", mover(b, c, smallParts), 6)
	if err := dbs[1].Rehouse(t.Context(), 14, func(_ *store.Tx, p *store.Placing) error { p.Place = store.Here; return nil }); err != nil {
		t.Fatal(err)
	}
	refused("to a cell that says that it has it too", mover(a, b, smallParts), 7)
	if _, err := mover(a, c, smallParts).Move(t.Context(), time.Now, 8); err != nil { // the test can move what may be
		t.Error(err)
	}
}

// A move that fails leaves the part where it was, at work, and nothing of it in the other cell.
func TestMoveUndone(t *testing.T) {
	t.Parallel()
	db, part := lived(t, storetest.DSN(t, "sqlite")+store.Hasty)
	other, err := store.Create(t.Context(), storetest.DSN(t, "sqlite")+store.Hasty)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	settle(t, db, store.Here)
	settle(t, other, store.Away)
	want := sums(t, db, part)
	for _, at := range []string{"stop", "seal", "copy", "ready"} {
		m := mover(stream.Cell{Name: "a", DB: db}, stream.Cell{Name: "b", DB: other}, smallParts)
		failed := errors.New("on purpose")
		stream.SetFault(m, func(step string, _ int) error {
			if step == at {
				return failed
			}
			return nil
		})
		if _, err := m.Move(t.Context(), time.Now, part); !errors.Is(err, failed) {
			t.Fatalf("at %s: got %v", at, err)
		}
		for i, s := range sums(t, db, part) {
			if table := want[i].Differs(&s); table != "" {
				t.Errorf("at %s: table %s of bucket %d is not what it was", at, table, 2*part+i)
			}
		}
		here, there := placings(t, db), placings(t, other)
		for i, s := range sums(t, other, part) {
			if b := 2*part + i; here[b].Place != store.Here || here[b].Mover != "" || there[b].Place != store.Away || s.Rows() > marks {
				t.Errorf("at %s: bucket %d is %q here and %q there, with %d rows", at, b, here[b].Place, there[b].Place, s.Rows())
			}
		}
	}
}

// A part whose messages have no answer yet works on, and is moved once they have.
func TestMoveWaitsForAnswers(t *testing.T) {
	t.Parallel()
	db, part := lived(t, storetest.DSN(t, "sqlite")+store.Hasty)
	other, err := store.Create(t.Context(), storetest.DSN(t, "sqlite")+store.Hasty)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	settle(t, db, store.Here)
	settle(t, other, store.Away)
	bucket := 2 * part
	try := func(fn func(tx *store.Tx, a duly.Attempt) error) {
		t.Helper()
		err := db.UpdateBegun(t.Context(), time.Time{}, []int{bucket}, func(tx *store.Tx) error {
			all, err := tx.BucketContacts(bucket)
			if err != nil || len(all) == 0 {
				return errors.Join(err, errors.New("no contact"))
			}
			id := all[0].ID
			return fn(tx, duly.Attempt{ID: duly.NewAttemptID(id, 9), ContactID: id, BorrowerID: all[0].BorrowerID, No: 9, Carrier: "sandbox", State: duly.AttemptOpen})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	try(func(tx *store.Tx, a duly.Attempt) error { return tx.PutAttempts([]duly.Attempt{a}) })
	m := mover(stream.Cell{Name: "a", DB: db}, stream.Cell{Name: "b", DB: other}, smallParts)
	stream.SetPatience(m, time.Millisecond)
	worked := false
	m.Told = func(_ int, what string) {
		if what == "stands still" || worked {
			return
		}
		worked = true
		if all := placings(t, db); all[bucket].Place != store.Here || all[bucket+1].Place != store.Here {
			t.Errorf("%s: the part is %s and %s, want it to work on", what, all[bucket].Place, all[bucket+1].Place)
		}
		try(func(tx *store.Tx, a duly.Attempt) error {
			a.State = duly.AttemptAccepted
			return tx.FinishAttempts([]duly.Attempt{a})
		})
	}
	if _, err := m.Move(t.Context(), time.Now, part); err != nil || !worked {
		t.Errorf("got %v, it worked on meanwhile: %t", err, worked)
	}
	if placings(t, other)[bucket].Place != store.Here {
		t.Error("the part was not moved")
	}
}

// beating makes cells whose nodes look at the leases often, as tests have no time.
func beating(t *testing.T, shares ...engine.Share) (apps []*app.App) {
	t.Helper()
	for _, share := range shares {
		c := app.Default()
		c.Carriers = map[string]app.CarrierConfig{"sandbox": {Kind: "sandbox", Settings: &rough}}
		c.Store, c.Share = storetest.DSN(t, "sqlite")+store.Hasty, share
		a, err := app.New(t.Context(), c, app.Options{Create: true, Clock: func() time.Time { return time.Time{} }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close() })
		k := engine.NewKeeper(engine.KeeperConfig{DB: a.DB, Holding: a.Engine.Holding(), Name: "test", Lease: time.Minute, Clock: time.Now, NewID: rand.Text})
		ctx, cancel := context.WithCancel(context.Background())
		var work sync.WaitGroup
		work.Go(func() {
			for ctx.Err() == nil {
				if err := k.Beat(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
		t.Cleanup(func() { cancel(); work.Wait() })
		apps = append(apps, a)
	}
	return apps
}

// Parts move between three cells while facts are posted through the log, contacts planned and sent: the result is that of one store.
func TestMoveUnderLoad(t *testing.T) {
	t.Parallel()
	days := 3
	one := cells(t, func() time.Time { return time.Time{} }, engine.Share{})
	live(t, one, 160, days, func(ctx context.Context, now time.Time, facts []duly.Fact) (engine.Applied, error) {
		return one[0].Engine.Apply(ctx, now, "sim", facts)
	}, nil)
	want := contacts(t, one)

	apps := beating(t, stream.ShareOf(parts, 0, 3), stream.ShareOf(parts, 4, parts-1), stream.NoShare(parts))
	var cell []stream.Cell
	for i, a := range apps {
		share := a.Engine.Holding().Share()
		if err := a.DB.Settle(t.Context(), func(b int) store.Place {
			if share.Has(b) {
				return store.Here
			}
			return store.Away
		}); err != nil {
			t.Fatal(err)
		}
		cell = append(cell, stream.Cell{Name: string(rune('a' + i)), DB: a.DB})
	}
	_, pub := open(t, apps)
	pub.Patience = 5 * time.Minute
	hour, moved := 0, 0
	live(t, apps, 160, days, func(ctx context.Context, now time.Time, facts []duly.Fact) (engine.Applied, error) {
		return pub.Apply(ctx, now, "sim", facts)
	}, func() (wait func()) {
		hour++
		var work sync.WaitGroup
		if hour%4 == 1 { // at the first hour too, when the book is told
			part, from, to := hour%parts, (hour/4)%3, (hour/4+1)%3
			work.Go(func() {
				for try := range 3 {
					f := (from + try) % 3
					if placings(t, cell[f].DB)[part*duly.Buckets/parts].Place != store.Here {
						continue
					}
					if f == to {
						to = (to + 1) % 3
					}
					m := mover(cell[f], cell[to], parts)
					m.Grace = 300 * time.Millisecond
					if _, err := m.Move(t.Context(), time.Now, part); err != nil {
						t.Errorf("move part %d from %s to %s: %v", part, m.From.Name, m.To.Name, err)
					}
					moved++
					return
				}
				t.Errorf("no cell has part %d", part)
			})
		}
		return func() {
			work.Wait()
			worked(t, apps)
		}
	})
	got := map[duly.ContactID]row{}
	sent := map[duly.AttemptID]int{}
	owners := [duly.Buckets]int{}
	for _, a := range apps {
		for b, p := range placings(t, a.DB) {
			if p.Place != store.Here {
				continue
			}
			owners[b]++
			if err := a.DB.View(t.Context(), func(tx *store.Tx) error {
				all, err := tx.BucketContacts(b)
				for _, c := range all {
					got[c.ID] = row{string(c.State), c.Reason, c.NotBefore.String()}
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		messages(t, a, sent)
	}
	for b, n := range owners {
		if n != 1 {
			t.Fatalf("bucket %d is in %d cells", b, n)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("three cells with moves (+) differ from one store (-):\n%s", diff)
	}
	once := map[duly.AttemptID]int{}
	messages(t, one[0], once)
	if diff := cmp.Diff(once, sent); diff != "" || len(once) < 50 {
		t.Errorf("messages at the carrier, of %d (-one store +three cells):\n%s", len(once), diff)
	}
	if moved < 5 {
		t.Errorf("only %d moves", moved)
	}
	for i, a := range apps {
		if r, err := a.DB.AuditVerify(t.Context()); err != nil || len(r.Breaks) > 0 {
			t.Errorf("the audit of cell %s: %+v, %v", cell[i].Name, r.Breaks, err)
		}
	}
	t.Logf("%d contacts, %d messages, %d moves", len(got), len(sent), moved)
}

func messages(t *testing.T, a *app.App, into map[duly.AttemptID]int) {
	t.Helper()
	all, err := a.DB.SandboxMessages(t.Context(), time.Time{}, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		into[m.AttemptID]++
	}
}

// worked waits until every bucket is some node's of the cell that has it.
func worked(t *testing.T, apps []*app.App) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		held := 0
		for _, a := range apps {
			held += a.Engine.Holding().State().Buckets
		}
		if held == duly.Buckets {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %d of %d buckets are worked on", held, duly.Buckets)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// live runs days of a book: facts, then steps until nothing is left to do, hour by hour. beside, if not nil, is called at each hour
// ahead of them; what it returns is waited for before the last steps of the hour.
func live(t *testing.T, apps []*app.App, borrowers, days int, apply func(context.Context, time.Time, []duly.Fact) (engine.Applied, error), beside func() (wait func())) {
	t.Helper()
	start, loc := civil.On(2026, 3, 2), apps[0].Location
	o := sim.Options{Seed: 13, Borrowers: borrowers, Start: start, Days: days, Location: loc}
	w, err := sim.NewBook(o)
	if err != nil {
		t.Fatal(err)
	}
	events, next := w.Events(o), 0
	step := func(now time.Time) {
		for more := true; more; {
			more = false
			for _, a := range apps {
				r, err := a.Engine.Step(t.Context(), now)
				if err != nil {
					t.Fatal(err)
				}
				more = more || r.More
			}
		}
	}
	for d := range days {
		for _, hour := range []int{1, 8, 9, 10, 12, 14, 16, 18, 20, 22} {
			now := start.Add(d).At(civil.Clock(hour*60), loc).UTC()
			var facts []duly.Fact
			if d == 0 && hour == 1 {
				facts = w.Facts()
			}
			for ; next < len(events) && !events[next].At.After(now); next++ {
				facts = append(facts, events[next].Fact)
			}
			wait := func() {}
			if beside != nil {
				wait = beside()
			}
			if len(facts) > 0 {
				if _, err := apply(t.Context(), now, facts); err != nil {
					t.Fatal(err)
				}
			}
			for _, a := range apps {
				if err := a.Engine.FeedThrough(t.Context(), now, engine.FeedPayments, now); err != nil {
					t.Fatal(err)
				}
			}
			step(now)
			wait()
			step(now)
		}
	}
}
