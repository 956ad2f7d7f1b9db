package dialogue

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// Values are what a call's words are filled with.
type Values struct {
	Variables map[string]string // by name, as they are written
	Today     civil.Date        // where the borrower is: promises are counted from it
}

// Step is what the robot does next. Where it says words it reports [Call.Said] when they are over, if the step then neither listens
// nor hangs up.
type Step struct {
	State    string
	Say      string // "" says nothing
	Debt     bool   // the words name the debt: first it is asked whether it is still owed, and if not [Call.Settled] is reported
	Secret   bool   // the words are for the right person alone, who is confirmed
	Barge    bool   // a key stops the words
	Listen   bool   // for keys: from the beginning of the words where Barge, else from their end
	Wait     time.Duration
	Transfer bool // hand over to a person, after the words; then report [Call.Transferred]
	Hang     bool // hang up, after the words
}

// Result is what is known of a call.
type Result struct {
	Outcome   Outcome
	PromiseOn civil.Date
	Confirmed bool   // the right person was there
	Disclosed bool   // the debt was named, or its naming began
	State     string // where the call is, or ended
}

// Call is a dialogue being played. It is not safe for concurrent use.
type Call struct {
	d      *Dialogue
	v      Values
	words  map[string]string // by state, filled
	at     *State
	tries  int
	visits map[string]int
	digits string
	over   bool
	Result Result
}

// Begin fills the words of every state, so that none is missing in the middle of a call, and returns a call that has not begun.
func (d *Dialogue) Begin(v Values) (*Call, error) {
	c := &Call{d: d, v: v, words: map[string]string{}, visits: map[string]int{}}
	for i := range d.states {
		s := &d.states[i]
		w, err := fill(s.Words, func(name string) (string, bool) {
			value, ok := v.Variables[name]
			return value, ok
		})
		if err != nil {
			return nil, fmt.Errorf("state %s: %w", s.ID, err)
		}
		if s.Match != "" && len(onlyDigits(v.Variables[s.Match])) < s.Digits {
			return nil, fmt.Errorf("state %s: variable %s has fewer than %d digits", s.ID, s.Match, s.Digits)
		}
		c.words[s.ID] = w
	}
	return c, nil
}

// Line is the words of a state, filled.
type Line struct {
	State    string
	Words    string
	Personal bool // they hold more than who the lender is and how to reach it
}

// Lines returns all that may have to be said.
func (c *Call) Lines() []Line {
	out := make([]Line, 0, len(c.d.states))
	for i := range c.d.states {
		s := &c.d.states[i]
		personal := slices.ContainsFunc(placeholders(s.Words), func(v string) bool { return v != "lender" && v != "service_phone" && v != "pay_hint" })
		if w := c.words[s.ID]; w != "" {
			out = append(out, Line{s.ID, w, personal})
		}
	}
	return out
}

// Start is the first step.
func (c *Call) Start() Step { return c.enter(c.d.states[0].ID) }

// enter goes to a state.
func (c *Call) enter(id string) Step {
	s := c.d.state(id)
	for s.Visits > 0 && c.visits[s.ID] >= s.Visits {
		s = c.d.state(s.Then)
	}
	c.visits[s.ID]++
	c.at, c.tries = s, 0
	c.Result.State = s.ID
	if s.Outcome != NoOutcome {
		c.Result.Outcome = s.Outcome
	}
	return c.say()
}

// say is the step of the state that the call is in.
func (c *Call) say() Step {
	s := c.at
	c.digits = ""
	out := Step{
		State: s.ID, Say: c.words[s.ID], Debt: s.Kind == Debt, Secret: c.Result.Confirmed, Barge: s.Barge, Listen: s.Listens(), Wait: s.Wait,
		Transfer: s.Kind == Transfer, Hang: s.Kind == End,
	}
	c.over = out.Hang
	return out
}

// Naming is reported when the words of a debt state begin to be said.
func (c *Call) Naming() { c.Result.Disclosed = true }

// Said is reported when words are over after which the robot does not listen.
func (c *Call) Said() Step {
	if c.over || c.at.Next == "" || c.at.Listens() {
		return c.hang()
	}
	return c.enter(c.at.Next)
}

func (c *Call) hang() Step {
	c.over = true
	return Step{State: c.at.ID, Hang: true}
}

