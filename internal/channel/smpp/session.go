package smpp

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// Waits of a session that no carrier should come near to.
const (
	writeWait = 10 * time.Second // for the other side to take a PDU
	byeWait   = 2 * time.Second  // for it to say goodbye, or for the last answers after it said so
	lateMax   = 10_000           // answers that nobody waits for any more and that are still listened for
)

// version is interface_version: SMPP 3.4.
const version = 0x34

// failure is a request that had no usable answer. Its code is of a closed list.
type failure struct {
	written bool // the whole request left: the carrier may have acted on it
	code    string
}

// Codes of failures.
const (
	codeConnection = "connection"
	codeTimeout    = "timeout"
	codeCancelled  = "cancelled"
	codeNonsense   = "malformed_answer"
	codeClosed     = "closed"
)

var errTimeout = errors.New("the carrier did not answer in time")

// session is one bound connection.
type session struct {
	conn   net.Conn
	hear   func(*session, pdu) // what the carrier asks of us; it must not wait
	answer time.Duration
	sends  bool // it was not bound as a receiver

	wmu     sync.Mutex // one PDU at a time
	mu      sync.Mutex
	pending map[uint32]*request
	late    int // of pending, those that nobody waits for
	seq     uint32
	ended   bool
	ending  bool // nothing new is asked
	done    chan struct{}

	heard    atomic.Bool // something came since keep looked
	inflight int         // of the pool's window; guarded by the pool
}

// request waits for its answer.
type request struct {
	command command
	answer  chan pdu  // of one
	late    func(pdu) // what to do with an answer that came when nobody waited; nil for nothing
	over    bool      // nobody waits
}

// dial connects and binds. An error is what the contract makes of it.
func dial(ctx context.Context, c *Config, how command, hear func(*session, pdu)) (*session, *channel.Error) {
	d := net.Dialer{}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port)))
	if err != nil {
		return nil, unconnected(ctx, err)
	}
	if c.TLS {
		secure := tls.Client(conn, c.tlsConfig())
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, unconnected(ctx, err)
		}
		conn = secure
	}
	s := &session{conn: conn, hear: hear, answer: c.Answer, sends: how != bindReceiver, pending: map[uint32]*request{}, done: make(chan struct{})}
	go s.read() // ends with the connection, which its owner closes and waits for, see wait
	p, f := s.ask(ctx, how, c.bindBody(), nil)
	switch {
	case f != nil:
		s.end()
		e := &channel.Error{Class: channel.Temporary, Code: f.code, Detail: "bind"} // a bind without an answer has taken no message
		return nil, e
	case p.status != ok:
		s.end()
		return nil, bindRefusal(p.status)
	}
	return s, nil
}

func (c *Config) bindBody() []byte {
	b := appendText(nil, c.SystemID)
	b = appendText(b, c.Password.Reveal())
	b = appendText(b, c.SystemType)
	b = append(b, version, 0, 0) // addr_ton, addr_npi: as the carrier has it
	return appendText(b, c.AddressRange)
}

// unconnected is the error of a connection that did not come about. An unknown host or a certificate that is not trusted waits for a
// person.
func unconnected(ctx context.Context, err error) *channel.Error {
	e := &channel.Error{Class: channel.Temporary, Code: codeConnection, Detail: "connect"}
	dns, isDNS := errors.AsType[*net.DNSError](err)
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, header := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case ctx.Err() != nil:
		e.Code = codeTimeout
	case isDNS && dns.IsNotFound:
		e.Class, e.Code = channel.Config, "unknown_host"
	case verify, authority, host, header:
		e.Class, e.Code = channel.Config, "tls"
	}
	return e
}

// read reads until the connection ends.
func (s *session) read() {
	defer close(s.done)
	defer s.end()
	r := bufio.NewReaderSize(s.conn, 32<<10)
	for {
		p, err := readPDU(r)
		if err != nil {
			return
		}
		s.heard.Store(true)
		switch {
		case p.command == genericNack && p.seq == 0: // it no longer knows where our PDUs begin
			return
		case p.command&answerBit != 0:
			s.settle(p)
		case p.command == enquireLink:
			s.reply(p, ok, nil)
		case p.command == unbind:
			s.reply(p, ok, nil)
			s.stop()
			time.AfterFunc(byeWait, s.end)
		default:
			s.hear(s, p)
		}
	}
}

