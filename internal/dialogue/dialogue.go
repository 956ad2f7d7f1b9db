// Package dialogue is what the voice robot says and what it does with the answers: states that say, ask, confirm who is there, name
// the debt, take a promise, hand over to a person or hang up. A dialogue is data, a YAML file <language>/<name>.yaml, and is proved
// before it is used ([Dialogue.Prove]); playing one ([Begin]) is a pure function of keys, words and silences.
//
//	name: reminder
//	language: en
//	title: Reminder of a repayment
//	states:
//	  - id: greet
//	    say: Hello, this is an automated call from {{lender}}.
//	    next: who
//	  - id: who
//	    verify: If you are {{borrower_name}}, press 1. If not, press 2. For a person, press 0.
//	    pass: {"1": owed}
//	    on: {"2": stranger, "0": person}
//	    silence: unsure
//
// Words are filled with the variables of templates. What they hold is data and is never read as words to be filled.
package dialogue

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/message"
)

// Limits of a dialogue.
const (
	FileBytesMax = 64 << 10
	statesMax    = 60
	wordsMax     = 400 // characters of one state
	triesMax     = 5
	triesDefault = 2
	visitsMax    = 10
	waitDefault  = 6 * time.Second
	waitMin      = time.Second
	waitMax      = 30 * time.Second
	promiseMax   = 31 // days ahead; see reply.PromiseDaysMax
	matchMax     = 8
)

// Kind is what a state does.
type Kind string

// The kinds.
const (
	Say      Kind = "say"      // says words and goes on
	Ask      Kind = "ask"      // says words and waits for a key
	Verify   Kind = "verify"   // asks who is there: only its pass keys confirm the right person
	Debt     Kind = "debt"     // asks whether it is still owed, and names the debt
	Promise  Kind = "promise"  // asks for the day of payment
	Transfer Kind = "transfer" // hands the call over to a person
	End      Kind = "end"      // says words and hangs up
)

// kinds is the one table of kinds: whether the robot listens there, and which keys of the file each takes besides id, its own and
// those of all.
var kinds = []struct {
	kind    Kind
	listens bool
	keys    []string
}{
	{Say, false, []string{"next"}},
	{Ask, true, []string{"on", "words", "silence", "otherwise", "tries", "wait", "barge"}},
	{Verify, true, []string{"pass", "match", "on", "words", "silence", "otherwise", "tries", "wait", "barge"}},
	{Debt, false, []string{"next", "settled", "barge"}},
	{Promise, true, []string{"days", "digits", "next", "on", "words", "silence", "otherwise", "tries", "wait", "barge"}},
	{Transfer, false, []string{"otherwise"}},
	{End, false, nil},
}

// Outcome is what came of a call, as far as the dialogue goes.
type Outcome string

// The outcomes. A promise comes of a promise state alone, and an agent of a transfer that was taken.
const (
	NoOutcome   Outcome = ""
	Promised    Outcome = "promise"
	NeedsTime   Outcome = "needs_time"
	WantsPerson Outcome = "person"
	SaysPaid    Outcome = "paid"
	WrongNumber Outcome = "wrong_number"
	Refuses     Outcome = "refuses"
	Agent       Outcome = "agent"
)

// outcomes are those that a state may have, and whether they say something of the debt.
var outcomes = map[Outcome]bool{NeedsTime: true, SaysPaid: true, WantsPerson: false, WrongNumber: false, Refuses: false}

// Dialogue is one file, checked. It does not change.
type Dialogue struct {
	Name     string
	Language string
	Title    string
	Hash     string
	File     string
	states   []State
	index    map[string]int
}

// State is one state.
type State struct {
	ID        string
	Kind      Kind
	Words     string            // with placeholders
	Next      string            // where it goes on: say, debt, and promise once a day was named
	Pass      map[string]string // verify: the keys that confirm the right person, and where they lead; "match": digits that were right
	Match     string            // verify: the variable whose last digits are to be keyed in
	On        map[string]string // keys, and where they lead
	Heard     map[string]string // words, and the key that each stands for
	Days      map[string]int    // promise: keys, and how many days ahead each means
	Digits    int               // promise: four digits, the month and the day; verify: how many digits Match has
	Silence   string            // where it goes after Tries without a key
	Otherwise string            // where it goes after Tries of keys that mean nothing here; transfer: where nobody took it
	Settled   string            // debt: where it goes if it is no longer owed
	Tries     int
	Wait      time.Duration
	Barge     bool // a key stops the words
	Visits    int  // how often it may be entered; 0 is without a bound
	Then      string
	Outcome   Outcome
	line      int
}

