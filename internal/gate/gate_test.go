package gate_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/rulepacks"
)

// draft is a rule that would block everything if drafts counted.
const draft = `
id: drafts
version: "1"
jurisdiction: "*"
rules:
  - id: DR-01
    kind: prerequisite
    title: {zh: 草案, en: A draft}
    force: draft
    params: {require_fact: actor.human_reviewed}
    reason: not_reviewed
    source: {instrument: Bill 1, read: primary, checked_on: 2026-11-23, reviewer: null}
`

func shipped(t testing.TB) []*rule.Pack {
	t.Helper()
	packs, err := rule.LoadFS(rulepacks.FS)
	if err != nil {
		t.Fatal(err)
	}
	return packs
}

func newSet(t testing.TB, packs []*rule.Pack, extra ...rule.Rule) *rule.Set {
	t.Helper()
	s, err := rule.NewSet(packs, extra...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newCap(t testing.TB, id string, limit int, period string, channels ...duly.Channel) rule.Rule {
	t.Helper()
	r, err := rule.NewCap(id, "consumer-cn", limit, period, channels)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reminder is a lawful SMS at ten in the morning in Shanghai.
func reminder() *rule.Facts {
	now := time.Date(2026, 3, 10, 2, 0, 0, 0, time.UTC)
	return &rule.Facts{
		Phase: rule.PhaseSend, Now: now, Text: "【某某消金】您本期账单将于3月13日到期。", AmountDue: 10000, DaysPastDue: -3,
		FeedAt: now, FeedMaxAge: 15 * time.Minute, ClockOK: true,
		Person: &duly.Person{Borrower: duly.Borrower{ID: "D1", Country: "CN", Zones: []duly.Zone{{Name: "Asia/Shanghai"}}}},
		Contact: &duly.Contact{ID: "judged", Channel: duly.ChannelSMS, Purpose: duly.PurposePreDue, PointID: "A1", NotBefore: now,
			Items: []duly.Item{{LoanID: "L1", No: 1, Outstanding: money.New(10000, "CNY")}}},
	}
}

func TestAllowSaysWhoWasAsked(t *testing.T) {
	t.Parallel()
	packs := shipped(t)
	got := gate.Check(reminder(), newSet(t, packs))
	want := duly.Decision{Verdict: duly.Allow}
	for _, p := range packs { // those of other countries are not asked
		if p.ID == "cn-mainland" || p.ID == "policy-default" {
			want.Packs = append(want.Packs, p.Name())
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("decision (-want +got):\n%s", d)
	}
}

func TestReasonsComeStrictestFirst(t *testing.T) {
	t.Parallel()
	f := reminder()
	f.Now = f.Now.Add(12 * time.Hour) // 22:00
	f.AmountDue = 0
	f.Person.OptOuts = []duly.OptOut{{Key: "all"}}
	got := gate.Check(f, newSet(t, shipped(t)))
	var rules []string
	for _, r := range got.Reasons {
		rules = append(rules, r.Rule+" "+r.Verdict.String())
	}
	want := []string{"POL-03 block", "POL-06 block", "FENCE-01 defer", "POL-01 defer"}
	if d := cmp.Diff(want, rules); d != "" {
		t.Errorf("reasons (-want +got):\n%s", d)
	}
	if got.Verdict != duly.Block || !got.NotBefore.IsZero() || got.Code() != "nothing_due" {
		t.Errorf("got %s %s from %s, want a block for nothing_due", got.Verdict, got.Code(), got.NotBefore)
	}
}

func TestReasonTellsWhatWasSeen(t *testing.T) {
	t.Parallel()
	f := reminder()
	f.Now = time.Date(2026, 3, 10, 14, 10, 0, 0, time.UTC)
	f.FeedAt = f.Now
	f.Contact.Purpose = duly.PurposeCollection
	got := gate.Check(f, newSet(t, shipped(t)))
	opens := time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC)
	want := []duly.Reason{{
		Code: "outside_contact_hours", Rule: "CN-01", Pack: "cn-mainland", Force: duly.ForceStandard, Verdict: duly.Defer, Until: opens,
		Source: "GB/T 45251-2025 (collection time); CBA Guideline 2026-01-30", Facts: "22:10 Asia/Shanghai; open 08:00–22:00",
	}}
	if d := cmp.Diff(want, got.Reasons); d != "" {
		t.Errorf("reasons (-want +got):\n%s", d)
	}
	if !got.NotBefore.Equal(opens) {
		t.Errorf("not before: got %s, want %s", got.NotBefore, opens)
	}
}

func TestUnknownNeverAllows(t *testing.T) {
	t.Parallel()
	set := newSet(t, shipped(t))
	for _, c := range []struct {
		name, code string
		forget     func(f *rule.Facts)
	}{
		{"person", rule.CodeMissing, func(f *rule.Facts) { f.Person = nil }},
		{"contact", rule.CodeMissing, func(f *rule.Facts) { f.Contact = nil }},
		{"purpose", rule.CodeMissing, func(f *rule.Facts) { f.Contact.Purpose = "" }},
		{"channel", rule.CodeMissing, func(f *rule.Facts) { f.Contact.Channel = "pigeon" }},
		{"time", rule.CodeMissing, func(f *rule.Facts) { f.Now = time.Time{} }},
		{"words", rule.CodeMissing, func(f *rule.Facts) { f.Text = "" }},
		{"zones", rule.CodeZone, func(f *rule.Facts) { f.Person.Borrower.Zones = nil }},
		{"local zone", rule.CodeZone, func(f *rule.Facts) { f.Person.Borrower.Zones[0].Name = "Local" }},
		{"empty zone", rule.CodeZone, func(f *rule.Facts) { f.Person.Borrower.Zones[0].Name = "" }},
		{"one of two zones", rule.CodeZone, func(f *rule.Facts) {
			f.Person.Borrower.Zones = append(f.Person.Borrower.Zones, duly.Zone{Name: "../../etc/passwd"})
		}},
		{"country", rule.CodeJurisdiction, func(f *rule.Facts) { f.Person.Borrower.Country = "" }},
		{"country with the same beginning", rule.CodeJurisdiction, func(f *rule.Facts) { f.Person.Borrower.Country = "CNX" }},
		{"clock", "clock_or_data_not_trustworthy", func(f *rule.Facts) { f.ClockOK = false }},
		{"amount", "nothing_due", func(f *rule.Facts) { f.AmountDue = 0 }},
		{"kind of hold", rule.CodeHoldKind, func(f *rule.Facts) { f.Person.Holds = []duly.Hold{{Kind: "new_law", Scope: "elsewhere"}} }},
		{"feed", rule.CodeFeed, func(f *rule.Facts) { f.FeedAt = time.Time{} }},
		{"feed's age", rule.CodeFeed, func(f *rule.Facts) { f.FeedMaxAge, f.FeedAt = 0, f.Now.Add(-time.Nanosecond) }},
	} {
		f := reminder()
		c.forget(f)
		got := gate.Check(f, set)
		found := slices.ContainsFunc(got.Reasons, func(r duly.Reason) bool { return r.Code == c.code })
		if got.Verdict == duly.Allow || !found {
			t.Errorf("without %s: got %s %v, want a reason %s", c.name, got.Verdict, got.Reasons, c.code)
		}
	}
}

func TestNoSlot(t *testing.T) {
	t.Parallel()
	f := reminder()
	// In these five zones together it is never between 08:00 and 21:00 everywhere.
	f.Person.Borrower.Zones = []duly.Zone{{Name: "Pacific/Kiritimati"}, {Name: "Pacific/Pago_Pago"}, {Name: "Europe/London"}, {Name: "America/New_York"}, {Name: "Asia/Tokyo"}}
	got := gate.Check(f, newSet(t, shipped(t)))
	if got.Verdict != duly.Block || got.Code() != rule.CodeNoSlot || !got.NotBefore.IsZero() {
		t.Errorf("got %s %s, want a block for no_slot", got.Verdict, got.Code())
	}
}

// A window and a cap that are never open at the same time of the first day meet on the next.
func TestWindowAndCapMeet(t *testing.T) {
	t.Parallel()
	set := newSet(t, shipped(t), newCap(t, "LIMIT-01", 1, "calendar_day"), newCap(t, "LIMIT-02", 2, "rolling:30h", duly.ChannelSMS))
	f := reminder()
	f.Person.Contacts = []duly.Contact{
		{ID: "a", Channel: duly.ChannelSMS, State: duly.Accepted, SentAt: f.Now.Add(-20 * time.Hour)},
		{ID: "b", Channel: duly.ChannelSMS, State: duly.InDoubt, SentAt: f.Now.Add(-time.Hour)},
		{ID: "c", Channel: duly.ChannelSMS, State: duly.Failed, SentAt: f.Now.Add(-time.Minute)},
	}
	got := gate.Check(f, set)
	// LIMIT-02 opens ten hours on, at 20:00, LIMIT-01 at midnight, POL-01 at 08:00.
	if want := time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC); got.Verdict != duly.Defer || !got.NotBefore.Equal(want) {
		t.Errorf("got %s from %s, want defer from %s", got.Verdict, got.NotBefore, want)
	}
	if len(got.Reasons) != 2 || got.Reasons[0].Code != "contact_limit_reached" || got.Reasons[0].Pack != "consumer-cn" {
		t.Errorf("reasons: got %+v, want both limits", got.Reasons)
	}
}

// A consent that is to be given later is not counted on, not even for later.
func TestConsentToCome(t *testing.T) {
	t.Parallel()
	set := newSet(t, shipped(t), newCap(t, "LIMIT-01", 1, "rolling:2h"))
	f := reminder()
	f.Now = time.Date(2026, 3, 10, 15, 0, 0, 0, time.UTC) // 23:00
	f.FeedAt, f.Contact.Purpose = f.Now, duly.PurposeCollection
	f.Person.Contacts = []duly.Contact{{ID: "a", Channel: duly.ChannelSMS, State: duly.Accepted, SentAt: f.Now.Add(-time.Hour)}}
	f.Person.Consents = []duly.Consent{{Key: "out_of_hours", GivenAt: f.Now.Add(30 * time.Minute)}}
	got := gate.Check(f, set)
	if want := time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC); !got.NotBefore.Equal(want) {
		t.Errorf("not before: got %s, want %s", got.NotBefore, want)
	}
}

// One set answers many at once, and meets zones for the first time while it does.
func TestSetIsSafeForManyAtOnce(t *testing.T) {
	t.Parallel()
	set := newSet(t, shipped(t), limits(t)...)
	want := make([]duly.Decision, 64)
	for seed := range want {
		want[seed] = gate.Check(world(uint64(seed)).facts(), newSet(t, shipped(t), limits(t)...))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for seed := range want {
				if d := cmp.Diff(want[seed], gate.Check(world(uint64(seed)).facts(), set)); d != "" {
					t.Errorf("seed %d (-alone +together):\n%s", seed, d)
				}
			}
		})
	}
	wg.Wait()
}

