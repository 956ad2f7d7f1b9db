package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/sim"
)

// heapSlack is by how many per cent the heap grows before what nobody needs is collected, while worlds are run.
const heapSlack = 400

type simFlags struct {
	seed, seeds     uint64
	days, borrowers int
	faults          string
	workers, tries  int
	tell, only      string
	stop            bool
}

func (c *command) simCommand() *cobra.Command {
	f := simFlags{}
	cmd := &cobra.Command{
		Use: "sim", Short: "Look for a broken promise: the real engine in a world in which everything goes wrong, by seed",
		Long: "Runs the real engine over a real store in a simulated world: payments that come late, twice and in the middle of a send,\n" +
			"carriers that lie, processes that die anywhere, clocks that jump, outages, changed rules. After every step the promises of\n" +
			"docs/reliability.md are held against a ledger of the simulator's own. A seed that breaks one is shrunk and its story told;\n" +
			"the same seed and program do the same again. Without --store the store is a file that is thrown away.\n\n" +
			"Kinds of trouble for --faults: " + strings.Join(sim.FaultNames(), ", ") + "; all, none.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.sim(cmd.Context(), f) },
	}
	fl := cmd.Flags()
	fl.Uint64Var(&f.seed, "seed", 1, "the first seed")
	fl.Uint64Var(&f.seeds, "seeds", 1, "how many seeds, from --seed on")
	fl.IntVar(&f.days, "days", 90, "how many days each world lasts")
	fl.IntVar(&f.borrowers, "borrowers", 200, "how many borrowers live in it")
	fl.StringVar(&f.faults, "faults", "all", "which `kinds` of trouble it has, with commas between them")
	fl.IntVar(&f.workers, "workers", runtime.NumCPU(), "how many worlds run at a time")
	fl.IntVar(&f.tries, "shrink", 60, "how many smaller worlds are tried for a seed that breaks a promise; 0: none")
	fl.BoolVar(&f.stop, "stop", false, "run no more seeds once one has broken a promise")
	fl.StringVar(&f.only, "only", "", "leave everybody but this `borrower` out of the world")
	fl.StringVar(&f.tell, "tell", "", "also tell the story of a `borrower`, such as D000001, of one seed")
	return cmd
}

func (c *command) sim(ctx context.Context, f simFlags) error {
	faults, err := sim.ParseFaults(f.faults)
	if err != nil {
		return err
	}
	if f.seeds < 1 || f.workers < 1 || f.tell != "" && f.seeds > 1 {
		return duly.Errorf(duly.Usage, "--seeds and --workers are at least 1, and --tell is of one seed")
	}
	t := sim.Trial{Seed: f.seed, Borrowers: f.borrowers, Days: f.days, Faults: faults, Only: duly.BorrowerID(f.only), Tell: duly.BorrowerID(f.tell), Store: c.store}
	if c.store != "" && (f.seeds > 1 || !app.IsPostgres(c.store)) {
		return duly.Errorf(duly.Usage, "--store is the address of an empty PostgreSQL database, for one seed").WithHint("leave it out for a store that is thrown away")
	}
	debug.SetGCPercent(heapSlack) // worlds are small, and each is soon gone
	began := c.now()
	found, sum, err := c.simSeeds(ctx, t, f)
	if err != nil {
		return err
	}
	if f.seeds > 1 {
		c.printf("%d seeds of %d days and %d borrowers in %.1f s: %d broke a promise\n  %s\n", f.seeds, f.days, f.borrowers, c.now().Sub(began).Seconds(), len(found), sum)
	}
	if len(found) == 0 {
		return nil
	}
	if err := c.simStory(ctx, found[0], f.tries); err != nil {
		return err
	}
	return duly.Errorf(duly.Internal, "a promise was broken").WithHint("the command above does the same again, in the same program")
}

// simSeeds runs the seeds, several at a time, and returns those that broke a promise, by seed.
func (c *command) simSeeds(ctx context.Context, t sim.Trial, f simFlags) ([]sim.Outcome, sim.Count, error) {
	outs, errs := make([]sim.Outcome, f.seeds), make([]error, f.seeds)
	var wg sync.WaitGroup
	var mu sync.Mutex
	next, last, done := uint64(0), c.now(), false
	for range min(uint64(f.workers), f.seeds) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				if i < f.seeds && f.seeds > 1 && c.now().Sub(last) > 30*time.Second {
					last = c.now()
					fmt.Fprintf(c.err, "seed %d …\n", f.seed+i)
				}
				if i >= f.seeds || done || ctx.Err() != nil {
					mu.Unlock()
					return
				}
				mu.Unlock()
				own := t
				own.Seed = f.seed + i
				outs[i], errs[i] = own.Run(ctx)
				mu.Lock()
				done = done || f.stop && outs[i].Breach != nil
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, sim.Count{}, context.Cause(ctx)
	}
	var found []sim.Outcome
	var sum sim.Count
	for i := range outs {
		if errs[i] != nil {
			return nil, sum, fmt.Errorf("seed %d: %w", f.seed+uint64(i), errs[i])
		}
		sum.Add(outs[i].Count)
		if outs[i].Breach != nil {
			found = append(found, outs[i])
			c.printf("BROKEN  seed %d: %s\n", outs[i].Trial.Seed, outs[i].Breach)
		}
	}
	if f.seeds == 1 && len(found) == 0 {
		for _, line := range outs[0].Story {
			c.printf("%s\n", line)
		}
		c.printf("seed %d: no promise was broken; %s\n  hash %s\n", f.seed, sum, outs[0].Hash)
	}
	return found, sum, nil
}

// simStory shrinks a trial that broke a promise, and tells of it.
func (c *command) simStory(ctx context.Context, out sim.Outcome, tries int) error {
	var err error
	if tries > 0 && out.Trial.Store == "" {
		out, err = sim.Shrink(ctx, out, tries)
	} else if out.Trial.Store == "" {
		out, err = out.Tell(ctx)
	}
	if err != nil {
		return err
	}
	c.printf("\n%s\n\n%s\n", out.Trial.String(), out.Breach)
	for _, line := range out.Story {
		c.printf("  %s\n", line)
	}
	return nil
}
