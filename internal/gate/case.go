package gate

import (
	"errors"
	"fmt"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/rule"
)

// Limits of a file of cases.
const (
	MaxCaseBytes = 1 << 20
	MaxCases     = 5000
)

// Case is one question with the answer that it must get: how a rule pack is tested. Times are written as RFC 3339 with
// an offset, amounts in minor units.
type Case struct {
	ID           string   `yaml:"id"`
	Type         string   `yaml:"type"` // contact_decision, which "" is too
	Title        string   `yaml:"title"`
	Why          string   `yaml:"why"`
	Jurisdiction string   `yaml:"jurisdiction"` // the borrower's country, unless borrower.country says it
	Packs        []string `yaml:"packs"`        // the packs asked; none is the pack that the case stands with
	Phase        string   `yaml:"phase"`
	Now          string   `yaml:"now"`
	Contact      struct {
		ID       string  `yaml:"id"`
		Channel  string  `yaml:"channel"`
		Purpose  string  `yaml:"purpose"`
		Party    string  `yaml:"party"`
		Person   string  `yaml:"person"`
		Loan     *string `yaml:"loan"`
		Address  address `yaml:"address"`
		Days     int     `yaml:"days_past_due"`
		Template struct {
			Text *string `yaml:"text"`
		} `yaml:"template"`
		Action  string `yaml:"action"`
		Minutes int    `yaml:"expected_minutes"`
	} `yaml:"contact"`
	Actor struct {
		Type       string `yaml:"type"`
		ThirdParty bool   `yaml:"third_party"`
		Certified  bool   `yaml:"certified"`
		Reviewed   bool   `yaml:"human_reviewed"`
		Verified   bool   `yaml:"identity_verified"`
	} `yaml:"actor"`
	Borrower struct {
		Zones   *[]string `yaml:"timezones"`
		Country *string   `yaml:"country"`
	} `yaml:"borrower"`
	Loan struct {
		Product string `yaml:"product"`
		Due     *int64 `yaml:"amount_due"`
	} `yaml:"loan"`
	State     state               `yaml:"state"`
	History   []past              `yaml:"history"`
	Calendars map[string]holidays `yaml:"calendars"`
	FeedAge   *int                `yaml:"feed_age_minutes"` // -1: the feed was never read
	ClockOK   *bool               `yaml:"clock_ok"`
	Expect    expectation         `yaml:"expect"`

	file     string
	defaults defaults
}

// expectation is the answer that a case must get. Reason and rule must be among the reasons, together.
type expectation struct {
	Verdict   string `yaml:"verdict"`
	NotBefore string `yaml:"not_before"`
	Reason    string `yaml:"reason"`
	Rule      string `yaml:"rule"`
}

// defaults stand in a file of cases for what its cases leave out.
type defaults struct {
	Now       string   `yaml:"now"`
	Zones     []string `yaml:"timezones"`
	Country   string   `yaml:"country"`
	AmountDue int64    `yaml:"amount_due"`
	Text      string   `yaml:"text"`
}

type address struct {
	ID     string `yaml:"id"`
	Kind   string `yaml:"kind"`
	Source string `yaml:"source"`
}

type state struct {
	Consents []struct {
		Key       string `yaml:"key"`
		At        string `yaml:"at"`
		Until     string `yaml:"until"`
		Withdrawn string `yaml:"withdrawn_at"`
	} `yaml:"consents"`
	OptOuts []struct {
		Key  string `yaml:"key"`
		At   string `yaml:"at"`
		Loan string `yaml:"loan"`
	} `yaml:"optouts"`
	Holds []struct {
		Type    string `yaml:"type"`
		Loan    string `yaml:"loan"`
		Address string `yaml:"address"`
		From    string `yaml:"from"`
		Until   string `yaml:"until"`
	} `yaml:"holds"`
	Notices []struct {
		Type string `yaml:"type"`
		At   string `yaml:"at"`
	} `yaml:"notices"`
	Flags       []string `yaml:"flags"`
	Unreachable bool     `yaml:"debtor_unreachable"`
	Refused     bool     `yaml:"contact_refused"`
	Restricted  bool     `yaml:"processing_restricted"`
	Vulnerable  bool     `yaml:"vulnerable"`
}

// past is a contact that was. With a state it is one of Duly's own, else one from outside.
type past struct {
	At        string  `yaml:"at"`
	Channel   string  `yaml:"channel"`
	Outcome   string  `yaml:"outcome"`
	State     string  `yaml:"state"`
	Purpose   string  `yaml:"purpose"`
	Direction string  `yaml:"direction"`
	Person    string  `yaml:"person"`
	Loan      *string `yaml:"loan"`
	Address   *string `yaml:"address"`
}

