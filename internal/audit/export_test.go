package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// book is the records of some buckets, with a root after each of their days.
type book struct {
	entries map[int][]Entry
	heads   map[int]Chain
	roots   []Root
}

var firstDay = civil.On(2026, 3, 10)

// newBook makes three days, on each of which three buckets get two entries; a fourth one begins on the last day, after which
// one entry more is made in each.
func newBook() *book {
	b := &book{entries: map[int][]Entry{}, heads: map[int]Chain{}}
	add := func(bucket, day, n int) {
		c := b.heads[bucket]
		c.Bucket = bucket
		for i := range n {
			e := Entry{At: at(i).AddDate(0, 0, day), Kind: "claimed", Actor: "engine", Detail: fmt.Sprintf(`["<c%d-%d>"]`, bucket, i)}
			c.Seal(&e)
			b.entries[bucket] = append(b.entries[bucket], e)
		}
		b.heads[bucket] = c
	}
	for day := range 3 {
		for _, bucket := range []int{3, 5, 900} {
			add(bucket, day, 2)
		}
		if day == 2 {
			add(17, day, 2)
		}
		b.seal(day)
	}
	for _, bucket := range []int{3, 5, 17, 900} {
		add(bucket, 3, 1)
	}
	return b
}

func (b *book) seal(day int) {
	var heads []Chain
	for _, k := range sorted(b.heads) {
		heads = append(heads, b.heads[k])
	}
	var prev *Root
	if len(b.roots) > 0 {
		prev = &b.roots[len(b.roots)-1]
	}
	b.roots = append(b.roots, NewRoot(prev, firstDay.Add(day), at(59).AddDate(0, 0, day), heads))
}

// reseal makes a bucket's record hold by itself again after a change, as whoever may write to the store could.
func (b *book) reseal(bucket int) {
	c := Chain{Bucket: bucket}
	for i := range b.entries[bucket] {
		c.Seal(&b.entries[bucket][i])
	}
	if b.heads[bucket] = c; c.Seq == 0 {
		delete(b.heads, bucket)
	}
}

