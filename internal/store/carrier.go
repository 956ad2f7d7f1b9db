package store

import (
	"context"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/money"
)

// Pin has all messages of a channel go to one carrier.
type Pin struct {
	Channel duly.Channel `json:"channel"`
	Carrier string       `json:"carrier"`
	Until   time.Time    `json:"until,omitzero"` // zero: until it is taken away
	By      string       `json:"by"`
	At      time.Time    `json:"at"`
}

// Pins returns what is pinned, by channel; those whose time is over too.
func (tx *Tx) Pins() (out []Pin, err error) {
	err = tx.query(func(r *row) error {
		out = append(out, Pin{duly.Channel(r.text()), r.text(), r.time(), r.text(), r.time()})
		return nil
	}, "SELECT channel, carrier, until, by_whom, at FROM carrier_pin ORDER BY channel")
	return out, err
}

// Pins is [Tx.Pins] in a snapshot of its own.
func (db *DB) Pins(ctx context.Context) (out []Pin, err error) {
	err = db.View(ctx, func(tx *Tx) error { out, err = tx.Pins(); return err })
	return out, err
}

// PutPin pins a channel, in place of what it was pinned to.
func (tx *Tx) PutPin(p *Pin) error {
	_, err := tx.exec("INSERT INTO carrier_pin (channel, carrier, until, by_whom, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (channel) DO UPDATE SET "+
		"carrier = excluded.carrier, until = excluded.until, by_whom = excluded.by_whom, at = excluded.at",
		string(p.Channel), p.Carrier, micros(p.Until), p.By, micros(tx.now))
	return err
}

// DropPin takes a channel's pin away, and reports whether there was one.
func (tx *Tx) DropPin(ch duly.Channel) (bool, error) {
	n, err := tx.exec("DELETE FROM carrier_pin WHERE channel = $1", string(ch))
	return n > 0, err
}

// CarrierReport is what a node last found out of its carriers.
type CarrierReport struct {
	Node   string
	At     time.Time
	Report string // JSON
}

// reportMemory is how long the word of a node is kept that says nothing any more.
const reportMemory = 24 * time.Hour

// PutCarrierReport keeps what a node found out, in place of what it said before.
func (db *DB) PutCarrierReport(ctx context.Context, now time.Time, node, report string) error {
	return db.Update(ctx, now, nil, func(tx *Tx) error {
		if _, err := tx.exec("DELETE FROM carrier_report WHERE at < $1", micros(tx.now.Add(-reportMemory))); err != nil {
			return err
		}
		_, err := tx.exec("INSERT INTO carrier_report (node, at, report) VALUES ($1, $2, $3) ON CONFLICT (node) DO UPDATE SET at = excluded.at, report = excluded.report",
			node, micros(tx.now), report)
		return err
	})
}

// CarrierReports returns the last word of each node, the newest first.
func (db *DB) CarrierReports(ctx context.Context) (out []CarrierReport, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { out = append(out, CarrierReport{r.text(), r.time(), r.text()}); return nil },
			"SELECT node, at, report FROM carrier_report ORDER BY at DESC, node")
	})
	return out, err
}

// Spent is what the messages of a channel cost that were claimed within a minute.
type Spent struct {
	Channel duly.Channel
	Minute  time.Time
	Cost    duly.Cost
}

// SpentSince returns what was spent since an instant.
func (db *DB) SpentSince(ctx context.Context, from time.Time) (out []Spent, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			out = append(out, Spent{duly.Channel(r.text()), r.time(), duly.Cost{Micros: r.int64(), Currency: money.Currency(r.text())}})
			return nil
		}, "SELECT c.channel, (a.claimed_at / 60000000) * 60000000, CAST(SUM(a.cost) AS BIGINT), a.currency FROM attempt a JOIN contact c ON c.bucket = a.bucket AND c.id = a.contact_id "+
			"WHERE a.cost <> 0 AND a.claimed_at >= $1 GROUP BY 1, 2, 4 ORDER BY 1, 2, 4", micros(from))
	})
	return out, err
}
