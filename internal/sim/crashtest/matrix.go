package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/fault"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// matrixOptions is a run through every way to fail that is named, over one store.
type matrixOptions struct {
	contacts int
	kills    int // at random points
	postgres bool
	gone     time.Duration // how long the database is gone
	hang     time.Duration // how long the sink answers nothing
	points   []string      // nil: every one
	disk     bool          // fill a disk, where one can be made
	seed     uint64
	out      io.Writer
}

// matrix is one store that is made to fail in one way after another, while one book of contacts is sent from it.
type matrix struct {
	world
	o       matrixOptions
	server  *storetest.Server
	gateway *gateway
	doubtN  int // in doubt so far
	rows    []matrixRow
}

// matrixRow is what one way to fail came to.
type matrixRow struct {
	name     string
	times    int
	inDoubt  int
	bound    int           // of inDoubt
	recovery time.Duration // the longest, until a message leaves again
}

func runMatrix(o matrixOptions) error {
	dir, err := os.MkdirTemp("", "duly-matrix-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintf(o.out, "seed %d\n", o.seed)
	m := &matrix{o: o, world: world{
		dir: dir, contacts: o.contacts, dsn: filepath.Join(dir, "duly.db"), sink: newSink(), rand: rand.New(rand.NewPCG(o.seed, 3)),
		options: "node: {lease: 2s}\n", lease: leaseMin, tags: "fault",
	}}
	m.sink.delay = 40 * time.Millisecond
	if o.postgres {
		if err := m.database(); err != nil {
			return err
		}
		defer m.server.Stop()
	}
	if err := m.write(); err != nil {
		return err
	}
	defer m.sink.close()
	m.sink.told = m.receipt
	for _, step := range []func() error{m.intake, m.named, m.random, m.drain, m.hung, m.databaseGone, m.failOver, m.disk, m.measure, m.rest} {
		if err := step(); err != nil {
			m.print()
			return err
		}
	}
	m.print()
	return m.judge()
}

// database starts a Postgres behind a gateway, whose address stays when the server moves.
func (m *matrix) database() (err error) {
	if m.server, err = storetest.StartServer(); err != nil {
		return err
	}
	if m.gateway, err = newGateway(m.server.Socket()); err != nil {
		return err
	}
	u, err := url.Parse(m.server.DSN())
	if err != nil {
		return err
	}
	u.Host, u.RawQuery = m.gateway.ln.Addr().String(), "sslmode=disable"
	m.dsn = u.String()
	return nil
}

// intake makes the store and brings the book in, dying at each point on the way.
func (m *matrix) intake() error {
	for _, c := range []struct {
		point string
		args  []string
	}{
		{fault.MigrateUncommitted + ":2", []string{"migrate"}},
		{"", []string{"migrate"}},
		{fault.ImportUncommitted, []string{"import", filepath.Join(m.dir, "book.jsonl"), "--mapping", "duly-jsonl"}},
		{fault.ImportCommitted, []string{"import", filepath.Join(m.dir, "book.jsonl"), "--mapping", "duly-jsonl"}},
		{"", []string{"import", filepath.Join(m.dir, "book.jsonl"), "--mapping", "duly-jsonl"}},
		{"", []string{"feed"}},
	} {
		cmd := m.command(c.args...)
		cmd.Env = append(os.Environ(), "DULY_FAULT="+c.point)
		out, err := cmd.CombinedOutput()
		if c.point == "" && err != nil {
			return fmt.Errorf("duly %s: %w\n%s", c.args[0], err, out)
		}
		if c.point != "" {
			if !killed(err) {
				return fmt.Errorf("duly %s did not come to %s: %v\n%s", c.args[0], c.point, err, out)
			}
			name, _, _ := strings.Cut(c.point, ":")
			m.rows = append(m.rows, matrixRow{name: name, times: 1})
		}
	}
	return nil
}

func killed(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

// serve starts a server that dies at a point, "" at none.
func (m *matrix) serve(point string) (*exec.Cmd, error) {
	cmd := m.command("serve")
	cmd.Env = append(os.Environ(), "DULY_FAULT="+point)
	cmd.Stderr = &bytes.Buffer{}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd, nil
}

// named dies once at each point that a server comes to.
func (m *matrix) named() error {
	points := m.o.points
	if points == nil {
		points = []string{fault.PlanUncommitted, fault.PlanCommitted, fault.ClaimUncommitted, fault.ClaimCommitted, fault.PostBefore, fault.PostAfter,
			fault.FinishUncommitted, fault.FinishCommitted, fault.ReceiveUncommitted}
	}
	for _, p := range points {
		n := 1
		switch {
		case strings.HasPrefix(p, "post."):
			n = 1 + m.rand.IntN(100)
		case !strings.HasPrefix(p, "plan."):
			n = 1 + m.rand.IntN(3)
		}
		cmd, err := m.serve(p + ":" + strconv.Itoa(n))
		if err != nil {
			return err
		}
		if err := m.death(cmd, p); err != nil {
			return err
		}
		if err := m.recover(p, 1, doubtMax); err != nil {
			return err
		}
	}
	return nil
}

// death waits until a server has died by itself.
func (m *matrix) death(cmd *exec.Cmd, point string) error {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if !killed(err) {
			return fmt.Errorf("a server that was to die at %s ended otherwise: %v\n%s", point, err, cmd.Stderr)
		}
		m.killed++
		return nil
	case <-time.After(runLimit):
		cmd.Process.Kill()
		<-done
		return fmt.Errorf("a server did not come to %s in %s", point, runLimit)
	}
}

// recover starts a server anew, waits until a message leaves, and kills it: what it takes is the time to recover. It notes what
// came to be in doubt since the row before: bound is how much may.
func (m *matrix) recover(name string, times, bound int) error {
	before := m.settled()
	began := time.Now()
	cmd, err := m.serve("")
	if err != nil {
		return err
	}
	err = wait(func() (bool, error) { return m.sink.total() > before || m.sink.total() >= m.contacts, nil })
	took := time.Since(began)
	if err = errors.Join(err, stopServer(cmd)); err != nil {
		return fmt.Errorf("after %s: %w", name, err)
	}
	return m.note(matrixRow{name: name, times: times, bound: bound * times, recovery: took})
}

// settled counts what the sink has, once what a dead server had on the way has come in: its connections are closed, and none
// that waited to be accepted comes after.
func (m *matrix) settled() int {
	n, quiet, until := m.sink.total(), 0, time.Now().Add(runLimit)
	for quiet < 15 && time.Now().Before(until) {
		time.Sleep(20 * time.Millisecond)
		if now := m.sink.total(); now != n || m.sink.open.Load() > 0 {
			n, quiet = now, 0
		} else {
			quiet++
		}
	}
	return n
}

// stopServer stops a server as an operator would.
func stopServer(cmd *exec.Cmd) error {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("SIGTERM does not end the server with status 0: %w\n%s", err, cmd.Stderr)
	}
	return nil
}

