package console

import (
	"maps"
	"slices"
)

// chart is a day's contacts by hour, one bar to an hour, the channels one above the other. Lengths are in the units of its view
// box.
type chart struct {
	Bars   []bar
	Hours  []tick
	Keys   []string // the channels, in the order of their classes: s0, s1, …
	Most   int64
	Width  int
	Height int
	Base   int // where the bars stand
}

type bar struct {
	X, Y, W, H int
	Series     int
	Hour       int
	Channel    string
	Count      int64
}

type tick struct {
	X    int
	Hour int
}

// The chart's measures.
const (
	chartHeight = 160
	chartFoot   = 20
	hourWidth   = 26
	barGap      = 4
	seriesMax   = 9
)

// newChart draws counts by channel and hour; nil where there are none.
func newChart(counts map[string]map[int]int64) *chart {
	channels := slices.Sorted(maps.Keys(counts))
	if len(channels) == 0 {
		return nil
	}
	first, last := 24, -1
	var sums [24]int64
	for _, byHour := range counts {
		for h, n := range byHour {
			first, last = min(first, h), max(last, h)
			sums[h] += n
		}
	}
	first, last = min(first, 8), max(last, 20)
	c := &chart{Keys: channels, Width: (last - first + 1) * hourWidth, Height: chartHeight + chartFoot, Base: chartHeight, Most: slices.Max(sums[:])}
	for h := first; h <= last; h++ {
		x, y := (h-first)*hourWidth, chartHeight
		if h%2 == 0 {
			c.Hours = append(c.Hours, tick{x + hourWidth/2, h})
		}
		for i, ch := range channels {
			n := counts[ch][h]
			if n == 0 {
				continue
			}
			tall := max(1, int(n*(chartHeight-10)/c.Most))
			y -= tall
			c.Bars = append(c.Bars, bar{x + barGap/2, y, hourWidth - barGap, tall, i % seriesMax, h, ch, n})
		}
	}
	return c
}
