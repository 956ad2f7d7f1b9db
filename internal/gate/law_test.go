package gate_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/rule"
)

// The laws that hold for every pack, whatever law it writes down. Each seed is a world: a borrower somewhere, a contact, a
// past; and each world is asked some twenty times. `make verify` (VERIFY=1) asks fifty times as many.

const lawWorlds = 50_000

// lands are the borrowers' countries with zones that they may be in.
var lands = []struct {
	country string
	zones   []string
}{
	{"CN", []string{"Asia/Shanghai", "Asia/Urumqi"}}, {"US", []string{"America/New_York", "America/Los_Angeles"}}, {"US-MA", []string{"America/New_York"}},
	{"US-FL", []string{"America/New_York", "America/Chicago"}}, {"US-DC", []string{"America/New_York"}}, {"US-WA", []string{"America/Los_Angeles"}},
	{"GB", []string{"Europe/London"}}, {"DE", []string{"Europe/Berlin"}}, {"IN", []string{"Asia/Kolkata"}}, {"ID", []string{"Asia/Jakarta", "Asia/Jayapura"}},
	{"PH", []string{"Asia/Manila"}}, {"VN", []string{"Asia/Ho_Chi_Minh"}}, {"TH", []string{"Asia/Bangkok"}}, {"KR", []string{"Asia/Seoul"}},
	{"CO", []string{"America/Bogota"}}, {"MX", []string{"America/Mexico_City", "America/Tijuana"}}, {"BR-SP", []string{"America/Sao_Paulo"}},
	{"BR-RJ", []string{"America/Sao_Paulo", "America/Noronha"}}, {"KE", []string{"Africa/Nairobi"}}, {"NG", []string{"Africa/Lagos"}},
}

var (
	lawPurposes = []duly.Purpose{
		duly.PurposePreDue, duly.PurposeDueDay, duly.PurposeCollection, duly.PurposeCollection, duly.PurposeCollection, duly.PurposeMarketing,
		duly.PurposeLocation, duly.PurposeCreditReport, duly.PurposeConsentRequest, duly.PurposeOptOutConfirm, duly.PurposeEnforcement,
		duly.PurposeHardshipDecision, duly.PurposeMandatory,
	}
	lawChannels = []duly.Channel{
		duly.ChannelSMS, duly.ChannelEmail, duly.ChannelPush, duly.ChannelIM, duly.ChannelPrerecorded, duly.ChannelRobot, duly.ChannelAgent,
		"voicemail", "visit", "api",
	}
	lawOutcomes = []string{"no_answer", "busy", "voicemail", "answered", "conversation", "delivered", "reserved", "odd"}
	lawConsents = []string{"out_of_hours", "marketing_sms", "tcpa_prior_express", "electronic_collection"}
	lawOptOuts  = []string{"all", "calls", "sms", "robocall", "email", "marketing", "sms_marketing"}
	lawNotices  = []string{"adverse_credit_notice", "debt_notice_sent", "forbearance_considered", "transfer_notice", "agent_intimation", "crb_notice"}
)

