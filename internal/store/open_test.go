package store_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// raw opens the database behind a store's back.
func raw(t *testing.T, kind, dsn string) *sql.DB {
	t.Helper()
	driver := map[string]string{"sqlite": "sqlite", "postgres": "pgx"}[kind]
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func eachDSN(t *testing.T, test func(t *testing.T, kind, dsn string)) {
	for _, kind := range storetest.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, kind, storetest.DSN(t, kind))
		})
	}
}

func create(t *testing.T, dsn string) *store.DB {
	t.Helper()
	db, err := store.Create(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestCreateTwice(t *testing.T) {
	t.Parallel()
	eachDSN(t, func(t *testing.T, kind, dsn string) {
		first := create(t, dsn)
		id := storetest.InBucket(3, 1)[0]
		put(t, first, storetest.Borrower(id))
		for _, open := range []func(context.Context, string) (*store.DB, error){store.Create, store.Open} {
			again, err := open(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			totals, err := again.Totals(t.Context())
			if err != nil || totals.Borrowers != 1 {
				t.Errorf("borrowers: got %d, %v; want 1", totals.Borrowers, err)
			}
			if again.Kind() != kind {
				t.Errorf("kind: got %s, want %s", again.Kind(), kind)
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
			again.Close()
			if err := again.View(t.Context(), func(*store.Tx) error { return nil }); err == nil {
				t.Error("a store that is closed opens a transaction")
			}
			if _, err := again.JoinNode(t.Context(), store.Node{ID: "n"}, time.Minute); err == nil {
				t.Error("a node joins a store that is closed")
			}
		}
	})
}

func put(t *testing.T, db *store.DB, facts ...duly.Fact) {
	t.Helper()
	err := db.Update(t.Context(), storetest.Noon, storetest.Buckets(facts), func(tx *store.Tx) error { _, err := tx.Put(facts); return err })
	if err != nil {
		t.Fatal(err)
	}
}

func TestCreateAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shared.db")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := store.Create(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			db.Close()
		})
	}
	wg.Wait()
}

