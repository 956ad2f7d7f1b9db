package rule

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
	"unicode"
)

// maxPatterns bounds the patterns of a content rule, and MaxTextBytes the text that is judged.
const (
	maxPatterns  = 50
	MaxTextBytes = 64 << 10
)

// content lets words pass that match every pattern of must and none of must_not. A forbidden word is found too where
// invisible characters or full-width letters hide it, or spaces within a script that writes none. While planning there are no words and nothing is judged;
// a call may have none when it is sent.
//
//	params: {must: ["^【[^】]{2,16}】"], must_not: ["坐牢"]}
type content struct{ must, mustNot []pattern }

// pattern is a regular expression. Most forbidden words are plain text, and most others hold some, which is found much sooner.
type pattern struct {
	re    *regexp.Regexp
	plain string   // the whole of the expression, if it is plain text
	needs []string // plain texts one of which is in every match; none: not known
	leads bool     // a match begins with one of them
}

func (p *pattern) in(s string) bool {
	switch {
	case p.plain != "":
		return strings.Contains(s, p.plain)
	case len(p.needs) == 0:
		return p.re.MatchString(s)
	}
	at := -1
	for _, need := range p.needs {
		if i := strings.Index(s, need); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at > 0 && p.leads {
		s = s[at:]
	}
	return at >= 0 && p.re.MatchString(s)
}

// needs returns plain texts one of which is in whatever matches re, and whether a match begins with it; none if that cannot be
// said.
func needs(re *syntax.Regexp) (texts []string, leads bool) {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return []string{string(re.Rune)}, true
		}
	case syntax.OpCapture, syntax.OpPlus:
		return needs(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return needs(re.Sub[0])
		}
	case syntax.OpAlternate:
		leads = true
		for _, sub := range re.Sub {
			t, l := needs(sub)
			if len(t) == 0 {
				return nil, false
			}
			texts, leads = append(texts, t...), leads && l
		}
		return texts, leads
	case syntax.OpConcat:
		for i, sub := range re.Sub {
			if t, l := needs(sub); len(t) > 0 {
				return t, l && i == 0
			}
		}
	}
	return nil, false
}

// looksBack reports whether what matches re depends on what is before it.
func looksBack(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(re.Sub, looksBack)
}

func (c *content) check(v *View, _ time.Time) finding {
	if v.Text == "" {
		if v.WordsLater || v.phase() == PhasePlan || v.Contact.Channel.Call() || !v.Contact.Channel.Known() {
			return pass()
		}
		return finding{lack: lackFact, seen: "the words are not known"}
	}
	if len(v.Text) > MaxTextBytes {
		return finding{seen: fmt.Sprintf("the words are longer than %d KiB", MaxTextBytes>>10)}
	}
	for i := range c.must {
		if !c.must[i].in(v.Text) {
			return finding{seen: fmt.Sprintf("pattern %d of must is not met: %s", i+1, c.must[i].re)}
		}
	}
	for i := range c.mustNot {
		p := &c.mustNot[i]
		if p.in(v.Text) || v.plain() != v.Text && p.in(v.plain()) {
			return finding{seen: fmt.Sprintf("pattern %d of must_not is met: %s", i+1, p.re)}
		}
	}
	return pass()
}

// plain returns the words without what could hide a forbidden one.
func (v *View) plain() string {
	if v.folded == "" {
		v.folded = fold(v.Text)
	}
	return v.folded
}

// fold takes out invisible characters, makes full-width letters narrow, and takes out spaces but between two narrow
// letters or digits, where they part words: "now everything" holds no "owe".
func fold(s string) string {
	if !strings.ContainsFunc(s, hides) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	var last rune
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = true
			continue
		case unicode.Is(unicode.Cf, r):
			continue
		case wide(r):
			r -= wideBy
		}
		if space && parts(last) && parts(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
		last, space = r, false
	}
	return b.String()
}

// wideBy is how far full-width letters are from the narrow ones.
const wideBy = 0xfee0

func wide(r rune) bool { return r >= '!'+wideBy && r <= '~'+wideBy }

// hides reports whether a forbidden word may hide behind r.
func hides(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || wide(r) }

// parts reports whether a space before or after r parts words.
func parts(r rune) bool { return r != 0 && r < 0x2e80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

func parseContent(o *object) checker {
	c := &content{must: o.patterns("must"), mustNot: o.patterns("must_not")}
	if !o.has("must") && !o.has("must_not") {
		o.r.fail(o.node, o.field, "must have must or must_not")
	}
	return c
}

func newPattern(re *regexp.Regexp) pattern {
	p := pattern{re: re}
	if text, whole := re.LiteralPrefix(); whole {
		p.plain = text
	}
	if parsed, err := syntax.Parse(re.String(), syntax.Perl); err == nil {
		p.needs, p.leads = needs(parsed)
		p.leads = p.leads && !looksBack(parsed)
	}
	return p
}

func (o *object) patterns(key string) []pattern {
	var out []pattern
	list := o.strs(key)
	if len(list) > maxPatterns {
		o.fail(key, "has more than %d patterns", maxPatterns)
		return nil
	}
	for i, s := range list {
		re, err := regexp.Compile(s)
		if err != nil {
			o.r.fail(o.at[key], fmt.Sprintf("%s[%d]", o.path(key), i), "not a regular expression: %v", err)
			continue
		}
		out = append(out, newPattern(re))
	}
	return out
}
