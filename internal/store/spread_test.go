package store_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel/sandbox"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/sim"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// The one rule of the schema, on a store in partitions: the whole suite and some days of the engine are run, every
// statement that they make is noted, and each must name one bucket and look into one partition, unless it is on the list
// of those that are cold by design.

// cold lists them by what their text begins with, each with the reason why it may look everywhere.
var cold = []struct{ begins, reason string }{
	{"SELECT b.bucket FROM bucket b WHERE ", "asks which buckets need something, once a step: 1,024 looks into an index, whatever the book's size"},
	{"SELECT bucket, audit_seq, audit_hash FROM bucket WHERE audit_seq > 0 ", "the heads of all records, once a day, from 1,024 rows that hold no person"},
	{"SELECT bucket, persons FROM (SELECT b.bucket AS bucket, ", "which buckets have somebody to plan, once a plan: 1,024 looks into indexes, each in its own bucket's partition"},
	{"SELECT borrower_id, id, kind, value, state, source, rank, verified_at, observed_at, version FROM contact_point WHERE address = ",
		"a reply that names only the address it came from: a look into the index contact_point_address of each partition"},
	{"SELECT id, borrower_id FROM loan WHERE id ", "a payment that names its loan and not its borrower: a look into the index loan_id of each partition, up to 1,000 loans at a time"},
	{"SELECT contact_id, no, borrower_id, carrier, state, provider_id, class, detail, segments, body, known, claimed_at, lease_until, ended_at, begun_at, fenced_at, salt, cost, currency FROM attempt WHERE provider_id = $1 ",
		"a receipt that names the carrier's reference only; those of carriers that give back our own name their bucket"},
	{"SELECT attempt_id FROM receipt WHERE provider_id = $1 AND detail = 'part' ", "the same of a part: an index of those alone"},
	{"SELECT contact_id, no, borrower_id, carrier, state, provider_id, class, detail, segments, body, known, claimed_at, lease_until, ended_at, begun_at, fenced_at, salt, cost, currency FROM attempt WHERE state = 'in_doubt' ",
		"the list of what is in doubt, for a person: an index of those alone"},
	{"SELECT contact_id, no FROM attempt WHERE state = 'in_doubt' ", "the same, for asking a carrier"},
	{"SELECT c.channel, (a.claimed_at / 60000000) * 60000000, ", "what channels cost in the last hour, once at the start of a process where the operator limits it: an index of what cost anything"},
	{"SELECT strategy, step, channel, rung, state, reason, not_before / 900000000, COUNT(*) FROM contact WHERE day = $1 ", "report: volumes of a day"},
	{"SELECT state, COUNT(*) FROM contact GROUP BY state", "report: totals"},
	{"SELECT state, COUNT(*) FROM attempt GROUP BY state", "report: totals"},
	{"SELECT COUNT(*) FROM ", "report: totals"},
	{"SELECT currency, CAST(SUM(", "report: totals"},
	{"SELECT c.strategy, c.step, c.channel, c.rung, o.kind, COUNT(*) FROM outcome o ", "report: outcomes"},
	{"SELECT borrower_id, case_id, rule, pack, title_zh, title_en, demand, condition, due_on, due_at, lack, shadow, source, done_at FROM duty WHERE done_at = 0 ",
		"what is due, for a person: an index of those that are not done"},
	{"SELECT borrower_id, id, kind, loan_id, channel, urgent, complex, state, opened_at, done_at, author, outcome, version FROM case_file WHERE 1 = 1 ", "report: all cases, for a person"},
	{"SELECT borrower_id, id, kind, loan_id, channel, urgent, complex, state, opened_at, done_at, author, outcome, version FROM case_file WHERE id = $1 ",
		"a person names a case by its id alone: a look into an index of each partition"},
	{"SELECT borrower_id, id, kind, loan_id, channel, urgent, complex, state, opened_at, done_at, author, outcome, version FROM case_file WHERE state = 'open' ",
		"the cases that a person is to look at: an index of those alone"},
	{"SELECT borrower_id, id, point_id, channel, purpose, outcome, at, digest, state, reserved_at, expires_at, terms FROM touch WHERE state = ", "the list of slots, for a person"},
	{"SELECT bucket, place, moves, peer, mover, mover_until, (EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::BIGINT, people FROM bucket b",
		"where all buckets are, at the beginning of a move and for a person: 1,024 rows that hold no person"},
	{"SELECT bucket, COUNT(*) FROM contact GROUP BY bucket", "report: contacts by part"},
	{"UPDATE sandbox_receipt SET taken = 1 WHERE taken = 0 ", "the sandbox stands for a carrier; it is not for production"},
	{"SELECT attempt_id, key, status, at FROM sandbox_receipt WHERE taken = 0 ", "the sandbox, as above"},
	{"SELECT attempt_id, channel, to_value, subject, body, sent_at FROM sandbox_message WHERE sent_at ", "the sandbox, as above"},
}

