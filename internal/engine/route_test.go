package engine_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

var rewrite = flag.Bool("update", false, "rewrite the table of an outage in docs/channels.md and docs/zh-CN/channels.md")

// routed makes a world whose channels have the carriers alpha and beta.
func routed(t *testing.T, db *store.DB, c route.Config, change func(*engine.Config)) (w *world, alpha, beta *carrier) {
	t.Helper()
	w = newWorld(t, db)
	beta = &carrier{name: "beta"}
	w.car.name, w.more, w.routes = "alpha", []channel.Sender{beta}, c
	cfg := engine.Config{Location: w.loc, Lender: "测试消金", ServicePhone: "95000", FeedMaxAge: time.Hour, Lease: time.Minute, Workers: 4}
	if change != nil {
		change(&cfg)
	}
	w.e = w.engine(ladder, cfg)
	return w, w.car, beta
}

// tries tells of a contact's attempts: carrier and state of each.
func (w *world) tries(id duly.BorrowerID, contact int) string {
	w.t.Helper()
	var out []string
	err := w.db.View(w.t.Context(), func(tx *store.Tx) error {
		attempts, err := tx.Attempts(w.contacts(id)[contact].ID)
		for i := range attempts {
			out = append(out, attempts[i].Carrier+" "+string(attempts[i].State))
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(out, ", ")
}

// What is proved not to have been taken goes on with another carrier at once. What may have been taken goes nowhere; what is wrong
// with the address goes to the next channel, and not to the next carrier.
func TestFailOver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		class channel.Class
		tries string // of the push
		want  []string
	}{
		{channel.Temporary, "alpha refused, beta accepted", []string{"before push accepted"}},
		{channel.Throttled, "alpha refused, beta accepted", []string{"before push accepted"}},
		{channel.Config, "alpha refused, beta accepted", []string{"before push accepted"}},
		{channel.Unknown, "alpha in_doubt", []string{"before push in_doubt told_so"}},
		{channel.BadAddress, "alpha refused", []string{"before push failed told_so", "before sms accepted"}},
		{channel.Permanent, "alpha refused", []string{"before push failed told_so", "before sms accepted"}},
		{channel.OptedOut, "alpha refused", []string{"before push failed told_so"}},
	} {
		t.Run(string(c.class), func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				c := c
				c.want = slices.Clone(c.want)
				w, alpha, beta := routed(t, db, route.Config{}, nil)
				alpha.fate = func(m channel.Message) (channel.Accepted, error) {
					if m.Channel == duly.ChannelPush {
						return refuse(c.class)(m)
					}
					return channel.Accepted{}, nil
				}
				w.apply(w.at(-5, "10:00"), person(who)...)
				for range 3 { // at the same instant: nobody waits for another carrier
					w.step(w.at(-1, "12:00"))
				}
				push := 0
				if len(c.want) > 1 && w.contacts(who)[0].Channel == duly.ChannelSMS { // planned at the same instant
					push = 1
					slices.Reverse(c.want)
				}
				w.want(who, c.want...)
				if got := w.tries(who, push); got != c.tries {
					t.Errorf("got %s, want %s", got, c.tries)
				}
				if beta.count() > 1 || beta.count() == 1 && !strings.Contains(c.tries, "beta") {
					t.Errorf("beta got %d messages", beta.count())
				}
			})
		})
	}
}

// A contact that all carriers refused waits, and goes on with the one that refused it least; after five tries it has failed.
func TestFailOverEnds(t *testing.T) {
	t.Parallel()
	w, alpha, beta := routed(t, storetest.Open(t, "sqlite"), route.Config{}, nil)
	alpha.fate, beta.fate = refuse(channel.Temporary), refuse(channel.Temporary)
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.step(w.at(0, "12:00"))
	w.want(who, "today sms planned temporary")
	if got := w.tries(who, 0); got != "alpha refused, beta refused" {
		t.Errorf("at once: got %s", got)
	}
	for m := 1; m < 60; m++ {
		w.step(w.at(0, fmt.Sprintf("12:%02d", m)))
	}
	w.want(who, "today sms failed told_so")
	if got := w.tries(who, 0); got != "alpha refused, beta refused, alpha refused, beta refused, alpha refused" {
		t.Errorf("in the end: got %s", got)
	}
}

