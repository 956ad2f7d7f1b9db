package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/dulyhq/duly/internal/store/storetest"
)

// sendArgs is a message whose words are made and which the law allows: all that Duly decides was decided before.
type sendArgs struct {
	Contact string `json:"contact"`
	To      string `json:"to"`
	Text    string `json:"text"`
}

// Kind names the jobs.
func (sendArgs) Kind() string { return "send" }

// sendWorker posts a message as durably as Duly does: that it is about to is committed before, what became of it after.
// What fails is tried again, as River does; so is what got no answer.
type sendWorker struct {
	river.WorkerDefaults[sendArgs]
	pool   *pgxpool.Pool
	client *http.Client
	url    string
	done   *atomic.Int64 // that were accepted
}

const (
	logTable = "CREATE TABLE send_log (contact TEXT NOT NULL, try INT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL, " +
		"claimed_at TIMESTAMPTZ NOT NULL, ended_at TIMESTAMPTZ, PRIMARY KEY (contact, try))"
	logIntent  = "INSERT INTO send_log (contact, try, body, state, claimed_at) VALUES ($1, $2, $3, 'open', now())"
	logOutcome = "UPDATE send_log SET state = $3, ended_at = now() WHERE contact = $1 AND try = $2"
)

// Work sends one message.
func (w *sendWorker) Work(ctx context.Context, job *river.Job[sendArgs]) error {
	body, err := json.Marshal(job.Args)
	if err != nil {
		return err
	}
	if _, err := w.pool.Exec(ctx, logIntent, job.Args.Contact, job.Attempt, job.Args.Text); err != nil {
		return err
	}
	state, failure := "accepted", w.post(ctx, fmt.Sprintf("%s-%d", job.Args.Contact, job.Attempt), body)
	if failure != nil {
		state = "failed"
	}
	_, err = w.pool.Exec(ctx, logOutcome, job.Args.Contact, job.Attempt, state)
	if failure == nil && err == nil {
		w.done.Add(1)
	}
	return errors.Join(failure, err)
}

func (w *sendWorker) post(ctx context.Context, id string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set(headerAttempt, id)
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// atOnce tries again without a wait, so that the wait is not measured.
type atOnce struct{}

// NextRetry returns now.
func (atOnce) NextRetry(*rivertype.JobRow) time.Time { return time.Now() }

// riverCase inserts the jobs, then starts the client: that is when they are due.
func riverCase(ctx context.Context, r *result, sink *sinkProcess) error {
	dsn, stop, err := storetest.Start()
	if err != nil {
		return err
	}
	defer stop()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return err
	}
	cfg.MaxConns = int32(r.Conns)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	var done atomic.Int64
	client, err := newRiver(ctx, pool, r, sink.url, &done)
	if err != nil {
		return err
	}
	m := newMeter(dsn)
	if err := pool.QueryRow(ctx, "SHOW server_version").Scan(&r.Database); err != nil {
		return err
	}
	if err := insertJobs(ctx, client, m, r.Contacts); err != nil {
		return err
	}
	if err := sink.begin(r.Sink); err != nil {
		return err
	}
	m.start()
	if err := client.Start(ctx); err != nil {
		return err
	}
	for done.Load() < int64(r.Contacts) && ctx.Err() == nil { // asking the table all the time would be in the figures
		time.Sleep(10 * time.Millisecond)
	}
	for left := 1; left > 0; time.Sleep(10 * time.Millisecond) {
		if left, err = count(ctx, pool, "state NOT IN ('completed', 'discarded', 'cancelled')"); err != nil {
			return err
		}
	}
	m.stop("dispatch", int64(r.Contacts), "contacts")
	if r.Sent, err = sink.end(); err != nil {
		return err
	}
	r.Sent.Asked = r.Contacts
	if r.Sent.Failed, err = count(ctx, pool, "state <> 'completed'"); err != nil {
		return err
	}
	r.Steps = m.steps
	return client.Stop(ctx)
}

func newRiver(ctx context.Context, pool *pgxpool.Pool, r *result, url string, done *atomic.Int64) (*river.Client[pgx.Tx], error) {
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, logTable); err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &sendWorker{pool: pool, done: done, url: url + "/", client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: r.Workers, MaxIdleConns: r.Workers, DisableCompression: true}}})
	return river.NewClient(driver, &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: r.Workers}}, Workers: workers,
		// The shortest that River allows: its default of 100 ms would leave the workers idle.
		FetchCooldown: river.FetchCooldownMin, FetchPollInterval: 50 * time.Millisecond,
		RetryPolicy: atOnce{}, Logger: slog.New(slog.DiscardHandler),
	})
}

const insertMax = 5000

func insertJobs(ctx context.Context, client *river.Client[pgx.Tx], m *meter, n int) error {
	m.start()
	for at := 0; at < n; at += insertMax {
		var jobs []river.InsertManyParams
		for i := at; i < min(n, at+insertMax); i++ {
			jobs = append(jobs, river.InsertManyParams{Args: sendArgs{fmt.Sprintf("c%030d", i), fmt.Sprintf("+861%09d", i),
				"【示例消金】您尾号 0001 的借款本期应还 1012.34 元，将于明天（3 月 3 日）到期，请提前存入足额款项。如已还款请忽略。客服 95000"}})
		}
		if _, err := client.InsertManyFast(ctx, jobs); err != nil {
			return err
		}
	}
	m.stop("insert", int64(n), "jobs")
	return nil
}

func count(ctx context.Context, pool *pgxpool.Pool, where string) (n int, err error) {
	return n, pool.QueryRow(ctx, "SELECT COUNT(*) FROM river_job WHERE "+where).Scan(&n)
}
