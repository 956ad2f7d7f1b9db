// Package channeltest is the suite that every carrier's adapter passes.
//
// An adapter's test brings a carrier that can misbehave on demand; the suite holds what the adapter says of each message
// against what the carrier really did. The rule it checks is the contract's: acceptance means that the carrier took the
// message once, any error but Unknown means that it did not take it, nothing is ever handed over twice, and no error
// holds anything personal.
//
//	channeltest.Run(t, channeltest.Case{
//		New:  func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier { … },
//		Skip: map[channeltest.Behaviour]string{channeltest.OptsOut: "a mail server keeps no list of refusals"},
//	})
package channeltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
)

// Behaviour is what a carrier does with every message it gets.
type Behaviour string

// The behaviours. A carrier that says no in any of these ways has not taken the message.
const (
	Accepts      Behaviour = "accepts"
	BadAddress   Behaviour = "says the address does not exist"
	OptsOut      Behaviour = "says the recipient refused"
	Rejects      Behaviour = "refuses the content"
	Unauthorized Behaviour = "refuses the credentials"
	Throttles    Behaviour = "says too many"
	Unready      Behaviour = "says not now"
	Refuses      Behaviour = "takes no connection"
	DropsEarly   Behaviour = "hangs up before it has the message"
	Silent       Behaviour = "takes the message and says nothing"
	Drops        Behaviour = "takes the message and hangs up"
	Cuts         Behaviour = "takes the message and hangs up in the middle of its answer"
	Babbles      Behaviour = "takes the message and answers nonsense"
	Floods       Behaviour = "takes the message and answers without end"
	Drips        Behaviour = "takes the message and answers slowly"
)

// accepted stands for a Send without error in the table below.
const accepted channel.Class = ""

// table is what an adapter may say of each behaviour. Where there are two, adapters differ in what they can prove.
var table = []struct {
	behaviour Behaviour
	may       []channel.Class
}{
	{Accepts, []channel.Class{accepted}},
	{BadAddress, []channel.Class{channel.BadAddress}},
	{OptsOut, []channel.Class{channel.OptedOut}},
	{Rejects, []channel.Class{channel.Permanent}},
	{Unauthorized, []channel.Class{channel.Config}},
	{Throttles, []channel.Class{channel.Throttled}},
	{Unready, []channel.Class{channel.Temporary}},
	{Refuses, []channel.Class{channel.Temporary}},
	{DropsEarly, []channel.Class{channel.Temporary, channel.Unknown}},
	{Silent, []channel.Class{channel.Unknown}},
	{Drops, []channel.Class{channel.Unknown}},
	{Cuts, []channel.Class{accepted, channel.Unknown}},
	{Babbles, []channel.Class{accepted, channel.Unknown}},
	{Floods, []channel.Class{accepted, channel.Unknown}},
	{Drips, []channel.Class{accepted}},
}

// Case is an adapter under test.
type Case struct {
	// New makes a carrier of a behaviour and a sender for it. The sender's time-out should be short, a second or less.
	New func(t *testing.T, b Behaviour) Carrier
	// Skip says why the carrier cannot behave so.
	Skip map[Behaviour]string
}

// Carrier is a carrier with the sender that speaks to it.
type Carrier struct {
	Sender  channel.Sender
	Channel duly.Channel
	To      string // an address of the carrier's kind
	Log     *Log   // what the carrier took
	Heal    func() // makes the carrier behave from now on; nil where it cannot
}

// Log is what a carrier took, written by the carrier itself. The zero Log is empty.
type Log struct {
	mu   sync.Mutex
	ids  []duly.AttemptID
	wake chan struct{}
}

// Took notes that the carrier has the whole of a message.
func (l *Log) Took(id duly.AttemptID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = append(l.ids, id)
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// Taken returns what was taken, a message that was taken twice two times.
func (l *Log) Taken() []duly.AttemptID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ids)
}

// next returns a channel that is closed when a message is taken, or has been.
func (l *Log) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	c := l.wake
	if len(l.ids) > 0 {
		close(l.wake)
		l.wake = nil
	}
	return c
}

// now is the instant of all messages.
var now = time.Date(2026, time.March, 2, 1, 30, 0, 0, time.UTC)

// Template is the name of the template of all messages.
const Template = "due-tomorrow"

// What must not show in an error.
const (
	borrower = "borrower-9471"
	words    = "您尾号的借款 1234.56 元将于明日到期"
)

// Message makes a message with personal words, for a test of one's own. Messages of different n are different attempts.
func Message(ch duly.Channel, to string, n int) channel.Message {
	contact := duly.NewContactID(borrower, "suite", fmt.Sprint("step-", n), civil.On(2026, time.March, 2), 0)
	return channel.Message{
		AttemptID: duly.NewAttemptID(contact, 1), BorrowerID: borrower, Channel: ch, To: to, Subject: "还款提醒", Text: words,
		Language: "zh-CN", Segments: 1, ExpiresAt: now.Add(12 * time.Hour), Now: now, Tone: duly.ToneFriendly, Template: Template,
		Variables: map[string]string{"lender": "示例消金", "due_when": "明天（2026年3月3日）", "total": "1234.56元", "service_phone": "95000"},
	}
}

