package route_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/route"
)

func two(limits map[string]route.Limits, l route.Lane) *route.Router {
	l.Carriers = []string{"alpha", "beta"}
	return route.New(route.Config{Lanes: map[duly.Channel]route.Lane{duly.ChannelSMS: l}, Limits: limits})
}

func ask(now time.Time, tried ...string) *route.Ask {
	return &route.Ask{Now: now, Channel: duly.ChannelSMS, To: "+8613800138000", Segments: 1, Tried: tried}
}

// say sends one message, and has its carrier say c.
func say(t *testing.T, r *route.Router, now time.Time, c channel.Class) string {
	t.Helper()
	tk, choice := r.Take(ask(now))
	if choice.Index < 0 {
		return string(choice.Why)
	}
	r.Answered(now, &tk, route.Answer{Class: c})
	return tk.Carrier
}

func state(r *route.Router, now time.Time, name string) string {
	for _, x := range r.Report(now) {
		if x.Carrier == name {
			return string(x.State) + " " + x.Why
		}
	}
	return ""
}

// A carrier opens after eight failures in a row or that are half of what it said, rests, is tried, and closes after five that go well.
func TestHealth(t *testing.T) {
	t.Parallel()
	r, now := two(nil, route.Lane{}), noon
	for i := range 20 { // what is wrong with an address, a refusal or a content does not speak against it
		say(t, r, now, []channel.Class{"", channel.BadAddress, channel.OptedOut, channel.Permanent}[i%4])
	}
	for i := range 27 { // never six in a row, and less than half
		c := channel.Temporary
		if i < 24 && i%6 == 5 {
			c = ""
		}
		if got := say(t, r, now, c); got != "alpha" {
			t.Fatalf("message %d: got %s, want alpha", i, got)
		}
	}
	if got := state(r, now, "alpha"); got != "ok " {
		t.Fatalf("got %q, want it in order still", got)
	}
	say(t, r, now, channel.Unknown) // 24 of 48
	if got := state(r, now, "alpha"); got != "resting errors" {
		t.Fatalf("got %q, want it resting", got)
	}
	if got := say(t, r, now.Add(30*time.Second-1), ""); got != "beta" {
		t.Errorf("got %s, want beta while alpha rests", got)
	}
	now = now.Add(30 * time.Second)
	var tickets []route.Ticket
	for i := range 8 { // five are on trial; the others go elsewhere
		tk, c := r.Take(ask(now))
		if want := []string{"alpha", "beta"}[i/5]; c.Index < 0 || tk.Carrier != want {
			t.Errorf("message %d of the trial: got %s, want %s", i, tk.Carrier, want)
		}
		tickets = append(tickets, tk)
	}
	for i := range tickets {
		r.Answered(now, &tickets[i], route.Answer{})
	}
	if got := state(r, now, "alpha"); got != "ok " {
		t.Errorf("after a trial that went well: got %q, want ok", got)
	}
}

// A trial that fails is followed by a longer rest, up to ten minutes; one whose answers are lost by another trial.
func TestHealthTrials(t *testing.T) {
	t.Parallel()
	r, now := two(nil, route.Lane{}), noon
	for range 64 {
		say(t, r, now, "")
	}
	for range 8 { // in a row: however many went well before
		say(t, r, now, channel.Temporary)
	}
	for _, rest := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		if got := say(t, r, now.Add(rest-1), ""); got != "beta" {
			t.Fatalf("just before %s are over: got %s, want beta", rest, got)
		}
		now = now.Add(rest)
		if got := say(t, r, now, channel.Temporary); got != "alpha" {
			t.Fatalf("after %s: got %s, want alpha tried", rest, got)
		}
		if got := state(r, now, "alpha"); got != "resting trial" {
			t.Fatalf("got %q, want it resting anew", got)
		}
	}
	now = now.Add(10 * time.Minute)
	for range 5 {
		r.Take(ask(now)) // nobody ever answers
	}
	if got := say(t, r, now.Add(time.Minute-1), ""); got != "beta" {
		t.Errorf("while the trial is under way: got %s, want beta", got)
	}
	if got := say(t, r, now.Add(time.Minute), ""); got != "alpha" {
		t.Errorf("once its answers are lost: got %s, want alpha", got)
	}
}

