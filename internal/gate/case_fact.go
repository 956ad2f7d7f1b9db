package gate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/rule"
)

// The person, loan and address of a case that does not name them.
const (
	casePerson = "D1"
	caseLoan   = "L1"
	casePoint  = "A1"
)

// builder makes facts of a case and keeps its problems.
type builder struct {
	c        *Case
	problems []error
	bags     []*bag
	f        *rule.Facts
	loan     duly.LoanID // what the contact is about
	currency money.Currency
}

func (b *builder) fail(field, format string, args ...any) {
	b.problems = append(b.problems, b.c.problem(field, format, args...))
}

// facts makes the facts of a case.
func (c *Case) facts(b *builder, top *bag) (*rule.Facts, error) {
	c.defaults.b = b
	top.skip("id", "type", "title", "jurisdiction", "packs", "expect", "why", "source", "confidence", "note", "notes", "tags")
	now := top.time("now")
	if now.IsZero() {
		now = c.defaults.time("now")
	}
	p := &duly.Person{Borrower: duly.Borrower{ID: casePerson}}
	b.f = &rule.Facts{
		Phase: rule.Phase(or(top.text("phase"), string(rule.PhaseSend))), Now: now, Person: p,
		FeedAt: now, FeedMaxAge: 15 * time.Minute,
	}
	b.borrower(top.sub("borrower"))
	contact := top.sub("contact")
	b.contact(contact, top)
	b.owed(c.shared(top, "loan"), contact)
	b.actor(c.shared(top, "actor"))
	state := top.sub("state")
	b.history(top)
	b.f.ClockOK = !p.LatestEvent().After(now)
	b.state(state)
	if v, ok := top.get("clock_ok").(bool); ok {
		b.f.ClockOK = v
	}
	if age := top.text("feed_age_minutes"); age != "" {
		b.feed(age)
	}
	b.calendars(top)
	return b.f, errors.Join(b.problems...)
}

// shared opens the mapping at a key, or the one of the file's defaults where the case has none.
func (c *Case) shared(top *bag, key string) *bag {
	if top.m[key] == nil && c.defaults.m[key] != nil {
		return c.defaults.sub(key)
	}
	return top.sub(key)
}

// feed sets how old the knowledge of payments is; -1: there never was any.
func (b *builder) feed(minutes string) {
	n, err := strconv.Atoi(minutes)
	switch {
	case err != nil:
		b.fail("feed_age_minutes", "must be a whole number")
	case n < 0:
		b.f.FeedAt = time.Time{}
	default:
		b.f.FeedAt = b.f.Now.Add(-time.Duration(n) * time.Minute)
	}
}

func (b *builder) borrower(x *bag) {
	to := &b.f.Person.Borrower
	to.Country = b.c.defaults.text("country")
	if b.c.Jurisdiction != "" {
		to.Country = countryPath(b.c.Jurisdiction)
	}
	if s, ok := x.get("country").(string); ok {
		to.Country = countryPath(s)
	}
	if region := countryPath(x.text("region")); region != "" && to.Country != "" && len(to.Country) == 2 {
		to.Country += "-" + strings.TrimPrefix(region, to.Country+"-")
	}
	to.Language = x.text("language")
	x.skip("birth_year", "name", "id")
	zones := x
	if _, given := x.m["timezones"]; !given && x.m["timezone"] == nil {
		zones = b.c.defaults
	}
	for _, z := range zones.things("zone", "timezones", "timezone") {
		to.Zones = append(to.Zones, duly.Zone{Name: z.text("zone", "name", "tz", "timezone", "id"), Source: duly.ZoneStated})
		z.skip("evidence", "source", "observed_at")
	}
}

// countryPath writes a jurisdiction as borrowers' countries are written: US/MA is US-MA, UK is GB.
func countryPath(s string) string {
	s = strings.ToUpper(strings.ReplaceAll(s, "/", "-"))
	if rest, ok := strings.CutPrefix(s, "UK"); ok && (rest == "" || rest[0] == '-') {
		return "GB" + rest
	}
	return s
}

