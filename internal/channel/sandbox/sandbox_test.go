package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/sandbox"
)

const phone = "+8613800138000"

func message(n int) channel.Message { return channeltest.Message(duly.ChannelSMS, phone, n) }

func newSandbox(t testing.TB, b sandbox.Behaviour, box sandbox.Outbox) *sandbox.Sender {
	t.Helper()
	s, err := sandbox.New("sandbox", b, box)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// logged tells the suite's log what an Outbox keeps.
type logged struct {
	*sandbox.Memory
	log *channeltest.Log
}

func (l logged) Keep(ctx context.Context, k sandbox.Kept) error {
	err := l.Memory.Keep(ctx, k)
	l.log.Took(k.Message.AttemptID)
	return err
}

func TestSuite(t *testing.T) {
	t.Parallel()
	behaviours := map[channeltest.Behaviour]sandbox.Behaviour{
		channeltest.Accepts:      {},
		channeltest.BadAddress:   {BadAddress: 1000},
		channeltest.OptsOut:      {OptedOut: 1000},
		channeltest.Rejects:      {Permanent: 1000},
		channeltest.Unauthorized: {Config: 1000},
		channeltest.Throttles:    {Throttled: 1000},
		channeltest.Unready:      {Temporary: 1000},
		channeltest.DropsEarly:   {UnknownLost: 1000},
		channeltest.Drops:        {UnknownDelivered: 1000},
	}
	const inProcess = "the sandbox has no connection that could do this"
	channeltest.Run(t, channeltest.Case{
		New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
			log := &channeltest.Log{}
			s := newSandbox(t, behaviours[b], logged{sandbox.NewMemory(), log})
			return channeltest.Carrier{Sender: s, Channel: duly.ChannelSMS, To: phone, Log: log}
		},
		Skip: map[channeltest.Behaviour]string{
			channeltest.Refuses: inProcess, channeltest.Silent: inProcess, channeltest.Cuts: inProcess,
			channeltest.Babbles: inProcess, channeltest.Floods: inProcess, channeltest.Drips: inProcess,
		},
	})
}

