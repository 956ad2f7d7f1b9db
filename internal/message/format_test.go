package message

import (
	"math"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

func TestMoney(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount          money.Amount
		chinese, others string
	}{
		{money.New(123450, "CNY"), "¥1,234.50", "CNY 1,234.50"},
		{money.New(0, "CNY"), "¥0.00", "CNY 0.00"},
		{money.New(5, "CNY"), "¥0.05", "CNY 0.05"},
		{money.New(99999, "CNY"), "¥999.99", "CNY 999.99"},
		{money.New(100000, "CNY"), "¥1,000.00", "CNY 1,000.00"},
		{money.New(123456789012, "CNY"), "¥1,234,567,890.12", "CNY 1,234,567,890.12"},
		{money.New(-105, "CNY"), "-¥1.05", "CNY -1.05"},
		{money.New(1234, "JPY"), "JPY 1,234", "JPY 1,234"},
		{money.New(0, "JPY"), "JPY 0", "JPY 0"},
		{money.New(1234567, "KWD"), "KWD 1,234.567", "KWD 1,234.567"},
		{money.New(math.MinInt64, "CNY"), "-¥92,233,720,368,547,758.08", "CNY -92,233,720,368,547,758.08"},
		{money.New(math.MaxInt64, "JPY"), "JPY 9,223,372,036,854,775,807", "JPY 9,223,372,036,854,775,807"},
	} {
		if got := Money("zh-CN", c.amount); got != c.chinese {
			t.Errorf("Chinese: got %q, want %q", got, c.chinese)
		}
		if got := Money("en-GB", c.amount); got != c.others {
			t.Errorf("English: got %q, want %q", got, c.others)
		}
	}
}

func TestDate(t *testing.T) {
	t.Parallel()
	d := civil.On(2026, time.December, 3)
	for language, want := range map[string]string{
		"zh-CN": "2026年12月3日", "zh": "2026年12月3日", "en": "3 December 2026", "en-US": "3 December 2026", "fr": "2026年12月3日", "": "2026年12月3日",
	} {
		if got := Date(language, d); got != want {
			t.Errorf("%q: got %q, want %q", language, got, want)
		}
	}
	if got := Date("en", civil.Date{}); got != "" {
		t.Errorf("no date: got %q", got)
	}
}

func TestWhen(t *testing.T) {
	t.Parallel()
	due := civil.On(2026, time.December, 3)
	for _, c := range []struct {
		last, today      civil.Date
		chinese, english string
	}{
		{due, due, "今天（2026年12月3日）", "today, 3 December 2026"},
		{due, due.Add(-1), "明天（2026年12月3日）", "tomorrow, 3 December 2026"},
		{due, due.Add(-2), "2026年12月3日", "on 3 December 2026"},
		{due, due.Add(1), "2026年12月3日", "on 3 December 2026"},
		{due, civil.Date{}, "2026年12月3日", "on 3 December 2026"},
		{due.Add(4), due.Add(-1), "2026年12月3日至2026年12月7日", "from 3 December 2026 to 7 December 2026"},
	} {
		zh, en := localeOf("zh-CN"), localeOf("en")
		if got := string(zh.when(zh, nil, due, c.last, c.today)); got != c.chinese {
			t.Errorf("got %q, want %q", got, c.chinese)
		}
		if got := string(en.when(en, nil, due, c.last, c.today)); got != c.english {
			t.Errorf("got %q, want %q", got, c.english)
		}
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	zh, en := localeOf("zh-CN"), localeOf("en")
	for n, want := range map[int][4]string{
		0: {"0天", "0 days", "0笔", "0 instalments"}, 1: {"1天", "1 day", "1笔", "1 instalment"}, 12: {"12天", "12 days", "12笔", "12 instalments"},
	} {
		got := [4]string{string(zh.days(nil, n)), string(en.days(nil, n)), string(zh.count(nil, n)), string(en.count(nil, n))}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
