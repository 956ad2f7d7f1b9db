package sip

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/voice"
)

// Limits of sound.
const (
	packetMax  = 1500
	burstMax   = 50 // frames that are sent at once after the machine stood still
	relayMax   = 25 // frames of the other leg that wait to be sent
	heardMax   = 50 // frames heard that wait to be recorded
	keysMax    = 32
	eventPT    = 101 // what we offer for keys
	eventAgain = time.Second
	loudLevel  = 500
)

// pacer sends the next frame of every stream, fifty times a second by one clock: a machine that stood still catches up, so that speech
// is never stretched.
type pacer struct {
	mu      sync.Mutex
	streams map[*media]struct{}
	stop    chan struct{}
	done    sync.WaitGroup
}

func newPacer() *pacer {
	p := &pacer{streams: map[*media]struct{}{}, stop: make(chan struct{})}
	p.done.Go(p.run)
	return p
}

func (p *pacer) close() {
	close(p.stop)
	p.done.Wait()
}

func (p *pacer) run() {
	t := time.NewTicker(voice.FrameEvery)
	defer t.Stop()
	var base time.Time
	sent := 0
	for {
		select {
		case <-p.stop:
			return
		case at := <-t.C:
			if base.IsZero() {
				base = at
			}
			due := int(at.Sub(base)/voice.FrameEvery) + 1
			n := min(due-sent, burstMax)
			sent = due
			p.mu.Lock()
			for m := range p.streams {
				m.tick(n)
			}
			p.mu.Unlock()
		}
	}
}

func (p *pacer) add(m *media) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams[m] = struct{}{}
}

func (p *pacer) drop(m *media) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.streams, m)
}

// media is the sound of one leg, both ways.
type media struct {
	p     *pacer
	conn  *net.UDPConn
	port  int
	clock func() time.Time
	keys  chan byte

	mu     sync.Mutex
	to     netip.AddrPort // where sound goes; not valid until the call is answered
	from   []netip.Addr   // where sound may come from
	codec  voice.Codec
	events byte // the payload type of keys; 0 for none
	seq    uint16
	stamp  uint32
	ssrc   uint32
	mark   bool
	words  []byte        // being said, encoded
	said   chan struct{} // closed when they are over
	relay  [][]byte      // frames of the other leg, where the two are joined
	other  *media
	joined bool
	frame  func(pcm []int16) // each frame that is heard
	rec    *voice.Recorder
	heard  [][]int16
	got    int
	loud   bool // the last frame that was heard was loud

	done sync.WaitGroup
}

var errPorts = errors.New("no port for sound is free")

// newMedia opens a socket in the range of ports.
func newMedia(p *pacer, c *Config, clock func() time.Time) (*media, error) {
	from, to, err := portRange(c.Ports)
	if err != nil {
		return nil, err
	}
	var seed [8]byte
	_, _ = rand.Read(seed[:])
	n := (to - from + 1) / 2
	first := int(binary.BigEndian.Uint32(seed[:4]) % uint32(n))
	for i := range n {
		port := from + from%2 + 2*((first+i)%n)
		if port > to {
			continue
		}
		conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
		if err != nil {
			continue
		}
		m := &media{
			p: p, conn: conn, port: port, clock: clock, keys: make(chan byte, keysMax), codec: voice.PCMA, seq: binary.BigEndian.Uint16(seed[4:]),
			ssrc: binary.BigEndian.Uint32(seed[4:]), stamp: binary.BigEndian.Uint32(seed[:4]), mark: true,
		}
		m.done.Go(m.listen)
		return m, nil
	}
	return nil, errPorts
}

func (m *media) close() error {
	m.p.drop(m)
	_ = m.conn.Close()
	m.done.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopWords()
	if m.rec == nil {
		return nil
	}
	err := m.rec.Close()
	m.rec = nil
	return err
}

// offer is our side in SDP.
func (m *media) offer(host string) string {
	version := "IP4"
	if strings.Contains(host, ":") {
		version = "IP6"
	}
	return fmt.Sprintf("v=0\r\no=duly %d 1 IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\nm=audio %d RTP/AVP 8 0 %d\r\n"+
		"a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-16\r\na=ptime:20\r\na=sendrecv\r\n",
		m.port, version, host, version, host, m.port, eventPT, eventPT, eventPT)
}

// description is what of SDP matters here.
type description struct {
	addr   netip.AddrPort
	codec  voice.Codec
	events byte
}

