package engine

import (
	"context"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// PointView is a contact point as lists show it: without the address.
type PointView struct {
	ID       duly.PointID    `json:"id"`
	Kind     duly.PointKind  `json:"kind"`
	Address  string          `json:"address"` // masked
	State    duly.PointState `json:"state"`
	Quality  string          `json:"quality"`
	Rank     int             `json:"rank"`
	Failures int             `json:"failures"`
	SeenAt   time.Time       `json:"seen_at,omitzero"` // when it last showed that it works, as the lender says or as use showed
}

// Points returns the contact points of a borrower, or NotFound.
func (e *Engine) Points(ctx context.Context, id duly.BorrowerID) ([]PointView, error) {
	p, err := e.everythingOf(ctx, id)
	if err != nil {
		return nil, err
	}
	if p.Borrower.ID == "" {
		return nil, duly.Errorf(duly.NotFound, "there is no borrower with this id").WithHint("import the loan book first")
	}
	out := make([]PointView, len(p.Points))
	for i := range p.Points {
		q := &p.Points[i]
		out[i] = PointView{q.ID, q.Kind, q.Kind.Masked(q.Value), q.State, q.State.Quality(), q.Rank, q.Failures, q.LastSeen()}
	}
	return out, nil
}

// SetPoint has a person say what a contact point is. It stands until the lender says something new of it.
func (e *Engine) SetPoint(ctx context.Context, now time.Time, by string, id duly.BorrowerID, point duly.PointID, state duly.PointState) error {
	if !state.Known() {
		return duly.Errorf(duly.Usage, "not a state of a contact point").WithHint("active, good, suspect, bounced, wrong_number, recycled or retired")
	}
	b := id.Bucket()
	err := e.db.Update(ctx, now, []int{b}, func(tx *store.Tx) error {
		points, err := tx.Points(b, []duly.BorrowerID{id})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(points, func(p duly.ContactPoint) bool { return p.ID == point })
		if i < 0 {
			return duly.Errorf(duly.NotFound, "the borrower has no contact point of this id").WithHint("`duly points list BORROWER` shows them")
		}
		p := &points[i]
		if p.State, p.Failures = state, 0; state == duly.PointGood {
			p.SeenAt = tx.Now()
		}
		if err := tx.SetPointUse(p); err != nil {
			return err
		}
		tx.Audit(b, "point", by, string(point), string(state))
		return tx.MarkDirty([]duly.BorrowerID{id})
	})
	if err == nil {
		e.fence.stop(id)
	}
	return err
}

// Unreached is a borrower who owes and has no good contact point: whom the lender should ask for a new address.
type Unreached struct {
	BorrowerID duly.BorrowerID `json:"borrower_id"`
	Quality    string          `json:"quality"` // of the best point there is; none
	Points     int             `json:"points"`
	SeenAt     time.Time       `json:"seen_at,omitzero"` // when any of the points last showed that it works; zero: nobody knows
}

// Unreached lists the borrowers who owe and have no good contact point, those longest not seen first. A quality, where one is
// given, keeps those whose best is that.
func (e *Engine) Unreached(ctx context.Context, quality string, limit int) ([]Unreached, error) {
	var out []Unreached
	for b := range duly.Buckets {
		if !e.holding.Has(b) {
			continue
		}
		err := e.db.View(ctx, func(tx *store.Tx) error {
			owing, err := tx.Owing(b)
			if err != nil || len(owing) == 0 {
				return err
			}
			points, err := tx.Points(b, owing)
			if err != nil {
				return err
			}
			for _, u := range unreached(owing, points) {
				if quality == "" || u.Quality == quality {
					out = append(out, u)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(out, func(a, b Unreached) int { return a.SeenAt.Compare(b.SeenAt) })
	return out[:min(limit, len(out))], nil
}

// unreached picks from borrowers those without a good point.
func unreached(owing []duly.BorrowerID, points []duly.ContactPoint) (out []Unreached) {
	order := duly.PointStates()
	for _, id := range owing {
		u := Unreached{BorrowerID: id, Quality: "none"}
		best := len(order)
		for i := range points {
			p := &points[i]
			if p.BorrowerID != id {
				continue
			}
			u.Points++
			if n := slices.Index(order, p.State); n < best {
				best, u.Quality = n, p.State.Quality()
			}
			if at := p.LastSeen(); at.After(u.SeenAt) {
				u.SeenAt = at
			}
		}
		if u.Quality != duly.PointGood.Quality() {
			out = append(out, u)
		}
	}
	return out
}
