package rule

import (
	"testing"
	"time"

	"github.com/dulyhq/duly"
)

// capPack makes a set of one cap.
func capSet(t *testing.T, params, effect string) *Set {
	t.Helper()
	src := "id: p\nversion: \"1\"\njurisdiction: \"*\"\nrules:\n  - id: R-1\n    kind: frequency_cap\n    title: {zh: 上限, en: Cap}\n    force: law\n    params: " + params +
		"\n    effect: " + effect + "\n    reason: full\n    source: {instrument: Act, read: primary, checked_on: 2026-11-23, reviewer: null}\n"
	p, err := Load("f.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSet([]*Pack{p})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPeriods(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, params, effect string
		zones                []string
		at                   string
		past                 []string
		want                 duly.Verdict
		until                string
	}{
		{"under the limit", "{limit: 2, period: calendar_day, scope: [person]}", "defer", []string{"Asia/Shanghai"}, "2026-03-10T12:00:00+08:00",
			[]string{"2026-03-10T00:00:00+08:00", "2026-03-09T23:59:59+08:00"}, duly.NoVerdict, ""},
		{"at the limit", "{limit: 2, period: calendar_day, scope: [person]}", "defer", []string{"Asia/Shanghai"}, "2026-03-10T12:00:00+08:00",
			[]string{"2026-03-10T00:00:00+08:00", "2026-03-10T11:59:59+08:00"}, duly.Defer, "2026-03-11T00:00:00+08:00"},
		{"a day of 23 hours", "{limit: 1, period: calendar_day, scope: [person]}", "defer", []string{"America/New_York"}, "2026-03-08T01:00:00-05:00",
			[]string{"2026-03-08T00:30:00-05:00"}, duly.Defer, "2026-03-09T00:00:00-04:00"},
		{"two zones, full in one", "{limit: 1, period: calendar_day, scope: [person]}", "defer", []string{"Asia/Shanghai", "America/New_York"}, "2026-03-10T12:00:00+08:00",
			[]string{"2026-03-09T20:00:00+08:00"}, duly.NoVerdict, ""},
		{"two zones, yesterday there", "{limit: 1, period: calendar_day, scope: [person]}", "defer", []string{"Asia/Shanghai", "America/New_York"}, "2026-03-10T11:00:00+08:00",
			[]string{"2026-03-09T20:00:00+08:00"}, duly.Defer, "2026-03-10T12:00:00+08:00"},
		{"rolling days, today included", "{limit: 2, period: \"rolling_days:7\", scope: [person]}", "defer", []string{"America/New_York"}, "2026-04-07T12:00:00-04:00",
			[]string{"2026-04-01T23:00:00-04:00", "2026-04-05T10:00:00-04:00", "2026-03-31T10:00:00-04:00"}, duly.Defer, "2026-04-08T00:00:00-04:00"},
		{"rolling days, the oldest is out", "{limit: 2, period: \"rolling_days:7\", scope: [person]}", "defer", []string{"America/New_York"}, "2026-04-08T00:00:00-04:00",
			[]string{"2026-04-01T23:00:00-04:00", "2026-04-05T10:00:00-04:00"}, duly.NoVerdict, ""},
		{"over the limit by two", "{limit: 1, period: \"rolling_days:7\", scope: [person]}", "defer", []string{"UTC"}, "2026-04-07T12:00:00Z",
			[]string{"2026-04-01T10:00:00Z", "2026-04-03T10:00:00Z", "2026-04-05T10:00:00Z"}, duly.Defer, "2026-04-12T00:00:00Z"},
		{"week, Sunday", "{limit: 1, period: iso_week, scope: [person]}", "defer", []string{"America/Bogota"}, "2026-06-14T12:00:00-05:00",
			[]string{"2026-06-08T00:00:00-05:00"}, duly.Defer, "2026-06-15T00:00:00-05:00"},
		{"week, Monday", "{limit: 1, period: iso_week, scope: [person]}", "defer", []string{"America/Bogota"}, "2026-06-15T00:00:00-05:00",
			[]string{"2026-06-14T23:59:59-05:00"}, duly.NoVerdict, ""},
		{"length of time", "{limit: 2, period: \"rolling:24h\", scope: [person]}", "defer", []string{"UTC"}, "2026-04-07T12:00:00Z",
			[]string{"2026-04-06T12:00:01Z", "2026-04-07T09:00:00Z", "2026-04-07T10:00:00Z"}, duly.Defer, "2026-04-08T09:00:00Z"},
		{"length of time, just out", "{limit: 1, period: \"rolling:24h\", scope: [person]}", "defer", []string{"UTC"}, "2026-04-07T12:00:00Z",
			[]string{"2026-04-06T12:00:00Z"}, duly.NoVerdict, ""},
		{"ever", "{limit: 1, period: ever, scope: [person]}", "block", []string{"UTC"}, "2026-04-07T12:00:00Z", []string{"2020-01-01T00:00:00Z"}, duly.Block, ""},
		{"never", "{limit: 1, period: ever, scope: [person]}", "block", []string{"UTC"}, "2026-04-07T12:00:00Z", nil, duly.NoVerdict, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := capSet(t, c.params, c.effect)
			p := &duly.Person{Borrower: duly.Borrower{ID: "b"}}
			for _, z := range c.zones {
				p.Borrower.Zones = append(p.Borrower.Zones, duly.Zone{Name: z})
			}
			for _, at := range c.past {
				p.Touches = append(p.Touches, duly.Touch{Channel: duly.ChannelSMS, Outcome: "delivered", At: instant(t, at)})
			}
			got := judgeOne(s, &Facts{Now: instant(t, c.at), Person: p, Contact: &duly.Contact{ID: "x", Channel: duly.ChannelSMS, Purpose: duly.PurposeCollection}})
			if got.Verdict != c.want {
				t.Fatalf("verdict: got %s, want %s (%s)", got.Verdict, c.want, got.Facts)
			}
			if c.until != "" && !got.Until.Equal(instant(t, c.until)) {
				t.Errorf("until: got %s, want %s", got.Until, c.until)
			}
		})
	}
}

