package smpp

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// gsm is the default alphabet of GSM 03.38, by code; 0x1b leads to the extension table.
const gsm = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

const escape = 0x1b

// gsmExtension is the extension table.
var gsmExtension = map[rune]byte{
	'\f': 0x0a, '^': 0x14, '{': 0x28, '}': 0x29, '\\': 0x2f, '[': 0x3c, '~': 0x3d, ']': 0x3e, '|': 0x40, '€': 0x65,
}

// gsmCodes and gsmRunes are the default alphabet in both directions.
var gsmCodes, gsmRunes = func() (map[rune]byte, [128]rune) {
	codes, runes := make(map[rune]byte, 128), [128]rune{}
	n := 0
	for _, r := range gsm {
		runes[n] = r
		if r != escape {
			codes[r] = byte(n)
		}
		n++
	}
	return codes, runes
}()

var gsmExtended = func() map[byte]rune {
	out := make(map[byte]rune, len(gsmExtension))
	for r, c := range gsmExtension {
		out[c] = r
	}
	return out
}()

// Data codings that are read; section 5.2.19.
const (
	codingDefault = 0x00
	codingASCII   = 0x01
	codingLatin1  = 0x03
	codingUCS2    = 0x08
)

// encoded is one character on its way: its octets, and how much room it takes over the air.
type encoded struct {
	octets []byte
	room   int // septets, or UTF-16 units
}

// septet encodes a character of GSM-7 as carriers of an alphabet want it, one octet a septet; false if there is no way.
func (a Alphabet) septet(r rune) (encoded, bool) {
	base, plain := gsmCodes[r]
	wide, extended := gsmExtension[r]
	if !plain && !extended {
		return encoded{}, false
	}
	room := 1
	if extended {
		room = 2
	}
	switch {
	case a == AlphabetLatin1:
		return encoded{[]byte{byte(r)}, room}, r <= 0xff
	case extended:
		return encoded{[]byte{escape, wide}, room}, true
	}
	return encoded{[]byte{base}, room}, true
}

// unit encodes a character as UTF-16.
func unit(r rune) encoded {
	if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
		return encoded{[]byte{byte(hi >> 8), byte(hi), byte(lo >> 8), byte(lo)}, 2}
	}
	return encoded{[]byte{byte(r >> 8), byte(r)}, 1}
}

// decode reads words that came in.
func (c *Config) decode(coding byte, b []byte) string {
	switch {
	case coding == codingUCS2, coding&0xf0 <= 0x30 && coding&0x0c == 0x08 && coding >= 0x10, coding&0xf0 == 0xe0:
		return decode16(b)
	case coding == codingASCII, coding == codingLatin1:
		return decodeLatin1(b)
	case c.Alphabet == AlphabetLatin1:
		return decodeLatin1(b)
	}
	return decode7(b)
}

// decode7 reads septets, one an octet. What is no septet is read as Latin-1: it came from a carrier whose alphabet is another.
func decode7(b []byte) string {
	var s strings.Builder
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c >= 0x80:
			s.WriteRune(rune(c))
		case c != escape:
			s.WriteRune(gsmRunes[c])
		case i+1 < len(b):
			i++
			if r, ok := gsmExtended[b[i]]; ok {
				s.WriteRune(r)
			} else { // GSM 03.38: a receiver that does not know the character shows that of the main table
				s.WriteRune(gsmRunes[b[i]&0x7f])
			}
		}
	}
	return strings.ReplaceAll(s.String(), "\x1b", " ")
}

func decode16(b []byte) string {
	units := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
	}
	return string(utf16.Decode(units))
}

func decodeLatin1(b []byte) string {
	out := make([]rune, len(b))
	for i, c := range b {
		out[i] = rune(c)
	}
	return string(out)
}
