package engine

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
)

// DueMax bounds how many cases or duties are listed at a time.
const DueMax = 10_000

// urgentCases marks cases of crisis as urgent, whoever forgot to.
func urgentCases(facts []duly.Fact) {
	for _, f := range facts {
		if c, ok := f.(*duly.Case); ok && c.Kind == duly.CaseCrisis {
			c.Urgent = true
		}
	}
}

// applyCases works out what the law demands because of the cases among facts that were put, ends what is done with, and
// holds the borrowers of those in crisis.
func (e *Engine) applyCases(tx *store.Tx, actor string, facts []duly.Fact, results []store.PutResult) error {
	owners := map[int][]duly.BorrowerID{}
	var cases []*duly.Case
	for i, f := range facts {
		c, ok := f.(*duly.Case)
		if !ok || results[i] != store.Added && results[i] != store.Changed {
			continue
		}
		b := c.BorrowerID.Bucket()
		cases, owners[b] = append(cases, c), append(owners[b], c.BorrowerID)
	}
	people := map[duly.BorrowerID]*duly.Person{}
	for _, b := range sortedKeys(owners) {
		persons, err := tx.Persons(b, unique(owners[b]), tx.Now())
		if err != nil {
			return err
		}
		for i := range persons {
			people[persons[i].Borrower.ID] = &persons[i]
		}
	}
	for _, c := range cases {
		if err := e.applyCase(tx, actor, c, people[c.BorrowerID]); err != nil {
			return err
		}
	}
	return nil
}

// caseDetail is what the audit keeps of a case.
type caseDetail struct {
	Kind   duly.CaseKind  `json:"kind"`
	State  duly.CaseState `json:"state"`
	Urgent bool           `json:"urgent"`
	Rules  []string       `json:"rules,omitempty"`
	Ended  int64          `json:"duties_ended,omitempty"`
	Hold   duly.HoldID    `json:"hold,omitempty"`
}

func (e *Engine) applyCase(tx *store.Tx, actor string, c *duly.Case, p *duly.Person) error {
	detail := caseDetail{Kind: c.Kind, State: c.State, Urgent: c.Urgent}
	known, err := tx.Duties(c.BorrowerID, c.ID)
	if err != nil {
		return err
	}
	if c.State == duly.CaseOpen || len(known) == 0 {
		duties := e.duties(c, p)
		for i := range duties {
			detail.Rules = append(detail.Rules, duties[i].Rule)
		}
		if err := tx.SetDuties(c, duties); err != nil {
			return err
		}
	}
	if c.State == duly.CaseDone {
		if detail.Ended, err = tx.EndDuties(c, c.DoneAt); err != nil {
			return err
		}
	}
	if c.Kind == duly.CaseCrisis && c.State == duly.CaseOpen {
		if detail.Hold, err = holdCrisis(tx, c); err != nil {
			return err
		}
	}
	tx.Audit(c.BorrowerID.Bucket(), "case", actor, string(c.ID), detail)
	return nil
}

// holdCrisis stops all contact with the borrower of a crisis, until a person releases the hold. One that was put before, and
// perhaps released, is left as it is.
func holdCrisis(tx *store.Tx, c *duly.Case) (duly.HoldID, error) {
	from := c.OpenedAt
	if from.After(tx.Now()) { // a clock that is ahead must not let contacts through until then
		from = tx.Now()
	}
	h := &duly.Hold{
		BorrowerID: c.BorrowerID, ID: duly.CrisisHoldID(c.ID), Kind: duly.HoldCrisis, Scope: duly.HoldPerson, Reason: "case of crisis",
		Author: c.Author, From: from, Version: 1,
	}
	_, err := tx.Put([]duly.Fact{h})
	return h.ID, err
}

