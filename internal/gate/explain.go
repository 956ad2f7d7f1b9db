package gate

import (
	"slices"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/rule"
)

// Explanation is a decision with everything it was made from: each rule that was asked, with its answer, and the facts. It
// holds nothing that names a person.
type Explanation struct {
	duly.Decision
	Rules []Answer      `json:"rules"`            // every rule that looks at contacts of the purpose by the channel, by id
	Would []duly.Reason `json:"shadow,omitempty"` // what the rules in shadow would have said
	Facts Seen          `json:"facts"`
}

// Answer is what one rule said.
type Answer struct {
	Rule    string     `json:"rule"`
	Pack    string     `json:"pack"`
	Kind    rule.Kind  `json:"kind"`
	Force   duly.Force `json:"force"`
	Answer  string     `json:"answer"`           // allow, defer, block, or does_not_apply
	Code    string     `json:"code,omitempty"`   // why not
	Until   time.Time  `json:"until,omitzero"`   // for defer: when the rule lets it pass
	Seen    string     `json:"facts,omitempty"`  // what was seen and what was needed
	Source  string     `json:"source,omitempty"` // the instrument and article
	Read    string     `json:"read,omitempty"`   // how well the instrument is known: primary, secondary, memory
	Shadow  bool       `json:"shadow"`           // the rule was asked and did not count
	OnTrial bool       `json:"on_trial"`         // the rule counted because the question names its pack; else it is in shadow
}

// notApplying is the answer of a rule that does not look at the contact.
const notApplying = "does_not_apply"

// Seen is the facts that a decision was made from.
type Seen struct {
	Phase           rule.Phase            `json:"phase"`
	Now             time.Time             `json:"now"`
	Channel         duly.Channel          `json:"channel"`
	Purpose         duly.Purpose          `json:"purpose"`
	Party           string                `json:"party"`
	Country         string                `json:"country"`
	Zones           []string              `json:"timezones"`
	DaysPastDue     int                   `json:"days_past_due"`
	AmountDue       int64                 `json:"amount_due_minor"`
	Products        []string              `json:"products,omitempty"`
	AddressKind     duly.PointKind        `json:"address_kind,omitempty"`
	AddressSource   string                `json:"address_source,omitempty"`
	Action          string                `json:"action,omitempty"`
	LengthSeconds   int                   `json:"expected_seconds,omitempty"`
	Words           bool                  `json:"words"` // whether there were words to judge
	ActorType       string                `json:"actor_type,omitempty"`
	ThirdParty      bool                  `json:"third_party"`
	Certified       bool                  `json:"certified"`
	HumanReviewed   bool                  `json:"human_reviewed"`
	Verified        bool                  `json:"identity_verified"`
	SenderHidden    bool                  `json:"sender_hidden"`
	Registered      bool                  `json:"template_registered"`
	EntityClass     string                `json:"entity_class,omitempty"`
	StartDays       map[string]civil.Date `json:"start_days,omitempty"`
	CreditPurchaser bool                  `json:"credit_purchaser"`
	Flags           []string              `json:"flags,omitempty"`
	Consents        []string              `json:"consents,omitempty"`
	OptOuts         []string              `json:"opt_outs,omitempty"`
	Holds           []string              `json:"holds,omitempty"`
	Notices         []string              `json:"notices,omitempty"`
	History         int                   `json:"history"` // contacts on record, Duly's own and others'
	Calendars       []string              `json:"calendars,omitempty"`
	Missing         []string              `json:"missing,omitempty"`
	ClockOK         bool                  `json:"clock_ok"`
	FeedAt          time.Time             `json:"payments_known_to,omitzero"`
}

