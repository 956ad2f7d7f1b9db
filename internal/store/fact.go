package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/money"
)

// PutResult is what became of a fact that was put.
type PutResult int

// The results. The zero PutResult is none. Nothing is written for the last five.
const (
	NoResult        PutResult = iota
	Added                     // it was not known
	Changed                   // it was known otherwise, in an older version
	Same                      // it is known just so
	Stale                     // a newer version is known
	Conflict                  // it is known otherwise, in the same version
	UnknownBorrower           // its borrower is not known
	UnknownLoan               // its loan is not known, or not as this borrower's
	WrongCurrency             // its amount is in another currency than its loan
)

// Refused reports whether a fact was not written because of what is wrong with it, or with what else is known.
func (r PutResult) Refused() bool {
	switch r {
	case Conflict, UnknownBorrower, UnknownLoan, WrongCurrency:
		return true
	case NoResult, Added, Changed, Same, Stale:
		return false
	}
	return false
}

// String names the result as reports do.
func (r PutResult) String() string {
	switch r {
	case NoResult:
		return ""
	case Added:
		return "added"
	case Changed:
		return "changed"
	case Same:
		return "same"
	case Stale:
		return "stale"
	case Conflict:
		return "conflict"
	case UnknownBorrower:
		return "unknown_borrower"
	case UnknownLoan:
		return "unknown_loan"
	case WrongCurrency:
		return "wrong_currency"
	}
	return ""
}

// factTable says how one kind of fact is kept.
type factTable struct {
	kind  duly.FactKind
	known string // key, version and digest of those of some borrowers of a bucket: owner, key, version, digest
	add   batch  // bucket, content, version, digest, extra: one that is not there
	put   batch  // the same, over an older version
	args  func(a []any, f duly.Fact) []any
	extra func(a []any, f duly.Fact) []any // derived columns, which are no part of the content; may be nil
	loan  func(f duly.Fact) duly.LoanID    // the loan it refers to; nil for kinds that refer to none
	later int                              // how many of its content columns, the last, are younger than the table; see content
}

// content is what of a row the digest is over. A column that came later is left out while it is empty, so that a fact which
// was stored before the column was there is the same when it comes again.
func (t *factTable) content(row []any) []any {
	out := row[1:]
	for range t.later {
		if out[len(out)-1] != "" {
			break
		}
		out = out[:len(out)-1]
	}
	return out
}

// factTables are the kinds in the order in which they refer to each other.
var factTables = []*factTable{
	&borrowerTable, &pointTable, &loanTable, &installmentTable, &paymentTable, &debitTable, &consentTable, &optOutTable, &holdTable, &touchTable, &caseTable, &replyTable,
}

func tableRank(k duly.FactKind) int {
	for i, t := range factTables {
		if t.kind == k {
			return i
		}
	}
	return -1
}

// addBatch makes the statement that adds facts which are not there.
func addBatch(put batch) batch {
	return batch{head: put.head, cols: put.cols}
}

// putBatch makes the statement that adds facts or replaces an older version of them. Key columns stay, and so do those
// that are derived; a column that set assigns is left to it.
func putBatch(table string, key, content, extra []string, set string) batch {
	cols := slices.Concat([]string{"bucket"}, key, content, []string{"version", "digest"}, extra)
	head := "@insert INTO " + table + " ("
	for i, c := range cols {
		if i > 0 {
			head += ", "
		}
		head += c
	}
	tail := " ON CONFLICT (bucket"
	for _, c := range key {
		tail += ", " + c
	}
	tail += ") DO UPDATE SET version = excluded.version, digest = excluded.digest"
	for _, c := range content {
		if !strings.Contains(set, ", "+c+" = ") {
			tail += ", " + c + " = excluded." + c
		}
	}
	return batch{head: head + ") ", cols: len(cols), tail: tail + set + " WHERE excluded.version > " + table + ".version"}
}

// knownQuery makes the query for factTable.known.
func knownQuery(table, owner, key string) string {
	return "SELECT " + owner + ", " + key + ", version, digest FROM " + table + " WHERE bucket = $1 AND " + owner + " @ids($2)"
}

// factRef is one fact of a Put: where it is in the list, where it belongs and in which order it is looked at.
type factRef struct {
	at     int
	bucket int
	rank   int
	owner  duly.BorrowerID
}