func TestDraftsOnlySpeakInShadow(t *testing.T) {
	t.Parallel()
	p, err := rule.Load("drafts/pack.yaml", []byte(draft))
	if err != nil {
		t.Fatal(err)
	}
	set := newSet(t, append(shipped(t), p))
	if got := gate.Check(reminder(), set); got.Verdict != duly.Allow {
		t.Errorf("got %s %s, want allow", got.Verdict, got.Code())
	}
	shadow := gate.Shadow(reminder(), set)
	if len(shadow) != 1 || shadow[0].Rule != "DR-01" || shadow[0].Verdict != duly.Block {
		t.Errorf("shadow: got %+v, want DR-01", shadow)
	}
}

func TestCheckLeavesFactsAlone(t *testing.T) {
	t.Parallel()
	set := newSet(t, shipped(t), newCap(t, "LIMIT-01", 1, "rolling_days:7"))
	for i := range 300 {
		f, again := world(uint64(i)).facts(), world(uint64(i)).facts()
		gate.Check(f, set)
		if d := cmp.Diff(again, f, cmpopts.EquateComparable(civil.Date{}), cmp.Comparer(func(a, b *civil.Calendars) bool { return a == b })); d != "" {
			t.Fatalf("seed %d: Check changed its facts:\n%s", i, d)
		}
	}
}

