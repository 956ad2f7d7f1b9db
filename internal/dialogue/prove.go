package dialogue

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/message"
)

// Claim is one thing that is proved of every dialogue.
type Claim string

// The claims.
const (
	Whole     Claim = "every state that is named is there, and every state can be reached"
	Bounded   Claim = "every path ends"
	Discreet  Claim = "nothing of the debt is said before the right person is confirmed, and none before it was asked whether it is still owed"
	Reachable Claim = "wherever the robot listens, one key leads to a person; who gets none is called back"
	Honest    Claim = "before anything is asked, it is said who calls and that the call is automated, and nothing cuts that short"
)

// Claims lists the claims. That nothing is said to a machine needs no proof: [Call.Machine] hangs up
// in every state, until the right person is confirmed.
func Claims() []Claim { return []Claim{Whole, Bounded, Discreet, Reachable, Honest} }

// Breach is a claim that does not hold, with a path in words that shows it.
type Breach struct {
	Claim Claim
	State string
	What  string
	Path  []string // greet; who: key 2; …
	line  int
}

// edge is one way out of a state.
type edge struct {
	by       string // in words: key 1
	to       string
	confirms bool // the right person is confirmed by it
	denies   bool // of a verify state: whoever it was, it is no longer known who is there
}

// edges lists the ways out of a state, in a fixed order.
func (d *Dialogue) edges(s *State) []edge {
	var out []edge
	add := func(by, to string) { out = append(out, edge{by: by, to: to}) }
	for _, k := range sorted(s.Pass) {
		by := "key " + k
		if k == passMatch {
			by = "the right digits"
		}
		out = append(out, edge{by: by, to: s.Pass[k], confirms: true})
	}
	for _, k := range sorted(s.On) {
		out = append(out, edge{by: "key " + k, to: s.On[k], denies: s.Kind == Verify})
	}
	switch s.Kind {
	case Say:
		add("said", s.Next)
	case Debt:
		add("said", s.Next)
		add("no longer owed", s.Settled)
	case Promise:
		add("a day is named", s.Next)
	case Transfer:
		add("nobody takes the call", s.Otherwise)
	case Ask, Verify, End:
	}
	if s.Listens() {
		out = append(out, edge{by: "silence", to: s.Silence, denies: s.Kind == Verify}, edge{by: "keys that mean nothing", to: s.Otherwise, denies: s.Kind == Verify})
	}
	return out
}

