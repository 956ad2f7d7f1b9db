package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/web/console"
)

func (c *command) accountCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "account", Short: "Say who may use the console"}
	cmd.AddCommand(c.accountListCommand(), c.accountInviteCommand(), c.accountDisableCommand())
	return cmd
}

func (c *command) accountListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List accounts, their roles and whether they can be used", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				all, err := a.DB.Accounts(cmd.Context())
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "account\trole\tmade\tstate")
				for i := range all {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", all[i].Name, all[i].Role, all[i].CreatedAt.In(a.Location).Format(zoned), accountState(&all[i], c.now()))
				}
				return w.Flush()
			})
		},
	}
}

func accountState(a *store.Account, now time.Time) string {
	switch {
	case !a.DisabledAt.IsZero():
		return "disabled"
	case a.Hash != "":
		return "open"
	case now.Before(a.LinkUntil):
		return "waits for its password"
	}
	return "its link is too old: invite it again"
}

func (c *command) accountInviteCommand() *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use: "invite NAME", Short: "Make an account, or give one another role and password: prints a link that works once",
		Long: "The link sets the account's password, once, within a day. Whoever was signed in as it is signed out.\n" +
			"Roles: operator, agent, supervisor, compliance, risk, auditor, admin; docs/console.md says what each may.",
		Example: "  duly account invite li.wei --role agent",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				secret, err := console.Invite(cmd.Context(), a.DB, c.now().UTC(), args[0], console.Role(role))
				if err != nil {
					return err
				}
				c.printf("http://%s%s\n", a.Config.Listen, console.LinkPath(secret))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", string(console.Operator), "what the account may: `role`")
	return cmd
}

func (c *command) accountDisableCommand() *cobra.Command {
	return &cobra.Command{
		Use: "disable NAME", Short: "Sign an account out and keep it out", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				err := console.Disable(cmd.Context(), a.DB, c.now().UTC(), args[0])
				if duly.CodeOf(err) == duly.NotFound {
					return duly.Errorf(duly.NotFound, "there is no account %q", args[0]).WithHint("`duly account list` shows them")
				}
				return err
			})
		},
	}
}
