package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/stream/local"
)

// logEnv makes this program one server of a log: it holds local.Options as JSON.
const logEnv = "DULY_CRASHTEST_LOG"

// serveLog runs a server of a log if this process was started as one, until its input ends: so it ends with its parent.
func serveLog() bool {
	text := os.Getenv(logEnv)
	if text == "" {
		return false
	}
	var o local.Options
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		_, err = local.Start(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "log:", err)
		os.Exit(1)
	}
	io.Copy(io.Discard, os.Stdin)
	return true
}

// logNode is one server of the log.
type logNode struct {
	o     local.Options
	cmd   *exec.Cmd
	leash io.Closer
}

func (n *logNode) start() error {
	text, err := json.Marshal(n.o)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	n.cmd = exec.Command(self)
	n.cmd.Env = append(os.Environ(), logEnv+"="+string(text))
	n.cmd.Stderr = os.Stderr
	if n.leash, err = n.cmd.StdinPipe(); err != nil {
		return err
	}
	return n.cmd.Start()
}

func (n *logNode) kill() error {
	return errors.Join(n.cmd.Process.Kill(), ignoreKilled(n.cmd.Wait()))
}

const (
	logParts = 16
	cellsMax = 2
)

func cellName(i int) string { return string(rune('a' + i)) }

// streamRun is a fleet over cells behind a log.
type streamRun struct {
	fleet
	log   []*logNode
	urls  string
	cells []*storetest.Server
}

// runStream runs a fleet over two cells behind a log and judges it.
func runStream(o nodesOptions) error {
	dir, err := os.MkdirTemp("", "duly-stream-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f := &streamRun{fleet: fleet{nodesOptions: o, paid: map[duly.BorrowerID]time.Time{}}}
	for range cellsMax {
		s, err := storetest.StartServer()
		if err != nil {
			return err
		}
		defer s.Stop()
		f.cells = append(f.cells, s)
	}
	if err := f.startLog(dir); err != nil {
		return err
	}
	defer func() {
		for _, n := range f.log {
			n.kill()
		}
	}()
	f.world = world{
		dir: dir, contacts: o.contacts, sink: newSink(), rand: rand.New(rand.NewPCG(o.seed, 2)), second: 10, celled: true,
		options: f.configure(), lease: max(leaseMin, 2*f.pauseFor()),
	}
	f.sink.delay = time.Duration(int64(o.lasts) * int64(o.nodes*workers*cellsMax) / int64(o.contacts))
	fmt.Fprintf(o.out, "seed %d, a message takes the sink %s\n", o.seed, f.sink.delay.Round(time.Millisecond))
	if err := f.write(); err != nil {
		return err
	}
	defer f.sink.close()
	if out, err := f.command("migrate").CombinedOutput(); err != nil {
		return fmt.Errorf("duly migrate: %w\n%s", err, out)
	}
	for _, c := range f.cells {
		db, err := store.Open(context.Background(), c.DSN())
		if err != nil {
			return err
		}
		defer db.Close()
		f.dbs = append(f.dbs, db)
	}
	for i := range o.nodes {
		s := &server{no: i}
		if s.addr, err = freeAddr(); err != nil {
			return err
		}
		f.servers = append(f.servers, s)
		if err := f.start(s); err != nil {
			return err
		}
	}
	defer f.stopAll(syscall.SIGKILL)
	if err := f.liveStream(); err != nil {
		return errors.Join(err, f.logs())
	}
	return f.judgeFleet()
}

func (f *streamRun) pauseFor() time.Duration { return f.nodesOptions.pause() }

// logs shows the end of what the servers said, for a run that failed.
func (f *streamRun) logs() error {
	for _, s := range f.servers {
		b, err := os.ReadFile(filepath.Join(f.dir, fmt.Sprintf("server%d.log", s.no)))
		if err != nil {
			return err
		}
		fmt.Fprintf(f.out, "server %d: %s\n", s.no, b[max(0, len(b)-2000):])
	}
	return nil
}

// startLog starts three servers of a log.
func (f *streamRun) startLog(dir string) error {
	var ports []int
	for range 6 {
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return err
		}
		ports = append(ports, n)
	}
	var urls []string
	for i := range 3 {
		n := &logNode{o: local.Options{Dir: filepath.Join(dir, fmt.Sprintf("log%d", i)), Name: fmt.Sprintf("n%d", i), Port: ports[i], Cluster: ports[3+i], Peers: ports[3:]}}
		if err := n.start(); err != nil {
			return err
		}
		f.log = append(f.log, n)
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
	}
	f.urls = strings.Join(urls, ",")
	return nil
}