// What a carrier's rate does not let go stays planned until there are tokens; other channels go on, and everybody is served in the
// end, once.
func TestRateHoldsBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, alpha, _ := routed(t, db, route.Config{Limits: map[string]route.Limits{"alpha": {Rate: route.Rate{N: 4, Per: time.Second}}}}, nil)
		w.more = nil
		w.e = w.engine(ladder, w.e.Config())
		for i := range 20 {
			w.apply(w.at(-5, "10:00"), person(duly.BorrowerID(fmt.Sprintf("R%02d", i)))...)
		}
		start := w.at(0, "12:00")
		r := w.step(start)
		if got := alpha.count(); got != 4 || r.Dispatched.Held["carrier_rate"] != 16 || !r.Dispatched.Again.Equal(start.Add(route.Slot)) {
			t.Fatalf("at once: got %d messages and %+v, want 4, the others held and a step after %s", got, r.Dispatched, route.Slot)
		}
		for d := route.Slot; d <= 6*time.Second; d += route.Slot {
			r = w.step(start.Add(d))
			if got, most := alpha.count(), 4+int(d*4/time.Second); got > most {
				t.Fatalf("after %s: got %d messages, want %d at most", d, got, most)
			}
		}
		seen := map[duly.BorrowerID]int{}
		for _, m := range alpha.sent {
			seen[m.BorrowerID]++
		}
		if len(seen) != 20 || alpha.count() != 20 || !r.Dispatched.Again.IsZero() {
			t.Errorf("got %d messages to %d people, again at %s; want 20 to 20 and nobody waiting", alpha.count(), len(seen), r.Dispatched.Again)
		}
	})
}

// No more tries to one person within a day than are allowed, over all contacts.
func TestFanOut(t *testing.T) {
	t.Parallel()
	w, alpha, beta := routed(t, storetest.Open(t, "sqlite"), route.Config{}, func(c *engine.Config) { c.FanOut = 3 })
	alpha.fate, beta.fate = refuse(channel.Temporary), refuse(channel.Temporary)
	w.apply(w.at(-5, "10:00"), person(who)...)
	held := 0
	for m := range 60 {
		held += w.step(w.at(0, fmt.Sprintf("12:%02d", m))).Dispatched.Held["fan_out"]
	}
	w.want(who, "today sms blocked fan_out")
	if n := alpha.count() + beta.count(); n != 3 || held == 0 {
		t.Errorf("got %d tries and %d refused, want 3 and at least one", n, held)
	}
}

// A channel that has cost as much in an hour as it may rests, and goes on when less was spent: also where the process is another.
func TestSpendLimit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		price := &route.Price{Currency: "CNY", Message: 1_000_000}
		w, alpha, beta := routed(t, db, route.Config{
			Limits: map[string]route.Limits{"alpha": {Price: price}, "beta": {Price: price}},
			Lanes:  map[duly.Channel]route.Lane{duly.ChannelSMS: {Spend: route.Cap{Micros: 3_000_000, Currency: "CNY"}}},
		}, nil)
		for i := range 5 {
			w.apply(w.at(-5, "10:00"), person(duly.BorrowerID(fmt.Sprintf("S%d", i)))...)
		}
		r := w.step(w.at(0, "12:00"))
		if alpha.count() != 3 || r.Dispatched.Held["spend_limit"] != 2 {
			t.Fatalf("got %d messages, %v; want three and two held", alpha.count(), r.Dispatched.Held)
		}
		w.e = w.engine(ladder, w.e.Config()) // a new process
		w.apply(w.at(0, "12:30"), person("S9")...)
		if r = w.step(w.at(0, "12:30")); r.Dispatched.Held["spend_limit"] != 1 {
			t.Errorf("a new process: got %v, want what is new held", r.Dispatched.Held)
		}
		w.step(w.at(0, "13:01"))
		if n := alpha.count() + beta.count(); n != 6 {
			t.Errorf("an hour later: got %d messages, want all 6", n)
		}
		if x := w.e.RouteReports(w.at(0, "13:01")); x[0].Price != "CNY 1.00/message" {
			t.Errorf("got price %q", x[0].Price)
		}
	})
}