// Listens reports whether the robot waits for a key there.
func (s *State) Listens() bool { return kinds[kindIndex(s.Kind)].listens }

func kindIndex(k Kind) int {
	for i := range kinds {
		if kinds[i].kind == k {
			return i
		}
	}
	return -1
}

// States returns the states in the order of the file; the first is where a call begins.
func (d *Dialogue) States() []State { return slices.Clone(d.states) }

func (d *Dialogue) state(id string) *State {
	if i, ok := d.index[id]; ok {
		return &d.states[i]
	}
	return nil
}

// file and row are a dialogue as it is written.
type file struct {
	Name     string `yaml:"name"`
	Language string `yaml:"language"`
	Title    string `yaml:"title"`
	States   []row  `yaml:"states"`
}

type fields struct {
	ID        string              `yaml:"id"`
	Say       string              `yaml:"say"`
	Ask       string              `yaml:"ask"`
	Verify    string              `yaml:"verify"`
	Debt      string              `yaml:"debt"`
	Promise   string              `yaml:"promise"`
	Transfer  string              `yaml:"transfer"`
	End       string              `yaml:"end"`
	Next      string              `yaml:"next"`
	Pass      map[string]string   `yaml:"pass"`
	Match     *match              `yaml:"match"`
	On        map[string]string   `yaml:"on"`
	Words     map[string][]string `yaml:"words"`
	Days      map[string]int      `yaml:"days"`
	Digits    int                 `yaml:"digits"`
	Silence   string              `yaml:"silence"`
	Otherwise string              `yaml:"otherwise"`
	Settled   string              `yaml:"settled"`
	Tries     int                 `yaml:"tries"`
	Wait      time.Duration       `yaml:"wait"`
	Barge     *bool               `yaml:"barge"`
	Visits    int                 `yaml:"visits"`
	Then      string              `yaml:"then"`
	Outcome   string              `yaml:"outcome"`
}

// match is what is to be keyed in: the last digits of a variable.
type match struct {
	Variable string `yaml:"variable"`
	Digits   int    `yaml:"digits"`
	To       string `yaml:"to"`
}

// row is the fields of a state, which of them are given, and its line.
type row struct {
	fields
	given []string
	line  int
}

// UnmarshalYAML reads a state and keeps where it stands.
func (r *row) UnmarshalYAML(n ast.Node) error {
	r.line = n.GetToken().Position.Line
	switch m := n.(type) {
	case *ast.MappingNode:
		for _, v := range m.Values {
			r.given = append(r.given, v.Key.GetToken().Value)
		}
	case *ast.MappingValueNode:
		r.given = append(r.given, m.Key.GetToken().Value)
	default:
		return duly.Errorf(duly.Invalid, "a state is written as keys: id, and what it does").At(duly.Place{Line: r.line})
	}
	return yaml.NodeToValue(n, &r.fields, yaml.Strict())
}

// Load reads and checks the source of one dialogue: its form, and then what [Dialogue.Prove] proves. It reports all that is wrong.
func Load(name string, src []byte) (*Dialogue, error) {
	d, err := Read(name, src)
	if err != nil {
		return nil, err
	}
	return d, d.Check()
}

// Read is Load without the proof.
func Read(name string, src []byte) (*Dialogue, error) {
	if len(src) > FileBytesMax {
		return nil, duly.Errorf(duly.Invalid, "the file is larger than %d KiB", FileBytesMax>>10).At(duly.Place{File: name})
	}
	text := strings.ReplaceAll(strings.TrimPrefix(string(src), "\ufeff"), "\r\n", "\n")
	if n := tooDeep(text); n > 0 {
		return nil, duly.Errorf(duly.Invalid, "nested too deep").At(duly.Place{File: name, Line: n}).WithHint("a dialogue has a list of states with keys")
	}
	var f file
	if err := yaml.UnmarshalWithOptions([]byte(text), &f, yaml.Strict()); err != nil {
		return nil, syntax(name, err)
	}
	sum := sha256.Sum256([]byte(text))
	d := &Dialogue{
		Name: f.Name, Language: f.Language, Title: f.Title, File: name, Hash: hex.EncodeToString(sum[:12]), index: map[string]int{},
	}
	r := &reader{d: d}
	r.read(&f)
	return d, errors.Join(r.problems...)
}