func (f *streamRun) configure() string {
	var b strings.Builder
	fmt.Fprintf(&b, "node: {lease: %s}\nstream: {urls: ['%s'], parts: %d, replicas: 3}\ncells:\n", f.nodesOptions.lease, strings.ReplaceAll(f.urls, ",", "', '"), logParts)
	each := logParts / cellsMax
	for i, c := range f.cells {
		fmt.Fprintf(&b, "  - {name: %s, store: \"%s\", parts: [%d, %d]}\n", cellName(i), c.DSN(), i*each, (i+1)*each-1)
	}
	return b.String()
}

// liveStream imports through the log, lets the servers work, harms everything once, and waits until all is done.
func (f *streamRun) liveStream() error {
	began := time.Now()
	if err := wait(f.well); err != nil {
		return fmt.Errorf("the servers do not become well: %w", err)
	}
	fmt.Fprintf(f.out, "log and cells ready after %.1f s\n", time.Since(began).Seconds())
	// Ahead of the book: a contact that is due while payments are not known waits for minutes.
	feed := fmt.Sprintf(`{"events":[{"kind":"feed","through":"%s"}]}`, time.Now().UTC().Format(time.RFC3339))
	res, err := http.Post("http://"+f.servers[0].addr+"/v1/events", "application/json", strings.NewReader(feed))
	if err != nil {
		return err
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("feed: %s %s", res.Status, body)
	}
	began = time.Now()
	if out, err := f.command("import", filepath.Join(f.dir, "book.jsonl"), "--mapping", "duly-jsonl").CombinedOutput(); err != nil {
		return fmt.Errorf("duly import: %w\n%s", err, out)
	}
	took := time.Since(began)
	fmt.Fprintf(f.out, "book of %d persons through the log in %.1f s\n", f.world.contacts, took.Seconds())
	ctx, cancel := context.WithCancel(context.Background())
	var payers sync.WaitGroup
	for i := range payersMax {
		payers.Go(func() { f.payAs(ctx, i) })
	}
	began = time.Now()
	err = f.harmStream()
	if err == nil {
		err = f.rest()
	}
	cancel()
	payers.Wait()
	fmt.Fprintf(f.out, "%d kill -9 and %d pauses; %d at the sink, all done after %.0f s\n", f.kills, f.pauses, f.sink.total(), time.Since(began).Seconds())
	return errors.Join(err, f.stopAll(syscall.SIGTERM))
}

// well reports whether every server says so.
func (f *streamRun) well() (bool, error) {
	for _, s := range f.servers {
		res, err := http.Get("http://" + s.addr + "/healthz")
		if err != nil {
			return false, nil
		}
		var h struct {
			Cells map[string]struct {
				Node struct {
					Unowned *int `json:"buckets_unowned"`
				} `json:"node"`
			} `json:"cells"`
		}
		err = json.NewDecoder(res.Body).Decode(&h)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			return false, nil
		}
		for _, c := range h.Cells {
			if c.Node.Unowned == nil || *c.Node.Unowned != 0 {
				return false, nil
			}
		}
	}
	return true, nil
}

// payersMax is how many calls about payments wait at one time: those of a cell that is away wait until it is back.
const payersMax = 12