// settle gives an answer to who waits for it.
func (s *session) settle(p pdu) {
	s.mu.Lock()
	r := s.pending[p.seq]
	if r == nil {
		s.mu.Unlock()
		return
	}
	delete(s.pending, p.seq)
	over := r.over
	if over {
		s.late--
	} else {
		r.answer <- p
	}
	s.mu.Unlock()
	if over && r.late != nil && (p.command == r.command|answerBit || p.command == genericNack) {
		r.late(p)
	}
}

// ask makes a request and waits for its answer, no longer than the session's patience. What it says of a failure is exact: written
// means that the whole PDU was handed to the connection.
func (s *session) ask(ctx context.Context, c command, body []byte, late func(pdu)) (pdu, *failure) {
	if ctx.Err() != nil {
		return pdu{}, &failure{code: ended(ctx)}
	}
	r := &request{command: c, answer: make(chan pdu, 1), late: late}
	seq, open := s.register(r)
	if !open {
		return pdu{}, &failure{code: codeConnection}
	}
	if err := s.write(pdu{command: c, seq: seq, body: body}); err != nil {
		s.forget(seq)
		return pdu{}, &failure{code: codeConnection}
	}
	t := time.NewTimer(s.answer)
	defer t.Stop()
	code := codeTimeout
	select {
	case p := <-r.answer:
		return r.check(p)
	case <-t.C:
	case <-ctx.Done():
		code = ended(ctx)
	case <-s.done:
		code = codeConnection
	}
	if p, came := s.abandon(seq, r); came {
		return r.check(p)
	}
	return pdu{}, &failure{written: true, code: code}
}

// check reports an answer that is none to this request as nonsense: whatever it says is no proof.
func (r *request) check(p pdu) (pdu, *failure) {
	if p.command != r.command|answerBit && (p.command != genericNack || p.status == ok) {
		return pdu{}, &failure{written: true, code: codeNonsense}
	}
	return p, nil
}

// ended says whether a context ran out or was cancelled.
func ended(ctx context.Context) string {
	if errors.Is(ctx.Err(), context.Canceled) {
		return codeCancelled
	}
	return codeTimeout
}

func (s *session) register(r *request) (uint32, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.ending && r.command != unbind {
		return 0, false
	}
	if s.seq++; s.seq > 0x7fffffff {
		s.seq = 1
	}
	s.pending[s.seq] = r
	return s.seq, true
}

func (s *session) forget(seq uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, seq)
}

// abandon stops waiting: an answer that came meanwhile is returned, one that comes later goes to late.
func (s *session) abandon(seq uint32, r *request) (pdu, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case p := <-r.answer:
		return p, true
	default:
	}
	if r.over = true; r.late == nil || s.late == lateMax {
		delete(s.pending, seq)
	} else if s.pending[seq] == r {
		s.late++
	}
	return pdu{}, false
}

// write hands a PDU to the connection. After the first error nothing is written any more: half a PDU is none, and nothing may follow it.
func (s *session) write(p pdu) error {
	b := p.bytes()
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.isEnded() {
		return net.ErrClosed
	}
	t := time.AfterFunc(writeWait, func() { _ = s.conn.Close() })
	defer t.Stop()
	if _, err := s.conn.Write(b); err != nil {
		s.end()
		return err
	}
	return nil
}

// reply answers a request of the carrier. An answer that cannot be written ends the session, and the carrier asks again on another.
func (s *session) reply(p pdu, st status, body []byte) {
	_ = s.write(pdu{command: p.command | answerBit, status: st, seq: p.seq, body: body})
}

func (s *session) isEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// stop lets nothing new be asked; answers are still awaited.
func (s *session) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
}

// end closes the connection. Who waits for an answer learns that none will come.
func (s *session) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	_ = s.conn.Close()
}

// wait returns when the session has ended and nothing of it is read any more.
func (s *session) wait() { <-s.done }

// keep tries the link whenever nothing came for a while, and ends the session if that has no answer. It returns when the session has
// ended or ctx has.
func (s *session) keep(ctx context.Context, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.done:
			return
		case <-t.C:
		}
		if s.heard.Swap(false) {
			continue
		}
		if _, f := s.ask(ctx, enquireLink, nil, nil); f != nil && ctx.Err() == nil {
			s.end()
			return
		}
	}
}

// bye says goodbye and closes.
func (s *session) bye() {
	s.stop()
	ctx, cancel := context.WithTimeoutCause(context.Background(), byeWait, errTimeout)
	defer cancel()
	_, _ = s.ask(ctx, unbind, nil, nil)
	s.end()
	s.wait()
}
