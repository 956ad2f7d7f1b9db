package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
)

func (c *command) caseCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "case", Short: "Cases: complaints, requests, crises, and what the law demands because of them"}
	cmd.AddCommand(c.caseOpenCommand(), c.caseListCommand(), c.caseShowCommand(), c.caseDoneCommand())
	return cmd
}

func (c *command) caseOpenCommand() *cobra.Command {
	var k duly.Case
	var at string
	cmd := &cobra.Command{
		Use: "open BORROWER", Short: "Open a case: the clocks of the law start, and a crisis stops all contact",
		Example: "  duly case open D000001 --kind complaint --channel call_agent\n  duly case open D000001 --kind access_request --at '2026-03-10 09:00'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !k.Kind.Known() {
				return duly.Errorf(duly.Usage, "--kind is not a kind of case").WithHint("one of %s", caseKinds())
			}
			if k.Channel != "" && !k.Channel.Known() {
				return duly.Errorf(duly.Usage, "--channel is not a channel").WithHint("such as sms, email or call_agent")
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				opened, err := parseTime(at, "at", a.Location)
				if err != nil {
					return err
				}
				if opened.After(now) {
					return duly.Errorf(duly.Usage, "--at is a time that has not come")
				}
				if opened.IsZero() {
					opened = now
				}
				k.BorrowerID, k.OpenedAt, k.State, k.Author = duly.BorrowerID(args[0]), opened.UTC().Truncate(time.Microsecond), duly.CaseOpen, author()
				if k.ID == "" {
					k.ID = duly.NewCaseID(k.BorrowerID, k.Kind, k.OpenedAt)
				}
				if err := c.applyFact(cmd, a, now, &k); err != nil {
					return err
				}
				f, err := a.Engine.FindCase(cmd.Context(), k.BorrowerID, k.ID)
				if err != nil {
					return err
				}
				c.printCase(&f, now, a.Location)
				c.printf("to end it: duly case done %s --outcome CODE\n", k.ID)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar((*string)(&k.Kind), "kind", "", "what it is about: complaint, dispute, access_request, crisis, …")
	f.StringVar((*string)(&k.LoanID), "loan", "", "only about this loan `id`")
	f.StringVar((*string)(&k.Channel), "channel", "", "by which it came in")
	f.StringVar((*string)(&k.ID), "id", "", "its own `id`; made if left out")
	f.StringVar(&at, "at", "", "when it came in: a `time`; now if left out")
	f.BoolVar(&k.Urgent, "urgent", false, "before all others; a crisis always is")
	f.BoolVar(&k.Complex, "complex", false, "so complex that the law gives more time")
	cmd.MarkFlagRequired("kind")
	return cmd
}

func (c *command) caseListCommand() *cobra.Command {
	var borrower string
	var all, asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List open cases, urgent ones first and then the oldest", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				cases, err := a.Engine.Cases(cmd.Context(), duly.BorrowerID(borrower), all, limit)
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(cases)
				}
				for i := range cases {
					k := &cases[i]
					c.printf("%-7s %-5s %-16s %-24s %-22s %s%s\n", urgency(k), k.State, k.BorrowerID, k.ID, k.Kind, local(k.OpenedAt, a.Location), orNothing(" ", k.Outcome))
				}
				c.printf("%s\n", count(len(cases), "case"))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&borrower, "borrower", "", "only those of this borrower `id`")
	cmd.Flags().BoolVar(&all, "all", false, "also those that are done")
	cmd.Flags().IntVar(&limit, "limit", 1000, "at most this many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *command) caseShowCommand() *cobra.Command {
	var borrower string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show CASE", Short: "Show a case with what the law demands because of it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				f, err := a.Engine.FindCase(cmd.Context(), duly.BorrowerID(borrower), duly.CaseID(args[0]))
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(f)
				}
				c.printCase(&f, c.now().UTC(), a.Location)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&borrower, "borrower", "", "whose `id`, where two have a case of this id")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *command) caseDoneCommand() *cobra.Command {
	var borrower, outcome, duty string
	cmd := &cobra.Command{
		Use: "done CASE", Short: "Close a case, and with it what had to be done; or record that one duty is done",
		Example: "  duly case done K-1 --outcome upheld\n  duly case done K-1 --duty CN-21",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (outcome == "") == (duty == "") {
				return duly.Errorf(duly.Usage, "say what came of the case, or which duty is done").WithHint("give --outcome or --duty")
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				b, id := duly.BorrowerID(borrower), duly.CaseID(args[0])
				if duty != "" {
					f, err := a.Engine.EndDuty(cmd.Context(), now, "cli:"+author(), b, id, duty)
					if err != nil {
						return err
					}
					c.printCase(&f, now, a.Location)
					return nil
				}
				f, closed, err := a.Engine.CloseCase(cmd.Context(), now, "cli:"+author(), b, id, outcome)
				if err != nil {
					return err
				}
				if !closed {
					c.printf("the case was done at %s; nothing changed\n", local(f.Case.DoneAt, a.Location))
					return nil
				}
				c.printCase(&f, now, a.Location)
				if f.Case.Kind == duly.CaseCrisis {
					c.printf("contact stays stopped until: duly release %s %s\n", f.Case.BorrowerID, duly.CrisisHoldID(f.Case.ID))
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&borrower, "borrower", "", "whose `id`, where two have a case of this id")
	cmd.Flags().StringVar(&outcome, "outcome", "", "a `code` of what came of it: answered, upheld, refused, …; no words about the borrower")
	cmd.Flags().StringVar(&duty, "duty", "", "only this duty is done, by its `rule`; the case stays as it is")
	return cmd
}

func (c *command) printCase(f *engine.CaseFile, now time.Time, loc *time.Location) {
	k := &f.Case
	c.printf("case %s of borrower %s: %s, %s, opened %s", k.ID, k.BorrowerID, k.Kind, k.State, local(k.OpenedAt, loc))
	if k.State == duly.CaseDone {
		c.printf(", done %s%s", local(k.DoneAt, loc), orNothing(" ", k.Outcome))
	}
	c.printf("%s%s\n", orNothing("; loan ", string(k.LoanID)), orNothing("; ", strings.TrimSpace(urgency(k))))
	if k.Kind == duly.CaseCrisis && k.State == duly.CaseOpen {
		c.printf("  all contact is stopped by hold %s\n", duly.CrisisHoldID(k.ID))
	}
	for i := range f.Duties {
		d := &f.Duties[i]
		state := ""
		switch {
		case !d.DoneAt.IsZero():
			state = "; done " + local(d.DoneAt, loc)
		case d.Overdue(now):
			state = "; OVERDUE"
		}
		c.printf("  %s %s%s\n", dutyWhen(d, loc), dutyWords(d), state)
	}
	if len(f.Duties) == 0 {
		c.printf("  no clock of the law runs for it\n")
	}
}

func urgency(k *duly.Case) string {
	if k.Urgent {
		return "URGENT"
	}
	return ""
}

func caseKinds() string {
	var out []string
	for _, k := range duly.CaseKinds() {
		out = append(out, string(k))
	}
	return strings.Join(out, ", ")
}