// daily is what the texts of the daily work begin with, which runs in transactions of one bucket. What is left are facts:
// an import applies a chunk of them, and a call of the API its batch, whole or not at all.
var daily = []string{"INSERT INTO contact ", "INSERT INTO attempt ", "UPDATE attempt ", "INSERT INTO receipt ", "UPDATE receipt ", "INSERT INTO outcome "}

// heard notes every text once, with the arguments that came with it first.
type heard struct {
	mu       sync.Mutex
	texts    map[string][]any
	crossing map[string]int // the most buckets that a transaction held as it said so
}

func (h *heard) note(buckets int, text string, args []any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.crossing[text] = max(h.crossing[text], buckets)
	if _, ok := h.texts[text]; !ok {
		h.texts[text] = slices.Clone(args)
	}
}

// oneBucket fails unless statements that begin so were made, all in transactions that hold one bucket.
func (h *heard) oneBucket(t *testing.T, begins string) {
	t.Helper()
	n := 0
	for text, buckets := range h.crossing {
		if !strings.HasPrefix(text, begins) {
			continue
		}
		if n++; buckets != 1 {
			t.Errorf("in a transaction of %d buckets, want one:\n%s", buckets, text)
		}
	}
	if n == 0 {
		t.Errorf("no statement begins with %q", begins)
	}
}

func TestPartitioned(t *testing.T) {
	t.Parallel()
	h := &heard{texts: map[string][]any{}, crossing: map[string]int{}}
	t.Run("suite", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) *store.DB {
			db := storetest.Open(t, storetest.Partitioned)
			if !store.Spread(db) {
				t.Fatal("a store in partitions is not taken for one")
			}
			store.Trace(db, h.note)
			return db
		})
	})
	dsn := storetest.DSN(t, storetest.Partitioned)
	t.Run("engine", func(t *testing.T) {
		clear(h.crossing) // the suite crosses buckets on purpose
		want := lives(t, storetest.DSN(t, "sqlite"), nil)
		if d := cmp.Diff(want, lives(t, dsn, h.note)); d != "" {
			t.Errorf("days on SQLite and in partitions differ (-want +got):\n%s", d)
		}
		for _, begins := range daily {
			h.oneBucket(t, begins)
		}
	})
	if len(h.texts) < 60 {
		t.Fatalf("only %d statements were heard: the test listens in the wrong place", len(h.texts))
	}
	db := raw(t, "postgres", dsn)
	spread := partitioned(t, db)
	used := map[string]bool{}
	for _, text := range slices.Sorted(maps.Keys(h.texts)) {
		if i := slices.IndexFunc(cold, func(c struct{ begins, reason string }) bool { return strings.HasPrefix(text, c.begins) }); i >= 0 {
			used[cold[i].begins] = true
			continue
		}
		if err := pruned(t.Context(), db, spread, text, h.texts[text]); err != nil {
			t.Errorf("%v:\n%s", err, text)
		}
	}
	for _, c := range cold {
		if !used[c.begins] {
			t.Errorf("no statement begins with %q: take it off the list", c.begins)
		}
	}
}