// Run runs the suite.
func Run(t *testing.T, c Case) {
	t.Run("capabilities", func(t *testing.T) { capabilities(t, c.New(t, Accepts).Sender) })
	for _, row := range table {
		t.Run(string(row.behaviour), func(t *testing.T) {
			t.Parallel()
			if why := c.Skip[row.behaviour]; why != "" {
				t.Skip(why)
			}
			one(t, c.New(t, row.behaviour), row.may)
		})
	}
	t.Run("cancelled before", func(t *testing.T) { t.Parallel(); cancelledBefore(t, c.New(t, Accepts)) })
	t.Run("cancelled after", func(t *testing.T) {
		t.Parallel()
		if why := c.Skip[Silent]; why != "" {
			t.Skip(why)
		}
		cancelledAfter(t, c.New(t, Silent))
	})
	t.Run("many at once", func(t *testing.T) { t.Parallel(); many(t, c.New(t, Accepts)) })
}

func capabilities(t *testing.T, s channel.Sender) {
	caps := s.Caps()
	if s.Name() == "" {
		t.Error("the sender has no name")
	}
	if len(caps.Channels) == 0 {
		t.Error("it serves no channel")
	}
	for _, ch := range caps.Channels {
		if !ch.Known() {
			t.Errorf("it serves the channel %q, which is none", ch)
		}
	}
	if caps.Timeout <= 0 {
		t.Error("it gives no time-out")
	}
	if _, ok := s.(channel.Querier); caps.Query && !ok {
		t.Error("it says that it can be asked, but is no Querier")
	}
}

// one sends one message to a carrier that misbehaves, and another once it behaves.
func one(t *testing.T, c Carrier, may []channel.Class) {
	m := Message(c.Channel, c.To, 1)
	got := send(t.Context(), t, c.Sender, m)
	if !slices.Contains(may, got) {
		t.Errorf("got class %q, want one of %q", got, may)
	}
	truth(t, c.Log, m.AttemptID, got)
	if c.Heal == nil {
		return
	}
	c.Heal()
	m = Message(c.Channel, c.To, 2)
	if got := send(t.Context(), t, c.Sender, m); got != accepted {
		t.Errorf("once the carrier behaves again: got class %q, want acceptance", got)
	}
	truth(t, c.Log, m.AttemptID, accepted)
}

// truth holds what the sender said against what the carrier did.
func truth(t *testing.T, l *Log, id duly.AttemptID, said channel.Class) {
	t.Helper()
	times := 0
	for _, other := range l.Taken() {
		if other == id {
			times++
		}
	}
	switch {
	case times > 1:
		t.Errorf("the carrier took the message %d times", times)
	case said == accepted && times == 0:
		t.Error("the sender says accepted, but the carrier never took it")
	case said != accepted && said != channel.Unknown && times != 0:
		t.Errorf("the sender says %s, which means not taken, but the carrier took it", said)
	}
}

// send returns the class of the answer, after checking its form.
func send(ctx context.Context, t *testing.T, s channel.Sender, m channel.Message) channel.Class {
	t.Helper()
	got, err := s.Send(ctx, m)
	if err == nil {
		private(t, m, "the provider's id", got.ProviderID)
		return accepted
	}
	if got != (channel.Accepted{}) {
		t.Errorf("with an error there is also an acceptance: %+v", got)
	}
	e, ok := errors.AsType[*channel.Error](err)
	if !ok {
		t.Errorf("got a %T, want a *channel.Error", err)
		return "none"
	}
	if !e.Class.Known() || e.Code == "" || strings.ContainsAny(e.Code, " \r\n") {
		t.Errorf("class %q, code %q: want a known class and a code of one word", e.Class, e.Code)
	}
	private(t, m, "the error", fmt.Sprintf("%v %+v %q %q", err, *e, e.Code, e.Detail))
	return e.Class
}

func private(t *testing.T, m channel.Message, where, text string) {
	t.Helper()
	for _, secret := range []string{m.To, m.Text, m.Subject, string(m.BorrowerID), "1234.56"} {
		if secret != "" && strings.Contains(text, secret) {
			t.Errorf("%s holds personal data: %q", where, secret)
		}
	}
}

func cancelledBefore(t *testing.T, c Carrier) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := Message(c.Channel, c.To, 1)
	if got := send(ctx, t, c.Sender, m); got != channel.Temporary {
		t.Errorf("got class %q, want temporary: nothing can have left", got)
	}
	truth(t, c.Log, m.AttemptID, channel.Temporary)
}

// cancelledAfter cancels once the carrier has the message.
func cancelledAfter(t *testing.T, c Carrier) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	taken := c.Log.next()
	m := Message(c.Channel, c.To, 1)
	class := make(chan channel.Class, 1)
	go func() { class <- send(ctx, t, c.Sender, m) }()
	select {
	case <-taken:
	case <-time.After(10 * time.Second):
		t.Error("the carrier never got the message")
	}
	cancel()
	if got := <-class; got != channel.Unknown {
		t.Errorf("got class %q, want unknown: the carrier has the message", got)
	}
}

// many sends from several goroutines: every message arrives, and once.
func many(t *testing.T, c Carrier) {
	const workers, each = 8, 12
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for n := range each {
				if got := send(t.Context(), t, c.Sender, Message(c.Channel, c.To, w*each+n)); got != accepted {
					t.Errorf("got class %q, want acceptance", got)
				}
			}
		})
	}
	wg.Wait()
	taken := c.Log.Taken()
	slices.Sort(taken)
	if got := len(slices.Compact(slices.Clone(taken))); got != workers*each || len(taken) != got {
		t.Errorf("the carrier took %d messages, %d of them different; want %d", len(taken), got, workers*each)
	}
}
