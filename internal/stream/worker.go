package stream

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// Times of a worker.
const (
	ackWait   = 5 * time.Second // a command that is not acknowledged is delivered again
	pullWait  = 2 * time.Second // one ask for a command
	idleWait  = 100 * time.Millisecond
	againWait = 500 * time.Millisecond // after a failure
	// triesMax is how often a command is tried that fails though its cell answers; then it is given up and whoever told it knows.
	triesMax = 5
)

// Work applies commands of the parts of a cell until ctx ends. Those of a part it takes only while this process leases all of the
// part's buckets, so that whoever sends to people also hears first that they have paid. wake is called after each command. Parts
// move between cells, so it looks after all of them.
func (l *Log) Work(ctx context.Context, e *engine.Engine, wake func()) {
	var wg sync.WaitGroup
	for part := range l.Parts {
		w := &worker{log: l, e: e, part: part, buckets: l.buckets(part), wake: wake}
		wg.Go(func() { w.run(ctx) })
	}
	wg.Wait()
}

// worker applies the commands of one part.
type worker struct {
	log      *Log
	e        *engine.Engine
	part     int
	buckets  []int
	wake     func()
	consumer jetstream.Consumer
	failing  bool // told once
}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		if len(w.e.Holding().Mine(w.buckets)) < len(w.buckets) {
			pause(ctx, idleWait)
			continue
		}
		if err := w.pull(ctx); err != nil && ctx.Err() == nil {
			w.log.Config.Log.Debug("pull", "part", w.part, "error", err)
			if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrConsumerDeleted) {
				w.consumer = nil // otherwise it is still there: only its leader may have died
			}
			pause(ctx, againWait)
		}
	}
}

// pull takes the next command, if one comes, and applies it.
func (w *worker) pull(ctx context.Context) error {
	if w.consumer == nil {
		limited, cancel := context.WithTimeout(ctx, tryLimit)
		defer cancel()
		var err error
		w.consumer, err = w.log.s.CreateOrUpdateConsumer(limited, jetstream.ConsumerConfig{
			Durable: w.log.subject(w.part)[len(w.log.Name)+len(".in."):], FilterSubject: w.log.subject(w.part),
			// In memory of three servers: where it is lost, what is not acknowledged is delivered again, which changes nothing. On disk
			// it is a file that is written anew for every command, at a third of all that a command costs.
			MemoryStorage: true, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: 1, MaxDeliver: -1,
		})
		if err != nil {
			return err
		}
	}
	batch, err := w.consumer.Fetch(1, jetstream.FetchMaxWait(pullWait))
	if err != nil {
		return err
	}
	for msg := range batch.Messages() {
		if err := w.take(ctx, msg); err != nil {
			return err
		}
	}
	return batch.Error()
}

// take applies one command and tells what became of it. What cannot be applied now is left to be delivered again, and the part
// waits for it: what comes later may rest on it.
func (w *worker) take(ctx context.Context, msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go w.hold(ctx, cancel, msg)
	at := store.Mark{Log: w.log.made, Seq: int64(meta.Sequence.Stream)}
	o, err := w.apply(ctx, at, msg.Data())
	switch code := duly.CodeOf(err); {
	case err == nil || engine.AnswerLost(err):
		if w.failing {
			w.failing = false
			w.log.Config.Log.Warn("commands of the log take effect again", "part", w.part)
		}
		if err != nil {
			o.Error = duly.Errorf(duly.Unavailable, "the facts were applied, but what became of them is not known any more").WithHint("tell them again: it changes nothing")
		}
		w.tell(msg, o)
		w.wake()
		return msg.Ack()
	case ctx.Err() != nil: // the process stops, or another has the part
		return msg.Nak()
	case code == duly.Internal && meta.NumDelivered >= triesMax, code == duly.Invalid:
		w.log.Config.Log.Error("a command of the log cannot be applied and is given up; tell its facts again once the reason is mended",
			"part", w.part, "command", meta.Sequence.Stream, "error", err)
		o.Error = duly.Errorf(duly.Internal, "the facts could not be applied").WithHint("the log of the process that holds part %d says why", w.part)
		w.tell(msg, o)
		return msg.Term()
	case errors.As(err, new(*store.Moving)): // who works on the part in its new cell takes it
		return msg.NakWithDelay(idleWait)
	default:
		if !w.failing {
			w.failing = true
			w.log.Config.Log.Error("a command of the log cannot be applied for now; its part waits", "part", w.part, "command", meta.Sequence.Stream, "error", err)
		}
		return msg.NakWithDelay(againWait)
	}
}

// hold says of a command that takes long that it is not lost, and gives it up once another process may have the part: a cell that
// hangs for this process alone must not keep its commands from the next.
func (w *worker) hold(ctx context.Context, giveUp context.CancelCauseFunc, msg jetstream.Msg) {
	for pause(ctx, ackWait/3); ctx.Err() == nil; pause(ctx, ackWait/3) {
		if len(w.e.Holding().Mine(w.buckets)) < len(w.buckets) {
			giveUp(errNotMine)
			return
		}
		msg.InProgress()
	}
}

var errNotMine = errors.New("another process has the part")

func (w *worker) apply(ctx context.Context, at store.Mark, data []byte) (outcome, error) {
	var c command
	var o outcome
	facts, err := c.decode(data)
	if err != nil {
		return o, err
	}
	if len(c.Receipts) > 0 { // the inbox keeps each once, whatever its number
		return o, w.e.Accept(ctx, c.At, c.Receipts, &o.Receive)
	}
	o.Answer, err = w.e.ApplyOnce(ctx, c.At, c.Actor, at, facts, c.Bulk)
	return o, err
}

func (w *worker) tell(msg jetstream.Msg, o outcome) {
	subject := msg.Headers().Get(replyHeader)
	if subject == "" {
		return
	}
	data, err := json.Marshal(o)
	if err == nil {
		err = w.log.conn.Publish(subject, data)
	}
	if err != nil {
		w.log.Config.Log.Debug("answer", "part", w.part, "error", err)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
