package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/webhook"
)

// soakOptions is a run at a steady rate.
type soakOptions struct {
	lasts    time.Duration
	rate     int // new persons with a message due, a second
	postgres bool
	seed     uint64
	receipts time.Duration // the longest that one takes
	out      io.Writer
}

// flatAfter is how long a run must be for its quarters to be compared: before, the server warms up.
const flatAfter = 5 * time.Minute

// The carrier's and the people's ways, in thousandths.
const (
	soakRefused = 10 // of first tries: answered 503
	soakHung    = 5  // taken, and never answered
	soakSlow    = 20 // answered after a second
	soakTwice   = 10 // of receipts: told twice
	soakStray   = 5  // of receipts: one for an id that nobody knows beside it
	soakPaid    = 20 // of persons: pay in the second after they became known
)

// What must stay flat: the median of the last quarter beside that of the second.
const (
	flatMost     = 1.25
	flatSpare    = 30               // goroutines more or less are nothing
	queueAgeMost = 20 * time.Second // of the 99th percentile, from a person becoming known to the first POST
)

// soak is `duly serve` under a steady rate of new people, and their carrier.
type soak struct {
	soakOptions
	world
	secret  channel.Secret
	mu      sync.Mutex
	known   []time.Time // by person: when the call that told of them was sent
	tries   []uint8
	taken   []uint8
	paid    []bool // a payment was answered
	lags    []time.Duration
	told    int // receipts answered
	rand    *rand.Rand
	receipt chan pending
	samples []sample
}

// pending is a receipt that is to be told at an instant.
type pending struct {
	attempt string
	at      time.Time
}

// sample is what was seen at one moment.
type sample struct {
	at         time.Duration
	sent       int
	rss        float64 // MB
	goroutines float64
	p50, p99   time.Duration // from a person becoming known to the first POST, since the last sample
}

// runSoak runs a soak and judges it.
func runSoak(o soakOptions) error {
	dir, err := os.MkdirTemp("", "duly-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &soak{soakOptions: o, secret: channel.NewSecret("crash-test-secret-of-32-bytes-min"), rand: rand.New(rand.NewPCG(o.seed, 4)), receipt: make(chan pending, 1<<16)}
	s.world = world{dir: dir, dsn: dir + "/duly.db", sink: newSink(), lease: leaseMin, options: "node: {lease: 6s}\n"}
	serve := func(dsn string) error {
		if dsn != "" {
			s.dsn = dsn
		}
		return s.run()
	}
	if o.postgres {
		return withPostgres(serve)
	}
	return serve("")
}

func (s *soak) run() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	carrier := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	go carrier.Serve(ln)
	defer carrier.Close()
	if err := s.write(); err != nil {
		return err
	}
	if err := s.configure("http://" + ln.Addr().String() + "/sms"); err != nil {
		return err
	}
	for _, args := range [][]string{{"migrate"}, {"feed"}} {
		if out, err := s.command(args...).CombinedOutput(); err != nil {
			return fmt.Errorf("duly %s: %w\n%s", args[0], err, out)
		}
	}
	cmd := s.command("serve")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	err = s.live()
	if err != nil {
		return errors.Join(err, cmd.Process.Kill(), ignoreKilled(cmd.Wait()))
	}
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		return fmt.Errorf("SIGTERM does not end the server with status 0: %w", err)
	}
	return s.judge()
}

// configure points the carrier of the configuration at this soak, and has it take receipts.
func (s *soak) configure(url string) error {
	path := s.dir + "/duly.yaml"
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(b[:bytes.Index(b, []byte("    webhook:"))]) +
		fmt.Sprintf("    webhook: {url: %q, secrets: [%q], callback_secrets: [%q], timeout: 5s}\n", url, s.secret.Reveal(), s.secret.Reveal())
	return os.WriteFile(path, []byte(text), 0o600)
}

// live tells of new people every second for as long as it should, looks on, and waits until all is sent.
func (s *soak) live() error {
	if err := wait(func() (bool, error) { _, err := s.metrics(); return err == nil, nil }); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var telling sync.WaitGroup
	var receiptErr error
	telling.Go(func() { receiptErr = s.tellReceipts(ctx) })
	began := time.Now()
	every := s.lasts / 60
	nextSample := every
	for second := 0; time.Since(began) < s.lasts; second++ {
		if err := s.tellPeople(); err != nil {
			return err
		}
		if at := time.Since(began); at >= nextSample {
			if err := s.look(at); err != nil {
				return err
			}
			nextSample += every
		}
		time.Sleep(time.Until(began.Add(time.Duration(second+1) * time.Second)))
	}
	fmt.Fprintf(s.out, "%d persons told in %.0f s\n", len(s.known), time.Since(began).Seconds())
	err := wait(func() (bool, error) {
		time.Sleep(time.Second)
		counts, err := s.states()
		return err == nil && counts[duly.Planned]+counts[duly.Claimed] == 0, s.post("/v1/events", []byte(`{"events":[`+feedEvent()+`]}`))
	})
	time.Sleep(s.receipts + 2*time.Second) // the last receipts
	cancel()
	telling.Wait()
	return errors.Join(err, receiptErr)
}

