// Command stoplatency measures how soon a payment stops what is on its way: payments are posted at random while contacts
// stream out.
//
//	go run ./internal/sim/stoplatency -contacts 100000
//	go run ./internal/sim/stoplatency -contacts 100000 -postgres
//
// The engine, the store, the API over HTTP and the webhook are the real ones; around the webhook stands a recorder that
// notes when each POST begins, by the clock of the process that also posts the payments, so that no two clocks are compared.
// Half of the payments come through a second engine over the store, as through another process. It exits with status 1 if
// one POST began after the call that told of the payment was answered.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/webhook"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/message"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/strategy"
	"github.com/dulyhq/duly/internal/web/api"
)

func main() {
	contacts := flag.Int("contacts", 100_000, "how many contacts")
	postgres := flag.Bool("postgres", false, "on PostgreSQL, started for this run; else on SQLite")
	takes := flag.Duration("takes", 20*time.Millisecond, "how long the provider takes to answer a message")
	posters := flag.Int("posters", 8, "how many callers post payments, one after the other")
	pace := flag.Duration("pace", 20*time.Millisecond, "how long a caller waits between payments, in the mean")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of who pays when")
	flag.Parse()
	dir, err := os.MkdirTemp("", "duly-stop-")
	if err == nil {
		err = start(options{contacts: *contacts, posters: *posters, takes: *takes, pace: *pace, seed: *seed, dsn: filepath.Join(dir, "duly.db"), out: os.Stdout}, *postgres)
		os.RemoveAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stoplatency:", err)
		os.Exit(1)
	}
}

func start(o options, postgres bool) error {
	if !postgres {
		return run(o)
	}
	dsn, stop, err := storetest.Start()
	if err != nil {
		return err
	}
	defer stop()
	o.dsn = dsn
	return run(o)
}

type options struct {
	contacts, posters int
	takes, pace       time.Duration
	seed              uint64
	dsn               string
	out               io.Writer
}

// world is one run.
type world struct {
	options
	db     *store.DB
	engine *engine.Engine // that sends
	rec    *recorder
	urls   [2]string // of the API over the engine that sends, and over another
	done   atomic.Bool
	mu     sync.Mutex
	paid   []paid
}

// paid is a payment that was told of.
type paid struct {
	who              duly.BorrowerID
	posted, answered time.Time
	other            bool // through the engine that does not send
}

// recorder notes when POSTs begin.
type recorder struct {
	channel.Sender
	mu    sync.Mutex
	begun map[duly.BorrowerID]time.Time
}

// Send notes the instant and hands the message on.
func (r *recorder) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	now := time.Now()
	r.mu.Lock()
	r.begun[m.BorrowerID] = now
	r.mu.Unlock()
	return r.Sender.Send(ctx, m)
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.begun)
}

const strategyText = `name: stop
title: {zh: 停止, en: stop}
steps:
  - id: tomorrow
    at: due-1d
    window: {from: "00:00", to: "23:59"}
    channels: [{channel: sms}]
    tone: friendly
    template: due-tomorrow
    catch_up: expire
`

func run(o options) error {
	ctx := context.Background()
	fmt.Fprintf(o.out, "seed %d\n", o.seed)
	w := &world{options: o}
	sink := &http.Server{Handler: http.HandlerFunc(w.sink), ReadHeaderTimeout: 10 * time.Second}
	url, err := serve(sink)
	if err != nil {
		return err
	}
	defer sink.Close()
	if w.db, err = store.Create(ctx, o.dsn); err != nil {
		return err
	}
	defer w.db.Close()
	if err := w.engines(url); err != nil {
		return err
	}
	for i, e := range []*engine.Engine{w.engine, w.other()} {
		srv := &http.Server{Handler: api.New(api.Deps{Engine: e, DB: w.db, Log: slog.New(slog.DiscardHandler), Now: time.Now}), ReadHeaderTimeout: 10 * time.Second}
		if w.urls[i], err = serve(srv); err != nil {
			return err
		}
		defer srv.Close()
	}
	if err := w.book(ctx); err != nil {
		return err
	}
	if err := w.stream(ctx); err != nil {
		return err
	}
	return w.judge()
}

