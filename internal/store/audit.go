package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/civil"
)

// auditPage is how many entries are read at a time when a record is followed.
const auditPage = 2000

var putAudit = batch{head: "@insert INTO audit (bucket, seq, at, kind, actor, subject, detail, hash) ", cols: 8}

func auditArgs(a []any, e *audit.Entry) []any {
	return append(a, int64(e.Bucket), e.Seq, micros(e.At), e.Kind, e.Actor, e.Subject, e.Detail, e.Hash)
}

func scanEntry(r *row) audit.Entry {
	return audit.Entry{
		Bucket: r.int(), Seq: r.int64(), At: r.time(), Kind: r.text(), Actor: r.text(), Subject: r.text(), Detail: r.text(), Hash: r.text(),
	}
}

// AuditEntries hands the entries of a bucket to fn, oldest first, until fn returns an error.
func (db *DB) AuditEntries(ctx context.Context, bucket int, fn func(audit.Entry) error) error {
	return db.View(ctx, func(tx *Tx) error { return tx.AuditAfter(bucket, 0, fn) })
}

// AuditAfter hands the entries of a bucket after one of them to fn, oldest first, until fn returns an error; 0 is before the
// first.
func (tx *Tx) AuditAfter(bucket int, after int64, fn func(audit.Entry) error) error {
	return tx.entriesBetween(bucket, after, math.MaxInt64, fn)
}

// AuditLast returns the number of the last entry of a bucket, 0 where it has none.
func (tx *Tx) AuditLast(bucket int) (last int64, err error) {
	err = tx.query(func(r *row) error { last = r.int64(); return nil }, "SELECT COALESCE(MAX(seq), 0) FROM audit WHERE bucket = $1", int64(bucket))
	return last, err
}

// AuditHeads returns the last entries of buckets, as each bucket's row has them.
func (tx *Tx) AuditHeads(buckets []int) (map[int]audit.Chain, error) {
	out := make(map[int]audit.Chain, len(buckets))
	err := tx.inBuckets(buckets, func(r *row) error {
		b := r.int()
		out[b] = audit.Chain{Bucket: b, Seq: r.int64(), Hash: r.text()}
		return nil
	}, "SELECT bucket, audit_seq, audit_hash FROM bucket WHERE bucket @ids($1)")
	return out, err
}

// entriesBetween hands on the entries of a bucket behind one number, up to and with another.
func (tx *Tx) entriesBetween(bucket int, after, until int64, fn func(audit.Entry) error) error {
	for {
		var page []audit.Entry
		err := tx.query(func(r *row) error { page = append(page, scanEntry(r)); return nil },
			"SELECT bucket, seq, at, kind, actor, subject, detail, hash FROM audit WHERE bucket = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
			int64(bucket), after, until, int64(auditPage))
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := fn(e); err != nil {
				return err
			}
			after = e.Seq
		}
		if len(page) < auditPage {
			return nil
		}
	}
}

// FactsAt returns when the facts were applied that are known since a version of their bucket; zero where the record does not say.
func (db *DB) FactsAt(ctx context.Context, bucket int, version int64) (at time.Time, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			t := r.time()
			var detail struct{ Version int64 }
			if r.json(&detail); detail.Version == version {
				at = t
			}
			return nil
		}, "SELECT at, detail FROM audit WHERE bucket = $1 AND kind = 'facts'", int64(bucket))
	})
	return at, err
}

// AuditReport is the outcome of AuditVerify.
type AuditReport = audit.Report

// AuditVerify follows the record of every bucket, compares its end with the bucket's head, and holds it against the roots in the
// store and those that were kept elsewhere.
func (db *DB) AuditVerify(ctx context.Context, kept ...audit.Root) (AuditReport, error) {
	roots, err := db.AuditRoots(ctx)
	if err != nil {
		return AuditReport{}, err
	}
	v := audit.NewVerifier(audit.Roots{List: roots, Kept: kept})
	for b := range bucketsMax {
		err := db.View(ctx, func(tx *Tx) error {
			return tx.follow(audit.Chain{Bucket: b}, nil, follower{v.Begin, v.Next, v.End, v.Elsewhere})
		})
		if err != nil {
			return v.Done(), err
		}
	}
	return v.Done(), nil
}

