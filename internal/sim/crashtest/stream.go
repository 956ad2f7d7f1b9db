package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/webhook"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/stream/local"
)

const (
	logParts = 16
	cellsMax = 2
	// sinkDelay is how long a message takes the sink: long enough that something is always on its way.
	sinkDelay = 300 * time.Millisecond
	// pauseFor is how long a worker is paused: longer than its lease, shorter than that of what it had in hand.
	pauseFor = 12 * time.Second
)

func cellName(i int) string { return string(rune('a' + i)) }

// streamRun is a fleet over cells behind a log.
type streamRun struct {
	fleet
	log     *local.Cluster
	cells   []*storetest.Server
	zone    string
	next    int // number of the next newcomer
	heals   map[harm][]time.Duration
	outages []outage
	began   time.Time // of the harm
}

// runStream runs a fleet over two cells behind a log and judges it.
func runStream(o nodesOptions) error {
	dir, err := os.MkdirTemp("", "duly-stream-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f := &streamRun{
		fleet: fleet{nodesOptions: o, paid: map[duly.BorrowerID]time.Time{}, never: map[duly.ContactID]bool{}},
		zone:  noonZone(time.Now()), next: o.contacts, heals: map[harm][]time.Duration{},
	}
	for range cellsMax {
		s, err := storetest.StartServer()
		if err != nil {
			return err
		}
		defer s.Stop()
		f.cells = append(f.cells, s)
	}
	if f.log, err = local.StartCluster(dir, 3); err != nil {
		return err
	}
	defer f.log.Stop()
	f.world = world{
		dir: dir, contacts: o.contacts, sink: newSink(), rand: rand.New(rand.NewPCG(o.seed, 2)), second: 10, celled: true,
		options: f.configure(), lease: 2 * pauseFor,
	}
	f.sink.delay = sinkDelay
	fmt.Fprintf(o.out, "seed %d, a message takes the sink %s\n", o.seed, f.sink.delay)
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
	f.table()
	return f.judgeFleet()
}

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

func (f *streamRun) configure() string {
	var b strings.Builder
	fmt.Fprintf(&b, "node: {lease: %s}\nstream: {urls: ['%s'], parts: %d, replicas: 3}\ncells:\n", f.nodesOptions.lease, strings.Join(f.log.URLs(), "', '"), logParts)
	each := logParts / cellsMax
	for i, c := range f.cells {
		fmt.Fprintf(&b, "  - {name: %s, store: \"%s\", parts: [%d, %d]}\n", cellName(i), c.DSN(), i*each, (i+1)*each-1)
	}
	return b.String()
}

// liveStream imports through the log, lets the servers work, harms everything, waits until all is done, and has the carrier tell of
// what is in doubt.
func (f *streamRun) liveStream() error {
	began := time.Now()
	if err := wait(f.well); err != nil {
		return fmt.Errorf("the servers do not become well: %w", err)
	}
	fmt.Fprintf(f.out, "log and cells ready after %.1f s\n", time.Since(began).Seconds())
	// Ahead of the book: a contact that is due while payments are not known waits for minutes.
	if err := f.tell("/v1/events", fmt.Sprintf(`{"events":[{"kind":"feed","through":"%s"}]}`, time.Now().UTC().Format(time.RFC3339)), nil); err != nil {
		return fmt.Errorf("feed: %w", err)
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
	feeding, fed := context.WithCancel(ctx)
	var feeders sync.WaitGroup
	fedErrs := make([]error, cellsMax)
	for cell := range cellsMax {
		feeders.Go(func() { fedErrs[cell] = f.feed(feeding, cell) })
	}
	f.began = time.Now()
	err := f.harmStream()
	fed()
	feeders.Wait()
	if err = errors.Join(append(fedErrs, err)...); err == nil {
		err = f.rest()
	}
	cancel()
	payers.Wait()
	fmt.Fprintf(f.out, "%d kill -9 and %d pauses; %d at the sink, all done after %.0f s\n", f.kills, f.pauses, f.sink.total(), time.Since(f.began).Seconds())
	if err == nil {
		err = f.resolve()
	}
	return errors.Join(err, f.stopAll(syscall.SIGTERM))
}

// well reports whether every server says so, and has all buckets of all cells shared out.
func (f *streamRun) well() (bool, error) {
	time.Sleep(100 * time.Millisecond) // to ask is work for them
	for _, s := range f.servers {
		res, err := http.Get("http://" + s.addr + "/healthz")
		if err != nil {
			return false, nil
		}
		var h struct {
			Status string `json:"status"`
			Cells  map[string]struct {
				Node struct {
					Unowned *int `json:"buckets_unowned"`
				} `json:"node"`
			} `json:"cells"`
		}
		err = json.NewDecoder(res.Body).Decode(&h)
		res.Body.Close()
		if err != nil || h.Status != "ok" || len(h.Cells) != cellsMax {
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

// resolve has the carrier tell, through the log, what became of every try in doubt: it knows each that it was given.
func (f *streamRun) resolve() error {
	var receipts []map[string]any
	for _, db := range f.dbs {
		doubts, err := db.InDoubt(context.Background(), "", time.Time{}, math.MaxInt32)
		if err != nil {
			return err
		}
		for _, a := range doubts {
			status := duly.ReceiptDelivered
			if f.sink.count(a.ContactID) == 0 {
				status, f.never[a.ContactID] = duly.ReceiptFailed, true
			}
			receipts = append(receipts, map[string]any{"key": "r-" + string(a.ID), "attempt": a.ID, "status": status, "at": time.Now().UTC()})
		}
	}
	fmt.Fprintf(f.out, "%d in doubt, of which %d had come to the carrier and %d had not; it tells\n", len(receipts), len(receipts)-len(f.never), len(f.never))
	for batch := range slices.Chunk(receipts, 500) {
		body, err := json.Marshal(map[string]any{"receipts": batch})
		if err != nil {
			return err
		}
		unix := time.Now().Unix()
		header := http.Header{webhook.HeaderTimestamp: {strconv.FormatInt(unix, 10)}, webhook.HeaderSignature: {webhook.Sign(channel.NewSecret(secret), unix, body)}}
		if err := f.tell("/v1/receipts/sink", string(body), header); err != nil {
			return fmt.Errorf("receipts: %w", err)
		}
	}
	return wait(func() (bool, error) {
		doubts := 0
		for _, db := range f.dbs {
			c, err := db.CountContacts(context.Background())
			if err != nil {
				return false, err
			}
			doubts += c[duly.InDoubt]
		}
		return doubts == 0, nil
	})
}
