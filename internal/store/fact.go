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
	add   batch  // bucket, content, version, digest, since, extra: one that is not there
	put   batch  // the same, over an older version
	args  func(a []any, f duly.Fact) []any
	scan  func(r *row) duly.Fact                   // the opposite: what args and the version after it say; nil of borrowers
	extra func(tx *Tx, a []any, f duly.Fact) []any // derived columns, which are no part of the content; may be nil
	loan  func(f duly.Fact) duly.LoanID            // the loan it refers to; nil for kinds that refer to none
	// It goes with its loan: of a loan whose facts were removed nothing is news. What else refers to a loan may be.
	ledger bool
	later  int      // how many of its content columns, the last, are younger than the table; see content
	own    []string // columns that are not put with the fact
}

// content is what of a fact's columns the digest is over. A column that came later is left out while it is empty, so that a
// fact which was stored before the column was there is the same when it comes again.
func (t *factTable) content(cols []any) []any {
	out := cols
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
	&noticeTable, &preferenceTable,
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
	head := strings.TrimPrefix(put.head, "@insert INTO ")
	table, names, _ := strings.Cut(strings.TrimSuffix(head, ") "), " (")
	return batch{head: put.head, cols: put.cols, table: table, names: strings.Split(names, ", "), keys: put.keys}
}

// putBatch makes the statement that adds facts or replaces an older version of them. Key columns stay, and so do those
// that are derived; a column that set assigns is left to it. A newer version that says the same is since the older one.
func putBatch(table string, key, content, extra []string, set string) batch {
	cols := slices.Concat([]string{"bucket"}, key, content, []string{"version", "digest", "since"}, extra)
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
	tail += ") DO UPDATE SET version = excluded.version, digest = excluded.digest, " +
		"since = CASE WHEN excluded.digest = " + table + ".digest THEN " + table + ".since ELSE excluded.since END"
	for _, c := range content {
		if !strings.Contains(set, ", "+c+" = ") {
			tail += ", " + c + " = excluded." + c
		}
	}
	return batch{head: head + ") ", cols: len(cols), tail: tail + set + " WHERE excluded.version > " + table + ".version", keys: len(key)}
}

// knownQuery makes the query for factTable.known.
func knownQuery(table, owner, key string) string {
	return "SELECT " + owner + ", " + key + ", version, digest FROM " + table + " WHERE bucket = $1 AND " + owner + " @ids($2)"
}

// factRef is one fact of a Parcel: where it is in the list, where it belongs and what it says.
type factRef struct {
	at     int
	order  int // its table and bucket
	owner  duly.BorrowerID
	key    string
	digest int64
}

func (r *factRef) rank() int   { return r.order / bucketsMax }
func (r *factRef) bucket() int { return r.order % bucketsMax }

// Parcel is facts made ready to be put, which takes no store: those that come next are made ready while the last are
// being written.
type Parcel struct {
	Facts   []duly.Fact
	refs    []factRef // in the order in which they are written
	who     crowd     // whom they are about
	buckets []int16   // of the facts, in the order of Facts; -1 for one without an owner
}

// NewParcel makes facts ready to be put. They must not change after that.
func NewParcel(facts []duly.Fact) (*Parcel, error) {
	m := parcelMaker{facts: make([]duly.Fact, 0, len(facts)), refs: make([]factRef, 0, len(facts)), buckets: make([]int16, 0, len(facts))}
	var d digester
	for _, f := range facts {
		rank := tableRank(f.FactKind())
		if rank < 0 {
			return nil, fmt.Errorf("no table for facts of kind %s", f.FactKind())
		}
		m.add(rank, f, d.fact(factTables[rank], f))
	}
	return m.parcel(), nil
}

// parcelMaker gathers the facts of a parcel.
type parcelMaker struct {
	facts   []duly.Fact
	refs    []factRef
	buckets []int16
	last    duly.BorrowerID
	bucket  int // of last
}

