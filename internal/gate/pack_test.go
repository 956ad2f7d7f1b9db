package gate_test

import (
	"testing"

	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/rulepacks"
)

func TestShippedPacks(t *testing.T) {
	t.Parallel()
	r, err := gate.TestFS(rulepacks.FS, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failures {
		t.Error(f)
	}
	if want := 3 * 92; r.Passed < want || r.Skips() > 0 {
		t.Errorf("got %d cases passed and %d skipped, want at least three for each of 92 rules", r.Passed, r.Skips())
	}
}
