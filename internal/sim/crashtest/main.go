// Command crashtest kills a real `duly serve` with kill -9 in the middle of a dispatch, as often as it is told, and then
// counts: what was lost, what was sent twice, and what is in doubt.
//
//	go run ./internal/sim/crashtest -contacts 20000 -kills 3
//	go run ./internal/sim/crashtest -contacts 20000 -kills 3 -postgres
//	go run ./internal/sim/crashtest -contacts 30000 -matrix 100
//	go run ./internal/sim/crashtest -contacts 300000 -nodes 3 -kill-every 10s -for 5m
//	go run ./internal/sim/crashtest -contacts 30000 -nodes 2 -stream -for 90s
//	go run ./internal/sim/crashtest -soak 1h -rate 500
//
// The carrier is a webhook to a sink in this process that counts by Duly's own attempt id. It exits with status 1 unless
// every contact either reached the sink exactly once or is in doubt, and every contact in doubt was one whose answer the
// killed process had not stored. It finishes with a SIGTERM, which must drain and exit with status 0. With -nodes several
// servers share a PostgreSQL; some are killed, some paused for longer than their lease, and payments come in meanwhile.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/stream/local"
)

func main() {
	contacts := flag.Int("contacts", 20_000, "how many contacts")
	kills := flag.Int("kills", 3, "how often the server is killed")
	postgres := flag.Bool("postgres", false, "on PostgreSQL, started for this run; else on SQLite")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the instants of the kills")
	nodes := flag.Int("nodes", 0, "so many servers over one PostgreSQL, of which one is killed at every interval")
	killEvery := flag.Duration("kill-every", 10*time.Second, "the interval, with -nodes")
	lasts := flag.Duration("for", 5*time.Minute, "for how long, with -nodes")
	lease := flag.Duration("lease", 6*time.Second, "node.lease, with -nodes")
	matrix := flag.Int("matrix", 0, "the crash matrix, with so many kills at random points beside every named one")
	gone := flag.Duration("gone", 30*time.Second, "how long the database is gone, with -matrix -postgres")
	cells := flag.Bool("stream", false, "servers over two PostgreSQL behind a log of three: workers, the log's leader and a cell are killed, a worker is paused")
	soaks := flag.Duration("soak", 0, "so long at a steady rate of new people, with a carrier that fails in many ways; nothing is killed")
	rate := flag.Int("rate", 500, "new people a second, with -soak")
	if local.Child() {
		return
	}
	flag.Parse()
	if *matrix > 0 {
		err := runMatrix(matrixOptions{contacts: *contacts, kills: *matrix, postgres: *postgres, gone: *gone, hang: 7 * time.Second, disk: true, seed: *seed, out: os.Stdout})
		if err != nil {
			fmt.Fprintln(os.Stderr, "crashtest:", err)
			os.Exit(1)
		}
		return
	}
	if *soaks > 0 {
		if err := runSoak(soakOptions{*soaks, *rate, *postgres, *seed, 20 * time.Second, os.Stdout}); err != nil {
			fmt.Fprintln(os.Stderr, "crashtest:", err)
			os.Exit(1)
		}
		return
	}
	if *cells {
		o := nodesOptions{contacts: *contacts, nodes: max(*nodes, 2), lasts: *lasts, lease: *lease, seed: *seed, out: os.Stdout}
		if err := runStream(o); err != nil {
			fmt.Fprintln(os.Stderr, "crashtest:", err)
			os.Exit(1)
		}
		return
	}
	if *nodes > 0 {
		err := withPostgres(func(dsn string) error {
			return runNodes(nodesOptions{*contacts, *nodes, *killEvery, *lasts, *lease, dsn, *seed, os.Stdout})
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "crashtest:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(*contacts, *kills, *postgres, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "crashtest:", err)
		os.Exit(1)
	}
}

func withPostgres(fn func(dsn string) error) error {
	dsn, stop, err := storetest.Start()
	if err != nil {
		return err
	}
	defer stop()
	return fn(dsn)
}

func run(contacts, kills int, postgres bool, seed uint64) error {
	dir, err := os.MkdirTemp("", "duly-crash-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w := &world{dir: dir, contacts: contacts, dsn: filepath.Join(dir, "duly.db"), sink: newSink(), rand: rand.New(rand.NewPCG(seed, 1)), options: "node: {lease: 2s}\n", lease: leaseMin}
	fmt.Printf("seed %d\n", seed)
	if postgres {
		dsn, stop, err := storetest.Start()
		if err != nil {
			return err
		}
		defer stop()
		w.dsn = dsn
	}
	if err := w.prepare(); err != nil {
		return err
	}
	defer w.sink.close()
	began := time.Now()
	for k := range kills {
		// Each kill comes at a random point of what is still to be sent.
		if err := w.serveUntilKilled(w.sink.total() + w.rand.IntN(max(1, (contacts-w.sink.total())/2)+1)); err != nil {
			return err
		}
		w.killed++
		fmt.Printf("kill -9 no. %d with %d at the sink\n", k+1, w.sink.total())
	}
	restarted := time.Now()
	if err := w.serveUntilDone(); err != nil {
		return err
	}
	fmt.Printf("done after the last kill in %.1f s; whole run %.1f s\n", time.Since(restarted).Seconds(), time.Since(began).Seconds())
	return w.judge()
}

// world is one run: the store, the sink and the server's command line.
type world struct {
	dir, dsn, bin, addr string
	contacts            int
	killed              int
	sink                *sink
	rand                *rand.Rand
	second              int    // every how manyth person has a second loan, due a day later; 0: nobody
	options             string // more of the configuration
	lease               time.Duration
	celled              bool   // the configuration names the stores, dsn none
	tags                string // of the build
}

// leaseMin is the lease of a try: longer than the carrier's time-out.
const leaseMin = 6 * time.Second

// workers is how many messages a server has on the way at one time.
const workers = 64

const config = `listen: %s
lender: {name: Crash Test, service_phone: "100", timezone: %s}
strategies: [%s]
packs: [policy-default]
feed_max_age: 24h
lease: %s
tick: 200ms
workers: %d
%scarriers:
  sink:
    channels: [sms]
    webhook: {url: "%s", secrets: ["` + secret + `"], callback_secrets: ["` + secret + `"], timeout: 5s}
`

// secret is what messages and receipts are signed with.
const secret = "crash-test-secret-of-32-bytes-min"

const strategyText = `name: crash
title: {zh: 崩溃测试, en: crash test}
steps:
  - id: tomorrow
    at: due-1d
    window: {from: "08:30", to: "20:30"}
    channels: [{channel: sms}]
    tone: friendly
    template: due-tomorrow
    catch_up: expire
`

// capped is strategyText with an earlier step and a cap that keeps the two from reaching one person on one day.
const capped = `name: crash
title: {zh: 崩溃测试, en: crash test}
limits:
  - {per: calendar_day, max: 1}
steps:
  - id: tomorrow
    at: due-1d
    window: {from: "08:30", to: "20:30"}
    channels: [{channel: sms}]
    tone: friendly
    template: due-tomorrow
    catch_up: expire
  - id: soon
    at: due-2d
    window: {from: "08:30", to: "20:30"}
    channels: [{channel: sms}]
    tone: friendly
    template: due-soon
    catch_up: expire
`

// prepare builds the binary, writes the book and imports it.
func (w *world) prepare() error {
	if err := w.write(); err != nil {
		return err
	}
	for _, args := range [][]string{{"migrate"}, {"import", filepath.Join(w.dir, "book.jsonl"), "--mapping", "duly-jsonl"}, {"feed"}} {
		if out, err := w.command(args...).CombinedOutput(); err != nil {
			return fmt.Errorf("duly %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// write builds the binary and writes the book and the configuration.
func (w *world) write() error {
	w.bin = filepath.Join(w.dir, "duly")
	build := exec.Command("go", "build", "-tags", w.tags, "-o", w.bin, "github.com/dulyhq/duly/cmd/duly")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build duly: %w", err)
	}
	url, err := w.sink.listen()
	if err != nil {
		return err
	}
	if w.addr, err = freeAddr(); err != nil {
		return err
	}
	zone := noonZone(time.Now())
	path := filepath.Join(w.dir, "strategy.yaml")
	files := map[string]string{
		"duly.yaml":     fmt.Sprintf(config, w.addr, zone, path, w.lease, workers, w.options, url),
		"strategy.yaml": strategyText,
		"book.jsonl":    book(w.contacts, w.second, zone, time.Now()),
	}
	if w.second > 0 {
		files["strategy.yaml"] = capped
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// noonZone returns a zone without summer time in which it is about noon, so that every window is open now.
func noonZone(now time.Time) string {
	off := 12 - now.UTC().Hour() // hours east
	if off == 0 {
		return "Etc/GMT"
	}
	return fmt.Sprintf("Etc/GMT%+d", -off) // POSIX signs: Etc/GMT-8 is east
}

// book is one borrower, phone, loan and instalment due tomorrow for each contact; every second-th has another loan, due the
// day after.
func book(n, second int, zone string, now time.Time) string {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		panic("book: " + err.Error())
	}
	due, later := now.In(loc).AddDate(0, 0, 1).Format(time.DateOnly), now.In(loc).AddDate(0, 0, 2).Format(time.DateOnly)
	var b strings.Builder
	for i := range n {
		id := introduce(&b, i, zone)
		owe(&b, id, fmt.Sprintf("L%06d", i), due)
		if second > 0 && i%second == 0 {
			owe(&b, id, fmt.Sprintf("M%06d", i), later)
		}
	}
	return b.String()
}

// introduce writes the i-th borrower and a phone.
func introduce(b *strings.Builder, i int, zone string) (id string) {
	id = fmt.Sprintf("B%06d", i)
	fmt.Fprintf(b, `{"kind":"borrower","id":"%s","name":"Test %d","language":"en","country":"XX","zones":[{"name":"%s","source":"lender"}],"version":1}`+"\n", id, i, zone)
	fmt.Fprintf(b, `{"kind":"contact_point","borrower_id":"%s","id":"p","point_kind":"mobile","value":"+99900%06d","state":"active","version":1}`+"\n", id, i)
	return id
}

// owe writes a loan of one instalment.
func owe(b *strings.Builder, borrower, loan, due string) {
	fmt.Fprintf(b, `{"kind":"loan","borrower_id":"%s","id":"%s","schedule":"bullet","currency":"USD","principal":{"minor":10000,"currency":"USD"},"disbursed_on":"2026-01-01","version":1}`+"\n", borrower, loan)
	fmt.Fprintf(b, `{"kind":"installment","borrower_id":"%s","loan_id":"%s","no":1,"due_on":"%s","principal":{"minor":10000,"currency":"USD"},"interest":{"minor":100,"currency":"USD"},"fee":{"minor":0,"currency":"USD"},"version":1}`+"\n", borrower, loan, due)
}

func (w *world) command(args ...string) *exec.Cmd {
	where := []string{"--config", filepath.Join(w.dir, "duly.yaml"), "--store", w.dsn}
	if w.celled {
		where = where[:2]
	}
	args = append(where, args...)
	return exec.Command(w.bin, args...)
}

// doubtMax is what one kill may leave in doubt: one claim of 256 and the 64 workers.
const doubtMax = 256 + 64

// runLimit bounds every wait of the test.
const runLimit = 5 * time.Minute

// serveUntilKilled serves until the sink has counted that many, then kills the server.
func (w *world) serveUntilKilled(at int) error {
	cmd := w.command("serve")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	err := wait(func() (bool, error) { return w.sink.total() >= at || w.sink.total() >= w.contacts, nil })
	return errors.Join(err, cmd.Process.Kill(), ignoreKilled(cmd.Wait()))
}

// serveUntilDone serves until nothing waits any more, then stops the server as an operator would.
func (w *world) serveUntilDone() error {
	cmd := w.command("serve")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	err := wait(func() (bool, error) {
		counts, err := w.states()
		if err != nil {
			return false, nil // it is starting, or was just killed
		}
		return counts[duly.Planned]+counts[duly.Claimed] == 0 && sum(counts) == w.contacts, nil
	})
	if err != nil {
		return errors.Join(err, cmd.Process.Kill(), ignoreKilled(cmd.Wait()))
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("SIGTERM does not end the server with status 0: %w", err)
	}
	return nil
}

// judge counts and says whether the promise was kept.
func (w *world) judge() error {
	counts, err := w.states()
	if err != nil {
		return err
	}
	doubts, err := w.doubts()
	if err != nil {
		return err
	}
	inDoubt := map[duly.ContactID]bool{}
	proved := 0
	for _, a := range doubts {
		inDoubt[a.ContactID] = true
		if w.sink.count(a.ContactID) > 0 {
			proved++
		}
	}
	lost := w.contacts - sum(counts)
	twice := 0
	reached := 0
	for id, n := range w.sink.byContact() {
		if n > 1 {
			twice++
		}
		if !inDoubt[id] {
			reached++
		}
	}
	// Everything that is not in doubt must have reached the sink, and nothing else.
	lost += counts[duly.Accepted] + counts[duly.Delivered] - reached
	fmt.Printf("contacts %d: accepted %d, in doubt %d (of which %d did reach the sink); planned %d, claimed %d, failed %d\n",
		w.contacts, counts[duly.Accepted]+counts[duly.Delivered], len(doubts), proved, counts[duly.Planned], counts[duly.Claimed], counts[duly.Failed])
	fmt.Printf("lost %d, twice %d\n", lost, twice)
	out, err := w.command("audit", "verify").CombinedOutput()
	fmt.Printf("%s", out)
	switch {
	case err != nil:
		return fmt.Errorf("the audit does not hold: %w", err)
	case lost != 0 || twice != 0:
		return fmt.Errorf("%d lost, %d sent twice", lost, twice)
	case len(doubts) > w.killed*doubtMax:
		return fmt.Errorf("%d in doubt after %d kills: more than one claim and the workers for each", len(doubts), w.killed)
	case len(doubts) != counts[duly.InDoubt]:
		return fmt.Errorf("%d attempts are in doubt but %d contacts", len(doubts), counts[duly.InDoubt])
	case counts[duly.Accepted]+counts[duly.Delivered]+counts[duly.InDoubt] != w.contacts:
		return fmt.Errorf("%d contacts are neither accepted nor in doubt", w.contacts-counts[duly.Accepted]-counts[duly.Delivered]-counts[duly.InDoubt])
	}
	return nil
}

// states counts contacts by state, by the command a person would use.
func (w *world) states() (map[duly.ContactState]int, error) {
	out, err := w.command("status").Output()
	if err != nil {
		return nil, err
	}
	counts := map[duly.ContactState]int{}
	for line := range strings.Lines(string(out)) {
		var s string
		var n int
		if _, err := fmt.Sscanf(line, "%s %d", &s, &n); err == nil && duly.ContactState(s).Known() {
			counts[duly.ContactState(s)] = n
		}
	}
	return counts, nil
}

func (w *world) doubts() ([]duly.Attempt, error) {
	out, err := w.command("doubt", "list", "--json").Output()
	if err != nil {
		return nil, err
	}
	var d []duly.Attempt
	return d, json.Unmarshal(out, &d)
}

func sum(m map[duly.ContactState]int) int {
	n := 0
	for _, k := range m {
		n += k
	}
	return n
}

func wait(done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing more happened for %s", runLimit)
		case <-tick.C:
		}
	}
}

func ignoreKilled(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == -1 {
		return nil
	}
	return err
}

// freeAddr is an address that a server may have again after each death: not one of those that the system hands to connections and
// to whoever listens anywhere, for another process may be given it between a death and the next start.
func freeAddr() (string, error) {
	const low, high = 20_000, 32_768
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", low+rand.IntN(high-low))
		if ln, err := net.Listen("tcp", addr); err == nil {
			return addr, ln.Close()
		}
	}
	return "", fmt.Errorf("no port from %d to %d is free", low, high)
}

// sink is a provider that takes everything and counts it by attempt.
type sink struct {
	mu   sync.Mutex
	seen map[duly.ContactID]int
	at   map[duly.ContactID]time.Time // when it came first
	n    int
	srv  *http.Server
	open atomic.Int64 // connections

	delay time.Duration // before a message is answered
	hang  atomic.Bool   // it takes messages and answers none, until its caller gives up
	told  func(id duly.AttemptID)
}

func newSink() *sink {
	return &sink{seen: map[duly.ContactID]int{}, at: map[duly.ContactID]time.Time{}}
}

func (s *sink) listen() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s.srv = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, ConnState: func(_ net.Conn, to http.ConnState) {
		switch to {
		case http.StateNew:
			s.open.Add(1)
		case http.StateClosed:
			s.open.Add(-1)
		}
	}}
	go s.srv.Serve(ln)
	return "http://" + ln.Addr().String() + "/sms", nil
}

func (s *sink) close() { s.srv.Close() }

// ServeHTTP counts one message.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	attempt := duly.AttemptID(r.Header.Get("Duly-Attempt"))
	id, ok := attempt.Contact()
	if !ok {
		http.Error(w, "no attempt id", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	if s.seen[id]++; s.seen[id] == 1 {
		s.at[id] = time.Now()
	}
	s.n++
	s.mu.Unlock()
	time.Sleep(s.delay)
	if s.hang.Load() {
		<-r.Context().Done()
		return
	}
	w.WriteHeader(http.StatusAccepted)
	if s.told != nil {
		s.told(attempt)
	}
}

func (s *sink) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *sink) count(id duly.ContactID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[id]
}

// hasAll reports whether each of some contacts has come.
func (s *sink) hasAll(ids []duly.ContactID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(ids, func(id duly.ContactID) bool { return s.seen[id] == 0 })
}

func (s *sink) times() map[duly.ContactID]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *sink) byContact() map[duly.ContactID]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}
