package audit

import (
	"fmt"
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

// follow holds a record against its head, and roots if there are any.
func follow(es []Entry, head Chain, roots Roots) Report {
	v := NewVerifier(roots)
	v.Begin(Chain{Bucket: head.Bucket})
	for i := range es {
		v.Next(&es[i])
	}
	v.End(head)
	return v.Done()
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(es []Entry, head *Chain) []Entry
		want   Break
	}{
		{"whole", func(es []Entry, _ *Chain) []Entry { return es }, Break{}},
		{"bucket", func(es []Entry, _ *Chain) []Entry { es[2].Bucket = 8; return es }, Break{Bucket: 7, Seq: 3, Fault: Foreign}},
		{"time", func(es []Entry, _ *Chain) []Entry { es[2].At = es[2].At.Add(time.Microsecond); return es }, Break{Bucket: 7, Seq: 3, Fault: Altered}},
		{"kind", func(es []Entry, _ *Chain) []Entry { es[0].Kind = "fact"; return es }, Break{Bucket: 7, Seq: 1, Fault: Altered}},
		{"actor", func(es []Entry, _ *Chain) []Entry { es[4].Actor = ""; return es }, Break{Bucket: 7, Seq: 5, Fault: Altered}},
		{"subject", func(es []Entry, _ *Chain) []Entry { es[1].Subject = "t"; return es }, Break{Bucket: 7, Seq: 2, Fault: Altered}},
		{"detail", func(es []Entry, _ *Chain) []Entry { es[1].Detail += " "; return es }, Break{Bucket: 7, Seq: 2, Fault: Altered}},
		{"words moved between columns", func(es []Entry, _ *Chain) []Entry {
			es[1].Kind, es[1].Actor = "factsi", "mport"
			return es
		}, Break{Bucket: 7, Seq: 2, Fault: Altered}},
		{"resealed alone", func(es []Entry, _ *Chain) []Entry {
			es[1].Detail = "{}"
			es[1].Hash = Hash(es[0].Hash, &es[1])
			return es
		}, Break{Bucket: 7, Seq: 3, Fault: Altered}},
		{"resealed to the end", func(es []Entry, _ *Chain) []Entry {
			es[3].Detail = "{}"
			for i := 3; i < len(es); i++ {
				es[i].Hash = Hash(es[i-1].Hash, &es[i])
			}
			return es
		}, Break{Bucket: 7, Seq: 5, Fault: Altered}},
		{"dropped", func(es []Entry, _ *Chain) []Entry { return append(es[:1], es[2:]...) }, Break{Bucket: 7, Seq: 2, Fault: Missing}},
		{"last dropped", func(es []Entry, _ *Chain) []Entry { return es[:4] }, Break{Bucket: 7, Seq: 5, Fault: Missing}},
		{"all dropped", func([]Entry, *Chain) []Entry { return nil }, Break{Bucket: 7, Seq: 1, Fault: Missing}},
		{"twice", func(es []Entry, _ *Chain) []Entry { return append(es[:3:3], es[2:]...) }, Break{Bucket: 7, Seq: 3, Fault: Repeated}},
		{"swapped", func(es []Entry, _ *Chain) []Entry { es[1], es[2] = es[2], es[1]; return es }, Break{Bucket: 7, Seq: 2, Fault: Missing}},
		{"beyond the head", func(es []Entry, head *Chain) []Entry { head.Seq, head.Hash = 4, es[3].Hash; return es }, Break{Bucket: 7, Seq: 5, Fault: Added}},
	} {
		es, head := record(5)
		es = c.change(es, &head)
		r := follow(es, head, Roots{})
		switch {
		case c.want == Break{}:
			if len(r.Breaks) != 0 || r.Entries != head.Seq {
				t.Errorf("%s: got %v after %d entries, want none after %d", c.name, r.Breaks, r.Entries, head.Seq)
			}
		case len(r.Breaks) != 1 || same(r.Breaks[0]) != c.want:
			t.Errorf("%s: got %v, want %v", c.name, r.Breaks, &c.want)
		}
	}
}

// same is a break without the time of its entry.
func same(b *Break) Break {
	out := *b
	out.At = time.Time{}
	return out
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
	entries := []Entry{{Kind: "planned", Actor: "engine", At: at(1)}, {Kind: "claimed", Actor: "engine", At: at(2)}}
	for i := range entries {
		c.Seal(&entries[i])
	}
	head := c // kept apart from the record

	entries[0].Actor = "nobody"
	fmt.Println(follow(entries, head, Roots{}).Breaks[0])
	// Output: bucket 7, entry 1 (2026-03-10T04:00:01Z): its content, or that of what comes before it, was altered
}
