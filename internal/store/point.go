package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// A newer version of the same content brings no news of a point: what was learned of it since, that it bounced, stays.
var pointPut = putBatch("contact_point", []string{"borrower_id", "id"},
	[]string{"kind", "value", "state", "source", "rank", "verified_at", "observed_at"}, []string{"address"},
	", address = excluded.address, state = CASE WHEN excluded.digest = contact_point.digest THEN contact_point.state ELSE excluded.state END, "+
		"failures = CASE WHEN excluded.digest = contact_point.digest THEN contact_point.failures ELSE 0 END")

var pointTable = factTable{
	kind:  duly.FactPoint,
	known: knownQuery("contact_point", "borrower_id", "id"),
	add:   addBatch(pointPut),
	put:   pointPut,
	scan:  asFact(scanPoint),
	args: func(a []any, f duly.Fact) []any {
		p := f.(*duly.ContactPoint)
		return append(a, string(p.BorrowerID), string(p.ID), string(p.Kind), p.Value, string(p.State), p.Source, int64(p.Rank),
			micros(p.VerifiedAt), micros(p.ObservedAt))
	},
	extra: func(_ *Tx, a []any, f duly.Fact) []any {
		p := f.(*duly.ContactPoint)
		return append(a, addressOf(p.Kind, p.Value))
	},
	own: []string{"failures", "seen_at", "told_at"},
}

// addressOf is the digest by which an address is found whoever has it, of any bucket: numbers are not indexed in clear. It is
// never 0, which stands for what was not worked out.
func addressOf(kind duly.PointKind, value string) int64 {
	class := string(kind)
	switch {
	case kind.Phone():
		class = "phone"
	case kind == duly.PointEmail || kind == duly.PointWorkEmail:
		class = "email"
	}
	sum := sha256.Sum256([]byte(class + "\x00" + kind.Normal(value)))
	return max(int64(binary.BigEndian.Uint64(sum[:8])>>1), 1)
}

// PointsOf returns contact points that are an address of one of the kinds, whoever has them, up to a limit. The digest leads to
// them; the address itself decides.
func (db *DB) PointsOf(ctx context.Context, kinds []duly.PointKind, value string, limit int) (out []duly.ContactPoint, err error) {
	asked := map[int64]duly.PointKind{} // kinds that are written alike are one question
	for _, k := range kinds {
		if k.Normal(value) != "" {
			asked[addressOf(k, value)] = k
		}
	}
	err = db.View(ctx, func(tx *Tx) error {
		out = nil
		for _, digest := range slices.Sorted(maps.Keys(asked)) {
			kind := asked[digest]
			err := tx.query(func(r *row) error {
				p := scanPoint(r)
				if slices.Contains(kinds, p.Kind) && p.Kind.Normal(p.Value) == kind.Normal(value) && len(out) < limit {
					out = append(out, p)
				}
				return nil
			}, "SELECT borrower_id, id, kind, value, state, source, rank, verified_at, observed_at, version FROM contact_point WHERE address = $1 "+
				"ORDER BY bucket, borrower_id, id LIMIT $2", digest, int64(limit))
			if err != nil {
				return fmt.Errorf("find an address: %w", err)
			}
		}
		return nil
	})
	return out, err
}

// LastSent returns when a contact last went out, or may have, to a contact point by a channel since a day; zero if none did.
func (db *DB) LastSent(ctx context.Context, b duly.BorrowerID, point duly.PointID, ch duly.Channel, since civil.Date) (at time.Time, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { at = r.time(); return nil },
			"SELECT COALESCE(MAX(sent_at), 0) FROM contact WHERE bucket = $1 AND borrower_id = $2 AND day >= $3 AND channel = $4 AND point_id = $5 "+
				"AND state IN ('claimed', 'accepted', 'delivered', 'read', 'in_doubt')",
			int64(b.Bucket()), string(b), since.Int(), string(ch), string(point))
	})
	return at, err
}

const pointQuery = "SELECT borrower_id, id, kind, value, state, source, rank, verified_at, observed_at, version, failures, seen_at " +
	"FROM contact_point WHERE bucket = $1 AND borrower_id @ids($2) ORDER BY borrower_id, id"

// scanUsedPoint is scanPoint with what its use has shown.
func scanUsedPoint(r *row) duly.ContactPoint {
	p := scanPoint(r)
	p.Failures, p.SeenAt = r.int(), r.time()
	return p
}

func scanPoint(r *row) duly.ContactPoint {
	return duly.ContactPoint{
		BorrowerID: duly.BorrowerID(r.text()), ID: duly.PointID(r.text()), Kind: duly.PointKind(r.text()), Value: r.text(),
		State: duly.PointState(r.text()), Source: r.text(), Rank: r.int(), VerifiedAt: r.time(), ObservedAt: r.time(), Version: r.int64(),
	}
}

// SetPointState records what a carrier or a person learned of a contact point. It stands until the lender
// says something new of the point; the same again in a newer version is nothing new. A point that is not known changes nothing.
func (tx *Tx) SetPointState(bucket int, b duly.BorrowerID, id duly.PointID, s duly.PointState) error {
	if err := tx.changed(bucket); err != nil {
		return err
	}
	if err := tx.keepFact(&pointTable, b, string(id)); err != nil {
		return err
	}
	_, err := tx.exec("UPDATE contact_point SET state = $4, since = $5 WHERE bucket = $1 AND borrower_id = $2 AND id = $3",
		int64(bucket), string(b), string(id), string(s), tx.next(bucket))
	return err
}

// Points returns the contact points of borrowers of a bucket.
func (tx *Tx) Points(bucket int, ids []duly.BorrowerID) (out []duly.ContactPoint, err error) {
	err = tx.query(func(r *row) error { out = append(out, scanUsedPoint(r)); return nil }, pointQuery, int64(bucket), list(tx, ids))
	return out, err
}

// SetPointUse records what the use of a contact point has shown: its state, failures and last sign of life.
func (tx *Tx) SetPointUse(p *duly.ContactPoint) error {
	bucket := p.BorrowerID.Bucket()
	if err := tx.changed(bucket); err != nil {
		return err
	}
	if err := tx.keepFact(&pointTable, p.BorrowerID, string(p.ID)); err != nil {
		return err
	}
	_, err := tx.exec("UPDATE contact_point SET state = $4, failures = $5, seen_at = $6, since = $7 WHERE bucket = $1 AND borrower_id = $2 AND id = $3",
		int64(bucket), string(p.BorrowerID), string(p.ID), string(p.State), int64(p.Failures), micros(p.SeenAt), tx.next(bucket))
	return err
}

// NewsOfPoint notes of when a carrier's word on a contact point is, and reports whether it is later than the last one.
func (tx *Tx) NewsOfPoint(bucket int, b duly.BorrowerID, id duly.PointID, at time.Time) (bool, error) {
	if err := tx.changed(bucket); err != nil {
		return false, err
	}
	n, err := tx.exec("UPDATE contact_point SET told_at = $4 WHERE bucket = $1 AND borrower_id = $2 AND id = $3 AND told_at < $4",
		int64(bucket), string(b), string(id), micros(at))
	return n == 1, err
}

// Owing returns the borrowers of a bucket with an instalment that is not settled.
func (tx *Tx) Owing(bucket int) ([]duly.BorrowerID, error) {
	var out []duly.BorrowerID
	err := tx.query(func(r *row) error { out = append(out, duly.BorrowerID(r.text())); return nil },
		"SELECT DISTINCT borrower_id FROM installment WHERE bucket = $1 AND open = 1 ORDER BY borrower_id", int64(bucket))
	return out, err
}