// channelNames are other names of channels.
var channelNames = map[string]duly.Channel{
	"mail": duly.ChannelLetter, "post": duly.ChannelLetter, "postal": duly.ChannelLetter, "whatsapp": duly.ChannelIM, "wechat": duly.ChannelIM,
	"app_push": duly.ChannelPush, "inapp": duly.ChannelInApp, "robocall": duly.ChannelPrerecorded, "call": duly.ChannelAgent,
	"call_human": duly.ChannelAgent, "inbound_call": "call_inbound",
}

func channelNamed(s string) duly.Channel {
	if c, ok := channelNames[s]; ok {
		return c
	}
	return duly.Channel(s)
}

func (b *builder) contact(x, top *bag) {
	f := b.f
	id := x.text("loan", "loan_id")
	if _, given := x.m["loan"]; !given {
		id = or(id, caseLoan)
	}
	b.loan = duly.LoanID(id)
	c := &duly.Contact{
		ID: duly.ContactID(or(x.text("id"), "judged")), BorrowerID: duly.BorrowerID(or(x.text("person", "person_id"), casePerson)),
		Channel: channelNamed(x.text("channel")), Purpose: duly.Purpose(x.text("purpose")), State: duly.Planned, NotBefore: f.Now,
	}
	if b.loan != "" {
		c.Items = []duly.Item{{LoanID: b.loan, No: 1}}
	}
	f.Contact, f.Party, f.Action = c, x.text("party"), x.text("action")
	x.skip("stage")
	b.address(x)
	b.words(x)
	s := x
	if x.m["sender"] == nil {
		s = b.c.defaults
		if top.m["sender"] != nil {
			s = top
		}
	}
	b.sender(s.sub("sender"))
	b.length(x, top)
	f.Actor.HumanReviewed = x.yes("human_reviewed")
}

func (b *builder) address(x *bag) {
	v := x.get("address")
	if s, ok := scalar(v); ok {
		v = map[string]any{"id": s}
	}
	a := b.open("contact.address", v)
	p := duly.ContactPoint{ID: duly.PointID(or(a.text("id"), casePoint)), Kind: duly.PointKind(a.text("kind", "type")), Source: a.text("source"), State: duly.PointActive}
	p.VerifiedAt = a.time("verified_at")
	a.skip("value")
	b.f.Contact.PointID = p.ID
	b.f.Person.Points = []duly.ContactPoint{p}
}

// words sets the text. A case without one asks before the words are made.
func (b *builder) words(x *bag) {
	v := x.get("template")
	if s, ok := v.(string); ok {
		v = map[string]any{"text": s}
	}
	t := b.open("contact.template", v)
	b.f.Sender.TemplateID = t.text("dlt_id", "registration", "registered_id")
	t.skip("id", "version", "locale", "language", "channel")
	given := t.get("text")
	if given == nil {
		given = x.get("text", "message")
	}
	if given == nil {
		given = b.c.defaults.get("text")
	}
	text, ok := given.(string)
	if given != nil && !ok {
		b.fail("contact.template.text", "must be text")
	}
	b.f.Text, b.f.WordsLater = text, given == nil
}

func (b *builder) sender(x *bag) {
	s := &b.f.Sender
	s.Number, s.Hidden = x.text("number", "caller_id", "series", "header"), x.yes("hidden", "withheld")
	s.TemplateID = or(s.TemplateID, x.text("template_id", "dlt_id", "dlt_template_id"))
	x.skip("number", "series", "header", "name")
}

// length sets how long a call is expected to last. Its unit is in the name of its key (expected_minutes) or in its text (5m,
// PT5M). A bare number of expected_duration is minutes below 60 and seconds from there on: no call lasts three seconds or
// three hundred minutes.
func (b *builder) length(bags ...*bag) {
	for _, x := range bags {
		for _, k := range slices.Sorted(maps.Keys(x.m)) {
			if !strings.HasPrefix(k, "expected_") && !strings.HasPrefix(k, "duration") {
				continue
			}
			s := x.text(k)
			if s == "" {
				continue
			}
			unit := time.Duration(0)
			switch {
			case strings.Contains(k, "min"):
				unit = time.Minute
			case strings.Contains(k, "sec") || strings.HasSuffix(k, "_s"):
				unit = time.Second
			}
			d, ok := length(s, unit)
			if !ok {
				x.fail(k, "must be a length of time: 5m, PT5M or a number of minutes")
			}
			b.f.Length = max(b.f.Length, d)
		}
	}
}

