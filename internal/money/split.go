package money

import (
	"errors"
	"math"
	"math/bits"
)

// Rounding is how a fraction of a minor unit is made whole.
type Rounding string

// The roundings. Both take an amount below nothing as the mirror image of the one above.
const (
	RoundHalfUp   Rounding = "half_up"   // half a unit becomes a whole one, away from nothing: 四舍五入, as banks do
	RoundHalfEven Rounding = "half_even" // half a unit goes to the even neighbour, so that long sums do not drift
	RoundDown     Rounding = "down"      // the fraction is dropped
)

// ErrRatio is returned for a ratio that cannot be taken: a divisor of nothing, weights that are negative or sum to nothing.
var ErrRatio = errors.New("not a ratio")

// MulDiv returns a × num ÷ den, exact until it is rounded once at the end. It fails with ErrRatio unless den is above
// nothing, and with ErrOverflow if the result does not fit.
func (a Amount) MulDiv(num, den int64, r Rounding) (Amount, error) {
	if den <= 0 {
		return Amount{}, ErrRatio
	}
	neg := (a.Minor < 0) != (num < 0)
	hi, lo := bits.Mul64(magnitude(a.Minor), magnitude(num))
	d := uint64(den)
	if hi >= d {
		return Amount{}, ErrOverflow
	}
	q, rem := bits.Div64(hi, lo, d)
	if q > 1<<63 {
		return Amount{}, ErrOverflow
	}
	if roundsUp(q, rem, d, r) {
		q++
	}
	return signed(q, neg, a.Currency)
}

// BasisPoints returns bp hundredths of a per cent of a: 250 is 2.5 %.
func (a Amount) BasisPoints(bp int64, r Rounding) (Amount, error) { return a.MulDiv(bp, 10_000, r) }

func roundsUp(q, rem, d uint64, r Rounding) bool {
	switch r {
	case RoundHalfUp:
		return rem >= d-rem
	case RoundHalfEven:
		return rem > d-rem || rem == d-rem && q&1 == 1
	case RoundDown:
		return false
	}
	panic("money.MulDiv: unknown rounding " + string(r))
}

// Split shares an amount by weights so that nothing is lost: each share is cut to whole units and the units left over
// go one each to the shares with the largest remainders, the earlier share first where they tie. It fails with ErrRatio
// if a weight is negative or all are nothing, and with ErrOverflow if their sum does not fit.
func Split(a Amount, weights []int64) ([]Amount, error) {
	var sum uint64
	for _, w := range weights {
		if w < 0 {
			return nil, ErrRatio
		}
		if sum += uint64(w); sum > math.MaxInt64 {
			return nil, ErrOverflow
		}
	}
	if sum == 0 {
		return nil, ErrRatio
	}
	neg, whole := a.Minor < 0, magnitude(a.Minor)
	shares := make([]uint64, len(weights))
	rests := make([]uint64, len(weights))
	left := whole
	for i, w := range weights {
		hi, lo := bits.Mul64(whole, uint64(w))
		shares[i], rests[i] = bits.Div64(hi, lo, sum) // w ≤ sum, so the quotient is at most whole
		left -= shares[i]
	}
	for ; left > 0; left-- {
		i := largest(rests)
		shares[i]++
		rests[i] = 0
	}
	out := make([]Amount, len(weights))
	for i, s := range shares {
		var err error
		if out[i], err = signed(s, neg, a.Currency); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// largest returns the index of the first of the largest numbers.
func largest(ns []uint64) int {
	best := 0
	for i, n := range ns {
		if n > ns[best] {
			best = i
		}
	}
	return best
}

// magnitude is |n|, which for the least int64 is one more than the greatest.
func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func signed(n uint64, neg bool, c Currency) (Amount, error) {
	switch {
	case neg && n <= 1<<63:
		return Amount{int64(-n), c}, nil
	case !neg && n <= math.MaxInt64:
		return Amount{int64(n), c}, nil
	}
	return Amount{}, ErrOverflow
}
