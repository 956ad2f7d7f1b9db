package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/webhook"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// start is the simulated day; by its noon every contact of the day is due.
var start = civil.On(2026, 3, 2)

const partitions = 16

// dulyJob is Duly at work on one store.
type dulyJob struct {
	r     *result
	m     *meter
	app   *app.App
	sink  *sinkProcess
	book  string
	from  time.Time    // the wall clock when the dispatch began
	ahead atomic.Int64 // how far the simulated clock was put on since
	live  atomic.Bool  // the clock runs
}

// dulyCase imports a book, plans it and dispatches; a growth case sets bare SQL beside the plan.
func dulyCase(ctx context.Context, r *result, sink *sinkProcess, dir string) error {
	dsn := filepath.Join(dir, "duly.db")
	var err error
	if r.System != "duly-sqlite" {
		var stop func()
		if dsn, stop, err = storetest.Start(); err != nil {
			return err
		}
		defer stop()
	}
	j := &dulyJob{r: r, m: newMeter(dsn), sink: sink, book: filepath.Join(dir, "book.csv")}
	if err := j.open(ctx, dsn); err != nil {
		return err
	}
	defer j.app.Close()
	if m := j.m; m.postmaster != 0 {
		if r.Database, err = serverVersion(ctx, dsn); err != nil {
			return err
		}
	}
	todo := []func(context.Context) error{j.imports, j.plan, j.dispatch}
	if r.Sizes > 0 {
		todo = []func(context.Context) error{j.imports, j.plan, j.bare, j.dispatch}
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

func (j *dulyJob) open(ctx context.Context, dsn string) error {
	cfg := app.Default()
	cfg.Store, cfg.Workers = dsn, j.r.Workers
	cfg.Carriers = map[string]app.CarrierConfig{"sink": {
		Channels: []duly.Channel{duly.ChannelSMS, duly.ChannelPush, duly.ChannelRobot, duly.ChannelEmail},
		Webhook: &webhook.Config{URL: j.sink.url + "/", Connections: j.r.Workers, Timeout: sendTimeout,
			Secrets: []channel.Secret{channel.NewSecret("bench-secret-of-at-least-32-bytes!")}},
	}}
	o := app.Options{Create: true, Clock: j.clock}
	if j.r.System == "duly-partitioned" {
		o.Partitions = partitions
	}
	a, err := app.New(ctx, cfg, o)
	j.app = a
	return err
}

// clock is the engine's: noon of the simulated day and on, once the dispatch has begun.
func (j *dulyJob) clock() time.Time {
	if !j.live.Load() {
		return time.Time{}
	}
	return start.At(12*60, j.app.Location).UTC().Add(time.Since(j.from) + time.Duration(j.ahead.Load()))
}

func (j *dulyJob) imports(ctx context.Context) error {
	n := j.r.Sizes
	write := writeSpread
	if n == 0 {
		n, write = j.r.Contacts, writeDue
	}
	if err := write(j.book, n); err != nil {
		return err
	}
	m, err := app.LoadMapping("duly-book")
	if err != nil {
		return err
	}
	j.m.start()
	rep, err := j.app.Engine.Import(ctx, start.At(0, j.app.Location).UTC(), j.book, engine.ImportOptions{Mapping: m})
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
	now := start.At(5*60, j.app.Location).UTC()
	if err := j.app.Engine.FeedThrough(ctx, now, engine.FeedPayments, now); err != nil {
		return err
	}
	j.m.start()
	r, err := j.app.Engine.Plan(ctx, now)
	if err != nil {
		return err
	}
	j.m.stop("plan", int64(r.Persons), "persons")
	j.r.Sent.Asked = r.Planned
	return nil
}

// bare is the yardstick of the plan: the same due instalments into a table, by one statement, without rules or reasons.
func (j *dulyJob) bare(ctx context.Context) error {
	j.m.start()
	n, err := j.app.DB.BareInsert(ctx, start.Add(-30), start.Add(7))
	j.m.stop("bare SQL", n, "rows")
	return err
}

// dispatch sends all that is due. When nothing is left but what waits to be tried again, the clock is put on, so that the
// wait is not measured.
func (j *dulyJob) dispatch(ctx context.Context) error {
	noon := start.At(12*60, j.app.Location).UTC()
	if err := j.app.Engine.FeedThrough(ctx, noon, engine.FeedPayments, noon); err != nil {
		return err
	}
	if err := j.sink.begin(j.r.Sink); err != nil {
		return err
	}
	j.from = time.Now()
	j.live.Store(true)
	j.m.start()
	claimed := 0
	for {
		r, err := j.app.Engine.Dispatch(ctx, j.clock())
		if err != nil {
			return err
		}
		claimed += r.Claimed
		if r.More {
			continue
		}
		counts, err := j.app.DB.CountContacts(ctx)
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

func (j *dulyJob) count(counts map[duly.ContactState]int) error {
	t, err := j.sink.end()
	if err != nil {
		return err
	}
	t.Asked, t.InDoubt, t.Failed = j.r.Sent.Asked, counts[duly.InDoubt], counts[duly.Failed]+counts[duly.Cancelled]
	j.r.Sent = t
	return nil
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
