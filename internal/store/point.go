package store

import (
	duly "github.com/dulyhq/duly"
)

// A newer version of the same content brings no news of a point: what was learned of it since, that it bounced, stays.
var pointPut = putBatch("contact_point", []string{"borrower_id", "id"},
	[]string{"kind", "value", "state", "source", "rank", "verified_at", "observed_at"}, nil,
	", state = CASE WHEN excluded.digest = contact_point.digest THEN contact_point.state ELSE excluded.state END")

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
}

const pointQuery = "SELECT borrower_id, id, kind, value, state, source, rank, verified_at, observed_at, version " +
	"FROM contact_point WHERE bucket = $1 AND borrower_id @ids($2) ORDER BY borrower_id, id"

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
