package sim

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// quietWorld is a world without trouble, over a store of its own.
func quietWorld(t *testing.T) *world {
	t.Helper()
	l, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	dsn, err := freshStore(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(t.Context(), Trial{Seed: 1, Borrowers: 40, Days: 40}, l, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

// live lets the moments of a world pass until one is wanted.
func (w *world) live(t *testing.T, until func() bool) {
	t.Helper()
	for {
		if err := w.instant(); err != nil || w.breach != nil {
			t.Fatal(err, w.breach)
		}
		if until() {
			return
		}
		if w.pass(time.Hour); w.now.After(w.end) {
			t.Fatal("what is waited for did not come")
		}
	}
}

// Whom a dispatch put off at the instant at which somebody else of the bucket is planned, the plan did not look at: that it would
// take the contact for free is no breach. Seeds 1030, 1099 and 1177 of 90 days and 200 borrowers had it.
func TestPlanAgainOfOthers(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	w.feedGap = span{w.now, w.end} // payments are never known: everything is put off
	var late *duly.Contact
	w.live(t, func() bool {
		for _, k := range w.ledger.people {
			for _, c := range k.rows {
				put := c.State == duly.Planned && c.Reason == "payment_feed_stale" && !w.procs[0].clock().After(c.ChangedAt)
				if put && (late == nil || c.ID < late.ID) {
					late = &c
				}
			}
		}
		return late != nil
	})
	p := w.procs[0]
	other := w.neighbour(t, late)
	if acked, err := w.deliver(p, &delivery{facts: other}); err != nil || !acked {
		t.Fatal(acked, err)
	}
	if err := w.step(p); err != nil {
		t.Fatal(err)
	}
	if w.breach != nil {
		t.Errorf("got %s", w.breach)
	}
	var ids []duly.ContactID
	err := w.eye.View(w.ctx, func(tx *store.Tx) error {
		rows, err := tx.BucketContacts(late.BorrowerID.Bucket())
		for _, c := range rows {
			if c.BorrowerID == other[0].Owner() && c.ChangedAt.Equal(late.ChangedAt) {
				ids = append(ids, c.ID)
			}
		}
		return err
	})
	if err != nil || len(ids) == 0 {
		t.Errorf("got nothing planned of another person of the bucket at this instant, %v", err)
	}
}

// neighbour makes facts of another person of the same bucket, who owes just what a contact is about.
func (w *world) neighbour(t *testing.T, c *duly.Contact) []duly.Fact {
	t.Helper()
	k := w.ledger.of(c.BorrowerID)
	b := k.borrower
	for n := 0; b.ID == k.borrower.ID || b.ID.Bucket() != k.borrower.ID.Bucket(); n++ {
		b.ID = duly.BorrowerID(fmt.Sprint("N", n))
	}
	facts := []duly.Fact{&b}
	for _, id := range slices.Sorted(maps.Keys(k.points)) {
		point := k.points[id]
		point.BorrowerID, point.ID = b.ID, "N-"+point.ID
		facts = append(facts, &point)
	}
	for _, it := range c.Items {
		loan, in := k.loans[it.LoanID], k.installments[itemKey{it.LoanID, it.No}]
		loan.BorrowerID, loan.ID = b.ID, "N-"+loan.ID
		in.BorrowerID, in.LoanID = b.ID, loan.ID
		facts = append(facts, &loan, &in)
	}
	w.byBucket[b.ID.Bucket()] = append(w.byBucket[b.ID.Bucket()], b.ID)
	return facts
}

// A receipt by the carrier's reference alone is parked while the reference is not known, and counts as told: what it says may be
// traced at any time. Seeds 1038 and 1144 of 90 days and 200 borrowers had it.
func TestParkedReceiptIsTold(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	var gone *letter
	w.live(t, func() bool {
		for _, k := range w.ledger.people {
			for _, l := range k.sent {
				if gone == nil || l.contact < gone.contact {
					gone = l
				}
			}
		}
		return gone != nil
	})
	unknown := duly.Receipt{Provider: "nobody's", Key: "k", ProviderID: string(gone.attempt), Status: duly.ReceiptDelivered, At: w.now}
	if gone.arrived || !w.callBack(w.procs[0], []duly.Receipt{unknown}) {
		t.Fatalf("got %+v, want it not to have arrived, and the process to answer", gone)
	}
	parked, err := w.eye.Orphans(w.ctx, 1)
	if err != nil || len(parked) != 1 || parked[0].ProviderID != unknown.ProviderID {
		t.Fatalf("got %+v, %v, want it parked", parked, err)
	}
	if !gone.arrived {
		t.Error("the world does not know that the carrier told of the delivery")
	}
}
