package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	duly "github.com/dulyhq/duly"
)

// What was known before is kept where it is overwritten, and only there: an import of what is new writes nothing twice. The
// versions of a bucket, which count the transactions that changed it, say what was known when: no two clocks have to agree.

var putFactPast = batch{
	head: "@insert INTO fact_past (bucket, borrower_id, kind, key, until, since, content) ", cols: 7,
	tail: " ON CONFLICT (bucket, borrower_id, kind, key, until) DO NOTHING",
}

// columns are all that a fact's row holds, in the order in which rows are read whole.
func (t *factTable) columns() []string { return slices.Concat(t.add.names, t.own) }

// rowKey is the fact's key, as [duly.Fact] has it, of the cells of its row.
func (t *factTable) rowKey(cells []any) string {
	if t.add.keys == 1 {
		return cells[1].(string)
	}
	var parts []string
	for _, c := range cells[2 : 1+t.add.keys] {
		parts = append(parts, fmt.Sprint(c))
	}
	return strings.Join(parts, "/")
}

// key is rowKey of the first row that there is, with its cells by column.
func (t *factTable) key(rows ...map[string]any) string {
	cells := rows[slices.IndexFunc(rows, func(r map[string]any) bool { return r != nil })]
	key := make([]any, 1+t.add.keys)
	for i := range key {
		key[i] = cells[t.add.names[i]]
	}
	return t.rowKey(key)
}

func (t *factTable) cell(cells []any, column string) any {
	return cells[slices.Index(t.add.names, column)]
}

type wholeKey struct{ t *factTable }

// wholeText is the query for the rows of some borrowers of a bucket, whole.
func (db *DB) wholeText(t *factTable) string {
	return db.made(wholeKey{t}, func() string {
		return "SELECT " + strings.Join(t.columns(), ", ") + " FROM " + t.add.table + " WHERE bucket = $1 AND " + t.add.names[1] + " @ids($2)"
	})
}

// keepFacts keeps the rows that args, rows for t.put, are about to overwrite with something else.
func (tx *Tx) keepFacts(t *factTable, args []any) error {
	if len(args) == 0 {
		return nil
	}
	digests := map[factKey]int64{}
	var members []member
	for row := range slices.Chunk(args, t.put.cols) {
		owner := row[1].(string)
		digests[factKey{duly.BorrowerID(owner), t.rowKey(row)}] = t.cell(row, "digest").(int64)
		members = append(members, member{int(row[0].(int64)), owner})
	}
	return tx.keepRows(t, newCrowd(members), func(cells []any) bool {
		digest, ok := digests[factKey{duly.BorrowerID(cells[1].(string)), t.rowKey(cells)}]
		return ok && digest != t.cell(cells, "digest").(int64)
	})
}

// keepFact keeps one row that is about to be changed in place.
func (tx *Tx) keepFact(t *factTable, owner duly.BorrowerID, key string) error {
	return tx.keepRows(t, newCrowd([]member{{owner.Bucket(), string(owner)}}), func(cells []any) bool { return t.rowKey(cells) == key })
}

// keepRows keeps those rows of borrowers that are wanted. One that this transaction itself wrote was never known.
func (tx *Tx) keepRows(t *factTable, who crowd, wanted func(cells []any) bool) error {
	var args []any
	names := t.columns()
	err := tx.queries(tx.ask(who, func(r *row) error {
		cells := r.cells(len(names))
		bucket, since := int(cells[0].(int64)), t.cell(cells, "since").(int64)
		if until := tx.next(bucket); since < until && wanted(cells) {
			args = append(args, cells[0], cells[1], string(t.kind), t.rowKey(cells), until, since, cellsText(names, cells))
		}
		return nil
	}, tx.db.wholeText(t))...)
	if err == nil {
		_, err = tx.rows(&putFactPast, args)
	}
	if err != nil {
		return fmt.Errorf("keep what %s were: %w", t.kind, err)
	}
	return nil
}

// cellsText writes cells as JSON, by the names of their columns.
func cellsText(names []string, cells []any) string {
	b := []byte{'{'}
	for i, c := range cells {
		b = appendCell(b, names[i], c)
	}
	return string(append(b, '}'))
}

// appendCell adds a column to a JSON object that is being written.
func appendCell(b []byte, name string, cell any) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(append(append(b, '"'), name...), '"', ':')
	if n, ok := cell.(int64); ok {
		return strconv.AppendInt(b, n, 10)
	}
	text, err := json.Marshal(cell)
	if err != nil {
		panic("store.appendCell: " + err.Error()) // a text always marshals
	}
	return append(b, text...)
}