func TestPerfectCarrier(t *testing.T) {
	t.Parallel()
	box := sandbox.NewMemory()
	s := newSandbox(t, sandbox.Behaviour{}, box)
	m := message(1)
	got, err := s.Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if want := (channel.Accepted{ProviderID: string(m.AttemptID), Segments: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	poll(t, s, m.Now.Add(5*time.Second-1))
	want := []duly.Receipt{{
		Provider: "sandbox", Key: string(m.AttemptID) + ":delivered", AttemptID: m.AttemptID, ProviderID: string(m.AttemptID),
		Status: duly.ReceiptDelivered, At: m.Now.Add(5 * time.Second),
	}}
	poll(t, s, m.Now.Add(5*time.Second), want...)
	poll(t, s, m.Now.Add(time.Hour))
	if status, known, err := s.Query(t.Context(), m.AttemptID); status != duly.ReceiptAccepted || !known || err != nil {
		t.Errorf("query: got %s, %t, %v", status, known, err)
	}
	if status, known, err := s.Query(t.Context(), message(2).AttemptID); status != "" || known || err != nil {
		t.Errorf("query of a message never sent: got %s, %t, %v", status, known, err)
	}
}

func poll(t *testing.T, s *sandbox.Sender, at time.Time, want ...duly.Receipt) {
	t.Helper()
	got, err := s.Poll(t.Context(), at, 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("receipts at %s: -want +got:\n%s", at, diff)
	}
}

// told sends one message and lists what is told of it: when, what, and when it happened.
func told(t *testing.T, b sandbox.Behaviour) []string {
	t.Helper()
	box := sandbox.NewMemory()
	s := newSandbox(t, b, box)
	m := message(1)
	_, _ = s.Send(t.Context(), m)
	var out []string
	for _, k := range box.Kept() {
		for _, r := range k.Receipts {
			out = append(out, fmt.Sprintf("%s %s of %s %s", r.DueAt.Sub(m.Now), r.Status, r.At.Sub(m.Now), strings.TrimPrefix(r.Key, string(m.AttemptID))))
		}
	}
	return out
}

func TestStories(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		b    sandbox.Behaviour
		want []string
	}{
		{"delivered", sandbox.Behaviour{DelayMin: time.Second}, []string{"1s delivered of 1s :delivered"}},
		{"read", sandbox.Behaviour{DelayMin: time.Second, Read: 1000}, []string{"1s delivered of 1s :delivered", "2s read of 2s :read"}},
		{"undelivered", sandbox.Behaviour{DelayMin: time.Second, Undelivered: 1000, Read: 1000}, []string{"1s failed of 1s :failed"}},
		{"bounced", sandbox.Behaviour{DelayMin: time.Second, Bounced: 1000}, []string{"1s bad_address of 1s :bad_address"}},
		{"silent", sandbox.Behaviour{Silent: 1000, Duplicate: 1000, Shuffled: 1000, Late: 1000}, nil},
		{"late", sandbox.Behaviour{DelayMin: time.Second, Late: 1000, LateBy: time.Hour}, []string{"1h0m1s delivered of 1s :delivered"}},
		{"late by default", sandbox.Behaviour{DelayMin: time.Second, Late: 1000}, []string{"24h0m1s delivered of 1s :delivered"}},
		{"twice", sandbox.Behaviour{DelayMin: time.Second, Duplicate: 1000}, []string{"1s delivered of 1s :delivered", "8s delivered of 1s :delivered"}},
		{"read told first", sandbox.Behaviour{DelayMin: time.Second, Read: 1000, Shuffled: 1000}, []string{"1m2s delivered of 1s :delivered", "2s read of 2s :read"}},
		{"a failure that was overtaken", sandbox.Behaviour{DelayMin: 2 * time.Second, Shuffled: 1000}, []string{"2s delivered of 2s :delivered", "1m2s failed of 1s :wrong"}},
		{"answer lost, delivered", sandbox.Behaviour{DelayMin: time.Second, UnknownDelivered: 1000}, []string{"1s delivered of 1s :delivered"}},
		{"answer lost, lost", sandbox.Behaviour{UnknownLost: 1000}, nil},
		{"not taken", sandbox.Behaviour{Temporary: 1000}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, told(t, tt.b)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestRates counts 20,000 fates: each rate is met within four standard deviations.
func TestRates(t *testing.T) {
	t.Parallel()
	const n = 20_000
	b := sandbox.Behaviour{
		Seed: 7, Temporary: 100, Throttled: 50, BadAddress: 30, OptedOut: 20, Permanent: 10, Config: 5, UnknownDelivered: 40, UnknownLost: 25,
		Undelivered: 60, Bounced: 40, Silent: 100, Read: 300, DelayMin: time.Second, DelayMax: time.Minute, RetryAfter: time.Minute,
	}
	box := sandbox.NewMemory()
	s := newSandbox(t, b, box)
	got := map[string]int{}
	for i := range n {
		m := message(i)
		_, err := s.Send(t.Context(), m)
		if e, ok := errors.AsType[*channel.Error](err); ok {
			got[string(e.Class)]++
			if e.Class == channel.Throttled && e.RetryAfter != time.Minute {
				t.Fatalf("throttled, again after %s", e.RetryAfter)
			}
		}
	}
	kept := box.Kept()
	for _, k := range kept {
		if len(k.Receipts) == 0 {
			got["silent"]++
		}
		for _, r := range k.Receipts {
			got["receipt "+string(r.Status)]++
			if d := r.DueAt.Sub(k.Message.Now); d < time.Second || d > 2*time.Minute {
				t.Fatalf("told after %s", d)
			}
		}
	}
	taken := 1000 - 100 - 50 - 30 - 20 - 10 - 5 - 25
	want := map[string]int{ // per million of all messages
		"temporary": 100_000, "throttled": 50_000, "bad_address": 30_000, "opted_out": 20_000, "permanent": 10_000, "config": 5_000, "unknown": 65_000,
		"silent": 100 * taken, "receipt failed": 60 * taken, "receipt bad_address": 40 * taken, "receipt delivered": 800 * taken, "receipt read": 240 * taken,
	}
	for key, million := range want {
		mean := float64(million) / 1e6 * n
		if diff := float64(got[key]) - mean; diff*diff > 16*mean {
			t.Errorf("%s: got %d of %d, want about %.0f", key, got[key], n, mean)
		}
	}
	if diff := float64(len(kept)) - float64(taken)/1000*n; diff*diff > 16*n/4 {
		t.Errorf("kept %d, want about %d", len(kept), taken*n/1000)
	}
}

// TestReplays: order, and what else is sent, change nothing; another seed changes much.
func TestReplays(t *testing.T) {
	t.Parallel()
	const n = 500
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	b := sandbox.Behaviour{Seed: 1, Temporary: 200, UnknownDelivered: 100, Read: 500, Duplicate: 100, Shuffled: 100, DelayMin: time.Second, DelayMax: time.Hour}
	run := func(b sandbox.Behaviour, order []int) map[duly.AttemptID]string {
		box := sandbox.NewMemory()
		s := newSandbox(t, b, box)
		out := map[duly.AttemptID]string{}
		for _, i := range order {
			_, err := s.Send(t.Context(), message(i))
			out[message(i).AttemptID] = fmt.Sprint(err)
		}
		for _, k := range box.Kept() {
			out[k.Message.AttemptID] += fmt.Sprint(k.Receipts)
		}
		return out
	}
	r := rand.New(rand.NewPCG(seed, 0))
	first := run(b, r.Perm(n))
	if diff := cmp.Diff(first, run(b, r.Perm(n))); diff != "" {
		t.Errorf("another order, another fate: -first +second:\n%s", diff)
	}
	b.Seed = 2
	changed := 0
	for id, s := range run(b, r.Perm(n)) {
		if first[id] != s {
			changed++
		}
	}
	if changed < n/2 {
		t.Errorf("another seed changed only %d of %d fates", changed, n)
	}
}

// TestOneRateAlone: raising one rate leaves all other draws as they were.
func TestOneRateAlone(t *testing.T) {
	t.Parallel()
	base := sandbox.Behaviour{Seed: 3, DelayMin: time.Second, DelayMax: time.Hour}
	more := base
	more.Read, more.Late, more.Undelivered = 500, 300, 100
	for i := range 200 {
		a, b := sandbox.NewMemory(), sandbox.NewMemory()
		_, _ = newSandbox(t, base, a).Send(t.Context(), message(i))
		_, _ = newSandbox(t, more, b).Send(t.Context(), message(i))
		first, second := a.Kept()[0].Receipts[0], b.Kept()[0].Receipts[0]
		if !first.At.Equal(second.At) {
			t.Fatalf("message %d: the first receipt moved from %s to %s", i, first.At, second.At)
		}
	}
}

func TestMute(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, sandbox.Behaviour{Mute: true}, sandbox.NewMemory())
	if _, err := s.Send(t.Context(), message(1)); err != nil {
		t.Fatal(err)
	}
	if _, known, err := s.Query(t.Context(), message(1).AttemptID); known || err != nil || s.Caps().Query {
		t.Errorf("a mute carrier answers: %t, %v, caps %t", known, err, s.Caps().Query)
	}
}

type broken struct{ *sandbox.Memory }

var errDisk = errors.New("disk full: " + phone)

func (broken) Keep(context.Context, sandbox.Kept) error { return errDisk }

func TestBrokenOutbox(t *testing.T) {
	t.Parallel()
	_, err := newSandbox(t, sandbox.Behaviour{}, broken{sandbox.NewMemory()}).Send(t.Context(), message(1))
	e, ok := errors.AsType[*channel.Error](err)
	if !ok || e.Class != channel.Unknown || strings.Contains(err.Error(), phone) {
		t.Errorf("got %v, want unknown and nothing personal: a commit without an answer may have happened", err)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	box := sandbox.NewMemory()
	s := newSandbox(t, sandbox.Behaviour{DelayMin: time.Second, DelayMax: time.Hour}, box)
	for i := range 50 {
		_, _ = s.Send(t.Context(), message(i))
	}
	_, _ = s.Send(t.Context(), message(7))
	if got := box.Repeats(); got != 1 {
		t.Errorf("got %d repeats, want 1", got)
	}
	if got := len(box.Kept()); got != 50 {
		t.Errorf("kept %d, want 50", got)
	}
	var last time.Time
	total := 0
	for range 10 {
		got, err := s.Poll(t.Context(), message(0).Now.Add(2*time.Hour), 7)
		if err != nil || len(got) > 7 {
			t.Fatalf("got %d receipts, %v; want 7 at most", len(got), err)
		}
		for _, r := range got {
			if r.At.Before(last) {
				t.Fatal("receipts are not in order")
			}
			last = r.At
		}
		total += len(got)
	}
	if total != 50 {
		t.Errorf("got %d receipts, want 50", total)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]sandbox.Behaviour{
		"temporary":    {Temporary: -1},
		"read":         {Read: 1001},
		"temporary ":   {Temporary: 600, UnknownLost: 600},
		"undelivered":  {Undelivered: 600, Silent: 600},
		"delay_min":    {DelayMin: -time.Second},
		"delay_max":    {DelayMin: time.Minute, DelayMax: time.Second},
		"late_by":      {LateBy: 90 * 24 * time.Hour},
		"retry_after":  {RetryAfter: 48 * time.Hour},
		"delay_max   ": {DelayMax: 31 * 24 * time.Hour},
	}
	for field, b := range tests {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			_, err := sandbox.New("box", b, sandbox.NewMemory())
			e, ok := errors.AsType[*duly.Error](err)
			if want := "carriers.box.sandbox." + strings.TrimSpace(field); !ok || e.Place.Field != want || e.Code != duly.Invalid || e.Hint == "" {
				t.Errorf("got %v, want an invalid %s with a hint", err, want)
			}
		})
	}
}

func TestYAML(t *testing.T) {
	t.Parallel()
	const src = "seed: 42\ntemporary: 50\nread: 300\ndelay_min: 2s\ndelay_max: 1m30s\nmute: true\n"
	var got sandbox.Behaviour
	if err := yaml.UnmarshalWithOptions([]byte(src), &got, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	want := sandbox.Behaviour{Seed: 42, Temporary: 50, Read: 300, DelayMin: 2 * time.Second, DelayMax: 90 * time.Second, Mute: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := yaml.UnmarshalWithOptions([]byte("temporry: 50\n"), &got, yaml.Strict()); err == nil {
		t.Error("a key with a slip in it is taken")
	}
}

func ExampleNew() {
	box := sandbox.NewMemory()
	s, err := sandbox.New("sandbox", sandbox.Behaviour{Read: 1000}, box)
	if err != nil {
		fmt.Println(err)
		return
	}
	m := channeltest.Message(duly.ChannelSMS, "+8613800138000", 1)
	_, err = s.Send(context.Background(), m)
	fmt.Println("error:", err, "kept:", len(box.Kept()))
	receipts, _ := s.Poll(context.Background(), m.Now.Add(time.Minute), 10)
	for _, r := range receipts {
		fmt.Println(r.Status, "after", r.At.Sub(m.Now))
	}
	// Output:
	// error: <nil> kept: 1
	// delivered after 5s
	// read after 10s
}
