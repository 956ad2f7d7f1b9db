package rule_test

import (
	"testing"

	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/rulepacks"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	packs, err := rule.LoadFS(rulepacks.FS)
	if err != nil {
		t.Fatal(err)
	}
	var base []*rule.Pack
	for _, p := range packs {
		if p.ID == "policy-default" {
			base = append(base, p)
		}
	}
	for _, c := range []struct {
		periods []string
		days    int
		ever    bool
	}{
		{nil, 0, false},
		{[]string{"calendar_day"}, 3, false},
		{[]string{"iso_week", "calendar_day"}, 9, false},
		{[]string{"rolling_days:7", "rolling_days:366", "rolling_days:30"}, 368, false},
		{[]string{"rolling:72h"}, 5, false},
		{[]string{"rolling:25h"}, 4, false},
		{[]string{"calendar_day", "ever"}, 3, true},
	} {
		var caps []rule.Rule
		for i, p := range c.periods {
			r, err := rule.NewCap(string(rune('A'+i)), "test", 1, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			caps = append(caps, r)
		}
		s, err := rule.NewSet(base, caps...)
		if err != nil {
			t.Fatal(err)
		}
		if h := s.History(); h.Ever != c.ever || !c.ever && h.Days != c.days {
			t.Errorf("%v: got %d, %v; want %d, %v", c.periods, h.Days, h.Ever, c.days, c.ever)
		}
	}
}
