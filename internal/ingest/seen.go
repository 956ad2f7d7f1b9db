package ingest

// seenMax bounds how many different rows are told apart in one file; each costs about 32 bytes.
const seenMax = 1 << 24

const (
	seenShards  = 64 // each grows by itself, so that growing never needs the whole twice
	seenSlotMin = 64
)

// key is a digest of a row's cells.
type key [2]uint64

// seen counts how often each key came up. Its memory is flat per key, whatever the rows hold.
type seen struct {
	shards [seenShards]shard
	n      int
	again  map[key]int // of keys that came up more than once
}

type shard struct {
	slots []key
	n     int
}

// add counts k and returns how often it came up, this time included; ok is false when the table is full.
func (s *seen) add(k key) (times int, ok bool) {
	if k == (key{}) {
		k[1] = 1 // an empty slot is all zero
	}
	if !s.shards[k[0]%seenShards].add(k) {
		if s.again == nil {
			s.again = map[key]int{}
		}
		s.again[k]++
		return s.again[k] + 1, true
	}
	s.n++
	return 1, s.n <= seenMax
}

// add puts k in and reports whether it is new.
func (h *shard) add(k key) bool {
	if 4*h.n >= 3*len(h.slots) {
		h.grow()
	}
	at := h.find(k)
	if h.slots[at] == k {
		return false
	}
	h.slots[at] = k
	h.n++
	return true
}

// find returns the slot of k, or the empty one where it belongs.
func (h *shard) find(k key) int {
	mask := len(h.slots) - 1
	at := int(k[1]) & mask
	for h.slots[at] != (key{}) && h.slots[at] != k {
		at = (at + 1) & mask
	}
	return at
}

func (h *shard) grow() {
	old := h.slots
	h.slots = make([]key, max(seenSlotMin, 2*len(old)))
	for _, k := range old {
		if k != (key{}) {
			h.slots[h.find(k)] = k
		}
	}
}
