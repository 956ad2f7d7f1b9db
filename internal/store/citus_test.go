package store_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/store"
)

var rewrite = flag.Bool("update", false, "rewrite the statements in docs/scale.md and docs/zh-CN/scale.md")

// The statements that spread a store over a Citus cluster stand in the documents; they are made of the migrations, so a
// table that is added cannot be forgotten.
func TestCitusStatements(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- citus: written by go test ./internal/store -run Citus -update -->\n```sql\n", "```\n"
	want := citus(t)
	for _, name := range []string{"docs/scale.md", "docs/zh-CN/scale.md"} {
		path := filepath.Join("..", "..", filepath.FromSlash(name))
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, found := strings.Cut(string(b), begin)
		got, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("%s has no place for the statements", name)
		}
		if got == want {
			continue
		}
		if !*rewrite {
			t.Errorf("%s does not name the tables as they are; run go test ./internal/store -run Citus -update", name)
			continue
		}
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// citus returns the statements: a table with a bucket is distributed by it, beside table bucket, and any other is copied to
// every server.
func citus(t *testing.T) string {
	t.Helper()
	stmts, err := store.TableStatements()
	if err != nil {
		t.Fatal(err)
	}
	distributed, copied := "", "SELECT create_reference_table('schema_version');\n"
	for _, stmt := range stmts {
		name, isTable := strings.CutPrefix(stmt, "CREATE TABLE ")
		if !isTable {
			continue
		}
		name, _, _ = strings.Cut(name, " ")
		switch {
		case name == "bucket":
			distributed = "SELECT create_distributed_table('bucket', 'bucket', shard_count => 64);\n" + distributed
		case strings.Contains(stmt, "\n  bucket INTEGER NOT NULL"):
			distributed += fmt.Sprintf("SELECT create_distributed_table('%s', 'bucket', colocate_with => 'bucket');\n", name)
		default:
			copied += fmt.Sprintf("SELECT create_reference_table('%s');\n", name)
		}
	}
	if !strings.HasPrefix(distributed, "SELECT create_distributed_table('bucket',") {
		t.Fatal("there is no table bucket")
	}
	return distributed + copied
}
