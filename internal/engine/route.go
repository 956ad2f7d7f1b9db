package engine

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/store"
)

// codeFanOut is the reason of contacts that are refused because one person was tried too often within a day.
const codeFanOut = "fan_out"

// routeState is what of routes is not the router's.
type routeState struct {
	spent   bool                       // what was spent before this process began is known
	stopped map[duly.Channel]time.Time // when the log last said that a channel has reached its cap
	away    time.Time                  // up to then those come back that a carrier's rate sent away

	mu      sync.Mutex
	told    time.Time // when this node last told others how its carriers do
	telling string    // and their states then
}

// lanes is how carriers are chosen, by who they are.
func lanes(d Deps) route.Config {
	c := route.Config{Lanes: map[duly.Channel]route.Lane{}, Limits: d.Routes.Limits, Reaches: map[string]func(string) bool{}}
	for ch, list := range d.Carriers {
		l := d.Routes.Lanes[ch]
		l.Carriers = nil
		for _, s := range list {
			l.Carriers = append(l.Carriers, s.Name())
			if some, ok := s.(channel.Reacher); ok {
				c.Reaches[s.Name()] = some.Reaches
			}
		}
		c.Lanes[ch] = l
	}
	return c
}

// learnRoutes has the router know what is pinned, this process's share of rates, and what was spent before it began.
func (e *Engine) learnRoutes(ctx context.Context, now time.Time) error {
	pins, err := e.db.Pins(ctx)
	if err != nil {
		return err
	}
	by := make(map[duly.Channel]route.Pin, len(pins))
	for _, p := range pins {
		by[p.Channel] = route.Pin{Carrier: p.Carrier, Until: p.Until}
	}
	e.router.SetPins(by)
	share := e.holding.State().Buckets
	e.router.SetShare(share)
	if e.routes.spent || share == 0 {
		return nil
	}
	if e.router.Capped() {
		spent, err := e.db.SpentSince(ctx, now.Add(-time.Hour))
		if err != nil {
			return err
		}
		for _, s := range spent {
			e.router.Spent(s.Minute, s.Channel, route.Micros(s.Cost.Micros/duly.Buckets*int64(share)+s.Cost.Micros%duly.Buckets*int64(share)/duly.Buckets))
		}
	}
	e.routes.spent = true
	return nil
}

// refusers returns the carriers that refused contacts which are tried again.
func (e *Engine) refusers(tx *store.Tx, contacts []duly.Contact) (map[duly.ContactID][]string, error) {
	var again []duly.ContactID
	for i := range contacts {
		if c := &contacts[i]; c.Attempts > 0 && len(e.carriers[c.Channel]) > 1 {
			again = append(again, c.ID)
		}
	}
	if len(again) == 0 {
		return nil, nil
	}
	return tx.Refusers(again)
}

// tries counts how often somebody was tried to reach within the day before now, the contact's own tries with them.
func tries(p *duly.Person, c *duly.Contact, now time.Time) int {
	n, from := c.Attempts, now.Add(-24*time.Hour)
	for i := range p.Contacts {
		if o := &p.Contacts[i]; o.ID != c.ID && o.SentAt.After(from) {
			n += o.Attempts
		}
	}
	return n
}

// sendAway postpones a contact that no carrier can have now, or ends it where none ever can.
func (c *claimer) sendAway(contact *duly.Contact, choice route.Choice) {
	if choice.At.IsZero() {
		c.end(contact, duly.Blocked, string(choice.Why))
		return
	}
	if choice.Why == route.WhySpend && c.now.Sub(c.e.routes.stopped[contact.Channel]) >= time.Hour {
		c.e.routes.stopped[contact.Channel] = c.now
		c.e.log.Error("a channel has cost as much in an hour as the configuration allows; it rests until less was spent", "channel", contact.Channel, "until", choice.At)
	}
	if choice.Why == route.WhyRate && choice.At.After(c.e.routes.away) {
		c.e.routes.away = choice.At
	}
	at := choice.At
	if choice.Why == route.WhyResting {
		at = restOver(contact.ID, c.now, at)
	}
	c.postpone(contact, at, string(choice.Why))
}

// Who waits for a carrier that rests is looked at again when the rest is over, but not before restLeast, and then not all at once: each
// look is a write, and there may be as many who wait as there are people.
const (
	restLeast  = 10 * time.Second
	restSpread = time.Minute
)

// restOver is when a contact is looked at again that waits for a carrier to be in order.
func restOver(id duly.ContactID, now, at time.Time) time.Time {
	if least := now.Add(restLeast); at.Before(least) {
		at = least
	}
	h := fnv.New32a()
	h.Write([]byte(id))
	return at.Add(time.Duration(h.Sum32()%uint32(restSpread/time.Second)) * time.Second)
}

// allRest reports whether no channel has a carrier that is in order: then nothing is claimed, and nothing written. What a rate holds
// back counts as in order: who is sent away by that is promised a place.
func (e *Engine) allRest(now time.Time) bool {
	for ch, list := range e.carriers {
		if len(list) == 0 {
			continue
		}
		if c := e.router.Ready(now, ch); c.Index >= 0 || c.Why != route.WhyResting {
			return false
		}
	}
	return true
}

// again is when the next of those may go that a carrier's rate sent away; zero where all are back.
func (e *Engine) again(now time.Time) time.Time {
	if !e.routes.away.After(now) {
		return time.Time{}
	}
	return now.Add(route.Slot)
}

// heed tells the router what a carrier said, and the attempt what it cost.
func (e *Engine) heed(now time.Time, j *job, acc *channel.Accepted, err *channel.Error) {
	a := route.Answer{To: j.to}
	if err != nil {
		a.Class = err.Class
	} else {
		a.Segments, a.Seconds, a.Receipts = acc.Segments, acc.Seconds, j.carrier.Caps().Receipts && !acc.Delivered
	}
	j.attempt.Cost.Micros = int64(e.router.Answered(e.fresh(now), &j.ticket, a))
}
