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
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"time"
)

// Entry is one thing that was done: what, by whom, to what, and when. Seq counts from 1 within the bucket.
type Entry struct {
	Bucket  int
	Seq     int64
	At      time.Time // whole microseconds
	Kind    string    // facts, planned, claimed, …
	Actor   string    // engine, a user, import:…
	Subject string
	Detail  string // JSON, kept to the byte
	Hash    string // hexadecimal; seals this entry and all before it
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
	Bucket int
	Seq    int64
	Hash   string
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
		return &Break{Bucket: c.Bucket, Seq: e.Seq, Fault: Foreign}
	case e.Seq > c.Seq+1:
		return &Break{Bucket: c.Bucket, Seq: c.Seq + 1, Fault: Missing}
	case e.Seq < c.Seq+1:
		return &Break{Bucket: c.Bucket, Seq: e.Seq, Fault: Repeated}
	}
	if Hash(c.Hash, e) != e.Hash {
		return &Break{Bucket: c.Bucket, Seq: e.Seq, Fault: Altered}
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

// Verify follows a bucket's whole record, oldest entry first, up to its head. It returns how far the chain holds, and
// the first break if there is one; an error is one of reading.
func Verify(head Chain, entries iter.Seq2[Entry, error]) (Chain, *Break, error) {
	c := Chain{Bucket: head.Bucket}
	for e, err := range entries {
		if err != nil {
			return c, nil, err
		}
		if b := c.Next(&e); b != nil {
			return c, b, nil
		}
	}
	return c, c.Ends(head.Seq, head.Hash), nil
}

// Break is the first place at which a bucket's record does not hold.
type Break struct {
	Bucket int   `json:"bucket"`
	Seq    int64 `json:"seq"`
	Fault  Fault `json:"fault"`
}

// String says where and what, for an operator.
func (b *Break) String() string {
	return fmt.Sprintf("bucket %d, entry %d: %s", b.Bucket, b.Seq, b.Fault.explain())
}

// Fault is what is wrong with a record.
type Fault string

// The faults. A changed entry and one whose predecessor was changed together with its hash look the same: altered.
const (
	Altered  Fault = "altered"  // the content does not match the hash
	Missing  Fault = "missing"  // the entry is not there
	Added    Fault = "added"    // the entry lies beyond the head
	Repeated Fault = "repeated" // the number was there before
	Foreign  Fault = "foreign"  // the entry is of another bucket
)

func (f Fault) explain() string {
	switch f {
	case Altered:
		return "its content, or that of an entry before it, was altered"
	case Missing:
		return "it is missing"
	case Added:
		return "it was added beside the head"
	case Repeated:
		return "its number is there twice or out of order"
	case Foreign:
		return "it belongs to another bucket"
	}
	return string(f)
}
