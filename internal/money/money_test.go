package money

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		c    Currency
		want int64
		bad  bool
	}{
		{in: "0", c: "CNY"},
		{in: "-0", c: "CNY"},
		{in: "1234.5", c: "CNY", want: 1234_50},
		{in: "1234.50", c: "CNY", want: 1234_50},
		{in: "1234.5000", c: "CNY", want: 1234_50},
		{in: "-0.05", c: "CNY", want: -5},
		{in: "007", c: "CNY", want: 7_00},
		{in: "1.234", c: "KWD", want: 1234},
		{in: "500", c: "JPY", want: 500},
		{in: "500.0", c: "JPY", want: 500},
		{in: "92233720368547758.07", c: "CNY", want: math.MaxInt64},
		{in: "-92233720368547758.07", c: "CNY", want: -math.MaxInt64},
		{in: "-92233720368547758.08", c: "CNY", want: math.MinInt64},
		{in: "92233720368547758.08", c: "CNY", bad: true},
		{in: "-92233720368547758.09", c: "CNY", bad: true},
		{in: strings.Repeat("9", 400), c: "CNY", bad: true},
		{in: "1", c: "XXX", bad: true},
		{in: "1", c: "", bad: true},
		{in: "1.234", c: "CNY", bad: true},
		{in: "500.5", c: "JPY", bad: true},
		{in: "", c: "CNY", bad: true},
		{in: "-", c: "CNY", bad: true},
		{in: ".5", c: "CNY", bad: true},
		{in: "5.", c: "CNY", bad: true},
		{in: "1.2.3", c: "CNY", bad: true},
		{in: "--1", c: "CNY", bad: true},
		{in: "+5", c: "CNY", bad: true},
		{in: "1,234.50", c: "CNY", bad: true},
		{in: "1 234", c: "CNY", bad: true},
		{in: "1_000", c: "CNY", bad: true},
		{in: " 1", c: "CNY", bad: true},
		{in: "１２", c: "CNY", bad: true},
		{in: "١٢", c: "CNY", bad: true},
		{in: "−5", c: "CNY", bad: true},
		{in: "NaN", c: "CNY", bad: true},
		{in: "Inf", c: "CNY", bad: true},
		{in: "1e3", c: "CNY", bad: true},
		{in: "0x10", c: "CNY", bad: true},
		{in: "¥5", c: "CNY", bad: true},
		{in: "(5)", c: "CNY", bad: true},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in, tt.c)
		if tt.bad {
			if err == nil {
				t.Errorf("Parse(%q, %s): got %v, want an error", tt.in, tt.c, got)
			}
			continue
		}
		if want := New(tt.want, tt.c); err != nil || got != want {
			t.Errorf("Parse(%q, %s): got %v, %v, want %v", tt.in, tt.c, got, err, want)
		}
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   Amount
		want string
	}{
		{New(1234_50, "CNY"), "CNY 1234.50"},
		{New(-5, "CNY"), "CNY -0.05"},
		{New(7, "JPY"), "JPY 7"},
		{New(-1, "KWD"), "KWD -0.001"},
		{New(math.MinInt64, "CNY"), "CNY -92233720368547758.08"},
		{Amount{}, "0"},
	}
	for _, tt := range tests {
		if got := tt.in.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestAddSub(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b     Amount
		sum, sub any // an Amount or an error
	}{
		{New(1, "CNY"), New(2, "CNY"), New(3, "CNY"), New(-1, "CNY")},
		{New(1, "CNY"), New(2, "USD"), ErrCurrency, ErrCurrency},
		{New(1, "CNY"), Amount{}, New(1, "CNY"), New(1, "CNY")},
		{Amount{}, New(1, "CNY"), New(1, "CNY"), New(-1, "CNY")},
		{New(0, "USD"), New(1, "CNY"), ErrCurrency, ErrCurrency},
		{Amount{Minor: 1}, New(1, "CNY"), ErrCurrency, ErrCurrency},
		{New(math.MaxInt64, "CNY"), New(1, "CNY"), ErrOverflow, New(math.MaxInt64-1, "CNY")},
		{New(math.MinInt64, "CNY"), New(1, "CNY"), New(math.MinInt64+1, "CNY"), ErrOverflow},
		{New(-1, "CNY"), New(math.MinInt64, "CNY"), ErrOverflow, New(math.MaxInt64, "CNY")},
		{New(0, "CNY"), New(math.MinInt64, "CNY"), New(math.MinInt64, "CNY"), ErrOverflow},
		{New(math.MinInt64, "CNY"), New(math.MinInt64, "CNY"), ErrOverflow, New(0, "CNY")},
		{New(0, "USD"), New(math.MinInt64, "CNY"), ErrCurrency, ErrCurrency},
	}
	for _, tt := range tests {
		sum, err := tt.a.Add(tt.b)
		check(t, fmt.Sprint(tt.a, "+", tt.b), sum, err, tt.sum)
		sub, err := tt.a.Sub(tt.b)
		check(t, fmt.Sprint(tt.a, "-", tt.b), sub, err, tt.sub)
	}
}

