// Command bench measures the main job in one run: import, plan, dispatch, memory, each beside the target it is to reach.
//
//	go run ./internal/sim/bench                       # SQLite, 1,000,000 instalments
//	go run ./internal/sim/bench -postgres             # the same on PostgreSQL, started for this run
//	go run ./internal/sim/bench -cells                # the same on two PostgreSQL behind a log of three servers
//
// The dispatch goes to a sink in this process that answers at once, so its cost is in the figures. For comparison the plan
// is set beside a bare INSERT … SELECT of the same due instalments, which knows no rules and keeps no reasons.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/webhook"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/stream/local"
)

func main() {
	n := flag.Int("instalments", 1_000_000, "how many instalments; every borrower has four")
	postgres := flag.Bool("postgres", false, "on PostgreSQL, started for this run; else on SQLite")
	celled := flag.Bool("cells", false, "two PostgreSQL behind a log of three servers, started for this run")
	due := flag.Bool("due", false, "every borrower has one instalment, due tomorrow: as many contacts as instalments")
	keep := flag.String("dir", "", "keep the store in this folder")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	step := flag.String("step", "", "profile this step alone: import, plan, bare SQL or dispatch")
	if local.Child() {
		return
	}
	flag.Parse()
	if err := run(*n, *due, *postgres, *celled, *keep, profiler{*profile, *step}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// profiler writes the CPU profile of a step, or of all.
type profiler struct{ path, step string }

// start begins a profile if it is wanted of what follows, "" being all, and returns what ends it.
func (p profiler) start(step string) func() {
	if p.path == "" || p.step != step {
		return func() {}
	}
	f, err := os.Create(p.path)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: no profile:", err)
		return func() {}
	}
	return pprof.StopCPUProfile
}

// start is the simulated day; its noon is inside every window.
var start = civil.On(2026, 3, 2)

func run(n int, due, postgres, celled bool, dir string, p profiler) error {
	defer p.start("")()
	if dir == "" {
		d, err := os.MkdirTemp("", "duly-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(d)
		dir = d
	}
	if celled {
		fmt.Printf("%s, %d cores, %d instalments, two cells behind a log\n\n", runtime.Version(), runtime.NumCPU(), n)
		return runCells(n, dir, p)
	}
	b := &bench{n: n, due: due, dir: dir, profiler: p, dsn: filepath.Join(dir, "duly.db")}
	if postgres {
		dsn, stop, err := storetest.Start()
		if err != nil {
			return err
		}
		defer stop()
		b.dsn = dsn
	}
	return b.run(context.Background())
}

type bench struct {
	n        int
	due      bool
	dir, dsn string
	share    engine.Share // of a cell
	app      *app.App
	leave    func() error
	sink     atomic.Int64
	profiler profiler
}

func (b *bench) run(ctx context.Context) error {
	fmt.Printf("%s, %d cores, %d instalments\n\n", runtime.Version(), runtime.NumCPU(), b.n)
	path := filepath.Join(b.dir, "book.csv")
	if err := writeBook(path, b.n, b.due); err != nil {
		return err
	}
	url, err := b.listen()
	if err != nil {
		return err
	}
	if err := b.open(ctx, url); err != nil {
		return err
	}
	defer b.app.Close()
	defer b.leave()
	for _, step := range []struct {
		name string
		run  func(context.Context, string) error
	}{{"import", b.imports}, {"plan", b.plan}, {"bare SQL", b.bare}, {"dispatch", b.dispatch}} {
		stop := b.profiler.start(step.name)
		err := step.run(ctx, path)
		stop()
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) open(ctx context.Context, url string) error {
	cfg := app.Default()
	cfg.Store, cfg.Share = b.dsn, b.share
	cfg.Node.Lease = app.Duration(time.Minute)
	cfg.Carriers = map[string]app.CarrierConfig{
		"sink": {Channels: []duly.Channel{duly.ChannelSMS, duly.ChannelPush, duly.ChannelRobot, duly.ChannelEmail},
			Kind: "webhook", Settings: &webhook.Config{URL: url, Secrets: []channel.Secret{channel.NewSecret("bench-secret-of-at-least-32-bytes!")}}},
	}
	a, err := app.New(ctx, cfg, app.Options{Create: true, Clock: func() time.Time { return time.Time{} }})
	if err != nil {
		return err
	}
	b.app = a
	b.leave, err = a.Join(ctx, "bench")
	return err
}

func (b *bench) imports(ctx context.Context, path string) error {
	m, err := app.LoadMapping("duly-book")
	if err != nil {
		return err
	}
	var rep engine.ImportReport
	t := stopwatch()
	rep, err = b.app.Engine.Import(ctx, start.At(0, b.app.Location).UTC(), path, engine.ImportOptions{Mapping: m})
	if err != nil {
		return err
	}
	if rep.Bad > 0 {
		return fmt.Errorf("the benchmark's own book has %d bad rows", rep.Bad)
	}
	t.report("import", rep.Good, "instalments/s", "≥ 150,000")
	return nil
}

func (b *bench) plan(ctx context.Context, _ string) error {
	now := start.At(5, b.app.Location).UTC()
	if err := b.app.Engine.FeedThrough(ctx, now, engine.FeedPayments, now); err != nil {
		return err
	}
	t := stopwatch()
	r, err := b.app.Engine.Plan(ctx, now)
	if err != nil {
		return err
	}
	t.report("plan", int64(r.Persons), "persons/s", "≥ 100,000")
	fmt.Printf("%10s %d persons looked at, %d contacts planned, %d blocked\n", "", r.Persons, r.Planned, r.Blocked)
	t = stopwatch()
	if r, err = b.app.Engine.Plan(ctx, now); err != nil {
		return err
	}
	t.report("plan again", int64(max(1, r.Persons)), "persons/s", "changes nothing")
	if r.New+r.Moved != 0 {
		return fmt.Errorf("planning twice changed %d contacts", r.New+r.Moved)
	}
	return nil
}

// bare is the yardstick: the same due instalments into a table, by one statement, without rules or reasons.
func (b *bench) bare(ctx context.Context, _ string) error {
	t := stopwatch()
	n, err := b.app.DB.BareInsert(ctx, start.Add(-30), start.Add(7))
	if err != nil {
		return err
	}
	t.report("bare SQL", n, "rows/s", "plan ≤ 2× its time")
	return nil
}

func (b *bench) dispatch(ctx context.Context, _ string) error {
	now := start.At(12*60, b.app.Location).UTC()
	if err := b.app.Engine.FeedThrough(ctx, now, engine.FeedPayments, now); err != nil {
		return err
	}
	var total engine.DispatchReport
	t := stopwatch()
	for more := true; more; {
		r, err := b.app.Engine.Dispatch(ctx, now)
		if err != nil {
			return err
		}
		total.Claimed += r.Claimed
		total.Accepted += r.Accepted
		total.InDoubt += r.InDoubt
		more = r.More
	}
	t.report("dispatch", int64(total.Accepted), "contacts/s", "≥ 10,000, ≤ 10 CPU-s per 100,000")
	fmt.Printf("%10s %d claimed, %d accepted, %d in doubt; %d at the sink\n", "", total.Claimed, total.Accepted, total.InDoubt, b.sink.Load())
	if b.sink.Load() != int64(total.Claimed) {
		return fmt.Errorf("claimed %d, sink counted %d", total.Claimed, b.sink.Load())
	}
	return nil
}

func (b *bench) listen() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		b.sink.Add(1)
		w.WriteHeader(http.StatusAccepted)
	})}
	go srv.Serve(ln)
	return "http://" + ln.Addr().String() + "/", nil
}