type holidays struct {
	Years []int    `yaml:"years"`
	Dates []string `yaml:"dates"`
}

// LoadCases reads a file of cases, named name in errors. It refuses unknown keys.
func LoadCases(name string, src []byte) ([]Case, error) {
	if len(src) > MaxCaseBytes {
		return nil, duly.Errorf(duly.Invalid, "the file of cases is larger than %d KiB", MaxCaseBytes>>10).At(duly.Place{File: name})
	}
	var file struct {
		Defaults defaults `yaml:"defaults"`
		Cases    []Case   `yaml:"cases"`
	}
	if err := yaml.UnmarshalWithOptions(src, &file, yaml.Strict()); err != nil {
		place := duly.Place{File: name}
		msg := "the file is not well-formed YAML"
		if e, ok := errors.AsType[yaml.Error](err); ok {
			msg = e.GetMessage()
			if tk := e.GetToken(); tk != nil && tk.Position != nil {
				place.Line, place.Column = tk.Position.Line, tk.Position.Column
			}
		}
		return nil, duly.Errorf(duly.Invalid, "%s", msg).At(place)
	}
	if len(file.Cases) == 0 || len(file.Cases) > MaxCases {
		return nil, duly.Errorf(duly.Invalid, "must have 1 to %d cases", MaxCases).At(duly.Place{File: name, Field: "cases"})
	}
	seen := map[string]bool{}
	var problems []error
	for i := range file.Cases {
		c := &file.Cases[i]
		c.file, c.defaults = name, file.Defaults
		if c.ID == "" || seen[c.ID] {
			problems = append(problems, c.problem("id", "case %d has no id of its own", i+1))
		}
		seen[c.ID] = true
		if c.Type != "" && c.Type != "contact_decision" {
			problems = append(problems, c.problem("type", "is not a question to the gate"))
		} else if _, err := c.Facts(); err != nil {
			problems = append(problems, err)
		}
	}
	return file.Cases, errors.Join(problems...)
}

func (c *Case) problem(field, format string, args ...any) error {
	return duly.Errorf(duly.Invalid, format, args...).At(duly.Place{File: c.file, Field: "cases." + c.ID + "." + field})
}

// Facts makes the facts that the case describes.
func (c *Case) Facts() (*rule.Facts, error) {
	b := &builder{c: c}
	now := b.time("now", or(c.Now, c.defaults.Now))
	p := &duly.Person{Borrower: duly.Borrower{ID: "D1", Country: c.defaults.Country}}
	if c.Jurisdiction != "" {
		p.Borrower.Country = c.Jurisdiction
	}
	set(&p.Borrower.Country, c.Borrower.Country)
	zones := c.defaults.Zones
	set(&zones, c.Borrower.Zones)
	for _, z := range zones {
		p.Borrower.Zones = append(p.Borrower.Zones, duly.Zone{Name: z, Source: duly.ZoneStated})
	}
	f := &rule.Facts{
		Phase: rule.Phase(or(c.Phase, string(rule.PhaseSend))), Now: now, Person: p, Contact: b.contact(now), DaysPastDue: c.Contact.Days,
		Party: c.Contact.Party, Text: c.defaults.Text, AmountDue: c.defaults.AmountDue, Action: c.Contact.Action,
		Length: time.Duration(c.Contact.Minutes) * time.Minute, FeedAt: now, FeedMaxAge: 15 * time.Minute, ClockOK: true,
		Actor: rule.Actor{
			Type: c.Actor.Type, ThirdParty: c.Actor.ThirdParty, Certified: c.Actor.Certified, HumanReviewed: c.Actor.Reviewed,
			IdentityVerified: c.Actor.Verified,
		},
	}
	set(&f.Text, c.Contact.Template.Text)
	set(&f.AmountDue, c.Loan.Due)
	set(&f.ClockOK, c.ClockOK)
	if c.FeedAge != nil {
		f.FeedAt = now.Add(-time.Duration(*c.FeedAge) * time.Minute)
		if *c.FeedAge < 0 {
			f.FeedAt = time.Time{}
		}
	}
	b.state(p, f)
	b.history(p)
	f.Calendars = b.calendars()
	b.time("expect.not_before", c.Expect.NotBefore)
	return f, errors.Join(b.problems...)
}