func (m *parcelMaker) add(rank int, f duly.Fact, digest int64) {
	owner := f.Owner()
	m.facts = append(m.facts, f)
	if owner == "" {
		m.buckets = append(m.buckets, -1)
		return
	}
	if owner != m.last {
		m.last, m.bucket = owner, owner.Bucket()
	}
	m.buckets = append(m.buckets, int16(m.bucket))
	m.refs = append(m.refs, factRef{len(m.facts) - 1, rank*bucketsMax + m.bucket, owner, f.FactKey(), digest})
}

func (m *parcelMaker) parcel() *Parcel {
	// Table by table, and in each by person: what is written next goes onto the page that was written last. What comes
	// twice comes together.
	refs := byOrder(m.refs)
	for from := 0; from < len(refs); {
		to := from + 1
		for to < len(refs) && refs[to].order == refs[from].order {
			to++
		}
		slices.SortFunc(refs[from:to], func(a, b factRef) int {
			if c := cmp.Compare(a.owner, b.owner); c != 0 {
				return c
			}
			return cmp.Or(cmp.Compare(a.key, b.key), a.at-b.at)
		})
		from = to
	}
	return &Parcel{m.facts, refs, crowdIn(refs), m.buckets}
}

// byOrder sorts refs by their order alone. Many are counted, not compared.
func byOrder(refs []factRef) []factRef {
	if len(refs) < bucketsMax {
		slices.SortFunc(refs, func(a, b factRef) int { return a.order - b.order })
		return refs
	}
	next := make([]int, numTables*bucketsMax+1)
	for i := range refs {
		next[refs[i].order+1]++
	}
	for i := range next[1:] {
		next[i+1] += next[i]
	}
	out := make([]factRef, len(refs))
	for _, r := range refs {
		out[next[r.order]] = r
		next[r.order]++
	}
	return out
}

// crowdIn returns whom facts are about, of which the table and bucket are known.
func crowdIn(refs []factRef) crowd {
	var members []member
	for i := range refs {
		if m := (member{refs[i].bucket(), string(refs[i].owner)}); i == 0 || members[len(members)-1] != m {
			members = append(members, m)
		}
	}
	return newCrowd(members)
}

// Bucket returns the bucket of a fact, and whether it has one: its owner is known.
func (p *Parcel) Bucket(i int) (int, bool) { return int(p.buckets[i]), p.buckets[i] >= 0 }

// Buckets returns the buckets of all the facts, ascending.
func (p *Parcel) Buckets() []int {
	var seen [bucketsMax]bool
	for i := range p.refs {
		seen[p.refs[i].bucket()] = true
	}
	var out []int
	for b, ok := range seen {
		if ok {
			out = append(out, b)
		}
	}
	return out
}

// Put is [Tx.PutParcel] for facts as they are.
func (tx *Tx) Put(facts []duly.Fact) ([]PutResult, error) {
	p, err := NewParcel(facts)
	if err != nil {
		return nil, fmt.Errorf("put: %w", err)
	}
	return tx.PutParcel(p)
}

