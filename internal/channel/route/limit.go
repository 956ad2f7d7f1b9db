package route

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/money"
)

// Limits is what the operator says of one carrier, besides the settings of its kind.
type Limits struct {
	Rate  Rate          `yaml:"rate"`  // parts that it takes in a time, of all processes together; none: no limit
	Burst int           `yaml:"burst"` // parts that may go at once; 0: those of one second
	Slow  time.Duration `yaml:"slow"`  // receipts of delivery that come later speak against it; 0: not watched
	Price *Price        `yaml:"price"` // what it asks; nil is not known
}

// Bounds of what may be configured.
const (
	rateMax  = 1_000_000
	slowMax  = 7 * 24 * time.Hour
	microMax = math.MaxInt64 / 1_000_000
)

// Check lists all that is wrong with the limits, at their place in the configuration.
func (l *Limits) Check(at string) []*duly.Error {
	p := &problems{at: at}
	if l.Burst < 0 || l.Burst > rateMax {
		p.add("burst", "not from 1 to 1000000 parts", "leave it out for those of one second")
	}
	if l.Burst > 0 && l.Rate.N == 0 {
		p.add("burst", "there is no rate that it could belong to", "give rate, such as 200/s, or leave burst out")
	}
	if l.Slow < 0 || l.Slow > slowMax {
		p.add("slow", "not a time up to "+slowMax.String(), "write it as 10m")
	}
	if l.Price != nil {
		l.Price.check(p)
	}
	return p.found
}

// problems gathers what is wrong.
type problems struct {
	at    string
	found []*duly.Error
}

func (p *problems) add(key, message, hint string) {
	p.found = append(p.found, duly.Errorf(duly.Invalid, "%s", message).WithHint("%s", hint).At(duly.Place{Field: p.at + "." + key}))
}

// Rate is parts in a time, written 200/s, 90/m or 5000/h.
type Rate struct {
	N   int
	Per time.Duration
}

var units = []struct {
	name string
	per  time.Duration
}{{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}}

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(b []byte) error {
	count, unit, _ := strings.Cut(string(b), "/")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	for _, u := range units {
		if err == nil && n >= 1 && n <= rateMax && u.name == strings.TrimSpace(unit) {
			*r = Rate{n, u.per}
			return nil
		}
	}
	return fmt.Errorf("not a rate; write it as 200/s, 90/m or 5000/h")
}

// MarshalText writes a rate.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String writes a rate; "" for none.
func (r Rate) String() string {
	for _, u := range units {
		if r.N > 0 && u.per == r.Per {
			return fmt.Sprintf("%d/%s", r.N, u.name)
		}
	}
	return ""
}

// Micros is an amount of money in millionths of its currency's unit: what a part of a message costs is less than the smallest
// coin. Written as a decimal: 0.035.
type Micros int64

// UnmarshalText reads a decimal of up to six places.
func (m *Micros) UnmarshalText(b []byte) error {
	whole, part, _ := strings.Cut(strings.TrimSpace(string(b)), ".")
	w, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || w > microMax-1 || len(part) > 6 {
		return fmt.Errorf("not an amount; write it as 0.035, with up to six places")
	}
	f := uint64(0)
	if part != "" {
		if f, err = strconv.ParseUint(part+strings.Repeat("0", 6-len(part)), 10, 63); err != nil {
			return fmt.Errorf("not an amount; write it as 0.035, with up to six places")
		}
	}
	*m = Micros(w*1_000_000 + f)
	return nil
}

// MarshalText writes the amount.
func (m Micros) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// String writes the amount as a decimal.
func (m Micros) String() string {
	sign, u := "", uint64(m)
	if m < 0 {
		sign, u = "-", uint64(-m)
	}
	s := fmt.Sprintf("%s%d.%06d", sign, u/1_000_000, u%1_000_000)
	for strings.HasSuffix(s, "0") && s[len(s)-3] != '.' {
		s = s[:len(s)-1]
	}
	return s
}

// Tariff is what one message costs: the sum of what is given.
type Tariff struct {
	Segment Micros `yaml:"segment"` // for each billed part
	Message Micros `yaml:"message"`
	Second  Micros `yaml:"second"` // of a call
}

// Price is what a carrier asks, in one currency; for numbers that begin with a prefix, the longest that is given, another
// tariff.
type Price struct {
	Currency money.Currency    `yaml:"currency"`
	Segment  Micros            `yaml:"segment"`
	Message  Micros            `yaml:"message"`
	Second   Micros            `yaml:"second"`
	Prefixes map[string]Tariff `yaml:"prefixes"`
}

func (p *Price) check(to *problems) {
	if !p.Currency.Known() {
		to.add("price.currency", "not a currency", "give its ISO 4217 code, such as CNY")
	}
	for prefix := range p.Prefixes {
		if len(prefix) < 2 || prefix[0] != '+' || strings.Trim(prefix[1:], "0123456789") != "" {
			to.add("price.prefixes", fmt.Sprintf("%q is not the beginning of a number", prefix), "write it as \"+86\"")
		}
	}
}

// prefixed is a tariff of the numbers that begin with a prefix.
type prefixed struct {
	prefix string
	Tariff
}

// table lists the tariffs, the longest prefix first; the last is for all others.
func (p *Price) table() []prefixed {
	if p == nil {
		return nil
	}
	out := make([]prefixed, 0, len(p.Prefixes)+1)
	for prefix, t := range p.Prefixes {
		out = append(out, prefixed{prefix, t})
	}
	slices.SortFunc(out, func(a, b prefixed) int {
		if len(a.prefix) != len(b.prefix) {
			return len(b.prefix) - len(a.prefix)
		}
		return strings.Compare(a.prefix, b.prefix)
	})
	return append(out, prefixed{"", Tariff{p.Segment, p.Message, p.Second}})
}

// callSeconds is how long a call is taken to last until its carrier has said so.
const callSeconds = 60

// costOf is what a message costs by a table of tariffs. Amounts that no message can cost are the largest there is.
func costOf(table []prefixed, to string, parts, seconds int) Micros {
	for i := range table {
		if t := &table[i]; strings.HasPrefix(to, t.prefix) {
			sum := t.Message
			for _, x := range [2][2]Micros{{t.Segment, Micros(parts)}, {t.Second, Micros(seconds)}} {
				if x[1] > 0 && x[0] > (math.MaxInt64-sum)/x[1] {
					return math.MaxInt64
				}
				sum += x[0] * x[1]
			}
			return sum
		}
	}
	return 0
}
