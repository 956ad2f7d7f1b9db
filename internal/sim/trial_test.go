package sim_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/sim"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// trial is a world small enough for every run of the tests; `make sim` runs many large ones.
func trial(seed uint64) sim.Trial {
	return sim.Trial{Seed: seed, Borrowers: 40, Days: 40, Faults: sim.AllFaults}
}

func runTrial(t *testing.T, tr sim.Trial) sim.Outcome {
	t.Helper()
	out, err := tr.Run(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", tr.String(), err)
	}
	if out.Breach != nil {
		t.Fatalf("%s\n%s", tr.String(), out.Breach)
	}
	return out
}

// No promise is broken, whatever goes wrong. SEEDS=n runs as many.
func TestTrials(t *testing.T) {
	t.Parallel()
	seeds := 4
	if s := os.Getenv("SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("SEEDS=%s is no number of seeds", s)
		}
		seeds = n
	}
	var sum sim.Count
	for seed := range seeds {
		sum.Add(runTrial(t, trial(uint64(seed)+1)).Count)
	}
	t.Log(sum)
	for what, n := range map[string]int{
		"messages": sum.Sent, "recalled": sum.Recalled, "in doubt": sum.InDoubt, "deaths": sum.Crashes, "outages": sum.Outages,
		"clock jumps": sum.Jumps, "things between a claim and its POST": sum.Meantime, "checks": sum.Checks,
	} {
		if n == 0 {
			t.Errorf("%s: got none in %d worlds: the world is too quiet to test anything", what, seeds)
		}
	}
}

// Seeds that found something in the product are kept.
func TestTrialsKept(t *testing.T) {
	t.Parallel()
	for what, seed := range map[string]uint64{
		"missed steps that a debit blocked were all made up for once it had failed":                                  101,
		"a contact at a time that was chosen before was put off, and planned sooner when it was looked at once more": 61,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			tr := trial(seed)
			tr.Borrowers, tr.Days = 200, 90
			runTrial(t, tr)
		})
	}
}

// The same trial does the same: again, on PostgreSQL, and while its story is told.
func TestTrialReplays(t *testing.T) {
	t.Parallel()
	tr := trial(9) // with two processes
	tr.Borrowers, tr.Days = 25, 25
	first := runTrial(t, tr)
	if again := runTrial(t, tr); again.Hash != first.Hash || again.Count != first.Count {
		t.Errorf("run again: got %s and %s, want %s and %s", again.Hash, again.Count, first.Hash, first.Count)
	}
	told := tr
	told.Tell = "D000001"
	if out := runTrial(t, told); out.Hash != first.Hash || len(out.Story) == 0 {
		t.Errorf("with a story of %d lines: got %s, want %s", len(out.Story), out.Hash, first.Hash)
	}
	tr.Store = storetest.DSN(t, "postgres")
	if other := runTrial(t, tr); other.Hash != first.Hash || other.Count != first.Count {
		t.Errorf("on PostgreSQL: got %s and %s, want %s and %s", other.Hash, other.Count, first.Hash, first.Count)
	}
	if _, err := tr.Run(t.Context()); duly.CodeOf(err) != duly.Refused {
		t.Errorf("on a store with people in it: got %v, want it refused", err)
	}
	tr.Store, tr.Seed = "", 10
	if other := runTrial(t, tr); other.Hash == first.Hash {
		t.Error("another seed did the same")
	}
}

func TestTrialOfOnePerson(t *testing.T) {
	t.Parallel()
	tr := trial(1)
	tr.Faults, tr.Days, tr.Only, tr.Tell = 0, 20, "D000002", "D000002"
	out := runTrial(t, tr)
	if text := strings.Join(out.Story, "\n"); !strings.Contains(text, "known: loan L000002-1") || strings.Contains(text, "L000003") {
		t.Errorf("got %s", text)
	}
	tr.Only = "D009999"
	if _, err := tr.Run(t.Context()); duly.CodeOf(err) != duly.NotFound {
		t.Errorf("of nobody: got %v, want not found", err)
	}
	for _, bad := range []sim.Trial{{Borrowers: 0, Days: 1}, {Borrowers: 1, Days: sim.DaysMax + 1}} {
		if _, err := bad.Run(t.Context()); duly.CodeOf(err) != duly.Usage {
			t.Errorf("%+v: got %v, want wrong use", bad, err)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want sim.Faults
		back string
	}{
		{"all", sim.AllFaults, "all"},
		{"none", 0, "none"},
		{"crash, nodes", sim.FaultCrash | sim.FaultNodes, "crash,nodes"},
		{strings.Join(sim.FaultNames(), ","), sim.AllFaults, "all"},
	}
	for _, tt := range tests {
		got, err := sim.ParseFaults(tt.text)
		if err != nil || got != tt.want || fmt.Sprint(got) != tt.back {
			t.Errorf("%q: got %s, %v, want %s", tt.text, got, err, tt.want)
		}
	}
	_, err := sim.ParseFaults("crash,lightning")
	if e, ok := errors.AsType[*duly.Error](err); !ok || e.Code != duly.Usage || !strings.Contains(e.Hint, "in-flight") {
		t.Errorf("got %v, want wrong use with the kinds there are", err)
	}
}
