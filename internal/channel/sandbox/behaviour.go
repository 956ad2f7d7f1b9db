package sandbox

import (
	"hash/fnv"
	"math/rand/v2"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// Behaviour is how a sandbox treats messages. Rates are per mille of attempts. The zero Behaviour is a perfect carrier.
//
// The rates of an answer exclude each other, so together they are at most 1000; so do those of the end a taken message
// comes to. The others are drawn for each message by themselves.
type Behaviour struct {
	Seed uint64 `yaml:"seed"` // another seed, other fates

	// The answer to Send.
	Temporary        int           `yaml:"temporary"`         // not taken; may be tried again
	Throttled        int           `yaml:"throttled"`         // not taken, for the rate
	RetryAfter       time.Duration `yaml:"retry_after"`       // what a throttled sender is told to wait
	BadAddress       int           `yaml:"bad_address"`       // not taken: no such address
	OptedOut         int           `yaml:"opted_out"`         // not taken: the recipient refused
	Permanent        int           `yaml:"permanent"`         // not taken: the content
	Config           int           `yaml:"config"`            // not taken: the credentials
	UnknownDelivered int           `yaml:"unknown_delivered"` // taken, but the answer is lost
	UnknownLost      int           `yaml:"unknown_lost"`      // not taken, and the answer is lost

	// The end that a taken message comes to: delivered, unless one of these.
	Undelivered int `yaml:"undelivered"` // reported failed
	Bounced     int `yaml:"bounced"`     // reported as a bad address
	Silent      int `yaml:"silent"`      // never reported at all

	// How it is told.
	Read      int           `yaml:"read"`      // of those delivered: also reported read
	DelayMin  time.Duration `yaml:"delay_min"` // of the first receipt, and again of the next; 5s where neither is given
	DelayMax  time.Duration `yaml:"delay_max"` // the same as delay_min where it is not given
	Late      int           `yaml:"late"`      // told late_by later than it should be
	LateBy    time.Duration `yaml:"late_by"`   // 24h where it is not given
	Duplicate int           `yaml:"duplicate"` // every receipt is told twice
	Shuffled  int           `yaml:"shuffled"`  // told in the wrong order: read before delivered, and a wrong "failed" after delivered
	Mute      bool          `yaml:"mute"`      // cannot be asked what became of an attempt
}

// Limits and defaults of a behaviour.
const (
	mille         = 1000
	delayDefault  = 5 * time.Second
	lateDefault   = 24 * time.Hour
	delayLimit    = 30 * 24 * time.Hour
	shuffleBy     = time.Minute // how long the first receipt of a shuffled message is held back
	duplicateGap  = 7 * time.Second
	retryAfterMax = 24 * time.Hour
)

// rate is one row of a table of rates.
type rate struct {
	key   string
	value int
}

// Check reports all that is wrong with the behaviour, at its place in the configuration.
func (b Behaviour) Check(at string) error {
	p := channel.ProblemsAt(at)
	answers, ends, others := b.answers(), b.ends(), []rate{{"read", b.Read}, {"late", b.Late}, {"duplicate", b.Duplicate}, {"shuffled", b.Shuffled}}
	for _, group := range [][]rate{answers, ends, others} {
		for _, r := range group {
			if r.value < 0 || r.value > mille {
				p.Add(r.key, "not a rate from 0 to 1000", "rates are per mille of messages")
			}
		}
	}
	for _, group := range [][]rate{answers, ends} {
		if sum := total(group); sum > mille {
			p.Add(group[0].key, "with the rates that exclude it this is more than 1000", "lower "+keys(group)+" to 1000 in all")
		}
	}
	for _, d := range []struct {
		key   string
		value time.Duration
		limit time.Duration
	}{{"delay_min", b.DelayMin, delayLimit}, {"delay_max", b.DelayMax, delayLimit}, {"late_by", b.LateBy, delayLimit}, {"retry_after", b.RetryAfter, retryAfterMax}} {
		if d.value < 0 || d.value > d.limit {
			p.Add(d.key, "not a time from 0 to "+d.limit.String(), "write it as 5s, 2m or 24h")
		}
	}
	if b.DelayMax != 0 && b.DelayMax < b.DelayMin {
		p.Add("delay_max", "shorter than delay_min", "leave it out for a delay that is always the same")
	}
	return p.Err()
}

func (b Behaviour) answers() []rate {
	return []rate{{"temporary", b.Temporary}, {"throttled", b.Throttled}, {"bad_address", b.BadAddress}, {"opted_out", b.OptedOut},
		{"permanent", b.Permanent}, {"config", b.Config}, {"unknown_delivered", b.UnknownDelivered}, {"unknown_lost", b.UnknownLost}}
}

func (b Behaviour) ends() []rate {
	return []rate{{"undelivered", b.Undelivered}, {"bounced", b.Bounced}, {"silent", b.Silent}}
}

func total(group []rate) int {
	sum := 0
	for _, r := range group {
		sum += r.value
	}
	return sum
}

func keys(group []rate) string {
	s := group[0].key
	for _, r := range group[1:] {
		s += ", " + r.key
	}
	return s
}

// fate is what becomes of one attempt.
type fate struct {
	class channel.Class // of the error that Send returns; "" for none
	kept  bool
	tells []tell
}

// tell is a receipt, in time from the sending.
type tell struct {
	key    string // "" for that of the status
	status duly.ReceiptStatus
	at     time.Duration
	due    time.Duration
}

// fate draws all that chance decides about an attempt, in a fixed order, whether or not it matters: so changing one rate
// leaves the other draws as they were.
func (b Behaviour) fate(id duly.AttemptID) fate {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	r := rand.New(rand.NewPCG(b.Seed, h.Sum64()))
	answer, end := pick(r.IntN(mille), b.answers()), pick(r.IntN(mille), b.ends())
	read, late, twice, shuffled := r.IntN(mille) < b.Read, r.IntN(mille) < b.Late, r.IntN(mille) < b.Duplicate, r.IntN(mille) < b.Shuffled
	first := b.delay(r)
	second := first + b.delay(r)

	var f fate
	switch answer {
	case "":
		f.kept = true
	case "unknown_delivered":
		f.class, f.kept = channel.Unknown, true
	case "unknown_lost":
		f.class = channel.Unknown
	default: // the other keys are those of classes
		f.class = channel.Class(answer)
	}
	if !f.kept {
		return f
	}
	f.tells = b.story(end, read, first, second)
	if late {
		f.delay(b.lateBy())
	}
	if shuffled {
		f.shuffle()
	}
	if twice {
		f.double()
	}
	return f
}

// story is what a well-behaved carrier would tell of a message that came to an end.
func (b Behaviour) story(end string, read bool, first, second time.Duration) []tell {
	switch end {
	case "silent":
		return nil
	case "undelivered":
		return []tell{{status: duly.ReceiptFailed, at: first, due: first}}
	case "bounced":
		return []tell{{status: duly.ReceiptBadAddress, at: first, due: first}}
	}
	out := []tell{{status: duly.ReceiptDelivered, at: first, due: first}}
	if read {
		out = append(out, tell{status: duly.ReceiptRead, at: second, due: second})
	}
	return out
}

func (b Behaviour) lateBy() time.Duration {
	if b.LateBy == 0 {
		return lateDefault
	}
	return b.LateBy
}

func (b Behaviour) delay(r *rand.Rand) time.Duration {
	if b.DelayMax <= b.DelayMin {
		return b.DelayMin
	}
	return b.DelayMin + time.Duration(r.Uint64()%uint64(b.DelayMax-b.DelayMin+1))
}

// pick returns the key of the row that n falls into, or "" beyond the last.
func pick(n int, rates []rate) string {
	for _, r := range rates {
		if n < r.value {
			return r.key
		}
		n -= r.value
	}
	return ""
}

func (f *fate) delay(by time.Duration) {
	for i := range f.tells {
		f.tells[i].due += by
	}
}

// shuffle holds the first receipt back behind all others. Where there is only one, and it says delivered, an earlier
// "failed" that was wrong is told after it.
func (f *fate) shuffle() {
	if len(f.tells) == 0 {
		return
	}
	last := f.tells[len(f.tells)-1].due
	if len(f.tells) > 1 {
		f.tells[0].due = last + shuffleBy
		return
	}
	if first := f.tells[0]; first.status == duly.ReceiptDelivered {
		f.tells = append(f.tells, tell{key: "wrong", status: duly.ReceiptFailed, at: first.at / 2, due: last + shuffleBy})
	}
}

func (f *fate) double() {
	for _, t := range f.tells {
		t.due += duplicateGap
		f.tells = append(f.tells, t)
	}
}

// receipts turns the tells into receipts of an attempt that was sent at an instant.
func (f *fate) receipts(id duly.AttemptID, sent time.Time) []Receipt {
	out := make([]Receipt, len(f.tells))
	for i, t := range f.tells {
		key := t.key
		if key == "" {
			key = string(t.status)
		}
		out[i] = Receipt{No: i + 1, Key: string(id) + ":" + key, Status: t.status, At: sent.Add(t.at), DueAt: sent.Add(t.due)}
	}
	return out
}
