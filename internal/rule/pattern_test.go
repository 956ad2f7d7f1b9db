package rule

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// However a pattern is looked for, it is found just where the expression is.
func TestPatternIsTheExpression(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		needs []string
		leads bool
	}{
		{"坐牢", []string{"坐牢"}, true},
		{"通知你(的)?(单位|家人)", []string{"通知你"}, true},
		{"【?(公安|法院)", []string{"公安", "法院"}, false},
		{"(退订|拒收).{0,6}(R|T|TD)", []string{"退订", "拒收"}, true},
		{"^【[^】]{2,4}】|【[^】]{2,4}】$", []string{"【", "【"}, false},
		{`\d+(\.\d+)?元`, []string{"元"}, false},
		{`\bowe\b`, []string{"owe"}, false},
		{"(?i)owe", nil, false},
		{"(?:ab){2,3}c", []string{"ab"}, true},
		{"(?:ab)*c", []string{"c"}, false},
		{"a|b*", nil, false},
		{"(ab)+|cd?", []string{"ab", "c"}, true},
		{"", nil, false},
		{"(?m)^ab", []string{"ab"}, false},
		{"a(?:b|)c", []string{"a"}, true},
	} {
		re := regexp.MustCompile(c.text)
		p := newPattern(re)
		if !slices.Equal(p.needs, c.needs) || p.leads != c.leads {
			t.Errorf("%s: needs %q, leads %v; want %q, %v", c.text, p.needs, p.leads, c.needs, c.leads)
		}
		rnd := rand.New(rand.NewPCG(1, uint64(len(c.text))))
		alphabet := append(strings.Split("a b c d o w e O W R T D 0 7 . 元 坐 牢 【 】 公 安 法 院", " "), " ", "\n", "退订", "拒收", "通知你", "的", "单位", "owe", "ab")
		found := 0
		for range 4000 {
			var b strings.Builder
			for range rnd.IntN(9) {
				b.WriteString(alphabet[rnd.IntN(len(alphabet))])
			}
			want := re.MatchString(b.String())
			if want {
				found++
			}
			if got := p.in(b.String()); got != want {
				t.Fatalf("%s in %q: got %v, want %v", c.text, b.String(), got, want)
			}
		}
		if found == 0 {
			t.Errorf("%s was in no text: the test shows nothing", c.text)
		}
	}
}