// What a message costs stands with its attempt: nothing for one that was refused.
func TestCostIsKept(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		limits := map[string]route.Limits{"alpha": {Price: &route.Price{Currency: "CNY", Segment: 50_000}}, "beta": {Price: &route.Price{Currency: "CNY", Segment: 35_000}}}
		w, alpha, beta := routed(t, db, route.Config{Limits: limits}, nil)
		alpha.fate = refuse(channel.Temporary)
		beta.fate = func(channel.Message) (channel.Accepted, error) { return channel.Accepted{Segments: 4}, nil }
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.step(w.at(0, "12:00"))
		var costs []duly.Cost
		err := w.db.View(t.Context(), func(tx *store.Tx) error {
			attempts, err := tx.Attempts(w.contacts(who)[0].ID)
			for i := range attempts {
				costs = append(costs, attempts[i].Cost)
			}
			return err
		})
		if want := []duly.Cost{{Currency: "CNY"}, {Micros: 140_000, Currency: "CNY"}}; err != nil || !slices.Equal(costs, want) {
			t.Errorf("got %v, %v; want %v", costs, err, want)
		}
	})
}

// A pin is in the store: every process over it has the channel go there from its next step on, and the audit tells who said so.
func TestPinned(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, alpha, beta := routed(t, db, route.Config{}, nil)
		now := w.at(0, "11:00")
		for _, c := range []struct {
			pin store.Pin
			say string
		}{
			{store.Pin{Channel: duly.ChannelSMS, Carrier: "gamma", By: "desk-7"}, "alpha, beta"},
			{store.Pin{Channel: duly.ChannelEmail, Carrier: "beta", By: "desk-7"}, "no carrier"},
			{store.Pin{Channel: duly.ChannelSMS, Carrier: "beta", By: "desk-7", Until: now}, "over already"},
			{store.Pin{Channel: duly.ChannelSMS, Carrier: "beta"}, "who says so"},
		} {
			if err := w.e.Pin(t.Context(), now, c.pin); err == nil || !strings.Contains(err.Error(), c.say) {
				t.Errorf("%+v: got %v, want it refused: %s", c.pin, err, c.say)
			}
		}
		if err := w.e.Pin(t.Context(), now, store.Pin{Channel: duly.ChannelSMS, Carrier: "beta", Until: w.at(0, "12:30"), By: "desk-7"}); err != nil {
			t.Fatal(err)
		}
		w.e = w.engine(ladder, w.e.Config()) // another process
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.step(w.at(0, "12:00"))
		if alpha.count() != 0 || beta.count() != 1 {
			t.Errorf("pinned: alpha got %d, beta %d; want 0 and 1", alpha.count(), beta.count())
		}
		r, err := w.e.Carriers(t.Context(), w.at(0, "12:00"))
		if err != nil || len(r.Pins) != 1 || r.Pins[0].By != "desk-7" || !slices.Equal(r.Carriers[1].Pinned, []duly.Channel{duly.ChannelSMS}) {
			t.Errorf("got %+v, %v", r, err)
		}
		w.apply(w.at(0, "12:31"), person("B2")...)
		w.step(w.at(0, "12:31"))
		if alpha.count() != 1 {
			t.Errorf("once the pin is over: alpha got %d, want 1", alpha.count())
		}
		if err := w.e.Unpin(t.Context(), w.at(0, "13:00"), duly.ChannelSMS, "desk-8"); err != nil {
			t.Error(err)
		}
		if err := w.e.Unpin(t.Context(), w.at(0, "13:00"), duly.ChannelSMS, "desk-8"); duly.CodeOf(err) != duly.NotFound {
			t.Errorf("a second time: got %v, want not found", err)
		}
		var file strings.Builder
		if err := db.ExportAudit(t.Context(), &file, w.at(0, "14:00"), store.Span{}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"carrier_pinned", "person:desk-7", "carrier_unpinned", "person:desk-8"} {
			if !strings.Contains(file.String(), want) {
				t.Errorf("the audit does not tell of %s", want)
			}
		}
	})
}

