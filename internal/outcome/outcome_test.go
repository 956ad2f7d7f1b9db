package outcome_test

import (
	"fmt"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/outcome"
)

var shanghai = mustZone("Asia/Shanghai")

func mustZone(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return loc
}

func on(day int, hour int) time.Time { return time.Date(2026, 3, day, hour, 0, 0, 0, shanghai) }

func TestOf(t *testing.T) {
	t.Parallel()
	due := civil.On(2026, 3, 10)
	tests := []struct {
		name    string
		day     civil.Date
		settled []time.Time
		now     time.Time
		want    outcome.Kind
		known   bool
	}{
		{"settled on the due day", due.Add(-1), []time.Time{on(10, 23)}, on(10, 23), outcome.PaidOnTime, true},
		{"settled just after midnight", due.Add(-1), []time.Time{on(11, 0)}, on(11, 1), outcome.PaidLate, true},
		{"cured after a reminder", due.Add(3), []time.Time{on(14, 9)}, on(14, 9), outcome.Cured, true},
		{"settled after the horizon", due.Add(-1), []time.Time{on(25, 9)}, on(26, 9), outcome.Unpaid, true},
		{"open, horizon not passed", due.Add(-1), []time.Time{{}}, on(17, 23), "", false},
		{"open, horizon passed", due.Add(-1), []time.Time{{}}, on(18, 0), outcome.Unpaid, true},
		{"open after collection, horizon from the contact", due.Add(7), []time.Time{{}}, on(24, 23), "", false},
		{"unknown settlement", due, nil, on(30, 0), "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &duly.Contact{Day: tt.day, Items: []duly.Item{{LoanID: "L", No: 1, DueOn: due}}}
			got, known := outcome.Of(c, tt.settled, tt.now, shanghai)
			if got != tt.want || known != tt.known {
				t.Errorf("got %q %v, want %q %v", got, known, tt.want, tt.known)
			}
		})
	}
}

// One instalment of two settled is not settled.
func TestOfNeedsEveryItem(t *testing.T) {
	t.Parallel()
	due := civil.On(2026, 3, 10)
	c := &duly.Contact{Day: due, Items: []duly.Item{{LoanID: "A", No: 1, DueOn: due}, {LoanID: "B", No: 1, DueOn: due}}}
	if got, known := outcome.Of(c, []time.Time{on(10, 9), {}}, on(11, 9), shanghai); known {
		t.Errorf("got %q, want nothing known yet", got)
	}
}

func ExampleOf() {
	due := civil.On(2026, 3, 10)
	c := &duly.Contact{Day: due.Add(-1), Items: []duly.Item{{LoanID: "L1", No: 1, DueOn: due}}}
	kind, known := outcome.Of(c, []time.Time{on(10, 18)}, on(10, 18), shanghai)
	fmt.Println(kind, known)
	// Output: paid_on_time true
}
