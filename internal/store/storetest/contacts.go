package storetest

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

var today = civil.On(2026, 3, 10)

func (w *world) putContacts(cs ...duly.Contact) {
	w.Helper()
	var buckets []int
	for _, c := range cs {
		buckets = append(buckets, c.BorrowerID.Bucket())
	}
	w.update(buckets, func(tx *store.Tx) error { return tx.PutContacts(cs) })
}

func (w *world) move(c duly.Contact, from duly.ContactState) error {
	return w.try([]int{c.BorrowerID.Bucket()}, func(tx *store.Tx) error { return tx.MoveContacts([]store.Move{{Contact: c, From: from}}) })
}

func (w *world) contact(id duly.ContactID) duly.Contact {
	w.Helper()
	c, err := w.db.FindContact(context.Background(), id)
	if err != nil {
		w.Fatalf("find contact: %v", err)
	}
	return c
}

// testMoves walks the product's table of moves: the store makes those, and staying put, and refuses every other.
func testMoves(t *testing.T, w *world) {
	ids := InBucket(12, 1)
	rung := 0
	for _, from := range duly.ContactStates() {
		for _, to := range duly.ContactStates() {
			rung++
			c := Contact(ids[0], "d-3", today, rung)
			c.State = from
			w.putContacts(c)
			c.State = to
			err := w.move(c, from)
			if allowed := from == to || from.CanBecome(to); allowed != (err == nil) {
				t.Errorf("%s to %s: allowed %v, got error %v", from, to, allowed, err)
			}
			want := to
			if err != nil {
				want = from
			}
			if got := w.contact(c.ID).State; got != want {
				t.Errorf("%s to %s: got %s, want %s", from, to, got, want)
			}
		}
	}
	c := Contact(ids[0], "d-3", today, 0)
	w.putContacts(c)
	c.State = duly.Accepted
	if err := w.move(c, duly.Claimed); duly.CodeOf(err) != duly.Conflict {
		t.Errorf("a move from a state it is not in: got %v, want a conflict", err)
	}
	c.ID = duly.NewContactID(ids[0], "consumer-cn", "d-3", today, 999)
	if err := w.move(c, duly.Claimed); duly.CodeOf(err) != duly.Conflict {
		t.Errorf("a move of a contact that is not there: got %v, want a conflict", err)
	}
}

func testContactRoundTrip(t *testing.T, w *world) {
	b := InBucket(13, 1)[0]
	w.put(Borrower(b))
	c := Contact(b, "d-3", today, 1)
	c.Reason, c.Late, c.FallbackAt, c.SentAt, c.Attempts = "throttled", true, Noon.Add(time.Hour), Noon.Add(-time.Minute), 2
	c.Items = append(c.Items, c.Items[0])
	c.Decision = duly.Decision{
		Verdict: duly.Defer, NotBefore: Noon.Add(time.Hour), Packs: []string{"cn-mainland@1f", "policy-default@2a"},
		Reasons: []duly.Reason{{Code: "outside_contact_hours", Rule: "CN-01", Pack: "cn-mainland", Force: duly.ForceSelfReg, Verdict: duly.Defer, Until: Noon.Add(time.Hour), Source: "第十九条", Facts: `22:10 "Asia/Shanghai"; 08:00–22:00`}},
	}
	w.putContacts(c)
	w.same("contact", w.contact(c.ID), c)
	w.same("contact of the person", w.person(b).Contacts, []duly.Contact{c})

	// A move without a decision keeps the last; the rest is as moved, and changed now.
	moved := c
	moved.State, moved.Decision, moved.Attempts, moved.NotBefore, moved.Items = duly.Claimed, duly.Decision{}, 3, Noon, c.Items[:1]
	if err := w.move(moved, duly.Planned); err != nil {
		t.Fatal(err)
	}
	want := moved
	want.Decision, want.ChangedAt = c.Decision, w.now
	w.same("moved", w.contact(c.ID), want)

	// An answer moves it on, and leaves what was sent and why.
	answered := want
	answered.State, answered.Reason, answered.Items, answered.Tone, answered.Decision = duly.Failed, "refused", nil, "firm", duly.Decision{}
	answered.NotBefore, answered.FallbackAt, answered.SentAt, answered.Attempts = Noon.Add(time.Minute), time.Time{}, Noon, 4
	if err := w.try([]int{13}, func(tx *store.Tx) error {
		return tx.AnswerContacts([]store.Move{{Contact: answered, From: duly.Claimed}})
	}); err != nil {
		t.Fatal(err)
	}
	answered.Items, answered.Tone, answered.Decision = want.Items, want.Tone, want.Decision
	w.same("answered", w.contact(c.ID), answered)
	w.view(func(tx *store.Tx) error {
		got, err := tx.Standings([]duly.ContactID{c.ID, "junk"})
		w.same("standings", got, map[duly.ContactID]store.Standing{c.ID: {State: duly.Failed, Attempts: 4}})
		return err
	})

	if _, err := w.db.FindContact(context.Background(), duly.NewContactID(b, "x", "x", today, 0)); duly.CodeOf(err) != duly.NotFound {
		t.Errorf("a contact that is not there: got %v, want not found", err)
	}
	if _, err := w.db.FindContact(context.Background(), "junk"); duly.CodeOf(err) != duly.NotFound {
		t.Errorf("junk for an id: got %v, want not found", err)
	}
}

