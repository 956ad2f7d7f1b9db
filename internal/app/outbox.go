package app

import (
	"context"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/channel/sandbox"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/mappings"

	duly "github.com/dulyhq/duly"
)

// outbox keeps a sandbox's messages in the store.
type outbox struct {
	db      *store.DB
	carrier string
}

var _ sandbox.Outbox = outbox{}

// Keep writes a message and the receipts that will come of it.
func (o outbox) Keep(ctx context.Context, k sandbox.Kept) error {
	m := k.Message
	receipts := make([]store.SandboxReceipt, len(k.Receipts))
	for i, r := range k.Receipts {
		receipts[i] = store.SandboxReceipt{AttemptID: m.AttemptID, No: r.No, Key: r.Key, Status: r.Status, At: r.At, DueAt: r.DueAt}
	}
	message := store.SandboxMessage{AttemptID: m.AttemptID, Channel: m.Channel, To: m.To, Subject: m.Subject, Text: m.Text, SentAt: m.Now}
	_, err := o.db.KeepSandbox(ctx, m.Now, []store.SandboxMessage{message}, receipts)
	return err
}

// DueReceipts returns the receipts that are due.
func (o outbox) DueReceipts(ctx context.Context, now time.Time, limit int) ([]duly.Receipt, error) {
	return o.db.DueSandboxReceipts(ctx, now, o.carrier, limit)
}

// Has reports whether an attempt's message is kept.
func (o outbox) Has(ctx context.Context, id duly.AttemptID) (bool, error) {
	_, found, err := o.db.FindSandboxMessage(ctx, id)
	return found, err
}

// IsPostgres reports whether a store's name means PostgreSQL.
func IsPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// LoadMapping loads a shipped mapping by name, or one of the operator's by path.
func LoadMapping(name string) (*ingest.Mapping, error) {
	src, file, err := readNamed(mappings.FS, name)
	if err != nil {
		return nil, err
	}
	return ingest.LoadMapping(file, src)
}

// Mappings lists the shipped mappings.
func Mappings() ([]string, error) {
	entries, err := mappings.FS.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			out = append(out, name)
		}
	}
	return out, nil
}

// MappingSource returns the text of a shipped mapping.
func MappingSource(name string) ([]byte, error) {
	src, _, err := readNamed(mappings.FS, name)
	return src, err
}