// tooDeep returns the line on which brackets or marks nest deeper than any dialogue's, or 0: the parser's time grows with the square of
// that depth.
func tooDeep(text string) int {
	const depthMax, marksMax = 8, 4
	depth, n := 0, 0
	for line := range strings.Lines(text) {
		n++
		marks := 0
		for rest := strings.TrimLeft(line, " "); strings.HasPrefix(rest, "- ") || strings.HasPrefix(rest, "? ") || strings.HasPrefix(rest, ": "); marks++ {
			rest = strings.TrimLeft(rest[2:], " ")
		}
		for _, c := range line {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth--
			}
			if depth > depthMax || marks > marksMax {
				return n
			}
		}
	}
	return 0
}

// syntax says where the YAML is wrong.
func syntax(name string, err error) error {
	if e, ok := errors.AsType[*duly.Error](err); ok {
		p := e.Place
		p.File = name
		return e.At(p)
	}
	p, text := duly.Place{File: name}, "the file is not a dialogue"
	if y, ok := errors.AsType[yaml.Error](err); ok {
		text = y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			p.Line, p.Column = t.Position.Line, t.Position.Column
		}
	}
	return duly.Errorf(duly.Invalid, "%s", text).At(p).WithHint("docs/voice.md has the keys of a dialogue; put words with a colon in quotes")
}

// reader turns the rows of a file into states.
type reader struct {
	d        *Dialogue
	problems []error
}

func (r *reader) fail(line int, field, hint, format string, args ...any) {
	r.problems = append(r.problems, duly.Errorf(duly.Invalid, format, args...).
		At(duly.Place{File: r.d.File, Line: line, Field: field}).WithHint("%s", hint))
}

func (r *reader) read(f *file) {
	if !plainName(f.Name) {
		r.fail(1, "name", "use small letters, digits and hyphens", "the name must have 1 to 64 of them")
	}
	if f.Title == "" {
		r.fail(1, "title", "say in a few words what the call is", "is missing")
	}
	if !slices.Contains(Languages(), f.Language) {
		r.fail(1, "language", "the languages are "+strings.Join(Languages(), ", "), "the robot does not speak this language")
	}
	if len(f.States) == 0 || len(f.States) > statesMax {
		r.fail(1, "states", "see the dialogues that ship", "there must be 1 to %d states", statesMax)
	}
	for i := range f.States {
		s := r.state(&f.States[i])
		if _, twice := r.d.index[s.ID]; twice {
			r.fail(s.line, "id", "give it a name of its own", "there are two states %s", s.ID)
		}
		r.d.index[s.ID] = len(r.d.states)
		r.d.states = append(r.d.states, s)
	}
}

// Languages lists the languages that the robot speaks.
func Languages() []string { return []string{"zh-CN", "en"} }

func plainName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// state reads one state.
func (r *reader) state(w *row) State {
	s := State{
		ID: w.ID, Next: w.Next, Pass: w.Pass, On: w.On, Days: w.Days, Digits: w.Digits, Silence: w.Silence, Otherwise: w.Otherwise,
		Settled: w.Settled, Tries: w.Tries, Wait: w.Wait, Visits: w.Visits, Then: w.Then, Outcome: Outcome(w.Outcome), line: w.line,
	}
	if !plainName(w.ID) {
		r.fail(w.line, "id", "use small letters, digits, _ and -", "a state needs an id of 1 to 64 of them")
	}
	found := 0
	for _, k := range kinds {
		if slices.Contains(w.given, string(k.kind)) {
			found++
			s.Kind = k.kind
		}
	}
	if found != 1 {
		r.fail(w.line, w.ID, "say, ask, verify, debt, promise, transfer or end", "a state does exactly one thing")
		s.Kind = End
		return s
	}
	s.Words = strings.TrimSpace(map[Kind]string{
		Say: w.Say, Ask: w.Ask, Verify: w.Verify, Debt: w.Debt, Promise: w.Promise, Transfer: w.Transfer, End: w.End,
	}[s.Kind])
	r.belongs(w, s.Kind)
	r.words(&s)
	r.keys(w, &s)
	r.bounds(w, &s)
	return s
}

