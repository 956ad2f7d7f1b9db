package rule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Incident is something that happened to a borrower: what the clocks of duties start from.
type Incident struct {
	Event     Event
	At        time.Time         // when; zero where only the day is known
	On        civil.Date        // the day; found from At where it is left out
	Country   string            // the borrower's country path: CN, US-DC
	Borrower  []*time.Location  // where the borrower may be; none is where the lender is
	Lender    *time.Location    // where the lender is; nil is where At is written
	Inputs    map[string]string // by the table of inputs
	Calendars *civil.Calendars
}

// Deadline is a duty with its time: the answer to what follows from an incident.
type Deadline struct {
	Rule    string     `json:"rule"`
	Pack    string     `json:"pack"` // as id@hash
	TitleZH string     `json:"title_zh"`
	TitleEN string     `json:"title_en"`
	Demand  Demand     `json:"demand"`
	Term    string     `json:"term"`
	On      civil.Date `json:"due_on,omitzero"` // the day, for terms of days
	At      time.Time  `json:"due_at,omitzero"` // when the time has run out: the end of that day, or the instant of a term of hours
	If      string     `json:"if,omitempty"`    // it applies only if this holds, which nobody said
	Lack    string     `json:"lack,omitempty"`  // why there is no day: calendar_missing, or out_of_range
	Seen    string     `json:"seen,omitempty"`  // what was missing, in words
	Force   duly.Force `json:"force"`
	Source  string     `json:"source"`
	Read    string     `json:"read"`
	Shadow  bool       `json:"shadow"` // not to be relied on: a draft, or from memory

	zone *time.Location
}

// CodeRange is why a deadline has no day where it lies past the last year that Duly counts.
const CodeRange = "out_of_range"

// Deadlines returns the duties that follow from an incident, of the packs of the borrower's country, soonest first; those
// whose time cannot be told stand before all others. It is pure. Where the borrower may be in several zones the strict
// reading is taken: the earlier day for what is to be done or deleted, the later for what is to be kept or waited for. A
// duty whose condition asks for what nobody said is in the answer, with the condition.
func Deadlines(packs []*Pack, in *Incident) []Deadline {
	var out []Deadline
	for _, p := range packs {
		if !covers(in.Country, p.Jurisdiction) {
			continue
		}
		for i := range p.Duties {
			if d, ok := p.Duties[i].deadline(in); ok {
				d.Pack = p.Name()
				out = append(out, d)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Deadline) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Pack, b.Pack))
	})
	return out
}

func (d *Duty) deadline(in *Incident) (Deadline, bool) {
	if !slices.Contains(d.On, in.Event) {
		return Deadline{}, false
	}
	open, applies := d.open(in.Inputs)
	if !applies {
		return Deadline{}, false
	}
	out := Deadline{
		Rule: d.ID, TitleZH: d.TitleZH, TitleEN: d.TitleEN, Demand: d.Demand, Term: d.Term.String(), If: strings.Join(open, " and "),
		Force: d.Force, Source: d.Source.Instrument, Read: d.Source.Read, Shadow: d.Shadow(),
	}
	found := false
	for _, loc := range in.locations(d.Days) {
		day := in.day(loc)
		if day.Before(d.From) || !d.To.IsZero() && day.After(d.To) {
			continue
		}
		d.take(&out, in, loc, !found)
		found = true
	}
	return out, found
}

// met reports whether the inputs meet the condition; known is false if they do not say.
func (c *Condition) met(given map[string]string) (met, known bool) {
	v, said := given[c.Input]
	if !said {
		if def := findInput(c.Input); def == nil || !def.Truth {
			return false, false
		}
		v = "false"
	}
	return slices.Contains(c.Values, v), true
}

// take works the deadline out for one zone, and keeps it if it is the first or stricter than what was found before.
func (d *Duty) take(out *Deadline, in *Incident, loc *time.Location, first bool) {
	day, at, lack, seen := d.due(in, loc)
	switch {
	case !first && out.Lack != "":
		return
	case lack != "":
		out.On, out.At, out.Lack, out.Seen, out.zone = civil.Date{}, time.Time{}, lack, seen, loc
	case first, d.Demand.late() && at.After(out.At), !d.Demand.late() && at.Before(out.At):
		out.On, out.At, out.zone = day, at, loc
	}
}

// due returns the day, for terms of days, and the instant at which the time has run out.
func (d *Duty) due(in *Incident, loc *time.Location) (day civil.Date, at time.Time, lack, seen string) {
	if d.Term.Time > 0 {
		return civil.Date{}, in.instant(loc, d.Demand.late()).Add(d.Term.Time), "", ""
	}
	day, err := d.Term.Day(in.day(loc), d.Calendar, in.Calendars)
	if err != nil {
		return civil.Date{}, time.Time{}, CodeCalendar, err.Error()
	}
	if day.Year() > civil.MaxYear {
		return civil.Date{}, time.Time{}, CodeRange, fmt.Sprintf("the day lies past the year %d", civil.MaxYear)
	}
	return day, day.Add(1).At(0, loc), "", ""
}

// locations are the zones by whose days a duty counts.
func (in *Incident) locations(days string) []*time.Location {
	if days == daysBorrower && len(in.Borrower) > 0 {
		return in.Borrower
	}
	if in.Lender != nil {
		return []*time.Location{in.Lender}
	}
	return []*time.Location{in.At.Location()}
}

// day is the day of the incident in a zone.
func (in *Incident) day(loc *time.Location) civil.Date {
	if !in.On.IsZero() {
		return in.On
	}
	return civil.In(in.At, loc)
}

// instant is when the incident was. Of one whose day alone is known, it is the day's beginning or end, whichever is strict.
func (in *Incident) instant(loc *time.Location, late bool) time.Time {
	switch {
	case !in.At.IsZero():
		return in.At
	case late:
		return in.On.Add(1).At(0, loc)
	}
	return in.On.At(0, loc)
}

// union lists the states of the European Economic Area, in which the law of the European Union that packs hold is law.
const union = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"

// covers reports whether a pack for jurisdiction j is law for a borrower of country path c.
func covers(c, j string) bool {
	if within(c, j) {
		return true
	}
	return j == "EU" && len(c) >= 2 && (len(c) == 2 || c[2] == '-') && slices.Contains(strings.Fields(union), c[:2])
}
