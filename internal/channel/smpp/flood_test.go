package smpp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
)

// flood is many messages to a carrier that throttles, loses answers, hangs up, and tells receipts early, twice and late.
type flood struct {
	t    *testing.T
	s    *Sender
	mu   sync.Mutex
	of   map[string]int         // the message that a reference is of
	tryo map[duly.AttemptID]int // the message that an attempt is of

	accepted map[int][]string // the references of its parts
	doubt    map[int]bool
	receipts map[string]duly.Receipt
	tries    int
	slowed   int
}

// FLOOD is how many messages TestFlood sends: FLOOD=100000 go test ./internal/channel/smpp -run TestFlood -v. SMSs per second that the
// carrier takes are FLOOD_TPS.
func size(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// TestFlood: nothing is lost and nothing sent twice; what is in doubt is named; every receipt finds its message.
func TestFlood(t *testing.T) {
	n, tps := size("FLOOD", 2000), size("FLOOD_TPS", 800)
	p := newPeer(t, map[string]any{
		"quiet": true, "tps": tps, "slowAt": n / 2, "receiptMs": 100, "lose": 2, "early": 100, "twice": 20, "fail": 10, "dropEvery": max(n/5, 1), "dropFor": 300,
	}, nil)
	c := config(p.port)
	c.Binds, c.Window, c.Answer, c.Timeout, c.ReconnectMax = 2, 50, 5*time.Second, time.Minute, time.Second
	f := &flood{
		t: t, s: newSender(t, c), of: map[string]int{}, tryo: map[duly.AttemptID]int{}, accepted: map[int][]string{}, doubt: map[int]bool{},
		receipts: map[string]duly.Receipt{},
	}
	ctx, stop := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	listening.Go(func() { _ = f.s.Listen(ctx, f.take) })
	began := time.Now()
	f.send(n)
	took := time.Since(began)
	r := f.drain(p)
	stop()
	listening.Wait()
	f.check(p, n)
	matched, unmatched := f.matched()
	settled := 0
	for _, rc := range f.receipts {
		if m, ok := f.tryo[rc.AttemptID]; ok && f.doubt[m] {
			settled++
		}
	}
	t.Logf("%d messages in %s: %.0f messages/s, %d submitted parts acknowledged; %d tries, of them %d refused for the rate; %d times all connections were lost",
		n, took.Round(time.Millisecond), float64(n)/took.Seconds(), len(f.of), f.tries, f.slowed, r.Drops)
	t.Logf("accepted %d, in doubt %d (receipts of theirs that name the attempt: %d); carrier: %d answers lost, %d refused for the rate, %d receipts told and %d answered; receipts matched %d, not matched %d",
		len(f.accepted), len(f.doubt), settled, r.Lost, r.Throttled, r.Told, r.Acked, matched, unmatched)
	if r.Drops == 0 || r.Throttled == 0 || len(f.doubt) == 0 {
		t.Errorf("nothing went wrong: the test says nothing: %+v", r)
	}
	if unmatched != 0 {
		t.Errorf("%d receipts found no message", unmatched)
	}
}

// text is that of message n: one SMS or two.
func floodText(n int) string {
	text := fmt.Sprintf("【示例消金】您尾号%06d的借款将于明日到期，应还金额1,234.56元，请确保还款账户余额充足。", n)
	if n%2 == 0 {
		text += "如已还款请忽略本短信，如需帮助请致电客服热线，我们将为您提供延期还款等协商方案。退订回T"
	}
	return text
}

func (f *flood) send(n int) {
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() {
			for m := range jobs {
				f.deliver(m)
			}
		})
	}
	for m := range n {
		jobs <- m
	}
	close(jobs)
	wg.Wait()
}

// deliver tries one message as the engine would: again where it is proved not taken, and only there.
func (f *flood) deliver(n int) {
	for try := 1; ; try++ {
		id := duly.NewAttemptID(duly.NewContactID(duly.BorrowerID(fmt.Sprint("b", n)), "flood", "d-1", civil.On(2026, time.March, 2), 0), try)
		f.mu.Lock()
		f.tryo[id] = n
		f.tries++
		f.mu.Unlock()
		m := channel.Message{AttemptID: id, Channel: duly.ChannelSMS, To: fmt.Sprintf("+86138%08d", n), Text: floodText(n), Now: noon, ExpiresAt: noon.Add(time.Hour)}
		got, err := f.s.Send(f.t.Context(), m)
		e, failed := errors.AsType[*channel.Error](err)
		f.mu.Lock()
		switch {
		case !failed:
			ids := channel.PartsOf(got.Parts)
			if ids == nil {
				ids = []string{got.ProviderID}
			}
			f.accepted[n] = ids
			f.note(n, ids)
		case e.Class == channel.Unknown:
			f.doubt[n] = true
			f.note(n, channel.PartsOf(e.Parts))
		case e.Class == channel.Throttled:
			f.slowed++
		case e.Class != channel.Temporary:
			f.t.Errorf("message %d: %v", n, err)
		}
		f.mu.Unlock()
		if !failed || e.Class != channel.Temporary && e.Class != channel.Throttled {
			return
		}
		pause(f.t.Context(), 50*time.Millisecond*time.Duration(min(try, 20)))
	}
}

func (f *flood) note(n int, ids []string) {
	for _, id := range ids {
		if id != "" {
			f.of[id] = n
		}
	}
}

func (f *flood) take(_ context.Context, h channel.Heard) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, rc := range h.Receipts {
		f.receipts[rc.Key] = rc
	}
	return nil
}

// drain waits until the carrier has told everything and heard that it was kept.
func (f *flood) drain(p *peer) report {
	f.t.Helper()
	quiet := 0
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		r := p.report()
		if quiet++; r.Waiting+r.Open > 0 {
			quiet = 0
		}
		if quiet == 10 {
			return r
		}
	}
	f.t.Fatal("the carrier still has receipts to tell")
	return report{}
}

// check holds what was said of each message against what the carrier took.
func (f *flood) check(p *peer, n int) {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "tally")
	p.tell(map[string]any{"tally": path})
	p.wait("that it wrote the tally", func(e event) bool { return e.Tally != nil })
	b, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	took := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		took[fields[0]] = fields[1:]
	}
	lost, twice, neither := 0, 0, 0
	for m := range n {
		whole := true
		counts := took[fmt.Sprintf("86138%08d", m)]
		for _, count := range counts {
			if whole = whole && count == "1"; count != "0" && count != "1" {
				twice++
			}
		}
		ids, accepted := f.accepted[m]
		if accepted && (!whole || len(counts) != len(ids)) {
			lost++
		}
		if !accepted && !f.doubt[m] {
			neither++
		}
	}
	if lost != 0 || twice != 0 || neither != 0 {
		f.t.Errorf("%d were said to be taken and were not, %d parts were taken twice, %d are neither accepted nor in doubt", lost, twice, neither)
	}
	f.t.Logf("lost %d, twice %d", lost, twice)
}

// matched counts the receipts that find their message, by the carrier's reference or ours.
func (f *flood) matched() (matched, not int) {
	told := map[string]bool{}
	for _, rc := range f.receipts {
		_, byID := f.of[rc.ProviderID]
		_, byAttempt := f.tryo[rc.AttemptID]
		told[rc.ProviderID] = true
		if byID || byAttempt {
			matched++
		} else {
			not++
		}
	}
	for n, ids := range f.accepted {
		for _, id := range ids {
			if !told[id] {
				f.t.Errorf("message %d: the receipt of a part did not come", n)
			}
		}
	}
	return matched, not
}
