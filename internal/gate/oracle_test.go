package gate_test

import (
	"archive/zip"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/rulepacks"
)

// The oracle says minute by minute whether a window is open, from the text of the packs alone and by counting minutes: it
// shares no code with package rule. A local day opens at the last minute whose clock shows the opening and closes at the first
// whose clock shows the closing or is past it. Where the clocks go back over an end of the hours, that is the strict reading.

// hoursOf is a contact window as its pack writes it.
type hoursOf struct {
	rule     string
	days     map[string][]string
	closed   bool // holidays
	calendar string
	purpose  string
	channel  string
}

// windows reads every contact window with hours of its own from the shipped packs. Windows with the same hours are the
// same question and are asked once.
func windows(t *testing.T) []hoursOf {
	t.Helper()
	files, err := fs.Glob(rulepacks.FS, "*/pack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out []hoursOf
	seen := map[string]bool{}
	for _, file := range files {
		src, err := fs.ReadFile(rulepacks.FS, file)
		if err != nil {
			t.Fatal(err)
		}
		var pack struct {
			Rules []struct {
				ID   string `yaml:"id"`
				Kind string `yaml:"kind"`
				When struct {
					Purpose []string `yaml:"purpose"`
					Channel []string `yaml:"channel"`
				} `yaml:"when"`
				Params map[string]any `yaml:"params"`
			} `yaml:"rules"`
		}
		if err := yaml.Unmarshal(src, &pack); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, r := range pack.Rules {
			days, ok := r.Params["days"].(map[string]any)
			if r.Kind != "contact_window" || !ok {
				continue
			}
			w := hoursOf{rule: r.ID, days: map[string][]string{}, closed: r.Params["holidays"] == "closed", purpose: "collection", channel: "call_agent"}
			w.calendar, _ = r.Params["calendar"].(string)
			for day, hours := range days {
				for _, clock := range hours.([]any) {
					w.days[day] = append(w.days[day], clock.(string))
				}
			}
			if len(r.When.Purpose) > 0 && !slices.Contains(r.When.Purpose, w.purpose) {
				w.purpose = r.When.Purpose[0]
			}
			if len(r.When.Channel) > 0 && !slices.Contains(r.When.Channel, w.channel) {
				w.channel = r.When.Channel[0]
			}
			key := fmt.Sprint(slices.Sorted(maps.Keys(w.days)), w.days, w.closed, w.calendar != "")
			if !seen[key] {
				seen[key] = true
				out = append(out, w)
			}
		}
	}
	if len(out) == 0 {
		t.Fatal("no pack has a contact window")
	}
	// Shipped windows open after the hours at which clocks are changed; these do not.
	for _, days := range []map[string][]string{
		{"*": {"01:30", "23:30"}}, {"*": {"00:30", "02:30"}}, {"*": {"02:15", "02:45"}}, {"*": {"00:00", "24:00"}},
		{"sun": {"01:00", "03:00"}, "mon-fri": {"23:00", "24:00"}}, {"fri-sat": {"00:00", "00:30"}},
	} {
		out = append(out, hoursOf{rule: fmt.Sprint(days), days: days, purpose: "collection", channel: "call_agent"})
	}
	return out
}

// pack makes a pack of the window alone, for every contact.
func (w *hoursOf) pack(t *testing.T) *rule.Set {
	t.Helper()
	var b strings.Builder
	b.WriteString("id: oracle\nversion: \"1\"\njurisdiction: \"*\"\nrules:\n  - id: W-01\n    kind: contact_window\n    title: {zh: 时间, en: hours}\n    force: law\n    params:\n      days:\n")
	for _, k := range slices.Sorted(maps.Keys(w.days)) {
		fmt.Fprintf(&b, "        %q: [%q, %q]\n", k, w.days[k][0], w.days[k][1])
	}
	if w.calendar != "" {
		fmt.Fprintf(&b, "      calendar: %s\n", w.calendar)
	}
	if w.closed {
		b.WriteString("      holidays: closed\n")
	}
	b.WriteString("    effect: defer\n    reason: closed\n    source: {instrument: oracle, read: primary, checked_on: 2026-11-23}\n")
	p, err := rule.Load("oracle/pack.yaml", []byte(b.String()))
	if err != nil {
		t.Fatalf("%s: %v\n%s", w.rule, err, b.String())
	}
	s, err := rule.NewSet([]*rule.Pack{p})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// span returns the minutes of the day between which the window is open on a day; nothing if it is closed.
func (w *hoursOf) span(t *testing.T, y int, m time.Month, d int, holiday bool) (from, to int) {
	t.Helper()
	names := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	day := time.Date(y, m, d, 12, 0, 0, 0, time.UTC).Weekday()
	key := ""
	for k := range w.days {
		if first, last, ok := strings.Cut(k, "-"); ok {
			for i := slices.Index(names, first); ; i = (i + 1) % 7 {
				if i == int(day) {
					key = k
				}
				if names[i] == last {
					break
				}
			}
		} else if k == names[day] {
			key = k
		}
	}
	if _, ok := w.days["*"]; ok && key == "" {
		key = "*"
	}
	if holiday && w.closed {
		return 0, 0
	}
	if _, ok := w.days["holiday"]; ok && holiday {
		key = "holiday"
	}
	if key == "" {
		return 0, 0
	}
	return minuteOf(t, w.days[key][0]), minuteOf(t, w.days[key][1])
}

func minuteOf(t *testing.T, clock string) int {
	t.Helper()
	var h, m int
	if _, err := fmt.Sscanf(clock, "%d:%d", &h, &m); err != nil {
		t.Fatal(err)
	}
	return h*60 + m
}

// localDay is the minutes of one local day in the order in which they pass, by their index from the first minute counted.
type localDay struct {
	year, yday int
	month      time.Month
	day        int
	index      []int
	clock      []int
}

// countDays goes through every minute from start for n minutes and sorts them by local day.
func countDays(loc *time.Location, start time.Time, n int) []*localDay {
	var days []*localDay
	byDate := map[[2]int]*localDay{}
	// The local time of a minute is that of the offset in force; offsets are looked up in runs, or three years of every zone
	// would take an hour.
	for i := 0; i < n; {
		at := start.Add(time.Duration(i) * time.Minute)
		_, end := at.In(loc).ZoneBounds()
		run := n - i
		if !end.IsZero() {
			run = min(run, int(end.Sub(at)/time.Minute))
		}
		_, offset := at.In(loc).Zone()
		wall := at.Add(time.Duration(offset) * time.Second)
		for j := range max(run, 1) {
			w := wall.Add(time.Duration(j) * time.Minute)
			var last *localDay
			if len(days) > 0 {
				last = days[len(days)-1]
			}
			if last == nil || last.day != w.Day() || last.month != w.Month() {
				key := [2]int{w.Year(), w.YearDay()}
				if last = byDate[key]; last == nil {
					last = &localDay{year: w.Year(), yday: w.YearDay(), month: w.Month(), day: w.Day()}
					byDate[key] = last
				}
				days = append(days, last)
			}
			last.index = append(last.index, i+j)
			last.clock = append(last.clock, w.Hour()*60+w.Minute())
		}
		i += max(run, 1)
	}
	return days
}

// oracle marks the open minutes.
func (w *hoursOf) oracle(t *testing.T, days []*localDay, n int, holidays map[civil.Date]bool) []bool {
	t.Helper()
	open := make([]bool, n)
	done := map[*localDay]bool{}
	for _, d := range days {
		if done[d] {
			continue
		}
		done[d] = true
		from, to := w.span(t, d.year, d.month, d.day, w.calendar != "" && holidays[civil.On(d.year, d.month, d.day)])
		if to <= from {
			continue
		}
		begins := len(d.clock) // the last minute that shows the opening, or where none does the first past it for good
		for begins > 0 && d.clock[begins-1] >= from && (begins == len(d.clock) || d.clock[begins] != from) {
			begins--
		}
		for i, c := range d.clock {
			if c >= to {
				break // and with it every minute that comes after one past the closing
			}
			if i >= begins {
				open[d.index[i]] = true
			}
		}
	}
	return open
}

// zoneNames lists every zone of the tz data that Go ships.
func zoneNames(t *testing.T) []string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("the go command does not answer, so zones cannot be listed: %v", err)
	}
	z, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Skipf("the tz data of the Go installation is not there, so zones cannot be listed: %v", err)
	}
	defer z.Close()
	var out []string
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, "/") && f.Name != "Factory" {
			out = append(out, f.Name)
		}
	}
	return out
}

