package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
)

func (c *command) cellsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "cells", Short: "Show which cell has which people, and move them between cells"}
	cmd.AddCommand(c.cellsListCommand(), c.cellsMoveCommand(), c.cellsReconcileCommand())
	return cmd
}

func (c *command) cellsListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "Show which cell has which parts, who works on them, and which are being moved",
		Long: "A part is some of the 1,024 buckets of people. \"waiting\" is how many commands of the log have not taken effect yet; it is\n" +
			"left out where the log does not answer, or is inside a `duly serve`.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load()
			if err != nil {
				return err
			}
			r, err := app.ListCells(cmd.Context(), cfg, app.Options{Log: c.log()})
			if err != nil {
				return err
			}
			if asJSON {
				return c.json(r)
			}
			c.printCells(&r)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *command) printCells(r *app.CellsReport) {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "parts\tcell\tbuckets\tborrowers\tcontacts\tnobody's\twaiting\tnodes\tmove")
	for _, p := range r.Parts {
		waiting := "-"
		if p.Waiting != nil {
			waiting = strconv.FormatUint(*p.Waiting, 10)
		}
		var nodes []string
		for _, name := range slices.Sorted(maps.Keys(p.Nodes)) {
			nodes = append(nodes, fmt.Sprintf("%s %d", name, p.Nodes[name]))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", partsName(p.From, p.To), orDash(p.Cell), p.Buckets, p.Borrowers, p.Contacts, p.Unowned,
			waiting, orDash(strings.Join(nodes, ", ")), orDash(p.Move))
	}
	w.Flush()
	for _, name := range slices.Sorted(maps.Keys(r.Closed)) {
		c.printf("cell %s is away: %s\n", name, r.Closed[name])
	}
}

func partsName(from, to int) string {
	if from == to {
		return strconv.Itoa(from)
	}
	return fmt.Sprintf("%d-%d", from, to)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (c *command) cellsMoveCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "move PART[-PART] --to CELL", Short: "Move parts to another cell while Duly works",
		Long: "Moves one part after the other. While a part moves, payments and other facts of its people wait in the log, and nothing is\n" +
			"sent to them; all others are worked on. Every row is compared in its new cell before the old one lets go. If this command is\n" +
			"cut off at any point, run the same again.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.load()
			if err != nil {
				return err
			}
			from, last, err := parseParts(args[0])
			if err != nil {
				return err
			}
			if to == "" {
				return duly.Errorf(duly.Usage, "the cell to move to is not named").WithHint("add --to CELL; `duly cells list` shows the cells")
			}
			began := time.Now()
			moved, err := app.MoveParts(cmd.Context(), cfg, app.Options{Log: c.log()}, from, last, to, func(part int, what string) {
				c.printf("%6.1f s  part %d %s\n", time.Since(began).Seconds(), part, what)
			})
			rows := int64(0)
			for _, m := range moved {
				rows += m.Rows
			}
			if len(moved) > 0 {
				c.printf("%s moved to cell %s, %s\n", count(len(moved), "part"), to, count(rows, "row"))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the `cell` to move to")
	return cmd
}

// parseParts reads one part, or the first and the last of several.
func parseParts(s string) (from, to int, err error) {
	first, last, several := strings.Cut(s, "-")
	if !several {
		last = first
	}
	from, err = strconv.Atoi(first)
	if err == nil {
		to, err = strconv.Atoi(last)
	}
	if err != nil {
		return 0, 0, duly.Errorf(duly.Usage, "%q names no parts", s).WithHint("write 5, or 5-9; `duly cells list` shows them")
	}
	return from, to, nil
}

func (c *command) cellsReconcileCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reconcile", Short: "Tell the log again what it had taken and may have lost",
		Long: "Commands that the log had taken when their call was answered 503 are kept in a cell until they are known to be applied.\n" +
			"`duly serve` looks after them once an hour; this does so now. What was applied already is changed by nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load()
			if err != nil {
				return err
			}
			r, err := app.Reconcile(cmd.Context(), cfg, app.Options{Log: c.log()})
			if err != nil {
				return err
			}
			c.printf("kept %d: still in the log %d, told again %d of which applied %d, refused %d, not applied yet %d\n", r.Kept, r.Waiting, r.Told, r.Applied, r.Refused, r.Open)
			return nil
		},
	}
}
