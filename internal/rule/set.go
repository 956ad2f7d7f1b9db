package rule

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly"
)

// maxZones bounds the zones that a set remembers; there are about 600.
const maxZones = 2000

// Set is several packs compiled together. It does not change, and many may ask it at once.
type Set struct {
	packs  []*Pack
	ids    []string
	rules  []Rule
	places map[string]*place // by jurisdiction: what applies to borrowers there; "*" is what applies everywhere
	placed bool              // some pack is a country's
	zones  atomic.Pointer[map[string]*time.Location]
	views  sync.Pool
}

// place is what applies to the borrowers of one jurisdiction. Rules of other countries cost a contact nothing.
type place struct {
	rules map[question][]*Rule // those that look at contacts of a purpose by a channel, by id
	ids   []string             // the packs, as id@hash
	holds map[string]bool      // the kinds of hold that some rule names, and acts on
	named bool                 // a pack of the country is among them
}

type question struct {
	purpose duly.Purpose
	channel duly.Channel
}

// NewSet compiles packs, and rules of a strategy's own, into one set. The order in which they are given makes no
// difference.
func NewSet(packs []*Pack, extra ...Rule) (*Set, error) {
	if len(packs) == 0 {
		return nil, duly.Errorf(duly.Usage, "no rule pack is given").WithHint("give at least policy-default: without rules nothing may be sent")
	}
	s := &Set{places: map[string]*place{}}
	s.packs = slices.SortedFunc(slices.Values(packs), func(a, b *Pack) int { return compare(a.ID, b.ID) })
	for i, p := range s.packs {
		if i > 0 && s.packs[i-1].ID == p.ID {
			return nil, duly.Errorf(duly.Conflict, "rule pack %s is given twice", p.ID)
		}
		s.ids = append(s.ids, p.Name())
		s.rules = append(s.rules, p.Rules...)
		s.placed = s.placed || p.Jurisdiction != "*"
	}
	s.ids = slices.Clip(s.ids)
	s.rules = append(s.rules, extra...)
	slices.SortStableFunc(s.rules, func(a, b Rule) int {
		if c := compare(a.ID, b.ID); c != 0 {
			return c
		}
		return compare(a.Pack, b.Pack)
	})
	for i := range s.rules {
		r := &s.rules[i]
		if r.checker == nil {
			return nil, duly.Errorf(duly.Invalid, "rule %s of %s has no test", r.ID, r.Pack).WithHint("rules are made by Load and NewCap")
		}
		if i > 0 && s.rules[i-1].ID == r.ID && s.rules[i-1].Pack == r.Pack {
			return nil, duly.Errorf(duly.Conflict, "rule %s of %s is given twice", r.ID, r.Pack)
		}
	}
	s.zones.Store(&map[string]*time.Location{})
	s.views.New = func() any { return new(View) }
	s.places["*"] = s.newPlace("")
	for _, p := range s.packs {
		if s.places[p.Jurisdiction] == nil {
			s.places[p.Jurisdiction] = s.newPlace(p.Jurisdiction)
		}
	}
	return s, nil
}

// newPlace gathers what applies to borrowers of a country path.
func (s *Set) newPlace(country string) *place {
	pl := &place{rules: map[question][]*Rule{}, holds: map[string]bool{}}
	for i, p := range s.packs {
		if within(country, p.Jurisdiction) {
			pl.ids = append(pl.ids, s.ids[i])
			pl.named = pl.named || p.Jurisdiction != "*"
		}
	}
	pl.ids = slices.Clip(pl.ids)
	for i := range s.rules {
		r := &s.rules[i]
		if !within(country, r.Jurisdiction) {
			continue
		}
		if h, ok := r.checker.(*hold); ok && !r.Shadow {
			for _, k := range h.kinds {
				pl.holds[k] = true
			}
		}
		r.When.each(func(q question) { pl.rules[q] = append(pl.rules[q], r) })
	}
	return pl
}

// each calls fn for every question that w covers.
func (w *When) each(fn func(question)) {
	purposes, channels := w.Purpose, w.Channel
	if len(purposes) == 0 {
		purposes = everyPurpose
	}
	if len(channels) == 0 {
		channels = everyChannel
	}
	for i, p := range purposes {
		for j, c := range channels {
			if !slices.Contains(purposes[:i], p) && !slices.Contains(channels[:j], c) {
				fn(question{p, c})
			}
		}
	}
}