// TestWindowOracle holds the windows against the oracle. In an ordinary run it takes a sample of zones and days;
// `make verify` (VERIFY=1) takes every zone, every window, and three years.
func TestWindowOracle(t *testing.T) {
	t.Parallel()
	all := os.Getenv("VERIFY") != ""
	const years = 3
	start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	n := int(start.AddDate(years, 0, 0).Sub(start) / time.Minute)
	holidays := map[civil.Date]bool{}
	var dates []civil.Date
	for d := civil.On(2024, 12, 20); d.Before(civil.On(2028, 2, 20)); d = d.Add(17) {
		holidays[d] = true
		dates = append(dates, d)
	}
	zones, wins := zoneNames(t), windows(t)
	checks := 0
	for zi, name := range zones {
		// Zones that change their clocks at odd hours or by odd amounts are always in the sample.
		odd := slices.Contains([]string{"Australia/Lord_Howe", "America/Nuuk", "Africa/Casablanca", "Asia/Gaza", "Asia/Beirut", "America/Havana", "Atlantic/Azores", "Africa/Cairo", "America/Asuncion", "Asia/Shanghai"}, name)
		if !all && !odd && zi%97 != 0 {
			continue
		}
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		days := countDays(loc, start, n)
		for wi := range wins {
			w := &wins[wi]
			if !all && !odd && wi%3 != zi%3 {
				continue
			}
			checks += w.compare(t, name, loc, days, start, n, dates, holidays, all)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d windows, %d checks", len(wins), checks)
	if checks < 400_000 {
		t.Errorf("only %d checks", checks)
	}
}

// compare asks the rule at every edge and the minutes beside it, and at minutes spread over the days.
func (w *hoursOf) compare(t *testing.T, zone string, loc *time.Location, days []*localDay, start time.Time, n int, dates []civil.Date, holidays map[civil.Date]bool, all bool) int {
	t.Helper()
	open := w.oracle(t, days, n, holidays)
	next := make([]int32, n+1) // the first open minute from here on
	next[n] = int32(n)
	for i := n - 1; i >= 0; i-- {
		next[i] = next[i+1]
		if open[i] {
			next[i] = int32(i)
		}
	}
	set := w.pack(t)
	cals := civil.NewCalendars(civil.NewCalendar(w.calendar, []int{2024, 2025, 2026, 2027, 2028}, dates))
	f := &rule.Facts{
		Phase: rule.PhaseSend, Person: &duly.Person{Borrower: duly.Borrower{Zones: []duly.Zone{{Name: zone}}}},
		Contact: &duly.Contact{Channel: duly.Channel(w.channel), Purpose: duly.Purpose(w.purpose)}, Calendars: cals, ClockOK: true,
	}
	stride := 97
	if all {
		stride = 15
	}
	h := fnv.New32()
	fmt.Fprint(h, zone, w.rule)
	checks := 0
	for i := range n - 41*24*60 { // the last days look ahead past the end
		edge := i > 0 && open[i] != open[i-1] || open[i+1] != open[i]
		if !edge && (i+int(h.Sum32()%97))%stride != 0 {
			continue
		}
		checks++
		f.Now = start.Add(time.Duration(i) * time.Minute)
		v := set.View(f)
		var got duly.Reason
		for r := range set.Rules(v) {
			got = r.Judge(v, f.Now)
		}
		v.Release()
		want := start.Add(time.Duration(next[i]) * time.Minute)
		switch {
		case open[i] != (got.Verdict == duly.NoVerdict):
			t.Errorf("%s in %s at %s: open %t by counting, and the rule says %s (%s)", w.rule, zone, f.Now.In(loc), open[i], got.Verdict, got.Facts)
			return checks
		case !open[i] && !got.Until.Equal(want):
			t.Errorf("%s in %s at %s: opens at %s by counting, and the rule says %s", w.rule, zone, f.Now.In(loc), want.In(loc), got.Until.In(loc))
			return checks
		}
	}
	return checks
}
