package channel

// E164 reports whether s is written as E.164 writes a telephone number: +, a country code, and 8 to 15 digits in all. It says
// nothing of whether there is such a number.
func E164(s string) bool {
	if len(s) < 9 || len(s) > 16 || s[0] != '+' || s[1] == '0' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