func feedEvent() string {
	return fmt.Sprintf(`{"kind":"feed","through":"%s"}`, time.Now().UTC().Format(time.RFC3339Nano))
}

// tellPeople tells of a second's new people, and of the payments of some who were told of before.
func (s *soak) tellPeople() error {
	zone, now := noonZone(time.Now()), time.Now()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return err
	}
	due := now.In(loc).AddDate(0, 0, 1).Format(time.DateOnly)
	var facts strings.Builder
	s.mu.Lock()
	first := len(s.known)
	var payers []int
	for i := first; i < first+s.rate; i++ {
		s.known, s.tries, s.taken, s.paid = append(s.known, now), append(s.tries, 0), append(s.taken, 0), append(s.paid, false)
		id := fmt.Sprintf("B%08d", i)
		fmt.Fprintf(&facts, `{"kind":"borrower","id":"%s","name":"Test %d","language":"en","country":"XX","zones":[{"name":"%s","source":"lender"}],"version":1},`, id, i, zone)
		fmt.Fprintf(&facts, `{"kind":"contact_point","borrower_id":"%s","id":"p","point_kind":"mobile","value":"+999%08d","state":"active","version":1},`, id, i)
		var loan strings.Builder
		owe(&loan, id, "L"+id[1:], due)
		facts.WriteString(strings.ReplaceAll(strings.TrimSpace(loan.String()), "\n", ",") + ",")
		if old := i - s.rate; old >= 0 && s.rand.IntN(1000) < soakPaid {
			payers = append(payers, old)
		}
	}
	s.mu.Unlock()
	if err := s.post("/v1/events", []byte(`{"events":[`+facts.String()+feedEvent()+`]}`)); err != nil {
		return err
	}
	for _, i := range payers {
		body := fmt.Sprintf(`{"id":"P%d","borrower_id":"B%08d","loan_id":"L%08d","amount":{"minor":10100,"currency":"USD"},"value_at":"%s"}`,
			i, i, i, time.Now().UTC().Format(time.RFC3339Nano))
		if err := s.post("/v1/payments", []byte(body)); err != nil {
			return err
		}
		s.mu.Lock()
		s.paid[i] = true
		s.mu.Unlock()
	}
	return nil
}

func (s *soak) post(path string, body []byte, header ...string) error {
	req, err := http.NewRequest(http.MethodPost, "http://"+s.addr+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("POST %s: %s %s", path, res.Status, answer)
	}
	return err
}