func testContactQueries(t *testing.T, w *world) {
	ids := InBucket(14, 9)
	make := func(i int, change func(c *duly.Contact)) duly.Contact {
		c := Contact(ids[i], "d-3", today, 0)
		change(&c)
		return c
	}
	due := make(0, func(*duly.Contact) {})
	urgent := make(1, func(c *duly.Contact) { c.Priority = 50 })
	exactly := make(2, func(c *duly.Contact) { c.NotBefore = w.now })
	later := make(3, func(c *duly.Contact) { c.NotBefore = w.now.Add(time.Microsecond) })
	over := make(4, func(c *duly.Contact) { c.ExpiresAt = w.now })
	overEarly := make(5, func(c *duly.Contact) { c.NotBefore, c.ExpiresAt = w.now.Add(time.Hour), w.now.Add(-time.Hour) })
	claimed := make(6, func(c *duly.Contact) { c.State = duly.Claimed })
	blocked := make(7, func(c *duly.Contact) { c.State = duly.Blocked })
	follow := make(8, func(c *duly.Contact) { c.State, c.FallbackAt = duly.Accepted, w.now })
	w.putContacts(due, urgent, exactly, later, over, overEarly, claimed, blocked, follow)

	dueOf := func(c duly.Contact) store.Due { return store.Due{Contact: c.ID, Borrower: c.BorrowerID} }
	w.view(func(tx *store.Tx) error {
		got, err := tx.DueContacts([]int{14}, w.now, 100)
		alike := []store.Due{dueOf(overEarly), dueOf(due), dueOf(over)} // woken at one moment
		slices.SortFunc(alike, func(a, b store.Due) int { return cmp.Compare(a.Contact, b.Contact) })
		w.same("due or over", got, slices.Concat([]store.Due{dueOf(urgent)}, alike, []store.Due{dueOf(exactly)}))
		if err != nil {
			return err
		}
		got, err = tx.DueContacts([]int{14}, w.now, 2)
		w.same("due, two of them", got, []store.Due{dueOf(urgent), alike[0]})
		if err != nil {
			return err
		}
		open, err := tx.OpenContacts(14, ids)
		w.same("open", len(open), 7)
		if err != nil {
			return err
		}
		who, err := tx.Followups([]int{14}, w.now)
		w.same("follow up", who, []duly.BorrowerID{ids[8]})
		if err != nil {
			return err
		}
		who, err = tx.Followups([]int{14}, w.now.Add(-time.Microsecond))
		w.same("follow up before it is time", len(who), 0)
		if err != nil {
			return err
		}
		found, err := tx.FindContacts([]duly.ContactID{due.ID, "c00enope"})
		w.same("found", found, map[duly.ContactID]duly.Contact{due.ID: due})
		return err
	})
	ctx := context.Background()
	for _, c := range []struct {
		name string
		ask  func() ([]int, error)
		want []int
	}{
		{"due", func() ([]int, error) { return w.db.DueBuckets(ctx, w.now) }, []int{14}},
		{"over", func() ([]int, error) { return w.db.DueBuckets(ctx, w.now.Add(-time.Hour)) }, []int{14}},
		{"due long ago", func() ([]int, error) { return w.db.DueBuckets(ctx, w.now.AddDate(0, 0, -1)) }, nil},
	} {
		got, err := c.ask()
		if err != nil {
			t.Fatal(err)
		}
		w.same(c.name+" buckets", got, c.want)
	}
}

