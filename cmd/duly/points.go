package main

import (
	"encoding/csv"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
)

func (c *command) pointsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "points", Short: "How good the contact points of borrowers are"}
	cmd.AddCommand(c.pointsListCommand(), c.pointsSetCommand(), c.pointsRefreshCommand())
	return cmd
}

func (c *command) pointsListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list BORROWER", Short: "List a borrower's contact points: how good each is, and when it was last seen to work", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				points, err := a.Engine.Points(cmd.Context(), duly.BorrowerID(args[0]))
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(points)
				}
				w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "POINT\tKIND\tADDRESS\tQUALITY\tSTATE\tRANK\tFAILURES\tLAST SEEN\tDAYS")
				for _, p := range points {
					seen, age := "never", ""
					if !p.SeenAt.IsZero() {
						seen, age = p.SeenAt.In(a.Location).Format(time.DateOnly), strconv.Itoa(int(c.now().Sub(p.SeenAt)/(24*time.Hour)))
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", p.ID, p.Kind, p.Address, p.Quality, p.State, p.Rank, p.Failures, seen, age)
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *command) pointsSetCommand() *cobra.Command {
	return &cobra.Command{
		Use: "set BORROWER POINT STATE", Short: "Say what a contact point is",
		Long:    "Says what a contact point is: active, good, suspect, bounced, wrong_number, recycled or retired. It stands until the lender says\nsomething new of it, or its use shows otherwise.",
		Example: "  duly points set D000001 mobile wrong_number", Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				err := a.Engine.SetPoint(cmd.Context(), c.now().UTC(), author(), duly.BorrowerID(args[0]), duly.PointID(args[1]), duly.PointState(args[2]))
				if err == nil {
					c.printf("point %s is %s\n", args[1], args[2])
				}
				return err
			})
		},
	}
}

func (c *command) pointsRefreshCommand() *cobra.Command {
	var quality string
	var limit int
	cmd := &cobra.Command{
		Use: "refresh", Short: "Write a CSV of borrowers who owe and have no good contact point, for the lender to find new ones",
		Long: "Writes a CSV to standard output: who owes and has no good contact point, those longest not seen first. It holds ids and no addresses.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				list, err := a.Engine.Unreached(cmd.Context(), quality, limit)
				if err != nil {
					return err
				}
				w := csv.NewWriter(c.out)
				rows := [][]string{{"borrower_id", "quality", "points", "last_seen_on"}}
				for _, u := range list {
					seen := ""
					if !u.SeenAt.IsZero() {
						seen = u.SeenAt.In(a.Location).Format(time.DateOnly)
					}
					rows = append(rows, []string{string(u.BorrowerID), u.Quality, strconv.Itoa(u.Points), seen})
				}
				return w.WriteAll(rows)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&quality, "quality", "", "only those whose best point is `unverified`, suspect, dead, wrong person or none")
	f.IntVar(&limit, "limit", 100_000, "write at most so `many`")
	return cmd
}
