package sim_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutant is the product with one guard switched off, in its own source: old becomes new in a file, for one build that nobody
// keeps. What finds it is the promise; "" is any.
type mutant struct {
	guard, file, old, new string
	promise               string
	faults                string
	borrowers, days       string // "": 60 and 45
	seed                  string // the first that is tried; "": 1
}

var mutants = []mutant{
	{guard: "the fence", file: "internal/engine/fence.go", old: "return m != nil && !m.stopped && f.holding.has(b.Bucket(), m.epoch)", new: "return m != nil", faults: "in-flight"},
	{guard: "the second look at a claim that waited", file: "internal/engine/dispatch.go", old: "		if e.cfg.Clock == nil {\n			return begun, true", new: "		if true {\n			return begun, true", faults: "in-flight,nodes"},
	{guard: "the window rule", file: "internal/rule/kind_contact_window.go", old: "	for _, loc := range v.zones {\n		open, known", new: "	for _, loc := range v.zones[:0] {\n		open, known", faults: "zones,refusals,carrier"},
	{guard: "the hours asked for", file: "internal/rule/preference.go", old: "	if !asked {\n		return pass()", new: "	if true || !asked {\n		return pass()", promise: "only in the hours asked for", faults: "refusals"},
	{guard: "the cap", file: "internal/rule/kind_frequency_cap.go", old: "if !c.distinct && c.number(v, at, loan, time.Time{}) < c.limit {", new: "if !c.distinct {", promise: "none over a cap", faults: "refusals,carrier"},
	{guard: "the hold", file: "internal/rule/kind_hold.go", old: "if slices.Contains(h.except, v.Contact.Purpose) {", new: "if true || slices.Contains(h.except, v.Contact.Purpose) {", promise: "none under a hold", faults: "refusals"},
	{guard: "the refusal", file: "internal/rule/kind_opt_out.go", old: "if o.ActiveAt(at) && v.about(o.LoanID)", new: "if false && o.ActiveAt(at) && v.about(o.LoanID)", promise: "no contact after a refusal", faults: "refusals"},
	{guard: "the debit under way", file: "internal/strategy/vars.go", old: "			if !d.At.After(now) {\n				return true", new: "			if !d.At.After(now) {\n				return false", promise: "none while a debit is under way", faults: "payments,in-flight", borrowers: "150", days: "60"},
	{guard: "stale payments", file: "internal/gate/gate.go", old: "return f.Phase != rule.PhasePlan &&", new: "return f.Phase == \"\" && f.Phase != rule.PhasePlan &&", promise: "nothing is sent on stale payments", faults: "feed,outage"},
	{guard: "the lease in the claim", file: "internal/engine/claim.go", old: "		if held[b] != epoch {", new: "		if held[b] != epoch && e.db == nil {", promise: "nothing is sent without a lease", faults: "nodes", borrowers: "150", days: "60", seed: "5"},
	{guard: "the lease at the POST", file: "internal/engine/lease.go", old: "	return ok && got == epoch && h.live()", new: "	return ok || got != epoch", promise: "nothing is sent without a lease", faults: "nodes,in-flight", borrowers: "150", days: "60", seed: "8"},
	{guard: "the clock that is behind", file: "internal/engine/claim.go", old: "return !state.ChangedAt.After(now) && !p.LatestEvent().After(now)", new: "return true || !state.ChangedAt.After(now) && !p.LatestEvent().After(now)", promise: "nothing is sent by a clock that is behind", faults: "clock,payments,nodes,refusals", borrowers: "150", days: "60"},
	{guard: "the allocation", file: "internal/engine/apply.go", old: "	if err := tx.SetPaid(changed); err != nil {", new: "	if err := tx.SetPaid(changed[:0]); err != nil {", promise: "money balances", faults: "none"},
	{guard: "the ledger read anew at the claim", file: "internal/engine/claim.go", old: "in.DueOn == it.DueOn && in.Open() {\n				out = append(out, duly.Item{LoanID: in.LoanID, No: in.No, DueOn: in.DueOn, Outstanding: in.Outstanding()})", new: "in.DueOn == it.DueOn {\n				out = append(out, it)", faults: "payments,in-flight"},
	{guard: "the moves that a receipt may make", file: "contact.go", old: "func (s ContactState) CanBecome(next ContactState) bool {\n", new: "func (s ContactState) CanBecome(next ContactState) bool {\n	if s == Read {\n		return true\n	}\n", faults: "receipts"},
	{guard: "in doubt is never sent again, after an answer that was lost", file: "internal/engine/finish.go", old: "c.State, c.Reason, c.FallbackAt = duly.InDoubt, a.err.Code, time.Time{} // nobody", new: "c.State, c.Reason = duly.Planned, a.err.Code // nobody", faults: "carrier"},
	{guard: "in doubt is never sent again, after a death", file: "internal/engine/dispatch.go", old: "c.State, c.Reason, c.FallbackAt = duly.InDoubt, \"lease_ended\", time.Time{}", new: "c.State, c.Reason, c.FallbackAt = duly.Planned, \"lease_ended\", time.Time{}", faults: "crash", borrowers: "150", days: "60"},
	{guard: "one catch-up to a person", file: "internal/plan/merge.go", old: "		case made:\n			w.close(Expired", new: "		case made && pl.s == nil:\n			w.close(Expired", promise: "one catch-up message after an outage", faults: "outage", borrowers: "400", days: "60", seed: "10"},
	{guard: "the audit's chain", file: "internal/audit/audit.go", old: "	e.Hash = Hash(c.Hash, e)\n", new: "	e.Hash = Hash(\"\", e)\n", promise: "the audit holds", faults: "none"},
	{guard: "the plan that changes only what differs", file: "internal/plan/decide.go", old: "c.State == duly.Planned && differs(had, &c)", new: "c.State == duly.Planned", promise: "planning again changes nothing", faults: "none"},
	{guard: "the day's plan of everybody", file: "internal/engine/plan.go", old: "whole: states[b].PlannedThrough.Before(today)", new: "whole: states[b].PlannedThrough.IsZero()", promise: "nobody is forgotten", faults: "none"},
	{guard: "the counts of a dispatch", file: "internal/engine/finish.go", old: "		r.Recalled++\n", new: "", promise: "counts close", faults: "in-flight"},
}