var (
	connLine  = regexp.MustCompile(`(?m)^c=IN IP[46] ([0-9A-Fa-f.:]+)`)
	audioLine = regexp.MustCompile(`(?m)^m=audio (\d{1,5})(?:/\d+)? RTP/AVP ([\d ]+)`)
	eventLine = regexp.MustCompile(`(?mi)^a=rtpmap:(\d{1,3}) telephone-event/8000`)
)

var errSDP = errors.New("no sound by RTP in G.711 is offered")

// describe reads SDP: the first stream of sound.
func describe(sdp []byte) (description, error) {
	s := string(sdp)
	audio := audioLine.FindStringSubmatchIndex(s)
	if audio == nil {
		return description{}, errSDP
	}
	port, err := strconv.ParseUint(s[audio[2]:audio[3]], 10, 16)
	if err != nil || port == 0 {
		return description{}, errSDP
	}
	rest := s[audio[0]:]
	if i := strings.Index(rest[1:], "\nm="); i >= 0 {
		rest = rest[:i+1]
	}
	c := connLine.FindStringSubmatch(rest)
	if c == nil {
		c = connLine.FindStringSubmatch(s)
	}
	if c == nil {
		return description{}, errSDP
	}
	ip, err := netip.ParseAddr(c[1])
	if err != nil {
		return description{}, errSDP
	}
	d := description{addr: netip.AddrPortFrom(ip.Unmap(), uint16(port))}
	if e := eventLine.FindStringSubmatch(rest); e != nil {
		if n, err := strconv.ParseUint(e[1], 10, 7); err == nil {
			d.events = byte(n)
		}
	}
	for _, pt := range strings.Fields(s[audio[4]:audio[5]]) {
		switch pt {
		case "8", "0":
			if pt == "0" {
				d.codec = voice.PCMU
			} else {
				d.codec = voice.PCMA
			}
			return d, nil
		}
	}
	return description{}, errSDP
}

// answer takes the other side's SDP and begins to send.
func (m *media) answer(sdp []byte, l *line) error {
	d, err := describe(sdp)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.to, m.codec, m.events = d.addr, d.codec, d.events
	m.from = []netip.Addr{d.addr.Addr()}
	if ip, ok := netip.AddrFromSlice(l.trunk.IP); ok {
		m.from = append(m.from, ip.Unmap())
	}
	m.mu.Unlock()
	m.p.add(m)
	return nil
}

// say plays words, in place of any that are being said, and returns what is closed when they are over.
func (m *media) say(pcm []int16) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopWords()
	m.words, m.said, m.mark = m.codec.Encode(make([]byte, 0, len(pcm)), pcm), make(chan struct{}), true
	return m.said
}

// hush stops the words that are being said: the next frame is silence.
func (m *media) hush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopWords()
}

func (m *media) stopWords() {
	m.words = nil
	if m.said != nil {
		close(m.said)
		m.said = nil
	}
}

// record writes both sides to a recording from now on.
func (m *media) record(r *voice.Recorder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rec = r
}

// listenWith has each frame that is heard given to a function.
func (m *media) listenWith(f func(pcm []int16)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frame = f
}

// join has two legs hear each other, as long as both last.
func (m *media) join(other *media) {
	for _, x := range [][2]*media{{m, other}, {other, m}} {
		x[0].mu.Lock()
		x[0].stopWords()
		x[0].other, x[0].joined = x[1], true
		x[0].mu.Unlock()
	}
}

// part ends a join.
func (m *media) part() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.other, m.joined, m.relay = nil, false, nil
}

// tick sends the frames that are due.
func (m *media) tick(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.to.IsValid() || m.to.Addr().IsUnspecified() { // on hold
		return
	}
	var b [12 + voice.FrameLen]byte
	for range n {
		payload := m.next(b[12:12])
		b[0], b[1] = 0x80, byte(m.codec)
		if m.mark {
			b[1] |= 0x80
			m.mark = false
		}
		m.seq++
		m.stamp += voice.FrameLen
		binary.BigEndian.PutUint16(b[2:], m.seq)
		binary.BigEndian.PutUint32(b[4:], m.stamp)
		binary.BigEndian.PutUint32(b[8:], m.ssrc)
		_, _ = m.conn.WriteToUDPAddrPort(b[:12+len(payload)], m.to) // a lost frame is a lost frame
		m.keep(payload)
	}
}

// next appends the next frame to b: of the other leg, of words, or of silence.
func (m *media) next(b []byte) []byte {
	switch {
	case m.joined && len(m.relay) > 0:
		b = append(b, m.relay[0]...)
		m.relay = m.relay[1:]
	case len(m.words) > 0:
		n := min(voice.FrameLen, len(m.words))
		b = append(b, m.words[:n]...)
		if m.words = m.words[n:]; len(m.words) == 0 {
			m.stopWords()
		}
	case m.said != nil: // words without a sound
		m.stopWords()
	}
	for len(b) < voice.FrameLen {
		b = append(b, m.codec.Quiet())
	}
	return b[:voice.FrameLen]
}