func length(s string, unit time.Duration) (time.Duration, bool) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < 1e6 {
		if unit == 0 {
			unit = time.Minute
			if n >= 60 {
				unit = time.Second
			}
		}
		return time.Duration(n) * unit, true
	}
	if rest, ok := strings.CutPrefix(s, "PT"); ok {
		s = strings.ToLower(rest)
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

// owed sets what the contact's loan is and owes.
func (b *builder) owed(x, contact *bag) {
	f := b.f
	b.currency = "CNY"
	if c := money.Currency(x.text("currency")); c != "" {
		b.currency = c
	}
	l := duly.Loan{ID: b.loan, Product: x.text("product"), Currency: b.currency}
	f.CreditPurchaser = x.yes("credit_purchaser")
	x.skip("id", "principal", "currency")
	b.amount(x)
	due := x.day("due_date", "due_on")
	days := contact.text("days_past_due", "dpd")
	switch n, err := strconv.Atoi(or(days, x.text("days_past_due", "dpd"))); {
	case err == nil:
		f.DaysPastDue = n
	case days != "":
		b.fail("contact.days_past_due", "must be a whole number")
	case !due.IsZero() && len(f.Person.Borrower.Zones) > 0:
		if loc, err := time.LoadLocation(f.Person.Borrower.Zones[0].Name); err == nil {
			f.DaysPastDue = civil.In(f.Now, loc).Sub(due)
		}
	default:
		f.Missing = append(f.Missing, "days_past_due")
	}
	for i := range f.Contact.Items {
		f.Contact.Items[i].DueOn, f.Contact.Items[i].Outstanding = due, money.New(f.AmountDue, b.currency)
	}
	f.Person.Loans = []duly.Loan{l}
}

func (b *builder) amount(x *bag) {
	v := x.get("amount_due", "outstanding")
	if v == nil {
		v = b.c.defaults.get("amount_due")
	}
	if m, ok := v.(map[string]any); ok {
		v = m["minor"]
		if s, ok := scalar(v); ok {
			if n, err := strconv.ParseInt(s, 10, 64); err == nil {
				b.f.AmountDue = n
				return
			}
		}
	}
	s, ok := scalar(v)
	if v == nil {
		b.f.Missing = append(b.f.Missing, "loan.amount_due")
		return
	}
	a, err := money.Parse(s, b.currency)
	if !ok || err != nil {
		b.fail("loan.amount_due", "must be an amount such as 1234.50")
	}
	b.f.AmountDue = a.Minor
}

// actor sets who acts. Keys that end in _from are the days from which duties bind the lender.
func (b *builder) actor(x *bag) {
	f := b.f
	agency, third := x.text("agency"), x.get("third_party")
	f.Actor = rule.Actor{
		Type: x.text("type"), ThirdParty: x.yes("third_party") || third == nil && agency != "", Certified: x.yes("certified"),
		HumanReviewed: f.Actor.HumanReviewed || x.yes("human_reviewed"), IdentityVerified: x.yes("identity_verified", "right_party_verified"),
	}
	f.EntityClass = x.text("entity_class", "lender_class", "class")
	f.CreditPurchaser = f.CreditPurchaser || x.yes("credit_purchaser")
	x.skip("name", "id", "licence", "license")
	for _, k := range slices.Sorted(maps.Keys(x.m)) {
		if strings.HasSuffix(k, "_from") && x.m[k] != nil {
			if f.StartDays == nil {
				f.StartDays = map[string]civil.Date{}
			}
			f.StartDays[k] = x.day(k)
		}
	}
}

// state sets what is known of the borrower. A truth that the gate has no other use for is a flag, which rules may ask for.
func (b *builder) state(x *bag) {
	f, p := b.f, b.f.Person
	p.Borrower.Flags = append(p.Borrower.Flags, x.texts("flags")...)
	if v, ok := x.get("clock_ok").(bool); ok {
		f.ClockOK = v
	}
	f.Actor.IdentityVerified = x.yes("identity_verified") || x.yes("right_party_verified") || f.Actor.IdentityVerified
	f.Actor.HumanReviewed = x.yes("human_reviewed") || f.Actor.HumanReviewed
	for _, c := range x.things("key", "consents", "consent") {
		given := duly.Consent{Key: c.text("key", "type"), GivenAt: c.time("at", "given_at"), Until: c.time("until", "expires_at", "expires", "valid_until"),
			WithdrawnAt: c.time("withdrawn_at", "revoked_at")}
		c.skip("form", "evidence", "scope", "channel")
		if b.ours(c) {
			p.Consents = append(p.Consents, given)
		}
	}
	for _, o := range x.things("key", "optouts", "opt_outs") {
		refused := duly.OptOut{Key: o.text("key", "type", "scope"), At: o.time("at", "received_at"), RevokedAt: o.time("revoked_at")}
		o.skip("source", "channel", "text", "scope")
		if b.ours(o) {
			p.OptOuts = append(p.OptOuts, refused)
		}
	}
	for _, h := range x.things("type", "holds") {
		b.hold(h)
	}
	for _, n := range x.things("type", "notices") {
		f.Notices = append(f.Notices, rule.Notice{Type: n.text("type", "key"), At: n.time("at", "sent_at", "delivered_at")})
		n.skip("loan", "person", "evidence", "channel")
	}
	b.preferences(x.sub("preferences"))
	for _, k := range slices.Sorted(maps.Keys(x.m)) {
		if on, ok := x.m[k].(bool); ok && !x.used[k] {
			x.used[k] = true
			if on {
				p.Borrower.Flags = append(p.Borrower.Flags, k)
			}
		}
	}
}

// ours reports whether something that the case says of a person, a loan or an address is about the contact's.
func (b *builder) ours(x *bag) bool {
	person, loan, point := x.text("person"), x.text("loan"), x.text("address")
	return (person == "" || person == string(b.f.Contact.BorrowerID)) && (loan == "" || loan == string(b.loan)) &&
		(point == "" || point == string(b.f.Contact.PointID))
}

func (b *builder) hold(x *bag) {
	h := duly.Hold{
		Kind: x.text("type", "kind"), Scope: duly.HoldPerson, LoanID: duly.LoanID(x.text("loan", "loan_id")), PointID: duly.PointID(x.text("address", "point")),
		From: x.time("from", "at", "since", "start"), Until: x.time("until", "to", "end", "expires_at"), ReleasedAt: x.time("released_at"),
	}
	switch s := duly.HoldScope(x.text("scope")); {
	case s.Known():
		h.Scope = s
	case h.PointID != "":
		h.Scope = duly.HoldAddress
	case h.LoanID != "":
		h.Scope = duly.HoldLoan
	}
	x.skip("reason", "author", "evidence")
	if person := x.text("person"); person != "" && person != string(b.f.Contact.BorrowerID) {
		b.f.JointHolds = append(b.f.JointHolds, h)
		return
	}
	b.f.Person.Holds = append(b.f.Person.Holds, h)
}

func (b *builder) preferences(x *bag) {
	for _, h := range x.things("days", "allow", "allowed", "allow_windows", "only", "windows") {
		b.f.Preferences.Allow = append(b.f.Preferences.Allow, b.hours(h))
	}
	for _, h := range x.things("days", "forbid", "forbidden", "forbid_windows", "deny", "block", "blocked", "exclude", "excluded", "not") {
		b.f.Preferences.Forbid = append(b.f.Preferences.Forbid, b.hours(h))
	}
}

// hours reads hours of some days of the week; without days, of all.
func (b *builder) hours(x *bag) rule.Hours {
	h := rule.Hours{To: 24 * 60}
	days := x.texts("days", "day")
	if len(days) == 0 {
		days = []string{"*"}
	}
	for _, s := range days {
		for _, part := range strings.Split(s, ",") {
			named, ok := rule.ParseDays(dayWords(strings.TrimSpace(part)))
			if !ok {
				x.fail("days", "unknown day: write mon, mon-fri or *")
			}
			for i := range named {
				h.Days[i] = h.Days[i] || named[i]
			}
		}
	}
	from, to := x.text("from", "start"), x.text("to", "end", "until")
	if both := x.texts("hours"); len(both) == 2 {
		from, to = both[0], both[1]
	}
	for _, c := range []struct {
		key, text string
		to        *civil.Clock
	}{{"from", from, &h.From}, {"to", to, &h.To}} {
		if c.text == "" {
			continue
		}
		v, err := civil.ParseClock(c.text)
		if err != nil {
			x.fail(c.key, "%v", err)
		}
		*c.to = v
	}
	return h
}

// dayWords writes days as rules do: Monday is mon, weekdays are mon-fri.
func dayWords(s string) string {
	switch s = strings.ToLower(s); s {
	case "all", "daily", "everyday", "any":
		return "*"
	case "weekdays", "weekday":
		return "mon-fri"
	case "weekend", "weekends":
		return "sat-sun"
	}
	first, last, isRange := strings.Cut(s, "-")
	first, last = first[:min(3, len(first))], last[:min(3, len(last))]
	if isRange {
		return first + "-" + last
	}
	return first
}

// history sets the contacts that were. One with a state is one of Duly's own, any other is from outside.
func (b *builder) history(top *bag) {
	for i, x := range top.things("at", "history") {
		b.past(i, x)
	}
}

func (b *builder) past(i int, x *bag) {
	p := b.f.Person
	loan, point := x.text("loan", "loan_id"), ""
	if _, given := x.m["loan"]; !given {
		loan = or(loan, caseLoan)
	}
	if a, ok := x.get("address").(map[string]any); ok {
		point, _ = scalar(a["id"])
	} else {
		point = x.text("address")
	}
	if _, given := x.m["address"]; !given {
		point = casePoint
	}
	who, at, channel := duly.BorrowerID(or(x.text("person"), casePerson)), x.time("at"), channelNamed(x.text("channel"))
	purpose, state := duly.Purpose(x.text("purpose")), duly.ContactState(x.text("state"))
	direction, outcome := x.text("direction"), x.text("outcome", "result")
	x.skip("agency", "actor", "id", "party", "note", "duration")
	if state == "" {
		p.Touches = append(p.Touches, duly.Touch{
			BorrowerID: who, ID: fmt.Sprint(i), LoanID: duly.LoanID(loan), PointID: duly.PointID(point), Channel: channel, Purpose: purpose,
			Inbound: direction == "in" || direction == "inbound" || channel == "call_inbound", Outcome: outcome, At: at,
		})
		return
	}
	c := duly.Contact{
		ID: duly.ContactID(fmt.Sprintf("past-%03d", i)), BorrowerID: who, Channel: channel, Purpose: purpose, PointID: duly.PointID(point),
		State: state, NotBefore: at, SentAt: at, Items: []duly.Item{{LoanID: duly.LoanID(loan), No: 1}},
	}
	if !c.State.Known() {
		x.fail("state", "unknown state of a contact")
	}
	if c.State == duly.Planned {
		c.SentAt = time.Time{}
	}
	p.Contacts = append(p.Contacts, c)
}

// calendars sets the holidays that the case tells, or those that all cases of its file share.
func (b *builder) calendars(top *bag) {
	x := b.c.shared(top, "calendars")
	var list []*civil.Calendar
	for _, name := range slices.Sorted(maps.Keys(x.m)) {
		c := x.sub(name)
		var years []int
		for _, s := range c.texts("years") {
			y, err := strconv.Atoi(s)
			if err != nil {
				c.fail("years", "must be a list of years")
			}
			years = append(years, y)
		}
		var days []civil.Date
		for _, s := range c.texts("dates", "holidays") {
			d, err := civil.Parse(s)
			if err != nil {
				c.fail("dates", "%v", err)
			}
			days = append(days, d)
		}
		c.skip("source")
		list = append(list, civil.NewCalendar(name, years, days))
	}
	b.f.Calendars = civil.NewCalendars(list...)
}
