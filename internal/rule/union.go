package rule

import "slices"

// europeanUnion is the jurisdiction of packs that apply in every member state.
const europeanUnion = "EU"

// memberStates are the states of the European Union by ISO 3166 code, as of 2026-11-23: the 27 since 2020-02-01, when the
// United Kingdom left (Treaty on European Union art. 52).
var memberStates = []string{
	"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL",
	"PT", "RO", "SE", "SI", "SK",
}

// InUnion reports whether a country path lies in a member state of the European Union: DE, DE-BY.
func InUnion(country string) bool {
	return len(country) >= 2 && (len(country) == 2 || country[2] == '-') && slices.Contains(memberStates, country[:2])
}
