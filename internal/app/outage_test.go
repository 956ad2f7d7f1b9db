package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/webhook"
	"github.com/dulyhq/duly/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// proxy stands between Duly and Postgres, and can be cut, halted, or made to lose the answer to a commit.
type proxy struct {
	ln              net.Listener
	network, target string

	mu    sync.Mutex
	open  map[net.Conn]bool
	down  bool
	halt  chan struct{} // not nil: nothing passes until it is closed
	loses atomic.Int64  // so many answers to commits are lost, and their connections with them
	lost  atomic.Int64
}

// newProxy puts a proxy before the server of an address, and returns the address through it.
func newProxy(t *testing.T, dsn string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{network: "tcp", target: u.Host, open: map[net.Conn]bool{}}
	q := u.Query()
	if dir := q.Get("host"); dir != "" {
		p.network, p.target = "unix", filepath.Join(dir, ".s.PGSQL.5432")
		q.Del("host")
	}
	if p.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.ln.Close(); p.cut() })
	go p.serve()
	u.Host = p.ln.Addr().String()
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	return p, u.String()
}

func (p *proxy) serve() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		go p.relay(c)
	}
}

func (p *proxy) relay(client net.Conn) {
	p.mu.Lock()
	down := p.down
	p.mu.Unlock()
	server, err := net.Dial(p.network, p.target)
	if err != nil || down {
		client.Close()
		if err == nil {
			server.Close()
		}
		return
	}
	p.mu.Lock()
	p.open[client], p.open[server] = true, true
	p.mu.Unlock()
	go p.copy(server, client, false)
	p.copy(client, server, true)
}

// commitDone is how Postgres says that a commit is done.
var commitDone = []byte("COMMIT\x00")

func (p *proxy) copy(to, from net.Conn, answers bool) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		delete(p.open, to)
		delete(p.open, from)
		p.mu.Unlock()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		halt := p.halt
		p.mu.Unlock()
		if halt != nil {
			<-halt
		}
		if answers && bytes.Contains(buf[:n], commitDone) && p.loses.Add(-1) >= 0 {
			p.lost.Add(1)
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut closes every connection and refuses new ones until restore.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.open {
		c.Close()
	}
}

func (p *proxy) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
	if p.halt != nil {
		close(p.halt)
		p.halt = nil
	}
}

// stall lets nothing pass until restore: the connections stay, nobody answers.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.halt = make(chan struct{})
}

// journal is a log that tests look into.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

// count returns how many lines hold a text.
func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.b.String(), text)
}

func (j *journal) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// tally counts messages by attempt, and takes them slowly enough that things can happen meanwhile.
type tally struct {
	srv  *httptest.Server
	mu   sync.Mutex
	seen map[duly.ContactID]int
	n    atomic.Int64
}

func newTally(t *testing.T, delay time.Duration) *tally {
	s := &tally{seen: map[duly.ContactID]int{}}
	s.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		id, _ := duly.AttemptID(r.Header.Get(webhook.HeaderAttempt)).Contact()
		s.mu.Lock()
		s.seen[id]++
		s.mu.Unlock()
		s.n.Add(1)
		time.Sleep(delay)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(s.srv.Close)
	return s
}

// people is a book of persons with something due today, as one call's body.
func people(n int, zone string, now time.Time, loc *time.Location) string {
	day := now.In(loc).Format(time.DateOnly)
	var b strings.Builder
	b.WriteString(`{"events": [`)
	for i := range n {
		fmt.Fprintf(&b, `{"kind": "borrower", "id": "B%[1]d", "name": "王伟", "language": "zh-CN", "country": "CN", "zones": [{"name": %[2]q, "source": "address"}]},
			{"kind": "contact_point", "borrower_id": "B%[1]d", "id": "m", "point_kind": "mobile", "value": "+8613800138000"},
			{"kind": "loan", "borrower_id": "B%[1]d", "id": "L%[1]d", "schedule": "bullet", "currency": "CNY", "principal": {"minor": 10000, "currency": "CNY"}, "disbursed_on": "2026-01-01"},
			{"kind": "installment", "borrower_id": "B%[1]d", "loan_id": "L%[1]d", "no": 1, "due_on": %[3]q, "principal": {"minor": 10000, "currency": "CNY"}},`, i, zone, day)
	}
	fmt.Fprintf(&b, `{"kind": "feed", "through": %q}]}`, now.UTC().Format(time.RFC3339))
	return b.String()
}