// An odd path must reach the file that it names, whatever its characters mean in an address.
func TestOddPath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "账 50% ?x=1#y&z.db")
	create(t, path)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty.db")
	junk := filepath.Join(folder, "junk.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(junk, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, dsn string
		want      duly.Code
	}{
		{"no file", filepath.Join(folder, "missing.db"), duly.NotFound},
		{"an empty file", empty, duly.NotFound},
		{"another kind of file", junk, duly.Invalid},
		{"a folder that is not there", filepath.Join(folder, "no", "such.db"), duly.NotFound},
		{"no name", "", duly.NotFound},
		{"memory", ":memory:", duly.NotFound},
		{"an address that is none", "postgres://user:secret@host:notaport/db", duly.Usage},
		{"a server that is not there", "postgres://user:secret@127.0.0.1:1/db?connect_timeout=1", duly.Unavailable},
	} {
		db, err := store.Open(t.Context(), c.dsn)
		if err == nil {
			db.Close()
		}
		if duly.CodeOf(err) != c.want {
			t.Errorf("%s: got %v (%s), want %s", c.name, err, duly.CodeOf(err), c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", c.name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "missing.db")); err == nil {
		t.Error("open made a file")
	}
	if db, err := store.Create(t.Context(), ":memory:"); duly.CodeOf(err) != duly.Usage {
		t.Errorf("create in memory: got %v, want usage", err)
		db.Close()
	}
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	eachDSN(t, func(t *testing.T, kind, dsn string) {
		create(t, dsn).Close()
		if _, err := raw(t, kind, dsn).Exec("INSERT INTO schema_version (version, name) VALUES (9999, 'from the future')"); err != nil {
			t.Fatal(err)
		}
		for name, open := range map[string]func(context.Context, string) (*store.DB, error){"open": store.Open, "create": store.Create} {
			if _, err := open(t.Context(), dsn); duly.CodeOf(err) != duly.Refused {
				t.Errorf("%s: got %v, want refused", name, err)
			}
		}
	})
}

func TestOlderSchema(t *testing.T) {
	t.Parallel()
	eachDSN(t, func(t *testing.T, kind, dsn string) {
		create(t, dsn).Close()
		if _, err := raw(t, kind, dsn).Exec("DELETE FROM schema_version"); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(t.Context(), dsn); duly.CodeOf(err) != duly.NotFound {
			t.Errorf("got %v, want not found", err)
		}
	})
}

// A process that dies leaves what it had committed, and nothing of what it had not.
func TestReopenAfterCrash(t *testing.T) {
	t.Parallel()
	eachDSN(t, func(t *testing.T, kind, dsn string) {
		ids := storetest.InBucket(7, 2)
		dead := create(t, dsn)
		put(t, dead, storetest.Borrower(ids[0]))
		hang, done := make(chan struct{}), make(chan struct{})
		inside := make(chan struct{})
		go func() {
			defer close(done)
			dead.Update(context.WithoutCancel(t.Context()), storetest.Noon, []int{7}, func(tx *store.Tx) error {
				if _, err := tx.Put([]duly.Fact{storetest.Borrower(ids[1])}); err != nil {
					return err
				}
				close(inside)
				<-hang
				return context.Canceled
			})
		}()
		<-inside
		alive, err := store.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer alive.Close()
		var got []duly.Person
		err = alive.View(t.Context(), func(tx *store.Tx) (err error) { got, err = tx.Persons(7, ids, storetest.Noon); return err })
		if err != nil || len(got) != 1 || got[0].Borrower.ID != ids[0] {
			t.Errorf("persons: got %d, %v; want the one that was committed", len(got), err)
		}
		close(hang)
		<-done
		put(t, alive, storetest.Borrower(ids[1]))
	})
}

// TestTampering alters the record behind the store's back in every way there is.
func TestTampering(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, sql string
		want      audit.Break
	}{
		{"nothing", "", audit.Break{}},
		{"a word changed", "UPDATE audit SET actor = 'somebody' WHERE bucket = 5 AND seq = 2", audit.Break{Bucket: 5, Seq: 2, Fault: audit.Altered}},
		{"a detail changed", "UPDATE audit SET detail = '{}' WHERE bucket = 5 AND seq = 1", audit.Break{Bucket: 5, Seq: 1, Fault: audit.Altered}},
		{"a time changed", "UPDATE audit SET at = at + 1 WHERE bucket = 5 AND seq = 3", audit.Break{Bucket: 5, Seq: 3, Fault: audit.Altered}},
		{"a hash changed", "UPDATE audit SET hash = 'x' WHERE bucket = 5 AND seq = 3", audit.Break{Bucket: 5, Seq: 3, Fault: audit.Altered}},
		{"one dropped", "DELETE FROM audit WHERE bucket = 5 AND seq = 2", audit.Break{Bucket: 5, Seq: 2, Fault: audit.Missing}},
		{"the last dropped", "DELETE FROM audit WHERE bucket = 5 AND seq = 3", audit.Break{Bucket: 5, Seq: 3, Fault: audit.Missing}},
		{"all dropped", "DELETE FROM audit WHERE bucket = 5", audit.Break{Bucket: 5, Seq: 1, Fault: audit.Missing}},
		{"one moved away", "UPDATE audit SET bucket = 6 WHERE bucket = 5 AND seq = 1", audit.Break{Bucket: 5, Seq: 1, Fault: audit.Missing}},
		{"the head moved", "UPDATE bucket SET audit_seq = 2 WHERE bucket = 5", audit.Break{Bucket: 5, Seq: 3, Fault: audit.Added}},
		{"the head's hash changed", "UPDATE bucket SET audit_hash = 'x' WHERE bucket = 5", audit.Break{Bucket: 5, Seq: 3, Fault: audit.Altered}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := storetest.DSN(t, "sqlite")
			db := create(t, path)
			for i := range 3 {
				err := db.Update(t.Context(), storetest.Noon, []int{5}, func(tx *store.Tx) error { tx.Audit(5, "facts", "test", "", i); return nil })
				if err != nil {
					t.Fatal(err)
				}
			}
			if c.sql != "" {
				if _, err := raw(t, "sqlite", path).Exec(c.sql); err != nil {
					t.Fatal(err)
				}
			}
			r, err := db.AuditVerify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if c.sql == "" {
				if len(r.Breaks) != 0 || r.Entries != 3 {
					t.Errorf("got %+v, want 3 entries that hold", r)
				}
				return
			}
			if len(r.Breaks) == 0 {
				t.Fatalf("got none, want %v", &c.want)
			}
			if got := *r.Breaks[0]; got.Bucket != c.want.Bucket || got.Seq != c.want.Seq || got.Fault != c.want.Fault {
				t.Fatalf("got %v, want %v", &got, &c.want)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var all []int
		for b := range 300 {
			all = append(all, b)
		}
		next := 0
		for _, g := range db.Groups(all) {
			for _, b := range g {
				if b != next {
					t.Fatalf("got bucket %d, want %d", b, next)
				}
				next++
			}
		}
		if next != 300 || len(db.Groups(nil)) != 0 {
			t.Errorf("got %d of 300 buckets", next)
		}
	})
}

// The address of a Postgres may say how many connections are opened, and how long the server tries; leases have
// connections of their own, so that they are renewed while everything else waits.
func TestPoolOfAddress(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t, "postgres")
	if !strings.Contains(dsn, "?") {
		dsn += "?"
	}
	for _, wrong := range []string{"0", "1", "many", "1000000"} {
		if db, err := store.Open(t.Context(), dsn+"&pool="+wrong); duly.CodeOf(err) != duly.Usage {
			t.Errorf("pool=%s: got %v, want usage", wrong, err)
			db.Close()
		}
	}
	db, err := store.Open(t.Context(), dsn+"&pool=2&statement_timeout=5s")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	busy, release := make(chan struct{}, 2), make(chan struct{})
	var wg sync.WaitGroup
	for b := range 2 {
		wg.Go(func() {
			err := db.Update(t.Context(), storetest.Noon, []int{b}, func(*store.Tx) error { busy <- struct{}{}; <-release; return nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	<-busy
	<-busy
	if _, err := db.JoinNode(t.Context(), store.Node{ID: "n"}, time.Minute); err != nil {
		t.Errorf("while the pool is used up: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := db.FeedAt(ctx, "payments"); err == nil {
		t.Error("a third connection was opened: the pool is not bounded")
	}
	close(release)
	wg.Wait()
}

// A Postgres server that does not answer is given up in time, and so is the connection: whether one statement was asked, many
// in one round trip, or rows are copied.
func TestNoAnswerIsBounded(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t, "postgres")
	created := create(t, dsn)
	ids := storetest.InBucket(7, 300)
	put(t, created, storetest.Borrower(ids[0]))
	if !strings.Contains(dsn, "?") {
		dsn += "?"
	}
	db, err := store.Open(t.Context(), dsn+"&pool=2")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	store.SetLimit(db, 200*time.Millisecond)
	var facts []duly.Fact
	for _, id := range ids {
		facts = append(facts, storetest.Borrower(id))
	}
	silent := raw(t, "postgres", dsn)
	for _, c := range []struct {
		name, lock string
		run        func() error
	}{
		{"one statement", "bucket IN ACCESS EXCLUSIVE MODE", func() error {
			return db.Update(t.Context(), storetest.Noon, []int{7}, func(*store.Tx) error { return nil })
		}},
		{"many in a round trip", "loan IN ACCESS EXCLUSIVE MODE", func() error {
			return db.View(t.Context(), func(tx *store.Tx) error { _, err := tx.PersonsOf(ids[:1], store.Since{}); return err })
		}},
		{"a copy", "borrower IN EXCLUSIVE MODE", func() error {
			return db.Update(t.Context(), storetest.Noon, []int{7}, func(tx *store.Tx) error { _, err := tx.Put(facts); return err })
		}},
	} {
		hold, err := silent.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hold.ExecContext(t.Context(), "LOCK TABLE "+c.lock); err != nil {
			t.Fatal(err)
		}
		for range 3 { // more often than there are connections
			began := time.Now()
			if err := c.run(); duly.CodeOf(err) != duly.Unavailable {
				t.Errorf("%s: got %v, want unavailable", c.name, err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s: took %s", c.name, took)
			}
		}
		if err := hold.Rollback(); err != nil {
			t.Fatal(err)
		}
		store.SetLimit(db, time.Minute)
		if err := c.run(); err != nil {
			t.Errorf("%s, once it answers: %v", c.name, err)
		}
		store.SetLimit(db, 200*time.Millisecond)
	}
}

// TestPartsLast: a part does not wait for the disk, and whatever is committed after it does again.
func TestPartsLast(t *testing.T) {
	t.Parallel()
	eachDSN(t, func(t *testing.T, kind, dsn string) {
		db := create(t, dsn)
		query, part, whole := "SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous", "1", "2"
		if kind == "postgres" {
			query, part, whole = "SHOW synchronous_commit", "off", "on"
			db = create(t, dsn+"&synchronous_commit=on") // the server of the tests is hasty
		}
		updates := map[bool]func(context.Context, time.Time, []int, func(*store.Tx) error) error{false: db.Update, true: db.UpdatePart}
		for i, inPart := range []bool{false, true, true, false, true, false} {
			id := storetest.InBucket(3, 6)[i]
			want := whole
			if inPart {
				want = part
			}
			err := updates[inPart](t.Context(), time.Unix(1, 0), []int{3}, func(tx *store.Tx) error {
				if got, err := store.Setting(tx, query); err != nil || got != want {
					t.Errorf("transaction %d: got %q, %v, want %q", i, got, err, want)
				}
				_, err := tx.Put([]duly.Fact{storetest.Borrower(id)})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if n, err := db.People(t.Context()); err != nil || n != 6 {
			t.Errorf("people: got %d, %v, want 6", n, err)
		}
	})
}
