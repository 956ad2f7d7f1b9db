package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
)

// joined runs fn with every bucket leased to this process.
func joined(ctx context.Context, a *app.App, what string, fn func() error) error {
	leave, err := a.Join(ctx, what)
	if err != nil {
		return err
	}
	return errors.Join(fn(), leave())
}

func (c *command) nodesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "nodes", Short: "Show which processes share the work on the store, and what nobody works on",
		Long: "Each node leases buckets of people. A node that is silent for longer than node.lease ends, and its buckets go to\n" +
			"the others. Nodes that ended are shown for a day. Ages are by the database's clock.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				r, err := engine.Nodes(cmd.Context(), a.DB, a.Engine.Holding().Share())
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(r)
				}
				c.printNodes(&r, a.Location)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *command) printNodes(r *engine.NodesReport, loc *time.Location) {
	if len(r.Nodes) > 0 {
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "node\tstate\tbuckets\theard\tlease left\tstarted\tclock ahead\tversion\tid")
		for _, n := range r.Nodes {
			state, left := n.State, fmt.Sprintf("%.1f s", n.Left)
			if n.Ended > 0 {
				state, left = fmt.Sprintf("ended %.0f s ago", n.Ended), "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%.1f s ago\t%s\t%s\t%.3f s\t%s\t%s\n",
				n.Name, state, n.Buckets, n.Heard, left, n.Started.In(loc).Format(zoned), n.Ahead, n.Version, n.ID)
		}
		w.Flush()
	}
	switch {
	case r.Alive() == 0:
		c.printf("no node is alive: nothing is planned or sent until `duly serve` or `duly step` runs\n")
	case r.Unowned > 0:
		c.printf("%d buckets are nobody's, for up to %.1f s; a live node takes them at its next beat\n", r.Unowned, r.UnownedFor)
	default:
		c.printf("every bucket is a node's\n")
	}
}
