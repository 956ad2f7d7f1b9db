package civil

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of a calendar file.
const (
	MaxCalendarFile = 1 << 20 // bytes
	MaxHolidayName  = 100     // bytes
)

// maxSpill is how many days before or after its own year a notice may speak of.
const maxSpill = 7

// holiday holds the calendars that come with Duly, one folder each: the days of the State Council's yearly notices.
//
//go:embed holiday/*/*.json
var holiday embed.FS

// Calendars is a set of calendars by name. Change it before it is shared; reading it is safe from several goroutines.
// A nil *Calendars has none.
type Calendars struct{ byName map[string]*Calendar }

// NewCalendars returns a set of the given calendars.
func NewCalendars(cs ...*Calendar) *Calendars {
	s := &Calendars{byName: map[string]*Calendar{}}
	for _, c := range cs {
		s.byName[strings.ToUpper(c.name)] = c
	}
	return s
}

// BuiltIn returns the calendars that come with Duly: CN, mainland China from 2007 on, and those that follow from law:
// BR, CO, GB, MX and US, the federal holidays.
func BuiltIn() (*Calendars, error) {
	sub, err := fs.Sub(holiday, "holiday")
	if err != nil {
		return nil, fmt.Errorf("built-in calendars: %w", err)
	}
	s, err := LoadCalendars(sub)
	if err != nil {
		return nil, err
	}
	for name, rules := range holidayRules {
		s.byName[name] = ruledCalendar(name, rules)
	}
	return s, nil
}

// LoadCalendars reads a folder that has a sub-folder for each calendar, named as it in lower case, with a file for each
// year: cn/2026.json. [Calendars.Add] tells what is in a file.
func LoadCalendars(fsys fs.FS) (*Calendars, error) {
	s := NewCalendars()
	if err := s.Load(fsys); err != nil {
		return nil, err
	}
	return s, nil
}

// Load reads a folder as LoadCalendars does; its years replace those already there.
func (s *Calendars) Load(fsys fs.FS) error {
	files, err := fs.Glob(fsys, "*/*.json")
	if err != nil {
		return fmt.Errorf("read calendars: %w", err)
	}
	for _, name := range files {
		if err := s.loadFile(fsys, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (s *Calendars) loadFile(fsys fs.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := readNotice(f)
	if err != nil {
		return err
	}
	if want := strconv.Itoa(n.Year) + ".json"; path.Base(name) != want {
		return fmt.Errorf("year: the file is of %d and must be named %s", n.Year, want)
	}
	s.put(path.Dir(name), n)
	return nil
}

// Get returns the calendar with the name, in whatever case, or false.
func (s *Calendars) Get(name string) (*Calendar, bool) {
	if s == nil {
		return nil, false
	}
	if c, ok := s.byName[name]; ok {
		return c, true
	}
	c, ok := s.byName[strings.ToUpper(name)]
	return c, ok
}

// Names lists the calendars in order.
func (s *Calendars) Names() []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.byName))
}

// Add reads one year of the calendar with the name and replaces what was known of that year. The format is that of the
// holiday-cn project: {"year": 2026, "days": [{"name": "春节", "date": "2026-02-17", "isOffDay": true}]}. It lists what
// is out of the ordinary: holidays, and weekends that are worked. A year without days is a notice that has not come: it
// counts as missing.
func (s *Calendars) Add(name string, r io.Reader) error {
	if name == "" {
		return errors.New("a calendar needs a name")
	}
	n, err := readNotice(r)
	if err != nil {
		return err
	}
	s.put(name, n)
	return nil
}

func (s *Calendars) put(name string, n *notice) {
	name = strings.ToUpper(name)
	c, ok := s.byName[name]
	if !ok {
		c = newCalendar(name)
		s.byName[name] = c
	}
	c.spills = c.spills || name == "CN" || n.beside()
	delete(c.notices, n.Year)
	if len(n.days) > 0 {
		c.notices[n.Year] = n.days
	}
	c.index()
}

// Warnings returns what [Calendar.Warnings] does, of every calendar in order of their names.
func (s *Calendars) Warnings(today Date) []Missing {
	var out []Missing
	for _, name := range s.Names() {
		out = append(out, s.byName[name].Warnings(today)...)
	}
	return out
}

// Lacking returns what those of the calendars named that are not there at all lack today, and what Warnings does of the
// others.
func (s *Calendars) Lacking(names []string, today Date) []Missing {
	var out []Missing
	for _, name := range names {
		name = strings.ToUpper(name)
		if c, ok := s.Get(name); ok {
			out = append(out, c.Warnings(today)...)
			continue
		}
		out = append(out, Missing{Calendar: name, Year: today.Year(), From: On(today.Year(), time.January, 1)})
	}
	return out
}

// notice is a year's file. Schema, ID and Papers say where it comes from and are not used.
type notice struct {
	Schema string      `json:"$schema"`
	ID     string      `json:"$id"`
	Year   int         `json:"year"`
	Papers []string    `json:"papers"`
	Days   []noticeDay `json:"days"`
	days   map[Date]Day
}

type noticeDay struct {
	Name  string `json:"name"`
	Date  string `json:"date"`
	IsOff *bool  `json:"isOffDay"`
}

func readNotice(r io.Reader) (*notice, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxCalendarFile+1))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if len(raw) > MaxCalendarFile {
		return nil, fmt.Errorf("longer than %d bytes", MaxCalendarFile)
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	n := &notice{days: map[Date]Day{}}
	if err := dec.Decode(n); err != nil {
		return nil, fmt.Errorf("not a calendar of one year: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("not a calendar of one year: more text after its end")
	}
	if n.Year < MinYear || n.Year > MaxYear {
		return nil, fmt.Errorf("year: %d is outside %d to %d", n.Year, MinYear, MaxYear)
	}
	for i, d := range n.Days {
		if err := n.take(d); err != nil {
			return nil, fmt.Errorf("days[%d].%w", i, err)
		}
	}
	return n, nil
}

// beside reports whether the notice speaks of days of the years beside its own.
func (n *notice) beside() bool {
	for d := range n.days {
		if d.Year() != n.Year {
			return true
		}
	}
	return false
}

func (n *notice) take(d noticeDay) error {
	date, err := Parse(d.Date)
	switch {
	case err != nil:
		return fmt.Errorf("date: %w", err)
	case date.Before(On(n.Year, time.January, 1-maxSpill)) || date.After(On(n.Year, time.December, 31+maxSpill)):
		return fmt.Errorf("date: %s is not of %d nor within %d days of it", date, n.Year, maxSpill)
	case d.Name == "" || len(d.Name) > MaxHolidayName:
		return fmt.Errorf("name: must have 1 to %d bytes", MaxHolidayName)
	case d.IsOff == nil:
		return errors.New("isOffDay: missing")
	}
	if _, twice := n.days[date]; twice {
		return fmt.Errorf("date: %s comes twice", date)
	}
	n.days[date] = Day{Working: !*d.IsOff, Holiday: d.Name}
	return nil
}
