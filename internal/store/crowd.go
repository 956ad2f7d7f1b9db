package store

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	duly "github.com/dulyhq/duly"
)

// crowd is borrowers or contacts of any buckets, each once, in the order in which their rows lie.
type crowd struct {
	members []member
	buckets int // how many different ones
}

type member struct {
	bucket int
	id     string
}

func crowdOf[T ~string](ids []T, bucket func(T) int) crowd {
	members := make([]member, len(ids))
	for i, id := range ids {
		members[i] = member{bucket(id), string(id)}
	}
	return newCrowd(members)
}

func newCrowd(members []member) crowd {
	c := crowd{members: members}
	slices.SortFunc(c.members, func(a, b member) int { return cmp.Or(a.bucket-b.bucket, cmp.Compare(a.id, b.id)) })
	c.members = slices.Compact(c.members)
	c.count()
	return c
}

func borrowers(ids []duly.BorrowerID) crowd { return crowdOf(ids, duly.BorrowerID.Bucket) }

func (c *crowd) count() {
	c.buckets = 0
	for i, m := range c.members {
		if i == 0 || m.bucket != c.members[i-1].bucket {
			c.buckets++
		}
	}
}

// in keeps the members whose buckets are wanted.
func (c crowd) in(wanted func(bucket int) bool) crowd {
	out := crowd{members: make([]member, 0, len(c.members))}
	for i, m := range c.members {
		if i > 0 && m.bucket == c.members[i-1].bucket {
			if n := len(out.members); n > 0 && out.members[n-1].bucket == m.bucket {
				out.members = append(out.members, m)
			}
			continue
		}
		if wanted(m.bucket) {
			out.members = append(out.members, m)
		}
	}
	out.count()
	return out
}

// whose keeps the members whose ids are wanted.
func (c crowd) whose(wanted func(id string) bool) crowd {
	out := crowd{members: make([]member, 0, len(c.members))}
	for _, m := range c.members {
		if wanted(m.id) {
			out.members = append(out.members, m)
		}
	}
	out.count()
	return out
}

// numbers returns the buckets, ascending.
func (c crowd) numbers() []int {
	out := make([]int, 0, c.buckets)
	for i, m := range c.members {
		if i == 0 || m.bucket != c.members[i-1].bucket {
			out = append(out, m.bucket)
		}
	}
	return out
}

// ask makes of a query for the rows of members of one bucket, its $1 and $2, the queries for those of a crowd: one alone
// where a server is asked, one for each bucket where the engine is in the process or the store is spread. The rows of a member come together and
// in the order of the query; the members come in any order.
func (tx *Tx) ask(c crowd, scan func(*row) error, text string, args ...any) []ask {
	switch {
	case c.buckets == 0:
		return nil
	case c.buckets > 1 && tx.db.d.across != nil && !tx.db.spread:
		buckets, ids := make([]int, len(c.members)), make([]string, len(c.members))
		for i, m := range c.members {
			buckets[i], ids[i] = m.bucket, m.id
		}
		return []ask{{tx.db.acrossText(text), append([]any{tx.db.d.numbers(buckets), tx.db.d.list(ids)}, args...), scan}}
	}
	out := make([]ask, 0, c.buckets)
	for from := 0; from < len(c.members); {
		to := from
		var ids []string
		for to < len(c.members) && c.members[to].bucket == c.members[from].bucket {
			ids = append(ids, c.members[to].id)
			to++
		}
		own, whom := text, tx.db.d.list(ids)
		if len(ids) == 1 && tx.db.d.across == nil { // in the process, to read a list takes as long as to find its rows
			own, whom = tx.db.aloneText(text), ids[0]
		}
		out = append(out, ask{own, append([]any{int64(c.members[from].bucket), whom}, args...), scan})
		from = to
	}
	return out
}

type acrossKey string

// acrossText is the text of a query for one bucket's people as it is for those of several.
func (db *DB) acrossText(text string) string {
	return db.made(acrossKey(text), func() string { return db.d.across(text) })
}

type aloneKey string

// aloneText is the text of a query for people as it is for one of them.
func (db *DB) aloneText(text string) string {
	return db.made(aloneKey(text), func() string { return strings.Replace(text, "@ids($2)", "= $2", 1) })
}

var oneBucket = regexp.MustCompile(`^SELECT (.*) FROM (\w+) WHERE bucket = \$1 AND (\w+) @ids\(\$2\)(.*)$`)

// postgresAcross has the server look up one person after the other, as its own plan would not where it takes a table that
// was just filled for an empty one.
func postgresAcross(text string) string {
	m := oneBucket.FindStringSubmatch(text)
	if m == nil {
		panic(fmt.Sprintf("store.postgresAcross: %q does not ask for people of one bucket", text))
	}
	return "SELECT p.* FROM unnest($1::integer[], $2::text[]) AS k (bucket, id) CROSS JOIN LATERAL (SELECT " + m[1] + " FROM " + m[2] +
		" AS t WHERE t.bucket = k.bucket AND t." + m[3] + " = k.id" + m[4] + " OFFSET 0) AS p"
}

// holdings says which of the tables that few people have rows in hold anything at all in a bucket. Who asks for the rows
// of many people looks here first, once for each bucket.
type holdings map[int]tableSet

type tableSet uint

// The tables that are looked at, as bits.
const (
	contactRows tableSet = 1 << iota
	debitRows
	consentRows
	optOutRows
	holdRows
	touchRows
	paymentRows
	noticeRows
	preferenceRows
)

var sparseTables = []string{"contact", "debit", "consent", "opt_out", "hold", "touch", "payment", "notice", "preference"}

// holdingsQuery asks by the bucket of its row, and holdingsQueryOne by the value: only that is looked for in one place.
var holdingsQuery, holdingsQueryOne = holdingsText("b.bucket"), holdingsText("$1")

func holdingsText(bucket string) string {
	text := "SELECT b.bucket"
	for _, t := range sparseTables {
		text += ", CASE WHEN EXISTS (SELECT 1 FROM " + t + " t WHERE t.bucket = " + bucket + ") THEN 1 ELSE 0 END"
	}
	return text + " FROM bucket b WHERE b.bucket @ids($1)"
}

func (tx *Tx) holdings(buckets []int) (holdings, error) {
	out := make(holdings, len(buckets))
	query := holdingsQuery
	if tx.db.spread {
		query = holdingsQueryOne
	}
	err := tx.inBuckets(buckets, func(r *row) error {
		b := r.int()
		for i := range sparseTables {
			if r.bool() {
				out[b] |= 1 << i
			}
		}
		return nil
	}, query)
	return out, err
}

// of returns the members in whose buckets a table holds anything.
func (h holdings) of(c crowd, t tableSet) crowd {
	return c.in(func(bucket int) bool { return h[bucket]&t != 0 })
}
