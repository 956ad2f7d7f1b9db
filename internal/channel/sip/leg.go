package sip

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	duly "github.com/dulyhq/duly"
)

// leg is a call to one number or address, from the INVITE to the BYE.
type leg struct {
	l      *line
	o      out    // the INVITE as it was last sent, without its branch
	remote string // the tag of whoever answered
	target string
	routes []string
	media  *media
	ack    []byte
	gone   chan struct{} // closed when the other side hung up, or we did
	over   sync.Once
	bye    sync.Once
}

// newCallID is the id of a call; the trunk's log then names the attempt.
func (l *line) newCallID(id duly.AttemptID) string {
	if id == "" {
		return rand.Text() + "@" + l.host
	}
	return string(id) + "." + rand.Text()[:8] + "@" + l.host
}

// failure is a call that did not come about.
type failure struct {
	code  int // the final answer; 0 for none
	after time.Duration
	rang  bool
	cause error // where there was no final answer
}

// Why a call was given up.
var (
	errNoAnswer  = errors.New("it rang and nobody answered")
	errSilent    = errors.New("the trunk did not answer the INVITE")
	errNothing   = errors.New("it did not ring in time")
	errStopping  = errors.New("the process stops")
	errUnsent    = errors.New("the INVITE could not be sent")
	errNoSound   = errors.New("the answer has no sound that we know")
	errCancelled = errors.New("given up by the caller")
)

// invite calls. ringing is called once, when the other side rings; the call is given up when ctx ends, for its cause.
func (l *line) invite(ctx context.Context, callID, uri string, md *media, ringing func()) (*leg, *failure) {
	g := &leg{l: l, media: md, gone: make(chan struct{}), o: out{
		method: "INVITE", uri: uri, from: fmt.Sprintf("<sip:%s@%s>;tag=%s", l.c.Caller, l.c.Domain, rand.Text()[:12]), to: "<" + uri + ">",
		callID: callID, cseq: 1, body: md.offer(l.host),
		headers: []string{"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"},
	}}
	f := &failure{}
	rang := func() {
		if !f.rang {
			f.rang = true
			ringing()
		}
	}
	for try := 0; ; try++ {
		r, err := g.ask(ctx, rang)
		switch {
		case err != nil:
			f.cause = err
			return nil, f
		case challenged(r) && try < 2 && l.authorize(&g.o, r):
			continue
		case !r.IsSuccess():
			f.code, f.after = r.StatusCode, retryAfter(r)
			return nil, f
		}
		return g.answered(ctx, r, f)
	}
}

// ask makes one INVITE and returns its final answer. Where it gives up it leaves somebody to see to whatever still comes.
func (g *leg) ask(ctx context.Context, ringing func()) (*gosip.Response, error) {
	l := g.l
	g.o.branch = newBranch()
	o := g.o
	tx := l.begin(o.branch, o.method)
	b := l.text(&o)
	if l.write(b) != nil {
		l.end(o.branch, o.method)
		return nil, errUnsent
	}
	silent := time.NewTimer(silenceLimit)
	defer silent.Stop()
	wait := t1
	repeat := time.NewTimer(wait)
	defer repeat.Stop()
	trying := false
	for {
		select {
		case r := <-tx:
			switch {
			case r.IsProvisional():
				trying = true
				repeat.Stop()
				silent.Stop()
				if r.StatusCode > gosip.StatusTrying {
					ringing()
				}
			case r.IsSuccess():
				l.end(o.branch, o.method) // it comes again until it is acknowledged: see leg.again
				return r, nil
			default:
				g.refused(&o, r)
				l.wait.Go(func() { g.linger(&o, tx) })
				return r, nil
			}
		case <-repeat.C:
			if l.write(b) != nil {
				l.wait.Go(func() { g.ghost(&o, tx, trying) })
				return nil, errSilent
			}
			wait *= 2
			repeat.Reset(wait)
		case <-silent.C:
			l.wait.Go(func() { g.ghost(&o, tx, trying) })
			return nil, errSilent
		case <-ctx.Done():
			l.wait.Go(func() { g.ghost(&o, tx, trying) })
			return nil, context.Cause(ctx)
		case <-l.down:
			l.end(o.branch, o.method)
			return nil, errStopping
		}
	}
}

