package store

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store/migration"
)

// A store made by an older program is brought up to date with what it holds, and refused until it is.
func TestMigrateForward(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "old.db")
	db, err := Create(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all, err := steps(migration.Files)
	if err != nil {
		t.Fatal(err)
	}
	all = slices.Clip(all) // two lists are made of it
	next := newest(all) + 1
	added := append(all, step{next, "next", "-- a comment;\nCREATE TABLE more (\n  a TEXT NOT NULL\n);\nINSERT INTO more\nSELECT 'x;y' FROM bucket;\n"})
	broken := append(all, step{next, "broken", "CREATE TABLE half (a TEXT);\nCREATE TABLE half (a TEXT);\n"})

	if err := db.migrate(t.Context(), broken); err == nil {
		t.Error("a migration that fails: got no error")
	}
	count := func(query string) (n int) {
		t.Helper()
		if err := db.writer.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count("SELECT COUNT(*) FROM sqlite_master WHERE name = 'half'"); n != 0 {
		t.Error("a migration that failed left a table behind")
	}
	for range 2 {
		if err := db.migrate(t.Context(), added); err != nil {
			t.Fatal(err)
		}
	}
	if n := count("SELECT COUNT(*) FROM more WHERE a = 'x;y'"); n != duly.Buckets {
		t.Errorf("rows: got %d, want %d", n, duly.Buckets)
	}
	if _, err := Open(t.Context(), path); duly.CodeOf(err) != duly.Refused {
		t.Errorf("open with a newer schema: got %v, want refused", err)
	}
}

// A store whose contacts were planned by an older program finds what waits after the migration, as if it had planned them.
func TestMigrateFillsWaiting(t *testing.T) {
	t.Parallel()
	db, err := connect(t.Context(), filepath.Join(t.TempDir(), "old.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all, err := steps(migration.Files)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(s step) bool { return s.name == "0011_waiting.sql" })
	if err := db.migrate(t.Context(), all[:at]); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		state      string
		wake, next int
	}{{"planned", 50, 0}, {"accepted", 50, 70}, {"accepted", 50, 0}, {"failed", 50, 60}, {"claimed", 50, 90}, {"cancelled", 50, 0}} {
		_, err := db.writer.db.ExecContext(t.Context(), "INSERT INTO contact (bucket, id, borrower_id, strategy, strategy_hash, step, day, rung, channel, point_id, purpose, tone, "+
			"template, late, priority, items, state, reason, not_before, expires_at, wake_at, fallback_at, attempts, sent_at, decision, planned_at, changed_at, measure) "+
			"VALUES (1, $1, 'B', 's', '', 'd-3', 20260301, 0, 'sms', 'P', '', '', '', 0, 3, '', $2, '', $3, 99, $3, $4, 0, 0, '', 0, 0, 0)", i, c.state, c.wake, c.next)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.migrate(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	rows, err := db.writer.db.QueryContext(t.Context(), "SELECT contact_id || ' ' || borrower_id || ' ' || kind || ' ' || at || ' ' || priority FROM waiting ORDER BY contact_id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if want := []string{"0 B 0 50 3", "1 B 1 70 3", "3 B 1 60 3"}; !slices.Equal(got, want) {
		t.Errorf("what waits: got %q, want %q", got, want)
	}
}

// Contact points that an older program wrote are found by their address after the migration.
func TestMigrateFillsAddresses(t *testing.T) {
	t.Parallel()
	db, err := connect(t.Context(), filepath.Join(t.TempDir(), "old.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all, err := steps(migration.Files)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(s step) bool { return s.name == addressMigration })
	if err := db.migrate(t.Context(), all[:at]); err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []int{0, 512, 1023} {
		_, err := db.writer.db.ExecContext(t.Context(), "INSERT INTO contact_point (bucket, borrower_id, id, kind, value, state, source, rank, verified_at, observed_at, version, digest) "+
			"VALUES ($1, 'B' || $1, 'm', 'mobile', '+8613800000000', 'active', '', 0, 0, 0, 1, 1)", bucket)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.migrate(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	points, err := db.PointsOf(t.Context(), []duly.PointKind{duly.PointMobile}, "8613800000000", 10)
	if err != nil || len(points) != 3 {
		t.Errorf("got %d points, %v, want 3", len(points), err)
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	if _, err := steps(migration.Files); err != nil {
		t.Error(err)
	}
	for _, names := range [][]string{{"0002_a.sql"}, {"0001_a.sql", "0001_b.sql"}, {"first.sql"}, {"0000_a.sql"}, {"1_a.sql"}} {
		files := fstest.MapFS{}
		for _, n := range names {
			files[n] = &fstest.MapFile{}
		}
		if _, err := steps(files); err == nil {
			t.Errorf("%v: got no error", names)
		}
	}
	files := fstest.MapFS{"0001_a.sql": {}, "0004_b.sql": {}}
	if all, err := steps(files); err != nil || len(all) != 2 || newest(all) != 4 {
		t.Errorf("numbers with a gap: got %v, %v", all, err)
	}
}

// A migration whose number is between those applied, because it was written beside them, is made up for.
func TestMigrateFillsGaps(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gap.db")
	db, err := Create(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all, err := steps(migration.Files)
	if err != nil {
		t.Fatal(err)
	}
	last := newest(all)
	between := step{last + 1, "between", "CREATE TABLE between_two (a TEXT NOT NULL);\n"}
	after := step{last + 2, "after", "CREATE TABLE after_two (a TEXT NOT NULL);\n"}
	if err := db.migrate(t.Context(), append(slices.Clone(all), after)); err != nil {
		t.Fatal(err)
	}
	if err := db.migrate(t.Context(), append(slices.Clone(all), between)); duly.CodeOf(err) != duly.Refused {
		t.Errorf("with a migration that the program does not have: got %v, want refused", err)
	}
	if err := db.migrate(t.Context(), append(slices.Clone(all), between, after)); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.writer.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sqlite_master WHERE name IN ('between_two', 'after_two')").Scan(&n); err != nil || n != 2 {
		t.Errorf("tables: got %d, %v; want 2", n, err)
	}
}

// The rule of the tables: the key of everything about a person begins with bucket.
func TestKeysBeginWithBucket(t *testing.T) {
	t.Parallel()
	whole := map[string]bool{"schema_version": true, "bucket": true, "feed": true, "import_run": true, "orphan_receipt": true, "node": true, "bucket_lease": true, "stream_mark": true, "keep_mark": true, "audit_root": true, "kept_command": true, "document": true, "restoration": true, "carrier_pin": true, "carrier_report": true, "unmatched": true, "account": true, "session": true}
	all, err := steps(migration.Files)
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	for _, s := range all {
		for _, stmt := range s.statements() {
			if strings.HasPrefix(stmt, "CREATE UNIQUE INDEX ") && !strings.Contains(stmt, "(bucket") || strings.HasPrefix(stmt, "CREATE TRIGGER ") {
				t.Errorf("not for tables that are spread: %s", stmt)
			}
			name, isTable := strings.CutPrefix(stmt, "CREATE TABLE ")
			if !isTable {
				continue
			}
			tables++
			name, _, _ = strings.Cut(name, " ")
			if !whole[name] && !strings.Contains(stmt, "PRIMARY KEY (bucket, ") {
				t.Errorf("table %s: its key does not begin with bucket", name)
			}
			for _, word := range []string{"REFERENCES", "UNIQUE", "FOREIGN"} {
				if strings.Contains(stmt, word) {
					t.Errorf("table %s: %s is not for tables that are spread", name, word)
				}
			}
		}
	}
	if tables < 20 {
		t.Errorf("only %d tables were looked at", tables)
	}
}

func TestSQLiteIsDurable(t *testing.T) {
	t.Parallel()
	db, err := Create(context.Background(), filepath.Join(t.TempDir(), "d.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, c := range []struct {
		p    *pool
		name string
		want string
	}{
		{db.writer, "journal_mode", "wal"}, {db.writer, "synchronous", "2"}, {db.writer, "foreign_keys", "1"},
		{db.writer, "busy_timeout", "10000"}, {db.writer, "cache_size", "-16384"}, {db.reader, "query_only", "1"},
	} {
		s, err := c.p.begin(t.Context(), "BEGIN", false)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		err = s.conn.query(t.Context(), "PRAGMA "+c.name, nil, func(r *row) error {
			if n, ok := r.number(0); ok {
				got = strconv.FormatInt(n, 10)
				return nil
			}
			got = r.text()
			return nil
		})
		if err != nil || got != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.name, got, err, c.want)
		}
		c.p.rollback(s)
	}
}

// A touch that was stored before touches had an agency is the same when it comes again; one that names an agency is not.
func TestLaterColumnsLeaveDigestsAlone(t *testing.T) {
	t.Parallel()
	var d digester
	touch := &duly.Touch{BorrowerID: "B1", ID: "T1", Channel: duly.ChannelAgent, Outcome: "answered"}
	row := touchTable.args(nil, touch)
	before := d.digest(row[:len(row)-1])
	if got := d.fact(&touchTable, touch); got != before {
		t.Error("the digest of a touch without an agency is not what it was")
	}
	touch.Agency = "agency-1"
	if got := d.fact(&touchTable, touch); got == before {
		t.Error("the agency is not in the digest")
	}
}
