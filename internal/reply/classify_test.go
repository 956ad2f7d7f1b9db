package reply

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// came is the day on which everything in testdata came: a Tuesday.
var came = civil.On(2026, time.January, 13)

// utterance is one row of testdata: what was written and what it means.
type utterance struct {
	line   int
	intent Intent
	scope  []string
	day    string
	text   string
}

func (u utterance) message() Message {
	return Message{Text: strings.NewReplacer(`\n`, "\n").Replace(u.text), On: came}
}

func load(t testing.TB, name string) []utterance {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []utterance
	seen := map[string]bool{}
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		cells := strings.SplitN(sc.Text(), "\t", 4)
		if len(cells) != 4 || !Intent(cells[0]).Known() || seen[cells[3]] {
			t.Fatalf("%s:%d: not intent, scope, day and a text that is new", name, n)
		}
		seen[cells[3]] = true
		u := utterance{n, Intent(cells[0]), nil, cells[2], cells[3]}
		if cells[1] != "" {
			u.scope = strings.Split(cells[1], ",")
		} else {
			u.scope = meanings[rank(u.intent)].scope
		}
		out = append(out, u)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// wrong says what is wrong with a result, "" if nothing is.
func wrong(u utterance, r Result) string {
	day := ""
	if !r.PromiseOn.IsZero() && r.Intent == Promise {
		day = r.PromiseOn.String()
	}
	switch {
	case r.Intent != u.intent:
		return "intent " + string(r.Intent)
	case !slices.Equal(r.Scope, u.scope):
		return "scope " + strings.Join(r.Scope, ",")
	case day != u.day:
		return "day " + day
	case r.Auto == slices.Contains(r.Scope, scopeHuman):
		return "auto"
	}
	return ""
}

func TestUtterances(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"utterances.tsv"} {
		for _, u := range load(t, name) {
			r := Classify(u.message())
			if w := wrong(u, r); w != "" {
				t.Errorf("%s:%d: %q: got %s by %s, want %s %v %s", name, u.line, u.text, w, r.Matched, u.intent, u.scope, u.day)
			}
		}
	}
}