// testWaiting moves contacts about by chance and holds the rows of what waits against the contacts themselves.
func testWaiting(t *testing.T, w *world) {
	rnd := rand.New(rand.NewPCG(11, 7))
	people, states := InBucket(18, 6), duly.ContactStates()
	chance := func(c *duly.Contact) {
		c.Priority = rnd.IntN(3)
		c.NotBefore, c.ExpiresAt, c.FallbackAt = w.now.Add(time.Duration(rnd.IntN(5))*time.Hour), w.now.Add(time.Duration(rnd.IntN(5))*time.Hour), time.Time{}
		if rnd.IntN(2) == 0 {
			c.FallbackAt = w.now.Add(time.Hour)
		}
	}
	var contacts []duly.Contact
	for i := range 40 {
		c := Contact(people[i%len(people)], "d-3", today, i)
		c.State = states[rnd.IntN(len(states))]
		chance(&c)
		contacts = append(contacts, c)
	}
	w.putContacts(contacts...)
	sawSend, sawNext := false, false
	for range 60 {
		var moves []store.Move
		for i := range contacts {
			c := &contacts[i]
			from, to := c.State, states[rnd.IntN(len(states))]
			if rnd.IntN(3) > 0 || from != to && !from.CanBecome(to) {
				continue
			}
			c.State = to
			chance(c)
			moves = append(moves, store.Move{Contact: *c, From: from})
		}
		w.update([]int{18}, func(tx *store.Tx) error { return tx.MoveContacts(moves) })
		w.view(func(tx *store.Tx) error {
			got, err := tx.BucketWaits(18)
			if err != nil {
				return err
			}
			want := waits(contacts)
			w.same("what waits", got, want)
			for _, x := range want {
				sawSend, sawNext = sawSend || !x.Next, sawNext || x.Next
			}
			return nil
		})
	}
	if !sawSend || !sawNext {
		t.Errorf("waited to be sent: %v, for a next rung: %v; want both", sawSend, sawNext)
	}
}

// waits is what contacts wait for, as the table's own words have it.
func waits(contacts []duly.Contact) []store.Wait {
	var out []store.Wait
	for _, c := range contacts {
		x := store.Wait{Contact: c.ID, Borrower: c.BorrowerID, At: c.NotBefore, Priority: c.Priority}
		if c.ExpiresAt.Before(c.NotBefore) {
			x.At = c.ExpiresAt
		}
		if c.State != duly.Planned {
			x.Next, x.At = true, c.FallbackAt
		}
		switch c.State {
		case duly.Planned, duly.Accepted, duly.Delivered, duly.Failed:
			if !x.At.IsZero() {
				out = append(out, x)
			}
		case duly.Claimed, duly.Read, duly.InDoubt, duly.Blocked, duly.Cancelled:
		}
	}
	slices.SortFunc(out, func(a, b store.Wait) int { return cmp.Compare(a.Contact, b.Contact) })
	return out
}

func testContactTwice(t *testing.T, w *world) {
	b := InBucket(15, 2)
	c := Contact(b[0], "d-3", today, 0)
	w.putContacts(c)
	before := w.bucket(15)
	err := w.try([]int{15}, func(tx *store.Tx) error { return tx.PutContacts([]duly.Contact{Contact(b[1], "d-3", today, 0), c}) })
	if duly.CodeOf(err) != duly.Conflict {
		t.Errorf("got %v, want a conflict", err)
	}
	if _, err := w.db.FindContact(context.Background(), duly.NewContactID(b[1], "consumer-cn", "d-3", today, 0)); duly.CodeOf(err) != duly.NotFound {
		t.Errorf("the other contact of the transaction: got %v, want not found", err)
	}
	w.same("bucket", w.bucket(15), before)
}