// until waits for something, and fails the test if it does not come.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: it did not come", what)
}

// health asks /healthz.
func health(t *testing.T, url string) (code int, node struct {
	Sending bool `json:"sending"`
	Buckets int  `json:"buckets"`
}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		Node any `json:"node"`
	}
	out.Node = &node
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, node
}

// outageConfig is a configuration that sends all day to a tally.
func outageConfig(t *testing.T, now time.Time, dsn string, sink *tally) app.Config {
	t.Helper()
	c := config(t)
	c.Store = dsn
	c.Lender.Timezone, c.Strategies, c.Packs = noon(now), []string{write(t, today)}, []string{"policy-default"}
	c.Tick, c.Workers, c.Node.Lease = app.Duration(30*time.Millisecond), 4, app.Duration(time.Second)
	c.Carriers = map[string]app.CarrierConfig{"gate": {Kind: "webhook", Settings: &webhook.Config{URL: sink.srv.URL, Secrets: []channel.Secret{secret}}}}
	return c
}

// Whatever happens to the connections while messages go out, everyone is reached once, nothing ends in doubt, and the log
// says once that it happened and once that it is over.
func TestServeThroughOutages(t *testing.T) {
	t.Parallel()
	const persons = 300
	for _, tt := range []struct {
		name   string
		paused bool // long enough that sending pauses
		early  bool // before the first message: in the middle of the plan
		outage func(t *testing.T, p *proxy, url string, sink *tally)
	}{
		{"the connections are cut while it plans", true, true, func(t *testing.T, p *proxy, url string, sink *tally) {
			p.cut()
			awaitPause(t, url, sink)
			p.restore()
		}},
		{"the connections are cut", true, false, func(t *testing.T, p *proxy, url string, sink *tally) {
			p.cut()
			awaitPause(t, url, sink)
			p.restore()
		}},
		{"the server stops answering", true, false, func(t *testing.T, p *proxy, url string, sink *tally) {
			p.stall()
			awaitPause(t, url, sink)
			p.restore()
		}},
		{"the server stops answering and comes back without its connections", true, false, func(t *testing.T, p *proxy, url string, sink *tally) {
			p.stall()
			awaitPause(t, url, sink)
			p.cut()
			p.restore()
		}},
		{"the answers to commits are lost", false, false, func(t *testing.T, p *proxy, _ string, _ *tally) {
			p.loses.Store(6)
			until(t, "six lost commits", func() bool { return p.lost.Load() == 6 })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, dsn := newProxy(t, storetest.DSN(t, "postgres"))
			sink, now, log := newTally(t, 5*time.Millisecond), time.Now(), &journal{}
			c := outageConfig(t, now, dsn, sink)
			a, err := app.New(t.Context(), c, app.Options{Log: log.log()})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			url, stop, wait := serve(t, a)
			firstStep(t, url)
			post(t, url+"/v1/events", people(persons, c.Lender.Timezone, now, a.Location))
			if !tt.early {
				until(t, "the first messages", func() bool { return sink.n.Load() >= 30 })
			}
			tt.outage(t, p, url, sink)
			until(t, "everyone is reached", func() bool { return sink.n.Load() >= persons })
			var counts map[duly.ContactState]int
			until(t, "every answer is stored", func() bool {
				counts, err = a.DB.CountContacts(t.Context())
				return err == nil && counts[duly.Accepted] == persons || counts[duly.InDoubt]+counts[duly.Failed] > 0
			})
			if counts[duly.Accepted] != persons || len(counts) != 1 {
				t.Errorf("got %v, want %d accepted and nothing else", counts, persons)
			}
			sink.mu.Lock()
			for id, n := range sink.seen {
				if n != 1 {
					t.Errorf("%s was sent %d times", id, n)
				}
			}
			sink.mu.Unlock()
			if tt.paused {
				until(t, "the end of the outage in the log", func() bool { return log.count("the store answers again") == 1 })
				if n := log.count(`msg="the store does not answer`); n != 1 {
					t.Errorf("the log says %d times that the store does not answer, want once:\n%s", n, log.b.String())
				}
			}
			until(t, "health", func() bool { code, node := health(t, url); return code == http.StatusOK && node.Sending })
			stop()
			if err := wait(); err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

// awaitPause waits until /healthz says that sending is paused, and sees that nothing begins after.
func awaitPause(t *testing.T, url string, sink *tally) {
	t.Helper()
	until(t, "a pause in /healthz", func() bool {
		code, node := health(t, url)
		return code == http.StatusServiceUnavailable && !node.Sending
	})
	before := sink.n.Load()
	time.Sleep(200 * time.Millisecond) // several ticks
	if after := sink.n.Load(); after != before {
		t.Errorf("%d messages began without a lease", after-before)
	}
}

// A server that is not there when Duly starts is waited for, and said once; what will not change by waiting is not.
func TestStoreAwayAtStart(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t, "postgres")
	p, through := newProxy(t, dsn)
	p.cut()
	log := &journal{}
	c := config(t)
	c.Store = through
	type made struct {
		a   *app.App
		err error
	}
	done := make(chan made, 1)
	go func() {
		a, err := app.New(t.Context(), c, app.Options{Log: log.log(), Wait: true})
		done <- made{a, err}
	}()
	until(t, "a line in the log", func() bool { return log.count(`msg="the store does not answer`) == 1 })
	if _, err := app.New(t.Context(), c, app.Options{}); duly.CodeOf(err) != duly.Unavailable {
		t.Errorf("without waiting: got %v, want unavailable", err)
	}
	p.restore()
	m := <-done
	if m.err != nil {
		t.Fatal(m.err)
	}
	m.a.Close()
	if log.count(`msg="the store does not answer`) != 1 || log.count("the store answers again") != 1 {
		t.Errorf("got the log\n%s\nwant one line for the beginning and one for the end", log.b.String())
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/no_such_database"
	c.Store = u.String()
	if _, err := app.New(t.Context(), c, app.Options{Wait: true}); duly.CodeOf(err) != duly.Refused {
		t.Errorf("a database that does not exist: got %v, want refused without waiting", err)
	}
}

// Two instances share one store, of either kind; a command that runs the engine is refused meanwhile, and names the node;
// one that stops gives its share up at once.
func TestTwoServe(t *testing.T) {
	t.Parallel()
	for _, kind := range storetest.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dsn := storetest.DSN(t, kind)
			open := func(name string, lease time.Duration) *app.App {
				c := config(t)
				c.Store, c.Node = dsn, app.NodeConfig{Name: name, Lease: app.Duration(lease)}
				a, err := app.New(t.Context(), c, app.Options{Create: true})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { a.Close() })
				return a
			}
			first, second, third := open("first", 10*time.Second), open("second", time.Second), open("third", time.Second)
			one, stopOne, waitOne := serve(t, first)
			two, _, _ := serve(t, second)
			share := func(url string) int { _, node := health(t, url); return node.Buckets }
			until(t, "a fair share each", func() bool {
				x, y := share(one), share(two)
				return x > 400 && y > 400 && x+y == duly.Buckets
			})
			if _, err := third.Join(t.Context(), "step"); duly.CodeOf(err) != duly.Refused || !strings.Contains(err.Error(), "first") && !strings.Contains(err.Error(), "second") {
				t.Errorf("a command beside two that serve: got %v, want it refused with the name of one", err)
			}
			began := time.Now()
			stopOne()
			if err := waitOne(); err != nil {
				t.Errorf("Serve: %v", err)
			}
			until(t, "all falls to the second", func() bool { return share(two) == duly.Buckets })
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s for the share of one that stopped, whose lease was 10 s", took)
			}
		})
	}
}

// A command waits for the lease of one that died, and works on every bucket then.
func TestJoinAfterDeath(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t, "sqlite")
	open := func() *app.App {
		c := config(t)
		c.Store, c.Node.Lease = dsn, app.Duration(time.Second)
		a, err := app.New(t.Context(), c, app.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	dead := open()
	if _, err := dead.Join(t.Context(), "step"); err != nil { // and never leaves
		t.Fatal(err)
	}
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	a := open()
	defer a.Close()
	leave, err := a.Join(t.Context(), "step")
	if err != nil {
		t.Fatal(err)
	}
	if n := a.Engine.Holding().State().Buckets; n != duly.Buckets {
		t.Errorf("got %d buckets, want all", n)
	}
	if err := errors.Join(leave(), leave()); err != nil {
		t.Error(err)
	}
	if _, err := a.Join(t.Context(), "step"); err != nil {
		t.Errorf("again: %v", err)
	}
}
