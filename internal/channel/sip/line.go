package sip

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// Timers of RFC 3261.
const (
	t1       = 500 * time.Millisecond
	t2       = 4 * time.Second
	lifetime = 32 * time.Second // 64 T1: how long an answer may still come
)

// Limits of signalling.
const (
	datagramMax  = 64 << 10
	pingAfter    = 30 * time.Second // a trunk that said nothing for so long is asked whether it is there
	pingLimit    = 3 * time.Second
	silenceLimit = 8 * time.Second // an INVITE without any answer
	answersMax   = 64              // of one request that wait to be looked at
)

// line is our end of the signalling with one trunk, by UDP. It has its own transactions: what a trunk may do to a call, more provisional
// answers than a library counts, an answer that crosses our CANCEL, silence, ends in a call that is known to be up or down.
type line struct {
	c     *Config
	conn  *net.UDPConn
	trunk *net.UDPAddr
	host  string // what we say that our address is
	port  int
	peers []*net.IPNet
	clock func() time.Time
	log   *slog.Logger

	mu    sync.Mutex
	open  map[string]chan *gosip.Response // by branch and method
	legs  map[string]*leg                 // by Call-ID
	heard time.Time                       // when the trunk last said anything
	down  chan struct{}
	wait  sync.WaitGroup
}

// newLine resolves the trunk and opens the socket.
func newLine(ctx context.Context, c *Config, clock func() time.Time, log *slog.Logger) (*line, error) {
	host, port, err := net.SplitHostPort(c.Trunk)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	l := &line{c: c, trunk: &net.UDPAddr{IP: ips[0].IP, Port: n}, clock: clock, log: log, open: map[string]chan *gosip.Response{}, legs: map[string]*leg{}, down: make(chan struct{})}
	for _, peer := range c.Peers {
		if nw, err := network(peer); err == nil {
			l.peers = append(l.peers, nw)
		}
	}
	addr, err := net.ResolveUDPAddr("udp", c.Listen)
	if err != nil {
		return nil, err
	}
	if l.conn, err = net.ListenUDP("udp", addr); err != nil {
		return nil, err
	}
	if l.host = c.Advertise; l.host == "" {
		probe, err := net.DialUDP("udp", nil, l.trunk) // sends nothing: it asks by which address the trunk is reached
		if err != nil {
			_ = l.conn.Close()
			return nil, err
		}
		l.host = probe.LocalAddr().(*net.UDPAddr).IP.String()
		_ = probe.Close()
	}
	l.port = l.conn.LocalAddr().(*net.UDPAddr).Port
	l.wait.Go(l.read)
	return l, nil
}

func (l *line) close() {
	close(l.down)
	_ = l.conn.Close()
	l.wait.Wait()
}

func (l *line) self() string { return net.JoinHostPort(l.host, strconv.Itoa(l.port)) }

