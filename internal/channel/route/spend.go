package route

import (
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/money"
)

// Cap is the most that a channel may cost within any hour; zero: no limit.
type Cap struct {
	Micros   Micros
	Currency money.Currency
}

// hour is what a channel cost, minute by minute.
type hour struct {
	sums  [60]Micros
	total Micros
	last  int64 // the minute of the newest sum, since 1970
}

func (h *hour) forward(now time.Time) {
	m := now.Unix() / 60
	if m-h.last >= int64(len(h.sums)) {
		h.sums, h.total, h.last = [60]Micros{}, 0, m
	}
	for h.last < m {
		h.last++
		h.total -= h.sums[h.last%60]
		h.sums[h.last%60] = 0
	}
}

func (h *hour) add(at time.Time, m Micros) {
	h.forward(at)
	if minute := at.Unix() / 60; h.last-minute < 60 {
		h.sums[minute%60] += m
		h.total += m
	}
}

// stopped is until when a channel has cost so much in the hour before that nothing may be added; zero: it has not.
func (h *hour) stopped(now time.Time, most Micros) time.Time {
	h.forward(now)
	sum := h.total
	if sum < most {
		return time.Time{}
	}
	for back := int64(59); back >= 0; back-- {
		if sum -= h.sums[(h.last-back)%60]; sum < most {
			return time.Unix((h.last-back+60)*60, 0).UTC()
		}
	}
	return now.Add(time.Hour)
}

// part is this process's part of a cap that all processes share.
func (c Cap) part(share int) Micros {
	return c.Micros/duly.Buckets*Micros(share) + c.Micros%duly.Buckets*Micros(share)/duly.Buckets
}