// duties returns what the law demands because of a case.
func (e *Engine) duties(c *duly.Case, p *duly.Person) []duly.CaseDuty {
	event := rule.Event(c.Kind)
	if p == nil || rule.FindEvent(string(event)) != event {
		return nil
	}
	in := &rule.Incident{
		Event: event, At: c.OpenedAt, Country: p.Borrower.Country, Lender: e.cfg.Location, Calendars: e.calendars, Inputs: e.inputs(c),
	}
	for _, z := range p.Borrower.Zones {
		if loc, err := time.LoadLocation(z.Name); err == nil {
			in.Borrower = append(in.Borrower, loc)
		}
	}
	var out []duly.CaseDuty
	for _, d := range rule.Deadlines(e.packs, in) {
		out = append(out, duly.CaseDuty{
			BorrowerID: c.BorrowerID, CaseID: c.ID, Rule: d.Rule, Pack: d.Pack, TitleZH: d.TitleZH, TitleEN: d.TitleEN, Demand: string(d.Demand),
			If: d.If, DueOn: d.On, DueAt: d.At.UTC().Truncate(time.Microsecond), Lack: d.Lack, Shadow: d.Shadow, Source: d.Source,
		})
	}
	return out
}

// inputs is what the conditions of duties may ask about a case. What kind of lender it is nobody says by default.
func (e *Engine) inputs(c *duly.Case) map[string]string {
	out := map[string]string{"complex": "false", "oral": "false"}
	if c.Complex {
		out["complex"] = "true"
	}
	if c.Channel.Call() {
		out["oral"] = "true"
	}
	if e.cfg.LenderKind != "" {
		out["lender"], out["role"] = e.cfg.LenderKind, rule.RoleOf(e.cfg.LenderKind)
	}
	return out
}

// CaseFile is a case with what the law demands because of it.
type CaseFile struct {
	Case   duly.Case       `json:"case"`
	Duties []duly.CaseDuty `json:"duties"`
}

// FindCase returns a case, or NotFound. Where two borrowers have a case of the id, the borrower must be named.
func (e *Engine) FindCase(ctx context.Context, b duly.BorrowerID, id duly.CaseID) (CaseFile, error) {
	found, err := e.db.FindCases(ctx, id)
	if err != nil {
		return CaseFile{}, err
	}
	found = slices.DeleteFunc(found, func(c duly.Case) bool { return b != "" && c.BorrowerID != b })
	switch len(found) {
	case 0:
		return CaseFile{}, duly.Errorf(duly.NotFound, "there is no case of this id").WithHint("`duly case list` shows them")
	case 1:
	default:
		return CaseFile{}, duly.Errorf(duly.Conflict, "%d borrowers have a case of this id", len(found)).WithHint("name the borrower too")
	}
	f := CaseFile{Case: found[0]}
	err = e.db.View(ctx, func(tx *store.Tx) error {
		f.Duties, err = tx.Duties(f.Case.BorrowerID, f.Case.ID)
		return err
	})
	return f, err
}

// CloseCase records that a case is done with, and so is what it demanded to be done. A case that was done before stays as it
// was; closed is then false. The outcome is a code.
func (e *Engine) CloseCase(ctx context.Context, now time.Time, actor string, b duly.BorrowerID, id duly.CaseID, outcome string) (f CaseFile, closed bool, err error) {
	if f, err = e.FindCase(ctx, b, id); err != nil {
		return f, false, err
	}
	owner := f.Case.BorrowerID
	err = e.db.Update(ctx, now, []int{owner.Bucket()}, func(tx *store.Tx) error {
		closed = false
		cases, err := tx.BorrowerCases(owner)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(cases, func(c duly.Case) bool { return c.ID == id })
		if i < 0 {
			return duly.Errorf(duly.NotFound, "there is no case of this id")
		}
		c := cases[i]
		if c.State == duly.CaseOpen {
			c.State, c.DoneAt, c.Outcome, c.Version, closed = duly.CaseDone, tx.Now(), outcome, max(tx.Now().UnixMicro(), c.Version+1), true
			if err := checkClose(&c); err != nil {
				return err
			}
			if _, err := e.apply(tx, actor, []duly.Fact{&c}, true); err != nil {
				return err
			}
		}
		f.Case = c
		f.Duties, err = tx.Duties(owner, id)
		return err
	})
	return f, closed, err
}

func checkClose(c *duly.Case) error {
	switch {
	case !c.OutcomeKnown():
		return duly.Errorf(duly.Usage, "the outcome is not a code").WithHint("write small letters, digits and _, such as upheld; no words about the borrower")
	case c.DoneAt.Before(c.OpenedAt):
		return duly.Errorf(duly.Usage, "the case was opened later than now").WithHint("check the clock")
	}
	return nil
}