// An outage of ten minutes in an hour of steady traffic opens a carrier once, and a carrier that fails one time in three never.
func TestNoFlapping(t *testing.T) {
	t.Parallel()
	r, beta, longest := two(nil, route.Lane{}), 0, 0
	for s := range 3600 {
		now := noon.Add(time.Duration(s) * time.Second)
		c := channel.Class("")
		tk, _ := r.Take(ask(now))
		if tk.Carrier == "beta" {
			beta++
		} else if s >= 600 && s < 1200 {
			c = channel.Temporary
			longest = max(longest, s-599)
		}
		r.Answered(now, &tk, route.Answer{Class: c})
	}
	if got := r.Report(noon)[0].Opened; got < 1 || got > 6 {
		t.Errorf("it rested %d times, want a few", got)
	}
	if beta < 500 || beta > 1200 {
		t.Errorf("the other carried %d messages, want those of the outage and of a rest after it", beta)
	}
	r = two(nil, route.Lane{})
	for s := range 3600 {
		now := noon.Add(time.Duration(s) * time.Second)
		c := channel.Class("")
		if s%3 == 0 {
			c = channel.Temporary
		}
		if got := say(t, r, now, c); got != "alpha" {
			t.Fatalf("after %d s: got %s, want alpha all the time", s, got)
		}
	}
}

// What says that it takes nothing from us rests at once, and a pin does not help.
func TestConfigRests(t *testing.T) {
	t.Parallel()
	r := two(nil, route.Lane{})
	r.SetPins(map[duly.Channel]route.Pin{duly.ChannelSMS: {Carrier: "alpha", Until: noon.Add(time.Hour)}})
	say(t, r, noon, channel.Config)
	if got := say(t, r, noon.Add(5*time.Minute-1), ""); got != string(route.WhyResting) {
		t.Errorf("got %s, want nothing sent", got)
	}
	if got := say(t, r, noon.Add(5*time.Minute), ""); got != "alpha" {
		t.Errorf("got %s, want alpha", got)
	}
}

func TestPin(t *testing.T) {
	t.Parallel()
	r := two(nil, route.Lane{})
	pin := func(name string, until time.Time) {
		r.SetPins(map[duly.Channel]route.Pin{duly.ChannelSMS: {Carrier: name, Until: until}})
	}
	pin("beta", noon.Add(time.Minute))
	for range 30 { // even one that fails: the operator knows better
		if got := say(t, r, noon, channel.Temporary); got != "beta" {
			t.Fatalf("got %s, want beta, which is pinned", got)
		}
	}
	if r.Other(noon, duly.ChannelSMS, "beta", 1) {
		t.Error("a refusal by what is pinned goes on elsewhere")
	}
	if got := say(t, r, noon.Add(time.Minute), ""); got != "alpha" {
		t.Errorf("once the pin is over: got %s, want alpha", got)
	}
	pin("gone", time.Time{})
	if got := say(t, r, noon, ""); got != "alpha" {
		t.Errorf("pinned to what is not there: got %s, want alpha", got)
	}
	if r.Has(duly.ChannelSMS, "gone") || !r.Has(duly.ChannelSMS, "beta") || r.Has(duly.ChannelPush, "beta") {
		t.Error("Has does not know the carriers")
	}
}

