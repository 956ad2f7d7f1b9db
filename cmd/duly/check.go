package main

import (
	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/strategy"
)

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
