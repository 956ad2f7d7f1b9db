package stream

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
)

// command is what a message of the log holds: facts, or receipts of a carrier, of people of one part.
type command struct {
	At       time.Time      `json:"at"` // when it was told: the now of its transaction
	Actor    string         `json:"actor,omitempty"`
	Bulk     bool           `json:"bulk,omitempty"` // of an import: buckets are planned whole
	Facts    []fact         `json:"facts,omitempty"`
	Receipts []duly.Receipt `json:"receipts,omitempty"`
}

// fact is a fact with its kind. Its keys are those of package duly.
type fact struct {
	Kind duly.FactKind   `json:"kind"`
	Fact json.RawMessage `json:"fact"`
}

func encodeFact(f duly.Fact) (fact, error) {
	raw, err := json.Marshal(f)
	return fact{f.FactKind(), raw}, err
}

func (c *command) decodeFacts() ([]duly.Fact, error) {
	out := make([]duly.Fact, len(c.Facts))
	for i, f := range c.Facts {
		if out[i] = blank(f.Kind); out[i] == nil {
			return nil, fmt.Errorf("fact %d is of a kind that is not known", i)
		}
		if err := json.Unmarshal(f.Fact, out[i]); err != nil {
			return nil, fmt.Errorf("fact %d of kind %s is not readable", i, f.Kind)
		}
	}
	return out, nil
}

// blank returns an empty fact of a kind, or nil.
func blank(k duly.FactKind) duly.Fact {
	switch k {
	case duly.FactBorrower:
		return &duly.Borrower{}
	case duly.FactPoint:
		return &duly.ContactPoint{}
	case duly.FactLoan:
		return &duly.Loan{}
	case duly.FactInstallment:
		return &duly.Installment{}
	case duly.FactPayment:
		return &duly.Payment{}
	case duly.FactDebit:
		return &duly.Debit{}
	case duly.FactConsent:
		return &duly.Consent{}
	case duly.FactOptOut:
		return &duly.OptOut{}
	case duly.FactHold:
		return &duly.Hold{}
	case duly.FactTouch:
		return &duly.Touch{}
	case duly.FactCase:
		return &duly.Case{}
	case duly.FactReply:
		return &duly.Reply{}
	case duly.FactNotice:
		return &duly.Notice{}
	case duly.FactPreference:
		return &duly.Preference{}
	}
	return nil
}

// outcome is what a worker tells whoever published a command.
type outcome struct {
	Answer  engine.Answer        `json:"answer"`
	Receive engine.ReceiveReport `json:"receive"`
	Error   *duly.Error          `json:"error,omitempty"`
}

// piece is some of the facts of a call that go to one part in one command: places are those in the call.
type piece struct {
	part   int
	places []int
	facts  []fact
}

// Limits of a command: servers take messages of 1 MB unless they are told otherwise, and a payment waits behind one.
const (
	factsMax = 500
	bytesMax = 384 << 10
)

// cut puts facts into commands. In each part they are in the order in which kinds refer to each other, and otherwise in the order
// in which they came, so that no fact goes ahead of one that it refers to. Facts that nobody owns are left out.
func (l *Log) cut(facts []duly.Fact) ([]piece, error) {
	rank := map[duly.FactKind]int{}
	for i, k := range duly.FactKinds() {
		rank[k] = i
	}
	order := make([]int, 0, len(facts))
	for i, f := range facts {
		if f.Owner() != "" {
			order = append(order, i)
		}
	}
	part := func(i int) int { return l.PartOf(facts[i].Owner().Bucket()) }
	slices.SortStableFunc(order, func(a, b int) int {
		if d := part(a) - part(b); d != 0 {
			return d
		}
		return rank[facts[a].FactKind()] - rank[facts[b].FactKind()]
	})
	var out []piece
	size := 0
	for _, i := range order {
		enc, err := encodeFact(facts[i])
		if err != nil {
			return nil, err
		}
		last := len(out) - 1
		if last < 0 || out[last].part != part(i) || len(out[last].facts) == factsMax || size+len(enc.Fact) > bytesMax {
			out = append(out, piece{part: part(i)})
			last, size = last+1, 0
		}
		out[last].places, out[last].facts = append(out[last].places, i), append(out[last].facts, enc)
		size += len(enc.Fact) + len(`{"kind":"","fact":},`) + len(enc.Kind)
	}
	return out, nil
}
