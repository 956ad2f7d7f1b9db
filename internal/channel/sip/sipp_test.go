package sip_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/sip"
	"github.com/dulyhq/duly/internal/voice"
)

const pcaps = "/usr/share/sip-tester"

// sipp runs SIPp, a SIP peer of others' making, with a scenario, and returns the port it listens on.
func sipp(t testing.TB, steps string) int { return sippWith(t, steps) }

// sippWith is sipp with further options.
func sippWith(t testing.TB, steps string, more ...string) int {
	t.Helper()
	program, err := exec.LookPath("sipp")
	if err != nil {
		t.Skip("sipp is not installed: scripts/setup-test installs it (package sip-tester)")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "s.xml")
	if err := os.WriteFile(file, []byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<scenario name=\"t\">\n"+steps+"</scenario>\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	port, sound := freePort(t), freePort(t)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, append([]string{"-sf", file, "-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", fmt.Sprint(port), "-mp", fmt.Sprint(sound), "-nostdin"}, more...)...)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	return port
}

// freePort returns a port that no other test is given, below those that systems give to whoever asks for any.
func freePort(t testing.TB) int {
	t.Helper()
	for {
		port := 10000 + (os.Getpid()%500)*20 + 4*int(portsGiven.Add(1))
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err == nil {
			_ = c.Close()
			return port
		}
	}
}

var portsGiven atomic.Int32

const (
	invited = `<recv request="INVITE" crlf="true"/>
`
	acked = `<recv request="ACK"/>
`
	copied = `[last_Via:]
[last_From:]
[last_To:];tag=[pid]SIPpTag[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port];transport=[transport]>
`
	hungUp = `<recv request="BYE" timeout="60000"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
`
)

func answer(code int, reason, more string) string {
	return fmt.Sprintf("<send><![CDATA[\nSIP/2.0 %d %s\n%s%sContent-Length: 0\n\n]]></send>\n", code, reason, copied, more)
}

// pickUp answers, with sound at a port.
func pickUp(sound int) string {
	return fmt.Sprintf(`<send retrans="500"><![CDATA[
SIP/2.0 200 OK
%sContent-Type: application/sdp
Content-Length: [len]

v=0
o=user1 53655765 2353687637 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio %d RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15

]]></send>
`, copied, sound) + acked
}

func wait(ms int) string { return fmt.Sprintf("<pause milliseconds=\"%d\"/>\n", ms) }

func press(key string) string {
	return fmt.Sprintf("<nop><action><exec play_pcap_audio=%q/></action></nop>\n", filepath.Join(pcaps, "dtmf_2833_"+key+".pcap"))
}

// ear is the far end's sound: it hears what the robot says, tone by tone, and says what it is told to.
type ear struct {
	conn  *net.UDPConn
	port  int
	mu    sync.Mutex
	heard []int16
	says  func(n int) []int16 // the nth frame that it says; nil is silence
}

func newEar(t *testing.T, says func(n int) []int16) *ear {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{conn: c, port: c.LocalAddr().(*net.UDPAddr).Port, says: says}
	t.Cleanup(func() { _ = c.Close() })
	go e.listen()
	return e
}

func (e *ear) listen() {
	b := make([]byte, 1500)
	for n := 0; ; {
		size, from, err := e.conn.ReadFromUDP(b)
		if err != nil {
			return
		}
		if size != 12+voice.FrameLen || b[1]&0x7F != byte(voice.PCMA) {
			continue
		}
		e.mu.Lock()
		e.heard = voice.PCMA.Decode(e.heard, b[12:size])
		e.mu.Unlock()
		pcm := voice.Silence(voice.FrameEvery) // one frame back for each: the robot's clock is ours
		if e.says != nil {
			pcm = e.says(n)
		}
		n++
		out := append([]byte{0x80, byte(voice.PCMA), byte(n >> 8), byte(n), 0, byte(n >> 16), byte(n >> 8), byte(n), 7, 7, 7, 7}, voice.PCMA.Encode(nil, pcm)...)
		_, _ = e.conn.WriteToUDP(out, from)
	}
}

// lasted returns how long a tone was heard, and when it began; -1 if never.
func (e *ear) lasted(hz float64) (how, from time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	from = -1
	for i := 0; i+voice.FrameLen <= len(e.heard); i += voice.FrameLen {
		var re, im, all float64
		for k, s := range e.heard[i : i+voice.FrameLen] {
			re += float64(s) * math.Cos(2*math.Pi*hz*float64(k)/voice.Rate)
			im += float64(s) * math.Sin(2*math.Pi*hz*float64(k)/voice.Rate)
			all += float64(s) * float64(s)
		}
		if all > 1e8 && (re*re+im*im)*2/(all*voice.FrameLen) > 0.7 {
			if how += voice.FrameEvery; from < 0 {
				from = time.Duration(i) * time.Second / voice.Rate
			}
		}
	}
	return how, from
}

// The tones that words are said as: those that name the debt, and all others.
const (
	debtTone, otherTone = 1850, 650
	debtLasts           = 400 * time.Millisecond
	otherLasts          = 200 * time.Millisecond
)

func tone(hz float64, d time.Duration) []int16 {
	out := make([]int16, int(d*voice.Rate/time.Second))
	for i := range out {
		out[i] = int16(9000 * math.Sin(2*math.Pi*hz*float64(i)/voice.Rate))
	}
	return out
}

// tones is a speech service that says the debt in a tone of its own.
func tones(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Input string }
		_ = json.NewDecoder(r.Body).Decode(&q)
		if strings.Contains(q.Input, "一千二百三十四元") {
			_, _ = w.Write(voice.WriteWAV(tone(debtTone, debtLasts)))
			return
		}
		_, _ = w.Write(voice.WriteWAV(tone(otherTone, otherLasts)))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// world is a sender on a trunk, and what it told.
type world struct {
	s     *sip.Sender
	heard chan channel.Heard
	stop  context.CancelFunc
	done  chan struct{}
}

var nextPorts atomic.Int32

func call(t testing.TB, trunk int, change func(*sip.Config)) *world {
	t.Helper()
	from := 24000 + 20*int(nextPorts.Add(1))
	c := sip.Config{
		Trunk: fmt.Sprintf("127.0.0.1:%d", trunk), Caller: "+8695000", Ring: 10 * time.Second, Setup: 10 * time.Second, Drain: time.Second,
		Ports: fmt.Sprintf("%d-%d", from, from+19), NoPing: true,
		Speech: sip.Speech{Engine: "http", URL: strings.Replace(tones(t), "127.0.0.1", "localhost", 1), Body: `{"input":"{{text}}"}`},
	}
	if change != nil {
		change(&c)
	}
	s, err := sip.New("trunk", c, channel.Host{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &world{s: s, heard: make(chan channel.Heard, 100), stop: stop, done: make(chan struct{})}
	listening := make(chan struct{})
	go func() {
		close(listening)
		_ = s.Listen(ctx, func(_ context.Context, h channel.Heard) error { w.heard <- h; return nil })
		close(w.done)
	}()
	<-listening
	t.Cleanup(func() { stop(); <-w.done; _ = s.Close() })
	return w
}

func message(n int) channel.Message {
	m := channeltest.Message(duly.ChannelRobot, "+8613800138000", n)
	m.Variables = map[string]string{
		"lender": "示例消金", "borrower_name": "王小明", "service_phone": "95000", "total": "¥1,234.50", "installments": "2笔", "due_date": "2026年3月1日",
	}
	return m
}

// send sends until the sender listens, and returns the class, "" for taken.
func (w *world) send(t testing.TB, m channel.Message) *channel.Error {
	t.Helper()
	for {
		_, err := w.s.Send(context.Background(), m)
		if err == nil {
			return nil
		}
		e := err.(*channel.Error)
		if e.Code != "not_listening" {
			return e
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// told waits for what came of a call.
func (w *world) told(t testing.TB) channel.Heard {
	t.Helper()
	select {
	case h := <-w.heard:
		return h
	case <-time.After(60 * time.Second):
		t.Fatal("nothing was told of the call")
		return channel.Heard{}
	}
}

const robotWaits = 3300 // until it speaks to whoever is silent

// Keys pressed at a real peer, and what each comes to; the debt's tone is heard there only once the right person was confirmed.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, keys, intent, outcome string
		debt                        bool
	}{
		{"promise", "112", "promise", "promise", true},
		{"needs time", "12", "hardship", "needs_time", true},
		{"says paid", "13", "payment_claim", "paid", true},
		{"wrong number", "2", "wrong_party", "wrong_number", false},
		{"refuses", "9", "opt_out", "refuses", false},
		{"wants a person, and nobody is there", "0", "question", "person", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEar(t, nil)
			steps := invited + answer(180, "Ringing", "") + pickUp(e.port) + wait(robotWaits)
			for _, k := range c.keys {
				steps += wait(1300) + press(string(k))
			}
			w := call(t, sipp(t, steps+hungUp), nil)
			m := message(1)
			if err := w.send(t, m); err != nil {
				t.Fatalf("not taken: %v", err)
			}
			h := w.told(t)
			rc := h.Receipts[0]
			if want := map[bool]duly.ReceiptStatus{true: duly.ReceiptDelivered, false: duly.ReceiptAccepted}[c.debt]; rc.Status != want || rc.AttemptID != m.AttemptID {
				t.Errorf("receipt %s: %s, want %s", rc.Status, rc.Detail, want)
			}
			if !strings.Contains(rc.Detail, "outcome="+c.outcome+" ") || strings.Contains(rc.Detail, "138") {
				t.Errorf("detail %q", rc.Detail)
			}
			if len(h.Replies) != 1 || h.Replies[0].Intent != c.intent || c.intent == "promise" == h.Replies[0].PromiseOn.IsZero() {
				t.Errorf("replies %+v, want %s", h.Replies, c.intent)
			}
			debt, at := e.lasted(debtTone)
			_, first := e.lasted(otherTone)
			if !c.debt && debt > 0 || c.debt && (debt < debtLasts-40*time.Millisecond || debt > debtLasts+40*time.Millisecond) {
				t.Errorf("the debt was heard for %s", debt)
			}
			if first < 0 || c.debt && at < first+time.Second {
				t.Errorf("the greeting was heard at %s, the debt at %s", first, at)
			}
		})
	}
}

// Answers of a real peer, and what each is taken for.
func TestAnswers(t *testing.T) {
	t.Parallel()
	many := ""
	for range 15 { // more than SIP libraries count
		many += answer(183, "Session Progress", "") + wait(20)
	}
	for _, c := range []struct {
		name, steps string
		class       channel.Class
		code        string
		outcome     string // told later, where it was taken
		after       time.Duration
	}{
		{"busy", invited + answer(486, "Busy Here", "") + acked, channel.Temporary, "sip_486", "", 20 * time.Minute},
		{"no such number", invited + answer(404, "Not Found", "") + acked, channel.BadAddress, "sip_404", "", 0},
		{"throttled", invited + answer(503, "Service Unavailable", "Retry-After: 120\n") + acked, channel.Throttled, "sip_503", "", 2 * time.Minute},
		{"unknown to the trunk", invited + answer(403, "Forbidden", "") + acked, channel.Config, "sip_403", "", 0},
		{"unwanted", invited + answer(607, "Unwanted", "") + acked, channel.OptedOut, "sip_607", "", 0},
		{"another law", invited + answer(488, "Not Acceptable Here", "") + acked, channel.Config, "sip_488", "", 0},
		{"sent elsewhere", invited + answer(302, "Moved", "") + acked, channel.Config, "sip_302", "", 0},
		{"declined", invited + answer(603, "Decline", "") + acked, "", "", "rejected", 0},
		{"declined at the phone", invited + answer(180, "Ringing", "") + wait(300) + answer(486, "Busy Here", "") + acked, "", "", "busy", 0},
		{"many answers, then busy", invited + many + answer(486, "Busy Here", "") + acked, "", "", "busy", 0},
		{
			"no answer", invited + answer(180, "Ringing", "") + "<recv request=\"CANCEL\"/>\n" + answer(200, "OK", "") +
				strings.Replace(answer(487, "Request Terminated", ""), "[last_CSeq:]", "CSeq: 1 INVITE", 1) + acked,
			"", "", "no_answer", 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := call(t, sipp(t, c.steps), func(c *sip.Config) { c.Ring = time.Second })
			err := w.send(t, message(1))
			if c.class == "" {
				if err != nil {
					t.Fatalf("not taken: %v", err)
				}
				h := w.told(t)
				if rc := h.Receipts[0]; rc.Status != duly.ReceiptAccepted || !strings.HasPrefix(rc.Detail, "outcome="+c.outcome+" ") || len(h.Replies) != 0 {
					t.Errorf("told %s: %s, %d replies; want outcome %s", rc.Status, rc.Detail, len(h.Replies), c.outcome)
				}
				return
			}
			if err == nil || err.Class != c.class || err.Code != c.code || err.RetryAfter != c.after {
				t.Errorf("got %v, want %s %s after %s", err, c.class, c.code, c.after)
			}
		})
	}
}

// An answer that crosses our CANCEL is acknowledged and hung up on: sipp reaches the end of its scenario only then.
func TestGlare(t *testing.T) {
	t.Parallel()
	e := newEar(t, nil)
	glare := strings.Replace(pickUp(e.port), "[last_CSeq:]", "CSeq: 1 INVITE", 1)
	ended := make(chan struct{})
	steps := invited + answer(180, "Ringing", "") + "<recv request=\"CANCEL\"/>\n" + answer(200, "OK", "") + glare + hungUp
	w := call(t, sipp(t, steps), func(c *sip.Config) { c.Ring = time.Second })
	if err := w.send(t, message(1)); err != nil {
		t.Fatal(err)
	}
	if h := w.told(t); !strings.HasPrefix(h.Receipts[0].Detail, "outcome=no_answer ") {
		t.Errorf("told %+v", h)
	}
	close(ended)
	time.Sleep(300 * time.Millisecond)
	if how, _ := e.lasted(otherTone); how > 0 {
		t.Error("a call that was given up was spoken to")
	}
}

// A payment that comes in while it rings: the debt is not named.
func TestPaidMeanwhile(t *testing.T) {
	t.Parallel()
	e := newEar(t, nil)
	var asked atomic.Bool
	w := call(t, sipp(t, invited+answer(180, "Ringing", "")+pickUp(e.port)+wait(robotWaits+1300)+press("1")+hungUp), nil)
	m := message(1)
	m.Still = func(context.Context) bool { asked.Store(true); return false }
	if err := w.send(t, m); err != nil {
		t.Fatal(err)
	}
	h := w.told(t)
	if d := h.Receipts[0].Detail; !asked.Load() || h.Receipts[0].Status != duly.ReceiptAccepted || !strings.Contains(d, "disclosed=no") || !strings.Contains(d, "state=settled") {
		t.Errorf("told %s: %s", h.Receipts[0].Status, d)
	}
	if how, _ := e.lasted(debtTone); how > 0 {
		t.Error("a debt that was paid was named")
	}
}

// A machine answers: it is told nothing at all. A person who says a word is greeted at once.
func TestWhoAnswers(t *testing.T) {
	t.Parallel()
	speech := func(n int) []int16 {
		out, other := tone(310, voice.FrameEvery), tone(730, voice.FrameEvery)
		for i := range out {
			out[i] = out[i]/2 + other[i]/2
		}
		return out
	}
	t.Run("machine", func(t *testing.T) {
		t.Parallel()
		e := newEar(t, func(n int) []int16 { return speech(n) })
		w := call(t, sipp(t, invited+answer(180, "Ringing", "")+pickUp(e.port)+hungUp), nil)
		if err := w.send(t, message(1)); err != nil {
			t.Fatal(err)
		}
		if h := w.told(t); !strings.HasPrefix(h.Receipts[0].Detail, "outcome=machine ") {
			t.Errorf("told %+v", h)
		}
		if how, _ := e.lasted(otherTone); how > 0 {
			t.Errorf("the machine was spoken to for %s", how)
		}
	})
	t.Run("person", func(t *testing.T) {
		t.Parallel()
		e := newEar(t, func(n int) []int16 {
			if n >= 5 && n < 30 {
				return speech(n)
			}
			return voice.Silence(voice.FrameEvery)
		})
		w := call(t, sipp(t, invited+pickUp(e.port)+wait(3000)+press("2")+hungUp), nil)
		if err := w.send(t, message(1)); err != nil {
			t.Fatal(err)
		}
		if h := w.told(t); !strings.HasPrefix(h.Receipts[0].Detail, "outcome=wrong_number ") {
			t.Errorf("told %+v", h)
		}
		if _, at := e.lasted(otherTone); at < time.Second || at > 2*time.Second {
			t.Errorf("greeted at %s", at)
		}
	})
}

// Digest authentication: the second INVITE answers the challenge.
func TestDigest(t *testing.T) {
	t.Parallel()
	steps := invited + answer(401, "Unauthorized", "WWW-Authenticate: Digest realm=\"t\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"\n") + acked +
		"<recv request=\"INVITE\"><action><verifyauth assign_to=\"ok\" username=\"duly\" password=\"secret\"/></action></recv>\n" +
		"<nop hide=\"true\" test=\"ok\" next=\"good\"/>\n" + answer(403, "Forbidden", "") + acked + "<label id=\"good\"/>\n" + answer(486, "Busy Here", "") + acked
	w := call(t, sipp(t, steps), func(c *sip.Config) { c.Username, c.Password = "duly", channel.NewSecret("secret") })
	if err := w.send(t, message(1)); err == nil || err.Code != "sip_486" {
		t.Errorf("got %v, want busy, after the right answer to the challenge", err)
	}
}

// A trunk that is not there is found out before anybody is called.
func TestDeadTrunk(t *testing.T) {
	t.Parallel()
	w := call(t, freePort(t), func(c *sip.Config) { c.NoPing = false })
	if err := w.send(t, message(1)); err == nil || err.Class != channel.Temporary || err.Code != "trunk_silent" {
		t.Errorf("got %v", err)
	}
}

// Numbers that are none, and words that are missing, are found out before anybody is called.
func TestRefusedBefore(t *testing.T) {
	t.Parallel()
	w := call(t, freePort(t), nil)
	m := message(1)
	m.To = "not a number; DROP"
	if err := w.send(t, m); err == nil || err.Class != channel.BadAddress || strings.Contains(err.Error(), "DROP") {
		t.Errorf("got %v", err)
	}
	m = message(2)
	delete(m.Variables, "total")
	if err := w.send(t, m); err == nil || err.Class != channel.Permanent || err.Code != "words_missing" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.s.Send(ctx, message(3)); err == nil || err.(*channel.Error).Class != channel.Temporary {
		t.Errorf("got %v", err)
	}
}

// TestMain lets calls run beside one another: they wait, most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
