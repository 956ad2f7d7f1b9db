package duly

import (
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// Preference is hours in which a borrower asked to be contacted, or not to be. It only ever narrows what rules allow: where
// hours are allowed, contact is made within one of them, and within none that is forbidden. They are hours of the borrower's
// own day; those that end before they begin last into the next day.
type Preference struct {
	BorrowerID BorrowerID     `json:"borrower_id"`
	ID         PreferenceID   `json:"id"`
	Kind       PreferenceKind `json:"kind"`
	Days       civil.Weekdays `json:"days"`
	From       civil.Clock    `json:"from"`
	To         civil.Clock    `json:"to"`     // not included
	Source     string         `json:"source"` // reply, agent, self_service, …
	At         time.Time      `json:"at"`
	RevokedAt  time.Time      `json:"revoked_at,omitzero"` // zero: stands
	Version    int64          `json:"version"`
}

// PreferenceKind is what is asked for within the hours.
type PreferenceKind string

// The kinds of preferences.
const (
	PreferAllow  PreferenceKind = "allow"  // contact in these hours only
	PreferForbid PreferenceKind = "forbid" // none in these
)

// Known reports whether k is one of the kinds above.
func (k PreferenceKind) Known() bool { return k == PreferAllow || k == PreferForbid }

// ActiveAt reports whether the borrower's wish stands at t.
func (p *Preference) ActiveAt(t time.Time) bool {
	return !t.Before(p.At) && (p.RevokedAt.IsZero() || t.Before(p.RevokedAt))
}

// Covers reports whether the hours hold a time of day of a day of the week.
func (p *Preference) Covers(day time.Weekday, c civil.Clock) bool {
	if p.From < p.To {
		return p.Days[day] && p.From <= c && c < p.To
	}
	return p.Days[day] && p.From <= c || p.Days[(day+6)%7] && c < p.To
}

// String writes the preference as allow mon-fri 18:00-20:00.
func (p *Preference) String() string {
	s := string(p.Kind)
	if p.Days != civil.EveryDay {
		s += " " + p.Days.String()
	}
	return s + " " + p.From.String() + "-" + p.To.String()
}