// payAs tells of payments like [fleet.pay], of every payersMax-th person, through any server that is up.
func (f *streamRun) payAs(ctx context.Context, who int) {
	r := rand.New(rand.NewPCG(f.seed, uint64(100+who)))
	client := &http.Client{Timeout: 40 * time.Second}
	for n := 0; ctx.Err() == nil; n++ {
		i := r.IntN(f.world.contacts/payersMax)*payersMax + who
		id := duly.BorrowerID(fmt.Sprintf("B%06d", i))
		body := fmt.Sprintf(`{"id":"P%d-%d","borrower_id":"%s","loan_id":"L%06d","amount":{"minor":10100,"currency":"USD"},"value_at":"%s"}`,
			who, n, id, i, time.Now().UTC().Format(time.RFC3339Nano))
		f.mu.Lock()
		s := f.servers[r.IntN(len(f.servers))]
		up := !s.paused
		f.mu.Unlock()
		if up {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/v1/payments", strings.NewReader(body))
			if err != nil {
				return
			}
			if res, err := client.Do(req); err == nil {
				res.Body.Close()
				f.mu.Lock()
				if _, known := f.paid[id]; !known && res.StatusCode == http.StatusOK {
					f.paid[id] = time.Now()
				}
				f.mu.Unlock()
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// harmStream kills a worker, the leader of the log and a cell, one after the other, each started again a little later, and pauses a
// worker for longer than its lease; over and over until the time is up, and each at least once.
func (f *streamRun) harmStream() error {
	until := time.Now().Add(f.lasts)
	for round := 0; round == 0 || time.Now().Before(until); round++ {
		for _, harm := range []func() error{f.killWorker, f.killLeader, f.killCell, f.pauseWorker} {
			time.Sleep(time.Second)
			if err := harm(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *streamRun) killWorker() error {
	s := f.servers[f.rand.IntN(len(f.servers))]
	f.kills++
	if err := errors.Join(s.cmd.Process.Kill(), ignoreKilled(s.cmd.Wait())); err != nil {
		return err
	}
	time.Sleep(time.Duration(f.rand.Int64N(int64(time.Second))))
	return f.start(s)
}

func (f *streamRun) pauseWorker() error {
	f.pauses++
	return f.pause(f.servers[f.rand.IntN(len(f.servers))], f.pauseFor())
}

// killLeader kills the server of the log that leads the stream.
func (f *streamRun) killLeader() error {
	conn, err := nats.Connect(f.urls)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, "duly")
	if err != nil {
		return err
	}
	leader := s.CachedInfo().Cluster.Leader
	for _, n := range f.log {
		if n.o.Name == leader {
			fmt.Fprintf(f.out, "kill -9 of the log's leader, with %d at the sink\n", f.sink.total())
			if err := n.kill(); err != nil {
				return err
			}
			time.Sleep(2 * time.Second)
			return n.start()
		}
	}
	return fmt.Errorf("the log has no leader among its servers: %q", leader)
}

// killCell kills the second cell's PostgreSQL. While it is away the first must work on, if anything waits there.
func (f *streamRun) killCell() error {
	first := func() (planned int, sent int, err error) {
		c, err := f.dbs[0].CountContacts(context.Background())
		return c[duly.Planned], c[duly.Accepted] + c[duly.Delivered] + c[duly.Read] + c[duly.InDoubt], err
	}
	// A worker that was killed before this keeps its share of both cells until its lease ends: that is not what is looked at here.
	if err := wait(f.well); err != nil {
		return fmt.Errorf("the servers do not become well again: %w", err)
	}
	if err := f.cells[1].Kill(); err != nil {
		return err
	}
	f.kills++
	_, before, err := first()
	if err != nil {
		return err
	}
	time.Sleep(2500 * time.Millisecond)
	left, after, err := first()
	if err != nil {
		return err
	}
	fmt.Fprintf(f.out, "kill -9 of cell b's PostgreSQL; cell a went from %d sent to %d meanwhile, with %d waiting\n", before, after, left)
	if left > 0 && after == before {
		return fmt.Errorf("cell a stood still while cell b was away")
	}
	return f.cells[1].Restart()
}
