package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// nodesOptions is a run of several servers over one store.
type nodesOptions struct {
	contacts  int // persons, each with one message due; every tenth has a second, which a cap forbids today
	nodes     int
	killEvery time.Duration
	lasts     time.Duration // how long servers are killed; then what is left is sent
	lease     time.Duration // node.lease
	dsn       string
	seed      uint64
	out       io.Writer
}

// pause is how long a server is paused.
func (o *nodesOptions) pause() time.Duration { return o.lease + o.lease/2 }

// unownedMax is how long a bucket may be without a node that is heard to work on it: the lease of the dead counts too.
const unownedMax = 15 * time.Second

// lateMax is how much later than the answer to a payment the sink may count a message whose sending had begun before: the
// sink and the servers share this machine's processors with everything else.
const lateMax = time.Second

// fleet is a run of several servers over one store: some are killed, some are paused for longer than their lease, payments
// come in through any of them.
type fleet struct {
	nodesOptions
	world
	dbs     []*store.DB // each has some of the buckets; see of
	servers []*server
	mu      sync.Mutex
	paid    map[duly.BorrowerID]time.Time // when the call that told of the payment was answered
	unowned time.Duration                 // the longest that a bucket had no node that was heard
	kills   int
	pauses  int
	more    []duly.BorrowerID       // persons that are not of the book
	never   map[duly.ContactID]bool // of which the carrier told that they never came
}

// server is one `duly serve`, or the place of one that was killed.
type server struct {
	no     int
	addr   string
	cmd    *exec.Cmd
	paused bool
}