func testAttempts(t *testing.T, w *world) {
	b := InBucket(16, 2)
	ctx := context.Background()
	c := Contact(b[0], "d-3", today, 0)
	a1, a2 := Attempt(&c, 1), Attempt(&c, 2)
	w.update([]int{16}, func(tx *store.Tx) error { return tx.PutAttempts([]duly.Attempt{a1, a2}) })
	w.view(func(tx *store.Tx) error {
		got, err := tx.Attempts(c.ID)
		w.same("attempts", got, []duly.Attempt{a1, a2})
		if err != nil {
			return err
		}
		open, err := tx.OpenAttempts(16, a1.LeaseUntil.Add(-1), 10)
		w.same("open before the lease ends", len(open), 0)
		if err != nil {
			return err
		}
		open, err = tx.OpenAttempts(16, a1.LeaseUntil, 10)
		w.same("open when the lease ends", open, []duly.Attempt{a1, a2})
		return err
	})
	if err := w.try([]int{16}, func(tx *store.Tx) error { return tx.PutAttempts([]duly.Attempt{a1}) }); duly.CodeOf(err) != duly.Conflict {
		t.Errorf("an attempt made twice: got %v, want a conflict", err)
	}
	odd := a1
	odd.No = 7
	if err := w.try([]int{16}, func(tx *store.Tx) error { return tx.PutAttempts([]duly.Attempt{odd}) }); err == nil {
		t.Error("an attempt whose id is not of its number: got no error")
	}

	finish := func(a duly.Attempt) {
		w.update([]int{16}, func(tx *store.Tx) error { return tx.FinishAttempts([]duly.Attempt{a}) })
	}
	find := func(id duly.AttemptID) (a duly.Attempt) {
		w.view(func(tx *store.Tx) (err error) { a, err = tx.FindAttempt(id); return err })
		return a
	}
	doubt := a1
	doubt.State, doubt.Class, doubt.Detail, doubt.EndedAt = duly.AttemptInDoubt, "unknown", "timeout", Noon.Add(time.Minute)
	finish(doubt)
	w.same("in doubt", find(a1.ID), doubt)
	for _, q := range []struct {
		carrier string
		before  time.Time
		want    int
	}{{"", time.Time{}, 1}, {"sandbox", time.Time{}, 1}, {"smtp", time.Time{}, 0}, {"", doubt.EndedAt, 1}, {"", doubt.EndedAt.Add(-time.Microsecond), 0}} {
		got, err := w.db.InDoubt(ctx, q.carrier, q.before, 10)
		if err != nil || len(got) != q.want {
			t.Errorf("in doubt of %q before %s: got %d, %v; want %d", q.carrier, q.before, len(got), err, q.want)
		}
	}
	done := doubt
	done.State, done.ProviderID, done.Class, done.Detail = duly.AttemptAccepted, "prov-1", "", ""
	finish(done)
	late := done
	late.State, late.ProviderID = duly.AttemptRefused, ""
	finish(late)
	w.same("its end stays", find(a1.ID), done)
	got, err := w.db.FindAttemptByProvider(ctx, "sandbox", "prov-1")
	if err != nil {
		t.Fatal(err)
	}
	w.same("by provider", got, done)
	for _, miss := range [][2]string{{"smtp", "prov-1"}, {"sandbox", "prov-2"}, {"sandbox", ""}} {
		if _, err := w.db.FindAttemptByProvider(ctx, miss[0], miss[1]); duly.CodeOf(err) != duly.NotFound {
			t.Errorf("by provider %q: got %v, want not found", miss, err)
		}
	}
	w.view(func(tx *store.Tx) error {
		for _, id := range []duly.AttemptID{duly.NewAttemptID(c.ID, 3), "junk", a1.ID + "x", "a010"} {
			if _, err := tx.FindAttempt(id); duly.CodeOf(err) != duly.NotFound {
				t.Errorf("attempt %q: got %v, want not found", id, err)
			}
		}
		return nil
	})
	buckets, err := w.db.LeaseBuckets(ctx, a2.LeaseUntil)
	if err != nil {
		t.Fatal(err)
	}
	w.same("lease buckets", buckets, []int{16})
}

func testRecalled(t *testing.T, w *world) {
	c := Contact(InBucket(17, 1)[0], "d-3", today, 0)
	a := Attempt(&c, 1)
	w.update([]int{17}, func(tx *store.Tx) error { return tx.PutAttempts([]duly.Attempt{a}) })
	back := a
	back.State, back.EndedAt = duly.AttemptRecalled, Noon
	w.update([]int{17}, func(tx *store.Tx) error { return tx.FinishAttempts([]duly.Attempt{back}) })
	again := a
	again.ClaimedAt, again.Text = Noon.Add(time.Hour), "anew"
	w.update([]int{17}, func(tx *store.Tx) error { return tx.PutAttempts([]duly.Attempt{again}) })
	w.view(func(tx *store.Tx) error {
		got, err := tx.Attempts(c.ID)
		w.same("attempts", got, []duly.Attempt{again})
		return err
	})
}
