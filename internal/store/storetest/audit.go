package storetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

// testRoots makes roots over some days, and exports days of them.
func testRoots(_ *testing.T, w *world) {
	ctx, day := context.Background(), civil.On(2026, 3, 10)
	note := func(bucket, n int) {
		for i := range n {
			w.update([]int{bucket}, func(tx *store.Tx) error { tx.Audit(bucket, "facts", "te\xffst", "<s>", i); return nil })
		}
	}
	verify := func(what string, kept []audit.Root, entries int64, roots int) {
		w.Helper()
		r, err := w.db.AuditVerify(ctx, kept...)
		if err != nil || len(r.Breaks) != 0 || r.Entries != entries || r.Roots != roots {
			w.Fatalf("%s: got %+v, %v; want %d entries and %d roots that hold", what, r, err, entries, roots)
		}
	}
	verify("nothing", nil, 0, 0)
	w.same("no roots", must(w.db.LatestRoots(ctx, 5)), []audit.Root(nil))
	if _, err := w.db.AuditRoot(ctx, 1); duly.CodeOf(err) != duly.NotFound {
		w.Errorf("no root: got %v", err)
	}
	var made []audit.Root
	for n := range 4 { // at Noon of each day; bucket 900 begins on the third
		if note(5, 2); n >= 2 {
			note(900, 1)
		}
		root, fresh, err := w.db.DailyRoot(ctx, w.now, day.Add(n))
		if again, twice, err2 := w.db.DailyRoot(ctx, w.now, day.Add(n)); err != nil || err2 != nil || !fresh || twice || again.Hash != root.Hash {
			w.Fatalf("root %d: got %v, %v, %v; again %v, %v", n, root.No, fresh, err, twice, err2)
		}
		made = append(made, root)
		w.now = w.now.AddDate(0, 0, 1)
	}
	note(7, 1)
	if root, fresh, err := w.db.MakeRoot(ctx, w.now, day.Add(3)); err != nil || !fresh || root.No != 5 || root.Entries != 11 {
		w.Errorf("a second root of a day: got %v, %v, %v", root.No, fresh, err)
	} else {
		made = append(made, root)
	}
	verify("four days", made, 11, 5)
	w.same("roots", must(w.db.AuditRoots(ctx)), made)
	last := must(w.db.AuditRoot(ctx, 5))
	w.same("the last root", last, made[4])
	last.Heads = nil
	w.same("the newest", must(w.db.LatestRoots(ctx, 1)), []audit.Root{last})
	if made[3].Prev != made[2].Hash || made[3].Entries != 10 || len(made[1].Heads) != 1 || !made[3].Holds() {
		w.Errorf("got root %+v", made[3])
	}

	w.same("unposted", len(must(w.db.UnpostedRoots(ctx, 9))), 5)
	if err := w.db.RootPosted(ctx, w.now, 1); err != nil {
		w.Error(err)
	}
	w.same("unposted", must(w.db.UnpostedRoots(ctx, 2)), made[1:3])

	for _, c := range []struct {
		from, to       civil.Date
		entries, roots int
		first, last    int64
	}{
		{civil.Date{}, civil.Date{}, 11, 5, 0, 0},
		{day.Add(1), day.Add(1), 5, 3, 1, 3}, // from the root before it began to the one after it was over
		{day.Add(-3), day, 4, 2, 0, 2},       // from the beginning
		{day.Add(3), day.Add(9), 4, 3, 3, 0}, // to the end
		{day.Add(9), civil.Date{}, 0, 1, 5, 0},
	} {
		var file bytes.Buffer
		if err := w.db.ExportAudit(ctx, &file, w.now, store.Span{From: c.from, To: c.to, In: time.UTC}); err != nil {
			w.Fatal(err)
		}
		what := fmt.Sprintf("export of %s to %s", c.from, c.to)
		h, r, err := audit.VerifyExport(bytes.NewReader(file.Bytes()), made, nil)
		if err != nil || len(r.Breaks) != 0 || r.Entries != int64(c.entries) || h.First != c.first || h.Last != c.last {
			w.Errorf("%s: got %+v, %+v, %v; want %+v", what, h, r, err, c)
		}
		if n := bytes.Count(file.Bytes(), []byte(`{"root":`)); n != c.roots {
			w.Errorf("%s: got %d roots, want %d", what, n, c.roots)
		}
	}
}

