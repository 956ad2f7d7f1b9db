package store_test

import (
	"context"
	"database/sql"
	"os"
	"strconv"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel/sandbox"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/sim"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// TestBloat measures what 30 days of a lender's work leave behind in PostgreSQL: with the tables stored as the engine's defaults
// have it and as the migrations do, and 75 days with and without terms for which records are kept. It is no test of a promise
// but what docs/scale.md has its figures from; DULY_BLOAT is how many borrowers there are.
func TestBloat(t *testing.T) {
	people, err := strconv.Atoi(os.Getenv("DULY_BLOAT"))
	if err != nil {
		t.Skip("a measurement: DULY_BLOAT=2000 go test ./internal/store -run TestBloat -v -timeout 60m")
	}
	for _, v := range []bloat{
		{name: "as the engine's defaults", people: people, days: 30, plain: true},
		{name: "as the migrations have it", people: people, days: 30},
		{name: "kept for ever", people: people / 4, days: 75},
		{name: "kept for 38 days", people: people / 4, days: 75, keep: true},
	} {
		v.measure(t)
	}
}

type bloat struct {
	name   string
	people int
	days   int
	plain  bool // without the settings of the migrations
	keep   bool
}

func (v *bloat) measure(t *testing.T) {
	ctx, start := t.Context(), civil.On(2026, 3, 2)
	cfg := app.Default()
	cfg.Store = storetest.DSN(t, "postgres")
	cfg.Lender.Kind = "bank"
	cfg.Carriers = map[string]app.CarrierConfig{"sandbox": {Kind: "sandbox", Settings: &sandbox.Behaviour{Seed: 5, Temporary: 60, DelayMin: time.Second, DelayMax: time.Hour}}}
	if v.keep {
		month := app.Term(rule.Term{Days: 38})
		cfg.Keep = map[engine.Record]app.Term{engine.RecordWords: month, engine.RecordContacts: month, engine.RecordSandbox: month}
	}
	a, err := app.New(ctx, cfg, app.Options{Create: true, Clock: func() time.Time { return time.Time{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	db := raw(t, "postgres", cfg.Store)
	for _, table := range column(t, db, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace") {
		if v.plain {
			run(t, db, "ALTER TABLE "+table+" RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)")
		}
		run(t, db, "ALTER TABLE "+table+" SET (autovacuum_enabled = false)") // days pass in seconds here: see vacuumed
	}
	leave, err := a.Join(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	o := sim.Options{Seed: 5, Borrowers: v.people, Start: start, Days: v.days, Location: a.Location}
	book, err := sim.NewBook(o)
	if err != nil {
		t.Fatal(err)
	}
	r, vacuums := sim.Runner{Engine: a.Engine, Events: book.Events(o)}, 0
	for d := range v.days {
		v.night(ctx, t, a, book, start.Add(d).At(0, a.Location).UTC(), int64(d+1))
		if err := r.Run(ctx, start.Add(d), 1); err != nil {
			t.Fatal(err)
		}
		vacuums += vacuumed(t, db)
	}
	v.report(t, db, vacuums)
}

// night tells the whole book again, in a newer version, and removes what need not be kept.
func (v *bloat) night(ctx context.Context, t *testing.T, a *app.App, book *sim.Book, now time.Time, version int64) {
	facts := book.Facts()
	for _, f := range facts {
		switch f := f.(type) {
		case *duly.Borrower:
			f.Version = version
		case *duly.ContactPoint:
			f.Version = version
		case *duly.Loan:
			f.Version = version
		case *duly.Installment:
			f.Version = version
		}
	}
	if _, err := a.Engine.Apply(ctx, now, "test", facts); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Engine.ForgetAll(ctx, now, false); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// vacuumed does what autovacuum would have done in the night, by the settings of each table, and returns how many it vacuumed.
func vacuumed(t *testing.T, db *sql.DB) int {
	time.Sleep(1100 * time.Millisecond) // the server counts once a second
	due := column(t, db, `SELECT c.relname FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid,
		LATERAL (SELECT COALESCE((SELECT option_value FROM pg_options_to_table(c.reloptions) WHERE option_name = 'autovacuum_vacuum_threshold')::float, 50) AS base,
			COALESCE((SELECT option_value FROM pg_options_to_table(c.reloptions) WHERE option_name = 'autovacuum_vacuum_scale_factor')::float, 0.2) AS scale) o
		WHERE s.n_dead_tup > o.base + o.scale * GREATEST(c.reltuples, 0)`)
	for _, table := range due {
		run(t, db, "VACUUM (ANALYZE) "+table)
	}
	return len(due)
}

func (v *bloat) report(t *testing.T, db *sql.DB, vacuums int) {
	time.Sleep(1100 * time.Millisecond)
	t.Logf("%s: %d borrowers, %d days, %d vacuums, whole %s", v.name, v.people, v.days, vacuums, column(t, db, "SELECT pg_size_pretty(pg_database_size(current_database()))")[0])
	for _, line := range column(t, db, `SELECT format('| %s | %s | %s | %s | %s | %s %% | %s kB | %s kB |', relname, n_live_tup, n_dead_tup, n_tup_upd, n_tup_del,
		CASE WHEN n_tup_upd > 0 THEN round(100.0 * n_tup_hot_upd / n_tup_upd) END, pg_relation_size(relid) / 1024, pg_indexes_size(relid) / 1024)
		FROM pg_stat_user_tables WHERE relname IN ('bucket', 'bucket_lease', 'borrower', 'contact_point', 'loan', 'installment', 'contact', 'attempt', 'receipt', 'dirty', 'audit', 'outcome') ORDER BY relname`) {
		t.Log(line)
	}
	for _, line := range column(t, db, "SELECT format('index %s %s kB', indexrelname, pg_relation_size(indexrelid) / 1024) FROM pg_stat_user_indexes WHERE relname = 'contact' ORDER BY indexrelname") {
		t.Log(line)
	}
}