// keep records a frame that was said, with the frame that was heard meanwhile.
func (m *media) keep(payload []byte) {
	if m.rec == nil {
		return
	}
	var heard []int16
	if len(m.heard) > 0 {
		heard, m.heard = m.heard[0], m.heard[1:]
	}
	if m.rec.Write(heard, m.codec.Decode(make([]int16, 0, voice.FrameLen), payload)) != nil {
		_ = m.rec.Close()
		m.rec = nil
	}
}

// listen takes what comes until the socket is closed.
func (m *media) listen() {
	buf := make([]byte, packetMax)
	var last event
	for {
		n, from, err := m.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p, ok := readPacket(buf[:n])
		if !ok || !m.wanted(from) {
			continue
		}
		m.take(p, &last)
	}
}

// packet is an RTP packet.
type packet struct {
	kind    byte
	stamp   uint32
	ssrc    uint32
	payload []byte
}

// readPacket reads RTP; false for what is none.
func readPacket(b []byte) (packet, bool) {
	if len(b) < 12 || b[0]>>6 != 2 {
		return packet{}, false
	}
	p := packet{kind: b[1] & 0x7F, stamp: binary.BigEndian.Uint32(b[4:]), ssrc: binary.BigEndian.Uint32(b[8:])}
	at := 12 + 4*int(b[0]&0x0F)
	if b[0]&0x10 != 0 {
		if len(b) < at+4 {
			return packet{}, false
		}
		at += 4 + 4*int(binary.BigEndian.Uint16(b[at+2:]))
	}
	end := len(b)
	if b[0]&0x20 != 0 {
		end -= int(b[len(b)-1])
	}
	if at > end {
		return packet{}, false
	}
	p.payload = b[at:end]
	return p, true
}

// wanted reports whether sound may come from an address; what comes from there is answered there, whatever SDP says of the port.
func (m *media) wanted(from netip.AddrPort) bool {
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ip := range m.from {
		if ip == from.Addr() {
			if m.got == 0 && !m.to.Addr().IsUnspecified() {
				m.to = from
			}
			m.got++
			return true
		}
	}
	return false
}

// event is the key that was read last.
type event struct {
	ssrc, stamp uint32
	at          time.Time
	any         bool
}

var eventKeys = [...]byte{'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#'}

func (m *media) take(p packet, last *event) {
	m.mu.Lock()
	codec, events, frame, other := m.codec, m.events, m.frame, m.other
	m.mu.Unlock()
	switch {
	case events != 0 && p.kind == events:
		// One key is many packets of one timestamp, RFC 4733. It is taken at the first; a peer that plays a recorded key twice gives
		// both the same stamp, so one that comes after a while is another.
		if len(p.payload) < 4 || int(p.payload[0]) >= len(eventKeys) {
			return
		}
		now := m.clock()
		if !last.any || p.ssrc != last.ssrc || p.stamp != last.stamp || now.Sub(last.at) > eventAgain {
			m.press(eventKeys[p.payload[0]])
		}
		*last = event{p.ssrc, p.stamp, now, true}
	case p.kind == byte(codec) && len(p.payload) > 0 && len(p.payload) <= 4*voice.FrameLen:
		if other != nil {
			other.relayed(codec, p.payload)
		}
		pcm := codec.Decode(make([]int16, 0, len(p.payload)), p.payload)
		m.mu.Lock()
		m.loud = voice.Level(pcm) > loudLevel
		if m.rec != nil && len(m.heard) < heardMax {
			m.heard = append(m.heard, pcm)
		}
		m.mu.Unlock()
		if frame != nil {
			frame(pcm)
		}
	}
}

// relayed takes a frame of the other leg, in our law.
func (m *media) relayed(law voice.Codec, payload []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.joined {
		return
	}
	if law != m.codec {
		payload = m.codec.Encode(nil, law.Decode(nil, payload))
	} else {
		payload = append([]byte(nil), payload...)
	}
	for len(payload) > 0 {
		n := min(voice.FrameLen, len(payload))
		m.relay = append(m.relay, payload[:n])
		payload = payload[n:]
	}
	if over := len(m.relay) - relayMax; over > 0 {
		m.relay = m.relay[over:]
	}
}

// press is a key that was pressed; more than anybody presses are dropped.
func (m *media) press(k byte) {
	select {
	case m.keys <- k:
	default:
	}
}
