package store

import "time"

// Hooks let a simulator stand between a store and the process that uses it. Each may be nil.
type Hooks struct {
	// Now is in place of the database's clock, by which leases go.
	Now func() time.Time
	// Write is called before every write of a transaction and before its commit. It may panic, as a process does that dies
	// there: what the transaction wrote is then undone.
	Write func()
	// Committed is called when a transaction is durable, before whoever began it is told, with its instant, the buckets that it
	// held and those that it changed. It may panic too.
	Committed func(now time.Time, held, changed []int)
}

// groupSimulated is the size of groups in a simulation: the same on every engine, so that a run is.
const groupSimulated = 64

// Simulate has h called from now on. No transaction may be under way.
func (db *DB) Simulate(h Hooks) {
	db.hooks = &h
	d := *db.d
	d.groupMax = groupSimulated
	db.d = &d
}

func (tx *Tx) writes() {
	if h := tx.db.hooks; h != nil && h.Write != nil && len(tx.order) > 0 {
		h.Write()
	}
}

// committed tells of the transaction's commit.
func (tx *Tx) committed() {
	h := tx.db.hooks
	if h == nil || h.Committed == nil || len(tx.order) == 0 {
		return
	}
	var wrote []int
	for _, b := range tx.order {
		if r := tx.buckets[b]; r != nil && r.touched {
			wrote = append(wrote, b)
		}
	}
	h.Committed(tx.now, tx.order, wrote)
}