func judgeOne(s *Set, f *Facts) duly.Reason {
	v := s.View(f)
	defer v.Release()
	for r := range s.Rules(v) {
		return r.Judge(v, f.Now)
	}
	return duly.Reason{}
}

// TestWhatCounts puts each state of an earlier contact to a cap on calls of one person.
func TestWhatCounts(t *testing.T) {
	t.Parallel()
	now := instant(t, "2026-03-10T12:00:00Z")
	for _, c := range []struct {
		channel duly.Channel
		state   duly.ContactState
		phase   Phase
		outcome outcome
	}{
		{duly.ChannelRobot, duly.Claimed, PhaseSend, reserved},
		{duly.ChannelRobot, duly.Accepted, PhaseSend, reserved},
		{duly.ChannelRobot, duly.InDoubt, PhaseSend, reserved},
		{duly.ChannelRobot, duly.Delivered, PhaseSend, answered},
		{duly.ChannelRobot, duly.Read, PhaseSend, conversation},
		{duly.ChannelRobot, duly.Failed, PhaseSend, noAnswer},
		{duly.ChannelRobot, duly.Planned, PhaseSend, none},
		{duly.ChannelRobot, duly.Planned, PhasePlan, reserved},
		{duly.ChannelRobot, duly.Blocked, PhaseSend, none},
		{duly.ChannelRobot, duly.Cancelled, PhasePlan, none},
		{duly.ChannelSMS, duly.Accepted, PhaseSend, reserved},
		{duly.ChannelSMS, duly.Delivered, PhaseSend, delivered},
		{duly.ChannelSMS, duly.Read, PhaseSend, delivered},
		{duly.ChannelSMS, duly.Failed, PhaseSend, none},
		{duly.ChannelSMS, duly.Planned, PhasePlan, reserved},
	} {
		x := &duly.Contact{ID: "a", Channel: c.channel, State: c.state, SentAt: now.Add(-time.Hour), NotBefore: now.Add(-2 * time.Hour)}
		v := &View{Facts: &Facts{Phase: c.phase, Now: now, Contact: &duly.Contact{ID: "b"}}}
		if got, _ := outcomeOf(v, x, now); got != c.outcome {
			t.Errorf("%s %s while %s: got %q, want %q", c.channel, c.state, c.phase, got, c.outcome)
		}
		if c.state.CountsAsSent() && c.outcome == none {
			t.Errorf("%s %s counts as sent and not here", c.channel, c.state)
		}
	}
	for _, s := range duly.ContactStates() {
		x := &duly.Contact{ID: "same", Channel: duly.ChannelRobot, State: s, SentAt: now}
		k := &frequencyCap{limit: 1, period: period{unit: ever}}
		v := &View{Facts: &Facts{Phase: PhasePlan, Now: now, Contact: &duly.Contact{ID: "same"}, Person: &duly.Person{Contacts: []duly.Contact{*x}}}}
		if got := k.number(v, now, "", time.Time{}); got != 0 {
			t.Errorf("%s: the contact that is judged counts", s)
		}
	}
}