// lives runs some days of an engine over people with all kinds of trouble, with receipts, payments and outcomes.
func lives(t *testing.T, dsn string, note func(int, string, []any)) sim.Summary {
	t.Helper()
	ctx, start, days := t.Context(), civil.On(2026, 3, 2), 6
	cfg := app.Default()
	cfg.Store = dsn
	cfg.Carriers = map[string]app.CarrierConfig{"sandbox": {Kind: "sandbox", Settings: &sandbox.Behaviour{Seed: 5, Temporary: 60, BadAddress: 20, UnknownDelivered: 30,
		Undelivered: 40, Duplicate: 100, DelayMin: time.Second, DelayMax: time.Hour}}}
	a, err := app.New(ctx, cfg, app.Options{Create: true, Clock: func() time.Time { return time.Time{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	leave, err := a.Join(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := leave(); err != nil {
			t.Error(err)
		}
	}()
	if note != nil {
		store.Trace(a.DB, note)
	}
	o := sim.Options{Seed: 5, Borrowers: 60, Start: start, Days: days, Location: a.Location}
	book, err := sim.NewBook(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Engine.Apply(ctx, start.At(0, a.Location).UTC(), "test", book.Facts()); err != nil {
		t.Fatal(err)
	}
	r := sim.Runner{Engine: a.Engine, Events: book.Events(o)}
	if err := r.Run(ctx, start, days); err != nil {
		t.Fatal(err)
	}
	s, err := sim.Summarise(ctx, a.DB, a.Location, start, start.Add(days))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// partitioned returns the tables in partitions: those of people's data.
func partitioned(t *testing.T, db *sql.DB) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, name := range column(t, db, "SELECT relname FROM pg_class WHERE relkind = 'p'") {
		out[name] = true
	}
	return out
}

var (
	namesBucket = regexp.MustCompile(`\bbucket = \$\d+\b|SELECT \$1::integer AS column1, `)
	partition   = regexp.MustCompile(`^(.*)_p(\d+)$`)
)

// pruned returns an error unless a statement names a bucket and its plan reads one partition, the same of every table. An
// INSERT has no partition in its plan; it then names its bucket as a value, which is one.
func pruned(ctx context.Context, db *sql.DB, spread map[string]bool, text string, args []any) error {
	plan, err := explain(ctx, db, text, args)
	if err != nil {
		return err
	}
	parts, people := map[string]bool{}, false
	for _, relation := range relations(plan) {
		if m := partition.FindStringSubmatch(relation); m != nil && spread[m[1]] {
			parts[m[2]], people = true, true
		}
		people = people || spread[relation] || relation == "bucket"
	}
	if people && !namesBucket.MatchString(text) {
		return errors.New("it does not name its bucket as a value")
	}
	if len(parts) > 1 {
		return fmt.Errorf("it looks into partitions %v, want one", slices.Sorted(maps.Keys(parts)))
	}
	return nil
}

func explain(ctx context.Context, db *sql.DB, text string, args []any) (plan any, err error) {
	var b []byte
	if err := db.QueryRowContext(ctx, "EXPLAIN (FORMAT JSON) "+text, args...).Scan(&b); err != nil {
		return nil, err
	}
	return plan, json.Unmarshal(b, &plan)
}

// relations returns the tables that a plan reads or writes.
func relations(plan any) (out []string) {
	switch p := plan.(type) {
	case []any:
		for _, x := range p {
			out = append(out, relations(x)...)
		}
	case map[string]any:
		for k, x := range p {
			if name, ok := x.(string); ok && k == "Relation Name" {
				out = append(out, name)
			}
			out = append(out, relations(x)...)
		}
	}
	return out
}

func column(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// The test above must be able to fail: these break the rule, each in a way of its own.
func TestPrunedCatches(t *testing.T) {
	t.Parallel()
	db := raw(t, "postgres", storetest.DSN(t, storetest.Partitioned))
	spread := partitioned(t, db)
	for _, c := range []struct {
		name, text string
		args       []any
		fails      bool
	}{
		{"one bucket", "SELECT id FROM contact WHERE bucket = $1", []any{int64(5)}, false},
		{"one bucket of two tables", "SELECT c.id FROM contact c JOIN attempt a ON a.bucket = c.bucket AND a.contact_id = c.id WHERE c.bucket = $1", []any{int64(5)}, false},
		{"no person", "SELECT watermark FROM feed WHERE name = $1", []any{"payments"}, false},
		{"no bucket", "SELECT id FROM contact WHERE borrower_id = $1", []any{"B"}, true},
		{"a list of one bucket", "SELECT id FROM contact WHERE bucket = ANY($1)", []any{[]int32{5}}, true},
		{"two tables, one without", "SELECT c.id FROM contact c JOIN attempt a ON a.contact_id = c.id WHERE c.bucket = $1", []any{int64(5)}, true},
		{"buckets as a column", "INSERT INTO dirty (bucket, borrower_id, marked_at) SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS u",
			[]any{[]int64{5}, []string{"B"}, []int64{0}}, true},
		{"a lock of several", "SELECT bucket FROM bucket WHERE bucket = ANY($1) FOR UPDATE", []any{[]int32{5}}, true},
	} {
		if err := pruned(t.Context(), db, spread, c.text, c.args); (err != nil) != c.fails {
			t.Errorf("%s: got %v, want it to fail: %v", c.name, err, c.fails)
		}
	}
}

// Every table about people is in partitions, and its keys are such that a database with the tables spread can keep them:
// the first column of every unique index is bucket, and there is no foreign key, trigger or sequence.
func TestKeysInPartitions(t *testing.T) {
	t.Parallel()
	db := raw(t, "postgres", storetest.DSN(t, storetest.Partitioned))
	spread := partitioned(t, db)
	// A table that says whose row it is must be among them.
	personal := column(t, db, "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = current_schema() "+
		"AND column_name IN ('borrower_id', 'contact_id', 'loan_id', 'to_value') AND table_name !~ '_p[0-9]+$'")
	if len(personal) < 12 {
		t.Errorf("only %d tables of people were found", len(personal))
	}
	for _, name := range personal {
		if !spread[name] {
			t.Errorf("table %s has a person's data and is not in partitions: its key must be bucket and more", name)
		}
	}
	for what, query := range map[string]string{
		"a unique index of a table with buckets that does not begin with bucket": "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid " +
			"JOIN pg_attribute b ON b.attrelid = c.oid AND b.attname = 'bucket' WHERE i.indisunique AND c.relnamespace = current_schema()::regnamespace AND i.indkey[0] <> b.attnum",
		"a foreign key": "SELECT conname FROM pg_constraint WHERE contype = 'f'",
		"a trigger":     "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
		"a sequence":    "SELECT relname FROM pg_class WHERE relkind = 'S'",
	} {
		for _, name := range column(t, db, query) {
			t.Errorf("%s: %s", what, name)
		}
	}
}

func TestCreatePartitioned(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	sqlite := filepath.Join(t.TempDir(), "d.db")
	whole, cut := storetest.DSN(t, "postgres"), storetest.DSN(t, storetest.Partitioned)
	for _, c := range []struct {
		name, dsn  string
		partitions int
		want       duly.Code
	}{
		{"SQLite", sqlite, 4, duly.Usage}, {"one", cut, 1, duly.Usage}, {"too many", cut, 1000, duly.Usage}, {"fewer than none", cut, -1, duly.Usage},
		{"as it is", cut, 3, ""}, {"whatever it is", cut, 0, ""}, {"another number", cut, 8, duly.Refused}, {"a store that is whole", whole, 4, duly.Refused},
	} {
		db, err := store.CreatePartitioned(ctx, c.dsn, c.partitions)
		if err == nil {
			db.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && duly.CodeOf(err) != c.want {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	again, err := store.Open(ctx, cut)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !store.Spread(again) || !slices.EqualFunc(again.Groups([]int{3, 4}), [][]int{{3}, {4}}, slices.Equal) {
		t.Error("a store in partitions that is opened again is not taken for one")
	}
	const more = "CREATE TABLE more (\n  bucket INTEGER NOT NULL,\n  a TEXT NOT NULL,\n  PRIMARY KEY (bucket, a)\n) WITHOUT ROWID;\nCREATE INDEX more_a ON more (a);\n"
	if err := store.MigrateMore(ctx, again, more); err != nil {
		t.Fatal(err)
	}
	if got := column(t, raw(t, "postgres", cut), "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'more'::regclass"); len(got) != 3 {
		t.Errorf("a table of a later migration: got %d partitions, want 3", len(got))
	}
}
