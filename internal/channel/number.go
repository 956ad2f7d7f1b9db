package channel

import (
	"github.com/nyaruka/phonenumbers"
)

// numberMax bounds what is looked at as a number: ITU-T E.164 has 15 digits, people write them with brackets and spaces.
const numberMax = 40

// Number returns a telephone number as E.164 writes it: +8613800138000. Region is the country of numbers that are written
// without one ("CN"; "" where all have theirs). A number that nobody can have, or that leads to an extension, is an *Error of
// class BadAddress; it holds nothing of the number.
func Number(to, region string) (string, error) {
	if to == "" || len(to) > numberMax {
		return "", badNumber("malformed_number")
	}
	n, err := phonenumbers.Parse(to, region)
	if err != nil {
		return "", badNumber("malformed_number")
	}
	if n.GetExtension() != "" {
		return "", badNumber("number_with_extension")
	}
	if !phonenumbers.IsValidNumber(n) {
		return "", badNumber("invalid_number")
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// Region reports whether a country code such as CN is one that Number knows.
func Region(code string) bool { return phonenumbers.GetSupportedRegions()[code] }

func badNumber(code string) *Error { return &Error{Class: BadAddress, Code: code} }