// builder makes facts of a case and keeps its problems.
type builder struct {
	c        *Case
	problems []error
}

func (b *builder) fail(field, format string, args ...any) {
	b.problems = append(b.problems, b.c.problem(field, format, args...))
}

func (b *builder) time(field, s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		b.fail(field, "must be a time written as 2026-03-10T21:59:59+08:00")
	}
	return t
}

func (b *builder) contact(now time.Time) *duly.Contact {
	c := &b.c.Contact
	loan := "L1"
	set(&loan, c.Loan)
	out := &duly.Contact{
		ID: duly.ContactID(or(c.ID, "judged")), BorrowerID: "D1", Channel: duly.Channel(c.Channel), Purpose: duly.Purpose(c.Purpose),
		PointID: duly.PointID(or(c.Address.ID, "A1")), State: duly.Planned, NotBefore: now,
	}
	if loan != "" {
		out.Items = []duly.Item{{LoanID: duly.LoanID(loan), No: 1, Outstanding: money.New(1, "CNY")}}
	}
	return out
}

func (b *builder) state(p *duly.Person, f *rule.Facts) {
	s := &b.c.State
	p.Borrower.Flags = append(p.Borrower.Flags, s.Flags...)
	for _, flag := range []struct {
		name string
		set  bool
	}{{"debtor_unreachable", s.Unreachable}, {"contact_refused", s.Refused}, {"processing_restricted", s.Restricted}, {"vulnerable", s.Vulnerable}} {
		if flag.set {
			p.Borrower.Flags = append(p.Borrower.Flags, flag.name)
		}
	}
	for _, x := range s.Consents {
		p.Consents = append(p.Consents, duly.Consent{
			Key: x.Key, GivenAt: b.time("state.consents", x.At), Until: b.time("state.consents", x.Until),
			WithdrawnAt: b.time("state.consents", x.Withdrawn),
		})
	}
	for _, x := range s.OptOuts {
		p.OptOuts = append(p.OptOuts, duly.OptOut{Key: x.Key, LoanID: duly.LoanID(x.Loan), At: b.time("state.optouts", x.At)})
	}
	for _, x := range s.Holds {
		h := duly.Hold{Kind: x.Type, Scope: duly.HoldPerson, LoanID: duly.LoanID(x.Loan), PointID: duly.PointID(x.Address),
			From: b.time("state.holds", x.From), Until: b.time("state.holds", x.Until)}
		if x.Loan != "" {
			h.Scope = duly.HoldLoan
		} else if x.Address != "" {
			h.Scope = duly.HoldAddress
		}
		p.Holds = append(p.Holds, h)
	}
	for _, x := range s.Notices {
		f.Notices = append(f.Notices, rule.Notice{Type: x.Type, At: b.time("state.notices", x.At)})
	}
}

func (b *builder) history(p *duly.Person) {
	for i, x := range b.c.History {
		loan, point := "L1", "A1"
		set(&loan, x.Loan)
		set(&point, x.Address)
		at := b.time("history", x.At)
		if x.State == "" {
			p.Touches = append(p.Touches, duly.Touch{
				ID: fmt.Sprint(i), LoanID: duly.LoanID(loan), PointID: duly.PointID(point), Channel: duly.Channel(x.Channel),
				Purpose: duly.Purpose(x.Purpose), Inbound: x.Direction == "in", Outcome: x.Outcome, At: at,
			})
			continue
		}
		c := duly.Contact{
			ID: duly.ContactID(fmt.Sprintf("past-%03d", i)), Channel: duly.Channel(x.Channel), Purpose: duly.Purpose(x.Purpose), PointID: duly.PointID(point),
			State: duly.ContactState(x.State), NotBefore: at, SentAt: at, Items: []duly.Item{{LoanID: duly.LoanID(loan), No: 1}},
		}
		if !c.State.Known() {
			b.fail("history", "unknown state of a contact")
		}
		if c.State == duly.Planned {
			c.SentAt = time.Time{}
		}
		p.Contacts = append(p.Contacts, c)
	}
}

func (b *builder) calendars() *civil.Calendars {
	var list []*civil.Calendar
	for name, h := range b.c.Calendars {
		var days []civil.Date
		for _, s := range h.Dates {
			d, err := civil.Parse(s)
			if err != nil {
				b.fail("calendars."+name, "%v", err)
			}
			days = append(days, d)
		}
		list = append(list, civil.NewCalendar(name, h.Years, days))
	}
	return civil.NewCalendars(list...)
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// set replaces *to where a case gives a value.
func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}