// TestNoPersonalData holds that reasons carry nothing of the borrower's.
func TestNoPersonalData(t *testing.T) {
	t.Parallel()
	set := newSet(t, shipped(t), newCap(t, "LIMIT-01", 1, "rolling_days:7"))
	for i := range 500 {
		f := world(uint64(i)).facts()
		f.Person.Borrower.Name = "王小明"
		f.Person.Points = []duly.ContactPoint{{ID: "A1", Value: "19900001111"}}
		f.AmountDue = 987654321
		f.Text = "【某某消金】王小明欠款9876543.21元，将通知你单位"
		for _, r := range gate.Check(f, set).Reasons {
			for _, personal := range []string{"王小明", "19900001111", "987654321", "9876543.21"} {
				if strings.Contains(r.Facts+r.Source, personal) {
					t.Fatalf("seed %d: reason %+v tells %s", i, r, personal)
				}
			}
		}
	}
}

// worldOf makes facts by seed: the same ones each time it is asked.
type worldOf struct{ seed uint64 }

func world(seed uint64) worldOf { return worldOf{seed} }

func (w worldOf) facts() *rule.Facts {
	r := rand.New(rand.NewPCG(w.seed, 1))
	pick := func(n int) bool { return r.IntN(n) == 0 }
	zones := []string{"Asia/Shanghai", "Asia/Urumqi", "America/New_York", "Europe/London", "Australia/Lord_Howe", "America/St_Johns", "Asia/Tokyo"}
	channels := []duly.Channel{duly.ChannelSMS, duly.ChannelRobot, duly.ChannelAgent, duly.ChannelPrerecorded, duly.ChannelPush, duly.ChannelEmail}
	purposes := []duly.Purpose{duly.PurposePreDue, duly.PurposeDueDay, duly.PurposeCollection, duly.PurposeMarketing}
	states := duly.ContactStates()
	outcomes := []string{"no_answer", "busy", "voicemail", "answered", "conversation", "delivered", "odd"}
	f := reminder()
	// The weeks around the spring changes of New York and London.
	f.Now = time.Date(2026, 3, 1, 0, r.IntN(40*24*60), r.IntN(60), 0, time.UTC)
	f.FeedAt = f.Now
	if pick(2) {
		f.Phase = rule.PhasePlan
	}
	f.Person.Borrower.Zones = nil
	for range 1 + r.IntN(2) {
		f.Person.Borrower.Zones = append(f.Person.Borrower.Zones, duly.Zone{Name: zones[r.IntN(len(zones))]})
	}
	f.Contact.Channel, f.Contact.Purpose = channels[r.IntN(len(channels))], purposes[r.IntN(len(purposes))]
	f.Text = "【某某消金】您本期账单将到期。拒收请回复R"
	f.Contact.NotBefore = f.Now
	for i := range r.IntN(9) {
		at := f.Now.Add(-time.Duration(r.IntN(9*24*60)) * time.Minute)
		c := duly.Contact{ID: duly.ContactID(rune('a' + i)), Channel: channels[r.IntN(len(channels))], Purpose: purposes[r.IntN(len(purposes))], PointID: "A1",
			State: states[r.IntN(len(states))], SentAt: at, NotBefore: at, Items: f.Contact.Items}
		if c.State == duly.Planned {
			c.NotBefore, c.SentAt = f.Now.Add(time.Duration(r.IntN(72*60)-24*60)*time.Minute), time.Time{}
		}
		f.Person.Contacts = append(f.Person.Contacts, c)
	}
	for i := range r.IntN(6) {
		f.Person.Touches = append(f.Person.Touches, duly.Touch{ID: string(rune('a' + i)), Channel: channels[r.IntN(len(channels))], Purpose: purposes[r.IntN(len(purposes))],
			Inbound: pick(4), Outcome: outcomes[r.IntN(len(outcomes))], PointID: "A1", At: f.Now.Add(-time.Duration(r.IntN(9*24*60)) * time.Minute)})
	}
	for _, key := range []string{"out_of_hours", "marketing_sms"} {
		if pick(3) {
			f.Person.Consents = append(f.Person.Consents, duly.Consent{Key: key, GivenAt: f.Now.Add(-time.Hour), Until: f.Now.Add(time.Duration(r.IntN(48*60)) * time.Minute)})
		}
	}
	w.place(f, r)
	if pick(6) {
		f.Person.OptOuts = []duly.OptOut{{Key: []string{"all", "calls", "sms"}[r.IntN(3)], At: f.Now.Add(-time.Hour)}}
	}
	if pick(6) {
		f.Person.Holds = []duly.Hold{{Kind: []string{"promise_to_pay", "wrong_party", "manual"}[r.IntN(3)], Scope: duly.HoldLoan, LoanID: "L1", From: f.Now.Add(-time.Hour)}}
	}
	return f
}