// follower is told of the record of a bucket: where it begins, its entries, its head; or that another cell has it.
type follower struct {
	begin     func(audit.Chain)
	next      func(*audit.Entry)
	end       func(audit.Chain)
	elsewhere func(bucket int)
}

// follow hands on the record of a bucket after start: where it begins, its entries, and its head, or where it is to end. All is of
// one snapshot: what is appended meanwhile is neither entry nor head.
func (tx *Tx) follow(start audit.Chain, end *audit.Chain, f follower) error {
	head := audit.Chain{Bucket: start.Bucket}
	elsewhere := false // what is left of its record here is that of another cell
	err := tx.query(func(r *row) error {
		_, state := scanBucket(r)
		head = state.head
		elsewhere = placesOf(Left, Away, Coming, Ready).has(state.place)
		return nil
	}, "SELECT "+bucketCols+" FROM bucket WHERE bucket = $1", int64(start.Bucket))
	if err != nil {
		return err
	}
	if elsewhere {
		f.elsewhere(start.Bucket)
		return nil
	}
	until := int64(math.MaxInt64)
	if end != nil {
		head, until = *end, end.Seq
	}
	f.begin(start)
	if err := tx.entriesBetween(start.Bucket, start.Seq, until, func(e audit.Entry) error { f.next(&e); return nil }); err != nil {
		return err
	}
	f.end(head)
	return nil
}

const rootCols = "no, day, at, entries, prev, hash"

func scanRoot(r *row) audit.Root {
	return audit.Root{No: r.int64(), Day: r.date(), At: r.time(), Entries: r.int64(), Prev: r.text(), Hash: r.text()}
}

// AuditRoots returns the daily roots, oldest first, whole.
func (db *DB) AuditRoots(ctx context.Context) (out []audit.Root, err error) {
	err = db.View(ctx, func(tx *Tx) error { out, err = tx.roots("1 = 1 ORDER BY no"); return err })
	return out, err
}

func (tx *Tx) roots(where string, args ...any) ([]audit.Root, error) {
	var out []audit.Root
	err := tx.query(func(r *row) error {
		root := scanRoot(r)
		r.json(&root.Heads)
		out = append(out, root)
		return nil
	}, "SELECT "+rootCols+", heads FROM audit_root WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read roots: %w", err)
	}
	return out, nil
}

// LatestRoots returns the newest roots, newest first, without their heads.
func (db *DB) LatestRoots(ctx context.Context, limit int) (out []audit.Root, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { out = append(out, scanRoot(r)); return nil },
			"SELECT "+rootCols+" FROM audit_root ORDER BY no DESC LIMIT $1", int64(limit))
	})
	return out, err
}

// AuditRoot returns one root whole, or NotFound.
func (db *DB) AuditRoot(ctx context.Context, no int64) (out audit.Root, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		found, err := tx.roots("no = $1", no)
		if err == nil && len(found) == 0 {
			err = duly.Errorf(duly.NotFound, "there is no root of this number").WithHint("`duly audit root` makes one, and so does every day of `duly serve`")
		}
		if err == nil {
			out = found[0]
		}
		return err
	})
	return out, err
}

// UnpostedRoots returns the oldest roots that were not posted yet, whole.
func (db *DB) UnpostedRoots(ctx context.Context, limit int) (out []audit.Root, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		out, err = tx.roots("posted_at = 0 ORDER BY no LIMIT $1", int64(limit))
		return err
	})
	return out, err
}

// RootPosted notes that a root was posted.
func (db *DB) RootPosted(ctx context.Context, now time.Time, no int64) error {
	return db.Update(ctx, now, nil, func(tx *Tx) error {
		_, err := tx.exec("UPDATE audit_root SET posted_at = $1 WHERE no = $2", micros(tx.now), no)
		return err
	})
}

// MakeRoot seals the records of all buckets as they stand in the next root, which it returns.
func (db *DB) MakeRoot(ctx context.Context, now time.Time, day civil.Date) (root audit.Root, made bool, err error) {
	return db.nextRoot(ctx, now, day, false)
}

// DailyRoot is MakeRoot where the newest root is of a day before; else it returns that one, and false.
func (db *DB) DailyRoot(ctx context.Context, now time.Time, day civil.Date) (root audit.Root, made bool, err error) {
	return db.nextRoot(ctx, now, day, true)
}

