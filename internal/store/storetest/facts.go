package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/store"
)

func testRoundTrip(t *testing.T, w *world) {
	b := InBucket(7, 1)[0]
	facts := allKinds(b)
	for i, r := range w.put(facts...) {
		if r != store.Added {
			t.Errorf("%s: got %s, want added", facts[i].FactKind(), r)
		}
	}
	got := w.person(b)
	want := duly.Person{
		Borrower: *facts[0].(*duly.Borrower), Points: []duly.ContactPoint{*facts[1].(*duly.ContactPoint)}, Loans: []duly.Loan{*facts[2].(*duly.Loan)},
		Installments: []duly.Installment{*facts[3].(*duly.Installment)}, Debits: []duly.Debit{*facts[5].(*duly.Debit)},
		Consents: []duly.Consent{*facts[6].(*duly.Consent)}, OptOuts: []duly.OptOut{*facts[7].(*duly.OptOut)}, Holds: []duly.Hold{*facts[8].(*duly.Hold)},
		Touches: []duly.Touch{*facts[9].(*duly.Touch)}, Notices: []duly.Notice{*facts[12].(*duly.Notice)},
		Preferences: []duly.Preference{*facts[13].(*duly.Preference)},
	}
	w.same("person", got, want)
	w.view(func(tx *store.Tx) error {
		ls, err := tx.Ledgers(7, []duly.BorrowerID{"nobody", b})
		w.same("ledgers", ls, []store.Ledger{{BorrowerID: b, Loans: want.Loans, Installments: want.Installments, Payments: []duly.Payment{*facts[4].(*duly.Payment)}}})
		return err
	})
}

// testSameIDs puts facts that share their only owner and their id, one kind after the other.
func testSameIDs(t *testing.T, w *world) {
	b := InBucket(8, 1)[0]
	facts := []duly.Fact{
		Borrower(b), &duly.ContactPoint{BorrowerID: b, ID: duly.PointID(b), Kind: duly.PointMobile, State: duly.PointActive, Version: 1},
		Loan(b, duly.LoanID(b)), &duly.Hold{BorrowerID: b, ID: duly.HoldID(b), Kind: "manual", Scope: duly.HoldPerson, From: Noon, Version: 1},
		&duly.Touch{BorrowerID: b, ID: string(b), At: Noon, Version: 1},
	}
	for _, want := range []store.PutResult{store.Added, store.Same} {
		for i, r := range w.put(facts...) {
			if r != want {
				t.Errorf("%s: got %s, want %s", facts[i].FactKind(), r, want)
			}
		}
	}
	if p := w.person(b); len(p.Points) != 1 || len(p.Loans) != 1 || len(p.Holds) != 1 || len(p.Touches) != 1 {
		t.Errorf("got %+v, want one of each", p)
	}
}

// testManyBuckets reads persons bucket by bucket and all at once. Some tables hold something in some buckets alone.
func testManyBuckets(t *testing.T, w *world) {
	var ids []duly.BorrowerID
	for i := range 40 {
		b := InBucket(100+i/2, 2)[i%2]
		facts := allKinds(b)
		w.put(facts[:4+i%7]...)
		if i%3 == 0 {
			w.putContacts(Contact(b, "d-3", today, 1), Contact(b, "d-3", today, 0), Contact(b, "d-1", today.Add(-1), 0))
		}
		ids = append(ids, b)
	}
	slices.Reverse(ids)
	ids = append(ids, "nobody", ids[0])
	var all, each []duly.Person
	w.view(func(tx *store.Tx) (err error) {
		if all, err = tx.PersonsOf(ids, store.Since{Facts: Noon.AddDate(0, 0, -35), Contacts: Noon.AddDate(0, 0, -35)}); err != nil {
			return err
		}
		for _, id := range ids[:40] {
			p, err := tx.Persons(id.Bucket(), []duly.BorrowerID{id}, Noon.AddDate(0, 0, -35))
			if err != nil {
				return err
			}
			each = append(each, p...)
		}
		return nil
	})
	if len(all) != 40 {
		t.Fatalf("got %d persons, want 40", len(all))
	}
	w.same("persons", all, each)
}

