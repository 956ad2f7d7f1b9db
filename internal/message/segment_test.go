package message

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/gsm7"
)

func TestSegments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       Count
	}{
		{"none", "", Count{GSM7, 0, 0, 0}},
		{"160 fit", strings.Repeat("a", 160), Count{GSM7, 160, 1, 0}},
		{"161 are two", strings.Repeat("a", 161), Count{GSM7, 161, 2, 0}},
		{"306 are two", strings.Repeat("a", 306), Count{GSM7, 306, 2, 0}},
		{"307 are three", strings.Repeat("a", 307), Count{GSM7, 307, 3, 0}},
		{"escapes count two", strings.Repeat("€", 80), Count{GSM7, 160, 1, 0}},
		{"81 escapes", strings.Repeat("€", 81), Count{GSM7, 162, 2, 0}},
		{"an escape is not cut: 152+2, and on", strings.Repeat("a", 152) + "[" + strings.Repeat("b", 152), Count{GSM7, 306, 3, 0}},
		{"70 fit", strings.Repeat("款", 70), Count{UCS2, 70, 1, '款'}},
		{"71 are two", strings.Repeat("款", 71), Count{UCS2, 71, 2, '款'}},
		{"134 are two", strings.Repeat("款", 134), Count{UCS2, 134, 2, '款'}},
		{"135 are three", strings.Repeat("款", 135), Count{UCS2, 135, 3, '款'}},
		{"an emoji is two", strings.Repeat("😀", 35), Count{UCS2, 70, 1, '😀'}},
		{"an emoji is not cut: 66+2, and on", strings.Repeat("款", 66) + "😀" + strings.Repeat("款", 66), Count{UCS2, 134, 3, '款'}},
		{"the first that forces is named", "Dear Zoë, naïve", Count{UCS2, 15, 1, 'ë'}},
		{"a backquote forces", "a`", Count{UCS2, 2, 1, '`'}},
		{"yen and renminbi sign", "¥1,234.50", Count{GSM7, 9, 1, 0}},
	} {
		if got := Segments(c.text); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

// oracle encodes the text with another's library and counts what comes out.
func oracle(t *testing.T, text string) Count {
	t.Helper()
	c := Count{Encoding: UCS2}
	if septets, err := gsm7.Encode([]byte(text)); err == nil {
		c.Encoding, c.Units = GSM7, len(septets)
	} else {
		c.Units = len(utf16.Encode([]rune(text)))
	}
	parts, err := sms.Encode([]byte(text))
	if err != nil {
		t.Fatalf("the oracle cannot encode %q: %v", text, err)
	}
	c.Segments = len(parts)
	return c
}

// Texts around every limit, with the wide characters in every place, count as another implementation has it.
func TestSegmentsAgainstOracle(t *testing.T) {
	t.Parallel()
	const seed = 20261123
	r := rand.New(rand.NewPCG(seed, 1))
	alphabets := [][]rune{
		[]rune("abc XYZ 019.,?"), []rune("aé¥Δß["), []rune("ab{}€~|\\^"), []rune("还款日期，。¥1a"), []rune("款😀𠮷"), []rune("a😀€["),
	}
	for range 4000 {
		set := alphabets[r.IntN(len(alphabets))]
		text := make([]rune, 1+r.IntN(480))
		for i := range text {
			text[i] = set[r.IntN(len(set))]
		}
		compare(t, string(text), seed)
	}
	for n := range 480 {
		compare(t, strings.Repeat("a", n)+"€"+strings.Repeat("a", 170), seed)
		compare(t, strings.Repeat("款", n)+"😀"+strings.Repeat("款", 80), seed)
	}
}

func compare(t *testing.T, text string, seed int) {
	t.Helper()
	got, want := Segments(text), oracle(t, text)
	if got.Encoding != want.Encoding || got.Units != want.Units || got.Segments != want.Segments {
		t.Fatalf("seed %d: got %+v, want %+v for %q", seed, got, want, text)
	}
}

// Every character of the BMP is judged to be in GSM-7 or not as the oracle judges it.
func TestAlphabetAgainstOracle(t *testing.T) {
	t.Parallel()
	for r := rune(1); r < 0x10000; r++ {
		if r == 0x1b || r == '\f' || r >= 0xd800 && r < 0xe000 { // escape is no character of its own; form feed is none either
			continue
		}
		got := septets(r)
		want := 0
		if enc, err := gsm7.Encode([]byte(string(r))); err == nil {
			want = len(enc)
		}
		if got != want {
			t.Errorf("%U %q: got %d septets, want %d", r, r, got, want)
		}
	}
}

func FuzzSegments(f *testing.F) {
	for _, s := range []string{"", "a", "款", "😀", strings.Repeat("a", 159) + "€", strings.Repeat("款", 69) + "😀", "\xff\xfe", "a`b\x1b", "\f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := Segments(s)
		part, alone := gsmPart, gsmAlone
		if c.Encoding == UCS2 {
			part, alone = ucsPart, ucsAlone
			if want := len(utf16.Encode([]rune(s))); c.Units != want {
				t.Errorf("got %d units, want %d", c.Units, want)
			}
		}
		least := (c.Units + part - 1) / part
		if c.Units <= alone {
			least = min(1, c.Units)
		}
		// A character held back leaves at most one unit of a part empty.
		if most := (c.Units + part - 2) / (part - 1); c.Segments < least || c.Segments > max(most, least) {
			t.Errorf("got %d segments for %d units in %s", c.Segments, c.Units, c.Encoding)
		}
		if (c.Encoding == UCS2) != (c.Forcing != 0) && utf8.ValidString(s) {
			t.Errorf("encoding %s, forced by %q", c.Encoding, c.Forcing)
		}
	})
}