func (db *DB) nextRoot(ctx context.Context, now time.Time, day civil.Date, daily bool) (root audit.Root, made bool, err error) {
	if daily { // most times there is one, and nothing need be locked to see it
		if last, err := db.LatestRoots(ctx, 1); err != nil || len(last) > 0 && !last[0].Day.Before(day) {
			return append(last, audit.Root{})[0], false, err
		}
	}
	for range triesMax {
		done := false
		err = db.Update(ctx, now, nil, func(tx *Tx) error { root, made, done, err = tx.makeRoot(day, daily); return err })
		if done || err != nil {
			return root, made, err
		}
	}
	return root, false, duly.Errorf(duly.Conflict, "other processes make roots at the same time").WithHint("try again; `duly audit root --list` shows those there are")
}

// makeRoot reports that it is not done where another process made the root of that number meanwhile.
func (tx *Tx) makeRoot(day civil.Date, daily bool) (root audit.Root, made, done bool, err error) {
	last, err := tx.roots("no = (SELECT MAX(no) FROM audit_root)")
	if err != nil {
		return root, false, false, err
	}
	var prev *audit.Root
	if len(last) > 0 {
		prev = &last[0]
		if daily && !prev.Day.Before(day) {
			return *prev, false, true, nil
		}
	}
	var heads []audit.Chain
	err = tx.query(func(r *row) error {
		heads = append(heads, audit.Chain{Bucket: r.int(), Seq: r.int64(), Hash: r.text()})
		return nil
	},
		"SELECT bucket, audit_seq, audit_hash FROM bucket WHERE audit_seq > 0 ORDER BY bucket")
	if err != nil {
		return root, false, false, fmt.Errorf("read heads: %w", err)
	}
	root = audit.NewRoot(prev, day, tx.now, heads)
	n, err := tx.exec("INSERT INTO audit_root (no, day, at, entries, prev, hash, heads, posted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0) "+
		"ON CONFLICT (no) DO NOTHING", root.No, day.Int(), micros(root.At), root.Entries, root.Prev, root.Hash, jsonText(heads))
	return root, n == 1, n == 1, err
}

// Span is which part of the audit an export holds. The zero Span is all of it. Its records begin at the last root made before the
// day From began and end at the first one made after To was over, so that it holds those days whole and both ends are sealed.
type Span struct {
	From, To civil.Date
	In       *time.Location // whose days they are
}

// ExportAudit writes a part of the audit, with the roots that seal it. There is no personal data in it.
func (db *DB) ExportAudit(ctx context.Context, w io.Writer, now time.Time, s Span) error {
	roots, err := db.AuditRoots(ctx)
	if err != nil {
		return err
	}
	h := audit.Header{MadeAt: now.UTC().Truncate(time.Microsecond), From: s.From, To: s.To}
	start, end := map[int]audit.Chain{}, map[int]audit.Chain(nil)
	if !s.To.IsZero() {
		over := s.To.Add(1).At(0, s.In)
		if i := slices.IndexFunc(roots, func(r audit.Root) bool { return !r.At.Before(over) }); i >= 0 {
			h.Last, end, roots = roots[i].No, byBucket(roots[i].Heads), roots[:i+1]
		}
	}
	if !s.From.IsZero() {
		begun := s.From.At(0, s.In)
		for i := len(roots) - 1; i >= 0; i-- {
			if roots[i].At.Before(begun) {
				h.First, start, roots = roots[i].No, byBucket(roots[i].Heads), roots[i:]
				break
			}
		}
	}
	x := audit.NewWriter(w, h)
	named := map[int]bool{} // by a root
	for i := range roots {
		x.Root(&roots[i])
		for _, h := range roots[i].Heads {
			named[h.Bucket] = true
		}
	}
	for b := range bucketsMax {
		from := start[b]
		from.Bucket = b
		var until *audit.Chain
		if end != nil {
			c, ok := end[b]
			if !ok {
				continue
			}
			until = &c
		}
		begun := false
		begin := func() {
			if !begun {
				x.Begin(from)
			}
			begun = true
		}
		err := db.View(ctx, func(tx *Tx) error {
			return tx.follow(from, until, follower{func(audit.Chain) {}, func(e *audit.Entry) { begin(); x.Entry(e) }, func(c audit.Chain) {
				if begun || c.Seq > 0 || from.Seq > 0 {
					begin()
					x.End(c)
				}
			}, func(b int) {
				if named[b] {
					x.Elsewhere(b)
				}
			}})
		})
		if err != nil {
			return err
		}
	}
	if err := x.Close(); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return nil
}

