package engine_test

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// rounds is how often the race is run on an engine: 1,000 times on SQLite, fewer on Postgres, where a round takes longer.
// ROUNDS=1000 runs as many everywhere.
func rounds(t *testing.T, kind string) int {
	t.Helper()
	if s := os.Getenv("ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("ROUNDS=%s is no number of rounds", s)
		}
		return n
	}
	if kind == "postgres" {
		return 150
	}
	return 1000
}

// Eight claimers race for the last slot of a person's limit: Duly's own dispatch, an agent's desk and an agency's, half of
// them over a connection of their own, as another process would. One gets it, every time.
func TestLastSlotGoesToOne(t *testing.T) {
	t.Parallel()
	const limit, duplicates = 3, 4 // Duly's own contacts that wait for the same slot
	for _, kind := range storetest.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dsn := storetest.DSN(t, kind)
			if kind == "sqlite" {
				dsn += store.Hasty
			}
			var worlds [2]*world
			for i := range worlds {
				db, err := store.Create(t.Context(), dsn)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() })
				worlds[i] = newLedger(t, db, limited(limit, "calendar_day"))
			}
			w, total := worlds[0], rounds(t, kind)
			now := w.at(0, "11:00")
			w.fresh(now)
			var facts []duly.Fact
			for i := range total {
				id := duly.BorrowerID(fmt.Sprintf("R%d", i))
				facts = append(facts, person(id)...)
				for n := range limit - 1 { // all slots but one are taken
					facts = append(facts, &duly.Touch{BorrowerID: id, ID: fmt.Sprint(n), Channel: duly.ChannelAgent, Outcome: "answered", At: w.at(0, "10:00"), Version: 1})
				}
			}
			w.apply(w.at(0, "09:00"), facts...)
			byDuly, byOthers := 0, 0
			for i := range total {
				id := duly.BorrowerID(fmt.Sprintf("R%d", i))
				var own []duly.Contact
				for n := range duplicates {
					own = append(own, duly.Contact{
						ID: duly.NewContactID(id, "test", "today", due, n), BorrowerID: id, Strategy: "test", Step: "today", Day: due, Rung: n,
						Channel: duly.ChannelSMS, PointID: "m", Purpose: duly.PurposeDueDay, Tone: duly.TonePlain, Template: "due-today",
						Items: []duly.Item{{LoanID: duly.LoanID("L-" + id), No: 1, DueOn: due}}, State: duly.Planned, NotBefore: now, ExpiresAt: w.at(0, "20:00"),
					})
				}
				if err := w.db.Update(t.Context(), now, []int{id.Bucket()}, func(tx *store.Tx) error { return tx.PutContacts(own) }); err != nil {
					t.Fatal(err)
				}
				claimed, given := race(t, worlds, id, i)
				if claimed+given != 1 {
					t.Fatalf("round %d: Duly claimed %d and %d slots were given, want one of all", i, claimed, given)
				}
				if n := counted(t, w, id); n != limit {
					t.Fatalf("round %d: %d are on record, want %d", i, n, limit)
				}
				byDuly, byOthers = byDuly+claimed, byOthers+given
			}
			t.Logf("%d rounds: Duly got the slot %d times, others %d times, both never", total, byDuly, byOthers)
			if total >= 100 && (byDuly == 0 || byOthers == 0) {
				t.Errorf("Duly got the slot %d times, others %d times: there was no race", byDuly, byOthers)
			}
		})
	}
}

// race lets eight claimers go at once and returns how many contacts Duly claimed and how many slots it gave to others.
func race(t *testing.T, worlds [2]*world, id duly.BorrowerID, round int) (claimed, given int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	start := make(chan struct{})
	now := worlds[0].at(0, "11:00")
	for n := range 8 {
		e := worlds[n/2%2].e
		wg.Go(func() {
			<-start
			if (n+round)%2 == 0 {
				got, err := e.ClaimBucket(t.Context(), now, id.Bucket())
				mu.Lock()
				defer mu.Unlock()
				if claimed += got; err != nil {
					t.Errorf("claim: %v", err)
				}
				return
			}
			a := engine.Ask{BorrowerID: id, Channel: duly.ChannelAgent, Actor: duly.Actor{Type: "human"}, Minutes: 5, Key: fmt.Sprint(n)}
			if n > 4 {
				a.Actor.Agency = fmt.Sprintf("agency-%d", n)
			}
			s, err := e.Reserve(t.Context(), now, "test", a)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("reserve: %v", err)
			} else if s.Verdict == duly.Allow {
				given++
			}
		})
	}
	close(start)
	wg.Wait()
	return claimed, given
}

// counted returns how many of a person's contacts and touches are on record as made, or as about to be.
func counted(t *testing.T, w *world, id duly.BorrowerID) int {
	t.Helper()
	n := 0
	for _, c := range w.contacts(id) {
		if c.State.CountsAsSent() {
			n++
		}
	}
	err := w.db.View(t.Context(), func(tx *store.Tx) error {
		persons, err := tx.Persons(id.Bucket(), []duly.BorrowerID{id}, due.Add(-1).At(0, w.loc))
		if err == nil {
			n += len(persons[0].Touches)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Where a claim may take one bucket at a time, a book that is spread thinly over many of them is sent whole.
func TestThinBuckets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, storetest.Partitioned))
	const people = 150 // more buckets than a number has bits: the size of a claim is doubled while buckets hold little
	var facts []duly.Fact
	for b := range people {
		facts = append(facts, person(storetest.InBucket(b, 1)[0])...)
	}
	w.apply(w.at(-5, "10:00"), facts...)
	w.step(w.at(0, "06:00"))
	if r := w.step(w.at(0, "12:00")); r.Dispatched.Accepted != people || w.car.count() != people {
		t.Errorf("got %d accepted and %d at the carrier, want %d", r.Dispatched.Accepted, w.car.count(), people)
	}
}
