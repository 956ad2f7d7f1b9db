// Package sip is the carrier that calls people: a SIP user agent with sound of its own, which plays a dialogue over the lender's trunk.
//
// A message is taken once the other side rings or answers: from then on somebody may have been disturbed. What comes of the call is told
// afterwards, by [Sender.Listen]: a receipt, which says whether the right person was reached and told, and what that person wants as a
// reply. Before the debt is named it is asked once more whether it is still owed, [channel.Message.Still].
//
//	s, err := sip.New("trunk", sip.Config{Trunk: "sip.carrier.example", Caller: "+8695000"}, host)
//	go s.Listen(ctx, take)
//	accepted, err := s.Send(ctx, m) // it rings
//
// Answers that are proof of no ring are classed at once; see classes.
package sip

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/dialogue"
	"github.com/dulyhq/duly/internal/voice"
)

// Sender calls over one trunk.
type Sender struct {
	name      string
	c         Config
	clock     func() time.Time // nil where time stands still: nobody is called
	log       *slog.Logger
	prompts   *voice.Prompts
	dialogues *dialogue.Set
	zone      *time.Location
	slots     chan struct{} // one for each call at a time
	pacer     *pacer

	mu       sync.Mutex
	line     *line
	next     time.Time // when the next call may begin
	told     []channel.Heard
	news     chan struct{} // there is something to tell
	hearing  bool
	stopping bool
	closed   bool
	cut      chan struct{} // closed when calls are to be ended politely
	calls    sync.WaitGroup
}

var (
	_ channel.Sender   = (*Sender)(nil)
	_ channel.Listener = (*Sender)(nil)
	_ channel.Caller   = (*Sender)(nil)
)

// New makes a sender of a name. It does not speak to the trunk yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	if err := c.Check("carriers." + name + ".sip"); err != nil {
		return nil, err
	}
	c = c.withDefaults(h)
	s := &Sender{
		name: name, c: c, clock: h.Clock, log: h.Log, slots: make(chan struct{}, c.Calls), news: make(chan struct{}, 1), cut: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.dialogues, err = c.dialogues(); err != nil {
		return nil, err
	}
	if s.prompts, err = c.prompts(); err != nil {
		if _, ok := errors.AsType[*duly.Error](err); ok {
			return nil, err
		}
		return nil, duly.Errorf(duly.Invalid, "%v", err).At(duly.Place{Field: "carriers." + name + ".sip.speech"}).WithHint("docs/voice.md says how recordings are laid out")
	}
	if s.zone, err = time.LoadLocation(c.Timezone); err != nil {
		return nil, err
	}
	s.pacer = newPacer()
	return s, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that a trunk carries calls, and that what comes of one is told later.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{
		Channels: []duly.Channel{duly.ChannelRobot, duly.ChannelPrerecorded}, Receipts: true, Variables: true,
		Timeout: s.c.Setup + slotLimit + soundLimit + pingLimit,
	}
}

// How long a Send waits for what is ours: a free line, and the sound of its words.
const (
	slotLimit  = 15 * time.Second
	soundLimit = 15 * time.Second
	stillLimit = 3 * time.Second
	lineRest   = time.Minute
)

// Close ends what is left of calls.
func (s *Sender) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed, s.stopping = true, true
	s.endCalls()
	s.mu.Unlock()
	s.calls.Wait()
	s.mu.Lock()
	l := s.line
	s.line = nil
	s.mu.Unlock()
	if l != nil {
		l.close()
	}
	s.pacer.close()
	return nil
}

// endCalls has calls under way end politely; mu is held.
func (s *Sender) endCalls() {
	select {
	case <-s.cut:
	default:
		close(s.cut)
	}
}

func fail(class channel.Class, code string, after time.Duration) *channel.Error {
	return &channel.Error{Class: class, Code: code, RetryAfter: after}
}

// Send calls, and returns once it rings or it is known that it will not.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	a, cerr := s.prepare(ctx, m)
	if cerr != nil {
		return channel.Accepted{}, cerr
	}
	return a.begin(ctx)
}

// prepare does all that can go wrong before anybody is called.
func (s *Sender) prepare(ctx context.Context, m channel.Message) (*attempt, *channel.Error) {
	switch {
	case ctx.Err() != nil:
		return nil, fail(channel.Temporary, "cancelled", 0)
	case s.clock == nil:
		return nil, fail(channel.Config, "time_stands_still", 0)
	}
	number, ok := s.c.dialled(m.To)
	if !ok {
		return nil, fail(channel.BadAddress, "no_number", 0)
	}
	name := s.c.Robot
	if m.Channel == duly.ChannelPrerecorded {
		name = s.c.Notice
	}
	d := s.dialogues.Find(m.Language, name)
	if d == nil {
		return nil, fail(channel.Permanent, "no_dialogue", 0)
	}
	call, err := d.Begin(dialogue.Values{Variables: m.Variables, Today: civil.In(s.clock(), s.zone)})
	if err != nil {
		return nil, &channel.Error{Class: channel.Permanent, Code: "words_missing", Detail: err.Error()}
	}
	a := &attempt{s: s, m: m, d: d, call: call, uri: "sip:" + number + "@" + s.c.Domain}
	if a.sounds, err = s.sounds(ctx, d, call); err != nil {
		if errors.Is(err, voice.ErrNoVoice) {
			return nil, fail(channel.Config, "no_voice", 0)
		}
		s.log.Warn("words could not be spoken", "carrier", s.name, "error", err)
		return nil, fail(channel.Temporary, "speech", lineRest)
	}
	return a, nil
}

