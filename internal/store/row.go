package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// columns is where a row's values lie: in memory of the engine, until the next row.
type columns interface {
	number(i int) (int64, bool)
	bytes(i int) ([]byte, bool) // of a text
	kind(i int) string          // what else it is, for errors
}

// row reads the columns of one row from left to right. A column of the wrong kind is an error that ends the query. Values
// repeat from row to row, so each text is compared with the last of its column before it is copied.
type row struct {
	columns
	last []string
	next int
	err  error
}

// read hands the row at hand to scan.
func (r *row) read(scan func(*row) error) error {
	r.next = 0
	if err := scan(r); err != nil {
		return err
	}
	return r.err
}

func (r *row) text() string {
	i := r.next
	r.next++
	b, ok := r.bytes(i)
	if !ok {
		r.wrong("text")
		return ""
	}
	for len(r.last) <= i {
		r.last = append(r.last, "")
	}
	if string(b) != r.last[i] {
		r.last[i] = string(b)
	}
	return r.last[i]
}

func (r *row) int64() int64 {
	n, ok := r.number(r.next)
	r.next++
	if !ok {
		r.wrong("number")
	}
	return n
}

func (r *row) int() int   { return int(r.int64()) }
func (r *row) bool() bool { return r.int64() != 0 }

func (r *row) time() time.Time { return instant(r.int64()) }

func (r *row) date() civil.Date {
	d, err := civil.FromInt(r.int64())
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("column %d: %w", r.next, err)
	}
	return d
}

func (r *row) weekdays() (days civil.Weekdays) {
	if err := days.UnmarshalText([]byte(r.text())); err != nil && r.err == nil {
		r.err = fmt.Errorf("column %d: %w", r.next, err)
	}
	return days
}

func (r *row) amount(c money.Currency) money.Amount { return money.New(r.int64(), c) }

// json reads a JSON column into v; "" leaves v alone.
func (r *row) json(v any) {
	if s := r.text(); s != "" {
		r.decode(s, v)
	}
}

func (r *row) decode(s string, v any) {
	if err := json.Unmarshal([]byte(s), v); err != nil && r.err == nil {
		r.err = fmt.Errorf("column %d: %w", r.next, err)
	}
}

// micros and instant are how an instant is kept: microseconds since 1970 UTC, 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// jsonText writes a list as JSON; an empty one as "".
func jsonText[T any](list []T) string {
	if len(list) == 0 {
		return ""
	}
	return jsonOf(list)
}

// jsonOf writes a plain struct, or a list of them, as JSON.
func jsonOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store.jsonOf: " + err.Error()) // plain structs of texts and times always marshal
	}
	return string(b)
}

func (r *row) wrong(want string) {
	if r.err == nil {
		r.err = fmt.Errorf("column %d is %s, want a %s", r.next, r.kind(r.next-1), want)
	}
}
