package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
)

func (c *command) planCommand() *cobra.Command {
	var date string
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use: "plan", Short: "Plan a day's contacts and print their volumes",
		Long: "Prints how many contacts each step wants by channel and hour, how many are held back and why, and a total that\n" +
			"closes: considered = planned + held. Planning twice changes nothing; --dry-run writes nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				day, err := parseDay(date, "date")
				if err != nil {
					return err
				}
				if day.IsZero() {
					day = a.Engine.Today(now)
				}
				v, err := c.volumes(cmd, a, day, dry)
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(v)
				}
				c.printVolumes(v)
				if v.Decided.Hash != "" {
					c.printDecisions(v.Decided)
				}
				if v.Considered == 0 && day.Before(a.Engine.Today(now)) {
					c.printf("that day is past and has nothing on record: only today and days to come are planned\n")
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&date, "date", "", "the lender's `day`; today if left out")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "write nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// volumes plans a day. Only today and days to come can be planned; a past day shows what is on record.
func (c *command) volumes(cmd *cobra.Command, a *app.App, day civil.Date, dry bool) (engine.Volumes, error) {
	now := c.now().UTC()
	today := a.Engine.Today(now)
	switch {
	case dry || day.After(today):
		return a.Engine.DryRun(cmd.Context(), now, day)
	case day == today:
		err := joined(cmd.Context(), a, "plan", func() error { _, err := a.Engine.Plan(cmd.Context(), now); return err })
		if err != nil {
			return engine.Volumes{}, err
		}
	}
	return a.Engine.Volumes(cmd.Context(), day)
}

func (c *command) printVolumes(v engine.Volumes) {
	note := ""
	if v.DryRun {
		note = " (dry run, nothing written)"
	}
	c.printf("Plan of %s%s\n\n", v.Day, note)
	if len(v.Wanted) == 0 {
		c.printf("no contacts; `duly why BORROWER --date %s` says why of one borrower\n", v.Day)
	} else {
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "step\tchannel\thour\tcontacts\t")
		for _, r := range v.Wanted {
			fmt.Fprintf(w, "%s\t%s\t%02d:00\t%d\t\n", r.Step, r.Channel, r.Hour, r.Count)
		}
		w.Flush()
	}
	if len(v.Held) > 0 {
		c.printf("\nheld back\n")
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', tabwriter.AlignRight)
		for _, r := range v.Held {
			fmt.Fprintf(w, "%s\t%s\t%d\t\n", r.State, r.Reason, r.Count)
		}
		w.Flush()
	}
	c.printf("\nconsidered %d = contacted or to be %d + held %d\nhash of ids, states and reasons: %s\n", v.Considered, v.Contacts, v.HeldBack, v.Hash)
}

func (c *command) stepCommand() *cobra.Command {
	return &cobra.Command{
		Use: "step", Short: "Run the engine once: receive, plan, dispatch, measure",
		Long: "For those who run Duly from cron instead of `duly serve`, and, with --now, for trying things out.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.onlySandboxes("--now sends as if it were another time, maybe at night"); c.at != "" && err != nil {
				return err
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				var total engine.Report
				err := joined(cmd.Context(), a, "step", func() error {
					for more := true; more && cmd.Context().Err() == nil; {
						r, err := a.Engine.Step(cmd.Context(), now)
						total.Add(r)
						if err != nil {
							return err
						}
						more = r.More
					}
					return nil
				})
				if err != nil {
					return err
				}
				c.printReport(total)
				return nil
			})
		},
	}
}

func (c *command) printReport(r engine.Report) {
	d := r.Dispatched
	c.printf("received   %d receipts, %d contacts moved on\n", r.Received.Receipts, r.Received.Moved)
	c.printf("planned    %d persons looked at, %d contacts to send, %d blocked\n", r.Planned.Persons, r.Planned.Planned, r.Planned.Blocked)
	if r.Planned.Failed > 0 {
		c.printf("           %s could not be planned and will not be contacted: the log on stderr says why\n", count(r.Planned.Failed, "person"))
	}
	held := 0
	for _, n := range d.Held {
		held += n
	}
	c.printf("dispatched %d due = %d claimed + %d expired + %d held\n", d.Due, d.Claimed, d.Expired, held)
	c.printf("           %d claimed = %d accepted + %d failed + %d to retry + %d in doubt + %d recalled\n", d.Claimed, d.Accepted, d.Failed, d.Retried, d.InDoubt, d.Recalled)
	for _, reason := range slices.Sorted(maps.Keys(d.Held)) {
		c.printf("           held %s: %d\n", reason, d.Held[reason])
	}
	if d.Lapsed > 0 {
		c.printf("           %d tries of an earlier run ended without an answer and are in doubt: see `duly doubt list`\n", d.Lapsed)
	}
	if d.Unknown > 0 {
		c.printf("           %s ran out without a word and count as unknown: see `duly reservation list`\n", count(d.Unknown, "reservation"))
	}
	c.printf("measured   %d outcomes\n", r.Measured)
}