// write exports everything, or what lies between two roots, counted from 1; 0 is the beginning, and the end.
func (b *book) write(from, to int) []byte {
	var out bytes.Buffer
	x := NewWriter(&out, Header{MadeAt: at(0).AddDate(0, 0, 9), First: int64(from), Last: int64(to)})
	start, end := map[int]Chain{}, b.heads
	roots := b.roots
	if to > 0 {
		roots, end = roots[:to], headsOf(&b.roots[to-1])
	}
	if from > 0 {
		roots, start = roots[from-1:], headsOf(&b.roots[from-1])
	}
	for i := range roots {
		x.Root(&roots[i])
	}
	for _, k := range sorted(end) {
		s := start[k]
		s.Bucket = k
		x.Begin(s)
		for i := range b.entries[k] {
			if e := &b.entries[k][i]; e.Seq > s.Seq && e.Seq <= end[k].Seq {
				x.Entry(e)
			}
		}
		x.End(end[k])
	}
	if err := x.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func headsOf(r *Root) map[int]Chain {
	out := map[int]Chain{}
	for _, h := range r.Heads {
		out[h.Bucket] = h
	}
	return out
}

func verify(t *testing.T, file []byte, kept []Root) Report {
	t.Helper()
	_, r, err := VerifyExport(bytes.NewReader(file), kept, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExportHolds(t *testing.T) {
	t.Parallel()
	b := newBook()
	for _, c := range []struct{ from, to, entries, roots int }{{0, 0, 24, 3}, {0, 2, 12, 2}, {1, 2, 6, 2}, {1, 0, 18, 3}, {3, 3, 0, 1}, {2, 3, 8, 2}} {
		file := b.write(c.from, c.to)
		seen := 0
		_, r, err := VerifyExport(bytes.NewReader(file), b.roots, func(*Entry) { seen++ })
		if err != nil || len(r.Breaks) != 0 || r.Entries != int64(c.entries) || seen != c.entries || r.Roots < c.roots {
			t.Errorf("roots %d to %d: got %+v, %d seen, %v; want %d entries and %d roots that hold", c.from, c.to, r, seen, err, c.entries, c.roots)
		}
	}
}

// Whoever may write to the store, and knows how it is sealed, changes it in every way there is. What is told is where.
func TestTamperedExport(t *testing.T) {
	t.Parallel()
	day := func(n int) civil.Date { return firstDay.Add(n) }
	for _, c := range []struct {
		name   string
		change func(b *book)
		want   []string // what the breaks say, without roots kept elsewhere
		kept   []string // with them; nil: the same
	}{
		{"a word", func(b *book) { b.entries[5][2].Actor = "nobody" },
			[]string{"bucket 5, entry 3 (2026-03-11T04:00:00Z): its content, or that of what comes before it, was altered"}, nil},
		{"a word, and the record written anew", func(b *book) { b.entries[5][2].Actor = "nobody"; b.reseal(5) },
			[]string{"bucket 5, entry 4 (2026-03-11T04:00:01Z): it, or what comes before it, was written anew, as root 2 of 2026-03-11 shows"}, nil},
		{"an entry taken out", func(b *book) { b.entries[900] = slices.Delete(b.entries[900], 1, 2) },
			[]string{"bucket 900, entry 2 (2026-03-11T04:00:00Z): it is missing"}, nil},
		{"an entry taken out, and the record written anew", func(b *book) { b.entries[900] = slices.Delete(b.entries[900], 1, 2); b.reseal(900) },
			[]string{"bucket 900, entry 2 (2026-03-11T04:00:00Z): it, or what comes before it, was written anew, as root 1 of 2026-03-10 shows"}, nil},
		{"an entry put in, and the record written anew", func(b *book) { b.entries[3] = slices.Insert(b.entries[3], 1, b.entries[3][1]); b.reseal(3) },
			[]string{"bucket 3, entry 4 (2026-03-11T04:00:00Z): it, or what comes before it, was written anew, as root 2 of 2026-03-11 shows"}, nil},
		{"two entries in each other's place", func(b *book) { b.entries[3][0], b.entries[3][1] = b.entries[3][1], b.entries[3][0] },
			[]string{"bucket 3, entry 1 (2026-03-10T04:00:01Z): it is missing"}, nil},
		{"the same, and the record written anew", func(b *book) { b.entries[3][0], b.entries[3][1] = b.entries[3][1], b.entries[3][0]; b.reseal(3) },
			[]string{"bucket 3, entry 2 (2026-03-10T04:00:00Z): it, or what comes before it, was written anew, as root 1 of 2026-03-10 shows"}, nil},
		{"the end cut off", func(b *book) { b.entries[5] = b.entries[5][:5] },
			[]string{"bucket 5, entry 6: it is missing, as root 3 of 2026-03-12 shows"}, nil},
		{"the end cut off, and the head moved", func(b *book) { b.entries[5] = b.entries[5][:5]; b.reseal(5) },
			[]string{"bucket 5, entry 6: it is missing, as root 3 of 2026-03-12 shows"}, nil},
		{"the end cut off, the head moved and the root gone", func(b *book) { b.entries[5] = b.entries[5][:5]; b.reseal(5); b.roots = b.roots[:2] },
			nil, []string{"root 3 of 2026-03-12: it is missing", "bucket 5, entry 6: it is missing, as root 3 of 2026-03-12 shows"}},
		{"everything written anew, the roots too", func(b *book) {
			b.entries[5] = b.entries[5][:5]
			b.reseal(5)
			prev := b.roots[1]
			heads := slices.Clone(b.roots[2].Heads)
			heads[1] = b.heads[5]
			b.roots[2] = NewRoot(&prev, day(2), b.roots[2].At, heads)
		}, nil, []string{"root 3 of 2026-03-12: it, or what comes before it, was written anew", "bucket 5, entry 6: it is missing, as root 3 of 2026-03-12 shows"}},
		{"a bucket gone", func(b *book) { delete(b.entries, 900); delete(b.heads, 900) },
			[]string{"bucket 900, entry 1: it is missing, as root 1 of 2026-03-10 shows"}, nil},
		{"entries of two buckets swapped", func(b *book) { b.entries[3][2], b.entries[5][2] = b.entries[5][2], b.entries[3][2] },
			[]string{"bucket 3, entry 3 (2026-03-11T04:00:00Z): it belongs to another bucket", "bucket 5, entry 3 (2026-03-11T04:00:00Z): it belongs to another bucket"}, nil},
		{"the same, renumbered", func(b *book) {
			b.entries[3][2], b.entries[5][2] = b.entries[5][2], b.entries[3][2]
			b.entries[3][2].Bucket, b.entries[5][2].Bucket = 3, 5
		}, []string{"bucket 3, entry 3 (2026-03-11T04:00:00Z): its content, or that of what comes before it, was altered",
			"bucket 5, entry 3 (2026-03-11T04:00:00Z): its content, or that of what comes before it, was altered"}, nil},
		{"the same, and both records written anew", func(b *book) {
			b.entries[3][2].Detail, b.entries[5][2].Detail = b.entries[5][2].Detail, b.entries[3][2].Detail
			b.reseal(3)
			b.reseal(5)
		}, []string{"bucket 3, entry 4 (2026-03-11T04:00:01Z): it, or what comes before it, was written anew, as root 2 of 2026-03-11 shows",
			"bucket 5, entry 4 (2026-03-11T04:00:01Z): it, or what comes before it, was written anew, as root 2 of 2026-03-11 shows"}, nil},
		{"a root's head", func(b *book) { b.roots[1].Heads[0].Hash = b.roots[1].Heads[1].Hash },
			[]string{"root 2 of 2026-03-11: its content, or that of what comes before it, was altered"},
			[]string{"root 2 of 2026-03-11: its content, or that of what comes before it, was altered"}},
		{"a root gone", func(b *book) { b.roots = slices.Delete(b.roots, 1, 2) },
			[]string{"root 2: it is missing"}, []string{"root 2: it is missing", "root 2 of 2026-03-11: it is missing"}},
		{"a root of another past", func(b *book) { b.roots[1] = NewRoot(&b.roots[0], day(7), b.roots[1].At, b.roots[1].Heads) },
			[]string{"root 3 of 2026-03-12: it, or what comes before it, was written anew"},
			[]string{"root 3 of 2026-03-12: it, or what comes before it, was written anew", "root 2 of 2026-03-17: it, or what comes before it, was written anew"}},
	} {
		b := newBook()
		kept := slices.Clone(b.roots)
		for i := range kept {
			kept[i].Heads = slices.Clone(kept[i].Heads)
		}
		c.change(b)
		file := b.write(0, 0)
		if got := said(verify(t, file, nil)); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
		want := c.kept
		if want == nil {
			want = c.want
		}
		got := said(verify(t, file, kept))
		if c.name == "a root of another past" { // the day told is that of the root that was kept
			want = []string{want[0], "root 2 of 2026-03-11: it, or what comes before it, was written anew"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s, with roots kept elsewhere:\n got %q\nwant %q", c.name, got, want)
		}
	}
}

func said(r Report) (out []string) {
	for _, b := range r.Breaks {
		out = append(out, b.String())
	}
	return out
}

// A file that is cut at any byte never passes, and one with any byte changed passes only if it says the same.
func TestExportByteByByte(t *testing.T) {
	t.Parallel()
	b := newBook()
	file := b.write(0, 0)
	for n := range len(file) {
		_, r, err := VerifyExport(bytes.NewReader(file[:n]), nil, nil)
		if err == nil && len(r.Breaks) == 0 {
			t.Fatalf("cut after %d of %d bytes: it passes", n, len(file))
		}
	}
	for n := range len(file) {
		changed := slices.Clone(file)
		changed[n] ^= 1
		_, r, err := VerifyExport(bytes.NewReader(changed), nil, nil)
		if err == nil && len(r.Breaks) == 0 {
			t.Fatalf("byte %d changed, in %q: it passes", n, around(file, n))
		}
	}
}

func around(b []byte, n int) []byte { return b[max(0, n-20):min(len(b), n+20)] }

func TestExportRefused(t *testing.T) {
	t.Parallel()
	good := string(newBook().write(0, 0))
	lines := strings.SplitAfter(good, "\n")
	for name, text := range map[string]string{
		"not JSON": "hello\n", "no header": strings.Join(lines[1:], ""), "two headers": lines[0] + good, "an unknown key": lines[0] + "{\"rot\":{}}\n",
		"an entry of no record": lines[0] + "{\"entry\":{\"bucket\":3}}\n", "a root behind records": strings.Join(lines[:5], "") + lines[1],
		"another format": strings.Replace(good, `"format":1`, `"format":2`, 1), "nothing in a line": lines[0] + "{}\n",
	} {
		_, _, err := VerifyExport(strings.NewReader(text), nil, nil)
		if duly.CodeOf(err) != duly.Invalid {
			t.Errorf("%s: got %v, want it refused as invalid", name, err)
		}
	}
	if _, r, err := VerifyExport(strings.NewReader(good+"more\n"), nil, nil); err != nil || len(r.Breaks) != 1 {
		t.Errorf("more behind the sum: got %v, %v, want one break", r.Breaks, err)
	}
}

// A record that begins in its middle needs a root that seals what comes before it.
func TestUnanchored(t *testing.T) {
	t.Parallel()
	es, head := record(5)
	v := NewVerifier(Roots{})
	v.Begin(Chain{Bucket: 7, Seq: 2, Hash: es[1].Hash})
	for i := 2; i < 5; i++ {
		v.Next(&es[i])
	}
	v.End(head)
	if r := v.Done(); len(r.Breaks) != 1 || r.Breaks[0].Fault != Unanchored || r.Breaks[0].Seq != 3 {
		t.Errorf("got %v, want entry 3 unanchored", r.Breaks)
	}
}

// A root that was kept after the records were read says nothing of them.
func TestLaterRoot(t *testing.T) {
	t.Parallel()
	b := newBook()
	file := b.write(0, 0)
	b.entries[3] = append(b.entries[3], Entry{At: at(1).AddDate(0, 0, 12), Kind: "facts"})
	b.reseal(3)
	b.seal(12)
	if r := verify(t, file, b.roots); len(r.Breaks) != 0 || r.Kept != 3 {
		t.Errorf("got %+v, want it held against three kept roots", r)
	}
}

// Computed by another program.
const (
	rootSum   = "c86ee5f4467eeda567df69ea2ec18166009e8c49698a6833e676a0043b4e66cb"
	commitSum = "3fca7d1f04f4b053ab8544d7c922d5b991e47bf6c2ddfbc55419c4b7e45e3c86"
)

// The forms are for ever: roots and commitments of years ago must still verify.
func TestFormsAreStable(t *testing.T) {
	t.Parallel()
	r := NewRoot(&Root{No: 4, Hash: "aa"}, firstDay, at(0), []Chain{{3, 2, "bb"}, {900, 7, "cc"}})
	for _, c := range []struct{ what, got, want string }{
		{"root", r.Hash, rootSum},
		{"commitment", Commit([]byte("0123456789abcdef"), []byte("欠款 100.00")), commitSum},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, c.got, c.want)
		}
	}
	raw, err := json.Marshal(&r)
	var back Root
	if err != nil || json.Unmarshal(raw, &back) != nil || !back.Holds() || back.Entries != 9 {
		t.Errorf("a root that was written and read does not hold: %s, %v", raw, err)
	}
}

func TestOpening(t *testing.T) {
	t.Parallel()
	o := Open([]byte("0123456789abcdef"), "told by the carrier's desk")
	if !o.Holds() {
		t.Error("what was committed to does not hold")
	}
	for _, bad := range []Opening{
		{o.Hash, o.Salt, o.Value + " "}, {o.Hash, []byte("0123456789abcdeF"), o.Value}, {o.Hash, []byte("0123456789abcdeft"), o.Value[1:]},
		Open([]byte("short"), "x"), {Hash: o.Hash},
	} {
		if bad.Holds() {
			t.Errorf("%+v holds", bad)
		}
	}
}

func FuzzVerifyExport(f *testing.F) {
	f.Add(newBook().write(0, 0))
	f.Add(newBook().write(1, 2))
	f.Add([]byte("{\"audit\":{\"format\":1}}\n{\"begin\":{\"bucket\":-1}}\n{\"end\":{}}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Time{}
		if h, r, err := VerifyExport(bytes.NewReader(b), nil, nil); err == nil && len(r.Breaks) == 0 && h.MadeAt.Before(start) {
			t.Errorf("an export made before all time")
		}
	})
}