// belongs refuses keys that the kind does not take.
func (r *reader) belongs(w *row, k Kind) {
	takes := append([]string{"id", string(k), "visits", "then", "outcome"}, kinds[kindIndex(k)].keys...)
	for _, g := range w.given {
		if !slices.Contains(takes, g) {
			r.fail(w.line, w.ID+"."+g, "it takes "+strings.Join(takes, ", "), "%s has no %s", k, g)
		}
	}
}

// words checks the words and what they are filled with.
func (r *reader) words(s *State) {
	if s.Words == "" && s.Kind != End {
		r.fail(s.line, s.ID, "write what is said", "has no words")
	}
	if n := len([]rune(s.Words)); n > wordsMax {
		r.fail(s.line, s.ID, "say it in two states", "has more than %d characters", wordsMax)
	}
	if _, err := fill(s.Words, func(string) (string, bool) { return "x", true }); err != nil {
		r.fail(s.line, s.ID, "write {{name}}; the names are those of `duly strategy variables`", "%v", err)
		return
	}
	for _, name := range placeholders(s.Words) {
		if !slices.ContainsFunc(message.Variables(), func(v message.Variable) bool { return v.Name == name }) {
			r.fail(s.line, s.ID, "the names are those that docs/voice.md lists", "there is no variable %q", name)
		}
	}
}

const keypad = "0123456789*#"

func isKey(k string) bool { return len(k) == 1 && strings.Contains(keypad, k) }

// keys checks what may be pressed.
func (r *reader) keys(w *row, s *State) {
	for _, m := range []map[string]string{s.On, s.Pass} {
		for _, k := range sorted(m) {
			if !isKey(k) {
				r.fail(s.line, s.ID, "write one of 0 to 9, * and #, in quotes", "%q is not a key", k)
			}
		}
	}
	for k := range s.Pass {
		if s.On[k] != "" {
			r.fail(s.line, s.ID+".on", "keep one", "key %s leads two ways", k)
		}
	}
	s.Heard = map[string]string{}
	for _, k := range sorted(w.Words) {
		if s.On[k] == "" && s.Pass[k] == "" && !has(s.Days, k) {
			r.fail(s.line, s.ID+".words", "words stand for a key of on, pass or days", "there is no key %q here", k)
		}
		for _, word := range w.Words[k] {
			if word = Fold(word); word == "" || s.Heard[word] != "" {
				r.fail(s.line, s.ID+".words", "give each word once", "a word is empty, or stands for two keys")
				continue
			}
			s.Heard[word] = k
		}
	}
	switch s.Kind {
	case Verify:
		r.identity(w, s)
	case Promise:
		r.day(s)
	case Say, Ask, Debt, Transfer, End:
	}
}

func has(m map[string]int, k string) bool { _, ok := m[k]; return ok }

// identity checks how the right person is confirmed.
func (r *reader) identity(w *row, s *State) {
	if w.Match == nil {
		if len(s.Pass) == 0 {
			r.fail(s.line, s.ID, "give pass, the keys that confirm, or match, the digits to be keyed in", "nothing confirms the right person")
		}
		return
	}
	s.Match, s.Digits = w.Match.Variable, w.Match.Digits
	switch {
	case len(s.Pass) > 0:
		r.fail(s.line, s.ID+".pass", "keep match alone", "digits confirm here, not a key")
	case s.Match != "contract_tail" && s.Match != "code":
		r.fail(s.line, s.ID+".match.variable", "contract_tail, or code where it was sent before", "cannot be keyed in")
	case s.Digits < 3 || s.Digits > matchMax:
		r.fail(s.line, s.ID+".match.digits", "write 4", "must be from 3 to %d", matchMax)
	}
	s.Pass = map[string]string{passMatch: w.Match.To}
	r.onlyStar(s)
}

// passMatch is the pass of digits that were right.
const passMatch = "match"