// EndDuty records that what one rule demanded because of a case was done, whatever it demanded.
func (e *Engine) EndDuty(ctx context.Context, now time.Time, actor string, b duly.BorrowerID, id duly.CaseID, ruleID string) (CaseFile, error) {
	f, err := e.FindCase(ctx, b, id)
	if err != nil {
		return f, err
	}
	bucket := f.Case.BorrowerID.Bucket()
	err = e.db.Update(ctx, now, []int{bucket}, func(tx *store.Tx) error {
		n, err := tx.EndDuty(&f.Case, tx.Now(), ruleID)
		if err != nil {
			return err
		}
		if n == 0 {
			return duly.Errorf(duly.NotFound, "the case has no duty of this rule that is not done").WithHint("`duly case show` lists them")
		}
		tx.Audit(bucket, "duty_done", actor, string(id), caseDetail{Kind: f.Case.Kind, State: f.Case.State, Urgent: f.Case.Urgent, Rules: []string{ruleID}, Ended: n})
		f.Duties, err = tx.Duties(f.Case.BorrowerID, id)
		return err
	})
	return f, err
}

// Cases lists the cases of a borrower, or for "" those of all: the open ones, urgent first and then the oldest, or with done
// also those that are done.
func (e *Engine) Cases(ctx context.Context, b duly.BorrowerID, done bool, limit int) (out []duly.Case, err error) {
	limit = min(limit, DueMax)
	err = e.db.View(ctx, func(tx *store.Tx) error {
		switch {
		case b != "":
			out, err = tx.BorrowerCases(b)
		case done:
			out, err = tx.AllCases(limit)
		default:
			out, err = tx.OpenCases(limit)
		}
		return err
	})
	if !done {
		out = slices.DeleteFunc(out, func(c duly.Case) bool { return c.State != duly.CaseOpen })
	}
	return out[:min(len(out), limit)], err
}

// DueQuery says which duties are asked for.
type DueQuery struct {
	Borrower duly.BorrowerID // "" asks for those of all
	Within   time.Duration   // whose time runs out within so long, whole days to the end of the lender's last; 0 asks for all
	Overdue  bool            // only those whose time has run out
	Limit    int             // 0 is DueMax
}

// withinMax bounds how far ahead is looked, in days.
const withinMax = 36_500

// ParseWithin reads how far ahead to look: days as 7d, or a time as Go writes it, 48h.
func ParseWithin(s string) (time.Duration, error) {
	bad := duly.Errorf(duly.Usage, "within is not a time above nothing, of at most %d days", withinMax).WithHint("write it as 7d or 48h").At(duly.Place{Field: "within"})
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > withinMax {
			return 0, bad
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > withinMax*24*time.Hour {
		return 0, bad
	}
	return d, nil
}

// Due is a duty that is not done.
type Due struct {
	duly.CaseDuty
	Overdue bool `json:"overdue"`
}

// Deadlines lists duties of cases that are not done: first those whose time is not known, then those overdue, then the others,
// soonest first.
func (e *Engine) Deadlines(ctx context.Context, now time.Time, q DueQuery) ([]Due, error) {
	until := time.UnixMicro(math.MaxInt64) // later than every instant that is kept
	switch {
	case q.Overdue:
		until = now
	case q.Within > 0 && q.Within%(24*time.Hour) == 0: // days are whole: what is due on the last of them is meant too
		until = e.Today(now.Add(q.Within)).Add(1).At(0, e.cfg.Location)
	case q.Within > 0:
		until = now.Add(q.Within)
	}
	if q.Limit <= 0 || q.Limit > DueMax {
		q.Limit = DueMax
	}
	var duties []duly.CaseDuty
	err := e.db.View(ctx, func(tx *store.Tx) (err error) {
		if q.Borrower != "" {
			duties, err = tx.BorrowerDuties(q.Borrower, now, until)
		} else {
			duties, err = tx.OpenDuties(now, until, q.Limit)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []Due
	for i := range duties {
		d := Due{duties[i], duties[i].Overdue(now)}
		if (!q.Overdue || d.Overdue) && len(out) < q.Limit {
			out = append(out, d)
		}
	}
	return out, nil
}