// announcing and parting are the names of what is said beside the dialogue.
const (
	announcing = "\x00announce"
	parting    = "\x00parting"
)

// partings is what is said where a call must end because the process does.
var partings = map[string]string{"zh-CN": "抱歉，系统需要结束本次通话，稍后再联系您。再见。", "en": "I am sorry, this call has to end now. Goodbye."}

// sounds makes the sound of all that may have to be said, so that nobody waits for it on the line.
func (s *Sender) sounds(ctx context.Context, d *dialogue.Dialogue, call *dialogue.Call) (map[string][]int16, error) {
	ctx, cancel := context.WithTimeout(ctx, soundLimit)
	defer cancel()
	lines := append(call.Lines(), dialogue.Line{State: parting, Words: partings[d.Language]})
	if w := s.c.Record.Announce[d.Language]; w != "" && s.c.Record.Folder != "" {
		lines = append(lines, dialogue.Line{State: announcing, Words: w})
	}
	out := make(map[string][]int16, len(lines))
	for _, l := range lines {
		pcm, err := s.prompts.Speak(ctx, d.Language, l.Words, !l.Personal)
		if err != nil {
			return nil, err
		}
		out[l.State] = pcm
	}
	return out, nil
}

// enter waits for a free line and for the rate.
func (s *Sender) enter(ctx context.Context) *channel.Error {
	ctx, cancel := context.WithTimeout(ctx, slotLimit)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return fail(channel.Throttled, "lines_busy", lineRest)
	case <-s.cut:
		return fail(channel.Temporary, "stopping", lineRest)
	}
	s.mu.Lock()
	now, every := s.clock(), time.Second/time.Duration(s.c.PerSecond)
	if s.next.Before(now) {
		s.next = now
	}
	wait := s.next.Sub(now)
	s.next = s.next.Add(every)
	s.mu.Unlock()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		<-s.slots
		return fail(channel.Throttled, "rate", lineRest)
	case <-s.cut:
		<-s.slots
		return fail(channel.Temporary, "stopping", lineRest)
	}
}

// ready returns the line to a trunk that is there.
func (s *Sender) ready(ctx context.Context) (*line, *channel.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fail(channel.Temporary, "stopping", lineRest)
	}
	if s.line == nil {
		l, err := newLine(ctx, &s.c, s.clock, s.log)
		if err != nil {
			s.log.Warn("the trunk cannot be reached", "carrier", s.name, "error", err)
			return nil, fail(channel.Temporary, "no_line", lineRest)
		}
		s.line = l
	}
	return s.line, nil
}

// tell keeps what came of a call for whoever listens.
func (s *Sender) tell(h channel.Heard) {
	s.mu.Lock()
	s.told = append(s.told, h)
	s.mu.Unlock()
	s.wake()
}

func (s *Sender) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// tellRetry is how long what could not be kept waits, and tellsMax how often that is tried when the process stops.
const (
	tellRetry = time.Second
	tellsMax  = 10
)

// Listen tells what comes of calls until ctx ends. Then no call is begun any more, those under way may go on for a while and are ended
// politely, and what came of them is told before it returns. Nobody is called while nobody listens.
func (s *Sender) Listen(ctx context.Context, take func(context.Context, channel.Heard) error) error {
	s.mu.Lock()
	s.hearing = true
	s.mu.Unlock()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	s.prune()
	for ctx.Err() == nil {
		s.pass(ctx, take)
		select {
		case <-ctx.Done():
		case <-s.news:
		case <-prune.C:
			s.prune()
		}
	}
	s.mu.Lock()
	s.hearing, s.stopping = false, true
	s.mu.Unlock()
	s.drain()
	for range tellsMax {
		if s.pass(context.WithoutCancel(ctx), take) {
			break
		}
		time.Sleep(tellRetry)
	}
	return ctx.Err()
}

// drain waits for calls under way, and has those that are left end politely.
func (s *Sender) drain() {
	over := make(chan struct{})
	go func() { s.calls.Wait(); close(over) }()
	t := time.NewTimer(s.c.Drain)
	defer t.Stop()
	select {
	case <-over:
		return
	case <-t.C:
	}
	s.mu.Lock()
	s.endCalls()
	s.mu.Unlock()
	<-over
}

// pass gives what is to be told to take, the oldest first, until it is all kept or cannot be. It reports whether all is.
func (s *Sender) pass(ctx context.Context, take func(context.Context, channel.Heard) error) bool {
	for {
		s.mu.Lock()
		if len(s.told) == 0 {
			s.mu.Unlock()
			return true
		}
		h := s.told[0]
		s.mu.Unlock()
		if err := take(ctx, h); err != nil {
			s.log.Warn("what came of a call could not be kept; will try again", "carrier", s.name, "error", err)
			time.AfterFunc(tellRetry, s.wake)
			return false
		}
		s.mu.Lock()
		s.told = s.told[1:]
		s.mu.Unlock()
	}
}
