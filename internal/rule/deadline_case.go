package rule

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// CaseDeadline is the type of a case that asks for a deadline, in a file of cases.
const CaseDeadline = "deadline"

// maxCaseBytes and maxCases bound a file of cases.
const (
	maxCaseBytes = 1 << 20
	maxCases     = 5000
)

// DeadlineCase is one question after a deadline with the answer that it must get: how obligations are tested.
//
//   - id: DL-04
//     type: deadline
//     jurisdiction: US            # a country path, as US-DC or US/DC; EU too
//     inputs: {event: call_recording, at: 2026-02-01}
//     expect: {due: 2029-02-01, rule: US-12}
//
// The inputs are the event and its day or time, by the names of [Occurrences], and what conditions ask for. The answer is
// the day, or the time for terms of hours; rule is the obligation, or the register entry that it is a part of.
type DeadlineCase struct {
	ID           string         `yaml:"id"`
	Type         string         `yaml:"type"`
	Title        string         `yaml:"title"`
	Jurisdiction string         `yaml:"jurisdiction"`
	Packs        []string       `yaml:"packs"` // the packs asked; none is those of the jurisdiction
	Inputs       map[string]any `yaml:"inputs"`
	Calendars    map[string]struct {
		Years []int    `yaml:"years"`
		Dates []string `yaml:"dates"`
	} `yaml:"calendars"` // instead of the calendars of these names
	Expect struct {
		Due  string `yaml:"due"` // "" where the case expects none
		Rule string `yaml:"rule"`
		Lack string `yaml:"lack"` // why there is no day
	} `yaml:"expect"`
}

// LoadDeadlines reads the cases of type deadline of a file, named name in errors. Cases of other types are passed over,
// whatever they hold.
func LoadDeadlines(name string, src []byte) ([]DeadlineCase, error) {
	if len(src) > maxCaseBytes {
		return nil, duly.Errorf(duly.Invalid, "the file of cases is larger than %d KiB", maxCaseBytes>>10).At(duly.Place{File: name})
	}
	var file struct {
		Cases []DeadlineCase `yaml:"cases"`
	}
	if err := yaml.Unmarshal(src, &file); err != nil {
		place, msg := duly.Place{File: name}, "the file is not well-formed YAML"
		if e, ok := errors.AsType[yaml.Error](err); ok {
			msg = e.GetMessage()
			if tk := e.GetToken(); tk != nil && tk.Position != nil {
				place.Line, place.Column = tk.Position.Line, tk.Position.Column
			}
		}
		return nil, duly.Errorf(duly.Invalid, "%s", msg).At(place)
	}
	if len(file.Cases) > maxCases {
		return nil, duly.Errorf(duly.Invalid, "has more than %d cases", maxCases).At(duly.Place{File: name, Field: "cases"})
	}
	var out []DeadlineCase
	var problems []error
	seen := map[string]bool{}
	for i, c := range file.Cases {
		if c.Type != CaseDeadline {
			continue
		}
		if c.ID == "" || seen[c.ID] {
			problems = append(problems, duly.Errorf(duly.Invalid, "case %d has no id of its own", i+1).At(duly.Place{File: name, Field: "cases"}))
		}
		seen[c.ID] = true
		out = append(out, c)
	}
	return out, errors.Join(problems...)
}

// Run puts the case to the packs and returns what is wrong with the answer, or "". Calendars are those of the case, and cals.
func (c *DeadlineCase) Run(packs []*Pack, cals *civil.Calendars) string {
	in, err := c.incident(cals)
	if err != nil {
		return err.Error()
	}
	if len(c.Packs) > 0 {
		packs = slices.DeleteFunc(slices.Clone(packs), func(p *Pack) bool { return !slices.Contains(c.Packs, p.ID) })
	}
	all := Deadlines(packs, in)
	var got []string
	for i := range all {
		d := &all[i]
		if c.expects() && c.asks(d.Rule) && d.Lack == c.Expect.Lack && d.falls(c.Expect.Due) {
			return ""
		}
		got = append(got, d.Rule+" "+d.When())
	}
	if !c.expects() && len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("got [%s], want [%s]", strings.Join(got, "; "), strings.TrimSpace(c.Expect.Rule+" "+c.Expect.Due+c.Expect.Lack))
}

// expects reports whether the case expects any duty to follow.
func (c *DeadlineCase) expects() bool { return c.Expect.Rule+c.Expect.Due+c.Expect.Lack != "" }

// asks reports whether the case expects the obligation: by its id, or by the register entry of which it is a part.
func (c *DeadlineCase) asks(id string) bool {
	want := c.Expect.Rule
	return want == "" || id == want || entry(id) == want
}

// entry returns the register id without the letter that tells parts of one entry apart: CN-25 of CN-25b.
func entry(id string) string {
	if n := len(id); n > 1 && id[n-1] >= 'a' && id[n-1] <= 'z' && id[n-2] >= '0' && id[n-2] <= '9' {
		return id[:n-1]
	}
	return id
}

