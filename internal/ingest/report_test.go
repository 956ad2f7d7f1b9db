package ingest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/ingest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each archive of testdata/report holds a mapping (its own, or the name of a shipped one in its first line), an input file
// and what reading it tells: one line for each problem, and a count.
func TestReports(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join("testdata", "report", "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no golden reports", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			m, input, want := parts(t, archive)
			got := reportOf(t, m, put(t, input.Name, input.Data))
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Errorf("%s (-want +got; rewrite with -update):\n%s", path, diff)
			}
		})
	}
}

func parts(t *testing.T, a *txtar.Archive) (m *ingest.Mapping, input, want *txtar.File) {
	t.Helper()
	for i := range a.Files {
		f := &a.Files[i]
		switch {
		case f.Name == "mapping.yaml":
			loaded, err := ingest.LoadMapping(f.Name, f.Data)
			if err != nil {
				t.Fatal(err)
			}
			m = loaded
		case f.Name == "want":
			want = f
		default:
			input = f
		}
	}
	if m == nil {
		name, _, _ := strings.Cut(string(a.Comment), "\n")
		m = shipped(t, name)
	}
	return m, input, want
}

func reportOf(t *testing.T, m *ingest.Mapping, path string) string {
	t.Helper()
	var b strings.Builder
	good, bad := 0, 0
	facts := map[duly.FactKind]int{}
	err := ingest.Read(t.Context(), path, m, ingest.Options{}, func(row ingest.Row) error {
		if len(row.Problems) == 0 {
			good++
			for _, f := range row.Facts {
				facts[f.FactKind()]++
			}
			return nil
		}
		bad++
		if len(row.Facts) > 0 {
			t.Errorf("row %d has problems and facts", row.Row)
		}
		for _, p := range row.Problems {
			fmt.Fprintf(&b, "%s: %s [%s]", p.Place, p.Reason, p.Class)
			if p.Hint != "" {
				fmt.Fprintf(&b, " → %s", p.Hint)
			}
			b.WriteByte('\n')
		}
		return nil
	})
	if err != nil {
		fmt.Fprintf(&b, "error (%s): %v\n", duly.CodeOf(err), err)
	}
	fmt.Fprintf(&b, "%d good rows, %d bad", good, bad)
	for _, k := range duly.FactKinds() {
		if facts[k] > 0 {
			fmt.Fprintf(&b, ", %d %s", facts[k], k)
		}
	}
	return b.String() + "\n"
}
