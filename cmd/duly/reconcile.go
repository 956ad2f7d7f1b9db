package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/ingest"
)

// reconcileFlags are what `duly reconcile` is told.
type reconcileFlags struct {
	provider, from, until    string
	columns, words           map[string]string
	complete, settle, asJSON bool
}

func (c *command) reconcileCommand() *cobra.Command {
	f := reconcileFlags{}
	cmd := &cobra.Command{
		Use: "reconcile FILE", Short: "Hold a provider's own log or bill against what was sent",
		Long: "The file is a CSV with a head. Understood are the columns attempt (our reference) or provider_id, and status, segments, price\n" +
			"and time; --column says what the provider calls them. Shown is what one side has and the other has not, and how parts and cost\n" +
			"compare. With --settle, what the log proves of messages in doubt goes to the inbox as receipts do. That a message was never\n" +
			"taken is proved only by a log that is --complete from --from until --until.",
		Example: "  duly reconcile march-10.csv --provider alpha --column attempt=ClientRef --column status=State --status GESENDET=accepted\n" +
			"  duly reconcile march-10.csv --provider alpha --from 2026-03-10 --until 2026-03-11 --complete --settle",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				ask, err := f.ask(args[0], a.Location)
				if err != nil {
					return err
				}
				r, err := a.Engine.Reconcile(cmd.Context(), c.now().UTC(), ask)
				if err != nil {
					return err
				}
				if f.asJSON {
					return c.json(r)
				}
				return c.printReconciliation(&r, f.settle, a.Location)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.provider, "provider", "", "the `carrier`, by its name in the configuration")
	fl.StringToStringVar(&f.columns, "column", nil, "`OURS=THEIRS`: what the provider calls a column; once for each")
	fl.StringToStringVar(&f.words, "status", nil, "`THEIRS=OURS`: what a status of the provider's means: accepted, delivered, read, failed, bad_address, opted_out")
	fl.StringVar(&f.from, "from", "", "look at messages of this `time` and later; as the log's own times say if left out")
	fl.StringVar(&f.until, "until", "", "and of before this `time`")
	fl.BoolVar(&f.complete, "complete", false, "the log holds all that the provider took in that time")
	fl.BoolVar(&f.settle, "settle", false, "write down what the log proves of messages in doubt")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	cmd.MarkFlagRequired("provider")
	return cmd
}

// ask reads the log.
func (f *reconcileFlags) ask(path string, loc *time.Location) (engine.ReconcileAsk, error) {
	a := engine.ReconcileAsk{Carrier: f.provider, Words: map[string]duly.ReceiptStatus{}, Complete: f.complete, Settle: f.settle}
	for theirs, ours := range f.words {
		a.Words[theirs] = duly.ReceiptStatus(ours)
	}
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"from", f.from, &a.From}, {"until", f.until, &a.Until}} {
		at, err := parseTime(t.text, t.flag, loc)
		if err != nil {
			return a, err
		}
		if t.text != "" {
			*t.to = at.UTC()
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return a, duly.Errorf(duly.NotFound, "the file cannot be read").At(duly.Place{File: path})
	}
	defer file.Close()
	a.Lines, err = ingest.ReadLog(file, path, ingest.LogFormat{Columns: f.columns, Location: loc})
	return a, err
}

func (c *command) printReconciliation(r *engine.Reconciliation, settle bool, loc *time.Location) error {
	c.printf("carrier %s, messages from %s until %s\n", r.Carrier, local(r.From, loc), local(r.Until, loc))
	c.printf("%d lines of the log = %d with their message + %d again + %d of no message of ours\n", r.Lines, r.Matched, r.Again, r.OnlyLog)
	c.printf("%d messages taken by our records = %d in the log + %d not in it + %d never taken\n", r.Ours, r.Matched-r.Refused, r.OnlyOurs, r.NotTaken)
	if r.Refused > 0 {
		c.printf("%d messages that were not taken by our records are in the log: look at them, their persons may have been told twice\n", r.Refused)
	}
	if r.Segments != (engine.Compared{}) {
		c.printf("parts: %d by our records, %d by the log\n", r.Segments.Ours, r.Segments.Theirs)
	}
	if r.Cost != (engine.Compared{}) {
		c.printf("cost: %s by our records, %s by the log\n", route.Micros(r.Cost.Ours), route.Micros(r.Cost.Theirs))
	}
	for _, word := range slices.Sorted(maps.Keys(r.Words)) {
		c.printf("status %q is not known, %d times; --status says what it means\n", word, r.Words[word])
	}
	if len(r.Rows) > 0 {
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "line\tattempt\treference\twhat\tours\ttheirs")
		for i := range r.Rows {
			x := &r.Rows[i]
			line := "-"
			if x.Line > 0 {
				line = fmt.Sprint(x.Line)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", line, dash(string(x.Attempt)), dash(x.ProviderID), x.What, dash(strings.TrimSpace(x.Ours)), dash(x.Theirs))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if r.Left > 0 {
			c.printf("and %d more\n", r.Left)
		}
	}
	c.printf("%d in doubt, of which the log proves what became of %d\n", r.Doubts, r.Proved+r.NotTaken)
	switch {
	case settle:
		c.printf("%d receipts were written down; contacts move at the next step\n", r.Settled)
	case r.Proved+r.NotTaken > 0:
		c.printf("nothing is written down yet; to do so: --settle\n")
	}
	return nil
}
