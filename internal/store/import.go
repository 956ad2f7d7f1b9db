package store

import (
	"context"
	"fmt"
)

// Import is how far a file has been read in with a mapping.
type Import struct {
	Hash     string // of the file's content
	Mapping  string // of the mapping's content
	Rows     int64  // applied so far
	Version  int64  // given to facts that have none of their own
	Complete bool
}

// FindImport returns how far a file was read in with a mapping; the zero Import if it never was.
func (db *DB) FindImport(ctx context.Context, hash, mapping string) (im Import, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			im = Import{hash, mapping, r.int64(), r.int64(), r.bool()}
			return nil
		}, "SELECT line_count, version, complete FROM import_run WHERE hash = $1 AND mapping = $2", hash, mapping)
	})
	return im, err
}

// PutImport records how far a file has been read in, in the transaction that applied it. It never goes back.
func (tx *Tx) PutImport(im Import) error {
	_, err := tx.exec("INSERT INTO import_run (hash, mapping, line_count, version, complete, changed_at) VALUES ($1, $2, $3, $4, $5, $6) "+
		"ON CONFLICT (hash, mapping) DO UPDATE SET line_count = excluded.line_count, version = excluded.version, complete = excluded.complete, "+
		"changed_at = excluded.changed_at WHERE excluded.line_count >= import_run.line_count",
		im.Hash, im.Mapping, im.Rows, im.Version, flag(im.Complete), micros(tx.now))
	if err != nil {
		return fmt.Errorf("put import: %w", err)
	}
	return nil
}
