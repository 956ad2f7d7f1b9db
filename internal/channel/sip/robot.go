package sip

import (
	"context"
	"time"

	"github.com/dulyhq/duly/internal/dialogue"
	"github.com/dulyhq/duly/internal/voice"
)

// How long the robot waits.
const (
	helloMax  = 3 * time.Second        // for a word of whoever answered; then it speaks first
	listenMax = 6 * time.Second        // in which it is told apart whether that is a person
	lastWords = 200 * time.Millisecond // so that the end of them is heard
)

// robot plays a dialogue on a call that was answered.
type robot struct {
	a      *attempt
	g      *leg
	m      *media
	call   *dialogue.Call
	who    chan voice.Answer // what the ear makes of whoever answered, as it changes
	limit  *time.Timer
	record *voice.Recorder // begun once it was announced; nil for none
	keys   []byte          // pressed while words were said that a key stops, and meant for what comes next
}

func newRobot(a *attempt, g *leg) *robot {
	r := &robot{a: a, g: g, m: a.media, call: a.call, who: make(chan voice.Answer, 1), limit: time.NewTimer(a.s.c.CallMax)}
	var ear voice.Ear
	last := voice.Nobody
	r.m.listenWith(func(pcm []int16) {
		if now := ear.Hear(pcm); now != last {
			last = now
			select { // the latest counts
			case <-r.who:
			default:
			}
			r.who <- now
		}
	})
	return r
}

// stop is why a call is at an end, in the words of outcomes; "" while it goes on.
type stop string

// The stops that are no outcome of the dialogue.
const (
	going    stop = ""
	hungUp   stop = "hung_up"
	machine  stop = "machine"
	cutShort stop = "cut"
	tooLong  stop = "too_long"
)

// play plays the dialogue to its end and returns what came of it, for the receipt.
func (r *robot) play() string {
	defer r.limit.Stop()
	defer r.m.listenWith(nil)
	why := r.greet()
	if why == going {
		why = r.announce()
	}
	if why == going {
		why = r.states()
	}
	if r.record != nil { // never begun
		_ = r.record.Close()
	}
	switch {
	case why == cutShort || why == tooLong:
		r.part()
	case why == machine:
		return string(machine)
	}
	if out := r.call.Result.Outcome; out != dialogue.NoOutcome {
		return string(out)
	}
	if why == going {
		return "no_input"
	}
	return string(why)
}

// greet waits until a person is there.
func (r *robot) greet() stop {
	hello, over := time.NewTimer(helloMax), time.NewTimer(listenMax)
	defer hello.Stop()
	defer over.Stop()
	for {
		select {
		case who := <-r.who:
			switch who {
			case voice.Machine:
				return machine
			case voice.Person:
				return going
			case voice.Nobody:
			}
		case <-hello.C:
			if !r.speaking() {
				return going // silence: what comes first is harmless, and says who calls
			}
		case <-over.C:
			return going
		case <-r.g.gone:
			return hungUp
		case <-r.a.s.cut:
			return cutShort
		case <-r.limit.C:
			return tooLong
		}
	}
}

// speaking reports whether anything was heard at all lately.
func (r *robot) speaking() bool {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	return r.m.got > 0 && r.m.loud
}

// announce says that the call is recorded, and begins to.
func (r *robot) announce() stop {
	pcm := r.a.sounds[announcing]
	if r.record == nil || pcm == nil {
		return going
	}
	_, why := r.say(pcm, false)
	if why == going {
		r.m.record(r.record)
		r.record = nil
	}
	return why
}

// states plays the dialogue from its first state.
func (r *robot) states() stop {
	step := r.call.Start()
	for {
		if step.Debt {
			if !r.still() {
				step = r.call.Settled()
				continue
			}
			r.call.Naming()
		}
		pressed, why := r.words(step)
		switch {
		case why == machine:
			if _, over := r.call.Machine(); over {
				return machine
			}
			continue
		case why != going:
			return why
		case step.Hang:
			r.pause(lastWords)
			return going
		case step.Transfer:
			taken, why := r.transfer()
			if why != going {
				return why
			}
			step = r.call.Transferred(taken)
		case !step.Listen:
			if pressed != 0 {
				r.keys = append(r.keys[:0], pressed)
			}
			step = r.call.Said()
		default:
			if step, why = r.ask(step, pressed); why != going {
				return why
			}
		}
	}
}