func testPutResults(t *testing.T, w *world) {
	b := InBucket(3, 2)
	named := func(name string, version int64) *duly.Borrower {
		x := Borrower(b[0])
		x.Name, x.Version = name, version
		return x
	}
	loanOf := func(owner duly.BorrowerID) *duly.Loan { return Loan(owner, "L1") }
	for _, step := range []struct {
		fact duly.Fact
		want store.PutResult
	}{
		{loanOf(b[0]), store.UnknownBorrower},
		{named("甲", 5), store.Added},
		{named("甲", 5), store.Same},
		{named("甲", 4), store.Stale},
		{named("乙", 4), store.Stale},
		{named("乙", 5), store.Conflict},
		{named("甲", 9), store.Same},
		{named("丙", 7), store.Stale}, // between two versions of the same content
		{named("丁", 10), store.Changed},
		{Installment(b[0], "L1", 1, civil.On(2026, 4, 1)), store.UnknownLoan},
		{loanOf(b[0]), store.Added},
		{Installment(b[0], "L1", 1, civil.On(2026, 4, 1)), store.Added},
		{Installment(b[0], "L1", 11, civil.On(2026, 4, 1)), store.Added}, // its number only begins alike
		{Installment(b[1], "L1", 1, civil.On(2026, 4, 1)), store.UnknownBorrower},
		{Borrower(b[1]), store.Added},
		{Installment(b[1], "L1", 1, civil.On(2026, 4, 1)), store.UnknownLoan}, // somebody else's
		{Payment(b[0], "", "P1", 100), store.Added},
		{Payment(b[0], "L9", "P2", 100), store.UnknownLoan},
		{&duly.Hold{BorrowerID: b[0], ID: "H", Kind: "manual", Scope: duly.HoldPerson, From: Noon, Version: 1}, store.Added},
		{&duly.Payment{ID: "P3", LoanID: "L404", Amount: money.New(1, "CNY"), Version: 1}, store.UnknownLoan}, // no owner was found
		{&duly.Touch{ID: "T", Version: 1}, store.UnknownBorrower},
	} {
		if got := w.put(step.fact); got[0] != step.want {
			t.Errorf("%s %s version %d: got %s, want %s", step.fact.FactKind(), step.fact.FactKey(), step.fact.FactVersion(), got[0], step.want)
		}
	}
	if got := w.person(b[0]).Borrower; got.Name != "丁" || got.Version != 10 {
		t.Errorf("borrower: got %s version %d, want 丁 version 10", got.Name, got.Version)
	}
}

func testPutTwice(t *testing.T, w *world) {
	b := InBucket(5, 1)[0]
	var facts []duly.Fact
	var want []store.PutResult
	// Enough that the two versions of one fact meet in one statement, in two statements, and across their edge.
	facts, want = append(facts, Borrower(b), Loan(b, "L1")), append(want, store.Added, store.Added)
	for no := 1; no <= 150; no++ {
		old := Installment(b, "L1", no, civil.On(2026, 4, 1))
		newer := Installment(b, "L1", no, civil.On(2026, 4, 2))
		newer.Version = 2
		facts, want = append(facts, old, newer, old, newer), append(want, store.Added, store.Changed, store.Stale, store.Same)
	}
	w.same("results", w.put(facts...), want)
	p := w.person(b)
	if len(p.Installments) != 150 {
		t.Fatalf("instalments: got %d, want 150", len(p.Installments))
	}
	for _, in := range p.Installments {
		if in.DueOn != civil.On(2026, 4, 2) || in.Version != 2 {
			t.Errorf("instalment %d: got %s version %d, want the newer one", in.No, in.DueOn, in.Version)
		}
	}
}

func testPutCounts(t *testing.T, w *world) {
	ids := InBucket(9, 3)
	w.put(Borrower(ids[0]), Borrower(ids[1]))
	before := w.bucket(9)
	if before.People != 2 || before.Version != 1 || !before.ChangedAt.Equal(w.now) {
		t.Errorf("after two new: got %+v, want 2 people, version 1, changed now", before)
	}
	w.put(Borrower(ids[0])) // the same
	if got := w.bucket(9); got != before {
		t.Errorf("after the same: got %+v, want %+v", got, before)
	}
	newer := Borrower(ids[0])
	newer.Tier, newer.Version = "E", 2
	w.now = w.now.Add(-time.Hour) // a clock that is behind
	w.put(newer, Borrower(ids[2]))
	if got := w.bucket(9); got.People != 3 || got.Version != 2 || !got.ChangedAt.Equal(before.ChangedAt) {
		t.Errorf("after a change: got %+v, want 3 people, version 2, changed as before", got)
	}
}

