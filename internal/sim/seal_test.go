package sim_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// sealed checks what a run left behind: every contact after a payment is accounted for and none is Duly's own fault, every
// certificate is what was sealed, and the record holds in an export, against a root.
func sealed(t *testing.T, a *app.App, seed uint64, from, to civil.Date) {
	t.Helper()
	ctx, now := t.Context(), to.Add(1).At(0, a.Location).UTC()
	r, err := a.Engine.Fence(ctx, now, from, to)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, n := range r.Classes {
		sum += n
	}
	if r.Attempts == 0 || r.Attempts != r.NotSent+r.Before+sum || len(r.Findings) != sum {
		t.Errorf("seed %d: the fence report does not close: %d attempts, %d not sent, %d before, %v", seed, r.Attempts, r.NotSent, r.Before, r.Classes)
	}
	for _, f := range r.Findings {
		if f.Class == engine.FenceFault || f.Class == engine.FenceUnproved || f.Seal != engine.SealHolds {
			t.Errorf("seed %d: attempt %s is %s (%s), its seal %s", seed, f.Attempt, f.Class, f.Why, f.Seal)
		}
	}
	if r.Classes[engine.FenceFeedLate] == 0 {
		t.Logf("seed %d: no payment was told late", seed)
	}
	root, _, err := a.DB.MakeRoot(ctx, now, to.Add(1))
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := a.DB.ExportAudit(ctx, &file, now.Add(time.Second), store.Span{In: a.Location}); err != nil {
		t.Fatal(err)
	}
	_, rep, err := audit.VerifyExport(&file, []audit.Root{root}, nil)
	if err != nil || len(rep.Breaks) > 0 || rep.Entries != root.Entries || rep.Kept != 1 {
		t.Errorf("seed %d: the export does not hold: %+v, %v", seed, rep, err)
	}
}
