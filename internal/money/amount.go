// Package money holds exact amounts: whole minor units of one ISO 4217 currency. There is no floating point here, and
// no silent overflow or mixing of currencies: those are errors. Rounding is named where it happens, and [Split] shares
// an amount without losing a unit.
//
//	fee, err := money.New(100_00, "CNY").BasisPoints(250, money.RoundHalfUp) // CNY 2.50
package money

import (
	"errors"
	"fmt"
)

// ErrOverflow is returned by arithmetic whose result does not fit in 64 bits; ErrCurrency where two currencies meet.
var (
	ErrOverflow = errors.New("amount too large")
	ErrCurrency = errors.New("amounts of two currencies")
)

// Currency is an ISO 4217 code in capitals, such as CNY.
type Currency string

// Amount is a number of minor units (分, cents) of a currency. The zero Amount has no currency and adds to any.
type Amount struct {
	Minor    int64    `json:"minor"`
	Currency Currency `json:"currency"`
}

// New returns minor units of a currency.
func New(minor int64, c Currency) Amount { return Amount{Minor: minor, Currency: c} }

// Add returns a+b. It fails with ErrCurrency or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	c, err := common(a, b)
	if err != nil {
		return Amount{}, err
	}
	s := a.Minor + b.Minor
	if (s > a.Minor) != (b.Minor > 0) {
		return Amount{}, ErrOverflow
	}
	return Amount{s, c}, nil
}

// Sub returns a-b. It fails as Add does.
func (a Amount) Sub(b Amount) (Amount, error) {
	c, err := common(a, b)
	if err != nil {
		return Amount{}, err
	}
	d := a.Minor - b.Minor
	if (d < a.Minor) != (b.Minor > 0) {
		return Amount{}, ErrOverflow
	}
	return Amount{d, c}, nil
}

// IsZero reports whether the amount is nothing, in whatever currency.
func (a Amount) IsZero() bool { return a.Minor == 0 }

// IsPositive reports whether the amount is above nothing.
func (a Amount) IsPositive() bool { return a.Minor > 0 }

// String writes the amount with its code, for logs of tests and for operators: "CNY 1234.50". Words for a borrower
// come from package message, in the borrower's language.
func (a Amount) String() string {
	if a.Currency == "" {
		return fmt.Sprint(a.Minor)
	}
	return fmt.Sprintf("%s %s", a.Currency, a.Decimal())
}

func common(a, b Amount) (Currency, error) {
	switch {
	case a.Currency == b.Currency, b.Currency == "" && b.Minor == 0:
		return a.Currency, nil
	case a.Currency == "" && a.Minor == 0:
		return b.Currency, nil
	}
	return "", ErrCurrency
}