// testAnyOrder puts the same facts in many orders and sizes of transaction: the tables must end the same.
func testAnyOrder(t *testing.T, w *world) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	ids := InBucket(11, 6)
	var facts []duly.Fact
	for v := int64(1); v <= 4; v++ {
		for n, b := range ids {
			x := Borrower(b)
			x.Version, x.Tier = v, string(rune('A'+(v+int64(n))%2)) // contents repeat between versions
			l := Loan(b, "L")
			l.Version, l.Product = v, fmt.Sprint(v/2)
			in := Installment(b, "L", 1, civil.On(2026, 4, int(v)))
			in.Version = v
			p := Payment(b, "L", "P", 100*v)
			p.Version = v
			h := &duly.Hold{BorrowerID: b, ID: "H", Kind: "manual", Scope: duly.HoldPerson, From: Noon, Version: v}
			if v == 4 {
				h.ReleasedAt = Noon.Add(time.Minute)
			}
			facts = append(facts, x, l, in, p, h)
		}
	}
	var want []duly.Person
	for round := range 3 {
		if round > 0 {
			w.db = w.open(t)
		}
		order := shuffled(r, facts)
		// What others refer to comes first, in whatever version; the rest in any order.
		var first []duly.Fact
		for _, b := range ids {
			first = append(first, pick(order, duly.FactBorrower, b), pick(order, duly.FactLoan, b))
		}
		w.put(first...)
		for len(order) > 0 {
			n := min(1+r.IntN(40), len(order))
			w.put(order[:n]...)
			order = order[n:]
		}
		var got []duly.Person
		w.view(func(tx *store.Tx) (err error) { got, err = tx.Persons(11, ids, w.now); return err })
		if round == 0 {
			want = got
		}
		w.same(fmt.Sprintf("round %d", round), got, want)
	}
	for _, p := range want {
		if p.Borrower.Version != 4 || p.Loans[0].Version != 4 || p.Installments[0].DueOn.Int() != 20260404 || len(p.Holds) != 1 || p.Holds[0].ReleasedAt.IsZero() {
			t.Errorf("person is not of the newest versions: %+v", p)
		}
	}
}

func pick(facts []duly.Fact, kind duly.FactKind, b duly.BorrowerID) duly.Fact {
	i := slices.IndexFunc(facts, func(f duly.Fact) bool { return f.FactKind() == kind && f.Owner() == b })
	return facts[i]
}

func testPaidStays(t *testing.T, w *world) {
	b := InBucket(2, 1)[0]
	in := Installment(b, "L1", 1, civil.On(2026, 3, 10))
	w.put(Borrower(b), Loan(b, "L1"), in)
	paid := *in
	paid.Paid, paid.SettledAt = duly.Split{Interest: 500, Principal: 10_000}, Noon
	w.update([]int{2}, func(tx *store.Tx) error { return tx.SetPaid([]duly.Installment{paid}) })
	w.due(2, civil.On(2026, 3, 10), civil.On(2026, 3, 10))

	moved := *in
	moved.Version, moved.DueOn, moved.Paid = 2, civil.On(2026, 3, 11), duly.Split{Fee: 1}
	w.put(&moved)
	want := moved
	want.Paid, want.SettledAt = paid.Paid, paid.SettledAt
	w.same("after a new due day", w.person(b).Installments, []duly.Installment{want})
	w.due(2, civil.On(2026, 3, 1), civil.On(2026, 3, 31))

	// More is owed than was paid: the instalment is open again.
	moved.Version, moved.Fee = 3, money.New(700, "CNY")
	w.put(&moved)
	w.due(2, civil.On(2026, 3, 1), civil.On(2026, 3, 31), b)

	// And it is so after the payment is reversed.
	moved.Paid, moved.SettledAt = duly.Split{}, time.Time{}
	w.update([]int{2}, func(tx *store.Tx) error { return tx.SetPaid([]duly.Installment{moved}) })
	w.same("after a reversal", w.person(b).Installments, []duly.Installment{moved})
	w.due(2, civil.On(2026, 3, 1), civil.On(2026, 3, 31), b)

	if err := w.try([]int{2}, func(tx *store.Tx) error { return tx.SetPaid([]duly.Installment{*Installment(b, "L1", 2, moved.DueOn)}) }); err == nil {
		t.Error("paying an instalment that is not known: got no error")
	}
}