// Explain answers as Check does, and tells what each rule said.
func Explain(f *rule.Facts, set *rule.Set) Explanation {
	x := Explanation{Decision: Check(f, set), Would: Shadow(f, set), Rules: []Answer{}}
	if f.Person == nil || f.Contact == nil {
		return x
	}
	x.Facts = seen(f)
	v := set.View(f)
	defer v.Release()
	for r := range set.Rules(v) {
		a := Answer{Rule: r.ID, Pack: r.Pack, Kind: r.Kind, Force: r.Force, Answer: duly.Allow.String(), Source: r.Source.Instrument, Read: r.Source.Read, Shadow: r.Shadow}
		if !r.Applies(v, f.Now) {
			a.Answer = notApplying
		} else if why := r.Judge(v, f.Now); why.Verdict != duly.NoVerdict {
			a.Answer, a.Code, a.Until, a.Seen = why.Verdict.String(), why.Code, why.Until, why.Facts
		}
		x.Rules = append(x.Rules, a)
	}
	return x
}

// Ask answers the question that a case puts, by the packs that it names as its cases would, or else by the packs given. A
// case without calendars is asked with those given.
func Ask(c *Case, packs []*rule.Pack, cals *civil.Calendars) (Explanation, error) {
	f, err := c.Facts()
	if err != nil {
		return Explanation{}, err
	}
	if c.raw["calendars"] == nil {
		f.Calendars = cals
	}
	var trial []string
	if len(c.Packs) > 0 {
		if packs, trial, err = CasePacks(c, nil, packs); err != nil {
			return Explanation{}, err
		}
	}
	set, err := rule.NewSet(packs)
	if err != nil {
		return Explanation{}, err
	}
	x := Explain(f, set)
	for i := range x.Rules {
		x.Rules[i].OnTrial = slices.Contains(trial, x.Rules[i].Pack+"/"+x.Rules[i].Rule)
	}
	return x, nil
}

func seen(f *rule.Facts) Seen {
	p := f.Person
	s := Seen{
		Phase: f.Phase, Now: f.Now, Channel: f.Contact.Channel, Purpose: f.Contact.Purpose, Party: or(f.Party, rule.PartyDebtor),
		Country: p.Borrower.Country, Zones: []string{}, DaysPastDue: f.DaysPastDue, AmountDue: f.AmountDue, Action: f.Action,
		LengthSeconds: int(f.Length / time.Second), Words: f.Text != "", ActorType: f.Actor.Type, ThirdParty: f.Actor.ThirdParty,
		Certified: f.Actor.Certified, HumanReviewed: f.Actor.HumanReviewed, Verified: f.Actor.IdentityVerified, SenderHidden: f.Sender.Hidden,
		Registered: f.Sender.TemplateID != "", EntityClass: f.EntityClass, StartDays: f.StartDays, CreditPurchaser: f.CreditPurchaser,
		Flags: p.Borrower.Flags, History: len(p.Contacts) + len(p.Touches), Calendars: f.Calendars.Names(), Missing: f.Missing,
		ClockOK: f.ClockOK, FeedAt: f.FeedAt,
	}
	for _, z := range p.Borrower.Zones {
		s.Zones = append(s.Zones, z.Name)
	}
	for i := range f.Contact.Items {
		if l := p.Loan(f.Contact.Items[i].LoanID); l != nil && l.Product != "" && !slices.Contains(s.Products, l.Product) {
			s.Products = append(s.Products, l.Product)
		}
	}
	if point := p.Point(f.Contact.PointID); point != nil {
		s.AddressKind, s.AddressSource = point.Kind, point.Source
	}
	for i := range p.Consents {
		if p.Consents[i].ActiveAt(f.Now) {
			s.Consents = append(s.Consents, p.Consents[i].Key)
		}
	}
	for i := range p.OptOuts {
		if p.OptOuts[i].ActiveAt(f.Now) {
			s.OptOuts = append(s.OptOuts, p.OptOuts[i].Key)
		}
	}
	for i := range p.Holds {
		if p.Holds[i].ActiveAt(f.Now) {
			s.Holds = append(s.Holds, p.Holds[i].Kind)
		}
	}
	for _, n := range f.Notices {
		s.Notices = append(s.Notices, n.Type)
	}
	return s
}
