package channel_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/channel"
)

func TestNumber(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ to, region, want, code string }{
		{"+8613800138000", "", "+8613800138000", ""},
		{"13800138000", "CN", "+8613800138000", ""},
		{"138 0013 8000", "CN", "+8613800138000", ""},
		{"８６１３８００１３８０００", "CN", "+8613800138000", ""}, // full width, as typed with an input method
		{"0086 138-0013-8000", "CN", "+8613800138000", ""},
		{"+1 (201) 555-0123", "CN", "+12015550123", ""},
		{"+44 7911 123456", "", "+447911123456", ""},
		{"+77010001122", "CN", "+77010001122", ""},
		{"13800138000", "", "", "malformed_number"},
		{"", "CN", "", "malformed_number"},
		{"call me", "CN", "", "malformed_number"},
		{"+8613800138000;ext=12", "", "", "number_with_extension"},
		{"12345", "CN", "", "invalid_number"},
		{"+86138001380001234", "", "", "invalid_number"},
		{"+99999999999", "", "", "malformed_number"},
		{strings.Repeat("1", 41), "CN", "", "malformed_number"},
	} {
		got, err := channel.Number(tt.to, tt.region)
		code := ""
		if e, ok := errors.AsType[*channel.Error](err); ok {
			code = e.Code
			if e.Class != channel.BadAddress || strings.Contains(err.Error(), "1380") {
				t.Errorf("%q: got %v, want class bad_address without the number", tt.to, err)
			}
		}
		if got != tt.want || code != tt.code {
			t.Errorf("%q in %q: got %q, %q; want %q, %q", tt.to, tt.region, got, code, tt.want, tt.code)
		}
	}
	if !channel.Region("CN") || channel.Region("XX") || channel.Region("") {
		t.Error("Region: CN is one, XX and none are not")
	}
}

// FuzzNumber: what is taken is E.164, and taking it again changes nothing.
func FuzzNumber(f *testing.F) {
	f.Add("+8613800138000", "CN")
	f.Add("138 0013 8000 ext. 3", "CN")
	f.Fuzz(func(t *testing.T, to, region string) {
		got, err := channel.Number(to, region)
		if err != nil {
			return
		}
		if len(got) < 4 || len(got) > 16 || got[0] != '+' || strings.Trim(got[1:], "0123456789") != "" {
			t.Fatalf("%q: got %q, which is not E.164", to, got)
		}
		if again, err := channel.Number(got, ""); err != nil || again != got {
			t.Fatalf("%q: got %q and of that %q, %v", to, got, again, err)
		}
	})
}

func TestParts(t *testing.T) {
	t.Parallel()
	for _, ids := range [][]string{{"a", "b"}, {"a", "", "c"}, {"", ""}} {
		if got := channel.PartsOf(channel.JoinParts(ids)); strings.Join(got, ",") != strings.Join(ids, ",") {
			t.Errorf("%q came back as %q", ids, got)
		}
	}
	if channel.JoinParts([]string{"a"}) != "" || channel.PartsOf("") != nil {
		t.Error("a message that went out whole has parts")
	}
}
