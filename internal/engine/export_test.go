package engine

import (
	"context"
	"errors"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// PlanGroups is how buckets are put together that are planned in one commit.
func (e *Engine) PlanGroups(buckets []int, persons map[int]int64) [][]int {
	return e.planGroups(buckets, persons)
}

var errRollback = errors.New("rolled back, as a store does that has to run a transaction again")

// RecallTwice claims one contact of a bucket and stores that it was taken back, in a transaction that runs twice.
func (e *Engine) RecallTwice(ctx context.Context, now time.Time, bucket int) error {
	jobs, _, err := e.claim(ctx, now, []int{bucket}, 1)
	if err != nil {
		return err
	}
	e.dropClaims(jobs)
	group, answers := []int{bucket}, map[int][]*answer{bucket: {{job: jobs[0], recalled: true}}}
	current, r := map[duly.ContactID]store.Standing{jobs[0].contact.ID: {State: duly.Claimed, Attempts: 1}}, DispatchReport{}
	err = e.db.Update(ctx, now, group, func(tx *store.Tx) error {
		return errors.Join(e.finishGroup(tx, group, answers, current, &r), errRollback)
	})
	if !errors.Is(err, errRollback) {
		return err
	}
	return e.db.Update(ctx, now, group, func(tx *store.Tx) error { return e.finishGroup(tx, group, answers, current, &r) })
}

// ClaimBucket claims what is due in a bucket, as Dispatch does before it sends, and sends nothing. It returns how many were
// claimed.
func (e *Engine) ClaimBucket(ctx context.Context, now time.Time, bucket int) (int, error) {
	jobs, _, err := e.claim(ctx, now, []int{bucket}, claimMax)
	e.dropClaims(jobs)
	return len(jobs), err
}

// Hold has a node hold just these buckets, as its Keeper does.
func (h *Holding) Hold(node string, epochs map[int]int64) {
	h.extend(node, h.clock(), time.Minute)
	h.put(node, epochs)
}
