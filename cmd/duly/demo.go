package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/sim"
	"github.com/dulyhq/duly/internal/store"
)

type demoFlags struct {
	dir             string
	seed            uint64
	borrowers, days int
}

func (c *command) demoCommand() *cobra.Command {
	f := demoFlags{}
	cmd := &cobra.Command{
		Use: "demo", Short: "Make a book, import it, and run 30 days of it in seconds",
		Long: "Makes a reproducible loan book of people who do not exist, imports its files, and runs simulated days with a carrier\n" +
			"that keeps messages instead of sending them: what was sent, held and paid, day by day. Nothing leaves the machine.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.demo(cmd.Context(), f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.dir, "dir", "demo", "`folder` for the book and the store; an earlier demo in it is replaced")
	fl.Uint64Var(&f.seed, "seed", 1, "the same seed makes the same book and the same contacts")
	fl.IntVar(&f.borrowers, "borrowers", 2000, "how many borrowers")
	fl.IntVar(&f.days, "days", 30, "how many days")
	return cmd
}

// demoStart is the first simulated day: an ordinary Monday with a complete holiday calendar around it.
var demoStart = civil.On(2026, 3, 2)

func (c *command) demo(ctx context.Context, f demoFlags) error {
	began := c.now()
	cfg, err := c.load()
	if err != nil {
		return err
	}
	path, err := cleanDemo(f.dir)
	if err != nil {
		return err
	}
	cfg.Store = path + store.Hasty
	cfg.Node.Lease = app.Duration(time.Minute) // nobody else works on it: a busy machine must not cost the lease
	a, err := app.New(ctx, cfg, app.Options{Log: c.log(), Create: true, Clock: func() time.Time { return time.Time{} }})
	if err != nil {
		return err
	}
	defer a.Close()
	leave, err := a.Join(ctx, "demo")
	if err != nil {
		return err
	}
	defer leave()
	o := sim.Options{Seed: f.seed, Borrowers: f.borrowers, Start: demoStart, Days: f.days, Location: a.Location}
	events, err := c.demoImport(ctx, a, o, f.dir)
	if err != nil {
		return err
	}
	totals, err := c.demoRun(ctx, a, o, events)
	if err != nil {
		return err
	}
	c.printf("\n%s\n", totals)
	if err := c.demoStates(ctx, a); err != nil {
		return err
	}
	if err := c.demoCheck(ctx, a); err != nil {
		return err
	}
	last := demoStart.Add(f.days - 1)
	id, err := demoBorrower(ctx, a, last)
	if err != nil {
		return err
	}
	if err := leave(); err != nil {
		return err
	}
	if err := c.demoAPI(ctx, a, id, last); err != nil {
		return err
	}
	c.printf("\n%d borrowers, %d days in %.1f s. Try next:\n", f.borrowers, f.days, c.now().Sub(began).Seconds())
	c.printf("  bin/duly --store %s why %s --date %s --text\n", path, id, last)
	c.printf("  bin/duly --store %s plan --date %s --dry-run\n", path, last.Add(1))
	c.printf("  bin/duly --store %s audit verify\n", path)
	c.printf("  bin/duly --store %s serve    # and sign in to the console by the link that it prints: the last day was %s\n", path, last)
	return nil
}

// cleanDemo empties the folder of an earlier demo and returns the path of the store in it.
func cleanDemo(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", duly.Errorf(duly.Usage, "the folder cannot be made").At(duly.Place{File: dir})
	}
	path := filepath.Join(dir, "duly.db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", duly.Errorf(duly.Unavailable, "an earlier demo cannot be removed").At(duly.Place{File: path + suffix})
		}
	}
	return path, nil
}

func (c *command) demoImport(ctx context.Context, a *app.App, o sim.Options, dir string) ([]sim.Event, error) {
	book, err := sim.NewBook(o)
	if err != nil {
		return nil, err
	}
	if err := book.Write(dir); err != nil {
		return nil, err
	}
	c.printf("1 Import\n")
	began := o.Start.At(0, o.Location).UTC()
	for _, name := range []string{"borrowers", "contact_points", "loans", "installments"} {
		m, err := app.LoadMapping("duly-" + name)
		if err != nil {
			return nil, err
		}
		rep, err := a.Engine.Import(ctx, began, filepath.Join(dir, name+".csv"), engine.ImportOptions{Mapping: m})
		if err != nil {
			return nil, err
		}
		c.printImport(rep, false)
		if rep.Bad > 0 {
			return nil, duly.Errorf(duly.Internal, "the demo's own book has bad rows")
		}
	}
	return book.Events(o), nil
}

