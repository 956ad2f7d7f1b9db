package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// harm is what is done to a run of servers over cells behind a log.
type harm string

const (
	killedWorker harm = "kill -9 of a worker"
	killedLeader harm = "kill -9 of the log's leader"
	killedCell   harm = "kill -9 of a cell's PostgreSQL"
	pausedWorker harm = "a worker stopped for 12 s"
	movedPart    harm = "a part moved, the move killed"
)

// outage is a time in which one cell was away, as the other saw it.
type outage struct {
	other    int
	from, to time.Time
}

// harmStream kills a worker, the leader of the log and a cell, pauses a worker for longer than its lease, and moves a part, one after the other;
// over and over until the time is up, and each at least once. Each begins once everybody is well, and ends once people whom the
// cells hear of afterwards are written to.
func (f *streamRun) harmStream() error {
	until := time.Now().Add(f.lasts)
	for round := 0; round == 0 || time.Now().Before(until); round++ {
		cell := (round + 1) % cellsMax
		for _, harm := range []func() error{f.killWorker, f.killLeader, func() error { return f.killCell(cell) }, f.pauseWorker, func() error { return f.movePart(cell) }} {
			if err := wait(f.well); err != nil {
				return fmt.Errorf("the servers do not become well again: %w", err)
			}
			fmt.Fprintf(f.out, "%6.1f s  everybody is well\n", time.Since(f.began).Seconds())
			if err := f.busy(); err != nil {
				return fmt.Errorf("nothing is sent though everybody is well: %w", err)
			}
			if err := harm(); err != nil {
				return err
			}
		}
	}
	return nil
}

// healed notes how long it took until newcomers of cells were written to.
func (f *streamRun) healed(h harm, began time.Time, cells ...int) error {
	if err := f.newcomers(cells...); err != nil {
		return fmt.Errorf("after %s: %w", h, err)
	}
	took := time.Since(began)
	f.heals[h] = append(f.heals[h], took)
	fmt.Fprintf(f.out, "%6.1f s  %s, with %d at the sink by then; newcomers written to after %.1f s\n", time.Since(f.began).Seconds(), h, f.sink.total(), took.Seconds())
	return nil
}

func (f *streamRun) killWorker() error {
	s := f.servers[f.rand.IntN(len(f.servers))]
	f.kills++
	began := time.Now()
	if err := errors.Join(s.cmd.Process.Kill(), ignoreKilled(s.cmd.Wait())); err != nil {
		return err
	}
	err := f.healed(killedWorker, began, 0, 1) // by the others
	return errors.Join(err, f.start(s))
}

// pauseWorker pauses a worker, and lets it go on as one that does not know what happened meanwhile.
func (f *streamRun) pauseWorker() error {
	f.pauses++
	s := f.servers[f.rand.IntN(len(f.servers))]
	began := time.Now()
	woken := make(chan error, 1)
	go func() { woken <- f.pause(s, pauseFor) }()
	err := wait(func() (bool, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return s.paused, nil
	})
	return errors.Join(err, f.healed(pausedWorker, began, 0, 1), <-woken)
}

// killLeader kills the server of the log that leads the stream, and starts it again.
func (f *streamRun) killLeader() error {
	name, err := f.leader()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := f.log.Kill(name); err != nil {
		return err
	}
	err = f.healed(killedLeader, began, 0, 1) // by the two that are left
	return errors.Join(err, f.log.Start(name))
}

// leader waits until the stream has one.
func (f *streamRun) leader() (name string, err error) {
	conn, err := nats.Connect(strings.Join(f.log.URLs(), ","))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return "", err
	}
	err = wait(func() (bool, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s, err := js.Stream(ctx, "duly")
		if err != nil || s.CachedInfo().Cluster == nil {
			return false, nil
		}
		name = s.CachedInfo().Cluster.Leader
		return name != "", nil
	})
	return name, err
}

// awayFor is how long a cell is away at least.
const awayFor = 4 * time.Second

// killCell kills a cell's PostgreSQL. While it is away, as long as that takes, whom the other hears of is written to, and whoever
// pays there is answered; then it is started again.
func (f *streamRun) killCell(cell int) error {
	other := 1 - cell
	began := time.Now()
	if err := f.cells[cell].Kill(); err != nil {
		return err
	}
	f.kills++
	err := wait(func() (bool, error) {
		if err := f.newcomers(other); err != nil {
			return false, fmt.Errorf("cell %s stood still while cell %s was away: %w", cellName(other), cellName(cell), err)
		}
		return time.Since(began) > awayFor && f.answered(other, began, time.Now()) > 0, nil
	})
	back := time.Now()
	f.outages = append(f.outages, outage{other, began, back})
	if err := errors.Join(err, f.cells[cell].Restart()); err != nil {
		return err
	}
	return f.healed(killedCell, back, cell)
}

func (f *streamRun) cellOf(id duly.BorrowerID) int { return id.Bucket() * cellsMax / duly.Buckets }

