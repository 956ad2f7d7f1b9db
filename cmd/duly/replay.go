package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/internal/sim"
)

type replayFlags struct {
	mapping, from, to string
}

func (c *command) replayCommand() *cobra.Command {
	var f replayFlags
	var d dayFlags
	cmd := &cobra.Command{
		Use: "replay [PAYMENTS]", Short: "Decide a past day again, or run the engine over past days with payments coming in as they did",
		Long: "With --date a day that was planned is decided again, from the facts as they were then known and by the strategies, packs\n" +
			"and calendars of then, and the same decision hash must come out as the day printed. It writes nothing to the store.\n" +
			"With --why-different A B the day is decided with what was known when the days A and B were planned (or now), and the first\n" +
			"persons are shown about whom it is decided otherwise, with the facts or texts that make the difference.\n\n" +
			"With PAYMENTS it is for trying a strategy on a real book: import the loans first, into a store of their own and with --now\n" +
			"before the first day, then replay the payments.\n" +
			"Each payment becomes known at the time it arrived. Messages go to the configured carriers, so configure a sandbox.\n" +
			"Ends with the contacts per step, the share of instalments paid on time, and a check of every promise.",
		Example: "  duly replay --date 2026-03-02\n  duly replay --date 2026-03-02 --why-different 2026-03-02 now\n  duly --store try.db --now '2024-01-07 12:00' import book.xlsx --mapping credable-xlsx --sheet Disbursements\n  duly --store try.db replay book.xlsx --mapping credable-xlsx --from 2024-01-08 --to 2024-08-26",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if d.given() {
				return c.replayDay(cmd, d, args)
			}
			if len(args) == 0 || f.mapping == "" || f.from == "" || f.to == "" {
				return duly.Errorf(duly.Usage, "a file of payments, --mapping, --from and --to are needed").WithHint("or --date, to decide a past day again")
			}
			cfg, err := c.loadStore()
			if err != nil {
				return err
			}
			if err := c.onlySandboxes("a replay sends messages about the past"); err != nil {
				return err
			}
			a, err := app.New(cmd.Context(), cfg, app.Options{Log: c.log(), Create: true, Clock: func() time.Time { return time.Time{} }})
			if err != nil {
				return err
			}
			defer a.Close()
			return joined(cmd.Context(), a, "replay", func() error { return c.replay(cmd.Context(), a, args[0], f) })
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.mapping, "mapping", "m", "", "of the payments: a shipped `name` or a file")
	fl.StringVar(&f.from, "from", "", "first `day`")
	fl.StringVar(&f.to, "to", "", "last `day`")
	fl.StringVar(&d.date, "date", "", "decide this `day` again")
	fl.StringVar(&d.different, "why-different", "", "compare what is decided with the knowledge of two `days`, A and B")
	fl.BoolVar(&d.json, "json", false, "print JSON, with --date")
	return cmd
}

func (c *command) replay(ctx context.Context, a *app.App, path string, f replayFlags) error {
	from, err := parseDay(f.from, "from")
	if err != nil {
		return err
	}
	to, err := parseDay(f.to, "to")
	if err != nil {
		return err
	}
	if to.Before(from) {
		return duly.Errorf(duly.Usage, "--to is before --from")
	}
	if err := onlyBefore(ctx, a, from); err != nil {
		return err
	}
	events, bad, err := readPayments(ctx, path, f.mapping)
	if err != nil {
		return err
	}
	c.printf("%d payments read, %d rows left out\n", len(events), bad)
	steps, held := map[string]int{}, map[string]int{}
	var sum sim.DayReport
	r := sim.Runner{Engine: a.Engine, Events: events, Day: func(d sim.DayReport) {
		sum.Sent += d.Sent
		sum.Paid += d.Paid
		sum.Settled += d.Settled
		sum.Stopped += d.Stopped
		sum.Blocked += d.Blocked
		for k, n := range d.Held {
			held[k] += n
		}
	}}
	if err := r.Run(ctx, from, to.Sub(from)+1); err != nil {
		return err
	}
	stats, err := sim.Summarise(ctx, a.DB, a.Location, from, to)
	if err != nil {
		return err
	}
	maps.Copy(steps, stats.Steps)
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, s := range slices.Sorted(maps.Keys(steps)) {
		fmt.Fprintf(w, "%s\t%d\n", s, steps[s])
	}
	w.Flush()
	c.printf("sent %d, blocked when planned %d, stopped by payment %d\n", sum.Sent, sum.Blocked, sum.Stopped)
	for _, why := range slices.Sorted(maps.Keys(held)) {
		c.printf("held when it was to be sent: %s %d\n", why, held[why])
	}
	c.printf("payments applied %d, instalments settled %d\n", sum.Paid, sum.Settled)
	c.printf("due in these days %d: on time %d (%.1f%%), late %d, open %d\n", stats.Due, stats.OnTime, percent(stats.OnTime, stats.Due), stats.Late, stats.Open)
	c.printf("hash of all contacts' ids, states and reasons: %s\n", stats.Hash)
	return c.demoCheck(ctx, a)
}

// onlyBefore refuses a store that was written to after the replay begins: nothing is sent at a time before what is on record.
func onlyBefore(ctx context.Context, a *app.App, from civil.Date) error {
	later, err := a.DB.BucketsChangedAfter(ctx, from.At(0, a.Location))
	if err != nil || len(later) == 0 {
		return err
	}
	return duly.Errorf(duly.Refused, "the store was written to after %s began, and nothing is sent at a time before what is on record", from).
		WithHint("import into a new store with --now '%s 12:00', the day before the first", from.Add(-1))
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }

// readPayments reads a file's payments as events at the times they arrived.
func readPayments(ctx context.Context, path, mapping string) ([]sim.Event, int, error) {
	m, err := app.LoadMapping(mapping)
	if err != nil {
		return nil, 0, err
	}
	var events []sim.Event
	bad := 0
	err = ingest.Read(ctx, path, m, ingest.Options{}, func(row ingest.Row) error {
		if len(row.Problems) > 0 {
			bad++
		}
		for _, fact := range row.Facts {
			if p, ok := fact.(*duly.Payment); ok {
				if p.Version == 0 {
					p.Version = 1
				}
				events = append(events, sim.Event{At: p.ArrivedAt, Fact: p})
			}
		}
		return nil
	})
	slices.SortStableFunc(events, func(x, y sim.Event) int {
		return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.Fact.FactKey(), y.Fact.FactKey()))
	})
	return events, bad, err
}