// testConcealed keeps what is said of a person apart from the record, and erases it.
func testConcealed(_ *testing.T, w *world) {
	ids := InBucket(5, 2)
	var facts []duly.Fact
	var attempts []duly.Attempt
	for _, id := range ids {
		facts = append(facts, Borrower(id))
		c := Contact(id, "d0", civil.On(2026, 3, 10), 0)
		for n := 1; n <= 2; n++ {
			a := Attempt(&c, n)
			a.State, a.Salt, a.BegunAt, a.FencedAt = duly.AttemptAccepted, "ab", Noon.Add(time.Second), Noon.Add(time.Minute)
			if n == 2 {
				a.State = duly.AttemptOpen
			}
			attempts = append(attempts, a)
		}
	}
	w.put(facts...)
	said := map[duly.BorrowerID][]string{}
	w.update([]int{5}, func(tx *store.Tx) error {
		for _, id := range ids {
			for range 2 { // the same words twice are not the same commitment
				hash, err := tx.Conceal(id, "she said so")
				if err != nil {
					return err
				}
				said[id] = append(said[id], hash)
			}
		}
		tx.Audit(5, "said", "test", "", said[ids[0]])
		return tx.PutAttempts(attempts)
	})
	openings := func(id duly.BorrowerID) (out []audit.Opening) {
		w.view(func(tx *store.Tx) (err error) { out, err = tx.Openings(id); return err })
		return out
	}
	for _, id := range ids {
		got := openings(id)
		if len(got) != 2 || got[0].Hash == got[1].Hash || !slices.Contains(said[id], got[0].Hash) {
			w.Fatalf("openings: got %+v of %q", got, said[id])
		}
		for _, o := range got {
			if !o.Holds() || o.Value != "she said so" {
				w.Errorf("got an opening %+v that does not open", o)
			}
		}
	}
	if err := w.try([]int{6}, func(tx *store.Tx) error { _, err := tx.Conceal(ids[0], "x"); return err }); err == nil {
		w.Error("concealed in a bucket that is not held")
	}
	renamed := *Borrower(ids[0])
	renamed.Name, renamed.Version = "改名", renamed.Version+1
	w.put(&renamed)
	var erased store.Erased
	w.update([]int{5}, func(tx *store.Tx) (err error) { erased, err = tx.EraseOpenings(ids[0]); return err })
	w.same("erased", erased, store.Erased{Openings: 2, Attempts: 1, Past: 1})
	if len(openings(ids[0])) != 0 || len(openings(ids[1])) != 2 {
		w.Error("erasing took too little, or somebody else's")
	}
	w.view(func(tx *store.Tx) error {
		for i, want := range attempts {
			got, err := tx.FindAttempt(want.ID)
			if err != nil {
				return err
			}
			if i == 0 {
				want.Text, want.Salt, want.Known = "", "", duly.Knowledge{}
			}
			w.same("attempt", got, want)
		}
		return nil
	})
	if r, err := w.db.AuditVerify(context.Background()); err != nil || len(r.Breaks) != 0 {
		w.Errorf("after erasing: got %v, %v", r.Breaks, err)
	}
}

// testPaymentsKnown notes since which version of its bucket a payment is known as it stands, and fences tries.
func testPaymentsKnown(_ *testing.T, w *world) {
	id := InBucket(5, 1)[0]
	w.put(Borrower(id), Loan(id, "L1"), Installment(id, "L1", 3, civil.On(2026, 3, 13)))
	known := func() (out store.Known) {
		w.view(func(tx *store.Tx) error {
			all, err := tx.PaymentsKnown(5, []duly.BorrowerID{id})
			out = all[id]["P1"]
			return err
		})
		return out
	}
	w.same("not known", known(), store.Known{})
	at := w.bucket(5).Version
	p := Payment(id, "L1", "P1", 250)
	w.put(p)
	first := store.Known{Version: at + 1, At: w.now}
	w.same("known", known(), first)
	if v := w.bucket(5).Version; v != at+1 {
		w.Errorf("version: got %d, want %d: a claim from now on knows of the payment", v, at+1)
	}
	w.now = w.now.Add(time.Hour)
	again := *p
	again.Version = 2
	w.put(&again)
	w.same("the same in a newer version", known(), first)
	at = w.bucket(5).Version
	again.Version, again.Amount.Minor = 3, 300
	w.put(&again)
	w.same("another amount", known(), store.Known{Version: at + 1, At: w.now})

	c := Contact(id, "d0", civil.On(2026, 3, 10), 0)
	c.Attempts = 1
	open := Attempt(&c, 1)
	fence := func(at time.Time) {
		w.update([]int{5}, func(tx *store.Tx) error { return tx.FenceAttempts([]duly.Contact{c}, at) })
	}
	w.update([]int{5}, func(tx *store.Tx) error { return tx.PutAttempts([]duly.Attempt{open}) })
	fence(Noon.Add(time.Second))
	fence(Noon.Add(time.Minute)) // the first stays
	open.State, open.EndedAt, open.BegunAt, open.FencedAt = duly.AttemptInDoubt, Noon.Add(time.Hour), Noon, Noon.Add(time.Second)
	finish := func(a duly.Attempt) {
		w.update([]int{5}, func(tx *store.Tx) error { return tx.FinishAttempts([]duly.Attempt{a}) })
	}
	finish(open)
	later := open // a receipt does not know when the POST began
	later.State, later.BegunAt = duly.AttemptAccepted, time.Time{}
	finish(later)
	open.State = duly.AttemptAccepted
	fence(Noon.Add(time.Hour)) // it is over
	w.view(func(tx *store.Tx) error {
		got, err := tx.AttemptsBetween(5, Noon, Noon.Add(1))
		w.same("attempts", got, []duly.Attempt(nil))
		if err == nil {
			got, err = tx.AttemptsBetween(5, Noon, Noon.Add(time.Microsecond))
			w.same("attempts", got, []duly.Attempt{open})
		}
		return err
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