// answered counts the persons of a cell whose first payment was answered in a span of time.
func (f *streamRun) answered(cell int, from, to time.Time) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, at := range f.paid {
		if f.cellOf(id) == cell && at.After(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// feed tells a cell of newcomers all the time, so that whatever is harmed has something in hand.
func (f *streamRun) feed(ctx context.Context, cell int) error {
	for ctx.Err() == nil {
		_, events := f.invent(cell, fedMax)
		if err := f.tell("/v1/events", events, nil); err != nil { // told to the end, for everybody who is counted must be known
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(feedEvery):
		}
	}
	return nil
}

// How many persons a cell is fed with, and how often.
const (
	fedMax    = 10
	feedEvery = 250 * time.Millisecond
)

// busy waits until messages come to the sink.
func (f *streamRun) busy() error {
	from := f.sink.total()
	return wait(func() (bool, error) { return f.sink.total() > from+fedMax, nil })
}

// newcomersMax is how many persons are told of at one time.
const newcomersMax = 20

// newcomers tells each of some cells of persons to whom something is due, and waits until the sink has a message for each of them.
func (f *streamRun) newcomers(cells ...int) error {
	errs := make([]error, len(cells))
	var told sync.WaitGroup
	for i, cell := range cells {
		ids, events := f.invent(cell, newcomersMax)
		told.Go(func() {
			if errs[i] = f.tell("/v1/events", events, nil); errs[i] != nil {
				return
			}
			if err := wait(func() (bool, error) { return f.sink.hasAll(ids), nil }); err != nil {
				errs[i] = fmt.Errorf("people of cell %s are not written to: %w", cellName(cell), err)
			}
		})
	}
	told.Wait()
	return errors.Join(errs...)
}

// invent makes persons of a cell, and returns the contacts that they are to get and the events that tell of them.
func (f *streamRun) invent(cell, many int) (contacts []duly.ContactID, events string) {
	loc, err := time.LoadLocation(f.zone)
	if err != nil {
		panic("invent: " + err.Error())
	}
	today := civil.In(time.Now(), loc)
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for ; len(contacts) < many; f.next++ {
		id := duly.BorrowerID(fmt.Sprintf("B%06d", f.next))
		if f.cellOf(id) != cell {
			continue
		}
		introduce(&b, f.next, f.zone)
		owe(&b, string(id), fmt.Sprintf("L%06d", f.next), today.Add(1).String())
		f.more = append(f.more, id)
		contacts = append(contacts, duly.NewContactID(id, "crash", "tomorrow", today, 0))
	}
	return contacts, `{"events":[` + strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", ",") + `]}`
}

// tell posts to any server that is up, again and again, until one answers that it is done. What comes twice changes nothing.
func (f *streamRun) tell(path, body string, header http.Header) error {
	client := &http.Client{Timeout: 40 * time.Second}
	return wait(func() (bool, error) {
		status, said := f.post(context.Background(), client, path, body, header)
		switch status {
		case http.StatusOK, http.StatusAccepted:
			return true, nil
		case 0, http.StatusServiceUnavailable:
			time.Sleep(20 * time.Millisecond)
			return false, nil
		}
		return false, fmt.Errorf("%s is answered %d %s", path, status, said)
	})
}

// post posts to one of the servers that are not paused. A status of 0 is no answer.
func (f *streamRun) post(ctx context.Context, client *http.Client, path, body string, header http.Header) (int, []byte) {
	f.mu.Lock()
	up := slices.DeleteFunc(slices.Clone(f.servers), func(s *server) bool { return s.paused })
	f.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+up[rand.IntN(len(up))].addr+path, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(res.Body)
	return res.StatusCode, said
}

// payersMax is how many calls about payments wait at one time, half of them of each cell: those of one that is away wait until it is back.
const payersMax = 12

// payAs tells of payments like [fleet.pay], of persons of one cell, through any server that is up.
func (f *streamRun) payAs(ctx context.Context, who int) {
	r := rand.New(rand.NewPCG(f.seed, uint64(100+who)))
	client := &http.Client{Timeout: 40 * time.Second}
	for n := 0; ctx.Err() == nil; n++ {
		i := r.IntN(f.world.contacts)
		id := duly.BorrowerID(fmt.Sprintf("B%06d", i))
		if f.cellOf(id) != who%cellsMax {
			continue
		}
		body := fmt.Sprintf(`{"id":"P%d-%d","borrower_id":"%s","loan_id":"L%06d","amount":{"minor":10100,"currency":"USD"},"value_at":"%s"}`,
			who, n, id, i, time.Now().UTC().Format(time.RFC3339Nano))
		status, _ := f.post(ctx, client, "/v1/payments", body, nil)
		f.mu.Lock()
		if _, known := f.paid[id]; !known && status == http.StatusOK {
			f.paid[id] = time.Now()
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// table prints how soon everybody went on after each harm, and how the other cell did while one was away.
func (f *streamRun) table() {
	fmt.Fprintf(f.out, "%-32s  until newcomers of the cells were written to\n", "each time")
	for _, h := range []harm{killedWorker, killedLeader, killedCell, pausedWorker, movedPart} {
		fmt.Fprintf(f.out, "%-32s ", h)
		for _, took := range f.heals[h] {
			fmt.Fprintf(f.out, " %.1f s", took.Seconds())
		}
		fmt.Fprintln(f.out)
	}
	for _, o := range f.outages {
		fmt.Fprintf(f.out, "cell %s away for %.1f s: of cell %s %d payments were answered, %d messages came, and the longest without one was %.2f s\n",
			cellName(1-o.other), o.to.Sub(o.from).Seconds(), cellName(o.other), f.answered(o.other, o.from, o.to), len(f.arrivals(o)), f.stall(o).Seconds())
	}
}

// arrivals are when the sink got messages of the other cell during an outage.
func (f *streamRun) arrivals(o outage) (out []time.Time) {
	for id, at := range f.sink.times() {
		if b, ok := id.Bucket(); ok && b*cellsMax/duly.Buckets == o.other && at.After(o.from) && at.Before(o.to) {
			out = append(out, at)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// stall is the longest time of an outage in which the sink got nothing of the other cell.
func (f *streamRun) stall(o outage) (longest time.Duration) {
	last := o.from
	for _, at := range append(f.arrivals(o), o.to) {
		longest, last = max(longest, at.Sub(last)), at
	}
	return longest
}
