package civil_test

import (
	"testing"

	"github.com/dulyhq/duly/internal/civil"
)

func TestParseWeekdays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]civil.Weekdays{
		"*": civil.EveryDay, "sun": {0: true}, "mon-fri": {1: true, 2: true, 3: true, 4: true, 5: true}, "sat-sun": {0: true, 6: true},
		"fri-mon": {0: true, 1: true, 5: true, 6: true}, "mon,wed,fri-sat": {1: true, 3: true, 5: true, 6: true}, "mon-sun": civil.EveryDay,
	} {
		if got, err := civil.ParseWeekdays(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "monday", "mon-", "-", "mon,", "*,mon", "mon,*", "Mon", "mon fri"} {
		if got, err := civil.ParseWeekdays(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

// Every set of days is read back as it was written.
func TestWeekdaysText(t *testing.T) {
	t.Parallel()
	for set := range 1 << 7 {
		var want, got civil.Weekdays
		for i := range want {
			want[i] = set>>i&1 == 1
		}
		text, _ := want.MarshalText()
		if err := got.UnmarshalText(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", text, got, err, want)
		}
	}
}
