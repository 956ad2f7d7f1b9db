package reply

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// pattern is a regular expression that is not run on a text without any of the words that it needs.
type pattern struct {
	re    *regexp.Regexp
	needs []string // one of these must stand in the text; none: not known
}

// needsMax is how many words it is worth to look for before the expression itself is run.
const needsMax = 160

// compile puts the word classes into a pattern.
func compile(text string) *pattern {
	for next := ""; next != text; {
		next, text = text, classes.Replace(text)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		panic("reply: " + err.Error())
	}
	needs := needed(parsed)
	if len(needs) > needsMax {
		needs = nil
	}
	return &pattern{regexp.MustCompile(text), needs}
}

// absent reports that no text without the needed words can match.
func (p *pattern) absent(text string) bool {
	if p.needs == nil {
		return false
	}
	for _, n := range p.needs {
		if strings.Contains(text, n) {
			return false
		}
	}
	return true
}

func (p *pattern) in(text string) bool { return !p.absent(text) && p.re.MatchString(text) }

func (p *pattern) replace(text, with string) string {
	if p.absent(text) {
		return text
	}
	return p.re.ReplaceAllString(text, with)
}

func (p *pattern) find(text string) []int {
	if p.absent(text) {
		return nil
	}
	return p.re.FindStringIndex(text)
}

func (p *pattern) groups(text string) []string {
	if p.absent(text) {
		return nil
	}
	return p.re.FindStringSubmatch(text)
}

// needed returns words of which every match holds at least one; none if that cannot be told.
func needed(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return []string{string(re.Rune)}
		}
	case syntax.OpCharClass:
		return neededClass(re.Rune)
	case syntax.OpCapture, syntax.OpPlus:
		return needed(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return needed(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, s := range re.Sub {
			if n := needed(s); n != nil && (best == nil || rarer(n, best)) {
				best = n
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, s := range re.Sub {
			n := needed(s)
			if n == nil {
				return nil
			}
			all = append(all, n...)
		}
		return all
	}
	return nil
}

// neededClass returns the characters of a small class of Chinese characters or digits.
func neededClass(ranges []rune) []string {
	var out []string
	for i := 0; i+1 < len(ranges); i += 2 {
		for c := ranges[i]; c <= ranges[i+1]; c++ {
			if out = append(out, string(c)); len(out) > 24 {
				return nil
			}
		}
	}
	return out
}

// rarer reports whether words of a are likely to stand in fewer texts: longer ones, then fewer.
func rarer(a, b []string) bool {
	if x, y := shortest(a), shortest(b); x != y {
		return x > y
	}
	return len(a) < len(b)
}

func shortest(words []string) int {
	n := len(words[0])
	for _, w := range words {
		size := len(w)
		if c, _ := utf8.DecodeRuneInString(w); c < 128 && size > 3 {
			size = 3 + size/4 // a Chinese character tells about as much as three letters
		}
		n = min(n, size)
	}
	return n
}
