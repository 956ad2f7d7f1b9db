package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/store"
)

// CarriersReport is how the carriers do. Each process finds out for itself; Nodes is what each that sends said last.
type CarriersReport struct {
	Carriers []route.Report `json:"carriers"` // as this process knows them
	Pins     []store.Pin    `json:"pins"`
	Nodes    []NodeCarriers `json:"nodes"`
	Parked   int            `json:"receipts_parked"`   // receipts that name no attempt that is known, and are looked for
	GivenUp  int            `json:"receipts_given_up"` // and that are no longer looked for
}

// NodeCarriers is what a node said last.
type NodeCarriers struct {
	Node     string         `json:"node"`
	At       time.Time      `json:"at"`
	Carriers []route.Report `json:"carriers"`
}

// Carriers reports how the carriers do.
func (e *Engine) Carriers(ctx context.Context, now time.Time) (r CarriersReport, err error) {
	r = CarriersReport{Carriers: e.router.Report(now), Pins: []store.Pin{}, Nodes: []NodeCarriers{}}
	pins, err := e.db.Pins(ctx)
	if err != nil {
		return r, err
	}
	for _, p := range pins {
		if p.Until.IsZero() || p.Until.After(now) {
			r.Pins = append(r.Pins, p)
		}
	}
	said, err := e.db.CarrierReports(ctx)
	if err != nil {
		return r, err
	}
	for _, s := range said {
		n := NodeCarriers{Node: s.Node, At: s.At}
		if err := json.Unmarshal([]byte(s.Report), &n.Carriers); err != nil {
			return r, fmt.Errorf("what node %s said of its carriers: %w", s.Node, err)
		}
		r.Nodes = append(r.Nodes, n)
	}
	r.Parked, r.GivenUp, err = e.db.CountOrphans(ctx)
	return r, err
}

// RouteReports is how the carriers do, as this process knows them.
func (e *Engine) RouteReports(now time.Time) []route.Report { return e.router.Report(now) }

// tellEvery is how long what a node said of its carriers stays true enough while none of them changes its state.
const tellEvery = 30 * time.Second

// tellCarriers leaves word of how this node's carriers do, for people: whenever one changed, and now and then.
func (e *Engine) tellCarriers(ctx context.Context, now time.Time) error {
	if e.holding == nil {
		return nil
	}
	all := e.router.Report(now)
	var states strings.Builder
	for i := range all {
		fmt.Fprint(&states, all[i].State, all[i].Why, all[i].Pinned, all[i].Stopped, ";")
	}
	s := &e.routes
	s.mu.Lock()
	due := states.String() != s.telling || now.Sub(s.told) >= tellEvery
	if due {
		s.told, s.telling = now, states.String()
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	b, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("tell of carriers: %w", err)
	}
	return e.db.PutCarrierReport(ctx, now, e.holding.State().Node, string(b))
}

// Pin has all messages of a channel go to one carrier, at every node, however it does: until an instant, or until it is taken
// away. The audit keeps who said so.
func (e *Engine) Pin(ctx context.Context, now time.Time, p store.Pin) error {
	if err := plainBy(p.By); err != nil {
		return err
	}
	if !e.router.Has(p.Channel, p.Carrier) {
		var names []string
		for _, s := range e.carriers[p.Channel] {
			names = append(names, s.Name())
		}
		if len(names) == 0 {
			return duly.Errorf(duly.NotFound, "channel %q has no carrier", string(p.Channel)).At(duly.Place{Field: "channel"}).WithHint("`duly carriers` lists the channels of each")
		}
		return duly.Errorf(duly.NotFound, "channel %s has no carrier of this name", p.Channel).At(duly.Place{Field: "carrier"}).WithHint("its carriers are %s", strings.Join(names, ", "))
	}
	if !p.Until.IsZero() && !p.Until.After(now) {
		return duly.Errorf(duly.Usage, "the pin would be over already").At(duly.Place{Field: "until"}).WithHint("leave until out to pin until it is taken away")
	}
	return e.pinned(ctx, now, func(tx *store.Tx, bucket int) error {
		tx.Audit(bucket, "carrier_pinned", "person:"+p.By, string(p.Channel), map[string]any{"carrier": p.Carrier, "until": p.Until})
		return tx.PutPin(&p)
	})
}

// Unpin takes a channel's pin away.
func (e *Engine) Unpin(ctx context.Context, now time.Time, ch duly.Channel, by string) error {
	if err := plainBy(by); err != nil {
		return err
	}
	return e.pinned(ctx, now, func(tx *store.Tx, bucket int) error {
		was, err := tx.DropPin(ch)
		if err == nil && !was {
			err = duly.Errorf(duly.NotFound, "channel %q is not pinned", string(ch)).WithHint("`duly carriers` shows what is")
		}
		tx.Audit(bucket, "carrier_unpinned", "person:"+by, string(ch), nil)
		return err
	})
}

// pinned runs fn in a transaction with the first bucket of the store, in whose audit it is.
func (e *Engine) pinned(ctx context.Context, now time.Time, fn func(tx *store.Tx, bucket int) error) error {
	works := e.holding.Works()
	if len(works) == 0 {
		return duly.Errorf(duly.Refused, "this store has no people, and so nothing to send")
	}
	bucket := slices.Min(works)
	return e.db.Update(ctx, now, []int{bucket}, func(tx *store.Tx) error { return fn(tx, bucket) })
}

// plainBy checks who says something.
func plainBy(by string) error {
	if strings.TrimSpace(by) == "" || !utf8.ValidString(by) || utf8.RuneCountInString(by) > byMax || strings.ContainsFunc(by, unicode.IsControl) {
		return duly.Errorf(duly.Usage, "who says so is not a line of 1 to %d characters", byMax).At(duly.Place{Field: "by"})
	}
	return nil
}
