package reply

import (
	"testing"

	"github.com/dulyhq/duly/internal/civil"
)

func TestPromisedDay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		on, lang, text, want string
		auto                 bool
	}{
		{"2026-01-13", "", "明天还", "2026-01-14", true},
		{"2026-02-28", "", "明天还", "2026-03-01", true},
		{"2028-02-28", "", "明天还", "2028-02-29", true},
		{"2026-12-31", "", "I'll pay tomorrow", "2027-01-01", true},
		{"2026-12-30", "", "月底还", "2026-12-31", true},
		{"2026-02-01", "", "月底还", "2026-02-28", true},
		{"2026-12-20", "", "I'll pay Jan 5", "2027-01-05", true},
		{"2026-12-20", "", "1月5号还", "2027-01-05", true},
		{"2026-01-15", "", "15号还", "2026-01-15", true},
		{"2026-01-16", "", "15号还", "2026-02-15", true},
		{"2026-02-10", "", "31号还", "", false}, // February has none
		{"2026-01-13", "", "2月30号还", "", false},
		{"2026-01-16", "", "周五还", "", false}, // a Friday: which one is not clear
		{"2026-01-16", "", "这周五还", "2026-01-16", true},
		{"2026-01-17", "", "这周五还", "", false}, // over
		{"2026-01-18", "", "下周一还", "2026-01-19", true},
		{"2026-01-13", "", "下下周一还", "2026-01-26", true},
		{"2026-01-13", "", "礼拜天还", "2026-01-18", true},
		{"2026-01-13", "", "I'll pay next Friday", "2026-01-23", true},
		{"2026-01-13", "", "大后天还", "2026-01-16", true},
		{"2026-01-13", "", "两周后还", "2026-01-27", true},
		{"2026-01-13", "", "二十五号还", "2026-01-25", true},
		{"2026-01-13", "", "下个月5号还", "2026-02-05", true},
		{"2026-01-13", "", "2026-01-20还款", "2026-01-20", true},
		{"2026-01-13", "en-US", "I will pay 2/3", "2026-02-03", true},
		{"2026-01-13", "en-GB", "I will pay 2/3", "2026-03-02", false}, // clear, but too far ahead
		{"2026-01-13", "", "I will pay 2/3", "", false},                // February or March
		{"2026-01-13", "", "I will pay 25/1", "2026-01-25", true},
		{"2026-01-13", "", "will pay in 3 days", "2026-01-16", true},
		{"2026-01-13", "", "I'll pay on Feb 13", "2026-02-13", true},
		{"2026-01-13", "", "I'll pay on Feb 14", "2026-02-14", false}, // 32 days
		{"2026-01-13", "", "发工资后还", "", false},
		{"2026-01-13", "", "月初还", "", false},
		{"2026-01-13", "", "I'll pay around the 20th", "2026-01-20", false},
		{"", "", "明天还", "", false}, // no day is known
	} {
		var on civil.Date
		if c.on != "" {
			on, _ = civil.Parse(c.on)
		}
		r := Classify(Message{Text: c.text, Language: c.lang, On: on})
		got := ""
		if !r.PromiseOn.IsZero() {
			got = r.PromiseOn.String()
		}
		if r.Intent != Promise || got != c.want || r.Auto != c.auto {
			t.Errorf("%q on %s: got %s %q auto %v, want %q auto %v", c.text, c.on, r.Intent, got, r.Auto, c.want, c.auto)
		}
	}
}
