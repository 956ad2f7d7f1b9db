package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// behaviour is how the sink treats messages. A contact's fate is a hash of its id, so that it does not depend on timing, and
// strikes its first try alone.
type behaviour struct {
	name    string
	delay   time.Duration
	refused int // per mille: answered 503 and not taken
	hung    int // per mille: taken, and never answered
}

var sinks = []behaviour{
	{name: "0 ms"},
	{name: "20 ms", delay: 20 * time.Millisecond},
	{name: "20 ms, bad", delay: 20 * time.Millisecond, refused: 10, hung: 5},
}

// sendTimeout is how long every system waits for the sink's answer.
const sendTimeout = time.Second

// headerAttempt names the try: the contact's id, a hyphen, and the number of the try.
const headerAttempt = "Duly-Attempt"

// tally is what arrived.
type tally struct {
	Asked   int     // contacts that were to be sent
	Arrived int     // of these, taken at least once
	Twice   int     // taken more than once
	InDoubt int     // that the sender says it does not know of
	Failed  int     // that the sender says did not go
	P50     float64 // milliseconds from due to the first POST
	P99     float64
	Last    float64 // milliseconds from due to the last first POST
}

// lost counts contacts that did not arrive and of which the sender does not say so.
func (t tally) lost() int { return max(0, t.Asked-t.Arrived-t.Failed-t.InDoubt) }

// counter is the sink's memory.
type counter struct {
	mu    sync.Mutex
	b     behaviour
	due   time.Time
	tries map[string]int
	taken map[string]int
	first []float64
}

// take notes a try and says its fate.
func (c *counter) take(contact string) (b behaviour, refused, hung bool) {
	h := fnv.New32a()
	io.WriteString(h, contact)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries[contact]++
	if c.tries[contact] == 1 {
		c.first = append(c.first, float64(time.Since(c.due).Microseconds())/1000)
		n := int(h.Sum32() % 1000)
		refused, hung = n < c.b.refused, n >= c.b.refused && n < c.b.refused+c.b.hung
	}
	if !refused {
		c.taken[contact]++
	}
	return c.b, refused, hung
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/begin":
		c.begin(r.URL.Query().Get("sink"))
		return
	case "/end":
		json.NewEncoder(w).Encode(c.end())
		return
	}
	io.Copy(io.Discard, r.Body)
	id := r.Header.Get(headerAttempt)
	contact := id[:max(0, strings.LastIndexByte(id, '-'))]
	b, refused, hung := c.take(contact)
	if hung {
		<-r.Context().Done()
		return
	}
	if b.delay > 0 {
		time.Sleep(b.delay)
	}
	if refused {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"error":"temporary"}`)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (c *counter) begin(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(sinks, func(b behaviour) bool { return b.name == name })
	c.b, c.due, c.tries, c.taken, c.first = sinks[max(0, i)], time.Now(), map[string]int{}, map[string]int{}, nil
}

func (c *counter) end() (t tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.taken {
		t.Arrived++
		if n > 1 {
			t.Twice++
		}
	}
	slices.Sort(c.first)
	if n := len(c.first); n > 0 {
		t.P50, t.P99, t.Last = c.first[n/2], c.first[n*99/100], c.first[n-1]
	}
	return t
}

// serveSink is the sink's process. It ends when its input does.
func serveSink() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: &counter{tries: map[string]int{}, taken: map[string]int{}}}
	go srv.Serve(ln)
	fmt.Println("http://" + ln.Addr().String())
	io.Copy(io.Discard, os.Stdin)
	return srv.Close()
}

// sinkProcess is the sink seen from a case.
type sinkProcess struct {
	url   string
	cmd   *exec.Cmd
	leash io.Closer
}

func startSink() (*sinkProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "sink")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the sink does not start: %w", err)
	}
	return &sinkProcess{strings.TrimSpace(line), cmd, in}, nil
}

func (s *sinkProcess) stop() {
	s.leash.Close()
	s.cmd.Wait()
}

func (s *sinkProcess) begin(name string) error {
	resp, err := http.Get(s.url + "/begin?sink=" + strings.NewReplacer(" ", "%20", ",", "%2C").Replace(name))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (s *sinkProcess) end() (t tally, err error) {
	resp, err := http.Get(s.url + "/end")
	if err != nil {
		return t, err
	}
	defer resp.Body.Close()
	return t, json.NewDecoder(resp.Body).Decode(&t)
}