func check(t *testing.T, what string, got Amount, err error, want any) {
	t.Helper()
	if e, ok := want.(error); ok {
		if !errors.Is(err, e) {
			t.Errorf("%s: got %v, %v, want %v", what, got, err, e)
		}
		return
	}
	if err != nil || got != want {
		t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
	}
}

// number returns an int64 of a random length, often one of the ends.
func number(r *rand.Rand) int64 {
	switch r.IntN(12) {
	case 0:
		return math.MaxInt64 - r.Int64N(3)
	case 1:
		return math.MinInt64 + r.Int64N(3)
	}
	return int64(r.Uint64()) >> r.IntN(64)
}

// TestLaws holds the arithmetic against math/big: exact where it fits, ErrOverflow where it does not.
func TestLaws(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 50_000 {
		a, b := New(number(r), "CNY"), New(number(r), "CNY")
		sum, err := a.Add(b)
		same(t, fmt.Sprint(a, "+", b), sum, err, new(big.Int).Add(big.NewInt(a.Minor), big.NewInt(b.Minor)))
		if err == nil {
			if back, err := sum.Sub(b); err != nil || back != a {
				t.Errorf("%v+%v-%v: got %v, %v, want the first", a, b, b, back, err)
			}
		}
		sub, err := a.Sub(b)
		same(t, fmt.Sprint(a, "-", b), sub, err, new(big.Int).Sub(big.NewInt(a.Minor), big.NewInt(b.Minor)))
		if t.Failed() {
			t.FailNow()
		}
	}
}

func same(t *testing.T, what string, got Amount, err error, want *big.Int) {
	t.Helper()
	switch {
	case want.IsInt64() && (err != nil || got != New(want.Int64(), "CNY")):
		t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
	case !want.IsInt64() && !errors.Is(err, ErrOverflow):
		t.Errorf("%s: got %v, %v, want %v", what, got, err, ErrOverflow)
	}
}

// FuzzParse: what is accepted is written back as the same number, and only plain ASCII is accepted.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"0", "-0", "1234.50", "-0.05", "１２", "1e3", "+5", "NaN", "1,000", "92233720368547758.08", ".", "00.10"} {
		f.Add(s, "CNY")
	}
	f.Add("1.234", "KWD")
	f.Add("100", "JPY")
	f.Fuzz(func(t *testing.T, s, c string) {
		a, err := Parse(s, Currency(c))
		if err != nil {
			return
		}
		if strings.Trim(s, "-.0123456789") != "" {
			t.Fatalf("Parse(%q) accepted other than digits", s)
		}
		want, ok := new(big.Rat).SetString(s)
		got, _ := new(big.Rat).SetString(a.Decimal())
		if !ok || got.Cmp(want) != 0 {
			t.Fatalf("Parse(%q) is %s", s, a.Decimal())
		}
		if b, err := Parse(a.Decimal(), Currency(c)); err != nil || b != a {
			t.Fatalf("Parse(%q): got %v, %v, want %v", a.Decimal(), b, err, a)
		}
	})
}

func ExampleParse() {
	a, err := Parse("1234.5", "CNY")
	fmt.Println(a, err)
	_, err = Parse("1,234.5", "CNY")
	fmt.Println(err)
	// Output:
	// CNY 1234.50 <nil>
	// not a plain decimal number
}
