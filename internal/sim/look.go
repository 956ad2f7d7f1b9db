package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/store"
)

// look holds what the store has against the promises, in every bucket that was written to since the last look.
func (w *world) look() error {
	buckets := sorted(w.touched)
	clear(w.touched)
	if len(buckets) == 0 {
		return nil
	}
	return w.eye.View(w.ctx, func(tx *store.Tx) error {
		changed, err := w.changes(tx, buckets)
		if err != nil {
			return err
		}
		heads, err := tx.AuditHeads(buckets)
		if err != nil {
			return err
		}
		for _, b := range buckets {
			for i := range changed[b] {
				w.lookAt(&changed[b][i])
			}
			if err := w.follow(tx, heads[b]); err != nil {
				return err
			}
			if err := w.balance(tx, b); err != nil {
				return err
			}
		}
		return nil
	})
}

// changes returns the contacts of buckets that are not as they were seen last, by bucket, each in order of id.
func (w *world) changes(tx *store.Tx, buckets []int) (map[int][]duly.Contact, error) {
	sights, err := tx.Sights(buckets, time.Time{})
	if err != nil {
		return nil, err
	}
	var ids []duly.ContactID
	for i := range sights {
		s := &sights[i]
		was, seen := w.ledger.of(s.Borrower).rows[s.ID]
		if !seen || was.State != s.State || was.Reason != s.Reason || !was.NotBefore.Equal(s.NotBefore) {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(ids)
	rows, err := tx.FindContacts(ids)
	if err != nil {
		return nil, err
	}
	out := map[int][]duly.Contact{}
	for _, id := range ids {
		c := rows[id]
		out[c.BorrowerID.Bucket()] = append(out[c.BorrowerID.Bucket()], c)
	}
	return out, nil
}

func sorted(set map[int]bool) []int { return slices.Sorted(maps.Keys(set)) }

// lookAt holds one contact that changed against what it was and against what the carrier knows of it.
func (w *world) lookAt(c *duly.Contact) {
	k := w.ledger.of(c.BorrowerID)
	was, seen := k.rows[c.ID]
	k.rows[c.ID] = *c
	w.count.Checks++
	if !seen {
		w.count.Contacts++
	}
	w.tell(c.BorrowerID, "contact %s (step %s of %s by %s, from %s) is %s %s", c.ID, c.Step, c.Day, c.Channel, w.show(c.NotBefore), c.State, c.Reason)
	broke := func(promise, format string, args ...any) {
		w.broke(&Breach{Violation{promise, c.ID, fmt.Sprintf(format, args...)}, c.BorrowerID, w.now})
	}
	if !slices.Contains(duly.ContactStates(), c.State) {
		broke(promiseState, "its state is %q", c.State)
	}
	if seen && backwards(was.State, c.State) {
		broke(promiseState, "it was %s and became %s", was.State, c.State)
	}
	l := k.letters[c.ID]
	gone := l != nil && l.taken > 0
	switch c.State {
	case duly.Planned, duly.Blocked, duly.Cancelled:
		if gone {
			broke(promiseRecorded, "the carrier took it, and it is %s", c.State)
		}
	case duly.Accepted, duly.Delivered, duly.Read:
		if !gone {
			broke(promiseRecorded, "no carrier ever took it, and it is %s", c.State)
		} else if c.State != duly.Accepted && !l.arrived {
			broke(promiseRecorded, "no carrier told that it arrived, and it is %s", c.State)
		}
	case duly.Claimed, duly.Failed, duly.InDoubt:
	}
}

// backwards reports whether a contact may never come from one state to the other, however many moves lie between: what left,
// or may have, is never planned again, and what was read stays so.
func backwards(from, to duly.ContactState) bool {
	switch from {
	case duly.Read:
		return to != duly.Read
	case duly.Accepted, duly.Delivered, duly.Failed, duly.InDoubt:
		return to == duly.Planned || to == duly.Claimed || to == duly.Blocked || to == duly.Cancelled
	case duly.Planned, duly.Claimed, duly.Blocked, duly.Cancelled:
	}
	return false
}

// follow follows a bucket's record from where it was left to its head.
func (w *world) follow(tx *store.Tx, head audit.Chain) error {
	chain := w.chains[head.Bucket]
	if chain == nil {
		chain = &audit.Chain{Bucket: head.Bucket}
		w.chains[head.Bucket] = chain
	}
	if *chain == head {
		return nil
	}
	err := tx.AuditAfter(head.Bucket, chain.Seq, func(e audit.Entry) error {
		if b := chain.Next(&e); b != nil {
			w.broke(&Breach{Violation: Violation{Promise: promiseAudit, Story: b.String()}, At: w.now})
		}
		return nil
	})
	if err == nil && *chain != head {
		w.broke(&Breach{Violation: Violation{Promise: promiseAudit, Story: fmt.Sprintf("the record of bucket %d does not end at its head", head.Bucket)}, At: w.now})
	}
	return err
}

// balance holds what the store says is owed against the world's own ledger, of those in a bucket whose facts changed.
func (w *world) balance(tx *store.Tx, bucket int) error {
	var ids []duly.BorrowerID
	for _, id := range w.byBucket[bucket] {
		if w.moneyed[id] {
			ids = append(ids, id)
			delete(w.moneyed, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	ledgers, err := tx.Ledgers(bucket, ids)
	if err != nil {
		return err
	}
	for i := range ledgers {
		l := &ledgers[i]
		owed := w.ledger.of(l.BorrowerID).owed()
		w.count.Checks++
		if len(owed) != len(l.Installments) {
			w.broke(&Breach{Violation{promiseMoney, "", fmt.Sprintf("%d instalments are on record, %d are known", len(l.Installments), len(owed))}, l.BorrowerID, w.now})
		}
		for j := range l.Installments {
			in := &l.Installments[j]
			left := owed[itemKey{in.LoanID, in.No}]
			if got := in.Outstanding().Minor; got != left || in.Open() == !in.SettledAt.IsZero() {
				w.broke(&Breach{Violation{promiseMoney, "", fmt.Sprintf("%s/%d owes %d on record (settled %t), %d by what was paid", in.LoanID, in.No, got,
					!in.SettledAt.IsZero(), left)}, l.BorrowerID, w.now})
			}
		}
	}
	return nil
}

// expect notes who is to hear today of what is due tomorrow.
func (w *world) expect() {
	w.expected = map[duly.BorrowerID]itemKey{}
	for id, k := range w.ledger.people {
		var owed map[itemKey]int64
		for key, in := range k.installments {
			if in.DueOn != w.today.Add(1) {
				continue
			}
			if owed == nil {
				owed = k.owed()
			}
			if owed[key] > 0 {
				w.expected[id] = key
			}
		}
	}
}

// nobodyForgotten finds who was to hear of what is due today, owes it still, and of whom yesterday's plan says nothing. Days on
// which a process was not well do not count.
func (w *world) nobodyForgotten() {
	if w.today.IsZero() || w.sick[w.today] || len(w.pending) > 0 {
		return
	}
	for id, key := range w.expected {
		k := w.ledger.of(id)
		if k.installments[key].DueOn != w.today.Add(1) || k.borrower.Version > 1 || k.owed()[key] == 0 {
			continue
		}
		w.count.Checks++
		found := false
		for _, c := range k.rows {
			found = found || c.Step == daily && c.Day == w.today
		}
		if !found {
			w.broke(&Breach{Violation{promiseForgot, "", fmt.Sprintf("%s/%d is due on %s, and no step %s of the day before is on record", key.loan, key.no,
				w.today.Add(1), daily)}, id, w.now})
		}
	}
}

// settle holds the end of the run against the promises: what left is on record as what it was, nothing is under way any more, and
// the whole record holds.
func (w *world) settle() error {
	if len(w.pending) > 0 {
		w.fail(fmt.Errorf("%d deliveries were never answered", len(w.pending)))
	}
	var lines []string
	err := w.eye.View(w.ctx, func(tx *store.Tx) error {
		for _, b := range slices.Sorted(maps.Keys(w.byBucket)) {
			rows, err := tx.BucketContacts(b)
			if err != nil {
				return err
			}
			for i := range rows {
				w.accountFor(&rows[i])
				lines = append(lines, fmt.Sprintf("contact %s %s %s\n", rows[i].ID, rows[i].State, rows[i].Reason))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(lines)
	for _, l := range lines {
		w.sum.Write([]byte(l))
	}
	rep, err := w.eye.AuditVerify(w.ctx)
	if err != nil {
		return err
	}
	for _, b := range rep.Breaks {
		w.broke(&Breach{Violation: Violation{Promise: promiseAudit, Story: b.String()}, At: w.now})
	}
	return nil
}

// accountFor holds one contact against its end.
func (w *world) accountFor(c *duly.Contact) {
	k := w.ledger.of(c.BorrowerID)
	l := k.letters[c.ID]
	delete(k.letters, c.ID)
	w.count.Checks++
	broke := func(format string, args ...any) {
		w.broke(&Breach{Violation{promiseAccount, c.ID, fmt.Sprintf(format, args...)}, c.BorrowerID, w.now})
	}
	switch {
	case c.State == duly.Claimed:
		broke("it is claimed still")
	case c.State == duly.Planned && !w.now.Before(c.ExpiresAt.Add(3*time.Hour)):
		broke("its time was over at %s, and it is planned still", w.show(c.ExpiresAt))
	case l == nil:
	case l.read && c.State != duly.Read:
		broke("the carrier told that it was read, and it is %s", c.State)
	case l.taken > 0 && c.State == duly.Failed && !l.failed:
		broke("the carrier took it and told of no failure, and it is failed (%s)", c.Reason)
	case l.unproven && c.State == duly.Failed && !l.failed:
		broke("it may have gone out, and it is failed (%s)", c.Reason)
	}
}
