package reply

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the confusion matrix into the documents anew")

const (
	matrixHead = "<!-- matrix -->\n"
	matrixFoot = "<!-- end of matrix -->"
)

// The documents show the matrix as it is.
func TestMatrix(t *testing.T) {
	t.Parallel()
	want := matrix(t)
	t.Logf("rows: meant; columns: read\n%s", want)
	for _, name := range []string{"replies.md", "zh-CN/replies.md"} {
		path := filepath.Join("..", "..", "docs", name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, ok1 := strings.Cut(string(text), matrixHead)
		got, after, ok2 := strings.Cut(rest, matrixFoot)
		if !ok1 || !ok2 {
			t.Fatalf("%s has no place for the matrix", name)
		}
		if *update {
			if err := os.WriteFile(path, []byte(before+matrixHead+want+matrixFoot+after), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs (-want +got); run with -update:\n%s", name, diff)
		}
	}
}

// matrix counts, for each intent that was meant, what was read, over all corpora.
func matrix(t *testing.T) string {
	t.Helper()
	count := map[[2]Intent]int{}
	for _, name := range corpora {
		for _, u := range load(t, name) {
			count[[2]Intent{u.intent, Classify(u.message()).Intent}]++
		}
	}
	all := Intents()
	var b strings.Builder
	b.WriteString("| |")
	for i := range all {
		fmt.Fprintf(&b, " %d |", i+1)
	}
	b.WriteString("\n|---|" + strings.Repeat("--:|", len(all)) + "\n")
	for i, meant := range all {
		fmt.Fprintf(&b, "| %d `%s` |", i+1, meant)
		for _, read := range all {
			if n := count[[2]Intent{meant, read}]; n > 0 {
				fmt.Fprintf(&b, " %d |", n)
			} else {
				b.WriteString(" · |")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
