// Package migration holds the numbered SQL files that make and change the store's tables, oldest first.
//
// A file is named NNNN_what.sql; it only ever goes forward and is never edited once released. Statements end with a
// semicolon at the end of a line. One text serves both engines; WITHOUT ROWID, which only SQLite knows, is left out for
// Postgres, and ALTER TABLE … SET (…), which only Postgres knows, for SQLite. The rule of the tables: the key of everything
// about a person starts with bucket, and nothing refers across buckets.
package migration

import "embed"

// Files are the SQL files.
//
//go:embed *.sql
var Files embed.FS