// due checks which persons are due in a time.
func (w *world) due(bucket int, from, to civil.Date, want ...duly.BorrowerID) {
	w.Helper()
	w.view(func(tx *store.Tx) error {
		got, err := tx.Due([]int{bucket}, from, to)
		w.same(fmt.Sprintf("due %s to %s", from, to), got, want)
		return err
	})
}

func testDue(t *testing.T, w *world) {
	ids := InBucket(4, 3)
	for i, b := range ids {
		w.put(Borrower(b), Loan(b, "L"), Installment(b, "L", 1, civil.On(2026, 3, 10).Add(i)), Installment(b, "L", 2, civil.On(2026, 3, 20)))
	}
	other := InBucket(40, 1)[0]
	w.put(Borrower(other), Loan(other, "L"), Installment(other, "L", 1, civil.On(2026, 3, 11)))
	nothing := Installment(ids[0], "L", 3, civil.On(2026, 5, 1)) // owes nothing from the start
	nothing.Principal, nothing.Interest = money.New(0, "CNY"), money.New(0, "CNY")
	w.put(nothing)

	w.due(4, civil.On(2026, 3, 11), civil.On(2026, 3, 12), ids[1], ids[2])
	w.due(4, civil.On(2026, 3, 10), civil.On(2026, 3, 20), ids...)
	w.due(4, civil.On(2026, 5, 1), civil.On(2026, 5, 1))
	w.due(5, civil.On(2026, 1, 1), civil.On(2026, 12, 31))
}

func testPersonsFilter(t *testing.T, w *world) {
	ids := InBucket(6, 3)
	b := ids[0]
	w.put(Borrower(ids[1]), Borrower(b), Loan(b, "L1"), Loan(b, "L2"))
	var facts []duly.Fact
	var paid []duly.Installment
	for no := 1; no <= 40; no++ {
		in := Installment(b, "L1", no, civil.On(2023, 1, 10).AddMonths(no))
		facts = append(facts, in)
		if no <= 38 { // settled month by month, the last one yesterday
			p := *in
			p.Paid, p.SettledAt = p.Due(), Noon.AddDate(0, 0, -1-(38-no)*11)
			paid = append(paid, p)
		}
	}
	old := Installment(b, "L2", 1, civil.On(2020, 1, 1))
	facts = append(facts, old)
	gone := *old
	gone.Paid, gone.SettledAt = gone.Due(), Noon.AddDate(-3, 0, 0)
	paid = append(paid, gone)
	since := Noon.AddDate(0, 0, -35)
	hold := func(id duly.HoldID, until, released time.Time) *duly.Hold {
		return &duly.Hold{BorrowerID: b, ID: id, Kind: "manual", Scope: duly.HoldPerson, From: Noon.AddDate(-1, 0, 0), Until: until, ReleasedAt: released, Version: 1}
	}
	facts = append(facts,
		hold("stands", time.Time{}, time.Time{}), hold("over", since.Add(-time.Second), time.Time{}), hold("released", time.Time{}, since.Add(-time.Second)),
		hold("released lately", time.Time{}, since.Add(time.Second)),
		&duly.OptOut{BorrowerID: b, ID: "revoked", Key: "sms", At: Noon.AddDate(-1, 0, 0), RevokedAt: since.Add(-time.Second), Version: 1},
		&duly.Consent{BorrowerID: b, ID: "withdrawn", Key: "x", GivenAt: Noon.AddDate(-1, 0, 0), WithdrawnAt: since.Add(-time.Second), Version: 1},
		&duly.Touch{BorrowerID: b, ID: "old", Channel: duly.ChannelAgent, At: since.Add(-time.Second), Version: 1},
		&duly.Debit{BorrowerID: b, ID: "old", LoanID: "L1", InstallmentNo: 1, At: since.Add(-time.Second), State: duly.DebitFailed, Version: 1},
		&duly.Debit{BorrowerID: b, ID: "in flight", LoanID: "L1", InstallmentNo: 1, At: since.Add(-time.Second), State: duly.DebitInFlight, Version: 1},
	)
	w.put(facts...)
	w.update([]int{6}, func(tx *store.Tx) error { return tx.SetPaid(paid) })

	var got []duly.Person
	w.view(func(tx *store.Tx) (err error) {
		got, err = tx.Persons(6, []duly.BorrowerID{b, ids[2], ids[1], b}, since)
		return err
	})
	if len(got) != 2 || got[0].Borrower.ID != b || got[1].Borrower.ID != ids[1] {
		t.Fatalf("persons: want the two that are known, in the order asked, once each; got %d", len(got))
	}
	p := got[0]
	var nos []int
	for _, in := range p.Installments {
		nos = append(nos, in.No)
	}
	var want []int
	for no := 15; no <= 40; no++ { // 24 settled ones and two open ones
		want = append(want, no)
	}
	w.same("instalments", nos, want)
	var holds []duly.HoldID
	for _, h := range p.Holds {
		holds = append(holds, h.ID)
	}
	w.same("holds", holds, []duly.HoldID{"released lately", "stands"})
	if len(p.OptOuts) != 0 || len(p.Consents) != 0 || len(p.Touches) != 0 || len(p.Debits) != 1 || p.Debits[0].ID != "in flight" {
		t.Errorf("what is over must be left out: got %d opt-outs, %d consents, %d touches, debits %v", len(p.OptOuts), len(p.Consents), len(p.Touches), p.Debits)
	}
}

