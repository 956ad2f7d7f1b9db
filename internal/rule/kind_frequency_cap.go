package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Limits of a cap.
const (
	MaxLimit  = 10_000
	maxRolls  = 366
	maxPeriod = 366 * 24 * time.Hour
)

// frequencyCap lets at most limit contacts pass in a period. It counts the person's contacts, the contacts outside Duly
// and, while planning, those planned before. The contact that is judged does not count.
//
//	params:
//	  limit: 3
//	  period: calendar_day      # or rolling_days:7, iso_week, rolling:72h, ever
//	  scope: [person]           # person or debtor; with loan: for each loan; address: for each address
//	  count: {channel: [call_ai], outcome: [answered, reserved], direction: [out], purpose: [collection]}
//
//	  distinct: channel_group   # count groups of channels: calls, messages to the phone, e-mail, …
//
// Days are the borrower's; today is the first of rolling days. With several zones the fullest day counts. What belongs to
// another person than the contact counts for the address only. With distinct, a contact waits while as many groups as the
// limit were used other than its own: of one channel a week, none but the one that was used.
type frequencyCap struct {
	limit    int
	period   period
	scope    scope
	count    counted
	distinct bool
}

type scope int

const (
	scopePerson scope = iota
	scopeLoan
	scopeAddress
)

// counted is which contacts a cap counts. What is not known about a contact counts as if it matched.
type counted struct {
	channels []duly.Channel
	outcomes []outcome
	purposes []duly.Purpose
	out, in  bool // the directions; neither is both
}

// names reports whether contacts by the channel for the purpose are among those counted.
func (c *counted) names(ch duly.Channel, p duly.Purpose) bool {
	return (ch == "" || listed(c.channels, ch)) && (p == "" || listed(c.purposes, p))
}

// touch reports whether a contact outside Duly is among those counted, about a loan if one is given. An inbound call is of
// channel call_inbound, however it was put on record, unless outbound ones alone are asked for.
func (c *counted) touch(x *duly.Touch, loan duly.LoanID) bool {
	if x.Inbound && c.out && !c.in || !x.Inbound && c.in && !c.out {
		return false
	}
	if !c.names(x.Channel, x.Purpose) && !(x.Inbound && x.Channel.Call() && c.names(actInbound, x.Purpose)) {
		return false
	}
	if loan != "" && x.LoanID != "" && x.LoanID != loan {
		return false
	}
	got := outcomeNamed(x.Outcome)
	return !got.known() || listed(c.outcomes, got)
}

// covers reports whether something with a person, at an address, is within the scope of the contact.
func (s scope) covers(v *View, who duly.BorrowerID, at duly.PointID) bool {
	if s == scopeAddress {
		return v.at(at)
	}
	return v.same(who)
}

func (c *frequencyCap) check(v *View, at time.Time) finding {
	if c.scope == scopeAddress && v.Contact.PointID == "" {
		return finding{lack: lackFact, seen: "the cap is for each address, and the contact has none"}
	}
	if c.scope != scopeLoan {
		return c.judge(v, at, "")
	}
	if len(v.Contact.Items) == 0 {
		return finding{lack: lackFact, seen: "the cap is for each loan, and the contact is about none"}
	}
	worst := pass()
	for i := range v.Contact.Items {
		f := c.judge(v, at, v.Contact.Items[i].LoanID)
		if !f.ok && (worst.ok || f.until.After(worst.until)) {
			worst = f
		}
		if f.lack != nothing {
			return f
		}
	}
	return worst
}

// judge answers for one loan, or for all with "".
func (c *frequencyCap) judge(v *View, at time.Time, loan duly.LoanID) finding {
	if !c.distinct && c.number(v, at, loan, time.Time{}) < c.limit {
		return pass()
	}
	switch c.period.unit {
	case ever:
		return c.full("ever", c.number(v, at, loan, time.Time{}))
	case rolling:
		return c.rolling(v, at, loan)
	case calendarDay, rollingDays, isoWeek:
		return c.dated(v, at, loan)
	}
	return finding{lack: lackFact, seen: "the cap's period is not known"}
}

func (c *frequencyCap) full(period string, n int) finding {
	return finding{seen: fmt.Sprintf("%d counted, %s; at most %d", n, period, c.limit)}
}

// rolling judges a period that is a length of time.
func (c *frequencyCap) rolling(v *View, at time.Time, loan duly.LoanID) finding {
	// The period is open at its far end: what lies exactly its length back no longer counts.
	since := at.Add(1 - c.period.length)
	n := c.number(v, at, loan, since)
	if n < c.limit {
		return pass()
	}
	f := c.full(c.period.String(), n)
	for range n {
		since = c.first(v, at, loan, since).Add(1)
		if c.number(v, at, loan, since) < c.limit {
			f.until = since.Add(c.period.length - 1)
			break
		}
	}
	return f
}