// A contact goes on with whoever did not refuse it, as long as there is one in order.
func TestOther(t *testing.T) {
	t.Parallel()
	r := two(nil, route.Lane{})
	if !r.Other(noon, duly.ChannelSMS, "alpha", 1) || r.Other(noon, duly.ChannelSMS, "alpha", 2) || r.Other(noon, duly.ChannelPush, "alpha", 1) {
		t.Error("want another after one try, and none after two")
	}
	if tk, _ := r.Take(ask(noon, "alpha")); tk.Carrier != "beta" {
		t.Errorf("got %s, want beta", tk.Carrier)
	}
	if tk, _ := r.Take(ask(noon, "alpha", "beta", "beta")); tk.Carrier != "alpha" {
		t.Errorf("got %s, want alpha, which refused once", tk.Carrier)
	}
	for range 8 {
		tk, _ := r.Take(ask(noon, "alpha"))
		r.Answered(noon, &tk, route.Answer{Class: channel.Temporary})
	}
	if r.Other(noon, duly.ChannelSMS, "alpha", 1) {
		t.Error("the other rests, and is gone on with")
	}
}

// Never more than the burst and what comes in meanwhile, whoever asks and whenever; and nothing is left that could go.
func TestRate(t *testing.T) {
	t.Parallel()
	const rate, burst = 50, 80
	limits := map[string]route.Limits{"alpha": {Rate: route.Rate{N: rate, Per: time.Second}, Burst: burst}}
	r := route.New(route.Config{Lanes: map[duly.Channel]route.Lane{duly.ChannelSMS: {Carriers: []string{"alpha"}}}, Limits: limits})
	draw := rand.New(rand.NewPCG(1, 2))
	sent, now := 0, noon
	for now.Before(noon.Add(time.Minute)) {
		a := ask(now)
		a.Segments = 1 + draw.IntN(4)
		tk, c := r.Take(a)
		switch {
		case c.Index >= 0 && draw.IntN(10) == 0:
			r.Return(&tk)
		case c.Index >= 0:
			sent += a.Segments
		case c.Why != route.WhyRate || !c.At.After(now):
			t.Fatalf("got %+v at %s", c, now)
		}
		if most := burst + int(now.Sub(noon)*rate/time.Second); sent > most {
			t.Fatalf("%d parts went after %s, want %d at most", sent, now.Sub(noon), most)
		}
		now = now.Add(time.Duration(draw.IntN(20)) * time.Millisecond)
	}
	if want := burst + 60*rate; sent < want-8 {
		t.Errorf("%d parts went in a minute of asking, want about %d", sent, want)
	}
}

// Whoever finds no tokens is sent to an instant of a grid behind those who were sent before, and all find theirs there.
func TestRateSlots(t *testing.T) {
	t.Parallel()
	limits := map[string]route.Limits{"alpha": {Rate: route.Rate{N: 100, Per: time.Second}}}
	r := route.New(route.Config{Lanes: map[duly.Channel]route.Lane{duly.ChannelSMS: {Carriers: []string{"alpha"}}}, Limits: limits})
	waiting, came := map[time.Time]int{noon: 10_000}, map[time.Time]int{}
	asked := 0
	for now := noon; len(waiting) > 0; now = now.Add(250 * time.Millisecond) {
		n := waiting[now]
		delete(waiting, now)
		for range n {
			asked++
			if c := r.Ready(now, duly.ChannelSMS); c.Index < 0 {
				waiting[c.At]++
				continue
			}
			if _, c := r.Take(ask(now)); c.Index < 0 {
				t.Fatal("what was ready is not")
			}
			came[now]++
		}
		if now.Sub(noon) > 110*time.Second {
			t.Fatalf("%d wait still", len(waiting))
		}
	}
	if came[noon] != 100 || asked > 20_500 {
		t.Errorf("%d went at once, want the 100 of a second; they asked %d times, want about twice each", came[noon], asked)
	}
}

// Processes share a rate by what they work on.
func TestRateIsShared(t *testing.T) {
	t.Parallel()
	sent := 0
	for _, share := range []int{512, 300, 212} {
		r := two(map[string]route.Limits{"alpha": {Rate: route.Rate{N: 600, Per: time.Minute}}, "beta": {Rate: route.Rate{N: 1, Per: time.Hour}}}, route.Lane{})
		r.SetShare(share)
		for now := noon; now.Before(noon.Add(10 * time.Minute)); now = now.Add(10 * time.Millisecond) {
			if tk, c := r.Take(ask(now)); c.Index >= 0 && tk.Carrier == "alpha" {
				sent++
			}
		}
	}
	if sent < 5990 || sent > 6015 {
		t.Errorf("three processes sent %d in ten minutes, want 6000 and what lay in the bucket", sent)
	}
}