func testSettledAt(t *testing.T, w *world) {
	b := InBucket(8, 1)[0]
	one, two := Installment(b, "L1", 1, civil.On(2026, 3, 1)), Installment(b, "L1", 2, civil.On(2026, 4, 1))
	w.put(Borrower(b), Loan(b, "L1"), one, two)
	p := *one
	p.Paid, p.SettledAt = p.Due(), Noon
	w.update([]int{8}, func(tx *store.Tx) error { return tx.SetPaid([]duly.Installment{p}) })
	w.view(func(tx *store.Tx) error {
		got, err := tx.SettledAt(8, []duly.Item{{LoanID: "L1", No: 2}, {LoanID: "L1", No: 1}, {LoanID: "L9", No: 1}})
		w.same("settled", got, []time.Time{{}, Noon, {}})
		return err
	})
}

func testOwners(t *testing.T, w *world) {
	a, b := InBucket(1, 1)[0], InBucket(900, 1)[0]
	w.put(Borrower(a), Loan(a, "LA"), Borrower(b), Loan(b, "LB"), Loan(b, "LC"))
	got, err := w.db.OwnersOf(context.Background(), []duly.LoanID{"LB", "LA", "nobody's", "LA"})
	if err != nil {
		t.Fatal(err)
	}
	w.same("owners", got, map[duly.LoanID]duly.BorrowerID{"LA": a, "LB": b})
}

func testPointState(t *testing.T, w *world) {
	b := InBucket(25, 1)[0]
	p := &duly.ContactPoint{BorrowerID: b, ID: "m1", Kind: duly.PointMobile, Value: "+8613800000000", State: duly.PointActive, Version: 1}
	w.put(Borrower(b), p)
	state := func(want duly.PointState) {
		t.Helper()
		if got := w.person(b).Points[0].State; got != want {
			t.Errorf("state: got %s, want %s", got, want)
		}
	}
	w.update([]int{25}, func(tx *store.Tx) error { return tx.SetPointState(25, b, "m1", duly.PointBounced) })
	state(duly.PointBounced)
	again := *p
	again.Version = 2
	w.same("the same again", w.put(&again), []store.PutResult{store.Same})
	state(duly.PointBounced)
	other := *p
	other.Version, other.Value = 3, "+8613900000000"
	w.same("a new number", w.put(&other), []store.PutResult{store.Changed})
	state(duly.PointActive)
}
