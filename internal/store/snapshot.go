package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// contactColumns are all that a contact's row holds.
var contactColumns = append(append([]string{"bucket", "id", "borrower_id", "step", "day", "rung", "strategy", "planned_at", "items", "decision"}, courseNames...), "measure", "since")

// Snapshot is one bucket as it was: the facts as they were known with one of its versions, and the contacts as they stood
// with one.
type Snapshot struct {
	Bucket   int
	facts    [][]map[string]any // by table
	contacts []map[string]any
}

// AsOf reads a bucket as it was: facts as of a version, contacts as of one. What was known before tables had versions is in
// every snapshot as it is now.
func (tx *Tx) AsOf(bucket int, facts, contacts int64) (*Snapshot, error) {
	s := &Snapshot{Bucket: bucket, facts: make([][]map[string]any, len(factTables))}
	for i, t := range factTables {
		rows, err := tx.wholeRows(t.add.table, t.columns(), bucket, facts)
		if err != nil {
			return nil, fmt.Errorf("read %s as they were: %w", t.kind, err)
		}
		s.facts[i] = rows
	}
	err := tx.query(func(r *row) error {
		i := tableRank(duly.FactKind(r.text()))
		cells, err := readCells(r.text())
		if i < 0 || err != nil {
			return fmt.Errorf("not a row of facts: %w", err)
		}
		s.facts[i] = append(s.facts[i], cells)
		return nil
	}, "SELECT kind, content FROM fact_past WHERE bucket = $1 AND since <= $2 AND until > $2", int64(bucket), facts)
	if err != nil {
		return nil, fmt.Errorf("read what facts were: %w", err)
	}
	if s.contacts, err = tx.wholeRows("contact", contactColumns, bucket, contacts); err != nil {
		return nil, fmt.Errorf("read contacts: %w", err)
	}
	return s, tx.undo(s, contacts)
}

// wholeRows reads the rows of a bucket that say what they say since a version or longer.
func (tx *Tx) wholeRows(table string, names []string, bucket int, version int64) ([]map[string]any, error) {
	var out []map[string]any
	text := "SELECT "
	for i, n := range names {
		if i > 0 {
			text += ", "
		}
		text += n
	}
	err := tx.query(func(r *row) error {
		cells := make(map[string]any, len(names))
		for i, c := range r.cells(len(names)) {
			cells[names[i]] = c
		}
		out = append(out, cells)
		return nil
	}, text+" FROM "+table+" WHERE bucket = $1 AND since <= $2", int64(bucket), version)
	return out, err
}

// undo takes back, newest first, what became of contacts after a version.
func (tx *Tx) undo(s *Snapshot, version int64) error {
	at := make(map[string]map[string]any, len(s.contacts))
	for _, cells := range s.contacts {
		at[cells["id"].(string)] = cells
	}
	return tx.query(func(r *row) error {
		var moves []json.RawMessage
		r.json(&moves)
		for i := len(moves) - 1; i >= 0; i-- {
			was, err := readCells(string(moves[i]))
			if err != nil {
				return err
			}
			id, _ := was["id"].(string)
			for name, cell := range was {
				if cells := at[id]; cells != nil {
					cells[name] = cell
				}
			}
		}
		return nil
	}, "SELECT moves FROM contact_past WHERE bucket = $1 AND version > $2 ORDER BY version DESC", int64(s.Bucket), version)
}

// Borrowers returns who is in the snapshot.
func (s *Snapshot) Borrowers() []duly.BorrowerID {
	var out []duly.BorrowerID
	for _, cells := range s.facts[tableRank(duly.FactBorrower)] {
		out = append(out, duly.BorrowerID(cells["id"].(string)))
	}
	return out
}

// Of returns the part of the snapshot that is about one borrower.
func (s *Snapshot) Of(id duly.BorrowerID) *Snapshot {
	out := &Snapshot{Bucket: s.Bucket, facts: make([][]map[string]any, len(s.facts))}
	for i, t := range factTables {
		out.facts[i] = owned(s.facts[i], t.add.names[1], id)
	}
	out.contacts = owned(s.contacts, "borrower_id", id)
	return out
}

func owned(rows []map[string]any, column string, id duly.BorrowerID) (out []map[string]any) {
	for _, cells := range rows {
		if cells[column] == string(id) {
			out = append(out, cells)
		}
	}
	return out
}

// PaymentSince returns the version of the bucket with which a payment came to be known.
func (s *Snapshot) PaymentSince(id duly.PaymentID) int64 {
	for _, cells := range s.facts[tableRank(duly.FactPayment)] {
		if cells["id"] == string(id) {
			return cells["since"].(int64)
		}
	}
	return 0
}

// FactChange is a fact that two snapshots hold otherwise.
type FactChange struct {
	Kind    duly.FactKind
	Key     string
	Since   int64    // the version of its bucket with which it came to say what it says in the later one
	Columns []string // that differ, with their values where they are no personal data; none for a fact that is in one alone
	Added   bool     // the earlier one does not hold it
	rank    int
	was, is map[string]any
}

// personal are the columns whose values are not shown.
var personal = []string{"name", "value", "text", "evidence", "reason", "author", "zones"}