// theLaw loads every shipped pack with every rule in shadow turned on, so that all are put to the test.
func theLaw(t *testing.T) []*rule.Pack {
	t.Helper()
	packs := shipped(t)
	var names []string
	for _, p := range packs {
		for i := range p.Rules {
			if p.Rules[i].Shadow {
				names = append(names, p.ID+"/"+p.Rules[i].ID)
			}
		}
	}
	out, err := rule.Enforce(packs, names)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// holdKinds lists the kinds of hold that some rule names.
func holdKinds(t *testing.T) []string {
	t.Helper()
	return []string{
		"promise_to_pay", "wrong_party", "number_reassigned", "manual", "dispute", "hardship", "instalment_plan_performing", "cease_communication",
		"attorney_represented", "written_dispute_unverified", "dispute_valid_grounds", "breathing_space", "debt_adviser_engaged", "hospitalisation",
		"disaster", "bereavement", "crisis",
	}
}

// lawCalendars knows every holiday calendar that packs name, in every year that worlds and their horizon touch.
func lawCalendars() *civil.Calendars {
	var all []*civil.Calendar
	for _, name := range []string{"CN", "US", "GB", "ID", "TH", "KR", "CO", "MX", "BR", "IN", "VN", "PH", "KE", "NG", "EU"} {
		var days []civil.Date
		for d := civil.On(2026, 1, 1); d.Before(civil.On(2027, 12, 31)); d = d.Add(23) {
			days = append(days, d)
		}
		all = append(all, civil.NewCalendar(name, []int{2025, 2026, 2027}, days))
	}
	return civil.NewCalendars(all...)
}

// lawWorld makes the world of a seed. The same seed makes the same world anew, for a test to change.
func lawWorld(seed uint64, kinds []string, cals *civil.Calendars) *rule.Facts {
	r := rand.New(rand.NewPCG(seed, 77))
	one := func(list []string) string { return list[r.IntN(len(list))] }
	in := func(n int) bool { return r.IntN(n) == 0 }
	land := lands[r.IntN(len(lands))]
	f := reminder()
	f.Calendars = cals
	f.Now = time.Date(2026, 3, 1, 0, r.IntN(300*24*60), 0, 0, time.UTC)
	f.FeedAt = f.Now
	f.Person.Borrower.Country, f.Person.Borrower.Zones = land.country, nil
	for _, z := range land.zones[:1+r.IntN(len(land.zones))] {
		f.Person.Borrower.Zones = append(f.Person.Borrower.Zones, duly.Zone{Name: z})
	}
	for _, flag := range []string{"vulnerable", "debtor_unreachable", "contact_refused", "processing_restricted"} {
		if in(12) {
			f.Person.Borrower.Flags = append(f.Person.Borrower.Flags, flag)
		}
	}
	f.Person.Loans = []duly.Loan{{ID: "L1", Product: []string{"consumer_loan", "consumer_loan", "microfinance"}[r.IntN(3)]}}
	f.Person.Points = []duly.ContactPoint{{ID: "A1", Kind: []duly.PointKind{duly.PointMobile, duly.PointMobile, duly.PointEmail, duly.PointWorkEmail}[r.IntN(4)], Source: "debtor_provided", State: duly.PointActive}}
	f.Contact.Channel, f.Contact.Purpose = lawChannels[r.IntN(len(lawChannels))], lawPurposes[r.IntN(len(lawPurposes))]
	f.Contact.NotBefore = f.Now
	f.DaysPastDue = r.IntN(60) - 7
	f.AmountDue = int64(r.IntN(4)) * 50_000
	f.Contact.Items[0].Outstanding = money.New(f.AmountDue, "CNY")
	f.Text = "【某某消金】您的账单请查看。拒收请回复R. Reply STOP to opt out."
	f.Party = []string{"", "debtor", "guarantor", "spouse", "contact_person"}[r.IntN(5)]
	if !in(4) {
		f.Party = "debtor"
	}
	f.Actor = rule.Actor{Type: "human", ThirdParty: in(2), Certified: !in(3), HumanReviewed: in(2), IdentityVerified: in(2)}
	f.Sender = rule.Sender{Number: one([]string{"1600123456", "9811111111"}), Hidden: in(6), TemplateID: one([]string{"", "T1"})}
	f.EntityClass, f.StartDays = "commercial_bank", map[string]civil.Date{"trai_1600_from": civil.On(2026, 1, 1)}
	f.CreditPurchaser = in(3)
	if in(3) {
		f.Phase = rule.PhasePlan
	}
	for range r.IntN(6) {
		f.Person.Touches = append(f.Person.Touches, lawTouch(r, f.Now))
	}
	for _, key := range lawConsents {
		if !in(3) {
			f.Person.Consents = append(f.Person.Consents, duly.Consent{Key: key, GivenAt: f.Now.Add(-time.Hour), Until: f.Now.Add(time.Duration(r.IntN(80)) * time.Hour)})
		}
	}
	if in(5) {
		f.Person.OptOuts = append(f.Person.OptOuts, duly.OptOut{Key: one(lawOptOuts), At: f.Now.Add(-time.Duration(r.IntN(600)) * time.Minute)})
	}
	if in(5) {
		f.Person.Holds = append(f.Person.Holds, duly.Hold{Kind: one(kinds), Scope: duly.HoldLoan, LoanID: "L1", From: f.Now.Add(-time.Hour)})
	}
	for _, n := range lawNotices {
		if in(2) {
			f.Notices = append(f.Notices, rule.Notice{Type: n, At: f.Now.AddDate(0, 0, -r.IntN(50))})
		}
	}
	if in(4) {
		f.Preferences.Allow = []rule.Hours{{Days: [7]bool{true, true, true, true, true, true, true}, From: 14 * 60, To: 18 * 60}}
	}
	return f
}

func lawTouch(r *rand.Rand, now time.Time) duly.Touch {
	return duly.Touch{
		ID: fmt.Sprint(r.Uint32()), LoanID: "L1", PointID: "A1", Channel: append(lawChannels, "call_inbound")[r.IntN(len(lawChannels)+1)],
		Purpose: lawPurposes[r.IntN(len(lawPurposes))], Inbound: r.IntN(5) == 0, Outcome: lawOutcomes[r.IntN(len(lawOutcomes))],
		At: now.Add(-time.Duration(r.IntN(9*24*60)) * time.Minute),
	}
}

// lawCheck is one law: what it changes about a world may only ever let less through.
type lawCheck struct {
	name string
	// change makes the world stricter, or returns false where it has nothing to change.
	change func(f *rule.Facts, r *rand.Rand) bool
}

func lawChecks(kinds []string) []lawCheck {
	drop := func(name string, lose func(f *rule.Facts)) lawCheck {
		return lawCheck{"without " + name, func(f *rule.Facts, _ *rand.Rand) bool { lose(f); return true }}
	}
	return []lawCheck{
		{"one hold more", func(f *rule.Facts, r *rand.Rand) bool {
			scopes := []duly.HoldScope{duly.HoldPerson, duly.HoldLoan, duly.HoldAddress}
			f.Person.Holds = append(f.Person.Holds, duly.Hold{
				Kind: append(kinds, "something_new")[r.IntN(len(kinds)+1)], Scope: scopes[r.IntN(3)], LoanID: "L1", PointID: "A1", From: f.Now.Add(-time.Minute),
			})
			return true
		}},
		{"one contact more in the past", func(f *rule.Facts, r *rand.Rand) bool {
			f.Person.Touches = append(f.Person.Touches, lawTouch(r, f.Now))
			return true
		}},
		{"one refusal more", func(f *rule.Facts, r *rand.Rand) bool {
			f.Person.OptOuts = append(f.Person.OptOuts, duly.OptOut{Key: lawOptOuts[r.IntN(len(lawOptOuts))], At: f.Now.Add(-time.Hour)})
			return f.Contact.Purpose != duly.PurposeOptOutConfirm // which is only allowed because of one
		}},
		{"one consent less", func(f *rule.Facts, r *rand.Rand) bool {
			n := len(f.Person.Consents)
			if n == 0 {
				return false
			}
			f.Person.Consents = slices.Delete(f.Person.Consents, r.IntN(n), n)
			return true
		}},
		{"one notice less", func(f *rule.Facts, r *rand.Rand) bool {
			n := len(f.Notices)
			if n == 0 {
				return false
			}
			f.Notices = slices.Delete(f.Notices, r.IntN(n), n)
			return true
		}},
		drop("zones", func(f *rule.Facts) { f.Person.Borrower.Zones = nil }),
		drop("one more zone being likely", func(f *rule.Facts) {
			f.Person.Borrower.Zones = append(f.Person.Borrower.Zones, duly.Zone{Name: "Pacific/Auckland"})
		}),
		drop("country", func(f *rule.Facts) { f.Person.Borrower.Country = "" }),
		drop("calendars", func(f *rule.Facts) { f.Calendars = nil }),
		drop("purpose", func(f *rule.Facts) { f.Contact.Purpose = "" }),
		drop("channel", func(f *rule.Facts) { f.Contact.Channel = "" }),
		drop("loans", func(f *rule.Facts) { f.Contact.Items = nil }),
		drop("the loan's product", func(f *rule.Facts) { f.Person.Loans[0].Product = "" }),
		drop("words", func(f *rule.Facts) {
			if f.Phase == rule.PhaseSend {
				f.Text = ""
			}
		}),
		drop("address", func(f *rule.Facts) { f.Person.Points, f.Contact.PointID = nil, "" }),
		drop("amount and days being known", func(f *rule.Facts) { f.Missing = []string{"loan.amount_due", "days_past_due"} }),
		drop("a clock that is right", func(f *rule.Facts) { f.ClockOK = false }),
		drop("payment feed", func(f *rule.Facts) { f.FeedAt = time.Time{} }),
	}
}

// knowledge reports whether a decision blocks for want of a pack, not because of one: then a pack more may say what is allowed.
func knowledge(d duly.Decision) bool {
	return slices.ContainsFunc(d.Reasons, func(r duly.Reason) bool {
		return r.Code == rule.CodeJurisdiction || r.Code == rule.CodeHoldKind
	})
}

func TestEveryLaw(t *testing.T) {
	t.Parallel()
	worlds := uint64(lawWorlds)
	if os.Getenv("VERIFY") != "" {
		worlds *= 50
	}
	const parts = 4
	for part := range uint64(parts) {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			lawPart(t, part*worlds/parts, worlds/parts)
		})
	}
}

