package plan

import (
	"hash/fnv"
	"sync"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/strategy"
)

// fallbackWait is how long after its time a next rung may still start. After a longer outage it is dropped.
const fallbackWait = 24 * time.Hour

// noTime is the instant that is none.
var noTime time.Time

// zones remembers time zones by name, as package time reads a file for each. There are about 600 and no other name is kept.
var zones sync.Map

func zone(name string) *time.Location {
	if loc, ok := zones.Load(name); ok {
		return loc.(*time.Location)
	}
	if name == "" || name == "Local" {
		return nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	zones.Store(name, loc)
	return loc
}

// where returns the borrower's zones; the lender's if they are not known, and then the gate blocks.
func (pl *planner) where() []*time.Location {
	if pl.places == nil {
		for i := range pl.p.Borrower.Zones {
			if loc := zone(pl.p.Borrower.Zones[i].Name); loc != nil {
				pl.places = append(pl.places, loc)
			}
		}
		if len(pl.places) == 0 {
			pl.places = append(pl.places, pl.Location)
		}
	}
	return pl.places
}

// hours returns when a step's window opens on a day in every zone of the borrower's, the spread included, and when it
// closes in the first of them. It is empty where the zones are too far apart.
func (pl *planner) hours(st *strategy.Step, day civil.Date) (opening, end time.Time) {
	for i, loc := range pl.where() {
		from, to := day.At(st.From, loc), day.At(st.To, loc)
		if i == 0 || from.After(opening) {
			opening = from
		}
		if i == 0 || to.Before(end) {
			end = to
		}
	}
	if room := end.Sub(opening); st.Spread > 0 && room > 0 {
		opening = opening.Add(pl.jitter(st, min(st.Spread, room)))
	}
	return opening, end
}

// jitter is the person's place within a spread: whole seconds, the same every day and on every machine.
func (pl *planner) jitter(st *strategy.Step, spread time.Duration) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(pl.p.Borrower.ID))
	h.Write([]byte{0})
	h.Write([]byte(st.ID))
	return time.Duration(h.Sum64()%uint64(spread/time.Second)) * time.Second
}

// hoursFrom returns the first day whose hours are not over, with its hours. Where the borrower lives west of the lender,
// yesterday's may still last.
func (pl *planner) hoursFrom(st *strategy.Step) (day civil.Date, opening, end time.Time) {
	for n := -1; n <= 1; n++ {
		day = pl.today.Add(n)
		if opening, end = pl.hours(st, day); pl.now.Before(end) {
			break
		}
	}
	return day, opening, end
}

// sendDay returns the day whose hours a contact on record has.
func (pl *planner) sendDay(c *duly.Contact, st *strategy.Step) civil.Date {
	if !c.Late && pl.rungBefore(c) == nil {
		return c.Day
	}
	for _, loc := range pl.where() {
		if d := civil.In(c.ExpiresAt.Add(-1), loc); d.At(st.To, loc).Equal(c.ExpiresAt) {
			return d
		}
	}
	return civil.In(c.ExpiresAt.Add(-1), pl.Location)
}