// sink takes every message, after a while.
func (w *world) sink(rw http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	time.Sleep(w.takes)
	rw.WriteHeader(http.StatusAccepted)
}

func serve(s *http.Server) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go s.Serve(ln)
	return "http://" + ln.Addr().String(), nil
}

// engines makes the engine that sends.
func (w *world) engines(url string) error {
	hook, err := webhook.New("sink", webhook.Config{URL: url, Secrets: []channel.Secret{channel.NewSecret("stop-latency-secret-of-32-bytes!!")}, Serves: []duly.Channel{duly.ChannelSMS}}, channel.Host{})
	if err != nil {
		return err
	}
	w.rec = &recorder{Sender: hook, begun: map[duly.BorrowerID]time.Time{}}
	w.engine, err = w.make(nil)
	return err
}

// other makes an engine that holds no bucket: it takes facts, as another process over the store does.
func (w *world) other() *engine.Engine {
	e, err := w.make(engine.NewHoldingOf(time.Now, engine.Share{}))
	if err != nil {
		panic("stoplatency: " + err.Error()) // the first engine was made of the same
	}
	return e
}

func (w *world) make(h *engine.Holding) (*engine.Engine, error) {
	s, err := strategy.Load("stop.yaml", []byte(strategyText))
	if err != nil {
		return nil, err
	}
	packs, err := app.LoadPacks([]string{"policy-default"})
	if err != nil {
		return nil, err
	}
	var words *message.Set
	if words, err = app.LoadTemplates(""); err != nil {
		return nil, err
	}
	cals, err := civil.BuiltIn()
	if err != nil {
		return nil, err
	}
	return engine.New(engine.Deps{
		DB: w.db, Strategies: []*strategy.Strategy{s}, Packs: packs, Calendars: cals, Messages: words,
		Carriers: map[duly.Channel][]channel.Sender{duly.ChannelSMS: {w.rec}}, Holding: h,
	}, engine.Config{
		Location: noonZone(time.Now()), Lender: "Stop", ServicePhone: "100", FeedMaxAge: 24 * time.Hour, Lease: 2 * time.Minute, Workers: 64, Clock: time.Now,
		Law: &rule.Lender{},
	})
}

// noonZone returns a zone in which it is about noon.
func noonZone(now time.Time) *time.Location {
	loc, err := time.LoadLocation(zoneName(now))
	if err != nil {
		panic("noonZone: " + err.Error())
	}
	return loc
}

func zoneName(now time.Time) string {
	off := 12 - now.UTC().Hour()
	if off == 0 {
		return "Etc/GMT"
	}
	return fmt.Sprintf("Etc/GMT%+d", -off) // POSIX signs
}

func borrower(i int) duly.BorrowerID { return duly.BorrowerID(fmt.Sprintf("B%06d", i)) }

const owed = 10_000

// book makes people who owe one instalment tomorrow each, and plans.
func (w *world) book(ctx context.Context) error {
	now := time.Now().UTC()
	today := civil.In(now, noonZone(now))
	zone := duly.Zone{Name: zoneName(now), Source: duly.ZoneAddress}
	var facts []duly.Fact
	for i := range w.contacts {
		id := borrower(i)
		loan := duly.LoanID("L" + string(id))
		facts = append(facts,
			&duly.Borrower{ID: id, Name: "Test", Language: "en", Country: "XX", Zones: []duly.Zone{zone}, Version: 1},
			&duly.ContactPoint{BorrowerID: id, ID: "p", Kind: duly.PointMobile, Value: fmt.Sprintf("+99900%06d", i), State: duly.PointActive, Version: 1},
			&duly.Loan{BorrowerID: id, ID: loan, Schedule: duly.Bullet, Currency: "USD", Principal: money.New(owed, "USD"), DisbursedOn: today.Add(-30), Version: 1},
			&duly.Installment{BorrowerID: id, LoanID: loan, No: 1, DueOn: today.Add(1), Principal: money.New(owed, "USD"), Interest: money.New(0, "USD"), Fee: money.New(0, "USD"), Version: 1})
	}
	for part := range slices.Chunk(facts, 20_000) {
		if _, err := w.engine.Apply(ctx, now, "book", part); err != nil {
			return err
		}
	}
	now = time.Now().UTC()
	if err := w.engine.FeedThrough(ctx, now, engine.FeedPayments, now); err != nil {
		return err
	}
	_, err := w.engine.Plan(ctx, now)
	return err
}