// mutantsEvery is which of them are built in every run of the tests, for each takes some seconds; MUTANTS=all builds all.
const mutantsEvery = 4

// Each promise is alive: the product with a guard switched off is found within few seeds. `make sim` looks at all of them.
func TestMutants(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the product many times")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range mutants {
		if os.Getenv("MUTANTS") == "" && i%mutantsEvery != 0 {
			continue
		}
		t.Run(m.guard, func(t *testing.T) { // one at a time: a build takes all processors there are
			bin := m.build(t, root)
			args := []string{"sim", "--seed", or(m.seed, "1"), "--seeds", "12", "--workers", "1", "--stop", "--shrink", "0", "--faults", m.faults, "--borrowers", or(m.borrowers, "60"), "--days", or(m.days, "45")}
			out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput()
			text := string(out)
			if err == nil || !strings.Contains(text, "BROKEN  seed ") {
				t.Fatalf("%s\nwas not found: %v\n%s", strings.Join(args, " "), err, text)
			}
			if m.promise != "" && !strings.Contains(text, ": "+m.promise+": ") {
				t.Errorf("got %s, want it found by %q", text, m.promise)
			}
			line, _, _ := strings.Cut(text[strings.Index(text, "BROKEN"):], "\n")
			t.Log(line)
			if m.guard == mutants[0].guard {
				tellsTheSame(t, bin, text)
			}
		})
	}
}

// tellsTheSame runs the command of a story: it tells the same story.
func tellsTheSame(t *testing.T, bin, text string) {
	t.Helper()
	story := func(s string) string {
		at := strings.Index(s, "\nduly sim --seed ")
		if at < 0 {
			t.Fatalf("no story is told:\n%s", s)
		}
		return s[at+1:]
	}
	want := story(text)
	line, _, _ := strings.Cut(want, "\n")
	args := append(strings.Fields(line)[1:], "--shrink", "0")
	out, _ := exec.CommandContext(t.Context(), bin, args...).CombinedOutput()
	if got := story(string(out)); got != want {
		t.Errorf("%s\ngot\n%s\nwant\n%s", line, got, want)
	}
	small, _ := exec.CommandContext(t.Context(), bin, append(args, "--shrink", "25")...).CombinedOutput()
	if got := story(string(small)); !strings.Contains(got, " --only ") || !strings.Contains(got, " BROKEN ") {
		t.Errorf("shrunk: got\n%s\nwant it of one person, as this is not\n%s", got, want)
	}
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// build makes the mutant, out of the source as it is but for the one place.
func (m *mutant) build(t *testing.T, root string) string {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(src), m.old); n != 1 {
		t.Fatalf("the guard stands %d times in %s, want once: tell this table where it went\n%s", n, m.file, m.old)
	}
	dir := t.TempDir()
	changed, overlay, bin := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "duly")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(src), m.old, m.new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-ldflags", "-s -w", "-o", bin, "./cmd/duly")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}
