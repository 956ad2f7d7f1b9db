package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
)

func (c *command) reserveCommand() *cobra.Command {
	var ask engine.Ask
	var borrower, channel, purpose, point string
	var loans []string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "reserve BORROWER", Short: "Ask whether an agent may contact a borrower now, and keep a slot for it",
		Long: "Asks the gate with the facts of this moment and, if it lets pass, keeps a slot of the borrower's limits for the contact,\n" +
			"in one transaction. What agents and agencies do and what Duly sends is counted in one place. If not: exit status 6, the\n" +
			"reasons, and nothing is kept. Ask `duly reservation show` right before dialling; tell `commit` or `release` afterwards.",
		Example: "  duly reserve D000001 --channel call_agent --minutes 5 --key call-1\n" +
			"  duly reserve D000001 --channel call_agent --minutes 5 --key call-2 --agency agency-1 --loan L000001-1",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			borrower = args[0]
			return c.look(cmd.Context(), func(a *app.App) error {
				ask.BorrowerID, ask.Channel, ask.Purpose, ask.PointID = duly.BorrowerID(borrower), duly.Channel(channel), duly.Purpose(purpose), duly.PointID(point)
				for _, id := range loans {
					ask.Loans = append(ask.Loans, duly.LoanID(id))
				}
				s, err := a.Engine.Reserve(cmd.Context(), c.now().UTC(), "cli:"+author(), ask)
				if err != nil {
					return err
				}
				if asJSON {
					if err := c.json(s); err != nil {
						return err
					}
				} else {
					c.printSlot(&s, a.Location)
				}
				if e := s.Refusal(); e != nil {
					return e
				}
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&channel, "channel", string(duly.ChannelAgent), "by which `channel`: call_agent, call_ai, sms, …")
	f.StringSliceVar(&loans, "loan", nil, "about which loan `id`; may be given again; all if left out")
	f.StringVar(&purpose, "purpose", "", "what `for`; if left out it follows from the due days")
	f.StringVar(&point, "point", "", "to which contact point `id`; the best for the channel if left out")
	f.StringVar(&ask.Party, "party", "", "`who` is contacted: guarantor, contact_person, …; the debtor if left out")
	f.StringVar(&ask.Actor.Type, "actor", "human", "who makes it: `human`, ai or system")
	f.StringVar(&ask.Actor.Agency, "agency", "", "the outside agency's `name`; the lender itself if left out")
	f.BoolVar(&ask.Actor.Certified, "certified", false, "who makes it is certified")
	f.BoolVar(&ask.Actor.HumanReviewed, "human-reviewed", false, "a person reviewed the case")
	f.BoolVar(&ask.Actor.IdentityVerified, "identity-verified", false, "the right party has been verified")
	f.IntVar(&ask.Minutes, "minutes", 0, "how `long` a call usually lasts: it must end within the contact hours")
	f.DurationVar(&ask.ExpiresIn, "expires-in", engine.ReserveFor, "how long the slot is kept, at most 24h; never past the contact hours")
	f.StringVar(&ask.Text, "text", "", "the words of a message: judged, not kept")
	f.StringVar(&ask.Key, "key", "", "a key of your own: the same one is the same slot")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagRequired("key")
	return cmd
}

func (c *command) printSlot(s *engine.Slot, loc *time.Location) {
	if s.Verdict == duly.Allow {
		c.printf("reserved %s until %s", s.ID, local(s.ExpiresAt, loc))
		if s.PointID != "" {
			c.printf(", to contact point %s", s.PointID)
		}
		c.printf("\n")
		return
	}
	c.printf("not now: %s", s.Verdict)
	if !s.NotBefore.IsZero() {
		c.printf(" until %s", local(s.NotBefore, loc))
	}
	c.printf("\n")
	c.printReasons(s.Reasons)
}

func (c *command) reservationCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "reservation", Short: "Slots that are kept for contacts outside Duly, and what became of them"}
	cmd.AddCommand(c.reservationList(), c.reservationShow(), c.reservationCommit(), c.reservationRelease(), c.reservationResolve())
	return cmd
}

