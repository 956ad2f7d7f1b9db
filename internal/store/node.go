package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	duly "github.com/dulyhq/duly"
)

// Node is a process that works on the store: a `duly serve`, or a command for the length of its run. Its instants are by
// the database's clock.
type Node struct {
	ID        string // of one run of one process; never used again
	Name      string // for people
	Version   string // of the program
	StartedAt time.Time
	HeardAt   time.Time // when it last renewed its lease
	Until     time.Time // when its lease ends unless it renews it
	EndedAt   time.Time // zero while it may renew; once set, never unset
	Skew      time.Duration
}

// Lease is who works on one bucket.
type Lease struct {
	Owner string // the id of a node, which may have ended; "" for nobody
	Epoch int64  // counts the changes of hands
	Since time.Time
}

// Leases is who works on what, at one instant of the database's clock.
type Leases struct {
	Now     time.Time
	Nodes   []Node // by id; those that ended long ago are forgotten
	Buckets [duly.Buckets]Lease
	Places  [duly.Buckets]Place // what of them this store has
	Halted  []int               // those that were to leave it and whose move was cut off
}

// Node returns a node by its id, or nil.
func (l *Leases) Node(id string) *Node {
	for i := range l.Nodes {
		if l.Nodes[i].ID == id {
			return &l.Nodes[i]
		}
	}
	return nil
}

// Alive returns those nodes that have not ended and whose lease has not.
func (l *Leases) Alive() []Node {
	var out []Node
	for _, n := range l.Nodes {
		if n.EndedAt.IsZero() && n.Until.After(l.Now) {
			out = append(out, n)
		}
	}
	return out
}

// Lapsed reports whether there is a node for EndLapsed to end or to forget.
func (l *Leases) Lapsed() bool {
	return slices.ContainsFunc(l.Nodes, func(n Node) bool {
		if n.EndedAt.IsZero() {
			return !n.Until.After(l.Now)
		}
		return n.EndedAt.Before(l.Now.Add(-nodeMemory))
	})
}

// Free reports whether nobody works on a bucket and nobody will come back to it.
func (l *Leases) Free(bucket int) bool {
	owner := l.Buckets[bucket].Owner
	if owner == "" {
		return true
	}
	n := l.Node(owner)
	return n == nil || !n.EndedAt.IsZero()
}

// UnownedSince returns since when nobody may work on a bucket, or zero if somebody may: a node's lease that has ended
// counts before anyone has noticed.
func (l *Leases) UnownedSince(bucket int) time.Time {
	b := l.Buckets[bucket]
	if b.Owner == "" {
		return b.Since
	}
	n := l.Node(b.Owner)
	switch {
	case n == nil:
		return b.Since
	case !n.EndedAt.IsZero() && n.EndedAt.Before(n.Until):
		return n.EndedAt
	case !n.Until.After(l.Now):
		return n.Until
	}
	return time.Time{}
}

// nodeMemory is how long a node that ended is remembered, for people who ask what happened.
const nodeMemory = 24 * time.Hour

// Every change of leases is one statement and one transaction: a process that is paused in the middle of a change must not
// keep others from theirs. What makes them safe together is that a node which has ended stays so, and that a bucket
// changes hands only from the owner that was seen.

// JoinNode enters a node with a lease of that length.
func (db *DB) JoinNode(ctx context.Context, n Node, lease time.Duration) (now time.Time, err error) {
	err = db.alone(ctx, func(r *row) error { now = r.time(); return nil },
		"INSERT INTO node (id, name, version, started_at, heard_at, until, ended_at, skew) "+
			"VALUES ($1, $2, $3, @clock, @clock, @clock + $4, 0, $5) RETURNING heard_at",
		n.ID, n.Name, n.Version, lease.Microseconds(), n.Skew.Microseconds())
	if err != nil {
		return now, fmt.Errorf("join: %w", err)
	}
	return now, nil
}

// RenewNode renews a node's lease and returns the database's now, or zero if the node has ended: then it holds nothing any
// more, and can only join anew under another id.
func (db *DB) RenewNode(ctx context.Context, id string, lease, skew time.Duration) (now time.Time, err error) {
	err = db.alone(ctx, func(r *row) error { now = r.time(); return nil },
		"UPDATE node SET heard_at = @clock, until = @clock + $2, skew = $3 WHERE id = $1 AND ended_at = 0 RETURNING heard_at",
		id, lease.Microseconds(), skew.Microseconds())
	if err != nil {
		return now, fmt.Errorf("renew: %w", err)
	}
	return now, nil
}

// EndNode ends a node: all its buckets are free at once.
func (db *DB) EndNode(ctx context.Context, id string) error {
	err := db.alone(ctx, nil, "UPDATE node SET ended_at = @clock WHERE id = $1 AND ended_at = 0", id)
	if err != nil {
		return fmt.Errorf("end: %w", err)
	}
	return nil
}

// EndLapsed ends the nodes whose lease has run out, and forgets those that ended a day ago.
func (db *DB) EndLapsed(ctx context.Context) error {
	err := db.alone(ctx, nil, "UPDATE node SET ended_at = @clock WHERE ended_at = 0 AND until <= @clock")
	if err == nil {
		err = db.alone(ctx, nil, "DELETE FROM node WHERE ended_at > 0 AND ended_at < @clock - $1 AND NOT EXISTS "+
			"(SELECT 1 FROM bucket_lease l WHERE l.owner = node.id)", nodeMemory.Microseconds())
	}
	if err != nil {
		return fmt.Errorf("end lapsed: %w", err)
	}
	return nil
}