// refused acknowledges a final answer that is not 2xx: within the transaction.
func (g *leg) refused(o *out, r *gosip.Response) {
	a := *o
	a.method, a.to, a.body, a.headers = "ACK", r.To().Value(), "", nil
	_ = g.l.write(g.l.text(&a))
}

// linger acknowledges repeats of a final answer.
func (g *leg) linger(o *out, tx chan *gosip.Response) {
	defer g.l.end(o.branch, o.method)
	over := time.NewTimer(t2)
	defer over.Stop()
	for {
		select {
		case r := <-tx:
			if !r.IsProvisional() {
				g.refused(o, r)
			}
		case <-over.C:
			return
		case <-g.l.down:
			return
		}
	}
}

// ghost sees to an INVITE that was given up, for as long as an answer may come: it is cancelled once the other side is known to have it,
// and where it was answered all the same, the answer is acknowledged and the call ended. Nobody is left in a call that is none.
func (g *leg) ghost(o *out, tx chan *gosip.Response, trying bool) {
	defer g.l.end(o.branch, o.method)
	cancelled := false
	cancel := func() {
		if cancelled {
			return
		}
		cancelled = true
		c := *o
		c.method, c.body = "CANCEL", ""
		g.l.wait.Go(func() { g.l.cancel(&c) })
	}
	if trying {
		cancel()
	}
	over := time.NewTimer(lifetime)
	defer over.Stop()
	for {
		select {
		case r := <-tx:
			switch {
			case r.IsProvisional():
				cancel()
			case r.IsSuccess():
				g.accept(r)
				g.hangUp()
			default:
				g.refused(o, r)
				if !over.Reset(t2) {
					return
				}
			}
		case <-over.C:
			return
		case <-g.l.down:
			return
		}
	}
}

// cancel sends a CANCEL, which has the branch of its INVITE, until it is answered.
func (l *line) cancel(o *out) {
	tx := l.begin(o.branch, o.method)
	defer l.end(o.branch, o.method)
	b := l.text(o)
	for wait := t1; wait <= t2; wait *= 2 {
		if l.write(b) != nil {
			return
		}
		t := time.NewTimer(wait)
		select {
		case <-tx:
			t.Stop()
			return
		case <-t.C:
		case <-l.down:
			t.Stop()
			return
		}
	}
}

var tagOf = regexp.MustCompile(`;\s*tag=([^;>\s]+)`)

// accept acknowledges a 2xx and learns from it where the call is.
func (g *leg) accept(r *gosip.Response) {
	g.o.to = r.To().Value()
	if m := tagOf.FindStringSubmatch(g.o.to); m != nil {
		g.remote = m[1]
	}
	g.target = g.o.uri
	if c := r.Contact(); c != nil {
		g.target = c.Address.String()
	}
	g.routes = nil
	for _, h := range r.GetHeaders("Record-Route") {
		g.routes = append([]string{h.Value()}, g.routes...)
	}
	a := out{method: "ACK", uri: g.target, branch: newBranch(), from: g.o.from, to: g.o.to, callID: g.o.callID, cseq: g.o.cseq, routes: g.routes, headers: authOnly(g.o.headers)}
	g.ack = g.l.text(&a)
	_ = g.l.write(g.ack)
}

func authOnly(headers []string) (out []string) {
	for _, h := range headers {
		if strings.Contains(h, "uthorization:") {
			out = append(out, h)
		}
	}
	return out
}