// Check returns the breaches as errors that a person can act on.
func (d *Dialogue) Check() error {
	var errs []error
	for _, b := range d.Prove() {
		e := duly.Errorf(duly.Invalid, "%s: %s", b.State, b.What).At(duly.Place{File: d.File, Line: b.line, Field: b.State}).WithHint("it must hold that %s", string(b.Claim))
		if len(b.Path) > 0 {
			e = e.WithHint("it must hold that %s; it does not on this path: %s", string(b.Claim), strings.Join(b.Path, " → "))
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// Prove looks for a breach of each claim on every path, and returns those found: none is the proof. Where states are named that are
// not there, nothing else is looked at.
func (d *Dialogue) Prove() []Breach {
	p := &prover{d: d}
	if p.targets(); len(p.found) > 0 {
		return p.found
	}
	p.walk()
	p.cycles()
	p.persons()
	return p.found
}

type prover struct {
	d     *Dialogue
	found []Breach
	seen  map[standing]bool
}

func (p *prover) breach(c Claim, s *State, path []string, format string, args ...any) {
	for _, b := range p.found {
		if b.Claim == c && b.State == s.ID {
			return // one path is enough
		}
	}
	p.found = append(p.found, Breach{Claim: c, State: s.ID, What: fmt.Sprintf(format, args...), Path: slices.Clone(path), line: s.line})
}

// targets checks that all states that are named are there.
func (p *prover) targets() {
	for i := range p.d.states {
		s := &p.d.states[i]
		for _, e := range p.d.edges(s) {
			switch {
			case e.to == "":
				p.breach(Whole, s, nil, "nothing says where it goes on: %s", e.by)
			case p.d.state(e.to) == nil:
				p.breach(Whole, s, nil, "%s leads to %s, which is not there", e.by, e.to)
			}
		}
		if s.Then != "" && p.d.state(s.Then) == nil {
			p.breach(Whole, s, nil, "then leads to %s, which is not there", s.Then)
		}
	}
}

// standing is where a call can be, and what has happened by then that matters.
type standing struct {
	state     string
	confirmed bool // the right person is there
	asked     bool // it was asked whether it is still owed
	named     bool // who calls was said
	automated bool // and that it is a machine
}

// walk goes every way from the beginning and looks at the words in each standing.
func (p *prover) walk() {
	p.seen = map[standing]bool{}
	type step struct {
		standing
		path []string
	}
	queue := []step{{standing{state: p.d.states[0].ID}, nil}}
	reached := map[string]bool{}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if p.seen[at.standing] {
			continue
		}
		p.seen[at.standing] = true
		s := p.d.state(at.state)
		reached[s.ID] = true
		next := p.look(s, at.standing, append(slices.Clone(at.path), s.ID))
		for _, e := range p.d.edges(s) {
			n := next
			n.confirmed = (n.confirmed || e.confirms) && !e.denies
			n.state = e.to
			path := append(slices.Clone(at.path), s.ID+": "+e.by)
			queue = append(queue, step{n, path})
			if t := p.d.state(e.to); t.Then != "" {
				n.state = t.Then
				queue = append(queue, step{n, append(path, t.ID+": too often")})
			}
		}
	}
	for i := range p.d.states {
		if s := &p.d.states[i]; !reached[s.ID] {
			p.breach(Whole, s, nil, "no path leads to it")
		}
	}
}

// automatedWords say that nobody is there.
var automatedWords = regexp.MustCompile(`自动|机器人|语音助手|智能语音|(?i:\b(automated|automatic|automatically|robot|recorded|computer)\b)`)

// look checks a state in a standing, and returns the standing after it.
func (p *prover) look(s *State, at standing, path []string) standing {
	if s.Kind == Say {
		at.named = at.named || slices.Contains(placeholders(s.Words), "lender")
		at.automated = at.automated || automatedWords.MatchString(s.Words)
	}
	if s.Kind != Say && !(at.named && at.automated) {
		p.breach(Honest, s, path, "it has not been said who calls ({{lender}}) and that the call is automated")
	}
	if s.Kind == Debt {
		at.asked = true
	}
	secrets := message.Secrets(s.Words)
	switch {
	case s.Kind == Debt && !at.confirmed, s.Kind == Promise && !at.confirmed:
		p.breach(Discreet, s, path, "a stranger may hear of the debt here")
	case len(secrets) > 0 && !at.confirmed:
		p.breach(Discreet, s, path, "a stranger may hear %q here", secrets[0])
	case outcomes[s.Outcome] && !at.confirmed:
		p.breach(Discreet, s, path, "outcome %s would be a stranger's word", s.Outcome)
	case (len(secrets) > 0 || s.Kind == Promise) && !at.asked:
		p.breach(Discreet, s, path, "the debt is spoken of before a debt state has asked whether it is still owed")
	}
	return at
}

// cycles looks for a way round that nothing bounds. A state with visits is entered that often and no more: whoever comes once more is
// sent to its then. So a call without end would have to go round states without visits for ever.
func (p *prover) cycles() {
	const fresh, open, done = 0, 1, 2
	mark := map[string]int{}
	var path []string
	var visit func(id string)
	visit = func(id string) {
		s := p.d.state(id)
		mark[id] = open
		for _, e := range p.d.edges(s) {
			to := p.beyond(e.to)
			if to == "" {
				continue
			}
			path = append(path, id+": "+e.by)
			switch mark[to] {
			case open:
				from := slices.IndexFunc(path, func(step string) bool { return strings.HasPrefix(step, to+":") })
				p.breach(Bounded, s, append(slices.Clone(path[from:]), to), "the call may go round for ever: give a state of the round visits and then")
			case fresh:
				visit(to)
			}
			path = path[:len(path)-1]
		}
		mark[id] = done
	}
	for i := range p.d.states {
		if s := &p.d.states[i]; s.Visits == 0 && mark[s.ID] == fresh {
			visit(s.ID)
		}
	}
}

// beyond returns the state without visits that an edge leads to in the end, "" where thens lead round among themselves, which is a
// breach.
func (p *prover) beyond(id string) string {
	for range len(p.d.states) + 1 {
		s := p.d.state(id)
		if s.Visits == 0 {
			return id
		}
		id = s.Then
	}
	s := p.d.state(id)
	p.breach(Bounded, s, nil, "then leads round: one of them must lead to a state without visits")
	return ""
}

// persons checks that a person can be reached from wherever the robot listens.
func (p *prover) persons() {
	for i := range p.d.states {
		s := &p.d.states[i]
		if s.Kind == Transfer {
			if end := p.d.state(s.Otherwise); end.Kind != End || end.Outcome != WantsPerson {
				p.breach(Reachable, s, nil, "where nobody takes the call it must end with outcome: person, so that somebody calls back")
			}
		}
		if s.Listens() && !slices.ContainsFunc(sorted(s.On), func(k string) bool { return p.transfers(s.On[k]) }) {
			p.breach(Reachable, s, nil, "no key here leads to a transfer")
		}
	}
}

// transfers reports whether a state is a transfer, or says something and then is.
func (p *prover) transfers(id string) bool {
	for range len(p.d.states) {
		s := p.d.state(id)
		if s.Kind != Say || s.Visits > 0 {
			return s.Kind == Transfer && s.Visits == 0
		}
		id = s.Next
	}
	return false
}

// Ways says in words where each way out of a state leads.
func (d *Dialogue) Ways(id string) []string {
	s := d.state(id)
	if s == nil {
		return nil
	}
	var out []string
	for _, e := range d.edges(s) {
		out = append(out, e.by+" → "+e.to)
	}
	if s.Visits > 0 {
		out = append(out, fmt.Sprintf("more than %d times → %s", s.Visits, s.Then))
	}
	if s.Outcome != NoOutcome {
		out = append(out, "outcome "+string(s.Outcome))
	}
	return out
}
