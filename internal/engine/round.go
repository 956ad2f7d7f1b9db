package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/plan"
	"github.com/dulyhq/duly/internal/store"
)

// decisionHash digests what a round of planning decided: every contact that it wrote or changed, with its reasons. The order in
// which persons were looked at is no part of it, nor are the hashes of strategies and packs, nor instants of the planning itself:
// two that decide alike have one hash.
func decisionHash(persons int, changes []plan.Change) string {
	lines := make([][]byte, len(changes))
	for i := range changes {
		lines[i] = appendDecision(nil, &changes[i])
	}
	slices.SortFunc(lines, bytes.Compare)
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(persons)))
	for _, l := range lines {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(l))))
		h.Write(l)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// appendDecision writes a decision so that no two share a form.
func appendDecision(b []byte, ch *plan.Change) []byte {
	c := &ch.Contact
	text := func(texts ...string) {
		for _, s := range texts {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	number := func(numbers ...int64) {
		for _, n := range numbers {
			b = binary.AppendVarint(b, n)
		}
	}
	text(string(c.ID), string(c.BorrowerID), string(ch.From), string(c.State), c.Reason, c.Strategy, c.Step, string(c.Channel), string(c.PointID),
		string(c.Purpose), string(c.Tone), c.Template)
	late := int64(0)
	if c.Late {
		late = 1
	}
	number(c.Day.Int(), int64(c.Rung), late, int64(c.Priority), instant(c.NotBefore), instant(c.ExpiresAt), instant(c.FallbackAt), int64(len(c.Items)))
	for i := range c.Items {
		it := &c.Items[i]
		text(string(it.LoanID), string(it.Outstanding.Currency))
		number(int64(it.No), it.DueOn.Int(), it.Outstanding.Minor)
	}
	number(int64(c.Decision.Verdict), instant(c.Decision.NotBefore), int64(len(c.Decision.Reasons)))
	for i := range c.Decision.Reasons {
		r := &c.Decision.Reasons[i]
		text(r.Pack, r.Rule, r.Code)
		number(int64(r.Verdict), instant(r.Until))
	}
	return b
}

// instant is a time as it is digested: microseconds, 0 for none.
func instant(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// keepSources has the store keep the texts that decide, before the first decision that names them.
func (e *Engine) keepSources(ctx context.Context, now time.Time) error {
	if e.sources.Configuration == "" || e.kept.Load() {
		return nil
	}
	err := e.db.Update(ctx, now, nil, func(tx *store.Tx) error { return tx.PutDocuments(e.sources.Documents) })
	if err == nil {
		e.kept.Store(true)
	}
	return err
}

// Decisions is what the rounds of planning of one day decided, all in all.
type Decisions struct {
	Day     civil.Date `json:"day"`
	Rounds  int        `json:"rounds"`
	Persons int        `json:"persons"` // looked at, each time
	Changes int        `json:"changes"` // contacts written or changed
	Hash    string     `json:"hash"`    // the decision hash of the day; "" where nothing was planned
}

// Decided sums the rounds on record for a day. The hash is over the buckets in order and in each over its rounds in order.
func Decided(ctx context.Context, db *store.DB, day civil.Date) (Decisions, error) {
	rounds, err := roundsOf(ctx, db, day)
	return sumRounds(day, rounds), err
}

func roundsOf(ctx context.Context, db *store.DB, day civil.Date) ([]store.Round, error) {
	all := make([]int, duly.Buckets)
	for b := range all {
		all[b] = b
	}
	var rounds []store.Round
	err := db.View(ctx, func(tx *store.Tx) (err error) { rounds, err = tx.Rounds(all, day); return err })
	return rounds, err
}

func sumRounds(day civil.Date, rounds []store.Round) Decisions {
	d := Decisions{Day: day, Rounds: len(rounds)}
	if len(rounds) == 0 {
		return d
	}
	h := sha256.New()
	for i := range rounds {
		r := &rounds[i]
		d.Persons += r.Persons
		d.Changes += r.Changes
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(r.Bucket)))
		h.Write([]byte(r.Hash))
	}
	d.Hash = hex.EncodeToString(h.Sum(nil)[:16])
	return d
}