func (c *command) reservationList() *cobra.Command {
	var state string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List reservations, oldest first: those that ran out without a word, or --state", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !duly.TouchState(state).Known() {
				return duly.Errorf(duly.Usage, "--state is none of a reservation").WithHint("reserved, committed, released or unknown")
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				got, err := a.Engine.Reservations(cmd.Context(), c.now().UTC(), duly.TouchState(state), limit)
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(got)
				}
				for i := range got {
					v := &got[i]
					by := v.Actor.Type
					if v.Actor.Agency != "" {
						by += " of " + v.Actor.Agency
					}
					c.printf("%s  %s  %s  %s by %s  reserved %s, until %s\n", v.ID, v.BorrowerID, v.Outcome, v.Channel, by, local(v.ReservedAt, a.Location), local(v.ExpiresAt, a.Location))
				}
				c.printf("%d %s\n", len(got), state)
				if len(got) > 0 && duly.TouchState(state) == duly.TouchUnknown {
					c.printf("they count in every limit; ask who made them, then: duly reservation resolve ID OUTCOME\n")
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", string(duly.TouchUnknown), "in which `state`: reserved, committed, released or unknown")
	cmd.Flags().IntVar(&limit, "limit", 100_000, "at most this many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// ending makes a command that is told an id and changes or shows what became of it.
func (c *command) ending(use, short string, args int, do func(context.Context, *app.App, []string) (engine.Standing, error)) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(args),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				s, err := do(cmd.Context(), a, args)
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(s)
				}
				c.printStanding(&s, a.Location)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *command) printStanding(s *engine.Standing, loc *time.Location) {
	v := &s.Reservation
	c.printf("%s  %s: %s", v.ID, v.State, v.Outcome)
	if v.State == duly.TouchReserved {
		c.printf(", until %s", local(v.ExpiresAt, loc))
	}
	c.printf("\n")
	for _, flag := range []struct {
		set  bool
		text string
	}{
		{s.Paid, "paid: nothing of what it was for is owed any more"}, {s.Held, "held: a hold stands"}, {s.OptedOut, "opted out: the borrower refused"},
		{s.Expired, "expired: its slot ran out without a word; `duly reservation resolve` when somebody knows"},
	} {
		if flag.set {
			c.printf("%s\n", flag.text)
		}
	}
	if v.State != duly.TouchReserved {
		return
	}
	if s.Good {
		c.printf("good: the contact may be made now\n")
		return
	}
	c.printf("do not make the contact: %s\n", s.Verdict)
	c.printReasons(s.Reasons)
}

func (c *command) reservationShow() *cobra.Command {
	return c.ending("show ID", "Show whether a reservation is still good: ask right before dialling", 1,
		func(ctx context.Context, a *app.App, args []string) (engine.Standing, error) {
			return a.Engine.Stands(ctx, c.now().UTC(), duly.ReservationID(args[0]))
		})
}

func (c *command) reservationCommit() *cobra.Command {
	var at string
	cmd := c.ending("commit ID OUTCOME", "Record that the contact was made: "+strings.Join(duly.Outcomes(), ", "), 2,
		func(ctx context.Context, a *app.App, args []string) (engine.Standing, error) {
			t, err := parseTime(at, "at", a.Location)
			if err != nil {
				return engine.Standing{}, err
			}
			return a.Engine.Commit(ctx, c.now().UTC(), "cli:"+author(), duly.ReservationID(args[0]), args[1], t)
		})
	cmd.Flags().StringVar(&at, "at", "", "when it began, a `time`; now if left out")
	return cmd
}

func (c *command) reservationRelease() *cobra.Command {
	var reason string
	cmd := c.ending("release ID", "Give the slot back: the contact was not made and will not be", 1,
		func(ctx context.Context, a *app.App, args []string) (engine.Standing, error) {
			return a.Engine.Release(ctx, c.now().UTC(), "cli:"+author(), duly.ReservationID(args[0]), reason)
		})
	cmd.Flags().StringVar(&reason, "reason", "", "a code, such as agent_busy; nothing about the borrower")
	cmd.MarkFlagRequired("reason")
	return cmd
}

func (c *command) reservationResolve() *cobra.Command {
	var at string
	cmd := c.ending("resolve ID OUTCOME", "Record what a person found out about one that ran out: an outcome, or "+engine.NotMade, 2,
		func(ctx context.Context, a *app.App, args []string) (engine.Standing, error) {
			t, err := parseTime(at, "at", a.Location)
			if err != nil {
				return engine.Standing{}, err
			}
			return a.Engine.Settle(ctx, c.now().UTC(), "cli:"+author(), duly.ReservationID(args[0]), args[1], t)
		})
	cmd.Flags().StringVar(&at, "at", "", "when it began, a `time`; the latest that it can have been if left out")
	return cmd
}
