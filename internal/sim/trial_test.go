package sim_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/dulyhq/duly/internal/sim"
)

func TestZZ(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("N"))
	from, _ := strconv.Atoi(os.Getenv("FROM"))
	f, err := sim.ParseFaults(os.Getenv("FAULTS"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range max(n, 1) {
		tr := sim.Trial{Seed: uint64(i + 1 + from), Borrowers: env("B", 200), Days: env("D", 90), Faults: f}
		out, err := tr.Run(t.Context())
		if err != nil {
			t.Errorf("%d: %v", tr.Seed, err)
			continue
		}
		t.Logf("%d %s %s", tr.Seed, out.Hash, out.Count)
		if out.Breach != nil {
			t.Errorf("%d: %s", tr.Seed, out.Breach)
			if os.Getenv("HUNT") != "" {
				return
			}
		}
	}
}

func env(k string, d int) int {
	if n, err := strconv.Atoi(os.Getenv(k)); err == nil {
		return n
	}
	return d
}