func byBucket(heads []audit.Chain) map[int]audit.Chain {
	out := make(map[int]audit.Chain, len(heads))
	for _, h := range heads {
		out[h.Bucket] = h
	}
	return out
}

// AuditEntry returns one entry of a bucket's record, or NotFound. It is as it lies there: that it is part of the chain is for
// [DB.AuditVerify] to say.
func (tx *Tx) AuditEntry(bucket int, seq int64) (e audit.Entry, err error) {
	found := false
	err = tx.entriesBetween(bucket, seq-1, seq, func(x audit.Entry) error { e, found = x, true; return nil })
	if err == nil && !found {
		err = duly.Errorf(duly.NotFound, "the audit of bucket %d has no entry %d", bucket, seq)
	}
	return e, err
}

// AuditNext returns the number that the next entry of a bucket gets which the transaction holds.
func (tx *Tx) AuditNext(bucket int) (int64, error) {
	r, err := tx.held(bucket)
	if err != nil {
		return 0, err
	}
	return r.head.Seq + int64(len(tx.entries[bucket])) + 1, nil
}

var putOpening = batch{head: "@insert INTO audit_opening (bucket, borrower_id, hash, salt, value) ", cols: 5}

// Conceal returns a commitment to what is to be said of a borrower in the audit, and keeps what it opens to beside it, until that
// is erased.
func (tx *Tx) Conceal(id duly.BorrowerID, value string) (commitment string, err error) {
	b := id.Bucket()
	if _, err := tx.held(b); err != nil {
		return "", fmt.Errorf("conceal: %w", err)
	}
	salt := make([]byte, audit.SaltLen)
	rand.Read(salt) // it never fails
	o := audit.Open(salt, value)
	if _, err := tx.rows(&putOpening, []any{int64(b), string(id), o.Hash, hex.EncodeToString(salt), value}); err != nil {
		return "", fmt.Errorf("conceal: %w", err)
	}
	return o.Hash, nil
}

// Openings returns what the commitments about a borrower open to: those that are not erased.
func (tx *Tx) Openings(id duly.BorrowerID) (out []audit.Opening, err error) {
	err = tx.query(func(r *row) error {
		o := audit.Opening{Hash: r.text()}
		salt, err := hex.DecodeString(r.text())
		o.Salt, o.Value = salt, r.text()
		out = append(out, o)
		return err
	}, "SELECT hash, salt, value FROM audit_opening WHERE bucket = $1 AND borrower_id = $2 ORDER BY hash", int64(id.Bucket()), string(id))
	return out, err
}

// Erased is how much of a borrower was erased.
type Erased struct {
	Openings int64 `json:"openings"`
	Attempts int64 `json:"attempts"`
	Past     int64 `json:"past"` // what facts were before they were overwritten
}

// EraseOpenings takes away what the audit's commitments about a borrower open to: texts, and of attempts that are not open the
// words, the certificates and their salts; and what facts about them were before. The audit holds as before, and nobody can tell any more what it committed to.
func (tx *Tx) EraseOpenings(id duly.BorrowerID) (out Erased, err error) {
	b := id.Bucket()
	if err := tx.changed(b); err != nil {
		return out, fmt.Errorf("erase: %w", err)
	}
	if out.Openings, err = tx.exec("DELETE FROM audit_opening WHERE bucket = $1 AND borrower_id = $2", int64(b), string(id)); err != nil {
		return out, fmt.Errorf("erase openings: %w", err)
	}
	out.Attempts, err = tx.exec("UPDATE attempt SET body = '', salt = '', known = '' WHERE bucket = $1 AND borrower_id = $2 AND state <> 'open' AND known <> ''",
		int64(b), string(id))
	if err != nil {
		return out, fmt.Errorf("erase certificates: %w", err)
	}
	if out.Past, err = tx.exec("DELETE FROM fact_past WHERE bucket = $1 AND borrower_id = $2", int64(b), string(id)); err != nil {
		return out, fmt.Errorf("erase what facts were: %w", err)
	}
	return out, nil
}
