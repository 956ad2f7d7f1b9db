package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// lateAnswers are answers that could not be stored because the store did not answer, and claims of which it is not known
// whether they were. They wait in memory until it does: what is known of a try must not end in doubt because of a pause.
// Nothing more is claimed meanwhile, so they are no more than what was on its way.
type lateAnswers struct {
	mu   sync.Mutex
	list []answer
}

func (l *lateAnswers) add(answers ...answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, answers...)
}

func (l *lateAnswers) take() []answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.list
	l.list = nil
	return out
}

// storeLate stores the answers that are late, and fails while the store does. An answer counts only while its very try is
// open on record: the transaction that failed may have been committed, and more may have happened since.
func (e *Engine) storeLate(ctx context.Context, now time.Time, r *DispatchReport) error {
	late := e.late.take()
	if len(late) == 0 {
		return nil
	}
	var open []answer
	err := e.db.View(ctx, func(tx *store.Tx) error {
		open = nil
		for _, a := range late {
			got, err := tx.FindAttempt(a.job.attempt.ID)
			switch {
			case duly.CodeOf(err) == duly.NotFound && err != nil:
			case err != nil:
				return err
			case (got.State == duly.AttemptOpen || got.State == duly.AttemptInDoubt) && got.ClaimedAt.Equal(a.job.attempt.ClaimedAt):
				open = append(open, a)
			}
		}
		return nil
	})
	if err != nil {
		e.late.add(late...)
		return fmt.Errorf("look for late answers: %w", err)
	}
	var seen DispatchReport // they were counted as claimed by an earlier report
	failed, err := e.finish(ctx, now, open, &seen)
	e.late.add(failed...)
	if err != nil {
		return fmt.Errorf("store late answers: %w", err)
	}
	r.Late += len(open) - len(failed)
	return nil
}
