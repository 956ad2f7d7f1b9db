package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// Answer is what became of a command of a log, kept with its mark so that it can be told again.
type Answer struct {
	Results   []store.PutResult    `json:"results"` // of each fact, in order
	Meanings  map[int]duly.Meaning `json:"meanings,omitempty"`
	Settled   int                  `json:"settled,omitempty"`
	Reopened  int                  `json:"reopened,omitempty"`
	Stopped   int                  `json:"stopped,omitempty"`
	Replies   int                  `json:"replies,omitempty"`
	Unsettled int                  `json:"unsettled,omitempty"`
}

// Applied returns the answer as an Apply would.
func (a *Answer) Applied() Applied {
	return Applied{Results: a.Results, Settled: a.Settled, Reopened: a.Reopened, Stopped: a.Stopped, Replies: a.Replies, Unsettled: a.Unsettled}
}

func (a *Answer) add(o *Answer) {
	a.Settled += o.Settled
	a.Reopened += o.Reopened
	a.Stopped += o.Stopped
	a.Replies += o.Replies
	a.Unsettled += o.Unsettled
}

var errAnswerLost = errors.New("what became of an earlier command is not kept")

// ApplyOnce is [Engine.Apply] for facts that are a command of a log: in each bucket they are applied together with the
// bucket's mark, and not at all if the mark says that they were. Then the answer is the one of that time. Facts must name
// their owners; bulk facts make whole buckets due for planning.
func (e *Engine) ApplyOnce(ctx context.Context, now time.Time, actor string, at store.Mark, facts []duly.Fact, bulk bool) (Answer, error) {
	out := Answer{Results: make([]store.PutResult, len(facts))}
	if err := e.foreign(facts); err != nil {
		return out, err
	}
	byBucket := map[int][]int{} // places in facts
	for i, f := range facts {
		b := f.Owner().Bucket()
		byBucket[b] = append(byBucket[b], i)
	}
	for _, group := range e.db.Groups(sortedKeys(byBucket)) {
		var part Answer
		var applied Applied
		err := e.db.Update(ctx, now, group, func(tx *store.Tx) error {
			var err error
			applied, part, err = e.applyMarked(tx, actor, at, facts, group, byBucket, bulk)
			return err
		})
		if err != nil {
			return out, err
		}
		e.settleElsewhere(ctx, &applied)
		for _, b := range group {
			for _, i := range byBucket[b] {
				out.Results[i] = part.Results[i]
				if m, ok := part.Meanings[i]; ok {
					if out.Meanings == nil {
						out.Meanings = map[int]duly.Meaning{}
					}
					out.Meanings[i] = m
				}
			}
		}
		out.add(&part)
	}
	return out, ctx.Err()
}

// applyMarked applies what of a command is in the group's buckets and not behind their marks, and sets them.
func (e *Engine) applyMarked(tx *store.Tx, actor string, at store.Mark, facts []duly.Fact, group []int, byBucket map[int][]int, bulk bool) (Applied, Answer, error) {
	out := Answer{Results: make([]store.PutResult, len(facts)), Meanings: map[int]duly.Meaning{}}
	var places, todo []int // in facts; buckets
	marks, err := tx.Reached(group)
	if err != nil {
		return Applied{}, out, err
	}
	for _, b := range group {
		if at.After(marks[b].Mark) {
			places, todo = append(places, byBucket[b]...), append(todo, b)
			continue
		}
		if err := recall(&out, marks[b], at, byBucket[b]); err != nil {
			return Applied{}, out, err
		}
	}
	if len(todo) == 0 {
		return Applied{elsewhere: true}, out, nil // whoever applied it may have died before it had waited
	}
	slices.Sort(places)
	fresh := make([]duly.Fact, len(places))
	for i, p := range places {
		fresh[i] = facts[p]
	}
	applied, err := e.apply(tx, actor, fresh, !bulk)
	if err != nil {
		return applied, out, err
	}
	for i, p := range places {
		out.Results[p] = applied.Results[i]
		if r, ok := facts[p].(*duly.Reply); ok {
			out.Meanings[p] = r.Meaning
		}
	}
	counts := Answer{Settled: applied.Settled, Reopened: applied.Reopened, Stopped: applied.Stopped, Replies: applied.Replies, Unsettled: applied.Unsettled}
	out.add(&counts)
	reached := make(map[int]store.Reached, len(todo))
	for _, b := range todo { // the counts are kept with the first bucket of the transaction
		text, err := answerOf(&out, counts, byBucket[b])
		if err != nil {
			return applied, out, err
		}
		reached[b] = store.Reached{Mark: at, Answer: text}
		counts = Answer{}
	}
	return applied, out, tx.Reach(reached)
}

// answerOf is the text of the answer to what a command says of one bucket.
func answerOf(all *Answer, counts Answer, places []int) (string, error) {
	for n, p := range places {
		counts.Results = append(counts.Results, all.Results[p])
		if m, ok := all.Meanings[p]; ok {
			if counts.Meanings == nil {
				counts.Meanings = map[int]duly.Meaning{}
			}
			counts.Meanings[n] = m
		}
	}
	text, err := json.Marshal(counts)
	return string(text), err
}

// recall adds the answer that was kept with a mark. Of a command before the last one none is.
func recall(out *Answer, reached store.Reached, at store.Mark, places []int) error {
	var was Answer
	if reached.Mark != at || json.Unmarshal([]byte(reached.Answer), &was) != nil || len(was.Results) != len(places) {
		return errAnswerLost
	}
	for n, p := range places {
		out.Results[p] = was.Results[n]
		if m, ok := was.Meanings[n]; ok {
			out.Meanings[p] = m
		}
	}
	out.add(&was)
	return nil
}

// AnswerLost reports whether an error of ApplyOnce says that the command took effect before, and only what became of it is
// not known any more.
func AnswerLost(err error) bool { return errors.Is(err, errAnswerLost) }
