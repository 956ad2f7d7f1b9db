package message

import "unicode/utf8"

// Encoding is how an SMS goes over the air.
type Encoding string

// The encodings. A text of any other channel has none.
const (
	EncodingNone Encoding = ""
	GSM7         Encoding = "GSM7"
	UCS2         Encoding = "UCS2"
)

// How many units one SMS holds, alone and as a part of a longer text, where the header takes its share.
const (
	gsmAlone, gsmPart = 160, 153
	ucsAlone, ucsPart = 70, 67
)

// Count is what an SMS takes up.
type Count struct {
	Encoding Encoding
	Units    int  // septets, or UTF-16 units: an emoji is two
	Segments int  // what carriers charge for; 0 for no text
	Forcing  rune // the first character that GSM-7 lacks, and that so made it UCS-2; 0 if there is none
}

// Segments counts the SMS segments of a text: GSM-7 if its alphabet has every character (those of the extension table
// take two septets), UCS-2 otherwise. No character is cut in two at a segment's end, so a text may take more segments
// than its length alone says.
func Segments(text string) Count {
	if text == "" {
		return Count{Encoding: GSM7}
	}
	units, segments, forcing := parts7(text)
	if forcing == 0 {
		return Count{Encoding: GSM7, Units: units, Segments: segments}
	}
	units, segments = parts16(text)
	return Count{Encoding: UCS2, Units: units, Segments: segments, Forcing: forcing}
}

// parts7 counts septets and segments. It stops at the first character that GSM-7 lacks, and returns it.
func parts7(text string) (units, segments int, forcing rune) {
	inLast := 0
	segments = 1
	for _, r := range text {
		n := septets(r)
		if n == 0 {
			return 0, 0, r
		}
		units += n
		if inLast += n; inLast > gsmPart {
			segments++
			inLast = n
		}
	}
	if units <= gsmAlone {
		segments = 1
	}
	return units, segments, 0
}

// parts16 counts UTF-16 units and segments. What is no character is sent as U+FFFD, which is one unit.
func parts16(text string) (units, segments int) {
	inLast := 0
	segments = 1
	for _, r := range text {
		n := 1
		if r > 0xffff {
			n = 2
		}
		units += n
		if inLast += n; inLast > ucsPart {
			segments++
			inLast = n
		}
	}
	if units <= ucsAlone {
		segments = 1
	}
	return units, segments
}

// septets returns how many septets r takes in the default alphabet of GSM 03.38 with its extension table, 0 if it is in
// neither.
func septets(r rune) int {
	if r < utf8.RuneSelf {
		return int(asciiSeptets[r])
	}
	switch r {
	case '£', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', 'Ø', 'ø', 'Å', 'å', 'Δ', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ',
		'Æ', 'æ', 'ß', 'É', '¤', '¡', 'Ä', 'Ö', 'Ñ', 'Ü', '§', '¿', 'ä', 'ö', 'ñ', 'ü', 'à':
		return 1
	case '€':
		return 2
	}
	return 0
}

// asciiSeptets is the part of the alphabet that ASCII has: all that can be printed but the backquote, and line breaks.
var asciiSeptets = func() (t [utf8.RuneSelf]uint8) {
	for r := ' '; r <= '~'; r++ {
		t[r] = 1
	}
	t['\n'], t['\r'] = 1, 1
	for _, r := range "\f^{}\\[~]|" {
		t[r] = 2
	}
	t['`'] = 0
	return t
}()