// Of two contacts planned for the same instant one goes first.
func TestPlannedTogether(t *testing.T) {
	t.Parallel()
	now := instant(t, "2026-03-10T12:00:00Z")
	a := duly.Contact{ID: "a", Channel: duly.ChannelSMS, Purpose: duly.PurposePreDue, State: duly.Planned, NotBefore: now}
	b := a
	b.ID = "b"
	s := capSet(t, "{limit: 1, period: calendar_day, scope: [person]}", "defer")
	p := &duly.Person{Borrower: duly.Borrower{Zones: []duly.Zone{{Name: "UTC"}}}, Contacts: []duly.Contact{a, b}}
	first := judgeOne(s, &Facts{Phase: PhasePlan, Now: now, Person: p, Contact: &a})
	second := judgeOne(s, &Facts{Phase: PhasePlan, Now: now, Person: p, Contact: &b})
	if first.Verdict != duly.NoVerdict || second.Verdict != duly.Defer {
		t.Errorf("got %q and %q, want the first to pass and the second to wait", first.Verdict, second.Verdict)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	now := instant(t, "2026-03-10T12:00:00Z")
	past := duly.Touch{Channel: duly.ChannelSMS, Outcome: "delivered", LoanID: "L1", PointID: "A1", At: now.Add(-time.Hour)}
	unknown := duly.Touch{Channel: duly.ChannelSMS, Outcome: "lost_in_space", At: now.Add(-time.Hour)}
	for _, c := range []struct {
		name, params string
		past         duly.Touch
		loans        []duly.LoanID
		point        duly.PointID
		want         string
	}{
		{"same loan", "{limit: 1, period: calendar_day, scope: [person, loan]}", past, []duly.LoanID{"L2", "L1"}, "", "full"},
		{"other loan", "{limit: 1, period: calendar_day, scope: [loan]}", past, []duly.LoanID{"L2"}, "", ""},
		{"of no known loan", "{limit: 1, period: calendar_day, scope: [loan]}", unknown, []duly.LoanID{"L2"}, "", "full"},
		{"about no loan", "{limit: 1, period: calendar_day, scope: [loan]}", past, nil, "", CodeMissing},
		{"same address", "{limit: 1, period: calendar_day, scope: [address]}", past, nil, "A1", "full"},
		{"other address", "{limit: 1, period: calendar_day, scope: [address]}", past, nil, "A2", ""},
		{"to no address", "{limit: 1, period: calendar_day, scope: [address]}", past, nil, "", CodeMissing},
		{"outcome not listed", "{limit: 1, period: calendar_day, scope: [person], count: {outcome: [answered]}}", past, nil, "", ""},
		{"outcome not known", "{limit: 1, period: calendar_day, scope: [person], count: {outcome: [answered]}}", unknown, nil, "", "full"},
		{"inbound only", "{limit: 1, period: calendar_day, scope: [person], count: {direction: [in]}}", past, nil, "", ""},
		{"both directions", "{limit: 1, period: calendar_day, scope: [person], count: {direction: [in, out]}}", past, nil, "", "full"},
		{"other channel", "{limit: 1, period: calendar_day, scope: [person], count: {channel: [email]}}", past, nil, "", ""},
	} {
		p := &duly.Person{Borrower: duly.Borrower{Zones: []duly.Zone{{Name: "UTC"}}}, Touches: []duly.Touch{c.past}}
		contact := &duly.Contact{ID: "x", Channel: duly.ChannelSMS, Purpose: duly.PurposePreDue, PointID: c.point}
		for _, l := range c.loans {
			contact.Items = append(contact.Items, duly.Item{LoanID: l})
		}
		if got := judgeOne(capSet(t, c.params, "defer"), &Facts{Now: now, Person: p, Contact: contact}); got.Code != c.want {
			t.Errorf("%s: got %q, want %q (%s)", c.name, got.Code, c.want, got.Facts)
		}
	}
}

func TestValidity(t *testing.T) {
	t.Parallel()
	src := "id: p\nversion: \"1\"\njurisdiction: \"*\"\nrules:\n  - id: R-1\n    kind: contact_window\n    title: {zh: 时段, en: Hours}\n    force: law\n    valid: {from: 2026-03-10, to: 2026-03-11}\n" +
		"    params: {days: {\"*\": [\"08:00\", \"09:00\"]}}\n    reason: closed\n    source: {instrument: Act, read: primary, checked_on: 2026-11-23, reviewer: null}\n"
	p, err := Load("f.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSet([]*Pack{p})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ at, until, zone string }{
		{"2026-03-09T23:59:59+08:00", "", ""}, // not yet in force
		{"2026-03-10T00:00:00+08:00", "2026-03-10T08:00:00+08:00", ""},
		{"2026-03-10T10:00:00+08:00", "2026-03-11T08:00:00+08:00", ""},
		{"2026-03-11T09:00:00+08:00", "2026-03-12T00:00:00+08:00", ""}, // it goes out of force before it opens again
		{"2026-03-12T00:00:00+08:00", "", ""},
		{"2026-03-12T00:00:00+08:00", "2026-03-12T08:00:00+08:00", "Europe/London"}, // there it is the eleventh still
		{"2026-03-11T17:00:00+08:00", "2026-03-12T08:00:00+08:00", "Europe/London"}, // it ends with the last of the zones' days
	} {
		f := &Facts{Now: instant(t, c.at), Person: &duly.Person{Borrower: duly.Borrower{Zones: []duly.Zone{{Name: "Asia/Shanghai"}}}},
			Contact: &duly.Contact{Channel: duly.ChannelSMS, Purpose: duly.PurposePreDue}}
		if c.zone != "" {
			f.Person.Borrower.Zones = append(f.Person.Borrower.Zones, duly.Zone{Name: c.zone})
		}
		got := judgeOne(s, f)
		switch {
		case c.until == "" && got.Verdict != duly.NoVerdict:
			t.Errorf("%s: got %s until %s, want no answer", c.at, got.Verdict, got.Until)
		case c.until != "" && !got.Until.Equal(instant(t, c.until)):
			t.Errorf("%s: until %s, want %s", c.at, got.Until, c.until)
		}
	}
}
