package smpp

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// peerWait is how long a test waits for the peer, on a machine that is busy.
const peerWait = 60 * time.Second

// event is a line that the peer says.
type event struct {
	Port       int
	Took       string
	Ref        int
	N, Of      int
	From       string
	TON        int
	Registered int
	Coding     int
	Octets     int
	Text       *string
	Bound      string
	Gone       *int
	Acked      *uint32
	Refused    *uint32
	Nack       *uint32
	Unbound    bool
	Enquired   bool
	Answered   bool `json:"enquire_answered"`
	Goodbye    bool `json:"unbind_answered"`
	Validity   any
	Error      string
	Tally      *int
	Report     *report
	No         int64 // of the report
}

type report struct{ Told, Acked, Throttled, Lost, Drops, Waiting, Open, Numbers, Twice int }

// peer is a message centre of node-smpp, a third party's, told how to behave by testdata/smsc.js.
type peer struct {
	t    *testing.T
	port int
	in   io.WriteCloser
	enc  *json.Encoder

	mu     sync.Mutex
	events []event
	wake   chan struct{}
	hook   func(event)
	no     atomic.Int64
}

// modules is where scripts/setup-test puts node-smpp.
func modules(t testing.TB) string {
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", ".cache", "npm", "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	_, nodeErr := exec.LookPath("node")
	if _, err := os.Stat(filepath.Join(dir, "smpp", "package.json")); err != nil || nodeErr != nil {
		if os.Getenv("DULY_TEST_SMPP_REQUIRED") == "1" {
			t.Fatal("node-smpp is to be there and is not: run scripts/setup-test")
		}
		t.Skip("no message centre to test against: scripts/setup-test installs node-smpp where node and npm are")
	}
	return dir
}

// newPeer starts a message centre.
func newPeer(t *testing.T, options map[string]any, hook func(event)) *peer {
	t.Helper()
	o := map[string]any{"modules": modules(t)}
	for k, v := range options {
		o[k] = v
	}
	arg, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join("testdata", "smsc.js"), string(arg))
	cmd.Stderr = os.Stderr
	p := &peer{t: t, wake: make(chan struct{}), hook: hook}
	if p.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.enc = json.NewEncoder(p.in)
	read := make(chan struct{})
	go func() { defer close(read); p.read(out) }()
	t.Cleanup(func() { _ = p.in.Close(); _ = cmd.Process.Kill(); <-read; _ = cmd.Wait() })
	p.port = p.wait("that it is up", func(e event) bool { return e.Port != 0 }).Port
	return p
}

func (p *peer) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		if p.hook != nil {
			p.hook(e)
		}
		p.mu.Lock()
		p.events = append(p.events, e)
		close(p.wake)
		p.wake = make(chan struct{})
		p.mu.Unlock()
	}
}

// wait waits until the peer has said something, or finds that it has.
func (p *peer) wait(what string, is func(event) bool) event { return p.waitNth(what, 1, is) }

// waitNth is wait for the nth time.
func (p *peer) waitNth(what string, n int, is func(event) bool) event {
	p.t.Helper()
	end := time.After(peerWait)
	for {
		p.mu.Lock()
		seen := 0
		for _, e := range p.events {
			if is(e) {
				if seen++; seen == n {
					p.mu.Unlock()
					return e
				}
			}
		}
		wake := p.wake
		p.mu.Unlock()
		select {
		case <-wake:
		case <-end:
			p.t.Fatalf("the peer never said %s (%d times; %d seen)", what, n, seen)
		}
	}
}

// count counts what the peer has said until now.
func (p *peer) count(is func(event) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if is(e) {
			n++
		}
	}
	return n
}

func (p *peer) tell(command map[string]any) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.enc.Encode(command); err != nil {
		p.t.Fatal("the peer does not listen: ", err)
	}
}

// set changes how the peer behaves, from before it returns.
func (p *peer) set(options map[string]any) {
	p.t.Helper()
	p.tell(map[string]any{"set": options})
	p.report()
}

// report asks the peer what it counted. All that it said before has been read when it returns.
func (p *peer) report() report {
	p.t.Helper()
	no := p.no.Add(1)
	p.tell(map[string]any{"report": no})
	return *p.wait("its report", func(e event) bool { return e.Report != nil && e.No == no }).Report
}