// A node leaves word of its carriers, for the command that has none of its own.
func TestCarriersAreToldOf(t *testing.T) {
	t.Parallel()
	w, alpha, _ := routed(t, storetest.Open(t, "sqlite"), route.Config{}, nil)
	w.h = engine.NewHolding(time.Now)
	k := engine.NewKeeper(engine.KeeperConfig{DB: w.db, Holding: w.h, Name: "a", Lease: time.Hour, Clock: time.Now, NewID: func() string { return "node-1" }})
	if err := k.Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.e = w.engine(ladder, w.e.Config())
	alpha.fate = refuse(channel.Config)
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.step(w.at(0, "12:00"))
	r, err := w.e.Carriers(t.Context(), w.at(0, "12:00"))
	if err != nil || len(r.Nodes) != 1 || r.Nodes[0].Node != "node-1" || r.Nodes[0].Carriers[0].State != route.Open || r.Nodes[0].Carriers[0].Why != route.ConfigWhy {
		t.Errorf("got %+v, %v; want the word of one node, whose alpha rests", r.Nodes, err)
	}
}

// A provider fails in the middle of a campaign, for six minutes: what it refuses goes on with the other, each message goes out once,
// and it is given all of its traffic back when it works. The table of docs/channels.md is what this test saw.
func TestProviderOutage(t *testing.T) {
	t.Parallel()
	w, alpha, beta := routed(t, storetest.Open(t, "sqlite"), route.Config{}, func(c *engine.Config) { c.Lockstep = func(engine.Point, duly.BorrowerID) {} })
	const pace, each, minutes, downFrom, downTo = 15 * time.Second, 8, 20, 5, 11
	start, down := w.at(0, "10:00"), false
	taken := map[duly.BorrowerID][]string{}
	var row struct{ took, refused, other int }
	alpha.fate = func(m channel.Message) (channel.Accepted, error) {
		if down {
			row.refused++
			return refuse(channel.Temporary)(m)
		}
		row.took++
		taken[m.BorrowerID] = append(taken[m.BorrowerID], "alpha")
		return channel.Accepted{ProviderID: "a-" + string(m.AttemptID)}, nil
	}
	beta.fate = func(m channel.Message) (channel.Accepted, error) {
		row.other++
		taken[m.BorrowerID] = append(taken[m.BorrowerID], "beta")
		return channel.Accepted{ProviderID: "b-" + string(m.AttemptID)}, nil
	}
	var out strings.Builder
	out.WriteString("| minute | alpha works | alpha took | alpha refused | beta took | alpha is |\n|---|---|---|---|---|---|\n")
	people, before := 0, ""
	changes := 0
	for minute := range minutes {
		row.took, row.refused, row.other = 0, 0, 0
		down = minute >= downFrom && minute < downTo
		var states []string
		for s := range int(time.Minute / pace) {
			now := start.Add(time.Duration(minute)*time.Minute + time.Duration(s)*pace)
			var facts []duly.Fact
			for range each {
				facts = append(facts, person(duly.BorrowerID(fmt.Sprintf("C%04d", people)))...)
				people++
			}
			w.apply(now, facts...)
			w.step(now)
			state := string(w.e.RouteReports(now)[0].State)
			if state != before {
				states = append(states, state)
				changes++
			}
			before = state
		}
		if len(states) == 0 {
			states = []string{before}
		}
		fmt.Fprintf(&out, "| %d | %s | %d | %d | %d | %s |\n", minute, map[bool]string{true: "no", false: "yes"}[down], row.took, row.refused, row.other, strings.Join(states, ", "))
	}
	if len(taken) != people {
		t.Errorf("%d of %d people were told", len(taken), people)
	}
	for id, by := range taken {
		if len(by) != 1 {
			t.Errorf("%s was told by %v", id, by)
		}
	}
	rested := w.e.RouteReports(start.Add(minutes * time.Minute))[0]
	if rested.Opened < 2 || rested.Opened > 6 || rested.State != route.Closed || row.took != each*int(time.Minute/pace) || row.other != 0 {
		t.Errorf("in the end: got %+v and %+v in the last minute, want all with alpha after a few rests", rested, row)
	}
	if n := len(alpha.sent) + len(beta.sent) - people; n < 8 || n > 8+5*rested.Opened {
		t.Errorf("%d messages were refused, want those that opened alpha and of its trials", n)
	}
	tableOf(t, out.String())
}

