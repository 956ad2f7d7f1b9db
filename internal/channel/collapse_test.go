package channel_test

import (
	"regexp"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
)

// TestCollapse: a repeat about the same loan and due day replaces, and nothing else does.
func TestCollapse(t *testing.T) {
	t.Parallel()
	due := civil.On(2026, time.March, 3)
	about := func(id duly.AttemptID, items ...duly.Item) string {
		return channel.Message{AttemptID: id, Items: items}.Collapse()
	}
	a, later := duly.Item{LoanID: "L-1", No: 3, DueOn: due}, duly.Item{LoanID: "L-1", No: 4, DueOn: due.Add(30)}
	want := about("a-1", a)
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`).MatchString(want) {
		t.Errorf("got %q, want 32 characters that every carrier takes", want)
	}
	for name, same := range map[string]string{
		"another attempt": about("a-2", a), "a later one with it": about("a-2", a, later), "in another order": about("a-2", later, a),
	} {
		if same != want {
			t.Errorf("%s: got another name, want the same", name)
		}
	}
	seen := map[string]string{want: "itself"}
	for name, other := range map[string]string{
		"another due day": about("a-1", later), "another loan": about("a-1", duly.Item{LoanID: "L-2", DueOn: due}),
		"no item": about("a-1"), "no item, another attempt": about("a-2"),
	} {
		if seen[other] != "" {
			t.Errorf("%s: has the name of %s", name, seen[other])
		}
		seen[other] = name
	}
}