// dated judges a period of local days in every zone; the one that is full for longest decides.
func (c *frequencyCap) dated(v *View, at time.Time, loan duly.LoanID) finding {
	if len(v.zones) == 0 {
		return finding{lack: lackZone, seen: "the cap needs the borrower's time zone"}
	}
	worst := pass()
	for _, loc := range v.zones {
		today := civil.In(at, loc)
		n := c.used(v, at, loan, c.period.start(today).At(0, loc))
		if n < c.limit {
			continue
		}
		if worst.ok {
			worst = c.full(c.period.String(), n)
		}
		for day := today.Add(1); ; day = day.Add(1) {
			if c.used(v, at, loan, c.period.start(day).At(0, loc)) < c.limit || day.Sub(today) > maxRolls {
				if open := day.At(0, loc); open.After(worst.until) {
					worst.until = open
				}
				break
			}
		}
	}
	return worst
}

// used returns how much of the limit is used up from since on: contacts or, with distinct, the groups of channels other than
// the contact's own.
func (c *frequencyCap) used(v *View, at time.Time, loan duly.LoanID, since time.Time) int {
	if !c.distinct {
		return c.number(v, at, loan, since)
	}
	var seen [groups]bool
	c.each(v, at, loan, since, func(_ time.Time, ch duly.Channel) { seen[groupOf(ch)] = true })
	seen[groupOf(v.Contact.Channel)] = false
	n := 0
	for _, used := range seen {
		if used {
			n++
		}
	}
	return n
}

// number counts what matches from since on; with the zero since, all that is known.
func (c *frequencyCap) number(v *View, at time.Time, loan duly.LoanID, since time.Time) int {
	n := 0
	for i := range v.Person.Contacts {
		if t, ok := c.contact(v, &v.Person.Contacts[i], at, loan); ok && !t.Before(since) {
			n++
		}
	}
	for i := range v.Person.Touches {
		if c.touch(v, &v.Person.Touches[i], loan) && !v.Person.Touches[i].At.Before(since) {
			n++
		}
	}
	return n
}

// first returns the earliest instant, from since on, of what matches.
func (c *frequencyCap) first(v *View, at time.Time, loan duly.LoanID, since time.Time) time.Time {
	var first time.Time
	c.each(v, at, loan, since, func(t time.Time, _ duly.Channel) {
		if first.IsZero() || t.Before(first) {
			first = t
		}
	})
	return first
}

// each calls fn for what matches from since on.
func (c *frequencyCap) each(v *View, at time.Time, loan duly.LoanID, since time.Time, fn func(time.Time, duly.Channel)) {
	for i := range v.Person.Contacts {
		if t, ok := c.contact(v, &v.Person.Contacts[i], at, loan); ok && !t.Before(since) {
			fn(t, v.Person.Contacts[i].Channel)
		}
	}
	for i := range v.Person.Touches {
		if t := &v.Person.Touches[i]; c.touch(v, t, loan) && !t.At.Before(since) {
			fn(t.At, t.Channel)
		}
	}
}

// contact returns when a contact of Duly's counts from, and whether it does.
func (c *frequencyCap) contact(v *View, x *duly.Contact, at time.Time, loan duly.LoanID) (time.Time, bool) {
	if x.ID == v.Contact.ID || c.count.in && !c.count.out || !c.scope.covers(v, x.BorrowerID, x.PointID) {
		return time.Time{}, false
	}
	got, when := outcomeOf(v, x, at)
	if got == none || !listed(c.count.outcomes, got) || !listed(c.count.channels, x.Channel) || !listed(c.count.purposes, x.Purpose) {
		return time.Time{}, false
	}
	return when, loan == "" || aboutLoan(x, loan)
}

// touch reports whether a contact outside Duly counts.
func (c *frequencyCap) touch(v *View, x *duly.Touch, loan duly.LoanID) bool {
	return c.scope.covers(v, x.BorrowerID, x.PointID) && c.count.touch(x, loan)
}

// channelGroup is a way of reaching a person, of which there may be several channels.
type channelGroup int

// The groups. A channel that is not known is a group of its own.
const (
	groupCall channelGroup = iota
	groupSMS
	groupEmail
	groupIM
	groupApp
	groupVisit
	groupLetter
	groupOther
	groups
)

