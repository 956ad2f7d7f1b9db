package audit

import (
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"
)

func at(n int) time.Time { return time.Date(2026, 3, 10, 4, 0, n, 1000, time.UTC) }

// record makes a sealed record of n entries and its head.
func record(n int) ([]Entry, Chain) {
	c := Chain{Bucket: 7}
	es := make([]Entry, n)
	for i := range es {
		es[i] = Entry{At: at(i), Kind: "facts", Actor: "import", Subject: "s", Detail: fmt.Sprintf(`{"n":%d}`, i)}
		c.Seal(&es[i])
	}
	return es, c
}

func list(es []Entry, err error) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range es {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(es []Entry, head *Chain) []Entry
		want   Break
	}{
		{"whole", func(es []Entry, _ *Chain) []Entry { return es }, Break{}},
		{"bucket", func(es []Entry, _ *Chain) []Entry { es[2].Bucket = 8; return es }, Break{7, 3, Foreign}},
		{"time", func(es []Entry, _ *Chain) []Entry { es[2].At = es[2].At.Add(time.Microsecond); return es }, Break{7, 3, Altered}},
		{"kind", func(es []Entry, _ *Chain) []Entry { es[0].Kind = "fact"; return es }, Break{7, 1, Altered}},
		{"actor", func(es []Entry, _ *Chain) []Entry { es[4].Actor = ""; return es }, Break{7, 5, Altered}},
		{"subject", func(es []Entry, _ *Chain) []Entry { es[1].Subject = "t"; return es }, Break{7, 2, Altered}},
		{"detail", func(es []Entry, _ *Chain) []Entry { es[1].Detail += " "; return es }, Break{7, 2, Altered}},
		{"words moved between columns", func(es []Entry, _ *Chain) []Entry {
			es[1].Kind, es[1].Actor = "factsi", "mport"
			return es
		}, Break{7, 2, Altered}},
		{"resealed alone", func(es []Entry, _ *Chain) []Entry {
			es[1].Detail = "{}"
			es[1].Hash = Hash(es[0].Hash, &es[1])
			return es
		}, Break{7, 3, Altered}},
		{"resealed to the end", func(es []Entry, _ *Chain) []Entry {
			es[3].Detail = "{}"
			for i := 3; i < len(es); i++ {
				es[i].Hash = Hash(es[i-1].Hash, &es[i])
			}
			return es
		}, Break{7, 5, Altered}},
		{"dropped", func(es []Entry, _ *Chain) []Entry { return append(es[:1], es[2:]...) }, Break{7, 2, Missing}},
		{"last dropped", func(es []Entry, _ *Chain) []Entry { return es[:4] }, Break{7, 5, Missing}},
		{"all dropped", func([]Entry, *Chain) []Entry { return nil }, Break{7, 1, Missing}},
		{"twice", func(es []Entry, _ *Chain) []Entry { return append(es[:3:3], es[2:]...) }, Break{7, 3, Repeated}},
		{"swapped", func(es []Entry, _ *Chain) []Entry { es[1], es[2] = es[2], es[1]; return es }, Break{7, 2, Missing}},
		{"beyond the head", func(es []Entry, head *Chain) []Entry { head.Seq, head.Hash = 4, es[3].Hash; return es }, Break{7, 5, Added}},
	} {
		es, head := record(5)
		es = c.change(es, &head)
		chain, got, err := Verify(head, list(es, nil))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		switch {
		case c.want == Break{}:
			if got != nil || chain != head {
				t.Errorf("%s: got %v after %+v, want none after %+v", c.name, got, chain, head)
			}
		case got == nil || *got != c.want:
			t.Errorf("%s: got %v, want %v", c.name, got, &c.want)
		}
	}
}

func TestVerifyStopsOnError(t *testing.T) {
	t.Parallel()
	es, head := record(2)
	broken := errors.New("disk")
	if c, b, err := Verify(head, list(es, broken)); !errors.Is(err, broken) || b != nil || c.Seq != 2 {
		t.Errorf("got %+v, %v, %v; want the error after two entries", c, b, err)
	}
}

// The form that is hashed is for ever: records of years ago must still verify.
func TestHashIsStable(t *testing.T) {
	t.Parallel()
	e := Entry{Bucket: 7, Seq: 1, At: at(0), Kind: "facts", Actor: "import", Subject: "s", Detail: `{"n":0}`}
	const want = "51fc8da7615fcea2446bfd11673e9e9f6c0089ecc9045decc270c6bc3ffe3d7c" // computed by another program
	if got := Hash(Genesis, &e); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func ExampleChain() {
	c := Chain{Bucket: 7}
	entries := []Entry{{Kind: "planned", Actor: "engine"}, {Kind: "claimed", Actor: "engine"}}
	for i := range entries {
		c.Seal(&entries[i])
	}
	head := c // kept apart from the record

	entries[0].Actor = "nobody"
	_, broken, _ := Verify(head, list(entries, nil))
	fmt.Println(broken)
	// Output: bucket 7, entry 1: its content, or that of an entry before it, was altered
}