// answered is a call that was answered: its sound is set up.
func (g *leg) answered(ctx context.Context, r *gosip.Response, f *failure) (*leg, *failure) {
	g.l.mu.Lock()
	g.l.legs[g.o.callID] = g
	g.l.mu.Unlock()
	g.accept(r)
	if err := g.media.answer(r.Body(), g.l); err != nil {
		g.hangUp()
		f.cause = errNoSound
		return nil, f
	}
	if ctx.Err() != nil {
		g.hangUp()
		f.cause = context.Cause(ctx)
		return nil, f
	}
	return g, nil
}

// again is a 2xx that came once more: our ACK was lost. One of another phone that was rung too is acknowledged and hung up on.
func (g *leg) again(r *gosip.Response) {
	if m := tagOf.FindStringSubmatch(r.To().Value()); m != nil && m[1] != g.remote && g.remote != "" {
		other := &leg{l: g.l, o: g.o, gone: make(chan struct{})}
		other.accept(r)
		g.l.wait.Go(other.end)
		return
	}
	if g.ack != nil {
		_ = g.l.write(g.ack)
	}
}

// same reports whether a request is of this call: the tags are right too.
func (g *leg) same(r *gosip.Request) bool {
	from, _ := r.From().Params.Get("tag")
	to, _ := r.To().Params.Get("tag")
	return from == g.remote && strings.HasSuffix(g.o.from, "tag="+to)
}

// asked is a request of the other side within the call; it returns the answer.
func (g *leg) asked(r *gosip.Request) (int, string, string) {
	switch r.Method { //nolint:exhaustive // line.request lets no other through
	case gosip.BYE:
		g.left()
		return 200, "OK", ""
	case gosip.INFO:
		if k, ok := infoKey(string(r.Body())); ok && g.media != nil {
			g.media.press(k)
		}
		return 200, "OK", ""
	case gosip.INVITE, gosip.UPDATE:
		if g.media == nil || len(r.Body()) == 0 {
			if g.media != nil {
				return 200, "OK", g.media.offer(g.l.host)
			}
			return 200, "OK", ""
		}
		if g.media.answer(r.Body(), g.l) != nil {
			return 488, "Not Acceptable Here", ""
		}
		return 200, "OK", g.media.offer(g.l.host)
	}
	return 481, "Call/Transaction Does Not Exist", ""
}

var signal = regexp.MustCompile(`(?im)^\s*(?:signal\s*=\s*)?([0-9*#])\s*$`)

// infoKey reads a key that came as a message: Signal=1, or the key alone.
func infoKey(body string) (byte, bool) {
	m := signal.FindStringSubmatch(body)
	if m == nil {
		return 0, false
	}
	return m[1][0], true
}

// left notes that the call is over.
func (g *leg) left() {
	g.over.Do(func() { close(g.gone) })
}

// hangUp ends the call; it does not wait for the answer.
func (g *leg) hangUp() {
	select {
	case <-g.gone: // they did
		g.forget()
	default:
		g.left()
		g.l.wait.Go(g.end)
	}
}

// end says BYE.
func (g *leg) end() {
	g.bye.Do(func() {
		g.l.do(context.Background(), &out{
			method: "BYE", uri: g.target, from: g.o.from, to: g.o.to, callID: g.o.callID, cseq: g.o.cseq + 1, routes: g.routes, headers: authOnly(nil),
		}, lifetime/4)
		g.forget()
	})
}

func (g *leg) forget() {
	g.l.mu.Lock()
	defer g.l.mu.Unlock()
	if g.l.legs[g.o.callID] == g {
		delete(g.l.legs, g.o.callID)
	}
}

// retryAfter reads the header in seconds; 0 where it is not there or senseless.
func retryAfter(r *gosip.Response) time.Duration {
	h := r.GetHeader("Retry-After")
	if h == nil {
		return 0
	}
	text := h.Value()
	if i := strings.IndexAny(text, " ;("); i >= 0 {
		text = text[:i]
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(min(n, 86400))*time.Second, 24*time.Hour)
}