// note counts what came to be in doubt, open attempts included, and adds a row.
func (m *matrix) note(r matrixRow) error {
	counts, err := m.states()
	if err != nil {
		return err
	}
	now := counts[duly.InDoubt] + counts[duly.Claimed] // no server runs: what is claimed comes to be in doubt when its lease ends
	r.inDoubt, m.doubtN = max(0, now-m.doubtN), now
	m.rows = append(m.rows, r)
	if r.inDoubt > r.bound {
		return fmt.Errorf("%s left %d in doubt, more than %d", r.name, r.inDoubt, r.bound)
	}
	return nil
}

// random kills servers at random: some as they start, most in the middle of sending.
func (m *matrix) random() error {
	var longest time.Duration
	for range m.o.kills {
		before := m.settled()
		began := time.Now()
		cmd, err := m.serve("")
		if err != nil {
			return err
		}
		if m.rand.IntN(4) == 0 {
			time.Sleep(time.Duration(m.rand.Int64N(int64(2500 * time.Millisecond))))
		} else {
			more, first := 1+m.rand.IntN(150), time.Duration(0)
			err = wait(func() (bool, error) {
				n := m.sink.total()
				if n > before && first == 0 {
					first = time.Since(began)
				}
				if time.Since(began) > dry && n == before {
					return false, fmt.Errorf("nothing is left to send at kill no. %d: give more -contacts", m.killed)
				}
				return n >= before+more, nil
			})
			longest = max(longest, first)
		}
		if err := errors.Join(err, cmd.Process.Kill(), ignoreKilled(cmd.Wait())); err != nil {
			return fmt.Errorf("%w\n%s", err, cmd.Stderr)
		}
		m.killed++
	}
	if m.o.kills == 0 {
		return nil
	}
	return m.note(matrixRow{name: "kill -9 at random", times: m.o.kills, bound: m.o.kills * doubtMax, recovery: longest})
}

// dry is how long a server may take until a message leaves, before the book is taken to be sent.
const dry = 3 * time.Minute

// drain stops a server in the middle of sending: nothing comes to be in doubt.
func (m *matrix) drain() error {
	before := m.settled()
	cmd, err := m.serve("")
	if err != nil {
		return err
	}
	err = wait(func() (bool, error) { return m.sink.total() >= min(before+100, m.contacts), nil })
	began := time.Now()
	if err := errors.Join(err, stopServer(cmd)); err != nil {
		return err
	}
	return m.note(matrixRow{name: "SIGTERM (until it has drained)", times: 1, recovery: time.Since(began)})
}