// A part that a carrier is too small for goes when its bucket is full; being throttled empties it.
func TestRateOfLongMessages(t *testing.T) {
	t.Parallel()
	r := route.New(route.Config{Lanes: map[duly.Channel]route.Lane{duly.ChannelSMS: {Carriers: []string{"alpha"}}}, Limits: map[string]route.Limits{"alpha": {Rate: route.Rate{N: 2, Per: time.Second}}}})
	a := ask(noon)
	a.Segments = 9
	if _, c := r.Take(a); c.Index != 0 {
		t.Fatalf("got %+v, want it sent from a full bucket", c)
	}
	if _, c := r.Take(ask(noon)); c.Index >= 0 || c.At.Sub(noon) != 4*time.Second {
		t.Errorf("got %+v, want it sent in four seconds", c)
	}
	now := noon.Add(time.Minute)
	say(t, r, now, channel.Throttled)
	if got := say(t, r, now, ""); got != string(route.WhyRate) {
		t.Errorf("got %s, want nothing sent right after it was throttled", got)
	}
}

func TestCost(t *testing.T) {
	t.Parallel()
	price := &route.Price{Currency: "CNY", Segment: 35_000, Prefixes: map[string]route.Tariff{"+1": {Segment: 300_000}, "+1242": {Message: 1_000_000, Segment: 1}, "+95": {Second: 2_000}}}
	r := route.New(route.Config{Lanes: map[duly.Channel]route.Lane{duly.ChannelSMS: {Carriers: []string{"alpha"}}}, Limits: map[string]route.Limits{"alpha": {Price: price}}})
	for _, tt := range []struct {
		to     string
		parts  int
		answer route.Answer
		asked  route.Micros
		cost   route.Micros
	}{
		{"+8613800138000", 2, route.Answer{}, 70_000, 70_000},
		{"+8613800138000", 2, route.Answer{Segments: 3}, 70_000, 105_000},
		{"+8613800138000", 2, route.Answer{Class: channel.Temporary}, 70_000, 0},
		{"+8613800138000", 2, route.Answer{Class: channel.Unknown}, 70_000, 70_000},
		{"+12025550100", 1, route.Answer{}, 300_000, 300_000},
		{"+12425550100", 2, route.Answer{}, 1_000_002, 1_000_002},
		{"+9512345678", 1, route.Answer{Seconds: 12}, 120_000, 24_000},
	} {
		a := ask(noon)
		a.To, a.Segments, tt.answer.To = tt.to, tt.parts, tt.to
		tk, _ := r.Take(a)
		if got := r.Answered(noon, &tk, tt.answer); tk.Cost != tt.asked || got != tt.cost || tk.Currency != "CNY" {
			t.Errorf("%s, %d parts, %+v: got %s and %s %s, want %s and %s", tt.to, tt.parts, tt.answer, tk.Cost, got, tk.Currency, tt.asked, tt.cost)
		}
	}
}

// The cheaper carrier of each number is taken.
func TestCheapest(t *testing.T) {
	t.Parallel()
	r := two(map[string]route.Limits{
		"alpha": {Price: &route.Price{Currency: "CNY", Segment: 50_000, Prefixes: map[string]route.Tariff{"+86170": {Segment: 10_000}}}},
		"beta":  {Price: &route.Price{Currency: "CNY", Segment: 30_000}},
	}, route.Lane{Cheapest: true})
	for to, want := range map[string]string{"+8613800138000": "beta", "+8617012345678": "alpha"} {
		a := ask(noon)
		a.To = to
		if tk, _ := r.Take(a); tk.Carrier != want {
			t.Errorf("%s: got %s, want %s", to, tk.Carrier, want)
		}
	}
}