// tableOf holds a table against the pages that show it.
func tableOf(t *testing.T, want string) {
	t.Helper()
	const begin, end = "<!-- outage -->\n", "<!-- /outage -->\n"
	for _, name := range []string{"docs/channels.md", "docs/zh-CN/channels.md"} {
		path := filepath.Join("..", "..", filepath.FromSlash(name))
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, found := strings.Cut(string(b), begin)
		got, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("%s has no place for the table", name)
		}
		if got == want {
			continue
		}
		if !*rewrite {
			t.Errorf("%s does not show what happens; run go test ./internal/engine -run TestProviderOutage -update\n%s", name, want)
			continue
		}
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// While all carriers rest, who waits is neither looked at nor written to, however many they are: a backlog must not keep a store busy
// that is about to send it. When the carriers work again everybody is told, once.
func TestRestingWritesNothing(t *testing.T) {
	t.Parallel()
	w, alpha, beta := routed(t, storetest.Open(t, "sqlite"), route.Config{}, func(c *engine.Config) { c.Lockstep = func(engine.Point, duly.BorrowerID) {} })
	down := true
	fate := func(m channel.Message) (channel.Accepted, error) {
		if down {
			return refuse(channel.Temporary)(m)
		}
		return channel.Accepted{ProviderID: "p-" + string(m.AttemptID)}, nil
	}
	alpha.fate, beta.fate = fate, fate
	start, people := w.at(0, "10:00"), 300
	var facts []duly.Fact
	for i := range people {
		facts = append(facts, person(duly.BorrowerID(fmt.Sprintf("C%04d", i)))...)
	}
	w.apply(start, facts...)
	written := func() (n int64) {
		for b := range duly.Buckets {
			err := w.db.View(t.Context(), func(tx *store.Tx) error {
				last, err := tx.AuditLast(b)
				n += last
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	w.step(start)
	before, minute := written(), start
	for range 20 {
		minute = minute.Add(15 * time.Second)
		w.step(minute)
	}
	if n := written() - before; n > int64(people) {
		t.Errorf("in five minutes of rest %d entries were written about %d people", n, people)
	}
	down = false
	for range 120 {
		minute = minute.Add(15 * time.Second)
		w.step(minute)
	}
	taken := map[duly.BorrowerID]int{}
	for _, c := range []*carrier{alpha, beta} {
		for _, m := range c.sent {
			taken[m.BorrowerID]++
		}
	}
	if len(taken) != people {
		t.Errorf("%d of %d people were told", len(taken), people)
	}
}
