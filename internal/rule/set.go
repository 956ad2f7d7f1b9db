package rule

import (
	"maps"
	"slices"
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
	index  map[question][]*Rule // the rules that look at contacts of a purpose by a channel, by id
	holds  map[string]bool      // the kinds of hold that some rule names
	placed bool                 // some pack is a country's
	zones  atomic.Pointer[map[string]*time.Location]
	views  sync.Pool
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
	s := &Set{index: map[question][]*Rule{}, holds: map[string]bool{}}
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
		if h, ok := r.checker.(*hold); ok {
			for _, k := range h.kinds {
				s.holds[k] = true
			}
		}
	}
	s.zones.Store(&map[string]*time.Location{})
	s.views.New = func() any { return new(View) }
	s.buildIndex()
	return s, nil
}

func (s *Set) buildIndex() {
	channels := []duly.Channel{
		duly.ChannelSMS, duly.ChannelEmail, duly.ChannelPush, duly.ChannelIM, duly.ChannelInApp, duly.ChannelPrerecorded,
		duly.ChannelRobot, duly.ChannelAgent, duly.ChannelLetter, actAPI, actVisit, actVoicemail, actInbound,
	}
	purposes := []duly.Purpose{
		duly.PurposePreDue, duly.PurposeDueDay, duly.PurposeCollection, duly.PurposeMarketing, duly.PurposeLocation,
		duly.PurposeCreditReport, duly.PurposeConsentRequest, duly.PurposeOptOutConfirm, duly.PurposeEnforcement,
		duly.PurposeHardshipDecision, duly.PurposeMandatory,
	}
	for _, p := range purposes {
		for _, c := range channels {
			q := question{p, c}
			for i := range s.rules {
				if s.rules[i].When.covers(p, c) {
					s.index[q] = append(s.index[q], &s.rules[i])
				}
			}
		}
	}
}

// IDs returns the packs as id@hash, by id. The caller must not change the slice.
func (s *Set) IDs() []string { return s.ids }

// Packs returns the packs, by id. The caller must not change them.
func (s *Set) Packs() []*Pack { return s.packs }

// Rules yields the rules that look at the view's contact by its purpose and channel, of the packs of its country, by id.
func (s *Set) Rules(v *View) func(yield func(*Rule) bool) {
	return func(yield func(*Rule) bool) {
		country := v.Person.Borrower.Country
		for _, r := range s.index[question{v.Contact.Purpose, v.Contact.Channel}] {
			if within(country, r.Jurisdiction) && !yield(r) {
				return
			}
		}
	}
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
