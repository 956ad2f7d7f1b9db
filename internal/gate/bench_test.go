package gate_test

import (
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/gate"
)

// BenchmarkCheckAllow has a target of 5 µs and no allocation, with both packs and the limits of a strategy.
func BenchmarkCheckAllow(b *testing.B) {
	set := newSet(b, shipped(b), limits(b)...)
	f := reminder()
	for b.Loop() {
		if d := gate.Check(f, set); d.Verdict != duly.Allow {
			b.Fatal(d.Code())
		}
	}
	b.ReportAllocs()
}

// BenchmarkCheckAllowHistory is BenchmarkCheckAllow for a person with twenty contacts in the last month.
func BenchmarkCheckAllowHistory(b *testing.B) {
	set := newSet(b, shipped(b), newCap(b, "LIMIT-01", 3, "calendar_day"), newCap(b, "LIMIT-02", 30, "rolling_days:30"))
	f := reminder()
	for i := range 20 {
		at := f.Now.Add(-time.Duration(i+1) * 30 * time.Hour)
		f.Person.Contacts = append(f.Person.Contacts, duly.Contact{ID: duly.ContactID(rune('a' + i)), Channel: duly.ChannelSMS, State: duly.Delivered, SentAt: at, NotBefore: at})
	}
	for b.Loop() {
		if d := gate.Check(f, set); d.Verdict != duly.Allow {
			b.Fatal(d.Code())
		}
	}
	b.ReportAllocs()
}

// BenchmarkCheckDefer has a target of 5 µs: quiet hours, and the next opening to be found.
func BenchmarkCheckDefer(b *testing.B) {
	set := newSet(b, shipped(b), limits(b)...)
	f := reminder()
	f.Now = f.Now.Add(12 * time.Hour)
	f.FeedAt = f.Now
	for b.Loop() {
		if d := gate.Check(f, set); d.Verdict != duly.Defer {
			b.Fatal(d.Code())
		}
	}
	b.ReportAllocs()
}
