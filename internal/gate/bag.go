package gate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// bag is a mapping of a case as it was read. It remembers which keys were asked for, so that the others can be told.
type bag struct {
	b    *builder
	path string
	m    map[string]any
	used map[string]bool
}

// open makes a bag of a value; anything but a mapping is a problem.
func (b *builder) open(path string, v any) *bag {
	x := &bag{b: b, path: path, used: map[string]bool{}}
	switch m := v.(type) {
	case nil:
	case map[string]any:
		x.m = m
	default:
		b.fail(path, "must be a mapping of keys to values")
	}
	b.bags = append(b.bags, x)
	return x
}

// get returns the value at the first of the keys that is there and not null. All of them count as asked for.
func (x *bag) get(keys ...string) any {
	var out any
	for _, k := range keys {
		x.used[k] = true
		if out == nil {
			out = x.m[k]
		}
	}
	return out
}

// skip counts keys as understood that say nothing to the gate.
func (x *bag) skip(keys ...string) { x.get(keys...) }

// unused lists the keys that nobody asked for.
func (x *bag) unused() []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(x.m)) {
		if !x.used[k] {
			out = append(out, strings.TrimPrefix(x.path+"."+k, "."))
		}
	}
	return out
}

func (x *bag) fail(key, format string, args ...any) {
	x.b.fail(strings.TrimPrefix(x.path+"."+key, "."), format, args...)
}

// sub opens the mapping at a key.
func (x *bag) sub(keys ...string) *bag {
	return x.b.open(strings.TrimPrefix(x.path+"."+keys[0], "."), x.get(keys...))
}

// text returns the text or number at a key; "" if it is not there.
func (x *bag) text(keys ...string) string {
	v := x.get(keys...)
	if v == nil {
		return ""
	}
	s, ok := scalar(v)
	if !ok {
		x.fail(keys[0], "must be text")
	}
	return s
}

// yes returns the truth value at a key; false if it is not there.
func (x *bag) yes(keys ...string) bool {
	v := x.get(keys...)
	b, ok := v.(bool)
	if !ok && v != nil {
		x.fail(keys[0], "must be true or false")
	}
	return b
}

// time returns the instant at a key; the zero time if it is not there. A day is its first instant in UTC.
func (x *bag) time(keys ...string) time.Time {
	s := x.text(keys...)
	if s == "" {
		return time.Time{}
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t
	}
	if d, err := civil.Parse(s); err == nil {
		return d.At(0, time.UTC)
	}
	x.fail(keys[0], "must be a time written as 2026-03-10T21:59:59+08:00")
	return time.Time{}
}

// day returns the day at a key; no date if it is not there.
func (x *bag) day(keys ...string) civil.Date {
	s := x.text(keys...)
	if s == "" {
		return civil.Date{}
	}
	d, err := civil.Parse(s)
	if err != nil {
		x.fail(keys[0], "%v", err)
	}
	return d
}

// list returns the list at a key. A value that is no list is a list of one, and a mapping of names to true is a list of
// the names.
func (x *bag) list(keys ...string) []any {
	switch v := x.get(keys...).(type) {
	case nil:
		return nil
	case []any:
		return v
	case map[string]any:
		var out []any
		for _, k := range slices.Sorted(maps.Keys(v)) {
			switch on := v[k].(type) {
			case bool:
				if on {
					out = append(out, k)
				}
			default:
				x.fail(keys[0], "must be a list")
				return nil
			}
		}
		return out
	default:
		return []any{v}
	}
}

// texts returns the list of texts at a key.
func (x *bag) texts(keys ...string) []string {
	var out []string
	for _, v := range x.list(keys...) {
		s, ok := scalar(v)
		if !ok {
			x.fail(keys[0], "must be a list of texts")
		}
		out = append(out, s)
	}
	return out
}

// things opens the mappings in the list at a key. One that is only a text stands for a mapping of its name.
func (x *bag) things(name string, keys ...string) []*bag {
	var out []*bag
	for i, v := range x.list(keys...) {
		if s, ok := scalar(v); ok {
			v = map[string]any{name: s}
		}
		out = append(out, x.b.open(fmt.Sprintf("%s.%s[%d]", x.path, keys[0], i), v))
	}
	return out
}

// scalar returns a text or a number as text.
func scalar(v any) (string, bool) {
	switch s := v.(type) {
	case string:
		return s, true
	case json.Number:
		return s.String(), true
	case int64:
		return strconv.FormatInt(s, 10), true
	case uint64:
		return strconv.FormatUint(s, 10), true
	case int:
		return strconv.Itoa(s), true
	case float64:
		return strconv.FormatFloat(s, 'f', -1, 64), true
	}
	return "", false
}