// PutParcel makes facts known: each is added, replaces an older version of itself, or changes nothing, and the results say
// which, in the order of facts. Facts may come in any order of versions, but what a fact refers to must be known or in
// the same parcel. The buckets of all their owners must be held. The amounts paid on an instalment are never put.
func (tx *Tx) PutParcel(parcel *Parcel) ([]PutResult, error) {
	p := &putter{tx: tx, facts: parcel.Facts, results: make([]PutResult, len(parcel.Facts))}
	for i, f := range parcel.Facts {
		if _, ok := parcel.Bucket(i); !ok {
			p.results[i] = ownerless(factTables[tableRank(f.FactKind())], f)
		}
	}
	for _, b := range parcel.Buckets() {
		if _, err := tx.held(b); err != nil {
			return nil, fmt.Errorf("put: %w", err)
		}
	}
	if err := p.all(parcel.refs, parcel.who); err != nil {
		return nil, fmt.Errorf("put: %w", err)
	}
	return p.results, nil
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

// putter works through a Put table by table. Rows wait until there is a statement full of them.
type putter struct {
	tx        *Tx
	facts     []duly.Fact
	results   []PutResult
	borrowers map[factKey]stamp // that are known
	loans     map[factKey]knownLoan
	adding    [numTables]waitingRows // that are not there
	putting   [numTables]waitingRows // that are there in an older version
	row       []any
	at        factKey // of the fact looked at last
	was       stamp   // what it is as written so far
	there     bool
	owner     duly.BorrowerID // found to be known last
	loan      factKey         // looked up last
	loanIs    knownLoan
	loanKnown bool
}

// knownLoan is what others that refer to a loan must know of it.
type knownLoan struct {
	stamp
	currency money.Currency
}

const numTables = 14

// waitingRows are rows on their way into one table. A fact that comes twice takes the place of itself: one statement
// cannot write a row twice.
type waitingRows struct {
	args []any
	last factKey // of the last row; nobody's if none waits
}

func (p *putter) all(refs []factRef, who crowd) error {
	var err error
	if p.borrowers, err = p.known(&borrowerTable, who); err != nil {
		return err
	}
	// Nothing is known of a borrower who is not: on a first import that saves all the other look-ups.
	who = who.whose(func(id string) bool { _, ok := p.borrowers[factKey{duly.BorrowerID(id), id}]; return ok })
	if err = p.knownLoans(who); err != nil {
		return err
	}
	for len(refs) > 0 {
		n := 1
		for n < len(refs) && refs[n].rank() == refs[0].rank() {
			n++
		}
		if err := p.kind(refs[:n], who); err != nil {
			return err
		}
		refs = refs[n:]
	}
	return nil
}

// known reads the stamps of the facts of one kind that some borrowers have.
func (p *putter) known(t *factTable, who crowd) (map[factKey]stamp, error) {
	out := map[factKey]stamp{}
	err := p.tx.queries(p.tx.ask(who, func(r *row) error {
		k := factKey{duly.BorrowerID(r.text()), r.text()}
		out[k] = stamp{r.int64(), r.int64()}
		return nil
	}, t.known)...)
	return out, err
}

// knownLoans is known for loans, with their currencies.
func (p *putter) knownLoans(who crowd) error {
	p.loans = map[factKey]knownLoan{}
	return p.tx.queries(p.tx.ask(who, func(r *row) error {
		k := factKey{duly.BorrowerID(r.text()), r.text()}
		p.loans[k] = knownLoan{stamp{r.int64(), r.int64()}, money.Currency(r.text())}
		return nil
	}, loanTable.known)...)
}

// kind puts the facts of one kind; who are those of their owners who were known before.
func (p *putter) kind(refs []factRef, who crowd) error {
	t := factTables[refs[0].rank()]
	p.at = factKey{} // an id names one thing of each kind
	var known map[factKey]stamp
	if t.kind != duly.FactBorrower && t.kind != duly.FactLoan {
		var err error
		if known, err = p.known(t, who); err != nil {
			return err
		}
	}
	was := func(k factKey) (stamp, bool) { s, ok := known[k]; return s, ok }
	switch t.kind {
	case duly.FactBorrower:
		was = func(k factKey) (stamp, bool) { s, ok := p.borrowers[k]; return s, ok }
	case duly.FactLoan:
		was = func(k factKey) (stamp, bool) { l, ok := p.loans[k]; return l.stamp, ok }
	}
	for i := range refs {
		if err := p.fact(t, &refs[i], was); err != nil {
			return err
		}
	}
	return p.flushAll(t, refs[0].rank())
}

func (p *putter) fact(t *factTable, ref *factRef, was func(factKey) (stamp, bool)) error {
	f := p.facts[ref.at]
	if r := p.refers(t, ref.owner, f); r != NoResult {
		p.results[ref.at] = r
		return nil
	}
	now := stamp{f.FactVersion(), ref.digest}
	if key := (factKey{ref.owner, ref.key}); key != p.at {
		p.at = key
		p.was, p.there = was(key)
	}
	result, write := judge(p.was, now, p.there)
	p.results[ref.at] = result
	if !write {
		return nil
	}
	row := t.args(append(p.row[:0], int64(ref.bucket())), f)
	row = append(row, now.version, now.digest, p.tx.next(ref.bucket()))
	if t.extra != nil {
		row = t.extra(p.tx, row, f)
	}
	p.row = row
	switch f := f.(type) { // which others refer to
	case *duly.Borrower:
		p.borrowers[p.at] = now
	case *duly.Loan:
		p.loans[p.at] = knownLoan{now, f.Currency}
	}
	there := p.there
	p.was, p.there = now, true
	return p.wait(t, ref, row, there)
}

// refers checks that what a fact refers to is known.
func (p *putter) refers(t *factTable, owner duly.BorrowerID, f duly.Fact) PutResult {
	if t.kind == duly.FactBorrower {
		return NoResult
	}
	if owner != p.owner {
		if _, ok := p.borrowers[factKey{owner, string(owner)}]; !ok {
			return UnknownBorrower
		}
		p.owner = owner
	}
	if t.loan == nil {
		return NoResult
	}
	if id := t.loan(f); id != "" {
		if k := (factKey{owner, string(id)}); k != p.loan {
			p.loan = k
			p.loanIs, p.loanKnown = p.loans[k]
		}
		if !p.loanKnown {
			return UnknownLoan
		}
		if p.loanIs.version == versionGone && t.ledger {
			return Stale
		}
		if c := currencyOf(f); c != "" && c != p.loanIs.currency {
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

func (p *putter) wait(t *factTable, ref *factRef, row []any, there bool) error {
	if p.results[ref.at] != Same {
		if err := p.tx.changed(ref.bucket()); err != nil {
			return err
		}
	}
	if p.results[ref.at] == Added && t.kind == duly.FactBorrower {
		p.tx.buckets[ref.bucket()].People++
	}
	w, b := &p.adding[ref.rank()], &t.add
	if there && w.last != p.at {
		w, b = &p.putting[ref.rank()], &t.put
	}
	if w.last == p.at {
		copy(w.args[len(w.args)-len(row):], row)
		return nil
	}
	w.last = p.at
	w.args = append(w.args, row...)
	if len(w.args) >= p.tx.db.d.rowsMax*b.cols {
		return p.flush(t, b, w)
	}
	return nil
}

func (p *putter) flush(t *factTable, b *batch, w *waitingRows) error {
	if b == &t.put {
		if err := p.tx.keepFacts(t, w.args); err != nil {
			return err
		}
	}
	_, err := p.tx.rows(b, w.args)
	w.args, w.last = w.args[:0], factKey{}
	return err
}

func (p *putter) flushAll(t *factTable, rank int) error {
	if err := p.flush(t, &t.add, &p.adding[rank]); err != nil {
		return fmt.Errorf("add %s: %w", t.kind, err)
	}
	if err := p.flush(t, &t.put, &p.putting[rank]); err != nil {
		return fmt.Errorf("put %s: %w", t.kind, err)
	}
	return nil
}

// digester makes digests, in memory that it uses again.
type digester struct {
	row   []any
	canon []byte
}

// fact returns the digest of a fact.
func (d *digester) fact(t *factTable, f duly.Fact) int64 {
	d.row = t.args(d.row[:0], f)
	return d.digest(t.content(d.row))
}

// digest returns eight bytes of SHA-256 over the columns of a fact's content, each preceded by its kind and length.
func (d *digester) digest(cols []any) int64 {
	b := d.canon[:0]
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
	d.canon = b
	sum := sha256.Sum256(b)
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// Ownerless is what becomes of a fact that names nobody who is known: its loan, or its borrower, is not.
func Ownerless(f duly.Fact) PutResult { return ownerless(factTables[tableRank(f.FactKind())], f) }