func (c *command) serveCommand() *cobra.Command {
	var listen, embedded string
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the engine, the HTTP API and the console until stopped",
		Long: "Steps the engine at every tick and whenever facts come in. SIGTERM drains: nothing more is claimed, what is on its\n" +
			"way is finished and stored, then it exits with status 0.\n" +
			"Any number may serve one store: they share its people among them, and `duly nodes` shows how. With stream and cells in\n" +
			"the configuration it works on all cells, and facts go to them through the log.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.at != "" {
				return duly.Errorf(duly.Usage, "--now stands still; serve needs a clock that runs").WithHint("use `duly step`")
			}
			cfg, err := c.load()
			if err == nil && !cfg.Celled() && embedded == "" {
				cfg, err = c.loadStore()
			}
			if err != nil {
				return err
			}
			if listen != "" {
				cfg.Listen = listen
			}
			if embedded != "" {
				if err := cfg.Embed(embedded); err != nil {
					return err
				}
			}
			if cfg.Celled() {
				if c.cell != "" || c.store != "" && embedded == "" {
					return duly.Errorf(duly.Usage, "serve works on all cells of the configuration").WithHint("leave --cell and --store out")
				}
				return app.ServeCells(cmd.Context(), cfg, app.Options{Log: c.log()}, func(addr string) {
					c.printf("duly serves http://%s (%s behind a log)\n", addr, count(len(cfg.Cells), "cell"))
				})
			}
			a, err := app.New(cmd.Context(), cfg, app.Options{Log: c.log(), Create: !app.IsPostgres(cfg.Store), Wait: true})
			if err != nil {
				if cmd.Context().Err() != nil {
					return nil // told to stop before the store was open: there is nothing to drain
				}
				return err
			}
			err = a.Serve(cmd.Context(), func(addr string) {
				c.printf("duly serves http://%s (store %s)\n", addr, a.DB.Kind())
				if path, err := a.FirstLink(cmd.Context()); err == nil && path != "" {
					c.printf("nobody can sign in to the console yet: set the first password at http://%s%s (once, within a day)\n", addr, path)
				}
			})
			return errors.Join(err, a.Close())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "", "`address` of the API (overrides the configuration)")
	cmd.Flags().StringVar(&embedded, "stream-embedded", "", "run a log of commands in this process and keep it in this `folder`, to try it out")
	return cmd
}

func (c *command) migrateCommand() *cobra.Command {
	var partitions int
	cmd := &cobra.Command{
		Use: "migrate", Short: "Make the store's schema, or bring it up to date", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load()
			if err != nil {
				return err
			}
			if !cfg.Celled() || c.cell != "" || c.store != "" {
				if cfg, err = c.loadStore(); err != nil {
					return err
				}
				return c.migrate(cmd, cfg, "the store", partitions)
			}
			for _, cell := range cfg.Cells {
				one, err := cfg.Cell(cell.Name)
				if err != nil {
					return err
				}
				if err := c.migrate(cmd, one, "cell "+cell.Name, partitions); err != nil {
					return err
				}
			}
			return app.SettleCells(cmd.Context(), cfg, app.Options{Log: c.log()})
		},
	}
	cmd.Flags().IntVar(&partitions, "partitions", 0, "make the tables of people's data in this many `partitions` (PostgreSQL; a new store only)")
	return cmd
}

func (c *command) migrate(cmd *cobra.Command, cfg app.Config, what string, partitions int) error {
	a, err := app.New(cmd.Context(), cfg, app.Options{Log: c.log(), Create: true, Partitions: partitions})
	if err != nil {
		return err
	}
	c.printf("%s (%s) is up to date\n", what, a.DB.Kind())
	return a.Close()
}

func (c *command) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show how many contacts are in which state, and how fresh the payments are", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				counts, err := a.DB.CountContacts(cmd.Context())
				if err != nil {
					return err
				}
				for _, s := range duly.ContactStates() {
					c.printf("%-10s %d\n", s, counts[s])
				}
				feed, err := a.DB.FeedAt(cmd.Context(), engine.FeedPayments)
				if err != nil {
					return err
				}
				now := c.now().UTC()
				switch {
				case feed.IsZero():
					c.printf("payments: never told; nothing is sent until they are (`duly import` of payments, or `duly feed`)\n")
				case now.Sub(feed) > a.Engine.Config().FeedMaxAge:
					c.printf("payments: known up to %s, which is longer ago than %s (feed_max_age); nothing is sent until newer ones are told (`duly import` of payments, or `duly feed`)\n",
						feed.In(a.Location).Format(zoned), span(a.Engine.Config().FeedMaxAge))
				default:
					c.printf("payments: known up to %s\n", feed.In(a.Location).Format(zoned))
				}
				for _, m := range a.Lacking(a.Engine.Today(now)) {
					c.printf("calendar %s has no year %d: steps and rules that need it will block (`calendars` in the configuration)\n", m.Calendar, m.Year)
				}
				return c.printHeld(cmd, a)
			})
		},
	}
}

// zoned is how times are written where a person compares them with other systems.
const zoned = "2006-01-02 15:04 -0700"

// span writes a duration without the zeros that it ends on: 26h, not 26h0m0s.
func span(d time.Duration) string {
	s := d.String()
	for _, unit := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, unit) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// onlySandboxes refuses a configuration by which messages would leave the machine.
func (c *command) onlySandboxes(why string) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Carriers)) {
		if !cfg.Carriers[name].Sandbox() {
			return duly.Errorf(duly.Refused, "%s; carrier %s is real", why, name).WithHint("configure only sandbox carriers for it")
		}
	}
	return nil
}

func (c *command) json(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
