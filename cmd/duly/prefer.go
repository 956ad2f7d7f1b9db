package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/rule"
)

func (c *command) preferCommand() *cobra.Command {
	var allow, forbid, days, revoke, source string
	cmd := &cobra.Command{
		Use: "prefer BORROWER", Short: "Record the hours in which a borrower asked to be contacted, or not to be",
		Long: "Reminders, collection and marketing keep to these hours of the borrower's own day, within those that law allows. Several\n" +
			"spans that are asked for are one or the other. Hours that end before they begin last into the next day.",
		Example: "  duly prefer D000001 --allow 18:00-20:00 --days mon-fri\n  duly prefer D000001 --forbid 12:00-14:00\n  duly prefer D000001 --revoke w3k9…",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			given := 0
			for _, s := range []string{allow, forbid, revoke} {
				if s != "" {
					given++
				}
			}
			if given != 1 {
				return duly.Errorf(duly.Usage, "say what the borrower asked for, one thing at a time").WithHint("give --allow, --forbid or --revoke")
			}
			borrower := duly.BorrowerID(args[0])
			if revoke != "" {
				return c.revokePreference(cmd, borrower, duly.PreferenceID(revoke))
			}
			p, err := preference(allow, forbid, days)
			if err != nil {
				return err
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				p.BorrowerID, p.ID, p.Source, p.At = borrower, duly.NewPreferenceID(borrower, "cli", p.String()), source, now
				if err := c.applyFact(cmd, a, now, &p); err != nil {
					return err
				}
				c.printf("to end it: duly prefer %s --revoke %s\n", p.BorrowerID, p.ID)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&allow, "allow", "", "contact within these `hours` only: 18:00-20:00")
	f.StringVar(&forbid, "forbid", "", "no contact within these `hours`")
	f.StringVar(&days, "days", "*", "on these `days` of the week: mon-fri, sat, mon,wed, *")
	f.StringVar(&source, "source", "agent", "how it became known: agent, self_service, …")
	f.StringVar(&revoke, "revoke", "", "the borrower takes back the preference of this `id`")
	return cmd
}

// preference reads hours and days as the flags say them.
func preference(allow, forbid, days string) (duly.Preference, error) {
	p := duly.Preference{Kind: duly.PreferAllow}
	flag, hours := "allow", allow
	if forbid != "" {
		p.Kind, flag, hours = duly.PreferForbid, "forbid", forbid
	}
	bad := func(flag string, err error, hint string) (duly.Preference, error) {
		return p, duly.Errorf(duly.Usage, "--%s: %v", flag, err).WithHint("%s", hint)
	}
	const hint = "write 18:00-20:00; the whole day is 00:00-24:00"
	from, to, _ := strings.Cut(hours, "-")
	var err error
	if p.From, err = civil.ParseClock(from); err != nil {
		return bad(flag, err, hint)
	}
	if p.To, err = civil.ParseClock(to); err != nil {
		return bad(flag, err, hint)
	}
	if p.From == p.To || p.From == 24*60 {
		return bad(flag, fmt.Errorf("no hours lie between the two"), hint)
	}
	if p.Days, err = civil.ParseWeekdays(days); err != nil {
		return bad("days", err, "write mon-fri, sat, mon,wed or *")
	}
	return p, nil
}

func (c *command) revokePreference(cmd *cobra.Command, b duly.BorrowerID, id duly.PreferenceID) error {
	return c.look(cmd.Context(), func(a *app.App) error {
		now := c.now().UTC()
		p, err := a.Engine.FindPreference(cmd.Context(), b, id)
		if err != nil {
			return err
		}
		if !p.RevokedAt.IsZero() {
			c.printf("it was taken back at %s; nothing changed\n", local(p.RevokedAt, a.Location))
			return nil
		}
		p.RevokedAt, p.Version = now, 0
		return c.applyFact(cmd, a, now, &p)
	})
}

func (c *command) noticeCommand() *cobra.Command {
	var n duly.Notice
	var at string
	cmd := &cobra.Command{
		Use: "notice BORROWER", Short: "Record that a borrower was told something, where rules ask for it before an act",
		Example: "  duly notice D000001 --type adverse_credit_notice --loan L000001-1 --at '2026-03-01 09:30' --evidence 'letter 17'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !n.TypeKnown() {
				return duly.Errorf(duly.Usage, "--type is not a code").WithHint("small letters, digits and _, as rules name it: adverse_credit_notice, transfer_notice, …")
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				when, err := parseTime(at, "at", a.Location)
				if err != nil {
					return err
				}
				if when.After(now) {
					return duly.Errorf(duly.Usage, "--at is a time that has not come").WithHint("record the notice when it was given")
				}
				if when.IsZero() {
					when = now
				}
				n.BorrowerID, n.At = duly.BorrowerID(args[0]), when
				if n.ID == "" {
					n.ID = duly.NoticeID(fmt.Sprintf("%s-%d", n.Type, when.UnixMicro()))
				}
				if err := c.applyFact(cmd, a, now, &n); err != nil {
					return err
				}
				if asked := rule.Notices(a.Packs); !slices.Contains(asked, n.Type) {
					c.printf("no rule of the packs in use asks for this type%s\n", orNothing("; they ask for ", strings.Join(asked, ", ")))
				}
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Type, "type", "", "what was told, by the `code` that rules name")
	f.StringVar((*string)(&n.LoanID), "loan", "", "only about this loan `id`; about all if left out")
	f.StringVar(&at, "at", "", "the `time` it was given; now if left out")
	f.StringVar(&n.Evidence, "evidence", "", "where the proof is kept")
	f.StringVar((*string)(&n.ID), "id", "", "its own `id`; made if left out")
	cmd.MarkFlagRequired("type")
	return cmd
}
