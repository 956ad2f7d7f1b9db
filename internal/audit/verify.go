package audit

import (
	"cmp"
	"slices"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// Roots are the roots that records are held against.
type Roots struct {
	First int64     // the number of the first that is to be there; 0 and 1 are a record's beginning
	Last  int64     // the number of the last that is to be there; 0 is whichever there is
	List  []Root    // beside the records, in order
	Kept  []Root    // those that were kept elsewhere
	Until time.Time // when the records were read; what was kept later says nothing of them
}

// Report is the outcome of a verification.
type Report struct {
	Buckets int      `json:"buckets"` // with a record
	Entries int64    `json:"entries"` // that hold
	Roots   int      `json:"roots"`   // that the records were held against
	Kept    int      `json:"kept"`    // of these, roots that were kept elsewhere
	Breaks  []*Break `json:"breaks"`  // the first of each bucket, and those of roots
	// Elsewhere are buckets which roots know of and another cell has: nothing was verified of them here.
	Elsewhere []int `json:"elsewhere,omitempty"`
}

// Verifier holds the records of buckets, one after another, against themselves and against roots.
type Verifier struct {
	report Report
	marks  map[int][]mark
	begun  map[int]bool
	chain  Chain
	due    []mark // of the bucket at hand, that lie ahead
	broken bool   // the bucket at hand has its break
}

// mark is what a root says of one bucket.
type mark struct {
	seq  int64
	hash string
	root int64
	day  civil.Date
}

// NewVerifier checks the roots and makes ready for the records. Of roots that do not hold nothing more is asked.
func NewVerifier(roots Roots) *Verifier {
	v := &Verifier{marks: map[int][]mark{}, begun: map[int]bool{}}
	v.report.Breaks = checkRoots(roots.First, roots.List)
	if n := len(roots.List); roots.Last > 0 && (n == 0 || roots.List[n-1].No < roots.Last) {
		v.report.Breaks = append(v.report.Breaks, &Break{Bucket: NoBucket, Fault: Missing, Root: roots.Last})
	}
	byNo := map[int64]*Root{}
	for i := range roots.List {
		byNo[roots.List[i].No] = &roots.List[i]
		v.mark(&roots.List[i])
	}
	for i := range roots.Kept {
		r := &roots.Kept[i]
		listed := byNo[r.No]
		switch {
		case !r.Holds():
			v.report.Breaks = append(v.report.Breaks, r.broken(Altered))
			continue
		case r.No < roots.First, roots.Last > 0 && r.No > roots.Last, !roots.Until.IsZero() && r.At.After(roots.Until):
			continue
		case listed == nil:
			v.report.Breaks = append(v.report.Breaks, r.broken(Missing))
		case listed.Hash != r.Hash:
			v.report.Breaks = append(v.report.Breaks, r.broken(Rewritten))
		}
		v.report.Kept++
		if listed == nil || listed.Hash != r.Hash {
			v.mark(r)
		}
	}
	for _, m := range v.marks {
		slices.SortStableFunc(m, func(a, b mark) int { return cmp.Compare(a.seq, b.seq) })
	}
	return v
}

func (v *Verifier) mark(r *Root) {
	if !r.Holds() {
		return
	}
	v.report.Roots++
	for _, h := range r.Heads {
		v.marks[h.Bucket] = append(v.marks[h.Bucket], mark{h.Seq, h.Hash, r.No, r.Day})
	}
}

// Begin takes up the record of a bucket after the place where it begins: Seq 0 for the whole of it.
func (v *Verifier) Begin(start Chain) {
	v.chain, v.broken, v.due = start, false, v.marks[start.Bucket]
	if v.begun[start.Bucket] {
		v.found(&Break{Bucket: start.Bucket, Seq: start.Seq + 1, Fault: Repeated})
		return
	}
	v.begun[start.Bucket] = true
	anchored := start.Seq == 0 && start.Hash == Genesis
	for len(v.due) > 0 && v.due[0].seq <= start.Seq { // what comes before is not here to be looked at
		if m := v.due[0]; m.seq == start.Seq {
			anchored = true
			if m.hash != start.Hash {
				v.found(v.shown(Rewritten, start.Seq, m))
			}
		}
		v.due = v.due[1:]
	}
	if !anchored {
		v.found(&Break{Bucket: start.Bucket, Seq: start.Seq + 1, Fault: Unanchored})
	}
}

// Next follows the record at hand by one entry. After a break the rest of it is passed over.
func (v *Verifier) Next(e *Entry) {
	if v.broken {
		return
	}
	if b := v.chain.Next(e); b != nil {
		v.found(b)
		return
	}
	for len(v.due) > 0 && v.due[0].seq == e.Seq {
		if v.due[0].hash != e.Hash {
			b := v.shown(Rewritten, e.Seq, v.due[0])
			b.At = e.At
			v.found(b)
			return
		}
		v.due = v.due[1:]
	}
	v.report.Entries++
}

// End closes the record at hand at its head.
func (v *Verifier) End(head Chain) {
	if v.chain.Seq > 0 || head.Seq > 0 || v.broken {
		v.report.Buckets++
	}
	if v.broken {
		return
	}
	if len(v.due) > 0 {
		v.found(v.shown(Missing, v.chain.Seq+1, v.due[0]))
		return
	}
	if b := v.chain.Ends(head.Seq, head.Hash); b != nil {
		v.found(b)
	}
}

// Elsewhere passes over the record of a bucket that another cell has: what roots say of it is held against it there.
func (v *Verifier) Elsewhere(bucket int) {
	if v.begun[bucket] {
		v.chain = Chain{Bucket: bucket}
		v.found(&Break{Bucket: bucket, Seq: 1, Fault: Repeated})
		return
	}
	v.begun[bucket] = true
	if len(v.marks[bucket]) > 0 {
		v.report.Elsewhere = append(v.report.Elsewhere, bucket)
	}
}

// Done says what was found, once every record was followed: one that a root knows of and that is not there is missing.
func (v *Verifier) Done() Report {
	for _, bucket := range sorted(v.marks) {
		if m := v.marks[bucket]; !v.begun[bucket] {
			v.chain = Chain{Bucket: bucket}
			v.report.Breaks = append(v.report.Breaks, v.shown(Missing, 1, m[0]))
		}
	}
	return v.report
}

func (v *Verifier) shown(f Fault, seq int64, m mark) *Break {
	return &Break{Bucket: v.chain.Bucket, Seq: seq, Fault: f, Root: m.root, Day: m.day}
}

func (v *Verifier) found(b *Break) {
	v.broken = true
	v.report.Breaks = append(v.report.Breaks, b)
}

func sorted[V any](m map[int]V) []int {
	out := make([]int, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