// When writes the day, or the time, or why there is none.
func (d *Deadline) When() string {
	switch {
	case d.Lack != "":
		return d.Lack
	case !d.On.IsZero():
		return d.On.String()
	}
	return d.At.In(d.zone).Format(time.RFC3339)
}

// falls reports whether the deadline is what a case writes: a day, or a time.
func (d *Deadline) falls(want string) bool {
	if want == "" || d.Lack != "" {
		return want == "" && d.Lack != ""
	}
	if day, err := civil.Parse(want); err == nil {
		return d.On == day || d.On.IsZero() && civil.In(d.At, d.zone) == day
	}
	at, err := time.Parse(time.RFC3339Nano, want)
	if err != nil {
		return false
	}
	return at.Equal(d.At) || !d.On.IsZero() && civil.Of(at) == d.On
}

// incident makes the incident that the case describes.
func (c *DeadlineCase) incident(cals *civil.Calendars) (*Incident, error) {
	in := &Incident{Country: CountryOf(c.Jurisdiction), Inputs: map[string]string{}, Calendars: cals}
	zone := ""
	for _, key := range slices.Sorted(maps.Keys(c.Inputs)) {
		v := fmt.Sprint(c.Inputs[key])
		switch key {
		case "event":
			if in.Event = FindEvent(v); in.Event == "" {
				return nil, fmt.Errorf("inputs.event: unknown event")
			}
		case "at":
			if err := in.SetTime(v); err != nil {
				return nil, fmt.Errorf("inputs.at: %w", err)
			}
		case "timezone":
			zone = v
		default:
			in.Inputs[inputName(key)] = strings.ToLower(v)
		}
	}
	if in.Event == "" || in.At.IsZero() && in.On.IsZero() {
		return nil, errors.New("inputs: must have event and at")
	}
	if zone != "" {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			return nil, errors.New("inputs.timezone: not an IANA time zone")
		}
		in.Borrower = []*time.Location{loc}
	}
	return in, c.calendars(in)
}

// inputName is the name of an input as the table has it.
func inputName(key string) string {
	if key == "extended" || key == "extension" {
		return "complex"
	}
	return key
}

// SetTime sets when the incident was from text: a day, or a time with its zone.
func (in *Incident) SetTime(s string) (err error) {
	if in.On, err = civil.Parse(s); err == nil {
		return nil
	}
	if in.At, err = time.Parse(time.RFC3339Nano, s); err != nil {
		return errors.New("must be a day written 2026-03-10 or a time written 2026-03-10T21:59:59+08:00")
	}
	in.On = civil.Date{}
	return nil
}

// CountryOf returns a country path as packs write it, of one that somebody else wrote: US/DC is US-DC, UK is GB.
func CountryOf(s string) string {
	s = strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(s), "/", "-"))
	if s == "UK" || strings.HasPrefix(s, "UK-") {
		return "GB" + s[2:]
	}
	return s
}

// calendars puts the case's own calendars over those known.
func (c *DeadlineCase) calendars(in *Incident) error {
	if len(c.Calendars) == 0 {
		return nil
	}
	var list []*civil.Calendar
	for _, name := range in.Calendars.Names() {
		if cal, ok := in.Calendars.Get(name); ok {
			list = append(list, cal)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Calendars)) {
		var days []civil.Date
		for _, s := range c.Calendars[name].Dates {
			d, err := civil.Parse(s)
			if err != nil {
				return fmt.Errorf("calendars.%s: %w", name, err)
			}
			days = append(days, d)
		}
		list = append(list, civil.NewCalendar(name, c.Calendars[name].Years, days))
	}
	in.Calendars = civil.NewCalendars(list...)
	return nil
}

// TestDuties runs the deadlines.yaml of every folder that has obligations, and checks that every obligation is the answer to
// a case. It returns how many cases it ran, and what is wrong with them, one line each.
func TestDuties(fsys fs.FS, cals *civil.Calendars) (cases int, failures []string, err error) {
	packs, err := LoadDuties(fsys)
	if err != nil {
		return 0, nil, err
	}
	for _, p := range packs {
		name := path.Join(p.ID, deadlineFile)
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return 0, nil, fmt.Errorf("read cases: %w", err)
		}
		list, err := LoadDeadlines(name, src)
		if err != nil {
			return 0, nil, err
		}
		cases += len(list)
		asked := map[string]bool{}
		for i := range list {
			asked[list[i].Expect.Rule] = true
			if text := list[i].Run([]*Pack{p}, cals); text != "" {
				failures = append(failures, fmt.Sprintf("%s: case %s: %s", p.ID, list[i].ID, text))
			}
		}
		for i := range p.Duties {
			if id := p.Duties[i].ID; !asked[id] {
				failures = append(failures, fmt.Sprintf("%s: obligation %s: no case expects it", p.ID, id))
			}
		}
	}
	return cases, failures, nil
}