// readCells reads what cellsText wrote.
func readCells(text string) (map[string]any, error) {
	var out map[string]any
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		return nil, err
	}
	return out, wholeNumbers(out)
}

// wholeNumbers makes int64 of numbers.
func wholeNumbers(cells map[string]any) error {
	for name, c := range cells {
		if n, ok := c.(json.Number); ok {
			i, err := n.Int64()
			if err != nil {
				return fmt.Errorf("column %s: %w", name, err)
			}
			cells[name] = i
		}
	}
	return nil
}

var putContactPast = batch{head: "@insert INTO contact_past (bucket, version, moves) ", cols: 3}

// contactCells are the columns of a contact that moves change, in the order of courseNames. The decision is apart.
func contactCells(a []any, c *duly.Contact, changedAt int64) []any {
	return append(a, string(c.State), c.Reason, micros(c.NotBefore), micros(c.ExpiresAt), micros(c.FallbackAt), int64(c.Attempts),
		micros(c.SentAt), changedAt, string(c.PointID), string(c.Tone), c.Template, flag(c.Late), int64(c.Priority), c.StrategyHash,
		string(c.Purpose), string(c.Channel))
}

var courseNames = []string{"state", "reason", "not_before", "expires_at", "fallback_at", "attempts", "sent_at", "changed_at",
	"point_id", "tone", "template", "late", "priority", "strategy_hash", "purpose", "channel"}

// courseOnly is how many of courseNames an answer changes.
const courseOnly = 8

// keepContacts notes what of contacts is otherwise before they are moved. Of an answer only the course of a contact counts.
func (tx *Tx) keepContacts(moves []Move, whole bool) error {
	was, err := tx.unread(moves)
	if err != nil {
		return err
	}
	var before, after []any
	for i := range moves {
		m := &moves[i]
		old := m.Was
		if old == nil {
			c, ok := was[m.Contact.ID]
			if !ok {
				continue // the move itself will say that it is not there
			}
			old = &c
		}
		r, err := tx.held(m.Contact.BorrowerID.Bucket())
		if err != nil {
			return err
		}
		before, after = contactCells(before[:0], old, micros(old.ChangedAt)), contactCells(after[:0], &m.Contact, micros(tx.now))
		n := courseOnly
		if whole {
			n = len(courseNames)
		}
		r.moves = appendMove(r.moves, m, old, before[:n], after[:n], whole)
	}
	return nil
}

// unread reads the contacts whose movers did not say what they are.
func (tx *Tx) unread(moves []Move) (map[duly.ContactID]duly.Contact, error) {
	var ids []duly.ContactID
	for i := range moves {
		if moves[i].Was == nil {
			ids = append(ids, moves[i].Contact.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return tx.FindContacts(ids)
}

// appendMove adds to a JSON list what of a contact was otherwise before a move.
func appendMove(b []byte, m *Move, old *duly.Contact, before, after []any, whole bool) []byte {
	if len(b) == 0 {
		b = append(b, '[')
	} else {
		b = append(b, ',')
	}
	b = appendCell(append(b, '{'), "id", string(m.Contact.ID))
	for i := range before {
		if before[i] != after[i] {
			b = appendCell(b, courseNames[i], before[i])
		}
	}
	if whole && !slices.Equal(old.Items, m.Contact.Items) {
		b = appendCell(b, "items", itemsText(old.Items))
	}
	if whole && !sameDecision(&old.Decision, &m.Contact.Decision) {
		b = appendCell(b, "decision", decisionText(&old.Decision))
	}
	return append(b, '}')
}

func sameDecision(a, b *duly.Decision) bool {
	return a.Verdict == b.Verdict && a.NotBefore.Equal(b.NotBefore) && slices.Equal(a.Packs, b.Packs) && slices.EqualFunc(a.Reasons, b.Reasons, func(x, y duly.Reason) bool {
		same := x.Until.Equal(y.Until)
		x.Until = y.Until
		return same && x == y
	})
}

// cells reads so many columns, each as the number or the text that it is.
func (r *row) cells(n int) []any {
	out := make([]any, n)
	for i := range out {
		if _, ok := r.bytes(r.next); ok {
			out[i] = r.text()
		} else {
			out[i] = r.int64()
		}
	}
	return out
}
