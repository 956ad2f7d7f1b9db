package stream

import "time"

// ErrKilled is what a fault has a step end with as kill -9 does: nothing is undone.
var ErrKilled = errKilled

// SetFault has fn called after each step of a move.
func SetFault(m *Mover, fn func(step string, bucket int) error) { m.fault = fn }

// SetPatience has a part stand still no longer for messages under way.
func SetPatience(m *Mover, d time.Duration) { m.patience = d }

// SetBatch has so many rows gathered for one transaction.
func SetBatch(m *Mover, rows int) { m.batch = rows }