// Put makes facts known: each is added, replaces an older version of itself, or changes nothing, and the results say
// which, in the order of facts. Facts may come in any order of versions, but what a fact refers to must be known or in
// the same Put. The buckets of all their owners must be held. The amounts paid on an instalment are never put.
func (tx *Tx) Put(facts []duly.Fact) ([]PutResult, error) {
	p := &putter{tx: tx, facts: facts, results: make([]PutResult, len(facts))}
	refs := make([]factRef, 0, len(facts))
	for i, f := range facts {
		ref := factRef{i, 0, tableRank(f.FactKind()), f.Owner()}
		if ref.rank < 0 {
			return nil, fmt.Errorf("put: no table for facts of kind %s", f.FactKind())
		}
		if ref.owner == "" {
			p.results[i] = ownerless(factTables[ref.rank], f)
			continue
		}
		ref.bucket = ref.owner.Bucket()
		if _, err := tx.held(ref.bucket); err != nil {
			return nil, fmt.Errorf("put: %w", err)
		}
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b factRef) int {
		if a.bucket != b.bucket {
			return a.bucket - b.bucket
		}
		if a.rank != b.rank {
			return a.rank - b.rank
		}
		if c := cmp.Compare(a.owner, b.owner); c != 0 {
			return c
		}
		return a.at - b.at
	})
	for len(refs) > 0 {
		n := 1
		for n < len(refs) && refs[n].bucket == refs[0].bucket {
			n++
		}
		if err := p.bucket(refs[:n]); err != nil {
			return nil, fmt.Errorf("put: %w", err)
		}
		refs = refs[n:]
	}
	return p.results, p.flushAll()
}

func ownerless(t *factTable, f duly.Fact) PutResult {
	if t.loan != nil && t.loan(f) != "" {
		return UnknownLoan
	}
	return UnknownBorrower
}

// stamp is what decides whether a fact is new: its version and a digest of its content.
type stamp struct{ version, digest int64 }

// factKey names a fact within its bucket and kind.
type factKey struct {
	owner duly.BorrowerID
	key   string
}

// putter works through a Put bucket by bucket. Rows wait per table until there is a statement full of them.
type putter struct {
	tx        *Tx
	facts     []duly.Fact
	results   []PutResult
	borrowers map[factKey]stamp // of the bucket at hand
	loans     map[factKey]stamp
	currency  map[factKey]money.Currency // of the loans
	adding    [numTables]waitingRows     // that are not there
	putting   [numTables]waitingRows     // that are there in an older version
	row       []any
	canon     []byte
}

const numTables = 12

// waitingRows are rows on their way into one table. A fact that comes twice takes the place of itself: one statement
// cannot write a row twice.
type waitingRows struct {
	args []any
	at   map[factKey]int
}

func (p *putter) bucket(refs []factRef) error {
	owners := make([]duly.BorrowerID, 0, len(refs))
	for _, r := range refs {
		owners = append(owners, r.owner)
	}
	slices.Sort(owners)
	owners = slices.Compact(owners)
	var err error
	if p.borrowers, err = p.known(&borrowerTable, refs[0].bucket, owners); err != nil {
		return err
	}
	// Nothing is known of a borrower who is not: on a first import that saves all the other look-ups.
	owners = slices.DeleteFunc(owners, func(id duly.BorrowerID) bool { _, ok := p.borrowers[factKey{id, string(id)}]; return !ok })
	if err = p.knownLoans(refs[0].bucket, owners); err != nil {
		return err
	}
	for len(refs) > 0 {
		n := 1
		for n < len(refs) && refs[n].rank == refs[0].rank {
			n++
		}
		if err := p.kind(refs[:n], owners); err != nil {
			return err
		}
		refs = refs[n:]
	}
	return nil
}

// known reads the stamps of the facts of one kind that some borrowers of a bucket have.
func (p *putter) known(t *factTable, bucket int, owners []duly.BorrowerID) (map[factKey]stamp, error) {
	out := map[factKey]stamp{}
	if len(owners) == 0 {
		return out, nil
	}
	err := p.tx.query(func(r *row) error {
		k := factKey{duly.BorrowerID(r.text()), r.text()}
		out[k] = stamp{r.int64(), r.int64()}
		return nil
	}, t.known, int64(bucket), list(p.tx, owners))
	return out, err
}

// knownLoans is known for loans, with their currencies.
func (p *putter) knownLoans(bucket int, owners []duly.BorrowerID) error {
	p.loans, p.currency = map[factKey]stamp{}, map[factKey]money.Currency{}
	if len(owners) == 0 {
		return nil
	}
	return p.tx.query(func(r *row) error {
		k := factKey{duly.BorrowerID(r.text()), r.text()}
		p.loans[k] = stamp{r.int64(), r.int64()}
		p.currency[k] = money.Currency(r.text())
		return nil
	}, loanTable.known, int64(bucket), list(p.tx, owners))
}

// kind puts the facts of one kind and bucket; owners are those of their owners who were known before.
func (p *putter) kind(refs []factRef, owners []duly.BorrowerID) error {
	t, bucket := factTables[refs[0].rank], refs[0].bucket
	known := p.borrowers
	switch t.kind {
	case duly.FactBorrower:
	case duly.FactLoan:
		known = p.loans
	default:
		var err error
		if known, err = p.known(t, bucket, owners); err != nil {
			return err
		}
	}
	for _, ref := range refs {
		if err := p.fact(t, ref, known); err != nil {
			return err
		}
	}
	return nil
}

