package reply

import "github.com/dulyhq/duly/internal/civil"

// finding is one thing that a text says.
type finding struct {
	intent Intent
	rule   string
	scope  []string // nil: what the table of intents says
	unsure bool     // a person reads it, whatever is done
	soft   bool     // a refusal that gives way to a promise
	day    civil.Date
	hours  Hours
}

// rule is one way of saying something. A pattern is a regular expression over folded text, in which {name} stands for a
// class of words (see word.go). What `but` matches does not count: it is taken out before the pattern is looked for again.
type rule struct {
	name    string
	pattern *pattern
	but     *pattern
	scope   string  // "": what the table of intents says
	reading reading // for refusals
}

// reading is how a refusal is read.
type reading int

const (
	inWords    reading = iota // the channels that the words name
	soft                      // people say it too who mean "I have heard you": beside a promise it is the promise
	guess                     // the last resort, a word of refusing near a word of contact: acted on, and a person reads it
	onlyNamed                 // all channels but those named
	ratherThan                // the channels named in the match
)

// in reports whether the rule is met by a text.
func (r *rule) in(text string) bool {
	if !r.pattern.in(text) {
		return false
	}
	return r.but == nil || r.pattern.in(r.but.replace(text, blank))
}

// blank stands where something was taken out, so that what was apart does not come together.
const blank = " ; "

// say makes a rule.
func say(name, pattern string) rule { return rule{name: name, pattern: compile(pattern)} }

// unless makes the rule with what does not count.
func (r rule) unless(pattern string) rule { r.but = compile(pattern); return r }

// asks makes the rule with a scope of its own.
func (r rule) asks(scope string) rule { r.scope = scope; return r }

// first returns a finding for the first rule of a list that is met.
func first(intent Intent, rules []rule, text string) (finding, bool) {
	for i := range rules {
		if rules[i].in(text) {
			f := finding{intent: intent, rule: rules[i].name}
			if rules[i].scope != "" {
				f.scope = []string{rules[i].scope}
			}
			return f, true
		}
	}
	return finding{}, false
}

// find lists what a text says. Restrictions are looked for first and taken out, so that "don't call me at work" is not
// read as "don't call me"; then what only sounds like a refusal; refusals in what is left.
func find(text string, m Message) []finding {
	var out []finding
	add := func(f finding, ok bool) {
		if ok {
			out = append(out, f)
		}
	}
	bare, refused := keyword(text, m)
	add(bare, refused)
	text = rephrase(text)
	whole := text
	asked, rest := aboutRefusing(text)
	rest, restrictions := restrict(rest)
	out = append(out, restrictions...)
	if !refused {
		bare, refused = refuse(plain(rest), m)
		add(bare, refused)
	}
	add(finding{intent: ThirdParty, rule: "us_and_others"}, refused && withThird.in(rest))
	for _, group := range groups {
		add(first(group.intent, group.rules, whole))
	}
	add(prefer(rest, restrictions))
	p, promised := promise(whole, m)
	mild, short := first(Hardship, mildHardships, whole)
	p.unsure = p.unsure || short
	add(p, promised)
	add(mild, short && !promised)
	if asked != "" {
		add(finding{intent: Question, rule: asked}, true)
	} else {
		add(first(Question, questions, rest))
	}
	return out
}
