package stream

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
)

// command is what a message of the log holds: facts, or receipts of a carrier, of people of one part. In the message its facts follow
// it, each on a line of its own after its kind: so a fact is written once and read once.
type command struct {
	At       time.Time      `json:"at"` // when it was told: the now of its transaction
	Actor    string         `json:"actor,omitempty"`
	Bulk     bool           `json:"bulk,omitempty"` // of an import: buckets are planned whole
	Receipts []duly.Receipt `json:"receipts,omitempty"`
	facts    []line
}

// line is a fact as it is in a message: its kind, a space, and its JSON with the keys of package duly, which holds no end of a line.
type line []byte

func encodeFact(f duly.Fact) (line, error) {
	raw, err := json.Marshal(f)
	return slices.Concat([]byte(f.FactKind()), []byte(" "), raw), err
}

// encode returns the message.
func (c *command) encode() ([]byte, error) {
	head, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	size := len(head)
	for _, l := range c.facts {
		size += 1 + len(l)
	}
	out := append(make([]byte, 0, size), head...)
	for _, l := range c.facts {
		out = append(append(out, '\n'), l...)
	}
	return out, nil
}

// decode reads a message.
func (c *command) decode(data []byte) ([]duly.Fact, error) {
	head, rest, _ := bytes.Cut(data, []byte("\n"))
	if err := json.Unmarshal(head, c); err != nil {
		return nil, duly.Errorf(duly.Invalid, "the command is not readable")
	}
	var out []duly.Fact
	for l := range bytes.Lines(rest) {
		kind, raw, _ := bytes.Cut(l, []byte(" "))
		f := blank(duly.FactKind(kind))
		if f == nil {
			return nil, duly.Errorf(duly.Invalid, "fact %d of the command is of a kind that is not known", len(out))
		}
		if err := json.Unmarshal(raw, f); err != nil {
			return nil, duly.Errorf(duly.Invalid, "fact %d of the command, of kind %s, is not readable", len(out), kind)
		}
		out = append(out, f)
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
	facts  []line
}

// Limits of a command: servers take messages of 1 MB unless they are told otherwise, and a payment waits behind one.
const (
	factsMax = 500
	bulkMax  = 1000 // facts of a chunk of an import that are of one of 64 parts
	bytesMax = 384 << 10
)

// cut puts facts into commands. In each part they are in the order in which kinds refer to each other, and otherwise in the order
// in which they came, so that no fact goes ahead of one that it refers to. Facts that nobody owns are left out.
func (l *Log) cut(facts []duly.Fact, most int) ([]piece, error) {
	rank := map[duly.FactKind]int{}
	for i, k := range duly.FactKinds() {
		rank[k] = i
	}
	order := make([]int, 0, len(facts))
	at := make([]struct{ part, rank int }, len(facts))
	for i, f := range facts {
		if f.Owner() != "" {
			order = append(order, i)
			at[i].part, at[i].rank = l.PartOf(f.Owner().Bucket()), rank[f.FactKind()]
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(at[a].part-at[b].part, at[a].rank-at[b].rank)
	})
	var out []piece
	size := 0
	for _, i := range order {
		enc, err := encodeFact(facts[i])
		if err != nil {
			return nil, err
		}
		last := len(out) - 1
		if last < 0 || out[last].part != at[i].part || len(out[last].facts) == most || size+len(enc) > bytesMax {
			out = append(out, piece{part: at[i].part})
			last, size = last+1, 0
		}
		out[last].places, out[last].facts = append(out[last].places, i), append(out[last].facts, enc)
		size += 1 + len(enc)
	}
	return out, nil
}
