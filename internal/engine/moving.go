package engine

import (
	"errors"

	"github.com/dulyhq/duly/internal/store"
)

// Buckets may leave a store for another cell while its nodes work on them. The store refuses what would begin there, in the
// transaction itself; here it is seen to that this costs nothing but those buckets.

// settleMoving makes of a step that met a bucket on its way to another cell one that is to go on without it.
func (e *Engine) settleMoving(r *Report, err error) error {
	moving, ok := errors.AsType[*store.Moving](err)
	if !ok {
		return err
	}
	e.log.Info("people are on their way to another cell", "bucket", moving.Bucket)
	e.holding.drop([]int{moving.Bucket})
	r.More = true
	return nil
}

// moved returns the answers that wait because their people are on their way to another cell. One that came when they had gone is
// lost, as that of a process that died: its try is in doubt there once its lease ends. A move waits for tries, so that only a
// process which was paused for longer than that lease comes so late.
func (e *Engine) moved(moving *store.Moving, group []int, byBucket map[int][]*answer) (wait []answer) {
	for _, b := range group {
		if b == moving.Bucket && moving.Gone() {
			e.log.Warn("answers of carriers came too late: their people have moved to another cell, where the tries are in doubt", "bucket", b, "answers", len(byBucket[b]))
			continue
		}
		for _, a := range byBucket[b] {
			wait = append(wait, *a)
		}
	}
	return wait
}