// day checks how a day is named.
func (r *reader) day(s *State) {
	if (len(s.Days) == 0) == (s.Digits == 0) {
		r.fail(s.line, s.ID, "days: {\"1\": 0, \"2\": 1}, or digits: 4 for month and day", "give days or digits, one of them")
	}
	for k, n := range s.Days {
		if !isKey(k) || s.On[k] != "" || n < 0 || n > promiseMax {
			r.fail(s.line, s.ID+".days", "one key for each, which leads nowhere else, and 0 to 31 days", "key %q: %d days", k, n)
		}
	}
	if s.Digits != 0 {
		if s.Digits != 4 {
			r.fail(s.line, s.ID+".digits", "write 4", "a day is keyed in as month and day")
		}
		r.onlyStar(s)
	}
}

// onlyStar allows only * beside digits: any other key would be one of them.
func (r *reader) onlyStar(s *State) {
	for k := range s.On {
		if k != "*" {
			r.fail(s.line, s.ID+".on", "use * where digits are keyed in", "key %s is a digit of the answer", k)
		}
	}
}

// bounds checks numbers and fills in defaults.
func (r *reader) bounds(w *row, s *State) {
	if s.Listens() {
		if s.Tries == 0 {
			s.Tries = triesDefault
		}
		if s.Wait == 0 {
			s.Wait = waitDefault
		}
		if s.Tries < 1 || s.Tries > triesMax {
			r.fail(s.line, s.ID+".tries", "leave it out for 2", "must be from 1 to %d", triesMax)
		}
		if s.Wait < waitMin || s.Wait > waitMax {
			r.fail(s.line, s.ID+".wait", "leave it out for 6s", "must be from %s to %s", waitMin, waitMax)
		}
		if s.Otherwise == "" {
			s.Otherwise = s.Silence
		}
	}
	s.Barge = (s.Listens() || s.Kind == Debt) && (w.Barge == nil || *w.Barge)
	if (s.Visits == 0) != (s.Then == "") || s.Visits < 0 || s.Visits > visitsMax {
		r.fail(s.line, s.ID+".visits", "visits: 2 with then: where it goes after them", "visits, from 1 to %d, and then belong together", visitsMax)
	}
	if _, ok := outcomes[s.Outcome]; !ok && s.Outcome != NoOutcome {
		r.fail(s.line, s.ID+".outcome", "needs_time, person, paid, wrong_number or refuses", "there is no outcome %q", string(s.Outcome))
	}
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Set is the dialogues of a lender, by language and name.
type Set struct{ all map[[2]string]*Dialogue }

// LoadFS loads every file <language>/<name>.yaml and proves each. It reports all problems at once.
func LoadFS(fsys fs.FS) (*Set, error) {
	files, err := fs.Glob(fsys, "*/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list dialogues: %w", err)
	}
	if len(files) == 0 {
		return nil, duly.Errorf(duly.NotFound, "there are no dialogues").WithHint("a dialogue is a file <language>/<name>.yaml, such as zh-CN/reminder.yaml")
	}
	s, problems := &Set{map[[2]string]*Dialogue{}}, []error(nil)
	for _, f := range files {
		src, err := fs.ReadFile(fsys, f)
		if err != nil {
			return nil, fmt.Errorf("read dialogue: %w", err)
		}
		d, err := Load(f, src)
		switch {
		case err != nil:
			problems = append(problems, err)
		case d.Name+".yaml" != path.Base(f) || d.Language != path.Dir(f):
			problems = append(problems, duly.Errorf(duly.Invalid, "its name and language must be those of the file and the folder").At(duly.Place{File: f}))
		default:
			s.all[[2]string{d.Language, d.Name}] = d
		}
	}
	return s, errors.Join(problems...)
}

// Names lists the dialogues of the set, each once.
func (s *Set) Names() []string {
	var out []string
	for k := range s.all {
		out = append(out, k[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Find returns the dialogue of a name in a language, or in the language that this one is a form of; nil where there is none.
func (s *Set) Find(language, name string) *Dialogue {
	if d := s.all[[2]string{language, name}]; d != nil {
		return d
	}
	base, _, _ := strings.Cut(language, "-")
	for _, l := range Languages() {
		if b, _, _ := strings.Cut(l, "-"); strings.EqualFold(b, base) {
			return s.all[[2]string{l, name}]
		}
	}
	return nil
}
