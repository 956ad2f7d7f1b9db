package money

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestBasisPoints(t *testing.T) {
	t.Parallel()
	tests := []struct {
		minor, bp       int64
		up, even, below int64
	}{
		{100_00, 250, 2_50, 2_50, 2_50},
		{1, 5000, 1, 0, 0},
		{3, 5000, 2, 2, 1},
		{5, 5000, 3, 2, 2},
		{-1, 5000, -1, 0, 0},
		{-3, 5000, -2, -2, -1},
		{3, -5000, -2, -2, -1},
		{-3, -5000, 2, 2, 1},
		{1, 4999, 0, 0, 0},
		{1, 5001, 1, 1, 0},
		{0, 5000, 0, 0, 0},
		{math.MaxInt64, 10_000, math.MaxInt64, math.MaxInt64, math.MaxInt64},
		{math.MinInt64, 10_000, math.MinInt64, math.MinInt64, math.MinInt64},
	}
	for _, tt := range tests {
		for r, want := range map[Rounding]int64{RoundHalfUp: tt.up, RoundHalfEven: tt.even, RoundDown: tt.below} {
			got, err := New(tt.minor, "CNY").BasisPoints(tt.bp, r)
			if err != nil || got != New(want, "CNY") {
				t.Errorf("%d bp of %d, %s: got %v, %v, want %d", tt.bp, tt.minor, r, got.Minor, err, want)
			}
		}
	}
}

func TestMulDivRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, num, den int64
		want        error
	}{
		{1, 1, 0, ErrRatio},
		{1, 1, -1, ErrRatio},
		{math.MaxInt64, 2, 1, ErrOverflow},
		{math.MaxInt64, math.MaxInt64, 1, ErrOverflow},
		{math.MinInt64, -1, 1, ErrOverflow},
		{math.MinInt64, math.MinInt64, 1 << 62, ErrOverflow},
		{math.MaxInt64, 3, 2, ErrOverflow},
		// The quotient is 2⁶⁴−1 and a bit more than a half: rounded up without care it would be 0.
		{math.MaxInt64 - 2_899_999_999, math.MaxInt64 - 2_899_999_998, 1<<62 - 2_899_999_999, ErrOverflow},
	}
	for _, tt := range tests {
		if got, err := New(tt.a, "CNY").MulDiv(tt.num, tt.den, RoundHalfUp); !errors.Is(err, tt.want) {
			t.Errorf("%d×%d÷%d: got %v, %v, want %v", tt.a, tt.num, tt.den, got.Minor, err, tt.want)
		}
	}
}

// TestMulDivExact holds MulDiv against math/big.
func TestMulDivExact(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 50_000 {
		a, num, den := New(number(r), "CNY"), number(r), number(r)
		if r.IntN(2) == 0 {
			den = 1 + r.Int64N(20) // so that halves are met
		}
		if den <= 0 {
			continue
		}
		exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(a.Minor), big.NewInt(num)), big.NewInt(den))
		for _, mode := range []Rounding{RoundHalfUp, RoundHalfEven, RoundDown} {
			got, err := a.MulDiv(num, den, mode)
			same(t, fmt.Sprint(a.Minor, "×", num, "÷", den, " ", mode), got, err, round(exact, mode))
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

// round makes x whole by comparing what is cut off with a half.
func round(x *big.Rat, mode Rounding) *big.Int {
	whole := new(big.Int).Quo(x.Num(), x.Denom())
	rest := new(big.Rat).Sub(x, new(big.Rat).SetInt(whole))
	away := big.NewInt(int64(x.Sign()))
	half := rest.Abs(rest).Cmp(big.NewRat(1, 2))
	if mode == RoundDown || half < 0 || half == 0 && mode == RoundHalfEven && whole.Bit(0) == 0 {
		return whole
	}
	return whole.Add(whole, away)
}

func TestSplit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		minor   int64
		weights []int64
		want    []int64
		err     error
	}{
		{minor: 100, weights: []int64{1, 1, 1}, want: []int64{34, 33, 33}},
		{minor: 101, weights: []int64{1, 1, 1}, want: []int64{34, 34, 33}},
		{minor: -100, weights: []int64{1, 1, 1}, want: []int64{-34, -33, -33}},
		{minor: 10, weights: []int64{1, 2, 4}, want: []int64{1, 3, 6}},
		{minor: 5, weights: []int64{0, 1}, want: []int64{0, 5}},
		{minor: 1, weights: []int64{0, 0, 1, 1}, want: []int64{0, 0, 1, 0}},
		{minor: 0, weights: []int64{3, 4}, want: []int64{0, 0}},
		{minor: math.MinInt64, weights: []int64{1}, want: []int64{math.MinInt64}},
		{minor: math.MaxInt64, weights: []int64{math.MaxInt64 - 1, 1}, want: []int64{math.MaxInt64 - 1, 1}},
		{minor: 1, weights: nil, err: ErrRatio},
		{minor: 1, weights: []int64{0, 0}, err: ErrRatio},
		{minor: 1, weights: []int64{2, -1}, err: ErrRatio},
		{minor: 1, weights: []int64{math.MaxInt64, 1}, err: ErrOverflow},
	}
	for _, tt := range tests {
		got, err := Split(New(tt.minor, "CNY"), tt.weights)
		if !errors.Is(err, tt.err) {
			t.Errorf("%d by %v: got error %v, want %v", tt.minor, tt.weights, err, tt.err)
			continue
		}
		if ns := minors(got); !slices.Equal(ns, tt.want) {
			t.Errorf("%d by %v: got %v, want %v", tt.minor, tt.weights, ns, tt.want)
		}
	}
}

func minors(as []Amount) (out []int64) {
	for _, a := range as {
		out = append(out, a.Minor)
	}
	return out
}

// TestSplitProperties: shares sum to the whole, none is further than one unit from its exact part, and a share of no
// weight is nothing.
func TestSplitProperties(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 5_000 {
		a := New(number(r), "CNY")
		weights, total := make([]int64, 1+r.IntN(12)), int64(0)
		for i := range weights {
			weights[i] = r.Int64N(1 << (1 + r.IntN(58)))
			total += weights[i]
		}
		if total == 0 {
			continue
		}
		shares, err := Split(a, weights)
		if err != nil {
			t.Fatalf("seed %d: %v by %v: %v", seed, a, weights, err)
		}
		sum := new(big.Int)
		for i, s := range shares {
			sum.Add(sum, big.NewInt(s.Minor))
			exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(a.Minor), big.NewInt(weights[i])), big.NewInt(total))
			off := exact.Sub(exact, new(big.Rat).SetInt64(s.Minor))
			if off.Abs(off).Cmp(big.NewRat(1, 1)) >= 0 || weights[i] == 0 && s.Minor != 0 || s.Currency != "CNY" {
				t.Errorf("seed %d: %v by %v: share %d is %v", seed, a, weights, i, s)
			}
		}
		if sum.Cmp(big.NewInt(a.Minor)) != 0 {
			t.Errorf("seed %d: %v by %v sums to %v", seed, a, weights, sum)
		}
	}
}

func ExampleSplit() {
	shares, err := Split(New(100_00, "CNY"), []int64{1, 1, 1})
	fmt.Println(shares, err)
	// Output: [CNY 33.34 CNY 33.33 CNY 33.33] <nil>
}
