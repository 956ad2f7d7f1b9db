package smpp

import (
	"hash/fnv"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
)

// How much room one SMS has, alone and behind each kind of header; 3GPP TS 23.040, section 9.2.3.24.
const (
	gsmAlone, gsmPart8, gsmPart16 = 160, 153, 152
	ucsAlone, ucsPart8, ucsPart16 = 70, 67, 66
)

// part is what goes into one submit_sm.
type part struct {
	header []byte // of the words themselves (UDH); nil for none
	words  []byte
	tags   []option
}

// parts is a text made ready.
type parts struct {
	list   []part
	coding byte
	billed int
}

// split cuts a text into what goes out together, with no character cut in two. A text of GSM-7 goes as such; anything else as UTF-16.
func (c *Config) split(text string, id duly.AttemptID) parts {
	out := parts{coding: c.gsmCoding}
	chars, narrow := c.septets(text)
	alone, room := gsmAlone, gsmPart8
	if c.Long == LongUDH16 {
		room = gsmPart16
	}
	if !narrow {
		out.coding, chars, alone, room = c.ucsCoding, units(text), ucsAlone, ucsPart8
		if c.Long == LongUDH16 {
			room = ucsPart16
		}
	}
	cut := fill(chars, alone, room)
	out.billed = len(cut)
	if c.Long == LongPayload && len(cut) > 1 {
		cut = fill(chars, len(text)*2, len(text)*2)
		out.list = []part{{tags: []option{{tagPayload, cut[0]}}}}
		return out
	}
	for n, words := range cut {
		p := part{words: words}
		if len(cut) > 1 {
			p.header, p.tags = c.join(reference(id, 0), n+1, len(cut))
		}
		out.list = append(out.list, p)
	}
	return out
}

// join is what says that a part is the nth of several: a header, or optional parameters.
func (c *Config) join(ref uint16, n, of int) ([]byte, []option) {
	switch c.Long {
	case LongUDH16:
		return []byte{6, 8, 4, byte(ref >> 8), byte(ref), byte(of), byte(n)}, nil
	case LongSAR:
		return nil, []option{{tagSarRef, []byte{byte(ref >> 8), byte(ref)}}, {tagSarTotal, []byte{byte(of)}}, {tagSarNo, []byte{byte(n)}}}
	case LongUDH8, LongPayload:
	}
	return []byte{5, 0, 3, byte(ref), byte(of), byte(n)}, nil
}

// reference is a number that the parts of one attempt share, or that its nth part goes by. It follows from the attempt, so that a
// process that starts anew does not start a count anew.
func reference(id duly.AttemptID, n int) uint16 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	_, _ = h.Write([]byte{byte(n)})
	sum := h.Sum32()
	return uint16(sum>>16) ^ uint16(sum)
}

func (c *Config) septets(text string) ([]encoded, bool) {
	out := make([]encoded, 0, len(text))
	for _, r := range text {
		e, ok := c.Alphabet.septet(r)
		if !ok {
			return nil, false
		}
		out = append(out, e)
	}
	return out, true
}

func units(text string) []encoded {
	out := make([]encoded, 0, utf8.RuneCountInString(text))
	for _, r := range text {
		out = append(out, unit(r))
	}
	return out
}

// fill puts characters into one SMS if they fit, else into several of less room.
func fill(chars []encoded, alone, room int) [][]byte {
	total := 0
	for _, c := range chars {
		total += c.room
	}
	if total <= alone {
		room = alone
	}
	var out [][]byte
	var words []byte
	used := 0
	for _, c := range chars {
		if used += c.room; used > room {
			out, words, used = append(out, words), nil, c.room
		}
		words = append(words, c.octets...)
	}
	return append(out, words)
}
