package store

import (
	"context"
	"time"
)

// KeptCommand is a command that a log has taken and that was not known to be applied when its call was answered.
type KeptCommand struct {
	ID   string
	Part int
	At   Mark // its place in the log
	Kept time.Time
	Data string // personal
}

// KeepCommand keeps a command, or where it was told to the log last.
func (db *DB) KeepCommand(ctx context.Context, k KeptCommand) error {
	return db.Update(ctx, k.Kept, nil, func(tx *Tx) error {
		_, err := tx.exec("INSERT INTO kept_command (id, part, log, seq, at, data) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE "+
			"SET log = excluded.log, seq = excluded.seq", k.ID, int64(k.Part), k.At.Log, k.At.Seq, micros(k.Kept), k.Data)
		return err
	})
}

// KeptCommands returns kept commands behind one, in the order in which they were kept; behind the zero one from the first.
func (db *DB) KeptCommands(ctx context.Context, behind KeptCommand, limit int) (out []KeptCommand, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			out = append(out, KeptCommand{r.text(), r.int(), Mark{r.int64(), r.int64()}, r.time(), r.text()})
			return nil
		}, "SELECT id, part, log, seq, at, data FROM kept_command WHERE (at, id) > ($1, $2) ORDER BY at, id LIMIT $3", micros(behind.Kept), behind.ID, int64(limit))
	})
	return out, err
}

// DropCommand forgets a kept command.
func (db *DB) DropCommand(ctx context.Context, id string) error {
	return db.Update(ctx, time.Time{}, nil, func(tx *Tx) error {
		_, err := tx.exec("DELETE FROM kept_command WHERE id = $1", id)
		return err
	})
}
