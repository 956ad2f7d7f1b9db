package app_test

import (
	"database/sql"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx", to play the full disk

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// filler makes a store's disk full, and gives space back.
type filler struct {
	fill, free func() error
	say        string // what the log calls it
}

// fillers of each engine: SQLite gets no more pages; PostgreSQL answers as it does when it cannot extend a table's file.
func newFiller(t *testing.T, kind, dsn string, a *app.App) filler {
	t.Helper()
	if kind == "sqlite" {
		return filler{
			fill: func() error { return a.DB.LimitPages(t.Context(), 1) },
			free: func() error { return a.DB.LimitPages(t.Context(), 0) },
			say:  "the disk is full",
		}
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	run := func(text string) func() error {
		return func() error { _, err := db.ExecContext(t.Context(), text); return err }
	}
	err = run(`CREATE FUNCTION no_space() RETURNS trigger AS $$ BEGIN
		RAISE EXCEPTION 'could not extend file "base/16384/16500": No space left on device' USING ERRCODE = '53100'; END $$ LANGUAGE plpgsql`)()
	if err != nil {
		t.Fatal(err)
	}
	return filler{
		fill: run(`CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON attempt FOR EACH ROW EXECUTE FUNCTION no_space();
			CREATE TRIGGER no_space BEFORE INSERT ON borrower FOR EACH ROW EXECUTE FUNCTION no_space()`),
		free: run(`DROP TRIGGER no_space ON attempt; DROP TRIGGER no_space ON borrower`),
		say:  "the disk of the database server is full",
	}
}

// The disk gets full while messages go out: what had been claimed is finished, nothing more begins, the log says why in one
// line, a call that posts facts is told. Once there is space again everyone is reached, once, and nothing is in doubt.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	const persons = 600
	for _, kind := range storetest.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dsn := storetest.DSN(t, kind)
			sink, now, log := newTally(t, 5*time.Millisecond), time.Now(), &journal{}
			c := outageConfig(t, now, dsn, sink)
			c.Node.Lease = app.Duration(20 * time.Second) // a slow disk is none that is full
			a, err := app.New(t.Context(), c, app.Options{Log: log.log(), Create: true})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			disk := newFiller(t, kind, dsn, a)
			url, stop, wait := serve(t, a)
			firstStep(t, url)
			post(t, url+"/v1/events", people(persons, c.Lender.Timezone, now, a.Location))
			until(t, "the first messages", func() bool { return sink.n.Load() >= 30 })
			if err := disk.fill(); err != nil {
				t.Fatal(err)
			}
			until(t, "the line in the log", func() bool {
				return log.count(`msg="the store does not answer: sending pauses until it does" error=`) == 1
			})
			before := int64(-1)
			until(t, "an end of what was on its way", func() bool { // no more in several ticks
				n := sink.n.Load()
				still := n == before
				before = n
				time.Sleep(200 * time.Millisecond)
				return still
			})
			if before >= persons {
				t.Fatal("everyone was reached before the disk was full: the test tests nothing")
			}
			if log.count(disk.say) == 0 { // the claim and an answer may have failed of it, in one line
				t.Errorf("the log does not say that %s:\n%s", disk.say, log.b.String())
			}
			if code, _ := health(t, url); code != http.StatusServiceUnavailable {
				t.Errorf("/healthz: got %d, want 503", code)
			}
			more := strings.ReplaceAll(people(2000, c.Lender.Timezone, now, a.Location), `"B`, `"X`)
			res, err := http.Post(url+"/v1/events", "application/json", strings.NewReader(strings.ReplaceAll(more, `"L`, `"Y`)))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), disk.say) {
				t.Errorf("facts that do not fit: got %d %s, want 503 and why", res.StatusCode, body)
			}

			if err := disk.free(); err != nil {
				t.Fatal(err)
			}
			var counts map[duly.ContactState]int
			until(t, "every answer", func() bool {
				counts, err = a.DB.CountContacts(t.Context())
				return err == nil && counts[duly.Accepted] == persons || counts[duly.InDoubt]+counts[duly.Failed] > 0
			})
			if counts[duly.Accepted] != persons || len(counts) != 1 {
				t.Errorf("got %v, want %d accepted and nothing else", counts, persons)
			}
			sink.mu.Lock()
			for id, n := range sink.seen {
				if n != 1 {
					t.Errorf("%s was sent %d times", id, n)
				}
			}
			sink.mu.Unlock()
			until(t, "the end of it in the log", func() bool { return log.count("the store answers again") == 1 })
			if n := log.count(`msg="the store does not answer`); n != 1 {
				t.Errorf("the log says %d times that the store does not answer, want once:\n%s", n, log.b.String())
			}
			stop()
			if err := wait(); err != nil {
				t.Errorf("Serve: %v", err)
			}
			if r, err := a.DB.AuditVerify(t.Context()); err != nil || len(r.Breaks) != 0 {
				t.Errorf("audit: got %v, %v; want no break", r.Breaks, err)
			}
		})
	}
}