// Settled is reported where a debt state found that nothing is owed any more.
func (c *Call) Settled() Step {
	if c.over || c.at.Settled == "" {
		return c.hang()
	}
	return c.enter(c.at.Settled)
}

// Transferred is reported when a person took the call over and the two were done, or nobody took it.
func (c *Call) Transferred(taken bool) Step {
	if taken {
		c.Result.Outcome = Agent
		return c.hang()
	}
	if c.over || c.at.Otherwise == "" {
		return c.hang()
	}
	return c.enter(c.at.Otherwise)
}

// Machine is reported when it turns out that no person is there: nothing more is said. It counts for nothing once the right person is
// confirmed.
func (c *Call) Machine() (Step, bool) {
	if c.Result.Confirmed {
		return Step{}, false
	}
	return c.hang(), true
}

// Heard is reported when words were understood. It returns false where they mean nothing here.
func (c *Call) Heard(text string) (Step, bool) {
	text = Fold(text)
	if k, ok := c.at.Heard[text]; ok && !c.over {
		return c.Key(k[0])
	}
	return Step{}, false
}

// Key is reported when a key was pressed where the robot listens. It returns false where the call waits on, for more digits.
func (c *Call) Key(k byte) (Step, bool) {
	s := c.at
	if c.over || !s.Listens() {
		return Step{}, false
	}
	key := string(k)
	switch {
	case s.On[key] != "":
		if s.Kind == Verify {
			c.Result.Confirmed = false
		}
		return c.enter(s.On[key]), true
	case s.Kind == Verify && s.Match == "" && s.Pass[key] != "":
		c.Result.Confirmed = true
		return c.enter(s.Pass[key]), true
	case s.Kind == Promise && has(s.Days, key):
		return c.promise(c.v.Today.Add(s.Days[key])), true
	case s.Digits > 0 && k >= '0' && k <= '9':
		if c.digits += key; len(c.digits) < s.Digits {
			return Step{}, false
		}
		return c.entered(), true
	case s.Digits > 0 && k == '#' && c.digits == "":
		return Step{}, false
	}
	return c.again(s.Otherwise), true
}

// entered is all digits keyed in.
func (c *Call) entered() Step {
	s := c.at
	if s.Kind == Verify {
		want := onlyDigits(c.v.Variables[s.Match])
		if want[len(want)-s.Digits:] == c.digits {
			c.Result.Confirmed = true
			return c.enter(s.Pass[passMatch])
		}
		return c.again(s.Otherwise)
	}
	if on, ok := dayOf(c.digits, c.v.Today); ok {
		return c.promise(on)
	}
	return c.again(s.Otherwise)
}

func (c *Call) promise(on civil.Date) Step {
	c.Result.PromiseOn, c.Result.Outcome = on, Promised
	return c.enter(c.at.Next)
}

// dayOf reads month and day as the next such day, no further ahead than a promise may be.
func dayOf(digits string, today civil.Date) (civil.Date, bool) {
	month, day := int(digits[0]-'0')*10+int(digits[1]-'0'), int(digits[2]-'0')*10+int(digits[3]-'0')
	for n := range promiseMax + 1 {
		on := today.Add(n)
		if _, m, d := on.YMD(); int(m) == month && d == day {
			return on, true
		}
	}
	return civil.Date{}, false
}

// Silent is reported when nothing was pressed within the wait.
func (c *Call) Silent() Step {
	if c.over || !c.at.Listens() {
		return c.hang()
	}
	return c.again(c.at.Silence)
}

// again says the words once more, or goes on where they were said often enough.
func (c *Call) again(after string) Step {
	if c.tries++; c.tries >= c.at.Tries {
		if c.at.Kind == Verify {
			c.Result.Confirmed = false
		}
		return c.enter(after)
	}
	return c.say()
}

// Keys lists what may be pressed in the state that the call is in, for a person who tries the dialogue.
func (c *Call) Keys() string {
	s := c.at
	var out []string
	for k := range s.Pass {
		if k != passMatch {
			out = append(out, k)
		}
	}
	out = append(out, sorted(s.On)...)
	out = append(out, sorted(s.Days)...)
	slices.Sort(out)
	if s.Digits > 0 {
		out = append([]string{fmt.Sprintf("%d digits", s.Digits)}, out...)
	}
	return strings.Join(out, " ")
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}
