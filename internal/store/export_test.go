package store

// SetClock has leases go by a clock of the test's, an SQL expression in microseconds, and calls wire before and after each
// of their statements.
func (db *DB) SetClock(expression string, wire func(after bool) error) {
	db.clock, db.wire = expression, wire
}

// Exec runs a statement behind the store's back.
func (db *DB) Exec(tx *Tx, query string, args ...any) error {
	_, err := tx.exec(query, args...)
	return err
}
