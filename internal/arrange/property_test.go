package arrange

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// dates lets go-cmp look into days, whose only field is not exported.
var dates = cmp.Options{cmp.Comparer(func(a, b civil.Date) bool { return a == b }), cmpopts.EquateEmpty()}

// world is one borrower's facts, small enough that everything collides with everything.
type world struct {
	installments []duly.Installment
	payments     []duly.Payment
	loans        []duly.Loan
}

func newWorld(r *rand.Rand) world {
	var w world
	for l := range r.IntN(4) {
		id := duly.LoanID(fmt.Sprintf("L%d", l))
		if r.IntN(2) == 0 {
			w.loans = append(w.loans, duly.Loan{ID: id, DisbursedOn: []civil.Date{{}, day(1 + r.IntN(20))}[r.IntN(2)]})
		}
		for n := range r.IntN(4) {
			w.installments = append(w.installments, duly.Installment{
				LoanID: id, No: n + 1, DueOn: day(1 + r.IntN(20)),
				Principal: cny(r.Int64N(100)), Interest: cny(r.Int64N(10)), Fee: cny(r.Int64N(3)),
			})
		}
	}
	for n := range r.IntN(9) {
		p := paid(duly.PaymentID(fmt.Sprintf("P%d", n)), 1+r.Int64N(120), 1+r.IntN(20))
		if r.IntN(3) == 0 {
			p.LoanID = duly.LoanID(fmt.Sprintf("L%d", r.IntN(5)))
		}
		if r.IntN(4) == 0 {
			p.Reverses = duly.PaymentID(fmt.Sprintf("P%d", r.IntN(10)))
		}
		w.payments = append(w.payments, p)
	}
	return w
}

func (w world) allocate(t testing.TB) Allocation {
	t.Helper()
	a, err := Allocate(w.installments, w.payments, w.loans, shanghai)
	if err != nil {
		t.Fatalf("%v\nof %+v", err, w)
	}
	return a
}

// holds checks what is true of every allocation.
func (w world) holds(t testing.TB, a Allocation) {
	t.Helper()
	stands := standing(w.payments)
	got := map[duly.PaymentID]int64{}
	paid := map[string]duly.Split{}
	for _, e := range a.Entries {
		s := paid[fmt.Sprint(e.LoanID, e.No)]
		paid[fmt.Sprint(e.LoanID, e.No)] = split(s.Fee+e.Split.Fee, s.Interest+e.Split.Interest, s.Principal+e.Split.Principal)
		got[e.PaymentID] += e.Split.Total()
		if e.Split.Fee < 0 || e.Split.Interest < 0 || e.Split.Principal < 0 || e.Split.Total() == 0 {
			t.Errorf("entry %+v: a part is below nothing, or all are nothing", e)
		}
		if p := stands[e.PaymentID]; p.LoanID != "" && p.LoanID != e.LoanID {
			t.Errorf("payment %s names loan %s and paid %s", p.ID, p.LoanID, e.LoanID)
		}
	}
	for _, u := range a.Unapplied {
		got[u.PaymentID] += u.Amount.Minor
	}
	for id, p := range stands {
		if got[id] != p.Amount.Minor {
			t.Errorf("payment %s: applied and not sum to %d, want %d", id, got[id], p.Amount.Minor)
		}
	}
	if len(got) != len(stands) {
		t.Errorf("%d payments count, want %d", len(got), len(stands))
	}
	for i, in := range a.Installments {
		due := in.Due()
		if in.LoanID != w.installments[i].LoanID || in.No != w.installments[i].No {
			t.Errorf("instalment %d: got %s/%d, want the order as given", i, in.LoanID, in.No)
		}
		if in.Paid != paid[fmt.Sprint(in.LoanID, in.No)] {
			t.Errorf("instalment %s/%d: paid %v, its entries sum to %v", in.LoanID, in.No, in.Paid, paid[fmt.Sprint(in.LoanID, in.No)])
		}
		if in.Paid.Fee > due.Fee || in.Paid.Interest > due.Interest || in.Paid.Principal > due.Principal {
			t.Errorf("instalment %s/%d: paid %v of %v", in.LoanID, in.No, in.Paid, due)
		}
		if in.Paid.Fee < due.Fee && in.Paid.Interest > 0 || in.Paid.Interest < due.Interest && in.Paid.Principal > 0 {
			t.Errorf("instalment %s/%d: paid %v of %v is out of order", in.LoanID, in.No, in.Paid, due)
		}
		if settled := !in.Open() && due.Total() > 0; settled == in.SettledAt.IsZero() {
			t.Errorf("instalment %s/%d: settled at %v with %v paid of %v", in.LoanID, in.No, in.SettledAt, in.Paid, due)
		}
	}
}

