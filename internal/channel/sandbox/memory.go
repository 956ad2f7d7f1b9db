package sandbox

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
)

// Memory is an Outbox that lasts as long as the process, for tests. It is safe for concurrent use.
type Memory struct {
	mu      sync.Mutex
	kept    []Kept
	index   map[duly.AttemptID]int
	pending []pending // by dueAt, then by attempt and number
	repeats int
}

type pending struct {
	id      duly.AttemptID
	receipt Receipt
}

var _ Outbox = (*Memory)(nil)

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{index: map[duly.AttemptID]int{}} }

// Keep writes down a message. One that was there already is only counted.
func (m *Memory) Keep(_ context.Context, k Kept) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.index[k.Message.AttemptID]; ok {
		m.repeats++
		return nil
	}
	m.index[k.Message.AttemptID] = len(m.kept)
	m.kept = append(m.kept, k)
	for _, r := range k.Receipts {
		p := pending{k.Message.AttemptID, r}
		at, _ := slices.BinarySearchFunc(m.pending, p, pending.compare)
		m.pending = slices.Insert(m.pending, at, p)
	}
	return nil
}

func (p pending) compare(o pending) int {
	return cmp.Or(p.receipt.DueAt.Compare(o.receipt.DueAt), cmp.Compare(p.id, o.id), cmp.Compare(p.receipt.No, o.receipt.No))
}

// DueReceipts takes the receipts that are due: each is returned once.
func (m *Memory) DueReceipts(_ context.Context, now time.Time, limit int) ([]duly.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []duly.Receipt
	for _, p := range m.pending {
		if len(out) >= limit || p.receipt.DueAt.After(now) {
			break
		}
		out = append(out, duly.Receipt{
			AttemptID: p.id, ProviderID: string(p.id), Key: p.receipt.Key, Status: p.receipt.Status, At: p.receipt.At,
		})
	}
	m.pending = slices.Delete(m.pending, 0, len(out))
	return out, nil
}

// Has reports whether the attempt's message is kept.
func (m *Memory) Has(_ context.Context, id duly.AttemptID) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.index[id]
	return ok, nil
}

// Kept returns all messages in the order in which they came.
func (m *Memory) Kept() []Kept {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.kept)
}

// Repeats counts how often a message was handed over that was there already: in a right run, never.
func (m *Memory) Repeats() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.repeats
}
