package money

import (
	"fmt"
	"strconv"
	"strings"
)

// decimals lists the currencies Duly knows and how many digits their minor unit has (ISO 4217).
var decimals = map[Currency]int{
	"AED": 2, "ARS": 2, "AUD": 2, "BDT": 2, "BRL": 2, "CAD": 2, "CHF": 2, "CLP": 0, "CNY": 2, "COP": 2, "CZK": 2, "DKK": 2,
	"EGP": 2, "EUR": 2, "GBP": 2, "GHS": 2, "HKD": 2, "HUF": 2, "IDR": 2, "INR": 2, "JPY": 0, "KES": 2, "KRW": 0, "KWD": 3,
	"LKR": 2, "MAD": 2, "MOP": 2, "MXN": 2, "MYR": 2, "NGN": 2, "NOK": 2, "NZD": 2, "PEN": 2, "PHP": 2, "PKR": 2, "PLN": 2,
	"RUB": 2, "RWF": 0, "SAR": 2, "SEK": 2, "SGD": 2, "THB": 2, "TND": 3, "TRY": 2, "TWD": 2, "TZS": 2, "UAH": 2, "UGX": 0,
	"USD": 2, "VND": 0, "XAF": 0, "XOF": 0, "ZAR": 2, "ZMW": 2,
}

// Known reports whether c is a currency Duly knows.
func (c Currency) Known() bool { _, ok := decimals[c]; return ok }

// Decimals returns how many digits c has after the point; 2 for a currency Duly does not know.
func (c Currency) Decimals() int {
	if n, ok := decimals[c]; ok {
		return n
	}
	return 2
}

// Decimal writes the number without its currency: "1234.50", "-0.05".
func (a Amount) Decimal() string {
	n := a.Currency.Decimals()
	s := strconv.FormatInt(a.Minor, 10)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	if n > 0 {
		for len(s) <= n {
			s = "0" + s
		}
		s = s[:len(s)-n] + "." + s[len(s)-n:]
	}
	if neg {
		return "-" + s
	}
	return s
}

// Parse reads a plain decimal number such as "1234.5" as an amount of c. Digits and at most one point: no grouping, no
// sign but a leading minus, no exponent, and no more decimals than the currency has (trailing zeros are let pass).
func Parse(s string, c Currency) (Amount, error) {
	if !c.Known() {
		return Amount{}, fmt.Errorf("unknown currency %q", string(c))
	}
	digits, neg := strings.CutPrefix(s, "-")
	whole, frac, point := strings.Cut(digits, ".")
	if whole == "" || point && frac == "" || !allDigits(whole) || !allDigits(frac) {
		return Amount{}, fmt.Errorf("not a plain decimal number")
	}
	n := c.Decimals()
	for len(frac) > n && frac[len(frac)-1] == '0' {
		frac = frac[:len(frac)-1]
	}
	if len(frac) > n {
		return Amount{}, fmt.Errorf("more than %d decimals for %s", n, c)
	}
	number := whole + frac + strings.Repeat("0", n-len(frac))
	if neg {
		number = "-" + number
	}
	minor, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return Amount{}, ErrOverflow
	}
	return Amount{minor, c}, nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