// runNodes runs a fleet and judges it.
func runNodes(o nodesOptions) error {
	dir, err := os.MkdirTemp("", "duly-nodes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f := &fleet{nodesOptions: o, paid: map[duly.BorrowerID]time.Time{}}
	f.world = world{
		dir: dir, dsn: o.dsn, contacts: o.contacts, sink: newSink(), rand: rand.New(rand.NewPCG(o.seed, 2)), second: 10,
		options: fmt.Sprintf("node: {lease: %s}\n", o.lease), lease: max(leaseMin, 2*o.pause()),
	}
	// The sink is slow enough that the work lasts until the last kill.
	f.sink.delay = time.Duration(int64(o.lasts) * int64(o.nodes*workers) / int64(o.contacts))
	fmt.Fprintf(o.out, "seed %d, a message takes the sink %s\n", o.seed, f.sink.delay.Round(time.Millisecond))
	if err := f.prepare(); err != nil {
		return err
	}
	defer f.sink.close()
	db, err := store.Open(context.Background(), o.dsn)
	if err != nil {
		return err
	}
	f.dbs = []*store.DB{db}
	defer db.Close()
	for i := range o.nodes {
		s := &server{no: i}
		if s.addr, err = freeAddr(); err != nil {
			return err
		}
		f.servers = append(f.servers, s)
	}
	defer f.stopAll(syscall.SIGKILL)
	if err := f.live(); err != nil {
		return err
	}
	return f.judgeFleet()
}

// live starts the servers, kills and pauses them for as long as it should, and lets them finish.
func (f *fleet) live() error {
	for _, s := range f.servers {
		if err := f.start(s); err != nil {
			return err
		}
	}
	if err := wait(func() (bool, error) {
		r, err := engine.Nodes(context.Background(), f.dbs[0], engine.Share{})
		return r.Unowned == 0, err
	}); err != nil {
		return fmt.Errorf("the servers do not share the buckets: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var watchers sync.WaitGroup
	var watchErr, payErr error
	watchers.Go(func() { watchErr = f.watch(ctx) })
	watchers.Go(func() { payErr = f.pay(ctx) })
	began := time.Now()
	err := f.harm()
	harmed := time.Since(began)
	if err == nil {
		err = f.rest()
	}
	cancel()
	watchers.Wait()
	fmt.Fprintf(f.out, "%d kill -9 and %d pauses in %.0f s; %d at the sink by then or later, all done after %.0f s\n",
		f.kills, f.pauses, harmed.Seconds(), f.sink.total(), time.Since(began).Seconds())
	return errors.Join(err, watchErr, payErr, f.stopAll(syscall.SIGTERM))
}

func (f *fleet) start(s *server) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.cmd, s.paused = f.command("serve", "--listen", s.addr), false
	log, err := os.OpenFile(filepath.Join(f.dir, fmt.Sprintf("server%d.log", s.no)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	s.cmd.Stderr = log
	return s.cmd.Start()
}

// harm kills a server at every interval, and starts it again a little later. Every third time it is paused instead, for
// longer than its lease, and goes on as a zombie.
func (f *fleet) harm() error {
	until := time.Now().Add(f.lasts)
	for n := 1; time.Now().Add(f.killEvery).Before(until); n++ {
		time.Sleep(f.killEvery)
		s := f.servers[f.rand.IntN(len(f.servers))]
		if n%3 == 0 {
			f.pauses++
			if err := f.pause(s, f.nodesOptions.pause()); err != nil {
				return err
			}
			continue
		}
		f.kills++
		if err := errors.Join(s.cmd.Process.Kill(), ignoreKilled(s.cmd.Wait())); err != nil {
			return err
		}
		time.Sleep(time.Duration(f.rand.Int64N(int64(time.Second))))
		if err := f.start(s); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) pause(s *server, d time.Duration) error {
	set := func(paused bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		s.paused = paused
	}
	set(true)
	defer set(false)
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(d)
	return s.cmd.Process.Signal(syscall.SIGCONT)
}

// rest waits until nothing waits and nothing is on its way, as long as things go on.
func (f *fleet) rest() error {
	last, at := -1, time.Now()
	for {
		counts := map[duly.ContactState]int{}
		for _, db := range f.dbs {
			c, err := db.CountContacts(context.Background())
			if err != nil {
				return err
			}
			for s, n := range c {
				counts[s] += n
			}
		}
		if counts[duly.Planned]+counts[duly.Claimed] == 0 {
			return nil
		}
		if n := counts[duly.Planned] + counts[duly.Claimed]; n != last {
			last, at = n, time.Now()
		}
		if time.Since(at) > runLimit {
			return fmt.Errorf("nothing more happened for %s, and %d contacts wait", runLimit, last)
		}
		time.Sleep(time.Second)
	}
}

// watch looks who works on what, all the time.
func (f *fleet) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		all, err := f.dbs[0].Leases(context.Background())
		if err != nil {
			return err
		}
		for b := range duly.Buckets {
			since := all.Buckets[b].Since
			if n := all.Node(all.Buckets[b].Owner); n != nil {
				since = n.HeardAt
			}
			f.unowned = max(f.unowned, all.Now.Sub(since))
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// pay tells of payments through servers that are up, of persons whose messages may be on their way. One that is not
// answered counts for nothing: it may or may not be known.
func (f *fleet) pay(ctx context.Context) error {
	r := rand.New(rand.NewPCG(f.seed, 3))
	client := &http.Client{Timeout: 10 * time.Second}
	for n := 0; ctx.Err() == nil; n++ {
		i := r.IntN(f.nodesOptions.contacts)
		id := duly.BorrowerID(fmt.Sprintf("B%06d", i))
		body := fmt.Sprintf(`{"id":"P%d","borrower_id":"%s","loan_id":"L%06d","amount":{"minor":10100,"currency":"USD"},"value_at":"%s"}`,
			n, id, i, time.Now().UTC().Format(time.RFC3339Nano))
		f.mu.Lock()
		s := f.servers[r.IntN(len(f.servers))]
		up := !s.paused
		f.mu.Unlock()
		if up {
			res, err := client.Post("http://"+s.addr+"/v1/payments", "application/json", strings.NewReader(body))
			if err == nil {
				res.Body.Close()
				if _, known := f.paid[id]; !known && res.StatusCode == http.StatusOK {
					f.paid[id] = time.Now()
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// stopAll ends the servers that run.
func (f *fleet) stopAll(sig syscall.Signal) error {
	var errs []error
	for _, s := range f.servers {
		if s.cmd == nil || s.cmd.ProcessState != nil {
			continue
		}
		s.cmd.Process.Signal(sig)
		if err := s.cmd.Wait(); err != nil && sig != syscall.SIGKILL {
			errs = append(errs, fmt.Errorf("server %d does not end with status 0: %w", s.no, err))
		}
	}
	return errors.Join(errs...)
}

// verdict is what a run comes to.
type verdict struct {
	states                                 map[duly.ContactState]int
	persons, reached, doubt, paid          int // reached: a message was accepted; doubt: it may have been; paid: none was needed
	unsent                                 int // in doubt, until the carrier told that it never came
	lost, twice, capped, unknown, afterPay int
	latest                                 time.Duration // of the messages after a payment's answer
}

// judgeFleet compares what the store says of every contact with what the sink counted.
func (f *fleet) judgeFleet() error {
	v := verdict{states: map[duly.ContactState]int{}}
	seen, at := f.sink.byContact(), f.sink.times()
	seenPersons := map[duly.BorrowerID]bool{}
	for b := range duly.Buckets {
		err := f.of(b).View(context.Background(), func(tx *store.Tx) error {
			contacts, err := tx.BucketContacts(b)
			f.judgeContacts(&v, contacts, seen, at)
			for i := range contacts {
				seenPersons[contacts[i].BorrowerID] = true
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := f.judgeUnseen(&v, seenPersons); err != nil {
		return err
	}
	for _, s := range slices.Sorted(maps.Keys(v.states)) {
		fmt.Fprintf(f.out, "%-10s %d\n", s, v.states[s])
	}
	fmt.Fprintf(f.out, "persons %d: reached %d, in doubt %d, paid before %d, known never to have left %d\n", v.persons, v.reached, v.doubt, v.paid, v.unsent)
	fmt.Fprintf(f.out, "lost %d, twice %d, over the cap %d, at the sink but not on record as sent %d\n", v.lost, v.twice, v.capped, v.unknown)
	fmt.Fprintf(f.out, "%d payments answered; messages counted later than that: %d, the latest by %s\n", len(f.paid), v.afterPay, v.latest.Round(time.Millisecond))
	if !f.celled { // which are not watched
		fmt.Fprintf(f.out, "longest that a bucket had no node that was heard: %.1f s (lease %s)\n", f.unowned.Seconds(), f.nodesOptions.lease)
	}
	if err := f.verify(); err != nil {
		return err
	}
	switch {
	case v.lost+v.twice+v.capped+v.unknown > 0:
		return fmt.Errorf("%d lost, %d twice, %d over the cap, %d not on record", v.lost, v.twice, v.capped, v.unknown)
	case v.latest > lateMax:
		return fmt.Errorf("a message left %s after its payment had been answered", v.latest)
	case f.unowned > unownedMax:
		return fmt.Errorf("a bucket had no node that was heard for %s", f.unowned)
	case v.doubt+v.unsent > (f.kills+f.pauses)*doubtMax*len(f.dbs):
		return fmt.Errorf("%d in doubt after %d kills and %d pauses: more than one claim and the workers for each", v.doubt+v.unsent, f.kills, f.pauses)
	case v.reached < f.nodesOptions.contacts/4:
		return fmt.Errorf("only %d of %d were reached: the run tests nothing", v.reached, f.nodesOptions.contacts)
	}
	return nil
}

// of returns the store that has a bucket.
func (f *fleet) of(bucket int) *store.DB { return f.dbs[bucket*len(f.dbs)/duly.Buckets] }

// verify has the audit of every store checked.
func (f *fleet) verify() error {
	for i := range f.dbs {
		args := []string{"audit", "verify"}
		if f.celled {
			args = append(args, "--cell", cellName(i))
		}
		out, err := f.command(args...).CombinedOutput()
		fmt.Fprintf(f.out, "%s", out)
		if err != nil {
			return fmt.Errorf("the audit does not hold: %w", err)
		}
	}
	return nil
}

// judgeUnseen judges the persons without any contact: whoever paid before the plan came to them needs none.
func (f *fleet) judgeUnseen(v *verdict, seen map[duly.BorrowerID]bool) error {
	everybody := slices.Clone(f.more)
	for i := range f.nodesOptions.contacts {
		everybody = append(everybody, duly.BorrowerID(fmt.Sprintf("B%06d", i)))
	}
	for _, id := range everybody {
		if seen[id] {
			continue
		}
		v.persons++
		err := f.of(id.Bucket()).View(context.Background(), func(tx *store.Tx) error {
			ledgers, err := tx.Ledgers(id.Bucket(), []duly.BorrowerID{id})
			if err != nil || len(ledgers) != 1 {
				return fmt.Errorf("a person of the book is not known: %w", err)
			}
			if slices.ContainsFunc(ledgers[0].Installments, func(in duly.Installment) bool { return in.Open() }) {
				v.lost++
			} else {
				v.paid++
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// judgeContacts judges the contacts of one bucket, which hold all of each of its persons.
func (f *fleet) judgeContacts(v *verdict, contacts []duly.Contact, seen map[duly.ContactID]int, at map[duly.ContactID]time.Time) {
	byPerson := map[duly.BorrowerID][]duly.Contact{}
	for _, c := range contacts {
		byPerson[c.BorrowerID] = append(byPerson[c.BorrowerID], c)
		v.states[c.State]++
	}
	for id, cs := range byPerson {
		v.persons++
		sent, accepted, doubt, unsent := 0, 0, 0, 0
		for i := range cs {
			c := &cs[i]
			n := seen[c.ID]
			sent += min(n, 1)
			if n > 1 {
				v.twice++
			}
			switch c.State {
			case duly.Accepted, duly.Delivered, duly.Read:
				accepted++
				v.lost += 1 - min(n, 1)
			case duly.InDoubt:
				doubt++
			case duly.Failed:
				v.unknown += n
				if f.never[c.ID] {
					unsent++
				}
			case duly.Planned, duly.Claimed, duly.Blocked, duly.Cancelled:
				v.unknown += n
			}
			if paid, ok := f.paid[id]; ok && n > 0 && at[c.ID].After(paid) && c.Items[0].LoanID == duly.LoanID("L"+string(id[1:])) {
				v.afterPay++
				v.latest = max(v.latest, at[c.ID].Sub(paid))
			}
		}
		if sent > 1 || accepted+doubt > 1 {
			v.capped++
		}
		_, paid := f.paid[id]
		switch {
		case accepted > 0:
			v.reached++
		case doubt > 0:
			v.doubt++
		case unsent > 0:
			v.unsent++
		case paid || slices.ContainsFunc(cs, func(c duly.Contact) bool { return c.Reason == duly.CancelPaid }):
			v.paid++
		default:
			v.lost++
		}
	}
}