// Changes returns the facts that another snapshot holds otherwise, by kind and key.
func (s *Snapshot) Changes(o *Snapshot) []FactChange {
	var out []FactChange
	for i, t := range factTables {
		was, is := t.byKey(s.facts[i]), t.byKey(o.facts[i])
		keys := slices.Collect(maps.Keys(was))
		for k := range is {
			if was[k] == nil {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			c := FactChange{Kind: t.kind, Key: t.key(was[k], is[k]), rank: i, was: was[k], is: is[k], Added: was[k] == nil}
			if c.is != nil {
				c.Since = c.is["since"].(int64)
			}
			if c.Columns = t.differing(c.was, c.is); c.Added || c.is == nil || len(c.Columns) > 0 {
				out = append(out, c)
			}
		}
	}
	return out
}

// byKey indexes rows by their owner and key.
func (t *factTable) byKey(rows []map[string]any) map[string]map[string]any {
	out := make(map[string]map[string]any, len(rows))
	for _, cells := range rows {
		out[cells[t.add.names[1]].(string)+"/"+t.key(cells)] = cells
	}
	return out
}

// differing lists the columns in which two rows of one fact differ: what the store itself works out is not among them.
func (t *factTable) differing(was, is map[string]any) []string {
	if was == nil || is == nil {
		return nil
	}
	var out []string
	for _, n := range t.columns() {
		if was[n] == is[n] || slices.Contains([]string{"version", "digest", "since", "open"}, n) {
			continue
		}
		if slices.Contains(personal, n) {
			out = append(out, n)
			continue
		}
		out = append(out, fmt.Sprintf("%s %v → %v", n, was[n], is[n]))
	}
	return out
}

// With returns the snapshot with some facts as the other one holds them.
func (s *Snapshot) With(changes []FactChange) *Snapshot {
	out := &Snapshot{Bucket: s.Bucket, facts: slices.Clone(s.facts), contacts: s.contacts}
	for _, c := range changes {
		t := factTables[c.rank]
		rows := slices.DeleteFunc(slices.Clone(out.facts[c.rank]), func(cells map[string]any) bool {
			return c.was != nil && cells[t.add.names[1]] == c.was[t.add.names[1]] && t.key(cells) == c.Key
		})
		if c.is != nil {
			rows = append(rows, c.is)
		}
		out.facts[c.rank] = rows
	}
	return out
}

// Load makes a bucket of a store what a snapshot says, planned whole up to a day, with persons marked. The store is one for
// trying things out: what it held of the bucket is gone, and what is paid is not allocated yet.
func (tx *Tx) Load(s *Snapshot, through civil.Date, asked []duly.BorrowerID) error {
	for _, name := range append([]string{"contact", "waiting", "dirty"}, factTableNames()...) {
		if _, err := tx.exec("DELETE FROM "+name+" WHERE bucket = $1", int64(s.Bucket)); err != nil {
			return err
		}
	}
	for i, t := range factTables {
		if err := tx.loadRows(t.add.table, t.columns(), s.facts[i]); err != nil {
			return fmt.Errorf("load %s: %w", t.kind, err)
		}
	}
	if err := tx.loadRows("contact", contactColumns, s.contacts); err != nil {
		return fmt.Errorf("load contacts: %w", err)
	}
	if _, err := tx.rows(&putWaits, s.waits()); err != nil {
		return fmt.Errorf("load what waits: %w", err)
	}
	if err := tx.SetPlannedThrough(s.Bucket, through); err != nil {
		return err
	}
	return tx.MarkDirty(asked)
}

// waits are rows of what the contacts wait for.
func (s *Snapshot) waits() (args []any) {
	text := func(cells map[string]any, name string) string { t, _ := cells[name].(string); return t }
	at := func(cells map[string]any, name string) time.Time { n, _ := cells[name].(int64); return instant(n) }
	for _, cells := range s.contacts {
		priority, _ := cells["priority"].(int64)
		c := duly.Contact{
			ID: duly.ContactID(text(cells, "id")), BorrowerID: duly.BorrowerID(text(cells, "borrower_id")), State: duly.ContactState(text(cells, "state")),
			NotBefore: at(cells, "not_before"), ExpiresAt: at(cells, "expires_at"), FallbackAt: at(cells, "fallback_at"), Priority: int(priority),
		}
		if kind, at, ok := waitOf(&c); ok {
			args = waitArgs(args, &c, kind, at)
		}
	}
	return args
}

func factTableNames() (out []string) {
	for _, t := range factTables {
		out = append(out, t.add.table)
	}
	return out
}

// loadRows inserts rows. A column that they were kept without has its default.
func (tx *Tx) loadRows(table string, names []string, rows []map[string]any) error {
	for _, cells := range rows {
		text, values := "", ""
		var args []any
		for _, n := range names {
			c, ok := cells[n]
			if !ok {
				continue
			}
			if len(args) > 0 {
				text, values = text+", ", values+", "
			}
			args = append(args, c)
			text, values = text+n, values+"?"
		}
		if _, err := tx.exec("INSERT INTO "+table+" ("+text+") VALUES ("+values+")", args...); err != nil {
			return err
		}
	}
	return nil
}
