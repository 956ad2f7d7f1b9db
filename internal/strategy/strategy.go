package strategy

import (
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Limits of a strategy. Load refuses what is beyond them.
const (
	MaxSource    = 256 << 10 // bytes of the file
	MaxSteps     = 64
	MaxRungs     = 6
	MaxLimits    = 16
	MaxLimit     = 10_000 // contacts in a period
	MaxPriority  = 1000
	MaxName      = 64 // bytes of a name or id
	MaxTitle     = 200
	MaxCondition = 1000 // characters
	MaxCost      = 10_000
	MaxWithin    = 14             // days that a catch-up may come late
	MaxSpread    = 12 * 60        // minutes
	MaxAfter     = 72 * time.Hour // until the next rung
	MinAfter     = time.Minute
	MinOffset    = -60 // days from the due day
	MaxOffset    = 365
	MaxShift     = 10  // days that a holiday may move a step
	hourLasts    = 240 // minutes that a step given by its hour stays open
)

// Strategy is one lender's way to remind, as read by Load. It does not change, and many may use it at once.
type Strategy struct {
	Name        string
	File        string // where it was read from, for messages
	Hash        string // SHA-256 of the text, its first 12 digits in hexadecimal
	TitleZH     string
	TitleEN     string
	Calendar    string     // the business calendar that on_holiday looks at; "" where no step does
	ReviewBy    civil.Date // the day by which people look at it again; no date: none is set
	AppliesTo   *Condition // whom it serves; nil: everyone
	Consolidate Consolidate
	Limits      []Limit
	Steps       []Step
}

// Consolidate is how far the instalments of one person come together in one message.
type Consolidate string

// The ways to consolidate. Instalments of one person on one step are one message always.
const (
	ByStep      Consolidate = "step"
	ByPersonDay Consolidate = "person_day" // of several steps on a day the one of highest priority goes, with what the others were about
)

// Limit is at most so many contacts of one person in a period. Package rule compiles it.
type Limit struct {
	Per      string // calendar_day, rolling_days:7, iso_week, rolling:72h, ever
	Max      int
	Channels []duly.Channel // none: all together
	Line     int
}

// Step is one point of a strategy: so many days before or after the due day, within hours of the borrower's day.
type Step struct {
	ID           string
	Line         int
	Offset       int           // days after the due day; negative before it
	From, To     civil.Clock   // the hours in which it may go, the end exclusive
	Spread       time.Duration // over which contacts are spread from the opening on
	When         *Condition    // nil: always
	Ladder       []Rung        // at least one
	Tone         duly.Tone
	Template     string
	LateTemplate string // the words of a catch-up; "" where there is none
	Priority     int    // higher goes first
	CatchUp      CatchUp
	Within       int // days that a catch-up may come late
	OnHoliday    OnHoliday
	Stops        []Stop // besides payment, which always stops
}

// Rung is one channel of a ladder.
type Rung struct {
	Channel duly.Channel
	After   time.Duration // how long the rung before is waited for; zero on the first
	Unless  Unless        // what of the rung before makes this one needless
	Line    int
}

// CatchUp is what becomes of a step whose day passed in an outage.
type CatchUp string

// The catch-ups.
const (
	Expire   CatchUp = "expire"    // it is dropped, and recorded
	Merge    CatchUp = "merge"     // it joins what goes to the person today; with nothing to join, it goes late
	SendLate CatchUp = "send_late" // it goes late, in the words for that
)

// OnHoliday is what becomes of a step that falls on a day off.
type OnHoliday string

// The ways around a day off.
const (
	Same    OnHoliday = "same"
	Earlier OnHoliday = "earlier"
	Later   OnHoliday = "later"
	Skip    OnHoliday = "skip"
)

// Unless is what makes the next rung needless.
type Unless string

// What the rung before may have reached. Read is more than delivered.
const (
	UnlessDelivered Unless = "delivered"
	UnlessRead      Unless = "read"
)

// Stop is a condition that keeps a step from being sent, on top of the law and the lender's packs.
type Stop string

// The stops. Payment stops every step, whether it is written or not.
const (
	StopPaid    Stop = "paid"
	StopPromise Stop = "promise" // a promise to pay is open
	StopHold    Stop = "hold"    // any hold stands, of whatever kind
	StopOptOut  Stop = "opt_out" // the borrower refused any channel or purpose
)

// Step returns the step with the id.
func (s *Strategy) Step(id string) (*Step, bool) {
	for i := range s.Steps {
		if s.Steps[i].ID == id {
			return &s.Steps[i], true
		}
	}
	return nil, false
}

// Reach returns how many days before and after its due day an instalment may be when a step, its catch-up or its move
// around a holiday falls. Either is negative where every step lies on the other side of the due day.
func (s *Strategy) Reach() (before, after int) {
	before, after = MinOffset-MaxShift, -MaxOffset
	for i := range s.Steps {
		b, a := -s.Steps[i].Offset, s.Steps[i].Offset+s.Steps[i].Within
		switch s.Steps[i].OnHoliday {
		case Earlier:
			b += MaxShift
		case Later:
			a += MaxShift
		case Same, Skip:
		}
		before, after = max(before, b), max(after, a)
	}
	return before, after
}

// TemplateUse is a template that some step names, with what it must be fit for.
type TemplateUse struct {
	Template string
	Channel  duly.Channel
	Tone     duly.Tone
	Step     string
	Late     bool // as the words of a catch-up
	Line     int  // of the step
}

// Templates lists every use of a template, in the order of the steps and their ladders.
func (s *Strategy) Templates() []TemplateUse {
	var out []TemplateUse
	for i := range s.Steps {
		st := &s.Steps[i]
		for _, r := range st.Ladder {
			out = append(out, TemplateUse{Template: st.Template, Channel: r.Channel, Tone: st.Tone, Step: st.ID, Line: st.Line})
			if st.LateTemplate != "" {
				out = append(out, TemplateUse{Template: st.LateTemplate, Channel: r.Channel, Tone: st.Tone, Step: st.ID, Late: true, Line: st.Line})
			}
		}
	}
	return out
}

// Applies reports whether the strategy serves the person. What is asked of a loan is asked of the one whose open instalment
// is due first. It fails only where the condition cannot be worked out, such as a division by nothing.
func (s *Strategy) Applies(p *duly.Person, _ civil.Date) (bool, error) {
	if s.AppliesTo == nil {
		return true, nil
	}
	var oldest *duly.Installment
	for i := range p.Installments {
		in := &p.Installments[i]
		if in.Open() && (oldest == nil || in.DueOn.Before(oldest.DueOn) || in.DueOn == oldest.DueOn && in.LoanID < oldest.LoanID) {
			oldest = in
		}
	}
	var v Vars
	v.fillBorrower(p)
	if oldest != nil {
		v.fillLoan(p.Loan(oldest.LoanID))
	}
	return s.AppliesTo.Holds(&v)
}

// Matches reports whether the step's condition holds. It fails only where the condition cannot be worked out, such as a
// division by nothing; what cannot be worked out must not be sent.
func (st *Step) Matches(v *Vars) (bool, error) {
	if st.When == nil {
		return true, nil
	}
	return st.When.Holds(v)
}

// FallbackAfter returns how long after the rung was tried the next one is due, or false if there is no next one.
func (st *Step) FallbackAfter(rung int) (time.Duration, bool) {
	if rung < 0 || rung+1 >= len(st.Ladder) {
		return 0, false
	}
	return st.Ladder[rung+1].After, true
}

// FallbackUnlessRead reports whether the rung after this one runs even though this one was delivered, as long as it was
// not read.
func (st *Step) FallbackUnlessRead(rung int) bool {
	return rung >= 0 && rung+1 < len(st.Ladder) && st.Ladder[rung+1].Unless == UnlessRead
}

// StopsOn reports whether the step names the stop.
func (st *Step) StopsOn(s Stop) bool {
	for _, x := range st.Stops {
		if x == s {
			return true
		}
	}
	return s == StopPaid
}
