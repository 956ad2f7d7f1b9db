package reply

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// bytesMax bounds what is decoded at all, before a character is counted.
const bytesMax = TextMax * 8

// fold brings a text to the one form that rules are written in, and reports whether it was cut: simplified characters,
// lower case, half width, ASCII punctuation, no invisible characters, pictures or quoted mail, no space beside a Chinese
// character, no letter three times in a row, English without contractions and fillers, Cantonese in written words.
func fold(text string) (string, bool) {
	text, cut := shorten(text)
	text = norm.NFKC.String(text)
	text = unquote(letters(text))
	text = cantonese.Replace(text)
	return strings.TrimSpace(words(text)), cut
}

// shorten cuts a text in its middle.
func shorten(text string) (string, bool) {
	cut := false
	if len(text) > bytesMax {
		text, cut = strings.ToValidUTF8(text[:bytesMax*2/3], "")+"\n"+strings.ToValidUTF8(text[len(text)-bytesMax/3:], ""), true
	}
	if utf8.RuneCountInString(text) <= TextMax {
		return text, cut
	}
	r := []rune(text)
	return string(r[:headMax]) + "\n" + string(r[len(r)-(TextMax-headMax):]), true
}

// letters folds character by character.
func letters(text string) string {
	out := make([]rune, 0, len(text))
	for _, c := range text {
		c = unicode.ToLower(c)
		if s, ok := simplified[c]; ok {
			c = s
		}
		if s, ok := marks[c]; ok {
			c = s
		}
		n := len(out)
		switch {
		case c == '\n':
			for n > 0 && out[n-1] == ' ' {
				n--
			}
			if out = out[:n]; n == 0 || out[n-1] == '\n' {
				continue
			}
		case unicode.In(c, unicode.Cf, unicode.Mn, unicode.Me, unicode.Variation_Selector):
			continue // nothing is seen of it
		case unicode.IsSpace(c) || unicode.In(c, unicode.So, unicode.Sk, unicode.Cc, unicode.Co, unicode.Cs) || c == utf8.RuneError:
			if c = ' '; n == 0 || out[n-1] == ' ' || out[n-1] == '\n' || unicode.Is(unicode.Han, out[n-1]) {
				continue
			}
		case unicode.Is(unicode.Han, c) && n > 0 && out[n-1] == ' ':
			out, n = out[:n-1], n-1
		}
		if n >= 1 && out[n-1] == c && unicode.IsPunct(c) {
			continue
		}
		out = append(out, c)
	}
	return single(out)
}

// single leaves one of three and more of the same letter in a row: stoppp is stop.
func single(in []rune) string {
	var b strings.Builder
	for i, j := 0, 0; i < len(in); i = j {
		for j = i + 1; j < len(in) && in[j] == in[i]; j++ {
		}
		if j-i >= 3 && unicode.IsLetter(in[i]) {
			b.WriteRune(in[i])
			continue
		}
		b.WriteString(string(in[i:j]))
	}
	return b.String()
}

// unquote takes out what the borrower did not write: quoted mail and the signature of a mail program.
func unquote(text string) string {
	lines := strings.Split(text, "\n")
	kept := lines[:0]
	quoted := false
	for _, l := range lines {
		l = strings.TrimSpace(l)
		quoted = quoted || quoteHead.MatchString(l) && len(kept) > 0
		if quoted && !bareLine.MatchString(compact(l)) {
			continue // but a bare refusal below a quotation is the borrower's
		}
		if strings.HasPrefix(l, ">") || signature.MatchString(l) {
			continue
		}
		kept = append(kept, l)
	}
	return strings.Join(kept, "\n")
}

// words folds English word by word: one spelling, no contractions, no fillers.
func words(text string) string {
	var b strings.Builder
	b.Grow(len(text) + 16)
	for i := 0; i < len(text); {
		if !wordByte(text[i]) {
			b.WriteByte(text[i])
			i++
			continue
		}
		j := i
		for j < len(text) && (wordByte(text[j]) || text[j] == '\'' && j+1 < len(text) && wordByte(text[j+1])) {
			j++
		}
		w := word(text[i:j])
		if i = j; w == "" && i < len(text) && text[i] == ' ' {
			i++
		}
		b.WriteString(w)
	}
	return b.String()
}

// word returns the one spelling of a word, "" for a filler.
func word(w string) string {
	if s, ok := spellings[w]; ok {
		return s
	}
	base, tail, ok := strings.Cut(w, "'")
	if !ok {
		return w
	}
	if base == "can" || base == "ca" {
		return "can not"
	}
	if strings.HasSuffix(base, "n") && tail == "t" {
		return strings.TrimSuffix(base, "n") + " not"
	}
	if tail == "d" && !pronouns[base] {
		return base + tail // zelle'd
	}
	if s, ok := contractions[tail]; ok {
		return base + s
	}
	return base
}

func wordByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
