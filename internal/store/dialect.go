package store

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	driver "modernc.org/sqlite"
	"zombiezen.com/go/sqlite"

	duly "github.com/dulyhq/duly"
)

// dialect is all that differs between the engines. The SQL text elsewhere is one; it marks the forms that it cannot share
// with words of its own: "@ids($n)" after a column means "is one of this list", "@lock" locks the rows read, "@skip" those
// of them that nobody else holds, "@share" those of l against changes alone, "@brief" among the columns has the server end
// the transaction soon if it does nothing; "@insert" and "@update" need not be undone alone when they fail, because the
// transaction is: SQLite then keeps no journal of the statement, which costs a third of its time.
type dialect struct {
	name        string
	words       *strings.Replacer  // of statements
	ddl         *strings.Replacer  // of migrations
	list        func([]string) any // a list of texts as an argument
	numbers     func([]int) any    // a list of numbers as an argument
	beginView   string
	beginUpdate string
	rowsMax     int                                   // rows that are gathered for one statement
	across      func(text string) string              // see Tx.ask; nil where each bucket is asked for itself
	groupMax    int                                   // see DB.Groups
	hasSchema   string                                // counts the table schema_version
	clock       string                                // the engine's clock, in microseconds
	limit       time.Duration                         // of one statement as this side waits for it; 0 where the engine is in the process
	partitions  string                                // counts the partitions of a table of people's data; "" where there are none
	spread      string                                // more than 0 where the rows of a table lie in several places; "" where they never do
	exclusive   string                                // keeps other migrations out until commit; "" where BEGIN does
	again       func(error) bool                      // the transaction may work if tried again
	cause       func(error) (string, duly.Code, bool) // what the engine's error means to a person
}

var sqliteDialect = dialect{
	name: "sqlite",
	words: strings.NewReplacer(
		"@ids($1)", "IN (SELECT value FROM json_each(?1))", "@ids($2)", "IN (SELECT value FROM json_each(?2))",
		" @lock", "", " @skip", "", " @share", "", " @brief", "", "@insert", "INSERT OR FAIL", "@update", "UPDATE OR FAIL",
		"$1", "?1", "$2", "?2", "$3", "?3", "$4", "?4", "$5", "?5", "$6", "?6", "$7", "?7", "$8", "?8", "$9", "?9", // $1 would be a name
	),
	ddl:         strings.NewReplacer(),
	list:        func(ids []string) any { b, _ := json.Marshal(ids); return string(b) },
	numbers:     func(ns []int) any { b, _ := json.Marshal(ns); return string(b) },
	beginView:   "BEGIN",
	beginUpdate: "BEGIN IMMEDIATE",
	rowsMax:     256,
	groupMax:    128,
	hasSchema:   "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'",
	clock:       "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
	again: func(err error) bool {
		code := sqlite.ErrCode(err).ToPrimary()
		return code == sqlite.ResultBusy || code == sqlite.ResultLocked
	},
	cause: sqliteCause,
}

var postgresDialect = dialect{
	name: "postgres",
	words: strings.NewReplacer("@ids($1)", "= ANY($1)", "@ids($2)", "= ANY($2)", "@lock", "FOR UPDATE",
		"@skip", "FOR UPDATE SKIP LOCKED", "@share", "FOR SHARE OF l",
		"@brief", ", set_config('idle_in_transaction_session_timeout', '"+leaseLimit+"', true)",
		"@insert", "INSERT", "@update", "UPDATE"),
	// Texts compare by bytes, as in SQLite and in Go: rows come in the same order from both engines.
	ddl:  strings.NewReplacer(" WITHOUT ROWID", "", " TEXT NOT NULL", ` TEXT COLLATE "C" NOT NULL`),
	list: func(ids []string) any { return ids },
	numbers: func(ns []int) any {
		out := make([]int32, len(ns))
		for i, n := range ns {
			out[i] = int32(n)
		}
		return out
	},
	beginView:   "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
	beginUpdate: "BEGIN",
	rowsMax:     8192,
	across:      postgresAcross,
	groupMax:    64,
	hasSchema:   "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'schema_version'",
	clock:       "(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::BIGINT",
	limit:       answerLimit,
	// A migration of a large table may take as long as it takes, but does not wait for locks with everyone queued behind it.
	exclusive:  "SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(4941562); SET LOCAL lock_timeout = '" + migrateLock + "'",
	partitions: "SELECT COUNT(*) FROM pg_inherits WHERE inhparent = to_regclass('borrower')",
	spread: "SELECT (to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL)::int + " + // Citus
		"(SELECT COUNT(*) FROM pg_inherits WHERE inhparent = to_regclass('borrower'))",
	again: func(err error) bool {
		e, ok := errors.AsType[*pgconn.PgError](err)
		// serialization_failure, deadlock_detected, lock_not_available
		return ok && (e.Code == "40001" || e.Code == "40P01" || e.Code == "55P03")
	},
	cause: postgresCause,
}