// calendars are those that ship, for rules that look at holidays.
var calendars = sync.OnceValue(func() *civil.Calendars {
	c, err := civil.BuiltIn()
	if err != nil {
		panic("calendars: " + err.Error())
	}
	return c
})

// place puts two of three borrowers into other countries, with what the rules there ask for.
func (w worldOf) place(f *rule.Facts, r *rand.Rand) {
	pick := func(n int) bool { return r.IntN(n) == 0 }
	countries := []string{"US-MA", "US-DC", "US-WA", "VN", "CO", "KR", "IN", "GB", "MX", "BR-SP", "TH", "DE"}
	f.Calendars = calendars()
	f.Person.Points = []duly.ContactPoint{{ID: "A1", Kind: duly.PointMobile, Source: "debtor_provided", State: duly.PointActive}}
	f.Person.Loans = []duly.Loan{{ID: "L1", Product: []string{"consumer_loan", "microfinance"}[r.IntN(2)]}}
	f.Sender = rule.Sender{Number: "1600123456", TemplateID: "1107"}
	f.Actor = rule.Actor{Type: "human", ThirdParty: pick(2), Certified: true, HumanReviewed: pick(2)}
	if !pick(3) {
		f.Person.Borrower.Country = countries[r.IntN(len(countries))]
		f.DaysPastDue = 31
		f.Text = "Please review. Reply STOP to opt out."
		f.Person.Consents = append(f.Person.Consents, duly.Consent{Key: "tcpa_prior_express"}, duly.Consent{Key: "electronic_collection"})
		f.Notices = []rule.Notice{{Type: "agent_intimation", At: f.Now.Add(-time.Hour)}}
	}
	if pick(3) {
		h := rule.Hours{From: civil.Clock(r.IntN(1440)), To: civil.Clock(r.IntN(1440)), Days: [7]bool{true, true, true, pick(2), pick(2), true, pick(2)}}
		if pick(2) {
			f.Preferences.Allow = []rule.Hours{h}
		} else {
			f.Preferences.Forbid = []rule.Hours{h}
		}
	}
	if pick(3) {
		f.Length = time.Duration(r.IntN(30)) * time.Minute
	}
}