// allowed reports whether signalling or sound may come from an address.
func (l *line) allowed(ip net.IP) bool {
	if ip.Equal(l.trunk.IP) {
		return true
	}
	for _, n := range l.peers {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// read takes what comes until the socket is closed.
func (l *line) read() {
	buf := make([]byte, datagramMax)
	for {
		n, from, err := l.conn.ReadFromUDP(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < 20 || !l.allowed(from.IP) { // shorter ones keep a door in a firewall open
			continue
		}
		switch m := parse(append([]byte(nil), buf[:n]...)).(type) {
		case *gosip.Response:
			l.response(m)
		case *gosip.Request:
			l.request(m, from)
		}
	}
}

// parse reads a message; nil for what is none. Whatever the parser does not expect is not one.
func parse(b []byte) (m gosip.Message) {
	defer func() {
		if recover() != nil {
			m = nil
		}
	}()
	m, err := gosip.ParseMessage(b)
	if err != nil {
		return nil
	}
	switch m := m.(type) {
	case *gosip.Response:
		if m.Via() == nil || m.CSeq() == nil || m.CallID() == nil || m.To() == nil || m.From() == nil {
			return nil
		}
	case *gosip.Request:
		if m.Via() == nil || m.CSeq() == nil || m.CallID() == nil || m.To() == nil || m.From() == nil {
			return nil
		}
	}
	return m
}

func key(branch, method string) string { return branch + " " + method }

func (l *line) response(r *gosip.Response) {
	branch, _ := r.Via().Params.Get("branch")
	l.mu.Lock()
	l.heard = l.clock()
	tx := l.open[key(branch, string(r.CSeq().MethodName))]
	g := l.legs[r.CallID().Value()]
	l.mu.Unlock()
	switch {
	case tx != nil:
		select {
		case tx <- r:
		default: // a flood; what matters comes again
		}
	case r.CSeq().MethodName == gosip.INVITE && r.IsSuccess() && g != nil:
		g.again(r)
	}
}

// begin opens a transaction.
func (l *line) begin(branch, method string) chan *gosip.Response {
	tx := make(chan *gosip.Response, answersMax)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[key(branch, method)] = tx
	return tx
}

func (l *line) end(branch, method string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, key(branch, method))
}

func (l *line) write(b []byte) error {
	_, err := l.conn.WriteToUDP(b, l.trunk)
	return err
}

// out is a request on its way.
type out struct {
	method, uri, branch, from, to, callID string
	cseq                                  uint32
	routes                                []string
	headers                               []string
	body                                  string
}

func (l *line) text(o *out) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\nMax-Forwards: 70\r\n", o.method, o.uri, l.self(), o.branch)
	for _, r := range o.routes {
		fmt.Fprintf(&b, "Route: %s\r\n", r)
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:duly@%s>\r\nUser-Agent: duly\r\n", o.from, o.to, o.callID, o.cseq, o.method, l.self())
	for _, h := range o.headers {
		b.WriteString(h + "\r\n")
	}
	if o.body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(o.body), o.body)
	return []byte(b.String())
}

func newBranch() string { return "z9hG4bK" + rand.Text() }

// do makes a request other than INVITE and returns its final answer; nil where none came in time.
func (l *line) do(ctx context.Context, o *out, limit time.Duration) *gosip.Response {
	for tries := 0; ; tries++ {
		r := l.once(ctx, o, limit)
		if r == nil || tries > 0 || !challenged(r) {
			return r
		}
		if !l.authorize(o, r) {
			return r
		}
	}
}

func (l *line) once(ctx context.Context, o *out, limit time.Duration) *gosip.Response {
	o.branch = newBranch()
	tx := l.begin(o.branch, o.method)
	defer l.end(o.branch, o.method)
	b := l.text(o)
	if l.write(b) != nil {
		return nil
	}
	over := time.NewTimer(limit)
	defer over.Stop()
	wait := t1
	repeat := time.NewTimer(wait)
	defer repeat.Stop()
	for {
		select {
		case r := <-tx:
			if !r.IsProvisional() {
				return r
			}
		case <-repeat.C:
			if l.write(b) != nil {
				return nil
			}
			wait = min(2*wait, t2)
			repeat.Reset(wait)
		case <-over.C:
			return nil
		case <-ctx.Done():
			return nil
		case <-l.down:
			return nil
		}
	}
}

func challenged(r *gosip.Response) bool {
	return r.StatusCode == gosip.StatusUnauthorized || r.StatusCode == gosip.StatusProxyAuthRequired
}

// authorize answers a challenge: the request is to be made again, as a new one. False where it cannot be answered.
func (l *line) authorize(o *out, r *gosip.Response) bool {
	ask, answer := "WWW-Authenticate", "Authorization"
	if r.StatusCode == gosip.StatusProxyAuthRequired {
		ask, answer = "Proxy-Authenticate", "Proxy-Authorization"
	}
	h := r.GetHeader(ask)
	if h == nil || l.c.Username == "" {
		return false
	}
	ch, err := digest.ParseChallenge(h.Value())
	if err != nil {
		return false
	}
	cred, err := digest.Digest(ch, digest.Options{Method: o.method, URI: o.uri, Username: l.c.Username, Password: l.c.Password.Reveal(), Count: 1})
	if err != nil {
		return false
	}
	kept := o.headers[:0:0]
	for _, x := range o.headers {
		if !strings.HasPrefix(x, answer+":") {
			kept = append(kept, x)
		}
	}
	o.headers = append(kept, answer+": "+cred.String())
	o.cseq++
	return true
}

// alive reports whether the trunk is there: it said something lately, or answers now.
func (l *line) alive(ctx context.Context) bool {
	l.mu.Lock()
	recent := !l.heard.IsZero() && l.clock().Sub(l.heard) < pingAfter
	l.mu.Unlock()
	if recent || l.c.NoPing {
		return true
	}
	uri := "sip:" + l.c.Domain
	return l.once(ctx, &out{
		method: "OPTIONS", uri: uri, from: fmt.Sprintf("<sip:%s@%s>;tag=%s", l.c.Caller, l.c.Domain, rand.Text()), to: "<" + uri + ">",
		callID: rand.Text() + "@" + l.host, cseq: 1, headers: []string{"Accept: application/sdp"},
	}, pingLimit) != nil
}

// request answers what the trunk asks of us. Calls to us are not taken: nobody is here.
func (l *line) request(r *gosip.Request, from *net.UDPAddr) {
	r.SetSource(from.String())
	l.mu.Lock()
	l.heard = l.clock()
	g := l.legs[r.CallID().Value()]
	l.mu.Unlock()
	if g != nil && !g.same(r) {
		g = nil
	}
	answer := func(code int, reason, body string) {
		res := gosip.NewResponseFromRequest(r, code, reason, []byte(body))
		if body != "" {
			res.AppendHeader(gosip.NewHeader("Content-Type", "application/sdp"))
			res.AppendHeader(gosip.NewHeader("Contact", "<sip:duly@"+l.self()+">"))
		}
		if _, err := l.conn.WriteToUDP([]byte(res.String()), from); err != nil && !errors.Is(err, net.ErrClosed) {
			l.log.Warn("an answer to the trunk could not be sent", "error", err)
		}
	}
	switch r.Method {
	case gosip.ACK:
	case gosip.OPTIONS:
		answer(200, "OK", "")
	case gosip.BYE, gosip.INVITE, gosip.UPDATE, gosip.INFO, gosip.CANCEL:
		switch {
		case g == nil && r.Method == gosip.INVITE:
			answer(480, "Temporarily Unavailable", "")
		case g == nil:
			answer(481, "Call/Transaction Does Not Exist", "")
		default:
			answer(g.asked(r))
		}
	default:
		answer(405, "Method Not Allowed", "")
	}
}
