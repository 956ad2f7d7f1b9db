package plan_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/plan"
	"github.com/dulyhq/duly/internal/strategy"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

// TestStories runs the stories of testdata. A story is a list of lines that set facts, and of lines that ask: plan, which
// also writes the answer down, and why, which explains. What follows an asking line, behind a bar, is the answer.
//
//	strategy NAME                      one that ships, or FILE.yaml of testdata
//	borrower KEY=VALUE …               tier, country, flags (a,b), zones (a,b); none is unknown
//	point KIND [STATE]                 mobile, app_token, email
//	loan ID [auto_debit]
//	due LOAN/NO DAY AMOUNT             an instalment, or its new day and amount
//	paid LOAN/NO, unpaid LOAN/NO       settled now, reversed
//	debit LOAN/NO STATE TIME
//	hold KIND LOAN FROM UNTIL          LOAN is - for the person
//	optout KEY
//	carrier STEP RUNG STATE TIME       what became of a contact, and when
//	plan TIME [through DAY]
//	why TIME [through DAY]
func TestStories(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got := tell(t, w, file, string(src))
		if got == string(src) {
			continue
		}
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		t.Errorf("%s (-want +got):\n%s", file, cmp.Diff(strings.Split(string(src), "\n"), strings.Split(got, "\n")))
	}
}

// story is the state of one story.
type story struct {
	t testing.TB
	w *world
	life
}

func tell(t *testing.T, w *world, file, src string) string {
	t.Helper()
	s := &story{t: t, w: w}
	s.life = life{t: t, w: w, s: w.strategies[0]}
	s.p.Borrower = duly.Borrower{ID: "B1", Country: "CN", Language: "zh-CN", Zones: []duly.Zone{{Name: "Asia/Shanghai"}}}
	var out strings.Builder
	for n, line := range strings.Split(strings.TrimSuffix(src, "\n"), "\n") {
		if strings.HasPrefix(line, "|") {
			continue
		}
		out.WriteString(line + "\n")
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		answer, err := s.do(words[0], words[1:])
		if err != nil {
			t.Fatalf("%s:%d: %v", file, n+1, err)
		}
		for _, a := range answer {
			out.WriteString(strings.TrimRight("| "+a, " ") + "\n")
		}
	}
	return out.String()
}

func (s *story) do(verb string, args []string) ([]string, error) {
	id := s.p.Borrower.ID
	switch verb {
	case "strategy":
		return nil, s.choose(args[0])
	case "borrower":
		for _, a := range args {
			if err := s.borrower(a); err != nil {
				return nil, err
			}
		}
	case "point":
		q := duly.ContactPoint{BorrowerID: id, ID: duly.PointID("p-" + args[0]), Kind: duly.PointKind(args[0]), State: duly.PointActive}
		if len(args) > 1 {
			q.State = duly.PointState(args[1])
		}
		s.p.Points = append(slices.DeleteFunc(s.p.Points, func(x duly.ContactPoint) bool { return x.ID == q.ID }), q)
	case "loan":
		s.p.Loans = append(s.p.Loans, duly.Loan{BorrowerID: id, ID: duly.LoanID(args[0]), Currency: "CNY", AutoDebit: len(args) > 1})
	case "hold":
		h := duly.Hold{BorrowerID: id, ID: duly.HoldID(fmt.Sprint(len(s.p.Holds))), Kind: args[0], Scope: duly.HoldLoan, LoanID: duly.LoanID(args[1])}
		if args[1] == "-" {
			h.Scope, h.LoanID = duly.HoldPerson, ""
		}
		h.From, h.Until = s.time(args[2]), s.time(args[3])
		s.p.Holds = append(s.p.Holds, h)
	case "optout":
		s.p.OptOuts = append(s.p.OptOuts, duly.OptOut{BorrowerID: id, Key: args[0], At: s.time("2026-01-01T00:00")})
	case "due", "paid", "unpaid", "debit":
		return nil, s.installment(verb, args)
	case "carrier":
		return nil, s.carrier(args)
	case "plan", "why":
		return s.answer(verb, args)
	default:
		return nil, fmt.Errorf("unknown verb %q", verb)
	}
	return nil, nil
}

func (s *story) choose(name string) error {
	if strings.HasSuffix(name, ".yaml") {
		src, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			return err
		}
		s.s = s.w.add(s.t, name, src)
		return nil
	}
	i := slices.IndexFunc(s.w.strategies, func(x *strategy.Strategy) bool { return x.Name == name })
	if i < 0 {
		return fmt.Errorf("unknown strategy %q", name)
	}
	s.s = s.w.strategies[i]
	return nil
}

