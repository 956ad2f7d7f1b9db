package smpp

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// Limits of texts that come in parts.
const (
	textsMax  = 1000 // that wait for their parts; beyond it the carrier is asked to tell the part again later
	holdTicks = int(2 * time.Second / idle)
	ageTicks  = int(time.Minute / idle)
	goneTicks = int(10 * time.Minute / idle) // for how long the parts of a text that was kept are known again
)

// assembly puts the parts of what people write together. The parts are answered when the whole is kept. A part that has waited a while for
// the others is refused for the moment, so that a carrier that waits for each answer tells the next; it is remembered all the same. A
// text whose parts do not come is kept as far as it came.
type assembly struct {
	c     *Config
	mu    sync.Mutex
	texts map[string]*text
}

// text is one whose parts come in.
type text struct {
	first  shortMessage
	words  map[byte][]byte
	of     byte
	coding byte
	from   []heard // that wait for an answer
	ticks  int     // since its first part
	key    string
	kept   bool
	asked  bool // is being kept
}

// whole is a reply, and who waits for it to be kept.
type whole struct {
	reply channel.Reply
	from  []heard
}

// splitPart reads what says that a message is a part: its header, or its optional parameters. The words come back without the header.
func splitPart(m *shortMessage) (ref uint16, n, of byte, words []byte) {
	words = m.words()
	if m.class&classUDH != 0 && len(words) > 0 {
		return readHeader(words)
	}
	r, no, total := m.option(tagSarRef), m.option(tagSarNo), m.option(tagSarTotal)
	if len(r) == 2 && len(no) == 1 && len(total) == 1 {
		return uint16(r[0])<<8 | uint16(r[1]), no[0], total[0], words
	}
	return 0, 1, 1, words
}

// readHeader reads a user data header; 3GPP TS 23.040, section 9.2.3.24. One that is none is left in the words.
func readHeader(b []byte) (ref uint16, n, of byte, words []byte) {
	end := 1 + int(b[0])
	if end > len(b) {
		return 0, 1, 1, b
	}
	n, of = 1, 1
	for at := 1; at+2 <= end; {
		id, size := b[at], int(b[at+1])
		v := b[at+2 : min(end, at+2+size)]
		switch {
		case id == 0 && len(v) == 3:
			ref, of, n = uint16(v[0]), v[1], v[2]
		case id == 8 && len(v) == 4:
			ref, of, n = uint16(v[0])<<8|uint16(v[1]), v[2], v[3]
		}
		at += 2 + size
	}
	if n == 0 || n > of {
		n, of = 1, 1
	}
	return ref, n, of, b[end:]
}

// add takes a message. It returns a reply where the message is whole, or completes one.
func (a *assembly) add(h *heard, s *Sender, now time.Time) (whole, bool) {
	ref, n, of, words := splitPart(&h.m)
	if of == 1 {
		return whole{s.reply(&h.m, a.c.decode(h.m.coding, words), replyKey(&h.m, now), now), []heard{*h}}, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	id := strings.Join([]string{h.m.from.text, h.m.to.text, string([]byte{byte(ref >> 8), byte(ref), of})}, "\x00")
	t := a.texts[id]
	if t != nil && t.kept {
		if same(t.words[n], words) {
			h.answer(ok) // it was kept with the whole
			return whole{}, false
		}
		t = nil // another text that goes by the same number
	}
	if t == nil {
		if len(a.texts) >= textsMax {
			h.answer(notNow)
			return whole{}, false
		}
		t = &text{first: h.m, words: map[byte][]byte{}, of: of, coding: h.m.coding, key: replyKey(&h.m, now)}
		if a.texts == nil {
			a.texts = map[string]*text{}
		}
		a.texts[id] = t
	}
	if t.words[n] == nil {
		t.words[n] = append([]byte{}, words...)
	}
	t.from = append(t.from, *h)
	if len(t.words) < int(t.of) || t.asked {
		return whole{}, false
	}
	return t.whole(s, now), true
}

func same(a, b []byte) bool { return a != nil && slices.Equal(a, b) }

// whole makes the reply of the parts that there are.
func (t *text) whole(s *Sender, now time.Time) whole {
	t.asked = true
	var words []byte
	for n := 1; n <= int(t.of); n++ {
		words = append(words, t.words[byte(n)]...)
	}
	from := t.from
	t.from = nil
	return whole{s.reply(&t.first, s.c.decode(t.coding, words), t.key, now), from}
}

// kept remembers the texts that were kept: their parts may be told again.
func (a *assembly) kept(replies []channel.Reply) { a.settle(replies, true) }

// unkept lets texts wait again, whose whole could not be kept.
func (a *assembly) unkept(replies []channel.Reply) { a.settle(replies, false) }

func (a *assembly) settle(replies []channel.Reply, kept bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range replies {
		for _, t := range a.texts {
			if t.asked && "mo:"+t.key == replies[i].Key {
				t.kept, t.asked = kept, false
				t.ticks = 0
			}
		}
	}
}

// age counts a tick for every text: parts that waited a while are refused for the moment, texts whose parts do not come are kept as far
// as they came, and those that were kept long ago forgotten.
func (a *assembly) age(ctx context.Context, e *ear, take func(context.Context, channel.Heard) error) {
	a.mu.Lock()
	var old []whole
	for id, t := range a.texts {
		t.ticks++
		switch {
		case t.kept && t.ticks > goneTicks:
			delete(a.texts, id)
		case !t.kept && !t.asked && t.ticks > ageTicks && e.s.clock != nil:
			old = append(old, t.whole(e.s, e.s.clock()))
		case !t.kept && t.ticks%holdTicks == 0:
			t.refuse()
		}
	}
	a.mu.Unlock()
	for _, w := range old {
		replies := []channel.Reply{w.reply}
		if err := take(ctx, channel.Heard{Replies: replies}); err != nil {
			a.unkept(replies)
			for i := range w.from {
				w.from[i].answer(notNow)
			}
			continue
		}
		a.kept(replies)
		for i := range w.from {
			w.from[i].answer(ok)
		}
	}
}

// refuse asks the carrier to tell the parts again.
func (t *text) refuse() {
	for i := range t.from {
		t.from[i].answer(notNow)
	}
	t.from = nil
}

// drop refuses every part that waits.
func (a *assembly) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.texts {
		t.refuse()
	}
	a.texts = nil
}