func lawPart(t *testing.T, first, n uint64) {
	t.Helper()
	packs, kinds, cals := theLaw(t), holdKinds(t), lawCalendars()
	set := newSet(t, packs)
	shuffled := slices.Clone(packs)
	slices.Reverse(shuffled)
	again := newSet(t, shuffled)
	checks := lawChecks(kinds)
	bites := make([]int, len(checks))
	verdicts := map[duly.Verdict]int{}
	asked, grown := 0, 0
	ask := func(f *rule.Facts, s *rule.Set) duly.Decision { asked++; return gate.Check(f, s) }
	for seed := first; seed < first+n; seed++ {
		base := ask(lawWorld(seed, kinds, cals), set)
		verdicts[base.Verdict]++
		r := rand.New(rand.NewPCG(seed, 78))
		for i, c := range checks {
			f := lawWorld(seed, kinds, cals)
			if !c.change(f, r) {
				continue
			}
			got := ask(f, set)
			if looser(got, base) {
				t.Fatalf("seed %d, %s: %s %s (%s), and %s %s (%s) before", seed, c.name, got.Verdict, got.NotBefore, got.Code(), base.Verdict, base.NotBefore, base.Code())
			}
			if got.Verdict != base.Verdict || !got.NotBefore.Equal(base.NotBefore) {
				bites[i]++
			}
		}
		// Packs are given in another order, and the past in another order.
		f := lawWorld(seed, kinds, cals)
		slices.Reverse(f.Person.Touches)
		slices.Reverse(f.Person.Borrower.Zones)
		if got := ask(f, again); got.Verdict != base.Verdict || !got.NotBefore.Equal(base.NotBefore) || got.Code() != base.Code() {
			t.Fatalf("seed %d, in another order: %s %s %s, and %s %s %s before", seed, got.Verdict, got.NotBefore, got.Code(), base.Verdict, base.NotBefore, base.Code())
		}
		// A pack less never lets less through, but for what a pack must say first.
		some := slices.Delete(slices.Clone(packs), int(seed%uint64(len(packs))), int(seed%uint64(len(packs)))+1)
		if seed%16 == 0 { // a set takes long to make
			if got := ask(lawWorld(seed, kinds, cals), newSet(t, some)); !knowledge(got) {
				grown++
				if looser(base, got) {
					t.Fatalf("seed %d: with a pack more %s %s (%s), and %s %s (%s) before", seed, base.Verdict, base.NotBefore, base.Code(), got.Verdict, got.NotBefore, got.Code())
				}
			}
		}
		if base.Verdict == duly.Defer {
			asked += lawSlot(t, seed, kinds, cals, set, base.NotBefore)
		}
	}
	for i, c := range checks {
		if bites[i] == 0 {
			t.Errorf("%s: made no difference in any world, so nothing was tested", c.name)
		}
	}
	for _, v := range []duly.Verdict{duly.Allow, duly.Defer, duly.Block} {
		if verdicts[v] < int(n)/50 {
			t.Errorf("only %d of %d worlds are decided as %s", verdicts[v], n, v)
		}
	}
	if grown == 0 {
		t.Error("no pack was ever added")
	}
	t.Logf("%d questions, %v", asked, verdicts)
}

// lawSlot holds that not_before is the first instant that is not deferred, as far as instants in between tell.
func lawSlot(t *testing.T, seed uint64, kinds []string, cals *civil.Calendars, set *rule.Set, until time.Time) (asked int) {
	t.Helper()
	at := func(now time.Time) duly.Verdict {
		f := lawWorld(seed, kinds, cals)
		f.Now, f.FeedAt = now, now
		asked++
		return gate.Check(f, set).Verdict
	}
	start := lawWorld(seed, kinds, cals).Now
	step := max(until.Sub(start)/6, time.Minute)
	for now := start; now.Before(until); now = now.Add(step) {
		if at(now) == duly.Allow {
			t.Fatalf("seed %d: not before %s, but allowed at %s", seed, until, now)
		}
	}
	if at(until.Add(-1)) == duly.Allow {
		t.Fatalf("seed %d: not before %s, but allowed an instant before", seed, until)
	}
	if got := at(until); got == duly.Defer {
		t.Fatalf("seed %d: not before %s, and still deferred then", seed, until)
	}
	return asked
}
