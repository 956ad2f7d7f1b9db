package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/plan"
)

func (c *command) whyCommand() *cobra.Command {
	var date string
	var asJSON, text bool
	cmd := &cobra.Command{
		Use: "why BORROWER", Short: "Explain why a borrower was, or was not, contacted on a day",
		Long: "Shows what is on record for the day, and every step of the strategy near it with its verdict, the rule, where the\n" +
			"rule comes from and the facts that were used; also why nothing was due.",
		Example: "  duly why D000001\n  duly why D000001 --date 2026-03-10 --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				day, err := parseDay(date, "date")
				if err != nil {
					return err
				}
				if day.IsZero() {
					day = a.Engine.Today(now)
				}
				x, err := a.Engine.Why(cmd.Context(), now, duly.BorrowerID(args[0]), day)
				if err != nil {
					return err
				}
				if !text {
					x.Mask()
				}
				if asJSON {
					return c.json(x)
				}
				c.printWhy(&x, a.Location, text)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&date, "date", "", "the lender's `day`; today if left out")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&text, "text", false, "show the words that were sent and written: personal data")
	return cmd
}

func (c *command) printWhy(x *engine.Explanation, loc *time.Location, text bool) {
	c.printf("Borrower %s on %s\n", x.BorrowerID, x.Date)
	if x.Strategy != "" {
		c.printf("strategy %s; packs %s\n", x.Strategy, strings.Join(x.Packs, ", "))
	}
	if x.FeedAt.IsZero() {
		c.printf("payments: never told, so nothing is sent\n")
	} else {
		c.printf("payments known up to %s\n", local(x.FeedAt, loc))
	}
	for i := range x.AskedFor {
		a := &x.AskedFor[i]
		c.printf("asked for: %s (%s%s)\n", a, a.ID, orNothing(", by ", a.Source))
	}
	c.printf("\n%s\n", x.Summary)
	if len(x.Recorded) > 0 {
		c.printf("\nOn record\n")
		for i := range x.Recorded {
			c.printRecorded(&x.Recorded[i], loc, text)
		}
	}
	if len(x.Replies) > 0 {
		c.printf("\nThe borrower wrote\n")
		for i := range x.Replies {
			c.printReplied(&x.Replies[i], loc)
		}
	}
	if len(x.Considered) > 0 {
		c.printf("\nConsidered, from what was known at %s\n", local(x.AsOf, loc))
		for i := range x.Considered {
			c.printConsidered(&x.Considered[i])
		}
	}
}

func (c *command) printRecorded(r *engine.Recorded, loc *time.Location, text bool) {
	k := &r.Contact
	c.printf("  %s  step %s by %s: %s", k.ID, k.Step, k.Channel, k.State)
	if k.Reason != "" {
		c.printf(" (%s)", k.Reason)
	}
	c.printf("; window %s to %s\n", local(k.NotBefore, loc), local(k.ExpiresAt, loc))
	for _, it := range k.Items {
		c.printf("      about loan %s no. %d, due %s, owed %s\n", it.LoanID, it.No, it.DueOn, it.Outstanding)
	}
	c.printReasons(k.Decision.Reasons)
	for i := range r.Attempts {
		a := &r.Attempts[i]
		c.printf("      try %d by %s at %s: %s %s%s\n", a.No, a.Carrier, local(a.ClaimedAt, loc), a.State, a.Class, orNothing(" ", a.Detail))
		c.printCertificate("        ", &r.Proofs[i], loc)
		if text {
			c.printf("        %s\n", strings.ReplaceAll(a.Text, "\n", "\n        "))
		}
	}
	for _, rc := range r.Receipts {
		c.printf("      receipt %s: %s\n", local(rc.At, loc), rc.Status)
	}
}

func (c *command) printConsidered(k *plan.Considered) {
	c.printf("  %-22s %-10s %-14s", k.Step, k.Day, k.Verdict)
	for _, it := range k.Items {
		c.printf(" %s/%d", it.LoanID, it.No)
	}
	c.printf("\n")
	if k.When != "" {
		c.printf("      when %s", k.When)
		if len(k.Values) > 0 {
			c.printf("   with %s", k.ValuesText())
		}
		c.printf("\n")
	}
	if k.Note != "" {
		c.printf("      %s\n", k.Note)
	}
	c.printReasons(k.Reasons)
}

func (c *command) printReasons(reasons []duly.Reason) {
	for _, r := range reasons {
		c.printf("      %s by %s %s [%s] %s\n", r.Verdict, r.Pack, r.Rule, r.Force, r.Code)
		if r.Facts != "" {
			c.printf("        saw %s\n", r.Facts)
		}
		if r.Source != "" {
			c.printf("        source %s\n", r.Source)
		}
	}
}

func local(t time.Time, loc *time.Location) string {
	if t.IsZero() {
		return "never"
	}
	return t.In(loc).Format("2006-01-02 15:04:05")
}

func orNothing(prefix, s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprint(prefix, s)
}
