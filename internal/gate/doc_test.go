package gate_test

import (
	"os"
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/rule"
)

// block returns the YAML block of a page that stands under a mark.
func block(t *testing.T, page, mark string) []byte {
	t.Helper()
	_, rest, ok := strings.Cut(page, "<!-- "+mark+" -->\n```yaml\n")
	text, _, end := strings.Cut(rest, "```\n")
	if !ok || !end {
		t.Fatalf("there is no block %s", mark)
	}
	return []byte(text)
}

// The example of the pages on rules is a pack that loads, passes its own cases and is fully tested; and the pages name every
// kind with every parameter.
func TestPagesOnRules(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../../docs/rules.md", "../../docs/zh-CN/rules.md"} {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		page := string(src)
		p, err := rule.Load("pack.yaml", block(t, page, "pack.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		cases, err := gate.LoadCases("tests.yaml", block(t, page, "tests.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		r := gate.TestPack(p, []*rule.Pack{p}, cases, nil)
		for _, f := range r.Failures {
			t.Errorf("%s: %s", name, f)
		}
		if r.Passed < 4 {
			t.Errorf("%s: got %d cases, want 4", name, r.Passed)
		}
		for _, k := range rule.Kinds() {
			if !strings.Contains(page, "| `"+string(k)+"` |") {
				t.Errorf("%s does not name kind %s", name, k)
			}
			for _, param := range k.Params() {
				if !strings.Contains(page, "`"+param.Name) {
					t.Errorf("%s does not name %s of %s", name, param.Name, k)
				}
			}
		}
		for _, q := range shipped(t) {
			if !strings.Contains(page, "`"+q.ID+"`") {
				t.Errorf("%s does not name pack %s", name, q.ID)
			}
		}
	}
}
