package main

import (
	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/strategy"
)

func (c *command) doubtCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "doubt", Short: "Attempts of which it is not known whether they went out"}
	var limit int
	var asJSON bool
	list := &cobra.Command{
		Use: "list", Short: "List them, oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				d, err := a.Engine.Doubts(cmd.Context(), limit)
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(d)
				}
				for i := range d {
					c.printf("%s  %s  %s  claimed %s\n", d[i].ID, d[i].Carrier, d[i].Detail, local(d[i].ClaimedAt, a.Location))
				}
				c.printf("%d in doubt\n", len(d))
				if len(d) > 0 {
					c.printf("ask the provider what became of each, then: duly doubt resolve ATTEMPT delivered|failed\n")
				}
				return nil
			})
		},
	}
	list.Flags().IntVar(&limit, "limit", 100_000, "at most this many")
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	resolve := &cobra.Command{
		Use: "resolve ATTEMPT delivered|failed", Short: "Record what became of one, from the provider's own word", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			status := map[string]duly.ReceiptStatus{"delivered": duly.ReceiptDelivered, "failed": duly.ReceiptFailed}[args[1]]
			if status == "" {
				return duly.Errorf(duly.Usage, "what became of it is delivered or failed")
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				if err := a.Engine.Resolve(cmd.Context(), c.now().UTC(), duly.AttemptID(args[0]), status, author()); err != nil {
					return err
				}
				c.printf("attempt %s is %s\n", args[0], status)
				return nil
			})
		},
	}
	cmd.AddCommand(list, resolve)
	return cmd
}

func (c *command) auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "The record of what was decided and done"}
	cmd.AddCommand(&cobra.Command{
		Use: "verify", Short: "Check that no entry was changed, added or taken out", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				r, err := a.DB.AuditVerify(cmd.Context())
				if err != nil {
					return err
				}
				for _, b := range r.Breaks {
					c.printf("%s\n", b)
				}
				c.printf("%d entries in %d chains\n", r.Entries, r.Buckets)
				if len(r.Breaks) > 0 {
					return duly.Errorf(duly.Conflict, "the audit does not hold: %d breaks", len(r.Breaks)).WithHint("compare with a backup from before the change")
				}
				return nil
			})
		},
	})
	return cmd
}

func (c *command) strategyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "strategy", Short: "Contact strategies"}
	cmd.AddCommand(&cobra.Command{
		Use: "check FILE…", Short: "Check strategies: every problem with file, line and column", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			all, err := app.LoadStrategies(files)
			if err != nil {
				return err
			}
			set, err := app.LoadTemplates("")
			if err != nil {
				return err
			}
			for _, s := range all {
				for _, u := range s.Templates() {
					if err := set.Check(u.Template, u.Channel, u.Tone); err != nil {
						return err
					}
				}
				c.printf("%s: good, %d steps, hash %s\n", s.Name, len(s.Steps), s.Hash)
			}
			return nil
		},
	}, &cobra.Command{
		Use: "variables", Short: "List what a step's condition may look at", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, v := range strategy.Variables() {
				c.printf("%-18s %-14s %s · %s\n", v.Name, v.Type, v.English, v.Chinese)
			}
			return nil
		},
	})
	return cmd
}

func (c *command) templateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "template", Short: "Message templates"}
	cmd.AddCommand(&cobra.Command{
		Use: "check [FOLDER]", Short: "Check templates: variables, length, parts", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := ""
			if len(args) == 1 {
				dir = args[0]
			}
			set, err := app.LoadTemplates(dir)
			if err != nil {
				return err
			}
			for _, n := range set.Names() {
				c.printf("%s\n", n)
			}
			return nil
		},
	})
	return cmd
}