// ServeHTTP is the carrier.
func (s *soak) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct {
		To string `json:"to"`
	}
	err := json.NewDecoder(r.Body).Decode(&m)
	i, numberErr := strconv.Atoi(strings.TrimPrefix(m.To, "+999"))
	if err != nil || numberErr != nil {
		http.Error(w, "not a message", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	fate := s.rand.IntN(1000)
	first := s.tries[i] == 0
	if first {
		s.lags = append(s.lags, time.Since(s.known[i]))
	}
	s.tries[i]++
	refused := first && fate < soakRefused
	if !refused {
		s.taken[i]++
		s.n()
	}
	delay := time.Duration(s.rand.Int64N(int64(s.receipts)))
	s.mu.Unlock()
	if refused {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"error":"temporary"}`)
		return
	}
	s.receipt <- pending{r.Header.Get(webhook.HeaderAttempt), time.Now().Add(delay)}
	switch {
	case fate < soakRefused+soakHung:
		<-r.Context().Done()
		return
	case fate < soakRefused+soakHung+soakSlow:
		time.Sleep(time.Second)
	}
	w.WriteHeader(http.StatusAccepted)
}

// n counts a message that was taken.
func (s *soak) n() { s.sink.n++ }

// tellReceipts tells of receipts when they are due, some twice, some of ids that nobody knows, those of a second in one call.
func (s *soak) tellReceipts(ctx context.Context) error {
	var later []pending
	r := rand.New(rand.NewPCG(s.seed, 5))
	for tick := time.NewTicker(time.Second); ; {
		select {
		case p := <-s.receipt:
			later = append(later, p)
			continue
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
		}
		now := time.Now()
		var events []string
		later = slices.DeleteFunc(later, func(p pending) bool {
			if p.at.After(now) {
				return false
			}
			one := func(attempt string) string {
				return fmt.Sprintf(`{"key":"d-%s","attempt":"%s","status":"delivered","at":"%s"}`, attempt, attempt, p.at.UTC().Format(time.RFC3339Nano))
			}
			events = append(events, one(p.attempt))
			if r.IntN(1000) < soakTwice {
				events = append(events, one(p.attempt))
			}
			if r.IntN(1000) < soakStray {
				events = append(events, fmt.Sprintf(`{"key":"s-%s","id":"nobodys-%s","status":"delivered","at":"%s"}`, p.attempt, p.attempt, p.at.UTC().Format(time.RFC3339Nano)))
			}
			return true
		})
		for some := range slices.Chunk(events, 2000) {
			body := `{"receipts":[` + strings.Join(some, ",") + `]}`
			unix := time.Now().Unix()
			err := s.post("/v1/receipts/sink", []byte(body), webhook.HeaderTimestamp, strconv.FormatInt(unix, 10), webhook.HeaderSignature, webhook.Sign(s.secret, unix, []byte(body)))
			if err != nil {
				return err
			}
			s.told += len(some)
		}
	}
}

// metrics reads what the server tells of itself.
func (s *soak) metrics() (map[string]float64, error) {
	res, err := http.Get("http://" + s.addr + "/metrics")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out := map[string]float64{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			out[name] = v
		}
	}
	return out, nil
}

// look takes a sample and prints it.
func (s *soak) look(at time.Duration) error {
	m, err := s.metrics()
	if err != nil {
		return err
	}
	s.mu.Lock()
	lags := s.lags
	s.lags = nil
	x := sample{at: at, sent: s.sink.n, rss: m["process_resident_memory_bytes"] / (1 << 20), goroutines: m["go_goroutines"]}
	s.mu.Unlock()
	slices.Sort(lags)
	if n := len(lags); n > 0 {
		x.p50, x.p99 = lags[n/2], lags[n*99/100]
	}
	s.samples = append(s.samples, x)
	fmt.Fprintf(s.out, "%6.0f s  %8d at the carrier  RSS %4.0f MB  goroutines %4.0f  known to POST p50 %5.2f s p99 %5.2f s\n",
		x.at.Seconds(), x.sent, x.rss, x.goroutines, x.p50.Seconds(), x.p99.Seconds())
	return nil
}

// judge counts what became of everybody, and says whether the server stayed as it was.
func (s *soak) judge() error {
	lost, twice, paid, reached := 0, 0, 0, 0
	for i := range s.known {
		switch {
		case s.taken[i] > 1:
			twice++
		case s.taken[i] == 1:
			reached++
		case s.paid[i]:
			paid++
		default:
			lost++
		}
	}
	counts, err := s.states()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "persons %d: reached %d, paid before %d, lost %d, twice %d; %d receipts told; in doubt %d, delivered %d, failed %d\n",
		len(s.known), reached, paid, lost, twice, s.told, counts[duly.InDoubt], counts[duly.Delivered], counts[duly.Failed])
	if lost+twice > 0 {
		return fmt.Errorf("%d lost, %d twice", lost, twice)
	}
	if reached != counts[duly.Delivered] {
		return fmt.Errorf("%d were reached and %d are on record as delivered", reached, counts[duly.Delivered])
	}
	if s.lasts < flatAfter {
		return nil
	}
	return s.judgeFlat()
}

func (s *soak) judgeFlat() error {
	n := len(s.samples)
	if n < 8 {
		return fmt.Errorf("%d samples: too few to say anything", n)
	}
	middle := func(q int, of func(sample) float64) float64 {
		var v []float64
		for _, x := range s.samples[q*n/4 : (q+1)*n/4] {
			if y := of(x); y > 0 { // nothing went out in some moments
				v = append(v, y)
			}
		}
		if len(v) == 0 {
			return 0
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	var errs []error
	for _, f := range []struct {
		what  string
		spare float64
		of    func(sample) float64
	}{
		{"RSS, MB", 10, func(x sample) float64 { return x.rss }},
		{"goroutines", flatSpare, func(x sample) float64 { return x.goroutines }},
	} {
		was, is := middle(1, f.of), middle(3, f.of)
		fmt.Fprintf(s.out, "%s: %.0f in the second quarter, %.0f in the last\n", f.what, was, is)
		if is > was*flatMost+f.spare {
			errs = append(errs, fmt.Errorf("%s grew from %.0f to %.0f", f.what, was, is))
		}
	}
	age := time.Duration(middle(3, func(x sample) float64 { return float64(x.p99) }))
	fmt.Fprintf(s.out, "known to POST, p99 of the last quarter: %.2f s\n", age.Seconds())
	if age > queueAgeMost {
		errs = append(errs, fmt.Errorf("the queue is %s old", age))
	}
	return errors.Join(errs...)
}