func sqliteCause(err error) (string, duly.Code, bool) {
	code := sqlite.ErrCode(err)
	if e, ok := errors.AsType[*driver.Error](err); ok { // of a migration
		code = sqlite.ResultCode(e.Code())
	}
	switch code.ToPrimary() {
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return "another process is writing to the store", duly.Unavailable, true
	case sqlite.ResultFull:
		return "the disk is full", duly.Unavailable, true
	case sqlite.ResultReadOnly, sqlite.ResultPerm, sqlite.ResultCantOpen:
		return "the file cannot be opened for writing", duly.Unavailable, true
	case sqlite.ResultNotADB, sqlite.ResultCorrupt:
		return "the file is no SQLite database, or is damaged", duly.Invalid, true
	case sqlite.ResultIOErr:
		return "the disk cannot be read or written", duly.Unavailable, true
	}
	return "", "", false
}

func postgresCause(err error) (string, duly.Code, bool) {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
			return "the database server does not answer", duly.Unavailable, true
		}
		if lost(err) {
			return "the connection to the database server was lost", duly.Unavailable, true
		}
		return "", "", false
	}
	switch {
	case e.Code == "40001" || e.Code == "40P01" || e.Code == "55P03":
		return "another process holds what this one needs", duly.Unavailable, true
	case e.Code == "57014":
		return "the database server took too long", duly.Unavailable, true
	case strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "57P") || e.Code == "25P03":
		return "the connection to the database server was lost", duly.Unavailable, true
	case e.Code == "53100":
		return "the disk of the database server is full", duly.Unavailable, true
	case strings.HasPrefix(e.Code, "53"):
		return "the database server is out of resources", duly.Unavailable, true
	case strings.HasPrefix(e.Code, "28") || e.Code == "3D000" || e.Code == "42501":
		return "the database refuses this user, or does not exist", duly.Refused, true
	case e.Code == "22021" || e.Code == "22P05":
		return "a text holds bytes that are not UTF-8", duly.Invalid, true
	}
	return "", "", false
}

// lost reports whether an error is that of a connection that broke or would not answer.
func lost(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return !errors.Is(err, context.Canceled) && (network || pgconn.SafeToRetry(err) || pgconn.Timeout(err) || errors.Is(err, sqldriver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errNoAnswer))
}

// cause says in words what an engine's error means, without the values that its own text may quote.
func cause(err error) (string, duly.Code) {
	if errors.Is(err, context.DeadlineExceeded) {
		return "it does not answer in time", duly.Unavailable
	}
	for _, d := range []*dialect{&sqliteDialect, &postgresDialect} {
		if s, code, ok := d.cause(err); ok {
			return s, code
		}
	}
	return "it refuses", duly.Unavailable
}

// explain makes of an engine's error one that a person may see, where it has a meaning for a person.
func (d *dialect) explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*duly.Error](err); ok {
		return err
	}
	if s, code, ok := d.cause(err); ok {
		return errors.Join(duly.Errorf(code, "%s", s).WithHint("try again; if it stays, look at the store"), err)
	}
	return err
}
