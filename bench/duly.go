package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/webhook"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/stream"
	"github.com/dulyhq/duly/internal/stream/local"
)

// start is the simulated day; by its noon every contact of the day is due.
var start = civil.On(2026, 3, 2)

const partitions = 16

// dulyJob is Duly at work on one store, or on the cells behind a log.
type dulyJob struct {
	r     *result
	m     *meter
	sites []*app.App        // one, or one per cell
	pub   *stream.Publisher // nil where there is no log
	sink  *sinkProcess
	dir   string
	from  time.Time    // the wall clock when the dispatch began
	ahead atomic.Int64 // how far the simulated clock was put on since
	live  atomic.Bool  // the clock runs
	end   []func() error
}

// nodeLease outlasts any hiccup of a case: what is measured is not how leases are lost.
const nodeLease = app.Duration(time.Minute)

// dulyCase does the main job from a file to what people ask afterwards; a growth case sets bare SQL beside the plan.
func dulyCase(ctx context.Context, r *result, sink *sinkProcess, dir string) (err error) {
	j := &dulyJob{r: r, m: newMeter(), sink: sink, dir: dir}
	defer func() { err = errors.Join(err, j.close()) }()
	if err := j.open(ctx); err != nil {
		return err
	}
	todo := []func(context.Context) error{j.imports, j.plan, j.bare, j.dispatch, j.receipts, j.payments, j.explain}
	if r.Sizes == 0 {
		todo = slices.Delete(todo, 2, 3)
	}
	for _, step := range todo {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.Steps = j.m.steps
	return nil
}

func serverVersion(ctx context.Context, dsn string) (v string, err error) {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	return v, c.QueryRow(ctx, "SHOW server_version").Scan(&v)
}

// close undoes what open did, the last first.
func (j *dulyJob) close() (err error) {
	for _, end := range slices.Backward(j.end) {
		err = errors.Join(err, end())
	}
	return err
}

// open opens the store, or two cells behind a log of one server, each on a database server of its own.
func (j *dulyJob) open(ctx context.Context) error {
	cells := 1
	if j.r.System == "duly-cells" {
		cells = 2
	}
	for i := range cells {
		dsn := filepath.Join(j.dir, "duly.db")
		if j.r.System != "duly-sqlite" {
			var stop func()
			var err error
			if dsn, stop, err = storetest.Start(); err != nil {
				return err
			}
			j.end = append(j.end, func() error { stop(); return nil })
			j.m.watch(dsn)
			if j.r.Database, err = serverVersion(ctx, dsn); err != nil {
				return err
			}
		}
		if err := j.site(ctx, dsn, i, cells); err != nil {
			return err
		}
	}
	if cells == 1 {
		return nil
	}
	return j.openLog(ctx)
}

// site opens the i-th of so many stores, and leases what is its.
func (j *dulyJob) site(ctx context.Context, dsn string, i, cells int) error {
	cfg := app.Default()
	cfg.Store, cfg.Workers, cfg.Node.Lease = dsn, j.r.Workers/cells, nodeLease
	cfg.Carriers = map[string]app.CarrierConfig{"sink": {
		Channels: []duly.Channel{duly.ChannelSMS, duly.ChannelPush, duly.ChannelRobot, duly.ChannelEmail},
		Kind:     "webhook", Settings: &webhook.Config{URL: j.sink.url + "/", Connections: cfg.Workers, Timeout: sendTimeout,
			Secrets: []channel.Secret{channel.NewSecret("bench-secret-of-at-least-32-bytes!")}},
	}}
	o := app.Options{Create: true, Clock: j.clock}
	if j.r.System == "duly-partitioned" {
		o.Partitions = partitions
	}
	if cells > 1 {
		size := cfg.Stream.Parts / cells
		cfg.Cells = []app.CellConfig{{Name: "x", Store: dsn, Parts: []int{i * size, (i+1)*size - 1}}}
		var err error
		if cfg, err = cfg.Cell("x"); err != nil {
			return err
		}
	}
	a, err := app.New(ctx, cfg, o)
	if err != nil {
		return err
	}
	j.sites, j.end = append(j.sites, a), append(j.end, a.Close)
	leave, err := a.Join(ctx, "bench")
	j.end = append(j.end, leave)
	return err
}

// openLog starts a log in this process, which has every command on disk before it answers, and the workers of the cells.
func (j *dulyJob) openLog(ctx context.Context) error {
	s, err := local.Start(local.Options{Dir: filepath.Join(j.dir, "log")})
	if err != nil {
		return err
	}
	j.end = append(j.end, func() error { s.Stop(); return nil })
	l, err := stream.Open(ctx, stream.Config{URLs: []string{s.URL()}, Name: "bench", Parts: j.sites[0].Config.Stream.Parts, Replicas: 1})
	if err != nil {
		return err
	}
	j.end = append(j.end, func() error { l.Close(); return nil })
	j.pub, err = stream.NewPublisher(l, func() (out []*engine.Engine, err error) {
		for _, a := range j.sites {
			out = append(out, a.Engine)
		}
		return out, nil
	})
	if err != nil {
		return err
	}
	j.pub.Patience = caseLimit
	working, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	for _, a := range j.sites {
		work.Go(func() { l.Work(working, a.Engine, func() {}) })
	}
	j.end = append(j.end, func() error { stop(); work.Wait(); return j.pub.Close() })
	return nil
}

// each runs fn for all stores at once.
func (j *dulyJob) each(fn func(a *app.App) error) error {
	errs := make([]error, len(j.sites))
	var wg sync.WaitGroup
	for i, a := range j.sites {
		wg.Go(func() { errs[i] = fn(a) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// feed tells every store that all payments up to an instant are known.
func (j *dulyJob) feed(ctx context.Context, at time.Time) error {
	return j.each(func(a *app.App) error { return a.Engine.FeedThrough(ctx, at, engine.FeedPayments, at) })
}

func (j *dulyJob) at(hour int) time.Time {
	return start.At(civil.Clock(hour*60), j.sites[0].Location).UTC()
}

// clock is the engine's: noon of the simulated day and on, once the dispatch has begun.
func (j *dulyJob) clock() time.Time {
	if !j.live.Load() {
		return time.Time{}
	}
	return j.at(12).Add(time.Since(j.from) + time.Duration(j.ahead.Load()))
}

func (j *dulyJob) imports(ctx context.Context) error {
	n, write, book := j.r.Sizes, writeSpread, filepath.Join(j.dir, "book.csv")
	if n == 0 {
		n, write = j.r.Contacts, writeDue
	}
	if err := write(book, n); err != nil {
		return err
	}
	m, err := app.LoadMapping("duly-book")
	if err != nil {
		return err
	}
	opt := engine.ImportOptions{Mapping: m}
	if j.pub != nil {
		opt.Way = j.pub.Way()
	}
	j.m.start()
	rep, err := j.sites[0].Engine.Import(ctx, j.at(0), book, opt)
	if err != nil {
		return err
	}
	if rep.Bad > 0 {
		return fmt.Errorf("the benchmark's own book has %d bad rows", rep.Bad)
	}
	j.m.stop("import", rep.Good, "instalments")
	return nil
}

func (j *dulyJob) plan(ctx context.Context) error {
	now := j.at(5)
	if err := j.feed(ctx, now); err != nil {
		return err
	}
	var persons, planned atomic.Int64
	j.m.start()
	err := j.each(func(a *app.App) error {
		r, err := a.Engine.Plan(ctx, now)
		persons.Add(int64(r.Persons))
		planned.Add(int64(r.Planned))
		return err
	})
	if err != nil {
		return err
	}
	j.m.stop("plan", persons.Load(), "persons")
	j.r.Sent.Asked = int(planned.Load())
	return nil
}

// bare is the yardstick of the plan: the same due instalments into a table, by one statement, without rules or reasons.
func (j *dulyJob) bare(ctx context.Context) error {
	var rows atomic.Int64
	j.m.start()
	err := j.each(func(a *app.App) error {
		n, err := a.DB.BareInsert(ctx, start.Add(-30), start.Add(7))
		rows.Add(n)
		return err
	})
	j.m.stop("bare SQL", rows.Load(), "rows")
	return err
}

// dispatch sends all that is due. When nothing is left but what waits to be tried again, the clock is put on, so that the
// wait is not measured.
func (j *dulyJob) dispatch(ctx context.Context) error {
	if err := j.feed(ctx, j.at(12)); err != nil {
		return err
	}
	if err := j.sink.begin(j.r.Sink); err != nil {
		return err
	}
	j.from = time.Now()
	j.live.Store(true)
	j.m.start()
	for {
		err := j.each(func(a *app.App) error {
			for more := true; more; {
				r, err := a.Engine.Dispatch(ctx, j.clock())
				if err != nil {
					return err
				}
				more = r.More
			}
			return nil
		})
		if err != nil {
			return err
		}
		counts, err := j.counts(ctx)
		if err != nil {
			return err
		}
		if counts[duly.Planned] == 0 {
			j.m.stop("dispatch", int64(j.r.Sent.Asked), "contacts")
			return j.count(counts)
		}
		j.ahead.Add(int64(time.Minute))
	}
}

// counts are the contacts of all stores by state.
func (j *dulyJob) counts(ctx context.Context) (map[duly.ContactState]int, error) {
	sum := map[duly.ContactState]int{}
	for _, a := range j.sites {
		counts, err := a.DB.CountContacts(ctx)
		if err != nil {
			return nil, err
		}
		for state, n := range counts {
			sum[state] += n
		}
	}
	return sum, nil
}

func (j *dulyJob) count(counts map[duly.ContactState]int) error {
	t, err := j.sink.end()
	if err != nil {
		return err
	}
	t.Asked, t.InDoubt, t.Failed = j.r.Sent.Asked, counts[duly.InDoubt], counts[duly.Failed]+counts[duly.Cancelled]
	j.r.Sent = t
	return nil
}

// batch is how many receipts or payments a call brings.
const batch = 500

// receipts tells of every message that was taken that it was delivered, and has the contacts moved on.
func (j *dulyJob) receipts(ctx context.Context) error {
	all, err := j.delivered(ctx)
	if err != nil {
		return err
	}
	var moved atomic.Int64
	j.m.start()
	for some := range slices.Chunk(all, batch) {
		if err := j.accept(ctx, some); err != nil {
			return err
		}
	}
	err = j.each(func(a *app.App) error {
		for more := true; more; {
			r, err := a.Engine.Receive(ctx, j.clock())
			if err != nil {
				return err
			}
			moved.Add(int64(r.Moved))
			more = r.More
		}
		return nil
	})
	if err != nil {
		return err
	}
	j.m.stop("receipts", int64(len(all)), "receipts")
	if int(moved.Load()) != len(all) {
		return fmt.Errorf("%d receipts moved %d contacts", len(all), moved.Load())
	}
	return nil
}

func (j *dulyJob) accept(ctx context.Context, some []duly.Receipt) error {
	var r engine.ReceiveReport
	if j.pub != nil {
		return j.pub.Accept(ctx, j.clock(), some, &r)
	}
	return j.sites[0].Engine.Accept(ctx, j.clock(), some, &r)
}

// delivered makes the receipts, in an order in which carriers might: not by bucket.
func (j *dulyJob) delivered(ctx context.Context) (all []duly.Receipt, err error) {
	err = j.contacts(ctx, func(tx *store.Tx, c *duly.Contact) error {
		if c.State != duly.Accepted {
			return nil
		}
		tries, err := tx.Attempts(c.ID)
		if err != nil {
			return err
		}
		last := tries[len(tries)-1]
		all = append(all, duly.Receipt{Provider: "sink", Key: string(last.ID), AttemptID: last.ID, Status: duly.ReceiptDelivered, At: j.clock()})
		return nil
	})
	shuffle(all)
	return all, err
}

// payments pays what was asked for, one payment for each person who was contacted.
func (j *dulyJob) payments(ctx context.Context) error {
	var all []duly.Fact
	seen := map[duly.BorrowerID]bool{}
	now := j.clock()
	err := j.contacts(ctx, func(_ *store.Tx, c *duly.Contact) error {
		if !seen[c.BorrowerID] {
			seen[c.BorrowerID] = true
			all = append(all, &duly.Payment{BorrowerID: c.BorrowerID, ID: duly.PaymentID("P" + c.BorrowerID), Amount: money.Amount{Minor: 101234, Currency: "CNY"},
				ValueAt: now, ArrivedAt: now, Method: "manual", Version: 1})
		}
		return nil
	})
	if err != nil {
		return err
	}
	shuffle(all)
	settled := 0
	j.m.start()
	for some := range slices.Chunk(all, batch) {
		applied, err := j.apply(ctx, now, some)
		if err != nil {
			return err
		}
		settled += applied.Settled
	}
	j.m.stop("payments", int64(len(all)), "payments")
	if settled < len(all) {
		return fmt.Errorf("%d payments settled %d instalments", len(all), settled)
	}
	return nil
}

func (j *dulyJob) apply(ctx context.Context, now time.Time, some []duly.Fact) (engine.Applied, error) {
	if j.pub != nil {
		return j.pub.Apply(ctx, now, "bench", some)
	}
	return j.sites[0].Engine.Apply(ctx, now, "bench", some)
}

// explained is how many people are asked about.
const explained = 2000

// explain asks why, and why not, of people who were contacted.
func (j *dulyJob) explain(ctx context.Context) error {
	var all []*duly.Contact
	if err := j.contacts(ctx, func(_ *store.Tx, c *duly.Contact) error { all = append(all, c); return nil }); err != nil {
		return err
	}
	shuffle(all)
	all = all[:min(explained, len(all))]
	now := j.clock()
	j.m.start()
	for _, c := range all {
		for _, a := range j.sites {
			if !a.Engine.Holding().Share().Has(c.BorrowerID.Bucket()) {
				continue
			}
			x, err := a.Engine.Why(ctx, now, c.BorrowerID, start)
			if err != nil {
				return err
			}
			if len(x.Recorded) == 0 || len(x.Considered) == 0 {
				return fmt.Errorf("a person who was contacted is explained by %d contacts and %d steps", len(x.Recorded), len(x.Considered))
			}
		}
	}
	j.m.stop("explain", int64(len(all)), "persons")
	return nil
}

// contacts calls fn for all contacts, bucket by bucket.
func (j *dulyJob) contacts(ctx context.Context, fn func(tx *store.Tx, c *duly.Contact) error) error {
	for _, a := range j.sites {
		for b := range duly.Buckets {
			if !a.Engine.Holding().Share().Has(b) {
				continue
			}
			err := a.DB.View(ctx, func(tx *store.Tx) error {
				all, err := tx.BucketContacts(b)
				for i := range all {
					if err == nil {
						err = fn(tx, &all[i])
					}
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// shuffle puts a list in the same disorder every time.
func shuffle[T any](v []T) {
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(v), func(i, k int) { v[i], v[k] = v[k], v[i] })
}

// writeDue writes a book of n people with one instalment each, due tomorrow: everybody is contacted today.
func writeDue(path string, n int) error {
	return writeBook(path, n, func(i int) (int, int, civil.Date) { return i, 1, start.Add(1) })
}

// writeSpread writes n instalments, four to a person, whose due days spread over 60 days around the start.
func writeSpread(path string, n int) error {
	return writeBook(path, n, func(i int) (int, int, civil.Date) { return i / 4, i%4 + 1, start.Add((i/4*7)%60 - 20).AddMonths(i % 4) })
}

func writeBook(path string, n int, row func(i int) (person, no int, due civil.Date)) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, strings.Join(bookColumns, ","))
	const tiers = "AABBBCCDE"
	for i := range n {
		p, no, due := row(i)
		fmt.Fprintf(w, "B%08d,Test %d,zh-CN,CN,%c,Asia/Shanghai,+861%09d,L%08d,HT%08d,instalment,equal_installment,CNY,4000.00,2026-01-05,true,%d,%s,1000.00,12.34,0.00\n",
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