// stream sends while payments come in.
func (w *world) stream(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make(chan error, w.posters)
	began := time.Now()
	for p := range w.posters {
		wg.Go(func() { errs <- w.post(p) })
	}
	var sendErr error
	for more := true; more && sendErr == nil; {
		r, err := w.engine.Step(ctx, time.Now().UTC())
		sendErr, more = err, r.More || r.Dispatched.Due > 0
	}
	fmt.Fprintf(w.out, "%d of %d contacts sent in %.1f s\n", w.rec.count(), w.contacts, time.Since(began).Seconds())
	w.done.Store(true)
	wg.Wait()
	close(errs)
	for err := range errs {
		sendErr = errors.Join(sendErr, err)
	}
	return sendErr
}

// post posts payments of persons at random until all is sent; each poster has persons of its own.
func (w *world) post(p int) error {
	r := rand.New(rand.NewPCG(w.seed, uint64(p)))
	for n := 0; !w.done.Load() && n < w.contacts/w.posters/4; n++ {
		i := r.IntN(w.contacts/w.posters)*w.posters + p
		who := borrower(i)
		other := n%2 == 1
		body, err := json.Marshal(duly.Payment{
			BorrowerID: who, ID: duly.PaymentID(fmt.Sprintf("P%d-%d", p, n)), LoanID: duly.LoanID("L" + string(who)), Amount: money.New(owed, "USD"),
			ValueAt: time.Now().UTC(), ArrivedAt: time.Now().UTC(), Version: 1,
		})
		if err != nil {
			return err
		}
		url := w.urls[0]
		if other {
			url = w.urls[1]
		}
		time.Sleep(rand.N(2*w.pace + 1))
		posted := time.Now()
		resp, err := http.Post(url+"/v1/payments", "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		answered := time.Now()
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("payment: %s: %s", resp.Status, answer)
		}
		w.mu.Lock()
		w.paid = append(w.paid, paid{who, posted, answered, other})
		w.mu.Unlock()
	}
	return nil
}

// judge prints the distributions, and fails if a POST began after the answer to its payment.
func (w *world) judge() error {
	late := 0
	for _, other := range []bool{false, true} {
		name := "the process that sends"
		if other {
			name = "another process"
		}
		var answered, begun []time.Duration
		before, never, after := 0, 0, 0
		seen := map[duly.BorrowerID]bool{}
		for _, p := range w.paid {
			if p.other != other || seen[p.who] { // who had paid before has nothing left to stop
				continue
			}
			seen[p.who] = true
			answered = append(answered, p.answered.Sub(p.posted))
			at, sent := w.rec.begun[p.who]
			switch {
			case !sent:
				never++
			case at.Before(p.posted):
				before++
			default:
				begun = append(begun, at.Sub(p.posted))
				if at.After(p.answered) {
					after++
				}
			}
		}
		late += after
		fmt.Fprintf(w.out, "through %s: %d payments; posted to answered %s; sent before %d, never sent %d, POST begun meanwhile %d (%s after it was posted); begun after the answer %d\n",
			name, len(answered), spread(answered), before, never, len(begun), spread(begun), after)
		if len(answered) == 0 || never == 0 {
			return errors.New("no payment stopped anything: the run shows nothing")
		}
	}
	if late > 0 {
		return fmt.Errorf("%d POSTs began after the call that told of the payment was answered", late)
	}
	return nil
}

// spread writes the median, the 99th percentile and the greatest of durations.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "none"
	}
	slices.Sort(d)
	at := func(q float64) time.Duration {
		return d[min(len(d)-1, int(q*float64(len(d))))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %s p99 %s max %s", at(0.5), at(0.99), at(1))
}
