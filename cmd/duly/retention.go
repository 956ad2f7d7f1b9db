package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
)

func (c *command) retentionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retention", Short: "Show for how long records are kept, and remove those that need not be kept any more",
		Long: "`keep` in the configuration gives kinds of records a term, such as {words: P2Y, contacts: P5Y}. Without one they are\n" +
			"kept for ever. `duly serve` removes the others by itself, when it has nothing else to do. Entries of the audit stay.",
	}
	cmd.AddCommand(c.retentionShowCommand(), c.retentionRunCommand())
	return cmd
}

func (c *command) retentionShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show", Short: "Show the term of each kind of record, and what demands that it be no shorter", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				r, err := a.Engine.Retention(cmd.Context(), c.now())
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(r)
				}
				c.printRetention(&r)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *command) printRetention(r *engine.Retention) {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "record\tkept for\tgoes if of or before\tno shorter than")
	terms := 0
	for i := range r.Records {
		x := &r.Records[i]
		keep, before := "ever", "-"
		if !x.Before.IsZero() {
			keep, before = x.Keep.String(), x.Before.String()
			terms++
		}
		floors := make([]string, len(x.Floors))
		for j, f := range x.Floors {
			floors[j] = floorText(&f)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.Record, keep, before, strings.Join(floors, ", "))
	}
	w.Flush()
	if terms == 0 {
		c.printf("nothing is removed: the configuration has no `keep`\n")
		return
	}
	c.printf("each bucket is gone through every %d days; %s due\n", r.Every, count(r.Behind, "bucket"))
}

func floorText(f *engine.Floor) string {
	text := f.Term.String() + " " + f.Rule
	if f.Ever {
		text = "ever " + f.Rule
	}
	if f.If != "" {
		text += " (if " + f.If + ")"
	}
	return text
}

func (c *command) retentionRunCommand() *cobra.Command {
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use: "run", Short: "Remove now what need not be kept any more, or with --dry-run count it",
		Long: "It goes through everybody, whenever that was done last, and can be stopped and started again. Beside an instance that\n" +
			"serves only --dry-run works.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				var r engine.ForgetReport
				run := func() (err error) { r, err = a.Engine.ForgetAll(cmd.Context(), c.now(), dry); return err }
				if err := c.forget(cmd.Context(), a, dry, run); err != nil {
					return err
				}
				if asJSON {
					return c.json(r)
				}
				c.printForgotten(&r, dry)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "count what would be removed, and remove nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *command) forget(ctx context.Context, a *app.App, dry bool, run func() error) error {
	if dry {
		return run()
	}
	return joined(ctx, a, "retention", run)
}

func (c *command) printForgotten(r *engine.ForgetReport, dry bool) {
	verb := "removed"
	if dry {
		verb = "would be removed"
	}
	for _, k := range engine.Records() {
		if n := r.Rows[k]; n > 0 {
			c.printf("%-10s %d %s\n", k, n, verb)
		}
	}
	if len(r.Rows) == 0 {
		c.printf("nothing is old enough, or the configuration has no `keep`\n")
	}
	if r.Kept > 0 {
		c.printf("%s kept longer: something of theirs is not over or not settled\n", count(r.Kept, "person"))
	}
}