// timer measures wall and CPU time.
type timer struct {
	at  time.Time
	cpu time.Duration
}

func stopwatch() timer { return timer{time.Now(), cpu()} }

func (t timer) report(what string, n int64, unit, target string) {
	wall, used := time.Since(t.at), cpu()-t.cpu
	fmt.Printf("%-10s %10.0f %-14s %7.2f s  %5.1f CPU-s per 100,000  peak %4d MB  target %s\n",
		what, float64(n)/wall.Seconds(), unit, wall.Seconds(), used.Seconds()*1e5/float64(n), peakMB(), target)
}

// cpu is the processor time of this process and of all that it started: the database server's work is part of the job.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano()+u.Stime.Nano()) + offspring(os.Getpid())
}

// tick is the unit in which the kernel tells of other processes.
const tick = 10 * time.Millisecond

// offspring is the processor time of the processes below one, those included that have ended; zero where /proc is not.
func offspring(root int) time.Duration {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	children := map[int][]int{}
	used := map[int]int{}
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:])) // the name before may hold anything
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
		for _, f := range fields[11:15] { // utime, stime, and those of children that were waited for
			n, _ := strconv.Atoi(f)
			used[pid] += n
		}
	}
	total := 0
	for queue := children[root]; len(queue) > 0; queue = queue[1:] {
		total += used[queue[0]]
		queue = append(queue, children[queue[0]]...)
	}
	return time.Duration(total) * tick
}

func peakMB() int {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return int(u.Maxrss / 1024)
}

// writeBook writes one row per instalment: four to a borrower, due dates spread over 60 days around the start; or one, due
// the day after it.
func writeBook(path string, n int, tomorrow bool) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, strings.Join(bookColumns, ","))
	tiers := "AABBBCCDE"
	for i := range n {
		p, no := i/4, i%4+1
		due := start.Add((p*7)%60 - 20).AddMonths(no - 1)
		if tomorrow {
			p, no, due = i, 1, start.Add(1)
		}
		fmt.Fprintf(w, "B%07d,Test %d,zh-CN,CN,%c,Asia/Shanghai,+86100%08d,L%07d,HT%07d,instalment,equal_installment,CNY,4000.00,2026-01-05,true,%d,%s,1000.00,12.34,0.00\n",
			p, p, tiers[p%len(tiers)], p, p, p, no, due)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// bookColumns are those of the shipped mapping duly-book.
var bookColumns = []string{"borrower_id", "name", "language", "country", "tier", "zone", "mobile", "loan_id", "contract_no", "product", "schedule",
	"currency", "loan_principal", "disbursed_on", "auto_debit", "no", "due_on", "principal", "interest", "fee"}
