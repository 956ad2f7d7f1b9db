package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// Root seals the records of all buckets as they stood at one moment, and the root before it. One is made every day. Kept
// where nobody who may write to the store can change it, it shows whatever is done to the records later: also that their
// ends were cut off, or that one was written anew as a whole.
//
// Its hash is SHA-256(previous hash ‖ no ‖ day ‖ at ‖ entries ‖ heads), with numbers and texts as in an entry's hash, the day
// as YYYYMMDD, and of each head bucket, seq and hash.
type Root struct {
	No      int64      `json:"no"`      // counts from 1
	Day     civil.Date `json:"day"`     // the lender's, on which it was made
	At      time.Time  `json:"at"`      // whole microseconds
	Entries int64      `json:"entries"` // of all records together
	Prev    string     `json:"prev"`    // the hash of the root before
	Hash    string     `json:"hash"`
	Heads   []Chain    `json:"heads"` // of every bucket that has a record, by number
}

// NewRoot makes the root that follows prev, nil for the first.
func NewRoot(prev *Root, day civil.Date, at time.Time, heads []Chain) Root {
	r := Root{No: 1, Day: day, At: at.UTC().Truncate(time.Microsecond), Prev: Genesis, Heads: heads}
	if prev != nil {
		r.No, r.Prev = prev.No+1, prev.Hash
	}
	for i := range heads {
		r.Entries += heads[i].Seq
	}
	r.Hash = r.sum()
	return r
}

func (r *Root) sum() string {
	b := make([]byte, 0, 128+len(r.Heads)*96)
	b = text(b, r.Prev)
	for _, n := range []int64{r.No, r.Day.Int(), r.At.UnixMicro(), r.Entries, int64(len(r.Heads))} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	for i := range r.Heads {
		h := &r.Heads[i]
		b = binary.BigEndian.AppendUint64(b, uint64(h.Bucket))
		b = binary.BigEndian.AppendUint64(b, uint64(h.Seq))
		b = text(b, h.Hash)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Holds reports whether the root is whole: its hash seals what it says, and its heads add up.
func (r *Root) Holds() bool {
	var entries int64
	last := -1
	for i := range r.Heads {
		if r.Heads[i].Bucket <= last || r.Heads[i].Seq < 1 {
			return false
		}
		last = r.Heads[i].Bucket
		entries += r.Heads[i].Seq
	}
	return r.No > 0 && entries == r.Entries && r.sum() == r.Hash
}

func (r *Root) broken(f Fault) *Break {
	return &Break{Bucket: NoBucket, Fault: f, Root: r.No, Day: r.Day}
}

// checkRoots follows roots from the one with number first, which is 1 in a whole record.
func checkRoots(first int64, roots []Root) []*Break {
	var out []*Break
	next, prev := max(first, 1), ""
	for i := range roots {
		r := &roots[i]
		switch {
		case r.No > next:
			out = append(out, &Break{Bucket: NoBucket, Fault: Missing, Root: next})
		case r.No < next:
			out = append(out, r.broken(Repeated))
		case !r.Holds():
			out = append(out, r.broken(Altered))
		case (i > 0 || r.No == 1) && r.Prev != prev:
			out = append(out, r.broken(Rewritten))
		}
		next, prev = r.No+1, r.Hash
	}
	return out
}