func groupOf(c duly.Channel) channelGroup {
	switch c { //nolint:exhaustive // the rest is another
	case duly.ChannelAgent, duly.ChannelRobot, duly.ChannelPrerecorded, actInbound, actVoicemail:
		return groupCall
	case duly.ChannelSMS:
		return groupSMS
	case duly.ChannelEmail:
		return groupEmail
	case duly.ChannelIM:
		return groupIM
	case duly.ChannelPush, duly.ChannelInApp:
		return groupApp
	case actVisit:
		return groupVisit
	case duly.ChannelLetter:
		return groupLetter
	}
	return groupOther
}

func aboutLoan(x *duly.Contact, loan duly.LoanID) bool {
	for i := range x.Items {
		if x.Items[i].LoanID == loan {
			return true
		}
	}
	return len(x.Items) == 0
}

// listed reports whether v is in a list; an empty list has everything.
func listed[E comparable](list []E, v E) bool { return len(list) == 0 || slices.Contains(list, v) }

func parseCap(o *object) checker {
	c := &frequencyCap{limit: o.whole("limit", 1, MaxLimit)}
	if o.need("period") {
		p, err := parsePeriod(o.str("period"))
		if err != nil {
			o.fail("period", "%v", err)
		}
		c.period = p
	}
	c.scope = o.scope()
	if o.has("count") {
		c.count = o.counted("count")
	}
	switch s := o.str("distinct"); {
	case s != "" && s != "channel_group":
		o.fail("distinct", "must be channel_group")
	case s != "" && (c.period.unit == ever || c.period.unit == rolling):
		o.fail("distinct", "needs a period of days")
		o.r.hint("calendar_day, rolling_days:N or iso_week")
	case s != "":
		c.distinct = true
	}
	return c
}

// counted reads which contacts count.
func (o *object) counted(key string) counted {
	n := o.sub(key, "channel", "outcome", "direction", "purpose")
	c := counted{channels: n.channels("channel"), purposes: n.purposes("purpose")}
	for i, s := range n.strs("outcome") {
		if !outcome(s).known() {
			n.r.fail(n.at["outcome"], fmt.Sprintf("%s[%d]", n.path("outcome"), i), "unknown outcome")
		}
		c.outcomes = append(c.outcomes, outcome(s))
	}
	for _, s := range n.strs("direction") {
		switch s {
		case "out":
			c.out = true
		case "in":
			c.in = true
		default:
			n.fail("direction", "must be out or in")
		}
	}
	return c
}

func (o *object) scope() scope {
	got := scopePerson
	if !o.need("scope") {
		return got
	}
	for _, s := range o.strs("scope") {
		switch {
		case s == "person" || s == "debtor":
		case s == "loan" && got != scopeAddress:
			got = scopeLoan
		case s == "address" && got != scopeLoan:
			got = scopeAddress
		default:
			o.fail("scope", "must be person, debtor, loan or address, and not loan with address")
		}
	}
	return got
}

// period is the time over which a cap counts.
type period struct {
	unit   unit
	days   int
	length time.Duration
}

type unit int

const (
	calendarDay unit = iota + 1
	rollingDays
	isoWeek
	rolling
	ever
)

func parsePeriod(s string) (period, error) {
	switch s {
	case "calendar_day":
		return period{unit: calendarDay, days: 1}, nil
	case "iso_week":
		return period{unit: isoWeek}, nil
	case "ever":
		return period{unit: ever}, nil
	}
	if n, ok := strings.CutPrefix(s, "rolling_days:"); ok {
		days, err := strconv.Atoi(n)
		if err == nil && days >= 1 && days <= maxRolls {
			return period{unit: rollingDays, days: days}, nil
		}
	}
	if d, ok := strings.CutPrefix(s, "rolling:"); ok {
		length, err := time.ParseDuration(d)
		if err == nil && length > 0 && length <= maxPeriod {
			return period{unit: rolling, length: length}, nil
		}
	}
	return period{}, fmt.Errorf("must be calendar_day, rolling_days:N (1 to %d), iso_week, rolling:DURATION or ever", maxRolls)
}

// start returns the first day of the period that ends with day d.
func (p period) start(d civil.Date) civil.Date {
	if p.unit == isoWeek {
		return d.Add(-(int(d.Weekday()) + 6) % 7)
	}
	return d.Add(1 - p.days)
}

// String writes the period as rules do.
func (p period) String() string {
	switch p.unit {
	case calendarDay:
		return "calendar_day"
	case rollingDays:
		return "rolling_days:" + strconv.Itoa(p.days)
	case isoWeek:
		return "iso_week"
	case rolling:
		return "rolling:" + p.length.String()
	case ever:
		return "ever"
	}
	return ""
}