func (c *command) demoRun(ctx context.Context, a *app.App, o sim.Options, events []sim.Event) (string, error) {
	c.printf("\n2 Plan, 3 Dispatch, 4 Receive, 5 Measure: %d days from %s\n\n", o.Days, o.Start)
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "day\tplanned\tblocked\tsent\tfailed\treceipts\tpayments\tsettled\tstopped by payment\t")
	var sum sim.DayReport
	held := map[string]int{}
	r := sim.Runner{Engine: a.Engine, Events: events, Day: func(d sim.DayReport) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", d.Day, d.Planned, d.Blocked, d.Sent, d.Failed, d.Receipts, d.Paid, d.Settled, d.Stopped)
		sum.Planned += d.Planned
		sum.Sent += d.Sent
		sum.Paid += d.Paid
		sum.Stopped += d.Stopped
		for k, n := range d.Held {
			held[k] += n
		}
	}}
	err := r.Run(ctx, o.Start, o.Days)
	w.Flush()
	out := fmt.Sprintf("%d planned, %d sent, %d stopped because the money came in, %d payments", sum.Planned, sum.Sent, sum.Stopped, sum.Paid)
	for _, k := range slices.Sorted(maps.Keys(held)) {
		out += fmt.Sprintf("\n  held when asked again, %s: %d", k, held[k])
	}
	return out, err
}

// demoStates says where every contact ended: a contact that was stopped may have been planned anew, so this is what adds up.
func (c *command) demoStates(ctx context.Context, a *app.App) error {
	counts, err := a.DB.CountContacts(ctx)
	if err != nil {
		return err
	}
	var parts []string
	total := int64(0)
	for _, s := range duly.ContactStates() {
		if n := int64(counts[s]); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
			total += n
		}
	}
	c.printf("on record: %s = %s\n", count(total, "contact"), strings.Join(parts, " + "))
	return nil
}

// demoCheck holds the run against the promises.
func (c *command) demoCheck(ctx context.Context, a *app.App) error {
	violations, checked, err := sim.Check(ctx, a.DB, a.Location)
	if err != nil {
		return err
	}
	for _, v := range violations {
		c.printf("BROKEN  %s\n", v)
	}
	c.printf("checked %d attempts: %d after payment, at night, twice or despite a refusal\n", checked, len(violations))
	if len(violations) > 0 {
		return duly.Errorf(duly.Internal, "promises were broken")
	}
	return nil
}

// demoBorrower finds someone of whom there is something to tell on a day.
func demoBorrower(ctx context.Context, a *app.App, day civil.Date) (duly.BorrowerID, error) {
	contacts, err := a.Engine.Contacts(ctx, day, 1)
	if err != nil {
		return "", err
	}
	if len(contacts) == 0 {
		return "D000001", nil
	}
	return contacts[0].BorrowerID, nil
}

// demoAPI opens the API on a free port, asks it a question as a program would, and closes it.
func (c *command) demoAPI(ctx context.Context, a *app.App, id duly.BorrowerID, day civil.Date) error {
	a.Config.Listen = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	addr, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- a.Serve(ctx, func(s string) { addr <- s }) }()
	select {
	case s := <-addr:
		url := fmt.Sprintf("http://%s/v1/borrowers/%s/why?date=%s", s, id, day)
		summary, err := askWhy(ctx, url)
		if err != nil {
			return errors.Join(err, stopServe(cancel, done))
		}
		c.printf("\nThe API: GET %s\n  %s\n", url, summary)
		return stopServe(cancel, done)
	case err := <-done:
		return err
	}
}

func stopServe(cancel context.CancelFunc, done <-chan error) error {
	cancel()
	return <-done
}

func askWhy(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	var x struct {
		Summary string `json:"summary"`
	}
	return x.Summary, errors.Join(json.Unmarshal(body, &x))
}
