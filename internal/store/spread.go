package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	duly "github.com/dulyhq/duly"
)

// A store is spread where the rows of one table lie in several places by their bucket: in partitions of one server, or on
// the servers of a Citus cluster. There every statement about people names one bucket, as a value and not as a column of
// the rows it brings, so that it is sent to one place and looks into one partition; and a transaction holds one bucket,
// except that of an import. The texts are the same; only batches and the lock of the buckets are cut by bucket.

// partitionsMax bounds how many partitions a table has: 1,024 buckets fill so many evenly, and a server that plans a
// statement looks at each.
const partitionsMax = 128

// CreatePartitioned is [Create] for a Postgres store whose tables of people's data are each cut into partitions by a hash
// of their bucket. The number is that of the store for good: another one is refused, none (0) takes what is there.
func CreatePartitioned(ctx context.Context, dsn string, partitions int) (*DB, error) {
	if partitions != 0 && !isPostgres(dsn) {
		return nil, duly.Errorf(duly.Usage, "a SQLite store has no partitions").WithHint("leave them out, or use a Postgres store")
	}
	if partitions < 0 || partitions == 1 || partitions > partitionsMax {
		return nil, duly.Errorf(duly.Usage, "a store has from 2 to %d partitions, or none", partitionsMax).WithHint("16 is a good number")
	}
	db, err := connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	if err := db.migratePartitioned(ctx, partitions); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func (db *DB) migratePartitioned(ctx context.Context, partitions int) error {
	applied, err := schemaVersions(ctx, db.d, db.writer.db)
	if err != nil {
		return db.d.explain(fmt.Errorf("read the schema's version: %w", err))
	}
	if db.partitions = partitions; len(applied) > 0 && partitions != 0 {
		have, err := db.partitionCount(ctx, db.writer.db)
		if err != nil {
			return db.d.explain(fmt.Errorf("count partitions: %w", err))
		}
		if have != partitions {
			return duly.Errorf(duly.Refused, "the store has %d partitions to a table, and that cannot be changed", have).
				WithHint("leave --partitions out, or move the data to a new store")
		}
	}
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	return db.learnSpread(ctx)
}

// partitionCount counts the partitions that the tables of people's data have.
func (db *DB) partitionCount(ctx context.Context, q rowQuerier) (n int, err error) {
	if db.d.partitions == "" {
		return 0, nil
	}
	return n, q.QueryRowContext(ctx, db.d.partitions).Scan(&n)
}

// learnSpread finds out whether the store is spread.
func (db *DB) learnSpread(ctx context.Context) error {
	if db.d.spread == "" {
		return nil
	}
	n := 0
	if err := db.writer.db.QueryRowContext(ctx, db.d.spread).Scan(&n); err != nil {
		return db.d.explain(fmt.Errorf("look how the tables are spread: %w", err))
	}
	db.spread = n > 0
	return nil
}

// inPartitions makes of a CREATE TABLE the statements for a table in partitions, and of one that sets how a table is stored
// those for its partitions, which have it each. The rule: a table whose key is bucket and more is about people and is cut;
// every other stays whole.
func inPartitions(stmt string, partitions int, cut map[string]bool) []string {
	name, isTable := strings.CutPrefix(stmt, "CREATE TABLE ")
	name, rest, _ := strings.Cut(strings.TrimPrefix(name, "ALTER TABLE "), " ")
	var out []string
	switch {
	case partitions == 0 || !cut[name]:
		return []string{stmt}
	case isTable:
		out = append(out, stmt+" PARTITION BY HASH (bucket)")
		for i := range partitions {
			out = append(out, fmt.Sprintf("CREATE TABLE %s_p%02d PARTITION OF %s FOR VALUES WITH (MODULUS %d, REMAINDER %d)", name, i, name, partitions, i))
		}
	case isSetting(stmt):
		for i := range partitions {
			out = append(out, fmt.Sprintf("ALTER TABLE %s_p%02d %s", name, i, rest))
		}
	default:
		return []string{stmt}
	}
	return out
}

// cutTables returns the tables about people.
func cutTables(all []step) map[string]bool {
	out := map[string]bool{}
	for i := range all {
		for _, stmt := range all[i].statements() {
			if name, ok := strings.CutPrefix(stmt, "CREATE TABLE "); ok && strings.Contains(stmt, "PRIMARY KEY (bucket, ") {
				name, _, _ = strings.Cut(name, " ")
				out[name] = true
			}
		}
	}
	return out
}

// isSetting reports whether a statement only says how Postgres is to store a table.
func isSetting(stmt string) bool {
	return strings.HasPrefix(stmt, "ALTER TABLE ") && strings.Contains(stmt, " SET (")
}

// lockEach is lock with a statement per bucket: a locking read over several places is not one that a cluster can do.
func (tx *Tx) lockEach() error {
	for _, bucket := range tx.order {
		err := tx.query(func(r *row) error {
			b, state := scanBucket(r)
			tx.buckets[b] = &state
			return nil
		}, "SELECT "+bucketCols+" FROM bucket WHERE bucket = $1 @lock", int64(bucket))
		if err != nil {
			return err
		}
	}
	return nil
}

// rowsByBucket runs b with a statement per bucket, in the order in which the buckets first come. The rows of one bucket
// keep their order.
func (tx *Tx) rowsByBucket(b *batch, args []any) (int64, error) {
	var order []int64
	byBucket := map[int64][]any{}
	for cells := range slices.Chunk(args, b.cols) {
		bucket, ok := cells[0].(int64)
		if !ok {
			return 0, fmt.Errorf("the first column of a row is %T, want its bucket", cells[0])
		}
		if byBucket[bucket] == nil {
			order = append(order, bucket)
		}
		byBucket[bucket] = append(byBucket[bucket], cells[1:]...)
	}
	var total int64
	for _, bucket := range order {
		for part := range slices.Chunk(byBucket[bucket], tx.db.d.rowsMax*(b.cols-1)) {
			columns, err := transpose(part, b.cols-1)
			if err != nil {
				return total, err
			}
			n, err := tx.exec(tx.db.bucketText(b, columns), slices.Insert(columns, 0, any(bucket))...)
			if err != nil {
				return total, err
			}
			total += n
		}
	}
	return total, nil
}

// bucketText is columnText with the bucket as $1.
func (db *DB) bucketText(b *batch, columns []any) string {
	return db.made(textKey{b, true}, func() string {
		var arrays, names strings.Builder
		for i, c := range columns {
			n := strconv.Itoa(i + 2)
			arrays.WriteString(", $" + n + arrayType(c))
			names.WriteString(", column" + n)
		}
		return b.head + "SELECT $1::integer AS column1, u.* FROM unnest(" + arrays.String()[2:] + ") AS u (" + names.String()[2:] + ")" +
			strings.Replace(b.tail, "bucket = v.column1", "bucket = $1::integer", 1)
	})
}
