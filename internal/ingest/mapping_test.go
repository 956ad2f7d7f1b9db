package ingest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/mappings"
)

// testdata/mapping/errors.txtar pairs wrong mappings with what is said of them.
func TestWrongMappings(t *testing.T) {
	t.Parallel()
	path := filepath.Join("testdata", "mapping", "errors.txtar")
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(a.Files); i += 2 {
		in, want := a.Files[i], &a.Files[i+1]
		if want.Name != "want "+in.Name {
			t.Fatalf("after %s comes %s", in.Name, want.Name)
		}
		_, err := ingest.LoadMapping(in.Name, in.Data)
		if err == nil {
			t.Errorf("%s: loads", in.Name)
			continue
		}
		if duly.CodeOf(err) != duly.Invalid {
			t.Errorf("%s: got code %s, want invalid", in.Name, duly.CodeOf(err))
		}
		got := err.Error() + "\n"
		if *update {
			want.Data = []byte(got)
		} else if diff := cmp.Diff(string(want.Data), got); diff != "" {
			t.Errorf("%s (-want +got; rewrite with -update):\n%s", in.Name, diff)
		}
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Every shipped mapping loads, and has an example that reads without a problem and makes every kind of fact it has rows for.
func TestShippedMappings(t *testing.T) {
	t.Parallel()
	entries, err := mappings.FS.ReadDir(".")
	if err != nil || len(entries) < 14 {
		t.Fatal(len(entries), err)
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".yaml")
		m := shipped(t, name)
		if m.Name != name || len(m.Hash) != 64 {
			t.Errorf("%s: got name %q and hash %q", name, m.Name, m.Hash)
		}
		noun, ok := strings.CutPrefix(name, "duly-")
		if !ok {
			continue // the published book is not ours to ship
		}
		file := filepath.Join("..", "..", "examples", noun+"."+string(m.Format))
		if name == "duly-jsonl" {
			file = filepath.Join("..", "..", "examples", "facts.jsonl")
		}
		got := tallyOf(t, file, m, ingest.Options{}, nil)
		if got.Rows < 2 || got.Bad > 0 || len(got.Facts) == 0 {
			t.Errorf("%s: got %+v", file, got)
		}
	}
}

// Two mappings have one hash only if they are one text.
func TestMappingHash(t *testing.T) {
	t.Parallel()
	a, b, c := mapping(t, "{format: jsonl, native: true}"), mapping(t, "{format: jsonl, native: true}"), mapping(t, "{native: true, format: jsonl}")
	if a.Hash != b.Hash || a.Hash == c.Hash {
		t.Errorf("got %s, %s, %s", a.Hash, b.Hash, c.Hash)
	}
}

// The manual, in both languages, names every key of a mapping and every field of every noun.
func TestManualIsWhole(t *testing.T) {
	t.Parallel()
	keys := ingest.Vocabulary()
	if len(keys) < 100 {
		t.Fatalf("got only %d words", len(keys))
	}
	for _, file := range []string{"mapping.md", filepath.Join("zh-CN", "mapping.md")} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if !strings.Contains(string(text), "`"+k+"`") && !strings.Contains(string(text), "`"+k+":") {
				t.Errorf("docs/%s does not name %s", file, k)
			}
		}
		_, example, _ := strings.Cut(string(text), "```yaml\n")
		example, _, _ = strings.Cut(example, "```")
		mapping(t, example)
	}
}