// standing is the payments that count, found the long way: strike out reversals from the end of each chain.
func standing(payments []duly.Payment) map[duly.PaymentID]duly.Payment {
	dead := map[duly.PaymentID]bool{}
	for range len(payments) + 1 {
		next := map[duly.PaymentID]bool{}
		for _, p := range payments {
			if p.Reverses != "" && !dead[p.ID] {
				next[p.Reverses] = true
			}
		}
		dead = next
	}
	out := map[duly.PaymentID]duly.Payment{}
	for _, p := range payments {
		if p.Reverses == "" && !dead[p.ID] {
			out[p.ID] = p
		}
	}
	return out
}

func (a Allocation) total() (sum int64) {
	for _, in := range a.Installments {
		sum += in.Paid.Total()
	}
	return sum
}

func (a Allocation) sorted() Allocation {
	a.Installments = slices.Clone(a.Installments)
	slices.SortFunc(a.Installments, func(x, y duly.Installment) int {
		if x.LoanID != y.LoanID {
			return int(x.LoanID[1]) - int(y.LoanID[1])
		}
		return x.No - y.No
	})
	return a
}

func TestAllocateProperties(t *testing.T) {
	t.Parallel()
	const worlds = 4000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for n := range worlds {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		w := newWorld(r)
		a := w.allocate(t)
		w.holds(t, a)

		again := world{a.Installments, w.payments, w.loans}
		if d := cmp.Diff(a, again.allocate(t), dates); d != "" {
			t.Errorf("allocating anew changed:\n%s", d)
		}

		shuffled := world{slices.Clone(w.installments), slices.Clone(w.payments), slices.Clone(w.loans)}
		r.Shuffle(len(w.installments), func(i, j int) {
			shuffled.installments[i], shuffled.installments[j] = shuffled.installments[j], shuffled.installments[i]
		})
		r.Shuffle(len(w.payments), func(i, j int) {
			shuffled.payments[i], shuffled.payments[j] = shuffled.payments[j], shuffled.payments[i]
		})
		slices.Reverse(shuffled.loans)
		if d := cmp.Diff(a.sorted(), shuffled.allocate(t).sorted(), dates); d != "" {
			t.Errorf("another order gave another answer:\n%s", d)
		}

		// One more payment, wherever it falls in time, never lowers what is paid.
		extra := paid("extra", 1+r.Int64N(100), 1+r.IntN(20))
		with := world{w.installments, append(slices.Clone(w.payments), extra), w.loans}
		b := with.allocate(t)
		if b.total() < a.total() {
			t.Errorf("paid %d, and %d with one more payment", a.total(), b.total())
		}
		// Its reversal restores exactly the state without it.
		with.payments = append(with.payments, reversal("undo", "extra"))
		if d := cmp.Diff(a, with.allocate(t), dates); d != "" {
			t.Errorf("reversal did not restore:\n%s", d)
		}
		if t.Failed() {
			t.Fatalf("world %d of seed %d: %+v", n, seed, w)
		}
	}
}

// TestAllocateOldestFirst: with payments for any loan and no disbursement days, nothing younger is touched while
// something older is open.
func TestAllocateOldestFirst(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for n := range 1000 {
		w := newWorld(rand.New(rand.NewPCG(seed, uint64(n))))
		w.loans = nil
		for i := range w.payments {
			w.payments[i].LoanID = ""
		}
		a := w.allocate(t)
		for _, old := range a.Installments {
			for _, young := range a.Installments {
				if old.DueOn.Before(young.DueOn) && old.Open() && young.Paid.Total() > 0 {
					t.Fatalf("seed %d world %d: %s/%d is open and the younger %s/%d was paid", seed, n, old.LoanID, old.No, young.LoanID, young.No)
				}
			}
		}
	}
}

// FuzzAllocate reads a world from bytes: whatever it is, nothing panics, and where it is accepted the sums hold.
func FuzzAllocate(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2, 10, 100, 10, 1, 3, 50, 0, 0, 1, 4, 61, 1, 0, 2})
	f.Add([]byte{1, 5, 255, 255, 255, 1, 1, 0, 1, 9, 0, 0, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		next := func() int {
			if len(b) == 0 {
				return 0
			}
			n := int(b[0])
			b = b[1:]
			return n
		}
		var w world
		for n := range next() % 8 {
			w.installments = append(w.installments, duly.Installment{
				LoanID: duly.LoanID(fmt.Sprintf("L%d", n%3)), No: n, DueOn: day(next()),
				Principal: cny(int64(next())), Interest: cny(int64(next())), Fee: cny(int64(next()) - 1),
			})
		}
		w.loans = []duly.Loan{{ID: "L0", DisbursedOn: day(next())}, {ID: "L1"}}
		for n := 0; len(b) > 0 && n < 40; n++ {
			p := paid(duly.PaymentID(fmt.Sprint(n)), int64(next())-1, next())
			if k := next() % 5; k < 3 {
				p.LoanID = duly.LoanID(fmt.Sprintf("L%d", k))
			}
			if k := next(); k < 40 {
				p.Reverses = duly.PaymentID(fmt.Sprint(k))
			}
			w.payments = append(w.payments, p)
		}
		a, err := Allocate(w.installments, w.payments, w.loans, shanghai)
		if err == nil {
			w.holds(t, a)
		}
	})
}