// hung has the sink take messages and answer none for longer than the carrier's time-out.
func (m *matrix) hung() error {
	if m.o.hang == 0 {
		return nil
	}
	before := m.settled()
	cmd, err := m.serve("")
	if err != nil {
		return err
	}
	err = wait(func() (bool, error) { return m.sink.total() > min(before, m.contacts-1), nil })
	m.sink.hang.Store(true)
	time.Sleep(m.o.hang)
	m.sink.hang.Store(false)
	began, at := time.Now(), m.sink.total()
	err = errors.Join(err, wait(func() (bool, error) { return m.sink.total() > at || at >= m.contacts, nil }))
	took := time.Since(began)
	if err := errors.Join(err, stopServer(cmd)); err != nil {
		return err
	}
	m.killed += 1 + int(m.o.hang/(5*time.Second)) // as many claims may have waited for the sink
	return m.note(matrixRow{name: fmt.Sprintf("sink hangs for %s", m.o.hang), times: 1, bound: 2 * doubtMax, recovery: took})
}

// databaseGone kills the database under a server, and starts it again after a while.
func (m *matrix) databaseGone() error {
	if m.server == nil {
		return nil
	}
	return m.without(fmt.Sprintf("database gone for %s", m.o.gone), func() error {
		time.Sleep(m.o.gone)
		return m.server.Restart()
	})
}

// failOver kills the database under a server, and starts it in another place.
func (m *matrix) failOver() error {
	if m.server == nil {
		return nil
	}
	return m.without("database fails over to another place", func() error {
		if err := m.server.Elsewhere(); err != nil {
			return err
		}
		m.gateway.turn(m.server.Socket())
		return nil
	})
}

func (m *matrix) without(name string, back func() error) error {
	before := m.settled()
	cmd, err := m.serve("")
	if err != nil {
		return err
	}
	err = wait(func() (bool, error) { return m.sink.total() > min(before+50, m.contacts-1), nil })
	if err = errors.Join(err, m.server.Kill()); err == nil {
		err = back()
	}
	began, at := time.Now(), m.sink.total()
	err = errors.Join(err, wait(func() (bool, error) { return m.sink.total() > at || at >= m.contacts, nil }))
	took := time.Since(began)
	if err := errors.Join(err, stopServer(cmd)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	m.killed++
	return m.note(matrixRow{name: name, times: 1, bound: doubtMax, recovery: took})
}

// rest sends what is left: as long as messages leave it is not done.
func (m *matrix) rest() error {
	if m.contacts <= restFew {
		return m.serveUntilDone()
	}
	cmd, err := m.serve("")
	if err != nil {
		return err
	}
	last, quiet := -1, time.Now()
	for time.Since(quiet) < restQuiet {
		time.Sleep(100 * time.Millisecond)
		if n := m.sink.total(); n != last {
			last, quiet = n, time.Now()
		}
	}
	if err := stopServer(cmd); err != nil {
		return err
	}
	return m.serveUntilDone()
}

// restQuiet is longer than any pause that a server makes. restFew leave within the limit of any wait.
const (
	restQuiet = 10 * time.Second
	restFew   = 10_000
)

func (m *matrix) print() {
	w := tabwriter.NewWriter(m.o.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "failure\ttimes\tin doubt\tat most\trecovery")
	for _, r := range m.rows {
		took := "-"
		if r.recovery > 0 {
			took = fmt.Sprintf("%.1f s", r.recovery.Seconds())
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", r.name, r.times, r.inDoubt, r.bound, took)
	}
	w.Flush()
}

// receipt tells the server of one message in eight that it arrived, if there is a server to hear it.
func (m *matrix) receipt(id duly.AttemptID) {
	if sha256.Sum256([]byte(id))[0]%8 != 0 {
		return
	}
	body, err := json.Marshal(map[string]any{"receipts": []map[string]any{{"key": "k-" + string(id), "attempt": id, "status": "delivered", "at": time.Now().UTC()}}})
	if err != nil {
		panic("receipt: " + err.Error())
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte("crash-test-secret-of-32-bytes-min"))
	mac.Write([]byte(at + "."))
	mac.Write(body)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.addr+"/v1/receipts/sink", bytes.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("Duly-Timestamp", at)
		req.Header.Set("Duly-Signature", "v1="+hex.EncodeToString(mac.Sum(nil)))
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
}

// gateway is an address that stays while the server behind it moves.
type gateway struct {
	ln     net.Listener
	mu     sync.Mutex
	socket string
}

func newGateway(socket string) (*gateway, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gateway{ln: ln, socket: socket}
	go g.serve()
	return g, nil
}

func (g *gateway) turn(socket string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.socket = socket
}

func (g *gateway) serve() {
	for {
		c, err := g.ln.Accept()
		if err != nil {
			return
		}
		g.mu.Lock()
		to := g.socket
		g.mu.Unlock()
		go func() {
			defer c.Close()
			s, err := net.Dial("unix", to)
			if err != nil {
				return
			}
			defer s.Close()
			go func() {
				defer c.Close()
				io.Copy(c, s)
			}()
			io.Copy(s, c)
		}()
	}
}