// Within any hour a channel costs no more than it may, however the messages come and whatever becomes of them.
func TestSpend(t *testing.T) {
	t.Parallel()
	const most = 1000
	r := two(map[string]route.Limits{"alpha": {Price: &route.Price{Currency: "CNY", Message: 7}}, "beta": {Price: &route.Price{Currency: "CNY", Message: 7}}},
		route.Lane{Spend: route.Cap{Micros: most, Currency: "CNY"}})
	r.Spent(noon.Add(-30*time.Minute), duly.ChannelSMS, 400) // before this process began
	type spent struct {
		at time.Time
		m  route.Micros
	}
	all, stops := []spent{{noon.Add(-30 * time.Minute), 400}}, 0
	draw := rand.New(rand.NewPCG(3, 4))
	for now := noon; now.Before(noon.Add(6 * time.Hour)); now = now.Add(time.Duration(draw.IntN(20)) * time.Second) {
		tk, c := r.Take(ask(now))
		if c.Index < 0 {
			if stops++; c.Why != route.WhySpend || !c.At.After(now) || c.At.Sub(now) > time.Hour {
				t.Fatalf("got %+v at %s", c, now)
			}
			now = c.At.Add(-1)
			continue
		}
		cost := route.Micros(0)
		switch draw.IntN(8) {
		case 0:
			r.Return(&tk)
		case 1:
			cost = r.Answered(now, &tk, route.Answer{Class: channel.Permanent})
		default:
			cost = r.Answered(now, &tk, route.Answer{})
		}
		all = append(all, spent{now, cost})
		sum := route.Micros(0)
		for _, s := range all {
			if s.at.After(now.Add(-59 * time.Minute)) {
				sum += s.m
			}
		}
		if sum >= most+7 {
			t.Fatalf("%d within an hour up to %s, want less than %d", sum, now, most+7)
		}
	}
	if stops == 0 || !r.Capped() {
		t.Error("it never stopped")
	}
}

// Receipts that come late, or not at all, speak against a carrier; as a last resort it is used still.
func TestReceipts(t *testing.T) {
	t.Parallel()
	r := two(map[string]route.Limits{"alpha": {Slow: 10 * time.Minute}, "beta": {Slow: 10 * time.Minute}}, route.Lane{})
	for i := range 39 {
		lag := time.Minute
		if i%2 == 0 {
			lag = time.Hour
		}
		r.Told(noon, "alpha", lag)
		if got := state(r, noon, "alpha"); i < 19 && got != "ok " || i >= 19 && got != "resting slow" {
			t.Fatalf("after %d receipts: got %q", i+1, got)
		}
	}
	r.Told(noon, "nobody", time.Hour)
	for range 8 {
		tk, _ := r.Take(ask(noon, "alpha"))
		r.Answered(noon, &tk, route.Answer{Class: channel.Temporary})
	}
	if got := say(t, r, noon, ""); got != "alpha" {
		t.Errorf("got %s, want alpha as a last resort", got)
	}
	r = two(map[string]route.Limits{"alpha": {Slow: 10 * time.Minute}}, route.Lane{})
	take := func(n int, from time.Time) {
		for i := range n {
			tk, _ := r.Take(ask(from.Add(time.Duration(i) * time.Minute)))
			r.Answered(tk.At, &tk, route.Answer{Receipts: true})
		}
	}
	take(19, noon)
	r.Told(noon.Add(19*time.Minute), "alpha", time.Minute)
	take(22, noon.Add(20*time.Minute))
	if got := state(r, noon.Add(40*time.Minute), "alpha"); got != "resting silent" {
		t.Errorf("after 21 minutes without a receipt: got %q, want it resting", got)
	}
}

func TestWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"200/s": "200/s", "90/m": "90/m", " 5 / h": "5/h", "0/s": "", "200": "", "1/d": "", "-1/s": "", "2000000/s": ""} {
		var r route.Rate
		if err := r.UnmarshalText([]byte(text)); (err != nil) != (want == "") || r.String() != want {
			t.Errorf("rate %q: got %s, %v; want %q", text, r, err, want)
		}
	}
	for text, want := range map[string]string{"0.035": "0.035", "12": "12.00", "0.0079": "0.0079", "1.000001": "1.000001", "1.0000001": "", "-1": "", "": "", "1e3": "", ".5": "", "1.x": "", "9223372036854": ""} {
		var m route.Micros
		if err := m.UnmarshalText([]byte(text)); (err != nil) != (want == "") || err == nil && m.String() != want {
			t.Errorf("amount %q: got %s, %v; want %q", text, m, err, want)
		}
	}
	if got := route.Micros(-35_000).String(); got != "-0.035" {
		t.Errorf("got %s", got)
	}
	p := &route.Price{Currency: "X", Prefixes: map[string]route.Tariff{"86": {}}}
	l := route.Limits{Burst: -1, Slow: -1, Price: p}
	var fields []string
	for _, e := range l.Check("carriers.a") {
		fields = append(fields, e.Place.Field)
	}
	l = route.Limits{Burst: 5}
	for _, e := range l.Check("carriers.b") {
		fields = append(fields, e.Place.Field)
	}
	if diff := cmp.Diff([]string{"carriers.a.burst", "carriers.a.slow", "carriers.a.price.currency", "carriers.a.price.prefixes", "carriers.b.burst"}, fields); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A choice is well under a microsecond and takes no memory: 10,000 contacts a second go by here.
func BenchmarkTake(b *testing.B) {
	for _, n := range []int{1, 2, 8} {
		b.Run(fmt.Sprint(n, " carriers"), func(b *testing.B) {
			l := route.Lane{Cheapest: true, Spend: route.Cap{Micros: 1 << 60, Currency: "CNY"}}
			limits := map[string]route.Limits{}
			for i := range n {
				name := fmt.Sprint("c", i)
				l.Carriers = append(l.Carriers, name)
				limits[name] = route.Limits{Rate: route.Rate{N: 1_000_000, Per: time.Second}, Price: &route.Price{Currency: "CNY", Segment: 1, Prefixes: map[string]route.Tariff{"+86": {Segment: 2}}}}
			}
			r := route.New(route.Config{Lanes: map[duly.Channel]route.Lane{duly.ChannelSMS: l}, Limits: limits})
			a := ask(noon)
			b.ReportAllocs()
			for b.Loop() {
				a.Now = a.Now.Add(time.Microsecond)
				tk, _ := r.Take(a)
				r.Answered(a.Now, &tk, route.Answer{})
			}
		})
	}
}

// Nothing is allocated for a choice and its answer.
func TestTakeAllocates(t *testing.T) {
	r, a := two(map[string]route.Limits{"alpha": {Rate: route.Rate{N: 1000, Per: time.Second}}}, route.Lane{}), ask(noon)
	if n := testing.AllocsPerRun(100, func() {
		a.Now = a.Now.Add(time.Second)
		tk, _ := r.Take(a)
		r.Answered(a.Now, &tk, route.Answer{})
	}); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// A message goes to a carrier that serves its address, and to no other, however the others stand.
func TestReaches(t *testing.T) {
	t.Parallel()
	only := func(prefix string) func(string) bool {
		return func(to string) bool { return strings.HasPrefix(to, prefix) }
	}
	r := route.New(route.Config{
		Lanes:   map[duly.Channel]route.Lane{duly.ChannelPush: {Carriers: []string{"apple", "google"}}},
		Reaches: map[string]func(string) bool{"apple": only("apns:"), "google": only("fcm:")},
	})
	for to, want := range map[string]string{"apns:1": "apple", "fcm:1": "google", "web:1": "no_carrier"} {
		tk, c := r.Take(&route.Ask{Now: noon, Channel: duly.ChannelPush, To: to, Segments: 1})
		if got := tk.Carrier + string(c.Why); got != want {
			t.Errorf("%s: got %q, want %q", to, got, want)
		}
	}
}
