package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

func (c *command) carriersCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "carriers", Short: "Show how the carriers do, and have a channel go to one of them",
		Long: "Each node finds out for itself how its carriers do; shown is what each said last. A carrier that fails in half of its\n" +
			"tries rests, is tried with a few messages, and is used again when those went well.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error { return c.showCarriers(cmd.Context(), a, asJSON) })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(c.pinCommand(), c.unpinCommand())
	return cmd
}

func (c *command) showCarriers(ctx context.Context, a *app.App, asJSON bool) error {
	r, err := a.Engine.Carriers(ctx, c.now().UTC())
	if err != nil {
		return err
	}
	if asJSON {
		return c.json(r)
	}
	c.printCarriers(&r, a.Location)
	return nil
}

func (c *command) printCarriers(r *engine.CarriersReport, loc *time.Location) {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "node\tcarrier\tchannels\tstate\twhy\tuntil\trested\tsent\tfailed\tlate\trate\ttokens\tprice")
	said := r.Nodes
	if len(said) == 0 { // nobody sends: as they are configured
		said = []engine.NodeCarriers{{Node: "-", Carriers: r.Carriers}}
	}
	for i := range said {
		for j := range said[i].Carriers {
			c.printCarrier(w, said[i].Node, &said[i].Carriers[j], loc)
		}
	}
	w.Flush()
	for _, p := range r.Pins {
		until := "until it is taken away"
		if !p.Until.IsZero() {
			until = "until " + local(p.Until, loc)
		}
		c.printf("channel %s is pinned to %s %s, by %s\n", p.Channel, p.Carrier, until, p.By)
	}
	if r.Parked+r.GivenUp > 0 {
		c.printf("receipts that name no attempt: %d looked for, %d given up\n", r.Parked, r.GivenUp)
	}
	if len(r.Nodes) == 0 {
		c.printf("no node has sent anything lately: shown is what is configured\n")
	}
}

func (c *command) printCarrier(w *tabwriter.Writer, node string, x *route.Report, loc *time.Location) {
	channels := make([]string, len(x.Channels))
	for i, ch := range x.Channels {
		channels[i] = string(ch)
	}
	state, until, tokens := string(x.State), "-", "-"
	if len(x.Stopped) > 0 {
		state += ", spend limit"
	}
	if !x.Until.IsZero() {
		until = local(x.Until, loc)
	}
	if x.Rate != "" {
		tokens = fmt.Sprint(x.Tokens)
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d of %d\t%d of %d\t%s\t%s\t%s\n", node, x.Carrier, strings.Join(channels, ","), state, dash(x.Why), until,
		x.Opened, x.Sent, x.Failed, x.Tries, x.Late, x.Receipts, dash(x.Rate), tokens, dash(x.Price))
}

func (c *command) pinCommand() *cobra.Command {
	var until, by string
	cmd := &cobra.Command{
		Use: "pin CHANNEL CARRIER", Short: "Have all messages of a channel go to one carrier, however it does",
		Long: "Holds at every node from its next step on. The carrier's rate and the channel's spend limit hold still, and so does the\n" +
			"rest of a carrier that takes nothing from us as configured. What it refuses is tried again with it, not with another.",
		Example: "  duly carriers pin sms beta --until '2026-03-12 08:00' --by desk-7",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				end, err := parseTime(until, "until", a.Location)
				if err != nil {
					return err
				}
				p := store.Pin{Channel: duly.Channel(args[0]), Carrier: args[1], Until: end.UTC(), By: by, At: c.now().UTC()}
				if end.IsZero() {
					p.Until = time.Time{}
				}
				if err := a.Engine.Pin(cmd.Context(), c.now().UTC(), p); err != nil {
					return err
				}
				return c.showCarriers(cmd.Context(), a, false)
			})
		},
	}
	cmd.Flags().StringVar(&until, "until", "", "ends at this `time`; until it is taken away if left out")
	cmd.Flags().StringVar(&by, "by", "", "`who` says so: a name or code of the staff's")
	cmd.MarkFlagRequired("by")
	return cmd
}

func (c *command) unpinCommand() *cobra.Command {
	var by string
	cmd := &cobra.Command{
		Use: "unpin CHANNEL", Short: "Choose among the carriers of a channel again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				if err := a.Engine.Unpin(cmd.Context(), c.now().UTC(), duly.Channel(args[0]), by); err != nil {
					return err
				}
				return c.showCarriers(cmd.Context(), a, false)
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "`who` says so: a name or code of the staff's")
	cmd.MarkFlagRequired("by")
	return cmd
}