// words says a step's words and returns the key that stopped them, or 0.
func (r *robot) words(step dialogue.Step) (byte, stop) {
	if step.Listen && len(r.keys) > 0 { // pressed before the question was put
		k := r.keys[0]
		r.keys = nil
		return k, going
	}
	pcm := r.a.sounds[step.State]
	if step.Say == "" || pcm == nil {
		return 0, going
	}
	return r.say(pcm, step.Barge)
}

// say plays sound to its end, or until a key stops it.
func (r *robot) say(pcm []int16, barge bool) (byte, stop) {
	r.flushKeys(barge)
	done := r.m.say(pcm)
	for {
		select {
		case <-done:
			return 0, going
		case k := <-r.m.keys:
			if barge {
				r.m.hush()
				return k, going
			}
		case who := <-r.who:
			if who == voice.Machine && !r.call.Result.Confirmed {
				r.m.hush()
				return 0, machine
			}
		case <-r.g.gone:
			return 0, hungUp
		case <-r.a.s.cut:
			r.m.hush()
			return 0, cutShort
		case <-r.limit.C:
			r.m.hush()
			return 0, tooLong
		}
	}
}

// flushKeys drops keys that were pressed while nothing was asked, unless they may stop what comes.
func (r *robot) flushKeys(keep bool) {
	for !keep {
		select {
		case <-r.m.keys:
		default:
			return
		}
	}
}

// ask waits for keys and returns the next step.
func (r *robot) ask(step dialogue.Step, pressed byte) (dialogue.Step, stop) {
	t := time.NewTimer(step.Wait)
	defer t.Stop()
	if pressed != 0 {
		if next, ok := r.call.Key(pressed); ok {
			return next, going
		}
	}
	for {
		select {
		case k := <-r.m.keys:
			if next, ok := r.call.Key(k); ok {
				return next, going
			}
			t.Reset(step.Wait)
		case <-t.C:
			return r.call.Silent(), going
		case who := <-r.who:
			if who == voice.Machine && !r.call.Result.Confirmed {
				r.call.Machine()
				return step, machine
			}
		case <-r.g.gone:
			return step, hungUp
		case <-r.a.s.cut:
			return step, cutShort
		case <-r.limit.C:
			return step, tooLong
		}
	}
}

// pause waits, unless the call ends.
func (r *robot) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.g.gone:
	}
}

// still asks whether the debt may be named.
func (r *robot) still() bool {
	if r.a.m.Still == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), stillLimit)
	defer cancel()
	return r.a.m.Still(ctx)
}

// part says goodbye where the call cannot go on.
func (r *robot) part() {
	done := r.m.say(r.a.sounds[parting])
	select {
	case <-done:
	case <-r.g.gone:
	}
	r.pause(lastWords)
}

// transfer calls a person and joins the two until one of them hangs up; false where nobody takes it.
func (r *robot) transfer() (bool, stop) {
	if r.a.s.c.Agent == "" {
		return false, going
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	limit := time.AfterFunc(r.a.s.c.AgentRing, func() { cancel(errNoAnswer) })
	defer limit.Stop()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-r.g.gone:
			cancel(errGone)
		case <-r.a.s.cut:
			cancel(errStopping)
		case <-over:
		}
	}()
	agent, err := r.a.s.callAgent(ctx, r.g.l, r.a.s.c.Agent)
	if err != nil {
		select {
		case <-r.g.gone:
			return false, hungUp
		default:
			return false, going
		}
	}
	limit.Stop()
	defer func() { _ = agent.media.close() }()
	r.m.join(agent.media)
	select {
	case <-r.g.gone:
		agent.hangUp()
	case <-agent.gone:
	case <-r.limit.C:
		agent.hangUp()
	case <-r.a.s.cut:
		agent.hangUp()
	}
	r.m.part()
	return true, going
}