// everyPurpose and everyChannel are what contacts can be for, and go by.
var (
	everyPurpose = []duly.Purpose{
		duly.PurposePreDue, duly.PurposeDueDay, duly.PurposeCollection, duly.PurposeMarketing, duly.PurposeLocation,
		duly.PurposeCreditReport, duly.PurposeConsentRequest, duly.PurposeOptOutConfirm, duly.PurposeEnforcement,
		duly.PurposeHardshipDecision, duly.PurposeMandatory,
	}
	everyChannel = []duly.Channel{
		duly.ChannelSMS, duly.ChannelEmail, duly.ChannelPush, duly.ChannelIM, duly.ChannelInApp, duly.ChannelPrerecorded,
		duly.ChannelRobot, duly.ChannelAgent, duly.ChannelLetter, actAPI, actVisit, actVoicemail, actInbound,
	}
)

// at returns the place of a country path: that of the longest jurisdiction it lies in.
func (s *Set) at(country string) *place {
	if len(s.places) == 1 {
		return s.places["*"]
	}
	for path := country; path != ""; {
		if pl := s.places[path]; pl != nil {
			return pl
		}
		i := strings.LastIndexByte(path, '-')
		if i < 0 {
			break
		}
		path = path[:i]
	}
	if pl := s.places[europeanUnion]; pl != nil && InUnion(country) {
		return pl
	}
	return s.places["*"]
}

// IDs returns the packs as id@hash, by id. The caller must not change the slice.
func (s *Set) IDs() []string { return s.ids }

// IDsFor returns the packs that apply to borrowers of a country path, as id@hash, by id. The caller must not change the
// slice.
func (s *Set) IDsFor(country string) []string { return s.at(country).ids }

// Packs returns the packs, by id. The caller must not change them.
func (s *Set) Packs() []*Pack { return s.packs }

// Calendars lists the holiday calendars that rules of the set need, in order.
func (s *Set) Calendars() []string { return Calendars(s.packs) }

// Rules yields the rules that look at the view's contact by its purpose and channel, of the packs of its country, by id.
func (s *Set) Rules(v *View) func(yield func(*Rule) bool) {
	return func(yield func(*Rule) bool) {
		for _, r := range v.place.rules[question{v.Contact.Purpose, v.Contact.Channel}] {
			if !yield(r) {
				return
			}
		}
	}
}

// Calendars lists the holiday calendars that rules of the packs need, in order.
func Calendars(packs []*Pack) []string {
	var out []string
	for _, p := range packs {
		for i := range p.Rules {
			if w, ok := p.Rules[i].checker.(*contactWindow); ok && w.week.calendar != "" {
				out = append(out, w.week.calendar)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Enforce returns the packs with rules turned on that would run in shadow: drafts, and rules whose instrument nobody has
// read. Names are PACK/RULE; one that is no such rule of the packs is refused.
func Enforce(packs []*Pack, names []string) ([]*Pack, error) {
	out := slices.Clone(packs)
	var problems []error
	for _, name := range names {
		if !turnOn(out, name) {
			problems = append(problems, duly.Errorf(duly.NotFound, "no loaded pack has the rule %q", name).
				WithHint("write PACK/RULE, such as us-regf/US-06; `duly rules list` shows them"))
		}
	}
	return out, errors.Join(problems...)
}

func turnOn(packs []*Pack, name string) bool {
	for i, p := range packs {
		id, ok := strings.CutPrefix(name, p.ID+"/")
		if !ok {
			continue
		}
		for j := range p.Rules {
			if p.Rules[j].ID != id {
				continue
			}
			q := *p
			q.Rules = slices.Clone(p.Rules)
			q.Rules[j].Shadow = false
			packs[i] = &q
			return true
		}
	}
	return false
}

// Trial returns the pack with the rules on that nobody has read the instrument of, and their names. Drafts stay in shadow.
// It is for the cases of packs, which say what such a rule would do.
func (p *Pack) Trial() (*Pack, []string) {
	q := *p
	q.Rules = slices.Clone(p.Rules)
	var names []string
	for i := range q.Rules {
		if r := &q.Rules[i]; r.Shadow && r.Force != duly.ForceDraft {
			r.Shadow = false
			names = append(names, p.ID+"/"+r.ID)
		}
	}
	return &q, names
}

// Everywhere returns the pack as it would be if it applied to borrowers of every country: for questions that name the
// packs to be asked.
func (p *Pack) Everywhere() *Pack {
	q := *p
	q.Jurisdiction = "*"
	q.Rules = slices.Clone(p.Rules)
	for i := range q.Rules {
		q.Rules[i].Jurisdiction = "*"
	}
	return &q
}

// location returns the zone of that name, or nil if there is none.
func (s *Set) location(name string) *time.Location {
	known := *s.zones.Load()
	if loc, ok := known[name]; ok {
		return loc
	}
	if name == "" || name == "Local" {
		return nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	if len(known) < maxZones {
		next := maps.Clone(known)
		next[name] = loc
		s.zones.Store(&next) // a race loses one entry, which is loaded again
	}
	return loc
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
