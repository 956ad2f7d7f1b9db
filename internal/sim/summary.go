package sim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

// Summary is what a run left in the store: contacts that went out by step and channel, and how the instalments due in a
// span of days were paid.
type Summary struct {
	Steps  map[string]int // "step channel" → contacts that went out, or may have
	Due    int
	OnTime int // settled by the due day, in the lender's zone
	Late   int
	Open   int
	Hash   string // over every contact's id, state and reason
}

// Summarise reads a store after a run.
func Summarise(ctx context.Context, db *store.DB, loc *time.Location, from, to civil.Date) (Summary, error) {
	s := Summary{Steps: map[string]int{}}
	var lines []string
	for b := range duly.Buckets {
		err := db.View(ctx, func(tx *store.Tx) error {
			contacts, err := tx.BucketContacts(b)
			if err != nil {
				return err
			}
			for i := range contacts {
				c := &contacts[i]
				if c.State.CountsAsSent() {
					s.Steps[c.Step+" "+string(c.Channel)]++
				}
				lines = append(lines, fmt.Sprintf("%s %s %s\n", c.ID, c.State, c.Reason))
			}
			rows, err := tx.BucketInstallments(b, from, to)
			for i := range rows {
				s.count(&rows[i], loc)
			}
			return err
		})
		if err != nil {
			return s, err
		}
	}
	slices.Sort(lines)
	h := sha256.New()
	for _, l := range lines {
		h.Write([]byte(l))
	}
	s.Hash = hex.EncodeToString(h.Sum(nil)[:16])
	return s, nil
}

func (s *Summary) count(in *duly.Installment, loc *time.Location) {
	s.Due++
	switch {
	case in.Open():
		s.Open++
	case civil.In(in.SettledAt, loc).After(in.DueOn):
		s.Late++
	default:
		s.OnTime++
	}
}
