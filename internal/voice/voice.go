// Package voice is sound on a telephone line: eight thousand samples a second, in frames of twenty milliseconds. It turns words into
// frames (recordings put together, or synthesis), packs them as G.711, hears whether a person or a machine answered, and keeps
// recordings as WAV.
package voice

import "time"

// How sound is cut.
const (
	Rate       = 8000                  // samples a second
	FrameLen   = 160                   // samples of a frame
	FrameEvery = 20 * time.Millisecond // how long a frame lasts
)

// Length returns how long samples last.
func Length(pcm []int16) time.Duration { return time.Duration(len(pcm)) * time.Second / Rate }

// Silence returns that much of it.
func Silence(d time.Duration) []int16 { return make([]int16, int(d*Rate/time.Second)) }

// Codec is a G.711 law, by its RTP payload type.
type Codec byte

// The laws: mu in America and Japan, A elsewhere.
const (
	PCMU Codec = 0
	PCMA Codec = 8
)

// String returns the name that SDP knows it by.
func (c Codec) String() string {
	if c == PCMU {
		return "PCMU"
	}
	return "PCMA"
}

// Quiet is the byte of silence.
func (c Codec) Quiet() byte { return c.encode(0) }

// Encode appends samples as bytes of the law.
func (c Codec) Encode(b []byte, pcm []int16) []byte {
	for _, s := range pcm {
		b = append(b, c.encode(s))
	}
	return b
}

// Decode appends bytes of the law as samples.
func (c Codec) Decode(pcm []int16, b []byte) []int16 {
	t := &tableA
	if c == PCMU {
		t = &tableMu
	}
	for _, x := range b {
		pcm = append(pcm, t[x])
	}
	return pcm
}

func (c Codec) encode(s int16) byte {
	if c == PCMU {
		return encodeMu(s)
	}
	return encodeA(s)
}

var tableA, tableMu = tableOf(decodeA), tableOf(decodeMu)

func tableOf(decode func(byte) int16) (t [256]int16) {
	for i := range t {
		t[i] = decode(byte(i))
	}
	return t
}

// segment returns the number of the highest bit above the first eight, at most seven.
func segment(v int) int {
	n := 0
	for v >>= 8; v != 0 && n < 7; v >>= 1 {
		n++
	}
	return n
}

// encodeA is ITU-T G.711's A law.
func encodeA(s int16) byte {
	v, mask := int(s), byte(0xD5)
	if v < 0 {
		v, mask = -v-1, 0x55
	}
	v = min(v, 32767)
	n := segment(v)
	low := v >> 4 & 0x0F
	if n > 0 {
		low = v >> (n + 3) & 0x0F
	}
	return byte(n<<4|low) ^ mask
}

func decodeA(b byte) int16 {
	b ^= 0x55
	v, n := int(b&0x0F)<<4, int(b>>4&7)
	switch n {
	case 0:
		v += 8
	case 1:
		v += 0x108
	default:
		v = (v + 0x108) << (n - 1)
	}
	if b&0x80 == 0 {
		v = -v
	}
	return int16(v)
}

const muBias = 0x84

// encodeMu is ITU-T G.711's mu law.
func encodeMu(s int16) byte {
	v, mask := int(s), byte(0xFF)
	if v < 0 {
		v, mask = -v, 0x7F
	}
	v = min(v+muBias, 32767)
	n := segment(v >> 0)
	return byte(n<<4|v>>(n+3)&0x0F) ^ mask
}

func decodeMu(b byte) int16 {
	b = ^b
	v := (int(b&0x0F)<<3 + muBias) << (b >> 4 & 7)
	if b&0x80 != 0 {
		return int16(muBias - v)
	}
	return int16(v - muBias)
}
