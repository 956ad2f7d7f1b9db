package gate_test

import (
	"testing"

	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/rulepacks"
)

func TestShippedPacks(t *testing.T) {
	t.Parallel()
	n, failures, err := gate.TestFS(rulepacks.FS)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range failures {
		t.Error(f)
	}
	if n < 75 {
		t.Errorf("got %d cases, want at least three for each of 25 rules", n)
	}
}