// TakeBuckets gives a node those of the buckets that still have the owner which was seen: nobody, or a node that has
// ended. It returns the epoch of each that was taken; a bucket that somebody else is just taking is left out.
func (db *DB) TakeBuckets(ctx context.Context, node, from string, buckets []int) (map[int]int64, error) {
	taken := make(map[int]int64, len(buckets))
	err := db.alone(ctx, func(r *row) error { taken[r.int()] = r.int64(); return nil },
		"UPDATE bucket_lease SET owner = $3, epoch = epoch + 1, since = @clock WHERE owner = $1 AND bucket IN "+
			"(SELECT bucket FROM bucket_lease WHERE owner = $1 AND bucket @ids($2) ORDER BY bucket @skip) RETURNING bucket, epoch",
		from, db.d.numbers(buckets), node)
	if err != nil {
		return nil, fmt.Errorf("take: %w", err)
	}
	return taken, nil
}

// GiveBuckets frees buckets of a node.
func (db *DB) GiveBuckets(ctx context.Context, node string, buckets []int) error {
	err := db.alone(ctx, nil, "UPDATE bucket_lease SET owner = '', epoch = epoch + 1, since = @clock WHERE owner = $1 AND bucket @ids($2)",
		node, db.d.numbers(buckets))
	if err != nil {
		return fmt.Errorf("give: %w", err)
	}
	return nil
}

// Leases returns who works on what.
func (db *DB) Leases(ctx context.Context) (Leases, error) {
	var l Leases
	err := db.alone(ctx, func(r *row) error {
		b := r.int()
		l.Buckets[b] = Lease{r.text(), r.int64(), r.time()}
		l.Places[b] = Place(r.int())
		if r.bool() {
			l.Halted = append(l.Halted, b)
		}
		return nil
	}, "SELECT l.bucket, l.owner, l.epoch, l.since, b.place, CASE WHEN b.place IN (2, 3) AND b.mover_until < @clock THEN 1 ELSE 0 END FROM bucket_lease l JOIN bucket b ON b.bucket = l.bucket")
	if err == nil {
		// Nodes after buckets: one that has ended by now had ended or not when its buckets were read; either is safe.
		err = db.alone(ctx, func(r *row) error {
			if l.Now = r.time(); r.text() == "" {
				return nil
			}
			r.next--
			l.Nodes = append(l.Nodes, Node{r.text(), r.text(), r.text(), r.time(), r.time(), r.time(), r.time(), time.Duration(r.int64()) * time.Microsecond})
			return nil
		}, "SELECT @clock, COALESCE(n.id, ''), COALESCE(n.name, ''), COALESCE(n.version, ''), COALESCE(n.started_at, 0), COALESCE(n.heard_at, 0), "+
			"COALESCE(n.until, 0), COALESCE(n.ended_at, 0), COALESCE(n.skew, 0) FROM (SELECT 1 AS one) o LEFT JOIN node n ON o.one = 1 ORDER BY n.id")
	}
	if err != nil {
		return l, fmt.Errorf("leases: %w", err)
	}
	return l, nil
}

// Leased returns the epochs of those of the buckets that a node still holds under a lease that has not ended. They stay its
// own until the transaction ends, which on Postgres the server sees to when the process is paused in the middle of it.
func (tx *Tx) Leased(node string, buckets []int) (map[int]int64, error) {
	held := make(map[int]int64, len(buckets))
	text, args := tx.db.timed("SELECT l.bucket, l.epoch @brief FROM bucket_lease l WHERE l.bucket @ids($1) AND l.owner = $2 AND EXISTS "+
		"(SELECT 1 FROM node n WHERE n.id = l.owner AND n.ended_at = 0 AND n.until > @clock) ORDER BY l.bucket @share",
		[]any{tx.db.d.numbers(buckets), node})
	err := tx.query(func(r *row) error { held[r.int()] = r.int64(); return nil }, text, args...)
	return held, err
}

// timed puts the database's clock into a statement, or what a test or a simulator has in its place.
func (db *DB) timed(query string, args []any) (string, []any) {
	clock := db.clock
	switch {
	case db.hooks != nil && db.hooks.Now != nil && strings.Contains(query, "@clock"):
		args = append(slices.Clip(args), db.hooks.Now().UnixMicro())
		clock = "CAST($" + strconv.Itoa(len(args)) + " AS BIGINT)"
	case clock == "":
		clock = db.d.clock
	}
	return strings.ReplaceAll(query, "@clock", clock), args
}

// alone runs one statement as a transaction of its own. On Postgres it has connections of its own, so that leases are
// renewed while everything else is busy.
func (db *DB) alone(ctx context.Context, scan func(*row) error, query string, args ...any) error {
	if scan == nil {
		scan = func(*row) error { return nil }
	}
	if db.wire == nil {
		return db.aloneOnce(ctx, scan, query, args)
	}
	if err := db.wire(false); err != nil {
		return err
	}
	err := db.aloneOnce(ctx, scan, query, args)
	if lost := db.wire(true); lost != nil {
		return lost
	}
	return err
}

func (db *DB) aloneOnce(ctx context.Context, scan func(*row) error, query string, args []any) error {
	query, args = db.timed(query, args)
	switch {
	case db.leases == nil && strings.HasPrefix(query, "SELECT"):
		return db.View(ctx, func(tx *Tx) error { return tx.query(scan, query, args...) })
	case db.leases == nil:
		return db.Update(ctx, time.Time{}, nil, func(tx *Tx) error { return tx.query(scan, query, args...) })
	}
	err := db.leases.alone(ctx, scan, query, args)
	if err != nil && ctx.Err() == nil && pgconn.SafeToRetry(err) { // the connection had broken while it was idle
		err = db.leases.alone(ctx, scan, query, args)
	}
	return db.d.explain(err)
}