func (s *story) borrower(a string) error {
	key, value, _ := strings.Cut(a, "=")
	b := &s.p.Borrower
	switch key {
	case "tier":
		b.Tier = value
	case "country":
		b.Country = value
	case "flags":
		b.Flags = strings.Split(value, ",")
	case "zones":
		b.Zones = nil
		for _, z := range strings.Split(value, ",") {
			if z != "none" {
				b.Zones = append(b.Zones, duly.Zone{Name: z})
			}
		}
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}

func (s *story) installment(verb string, args []string) error {
	loan, no, _ := strings.Cut(args[0], "/")
	it := duly.Item{LoanID: duly.LoanID(loan), No: int(no[0] - '0')}
	if verb == "debit" {
		s.p.Debits = slices.DeleteFunc(s.p.Debits, func(d duly.Debit) bool {
			return d.State == duly.DebitInFlight && d.LoanID == it.LoanID && d.InstallmentNo == it.No
		})
		s.p.Debits = append(s.p.Debits, duly.Debit{
			ID: duly.DebitID(fmt.Sprint(len(s.p.Debits))), LoanID: it.LoanID, InstallmentNo: it.No, State: duly.DebitState(args[1]),
			At: s.time(args[2]), Reason: "insufficient_funds",
		})
		return nil
	}
	in := s.find(it)
	switch verb {
	case "paid":
		in.Paid.Principal, in.SettledAt = in.Principal.Minor, s.now
		s.cancelPaid()
	case "unpaid":
		in.Paid.Principal, in.SettledAt = 0, time.Time{}
	case "due":
		if in == nil {
			s.p.Installments = append(s.p.Installments, duly.Installment{LoanID: it.LoanID, No: it.No})
			in = &s.p.Installments[len(s.p.Installments)-1]
		}
		day, err := civil.Parse(args[1])
		if err != nil {
			return err
		}
		in.DueOn = day
		in.Principal, err = money.Parse(args[2], "CNY")
		return err
	}
	return nil
}

// carrier says what became of the contact of a step that was planned last.
func (s *story) carrier(args []string) error {
	at := s.time(args[3])
	for i := len(s.p.Contacts) - 1; i >= 0; i-- {
		c := &s.p.Contacts[i]
		if c.Step != args[0] || fmt.Sprint(c.Rung) != args[1] {
			continue
		}
		c.State, c.ChangedAt, c.FallbackAt, c.Reason = duly.ContactState(args[2]), at, time.Time{}, ""
		st, _ := s.s.Step(c.Step)
		after, more := st.FallbackAfter(c.Rung)
		switch {
		case c.State == duly.Failed && more:
			c.FallbackAt = at
		case more && (c.State == duly.Accepted || c.State == duly.Delivered && st.FallbackUnlessRead(c.Rung)):
			c.FallbackAt = at.Add(after)
		}
		if c.SentAt.IsZero() && c.State != duly.Planned {
			c.SentAt = at
		}
		return nil
	}
	return fmt.Errorf("no contact of step %s on rung %s", args[0], args[1])
}

func (s *story) answer(verb string, args []string) ([]string, error) {
	s.now = s.time(args[0])
	in := s.input()
	in.PlannedThrough, in.Explain = civil.In(s.now, shanghai).Add(-1), verb == "why"
	if len(args) == 3 {
		day, err := civil.Parse(args[2])
		if err != nil {
			return nil, err
		}
		in.PlannedThrough = day
	}
	r, err := plan.Next(in)
	if err != nil {
		return nil, err
	}
	if verb == "why" {
		return s.explained(r), nil
	}
	s.write(r)
	if again, err := plan.Next(in); err != nil || len(again.Changes) > 0 {
		s.t.Errorf("planned twice at %s: %d changes, %v", args[0], len(again.Changes), err)
	}
	if len(r.Changes) == 0 {
		return []string{"nothing changes"}, nil
	}
	var out []string
	for _, c := range r.Changes {
		out = append(out, s.change(&c))
	}
	return out, nil
}

func (s *story) change(ch *plan.Change) string {
	c := &ch.Contact
	from := string(ch.From)
	if from == "" {
		from = "new"
	}
	line := fmt.Sprintf("%s -> %s", from, c.State)
	if c.Reason != "" {
		line += " (" + c.Reason + ")"
	}
	line += fmt.Sprintf(": %s of %s, rung %d %s %s, %s %s, %s", c.Step, c.Day, c.Rung, c.Channel, c.PointID, c.Tone, c.Purpose, c.Template)
	if c.Late {
		line += ", late"
	}
	if c.State == duly.Planned {
		line += fmt.Sprintf(", %s to %s", s.clock(c.NotBefore), s.clock(c.ExpiresAt))
	}
	for _, it := range c.Items {
		line += fmt.Sprintf(", %s/%d", it.LoanID, it.No)
	}
	if len(c.Decision.Reasons) > 0 && c.State != duly.Cancelled {
		line += "; " + s.rules(c.Decision.Reasons)
	}
	return line
}

func (s *story) rules(reasons []duly.Reason) string {
	var all []string
	for _, r := range reasons {
		all = append(all, r.Rule)
	}
	return strings.Join(all, ", ")
}

func (s *story) explained(r plan.Result) []string {
	out := []string{r.Summary}
	for i := range r.Considered {
		c := &r.Considered[i]
		line := fmt.Sprintf("%s %-16s %-15s", c.Day, c.Step, c.Verdict)
		for _, it := range c.Items {
			line += fmt.Sprintf(" %s/%d", it.LoanID, it.No)
		}
		if len(c.Reasons) > 0 {
			line += "; " + s.rules(c.Reasons)
		}
		if len(c.Values) > 0 {
			line += "; " + c.When + " with " + c.ValuesText()
		}
		if c.Note != "" {
			line += "; " + c.Note
		}
		out = append(out, line)
	}
	return out
}

func (s *story) time(text string) time.Time {
	s.t.Helper()
	at, err := time.ParseInLocation("2006-01-02T15:04", text, shanghai)
	if err != nil {
		s.t.Fatal(err)
	}
	return at.UTC()
}

func (s *story) clock(at time.Time) string { return at.In(shanghai).Format("01-02 15:04:05") }
