package store

import (
	"context"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Round is one planning of a bucket: what it was decided from, and a digest of what was decided.
type Round struct {
	Bucket        int
	Version       int64             // of the bucket, that the round made: it was decided from the one before
	Day           civil.Date        // that was planned
	At            time.Time         // the instant it was planned for
	Through       civil.Date        // up to when the bucket had been planned whole
	Asked         []duly.BorrowerID // who was marked to be looked at
	Configuration string            // the hash of the document that names what decided; "" where none was kept
	Persons       int               // looked at
	Changes       int
	Hash          string // of what was decided
}

const roundCols = "bucket, version, day, at, through, asked, configuration, persons, changes, hash"

var putRounds = batch{head: "@insert INTO plan_round (" + roundCols + ") ", cols: 10}

// PutRounds records rounds of buckets that the transaction holds, and raises the buckets' versions.
func (tx *Tx) PutRounds(rounds []Round) error {
	args := make([]any, 0, putRounds.cols*len(rounds))
	for i := range rounds {
		r := &rounds[i]
		if err := tx.changed(r.Bucket); err != nil {
			return fmt.Errorf("put rounds: %w", err)
		}
		args = append(args, int64(r.Bucket), tx.next(r.Bucket), r.Day.Int(), micros(r.At), r.Through.Int(), jsonText(r.Asked), r.Configuration,
			int64(r.Persons), int64(r.Changes), r.Hash)
	}
	if _, err := tx.rows(&putRounds, args); err != nil {
		return fmt.Errorf("put rounds: %w", err)
	}
	return nil
}

// Rounds returns the rounds that planned a day in buckets, in the order in which each bucket had them.
func (tx *Tx) Rounds(buckets []int, day civil.Date) ([]Round, error) {
	var out []Round
	err := tx.inBuckets(buckets, func(r *row) error {
		x := Round{Bucket: r.int(), Version: r.int64(), Day: r.date(), At: r.time(), Through: r.date()}
		r.json(&x.Asked)
		x.Configuration, x.Persons, x.Changes, x.Hash = r.text(), r.int(), r.int(), r.text()
		out = append(out, x)
		return nil
	}, "SELECT "+roundCols+" FROM plan_round WHERE bucket @ids($1) AND day = $2 ORDER BY bucket, version", day.Int())
	return out, err
}

// Document is a text that decided something, kept by its hash.
type Document struct {
	Hash string
	Text string
}

var putDocuments = batch{
	head: "INSERT INTO document (hash, text, first_used_at) ", cols: 3, bucketless: true,
	tail: " ON CONFLICT (hash) DO NOTHING",
}

// PutDocuments keeps texts. One that is kept already stays.
func (tx *Tx) PutDocuments(docs []Document) error {
	var args []any
	seen := map[string]bool{}
	for _, d := range docs {
		if !seen[d.Hash] {
			seen[d.Hash] = true
			args = append(args, d.Hash, d.Text, micros(tx.now))
		}
	}
	_, err := tx.rows(&putDocuments, args)
	return err
}

// CopyDocuments has another store keep the texts that a store keeps: buckets that go there were planned by them.
func CopyDocuments(ctx context.Context, now time.Time, from, to *DB) error {
	known := map[string]bool{}
	err := to.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { known[r.text()] = true; return nil }, "SELECT hash FROM document")
	})
	if err != nil {
		return fmt.Errorf("copy documents: %w", err)
	}
	var docs []Document
	err = from.View(ctx, func(tx *Tx) error {
		docs = nil
		return tx.query(func(r *row) error {
			if d := (Document{r.text(), r.text()}); !known[d.Hash] {
				docs = append(docs, d)
			}
			return nil
		}, "SELECT hash, text FROM document ORDER BY hash")
	})
	if err == nil && len(docs) > 0 {
		err = to.Update(ctx, now, nil, func(tx *Tx) error { return tx.PutDocuments(docs) })
	}
	if err != nil {
		return fmt.Errorf("copy documents: %w", err)
	}
	return nil
}

// FindDocument returns a kept text, or an error with code NotFound.
func (db *DB) FindDocument(ctx context.Context, hash string) (text string, err error) {
	found := false
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { text, found = r.text(), true; return nil }, "SELECT text FROM document WHERE hash = $1", hash)
	})
	if err == nil && !found {
		err = duly.Errorf(duly.NotFound, "the store keeps no document %.12s", hash).WithHint("it was made before documents were kept")
	}
	return text, err
}
