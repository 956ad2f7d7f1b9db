package stream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// A call whose facts were not applied in time is answered 503, "the log has the facts". Should the log lose them then, as its
// maintainers know that it may under several faults at once, nobody would know. So such a command is kept in a cell before the call
// is answered, and told again if the log does not have it any more. All other calls are answered when their facts are applied.

// keepLimit is how long the cells may take to keep a command: a call waits for it.
const keepLimit = 5 * time.Second

// keep keeps a command that the log has taken in the first cell that takes it. It reports whether one did.
func (p *Publisher) keep(ctx context.Context, at time.Time, k store.KeptCommand) bool {
	if p.Keeps == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepLimit)
	defer cancel()
	k.Kept = at
	for _, db := range p.Keeps() {
		err := db.KeepCommand(ctx, k)
		if err == nil {
			return true
		}
		p.log.Config.Log.Debug("keep", "part", k.Part, "error", err)
	}
	p.log.Config.Log.Error("no cell could keep a command that waits in the log: should the log lose it, nobody tells it again", "part", k.Part, "command", k.At.Seq)
	return false
}

// Reconciled says what became of commands that were kept. It closes: Kept = Waiting + Told; Told = Applied + Refused + Open.
type Reconciled struct {
	Kept    int `json:"kept"`
	Waiting int `json:"waiting"` // still in the log
	Told    int `json:"told"`    // again: the log does not have them
	Applied int `json:"applied"` // of those; they are kept no more
	Refused int `json:"refused"` // of those: they cannot be applied
	Open    int `json:"open"`    // of those: the log has them, they are not applied yet
}

// Add adds another.
func (r *Reconciled) Add(o Reconciled) {
	r.Kept += o.Kept
	r.Waiting += o.Waiting
	r.Told += o.Told
	r.Applied += o.Applied
	r.Refused += o.Refused
	r.Open += o.Open
}

// keptPage is how many kept commands are read at a time.
const keptPage = 100

// Reconcile tells the commands that are kept in a cell to the log again, unless it has them still. Whether they were applied it does
// not ask: what was is changed by nothing.
func (p *Publisher) Reconcile(ctx context.Context, db *store.DB) (Reconciled, error) {
	var r Reconciled
	var last store.KeptCommand
	for {
		page, err := db.KeptCommands(ctx, last, keptPage)
		if err != nil {
			return r, err
		}
		for _, k := range page {
			r.Kept++
			if err := p.reconcile(ctx, db, k, &r); err != nil {
				return r, err
			}
			last = k
		}
		if len(page) < keptPage {
			return r, nil
		}
	}
}

func (p *Publisher) reconcile(ctx context.Context, db *store.DB, k store.KeptCommand, r *Reconciled) error {
	has, err := p.log.has(ctx, k.At)
	if err != nil {
		return err
	}
	if has {
		r.Waiting++
		return nil
	}
	r.Told++
	limited, cancel := context.WithTimeoutCause(ctx, p.Patience, errPatience)
	defer cancel()
	o, seq, err := p.tellData(limited, k.Part, []byte(k.Data))
	switch {
	case errors.Is(err, errNotApplied):
		r.Open++
		k.At = store.Mark{Log: p.log.made, Seq: int64(seq)}
		return db.KeepCommand(context.WithoutCancel(ctx), k)
	case err != nil:
		return err
	case o.Error != nil && o.Error.Code == duly.Internal:
		r.Refused++
		p.log.Config.Log.Error("a command that was kept cannot be applied; it stays kept", "part", k.Part, "kept_at", k.Kept, "error", o.Error)
		return nil
	}
	r.Applied++
	return db.DropCommand(ctx, k.ID)
}

// has reports whether the log has a command that it took, which it has until it is applied.
func (l *Log) has(ctx context.Context, at store.Mark) (bool, error) {
	if at.Log != l.made {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	_, err := l.s.GetMsg(ctx, uint64(at.Seq))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return false, nil
	}
	return false, unreachable(err)
}
