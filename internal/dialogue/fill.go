package dialogue

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

var errPlaceholder = errors.New("a placeholder is not closed, or closes none")

// fill puts values in the places of placeholders.
func fill(words string, value func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		open := strings.Index(words, "{{")
		if open < 0 {
			if strings.Contains(words, "}}") {
				return "", errPlaceholder
			}
			b.WriteString(words)
			return b.String(), nil
		}
		end := strings.Index(words[open:], "}}")
		if end < 0 || strings.Contains(words[:open], "}}") {
			return "", errPlaceholder
		}
		name := words[open+2 : open+end]
		v, ok := value(name)
		if !ok || v == "" {
			return "", fmt.Errorf("variable %s has no value", name)
		}
		b.WriteString(words[:open])
		b.WriteString(v)
		words = words[open+end+2:]
	}
}

// placeholders lists the names that words speak of.
func placeholders(words string) []string {
	var out []string
	_, _ = fill(words, func(name string) (string, bool) {
		out = append(out, name)
		return "x", true
	})
	return out
}

// Fold writes a spoken word as words are compared: in small letters, without spaces and marks.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}
