package main

import (
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/strategy"
	"github.com/dulyhq/duly/rulepacks"
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

func (c *command) rulesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "rules", Short: "Rule packs: contact law and limits as data"}
	cmd.AddCommand(c.impactCommand())
	cmd.AddCommand(&cobra.Command{
		Use: "list [FOLDER]", Short: "List packs and their rules with force and source", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			fsys, packs, err := loadPacks(args)
			if err != nil {
				return err
			}
			for _, p := range packs {
				c.printf("%s %s (%s) %.12s\n", p.ID, p.Version, p.Jurisdiction, p.Hash)
				for i := range p.Rules {
					r := &p.Rules[i]
					c.printf("  %-8s %-17s %-10s %-32s %s\n", r.ID, r.Kind, r.Force, r.Reason, r.Source.Instrument)
				}
			}
			return c.printDuties(fsys)
		},
	}, &cobra.Command{
		Use: "test [FOLDER]", Short: "Run the cases that packs carry", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			fsys, _, err := loadPacks(args)
			if err != nil {
				return err
			}
			cases, failures, err := gate.TestFS(fsys)
			if err != nil {
				return err
			}
			for _, f := range failures {
				c.printf("%s\n", f)
			}
			failed := len(failures)
			deadlines, wrong, err := testDuties(fsys)
			if err != nil {
				return err
			}
			for _, text := range wrong {
				c.printf("%s\n", text)
			}
			cases, failed = cases+deadlines, failed+len(wrong)
			c.printf("%d cases, %d failed\n", cases, failed)
			if failed > 0 {
				return duly.Errorf(duly.Invalid, "%d cases failed", failed)
			}
			return nil
		},
	})
	return cmd
}

// printDuties lists the obligations of packs, by pack.
func (c *command) printDuties(fsys fs.FS) error {
	packs, err := rule.LoadDuties(fsys)
	if err != nil {
		return err
	}
	for _, p := range packs {
		c.printf("%s obligations (%s) %.12s\n", p.ID, p.Jurisdiction, p.Hash)
		for i := range p.Duties {
			d := &p.Duties[i]
			mark := ""
			if d.Shadow() {
				mark = " (shadow)"
			}
			c.printf("  %-9s %-17s %-10s %-6s %-6s %s%s\n", d.ID, rule.Obligation, d.Force, d.Demand, d.Term, d.Source.Instrument, mark)
		}
	}
	return nil
}

// testDuties runs the cases of obligations.
func testDuties(fsys fs.FS) (cases int, wrong []string, err error) {
	calendars, err := civil.BuiltIn()
	if err != nil {
		return 0, nil, err
	}
	return rule.TestDuties(fsys, calendars)
}

// loadPacks reads the shipped packs, or those of the folder that is named; none at all is an error, for it is never meant.
func loadPacks(args []string) (fs.FS, []*rule.Pack, error) {
	var fsys fs.FS = rulepacks.FS
	place := duly.Place{}
	if len(args) == 1 {
		place.File = args[0]
		if i, err := os.Stat(args[0]); err != nil || !i.IsDir() {
			return nil, nil, duly.Errorf(duly.NotFound, "there is no such folder").At(place).WithHint("leave it out for the packs that are shipped")
		}
		fsys = os.DirFS(args[0])
	}
	packs, err := rule.LoadFS(fsys)
	if err == nil && len(packs) == 0 {
		err = duly.Errorf(duly.Invalid, "there is no rule pack in this folder").At(place).
			WithHint("name the folder that holds packs: a pack is a folder of its own with pack.yaml and tests.yaml in it")
	}
	return fsys, packs, err
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