func (p *putter) fact(t *factTable, ref factRef, known map[factKey]stamp) error {
	f := p.facts[ref.at]
	if r := p.refers(t, ref.owner, f); r != NoResult {
		p.results[ref.at] = r
		return nil
	}
	row := append(p.row[:0], int64(ref.bucket))
	row = t.args(row, f)
	now := stamp{f.FactVersion(), p.digest(t.content(row))}
	key := factKey{ref.owner, f.FactKey()}
	was, there := known[key]
	result, write := judge(was, now, there)
	p.results[ref.at] = result
	if write {
		row = append(row, now.version, now.digest)
		if t.extra != nil {
			row = t.extra(row, f)
		}
		known[key] = now
		if l, ok := f.(*duly.Loan); ok {
			p.currency[key] = l.Currency
		}
		if err := p.wait(t, ref, key, row, there); err != nil {
			return err
		}
	}
	p.row = row
	return nil
}

// refers checks that what a fact refers to is known.
func (p *putter) refers(t *factTable, owner duly.BorrowerID, f duly.Fact) PutResult {
	if t.kind == duly.FactBorrower {
		return NoResult
	}
	if _, ok := p.borrowers[factKey{owner, string(owner)}]; !ok {
		return UnknownBorrower
	}
	if t.loan == nil {
		return NoResult
	}
	if id := t.loan(f); id != "" {
		if _, ok := p.loans[factKey{owner, string(id)}]; !ok {
			return UnknownLoan
		}
		if c := currencyOf(f); c != "" && c != p.currency[factKey{owner, string(id)}] {
			return WrongCurrency
		}
	}
	return NoResult
}

// currencyOf returns the currency of a fact's amounts, or "" for a fact without any.
func currencyOf(f duly.Fact) money.Currency {
	switch f := f.(type) {
	case *duly.Installment:
		return f.Currency()
	case *duly.Payment:
		return f.Amount.Currency
	}
	return ""
}

// judge compares a fact with what is known of it. A newer version of the same content is written too, for its version:
// else a version in between, coming late, would be taken for news.
func judge(was, now stamp, there bool) (result PutResult, write bool) {
	switch {
	case !there:
		return Added, true
	case now.version < was.version:
		return Stale, false
	case now.version == was.version && now.digest == was.digest:
		return Same, false
	case now.version == was.version:
		return Conflict, false
	case now.digest == was.digest:
		return Same, true
	}
	return Changed, true
}

func (p *putter) wait(t *factTable, ref factRef, key factKey, row []any, there bool) error {
	if p.results[ref.at] != Same {
		if err := p.tx.changed(ref.bucket); err != nil {
			return err
		}
	}
	if p.results[ref.at] == Added && t.kind == duly.FactBorrower {
		p.tx.buckets[ref.bucket].People++
	}
	w, b := &p.adding[ref.rank], &t.add
	if _, added := w.at[key]; there && !added {
		w, b = &p.putting[ref.rank], &t.put
	}
	if at, ok := w.at[key]; ok {
		copy(w.args[at:], row)
		return nil
	}
	if w.at == nil {
		w.at = map[factKey]int{}
	}
	w.at[key] = len(w.args)
	w.args = append(w.args, row...)
	if len(w.at) >= p.tx.db.d.rowsMax {
		return p.flush(b, w)
	}
	return nil
}

func (p *putter) flush(b *batch, w *waitingRows) error {
	_, err := p.tx.rows(b, w.args)
	w.args = w.args[:0]
	clear(w.at)
	return err
}

func (p *putter) flushAll() error {
	for i, t := range factTables {
		if err := p.flush(&t.add, &p.adding[i]); err != nil {
			return fmt.Errorf("add %s: %w", t.kind, err)
		}
		if err := p.flush(&t.put, &p.putting[i]); err != nil {
			return fmt.Errorf("put %s: %w", t.kind, err)
		}
	}
	return nil
}

// digest returns eight bytes of SHA-256 over the columns of a fact's content, each preceded by its kind and length.
func (p *putter) digest(cols []any) int64 {
	b := p.canon[:0]
	for _, c := range cols {
		switch v := c.(type) {
		case int64:
			b = append(b, 'i')
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		case string:
			b = append(b, 's')
			b = binary.AppendUvarint(b, uint64(len(v)))
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("store.digest: column of type %T", c))
		}
	}
	p.canon = b
	sum := sha256.Sum256(b)
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// Ownerless is what becomes of a fact that names nobody who is known: its loan, or its borrower, is not.
func Ownerless(f duly.Fact) PutResult { return ownerless(factTables[tableRank(f.FactKind())], f) }
