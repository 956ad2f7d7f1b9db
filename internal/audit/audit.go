// Package audit is a record that shows if it was altered: entries of one bucket form a chain, each sealed with a hash
// over itself and the hash of the one before.
//
// Whoever changes, drops, adds or reorders an entry must recompute every later hash of the bucket, and the head that is
// kept apart from the chain; [Chain.Next] finds the first link that does not hold. The hash of an entry is
//
//	SHA-256(previous hash ‖ bucket ‖ seq ‖ at ‖ kind ‖ actor ‖ subject ‖ detail)
//
// with numbers as eight bytes, big end first, the instant in microseconds, and texts preceded by their length, so that
// no two entries share a form. A chain is followed entry by entry:
//
//	c := audit.Chain{Bucket: 7}
//	for _, e := range entries {
//		if b := c.Next(&e); b != nil { … }
//	}
//
// Whoever may write to the store could do all of that. So a [Root] seals the heads of all buckets every day, each root the
// one before, and is kept where the store's owner cannot reach it. A [Verifier] holds records against the roots, those of a
// store as well as those of a file that a [Writer] made.
//
// Personal data is in no entry. Where one must prove what was said or known of a person it holds a commitment, the hash of a
// salt and the value; see [Commit]. Salt and value lie outside the record and can be erased, which the record does not notice.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// Entry is one thing that was done: what, by whom, to what, and when. Seq counts from 1 within the bucket.
type Entry struct {
	Bucket  int       `json:"bucket"`
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`    // whole microseconds
	Kind    string    `json:"kind"`  // facts, planned, claimed, …
	Actor   string    `json:"actor"` // engine, a user, import:…
	Subject string    `json:"subject"`
	Detail  string    `json:"detail"` // JSON, kept to the byte
	Hash    string    `json:"hash"`   // hexadecimal; seals this entry and all before it
}

// Genesis is the hash before the first entry of a bucket.
const Genesis = ""

// Hash returns the hash that seals e after an entry whose hash is prev. It does not read e.Hash.
func Hash(prev string, e *Entry) string {
	b := make([]byte, 0, 128+len(e.Kind)+len(e.Actor)+len(e.Subject)+len(e.Detail))
	b = text(b, prev)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Bucket))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMicro()))
	for _, s := range []string{e.Kind, e.Actor, e.Subject, e.Detail} {
		b = text(b, s)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func text(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

// Chain is how far a bucket's record has been followed. The zero Seq and Hash stand before the first entry.
type Chain struct {
	Bucket int    `json:"bucket"`
	Seq    int64  `json:"seq"`
	Hash   string `json:"hash"`
}

// Seal makes e the next entry of the chain: it sets its bucket, number and hash.
func (c *Chain) Seal(e *Entry) {
	e.Bucket, e.Seq = c.Bucket, c.Seq+1
	e.Hash = Hash(c.Hash, e)
	c.Seq, c.Hash = e.Seq, e.Hash
}

// Next follows the chain by one entry, or returns where it breaks and stays where it was.
func (c *Chain) Next(e *Entry) *Break {
	switch {
	case e.Bucket != c.Bucket:
		return &Break{Bucket: c.Bucket, Seq: e.Seq, Fault: Foreign, At: e.At}
	case e.Seq > c.Seq+1:
		return &Break{Bucket: c.Bucket, Seq: c.Seq + 1, Fault: Missing, At: e.At}
	case e.Seq < c.Seq+1:
		return &Break{Bucket: c.Bucket, Seq: e.Seq, Fault: Repeated, At: e.At}
	}
	if Hash(c.Hash, e) != e.Hash {
		return &Break{Bucket: c.Bucket, Seq: e.Seq, Fault: Altered, At: e.At}
	}
	c.Seq, c.Hash = e.Seq, e.Hash
	return nil
}

// Ends checks the end of the chain against the head that is kept apart from it.
func (c *Chain) Ends(seq int64, hash string) *Break {
	switch {
	case seq > c.Seq:
		return &Break{Bucket: c.Bucket, Seq: c.Seq + 1, Fault: Missing}
	case seq < c.Seq:
		return &Break{Bucket: c.Bucket, Seq: seq + 1, Fault: Added}
	case hash != c.Hash:
		return &Break{Bucket: c.Bucket, Seq: seq, Fault: Altered}
	}
	return nil
}

// NoBucket stands in a [Break] that is of a root or of a file, and of no bucket.
const NoBucket = -1

// Break is the first place at which a bucket's record does not hold, or a root or a file that does not.
type Break struct {
	Bucket int        `json:"bucket"` // or NoBucket
	Seq    int64      `json:"seq"`    // of the entry; 0 for a root or a file
	Fault  Fault      `json:"fault"`
	At     time.Time  `json:"at,omitzero"`       // when the entry, or the one behind what is missing, says that it was made
	Root   int64      `json:"root,omitempty"`    // the number of the root that shows it, or that does not hold
	Day    civil.Date `json:"root_day,omitzero"` // that root's day
}

// String says where and what, for an operator.
func (b *Break) String() string {
	root := ""
	if b.Root > 0 {
		root = fmt.Sprintf("root %d of %s", b.Root, b.Day)
		if b.Day.IsZero() {
			root = fmt.Sprintf("root %d", b.Root)
		}
	}
	switch {
	case b.Bucket == NoBucket && b.Root > 0:
		return root + ": " + b.Fault.explain()
	case b.Bucket == NoBucket:
		return "the file: " + b.Fault.explain()
	}
	s := fmt.Sprintf("bucket %d, entry %d", b.Bucket, b.Seq)
	if !b.At.IsZero() {
		s += " (" + b.At.UTC().Format(time.RFC3339) + ")"
	}
	s += ": " + b.Fault.explain()
	if root != "" {
		s += ", as " + root + " shows"
	}
	return s
}

// Fault is what is wrong with a record.
type Fault string

// The faults. A changed entry and one whose predecessor was changed together with its hash look the same: altered.
const (
	Altered    Fault = "altered"    // the content does not match the hash
	Missing    Fault = "missing"    // the entry, or the root, is not there
	Added      Fault = "added"      // the entry lies beyond the head
	Repeated   Fault = "repeated"   // the number was there before
	Foreign    Fault = "foreign"    // the entry is of another bucket
	Rewritten  Fault = "rewritten"  // it holds by itself, and is not what a root sealed
	Unanchored Fault = "unanchored" // the record begins in its middle where no root seals it
	Cut        Fault = "cut"        // the file ends before its last line
)

func (f Fault) explain() string {
	switch f {
	case Altered:
		return "its content, or that of what comes before it, was altered"
	case Missing:
		return "it is missing"
	case Added:
		return "it was added beside the head"
	case Repeated:
		return "its number is there twice or out of order"
	case Foreign:
		return "it belongs to another bucket"
	case Rewritten:
		return "it, or what comes before it, was written anew"
	case Unanchored:
		return "the record begins here, and no root seals what comes before it"
	case Cut:
		return "it ends before its last line"
	}
	return string(f)
}
