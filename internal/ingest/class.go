package ingest

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// classOf says what sort of value s is, and never what it is: "empty", "digits(11)", "number", "date-like", "text(7)".
func classOf(s string) string {
	if s == "" {
		return "empty"
	}
	digits, dots, marks, dateMarks, letters := 0, 0, 0, 0, 0
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '-' || c == '/' || c == ':' || c == '年' || c == '月' || c == '日':
			dateMarks++
		case c == '.':
			dots++
		case c == ',' || c == '+' || c == ' ':
			marks++
		default:
			letters++
		}
	}
	switch {
	case letters+dateMarks+marks+dots == 0:
		return fmt.Sprintf("digits(%d)", digits)
	case letters+dateMarks+marks == 0 && dots == 2 && (digits == 6 || digits == 8), letters == 0 && digits >= 5 && dateMarks >= 2 && digits <= 20:
		return "date-like"
	case letters == 0 && digits > 0 && dateMarks <= 1:
		return "number"
	}
	return fmt.Sprintf("text(%d)", utf8.RuneCountInString(s))
}

// plain reports whether s is valid text without control characters.
func plain(s string) bool {
	ascii := true
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if ascii {
		return true
	}
	for _, c := range s {
		if unicode.IsControl(c) {
			return false
		}
	}
	return utf8.ValidString(s)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
