package gate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/rule"
)

func readFacts(t *testing.T, src string) *rule.Facts {
	t.Helper()
	c, err := gate.ReadCase("case", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Notes) > 0 {
		t.Fatalf("%s: not understood: %v", src, c.Notes)
	}
	f, err := c.Facts()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The same fact may be written in several ways.
func TestSpellings(t *testing.T) {
	t.Parallel()
	const now = `now: "2026-06-10T10:00:00Z", `
	length := func(want time.Duration) func(*rule.Facts) bool {
		return func(f *rule.Facts) bool { return f.Length == want }
	}
	country := func(want string) func(*rule.Facts) bool {
		return func(f *rule.Facts) bool { return f.Person.Borrower.Country == want }
	}
	flag := func(want string) func(*rule.Facts) bool {
		return func(f *rule.Facts) bool { return f.Person.Borrower.HasFlag(want) }
	}
	verified := func(f *rule.Facts) bool { return f.Actor.IdentityVerified }
	for _, c := range []struct {
		src  string
		good func(*rule.Facts) bool
	}{
		{`{contact: {expected_minutes: 10}}`, length(10 * time.Minute)},
		{`{contact: {expected_duration: 10}}`, length(10 * time.Minute)},
		{`{contact: {expected_duration: 600}}`, length(10 * time.Minute)},
		{`{contact: {expected_duration: PT10M}}`, length(10 * time.Minute)},
		{`{contact: {expected_duration: 10m}}`, length(10 * time.Minute)},
		{`{contact: {expected_duration_seconds: 90}}`, length(90 * time.Second)},
		{`{contact: {expected_duration_s: 30}}`, length(30 * time.Second)},
		{`{expected_duration_min: 90}`, length(90 * time.Minute)},
		{`{jurisdiction: US}`, country("US")},
		{`{jurisdiction: US/MA}`, country("US-MA")},
		{`{jurisdiction: us-ma}`, country("US-MA")},
		{`{jurisdiction: UK}`, country("GB")},
		{`{jurisdiction: EU, borrower: {country: DE}}`, country("DE")},
		{`{jurisdiction: US, borrower: {region: MA, language: en, birth_year: 1990}}`, country("US-MA")},
		{`{jurisdiction: US, borrower: {region: US-MA}}`, country("US-MA")},
		{`{state: {vulnerable: true}}`, flag("vulnerable")},
		{`{state: {flags: [vulnerable]}}`, flag("vulnerable")},
		{`{state: {flags: {vulnerable: true, calm: false}}}`, flag("vulnerable")},
		{`{state: {anything_else: true}}`, flag("anything_else")},
		{`{state: {identity_verified: true}}`, verified},
		{`{state: {right_party_verified: true}}`, verified},
		{`{actor: {identity_verified: true}}`, verified},
		{`{actor: {agency: A7}}`, func(f *rule.Facts) bool { return f.Actor.ThirdParty }},
		{`{actor: {agency: A7, third_party: false}}`, func(f *rule.Facts) bool { return !f.Actor.ThirdParty }},
		{`{loan: {credit_purchaser: true}}`, func(f *rule.Facts) bool { return f.CreditPurchaser }},
		{`{loan: {amount_due: 1234.5}}`, func(f *rule.Facts) bool { return f.AmountDue == 123450 }},
		{`{loan: {amount_due: 800, currency: JPY}}`, func(f *rule.Facts) bool { return f.AmountDue == 800 }},
		{`{loan: {amount_due: {minor: 7, currency: CNY}}}`, func(f *rule.Facts) bool { return f.AmountDue == 7 }},
		{`{loan: {}}`, func(f *rule.Facts) bool { return slices.Contains(f.Missing, "loan.amount_due") }},
		{`{contact: {dpd: 31}}`, func(f *rule.Facts) bool { return f.DaysPastDue == 31 && !slices.Contains(f.Missing, "days_past_due") }},
		{`{contact: {stage: collection}}`, func(f *rule.Facts) bool { return slices.Contains(f.Missing, "days_past_due") }},
		{`{` + now + `loan: {due_date: 2026-06-01}, borrower: {timezones: [UTC]}}`, func(f *rule.Facts) bool { return f.DaysPastDue == 9 }},
		{`{contact: {address: {id: A9, kind: work_email, source: creditor, verified_at: "2026-06-01T10:00:00Z"}}}`,
			func(f *rule.Facts) bool {
				return f.Contact.PointID == "A9" && f.Person.Points[0].Kind == duly.PointWorkEmail
			}},
		{`{contact: {template: {id: x, version: 3, locale: en, text: Hello}}}`, func(f *rule.Facts) bool { return f.Text == "Hello" && !f.WordsLater }},
		{`{contact: {template: {text: ""}}}`, func(f *rule.Facts) bool { return !f.WordsLater }},
		{`{contact: {}}`, func(f *rule.Facts) bool { return f.WordsLater }},
		{`{contact: {channel: whatsapp}}`, func(f *rule.Facts) bool { return f.Contact.Channel == duly.ChannelIM }},
		{`{borrower: {timezones: [{zone: Asia/Tokyo, evidence: address}, Asia/Seoul]}}`, func(f *rule.Facts) bool { return len(f.Person.Borrower.Zones) == 2 }},
		{`{borrower: {timezone: Asia/Tokyo}}`, func(f *rule.Facts) bool { return len(f.Person.Borrower.Zones) == 1 }},
		{`{state: {preferences: {allow: [{days: [mon, wednesday], from: "09:00", to: "10:00"}]}}}`,
			func(f *rule.Facts) bool {
				return f.Preferences.Allow[0].Days == [7]bool{1: true, 3: true} && f.Preferences.Allow[0].To == 600
			}},
		{`{state: {preferences: {forbid: [{days: weekdays, hours: ["13:00", "18:00"]}]}}}`,
			func(f *rule.Facts) bool {
				return f.Preferences.Forbid[0].Days[5] && f.Preferences.Forbid[0].From == 780
			}},
		{`{state: {optouts: [sms], consents: [{key: a, loan: L9}, {key: b, person: D2}, {key: c}]}}`,
			func(f *rule.Facts) bool { return f.Person.OptOuts[0].Key == "sms" && len(f.Person.Consents) == 1 }},
		{`{contact: {person: D2}, state: {holds: [{type: breathing_space, loan: L1, person: D1}, {type: manual}]}}`,
			func(f *rule.Facts) bool { return len(f.JointHolds) == 1 && len(f.Person.Holds) == 1 }},
		{`{` + now + `history: [{at: "2026-06-10T10:00:01Z", channel: sms}]}`, func(f *rule.Facts) bool { return !f.ClockOK }},
		{`{` + now + `history: [{at: "2026-06-10T10:00:00Z", channel: sms}]}`, func(f *rule.Facts) bool { return f.ClockOK }},
		{`{clock_ok: false}`, func(f *rule.Facts) bool { return !f.ClockOK }},
		{`{actor: {trai_1600_from: 2026-01-01}}`, func(f *rule.Facts) bool { return f.StartDays["trai_1600_from"].Year() == 2026 }},
	} {
		if f := readFacts(t, c.src); !c.good(f) {
			t.Errorf("%s: got %+v, borrower %+v, contact %+v", c.src, f, f.Person.Borrower, f.Contact)
		}
	}
}
