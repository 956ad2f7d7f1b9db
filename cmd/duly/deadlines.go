package main

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/rulepacks"
)

func (c *command) deadlinesCommand() *cobra.Command {
	var borrower, within string
	var overdue, asJSON bool
	cmd := &cobra.Command{
		Use: "deadlines", Short: "What the law demands because of open cases, soonest first",
		Long: "Lists the duties of cases that are not done: first those whose day cannot be told, then those overdue, then the others.\n" +
			"A duty in brackets is a shadow: its source was not read, or it is a draft.",
		Example: "  duly deadlines --within 7d\n  duly deadlines --overdue --json\n  duly deadlines for --event opt_out --at 2026-06-30 --country US",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := engine.DueQuery{Borrower: duly.BorrowerID(borrower), Overdue: overdue}
			if within != "" {
				span, err := engine.ParseWithin(within)
				if err != nil {
					return err
				}
				q.Within = span
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				due, err := a.Engine.Deadlines(cmd.Context(), now, q)
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(due)
				}
				c.printDue(due, a.Location)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&within, "within", "", "only what runs out within a `time` such as 7d or 48h")
	f.BoolVar(&overdue, "overdue", false, "only what has run out")
	f.StringVar(&borrower, "borrower", "", "only those of this borrower `id`")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(c.deadlinesForCommand(), c.deadlineEventsCommand())
	return cmd
}

func (c *command) printDue(due []engine.Due, loc *time.Location) {
	late, unknown := 0, 0
	for i := range due {
		d := &due[i]
		mark := ""
		switch {
		case d.Overdue:
			mark, late = "OVERDUE", late+1
		case d.Lack != "":
			mark, unknown = "NO DAY", unknown+1
		}
		c.printf("%-8s%s  %-14s %-22s %s\n", mark, dutyWhen(&d.CaseDuty, loc), d.BorrowerID, d.CaseID, dutyWords(&d.CaseDuty))
	}
	c.printf("%s, %d overdue", count(len(due), "deadline"), late)
	if unknown > 0 {
		c.printf(", %d without a day", unknown)
	}
	c.printf("\n")
	if len(due) == engine.DueMax {
		c.printf("there may be more: narrow it with --within, --overdue or --borrower\n")
	}
}

// dutyWhen writes when a duty is due, as wide in every line.
func dutyWhen(d *duly.CaseDuty, loc *time.Location) string {
	switch {
	case d.Lack != "":
		return fmt.Sprintf("%-6s %-19s", d.Demand, d.Lack)
	case !d.DueOn.IsZero():
		return fmt.Sprintf("%-6s %-19s", d.Demand, d.DueOn)
	}
	return fmt.Sprintf("%-6s %-19s", d.Demand, local(d.DueAt, loc))
}

// dutyWords writes what a duty is, by which rule of which pack.
func dutyWords(d *duly.CaseDuty) string {
	s := fmt.Sprintf("%s %s · %s", d.Rule, d.TitleEN, d.TitleZH)
	if d.If != "" {
		s += "; if " + d.If
	}
	if d.Shadow {
		s = "(" + s + ")"
	}
	return s + " [" + d.Pack + "]"
}

func (c *command) deadlinesForCommand() *cobra.Command {
	var event, at, country, zone, packs string
	var conditions []string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "for", Short: "Work out what follows from an event, without a store",
		Long: "Tells what the obligations of a country's rule packs demand after an event, with the law. A day alone is that day; a\n" +
			"time is counted by the borrower's days in --timezone, or where it is written.",
		Example: "  duly deadlines for --event complaint --at 2026-12-20 --country CN --if complex=true\n" +
			"  duly deadlines for --event access_request --at 2026-01-31 --country DE",
		Args: cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			in, err := incident(event, at, country, zone, conditions)
			if err != nil {
				return err
			}
			var fsys fs.FS = rulepacks.FS
			if packs != "" {
				fsys = os.DirFS(packs)
			}
			all, err := rule.LoadDuties(fsys)
			if err != nil {
				return err
			}
			if in.Calendars, err = civil.BuiltIn(); err != nil {
				return err
			}
			due := rule.Deadlines(all, in)
			if asJSON {
				if due == nil {
					due = []rule.Deadline{}
				}
				return c.json(due)
			}
			for i := range due {
				c.printDeadline(&due[i])
			}
			c.printf("%s of %s in %s\n", count(len(due), "deadline"), in.Event, in.Country)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&event, "event", "", "what happened; `duly deadlines events` lists the `names`")
	f.StringVar(&at, "at", "", "when: a `day`, or a time with its zone")
	f.StringVar(&country, "country", "", "the borrower's `country`: CN, US-DC, DE")
	f.StringVar(&zone, "timezone", "", "the borrower's IANA `zone`")
	f.StringArrayVar(&conditions, "if", nil, "what conditions ask for, as `name=value`: lender=card_issuer, complex=true")
	f.StringVar(&packs, "packs", "", "a `folder` of packs; those that are shipped if left out")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	for _, name := range []string{"event", "at", "country"} {
		cmd.MarkFlagRequired(name)
	}
	return cmd
}

// incident reads what happened from the flags.
func incident(event, at, country, zone string, conditions []string) (*rule.Incident, error) {
	in := &rule.Incident{Event: rule.FindEvent(event), Country: rule.CountryOf(country), Inputs: map[string]string{}}
	if in.Event == "" {
		return nil, duly.Errorf(duly.Usage, "--event is no event that starts a clock").WithHint("`duly deadlines events` lists them")
	}
	if err := in.SetTime(at); err != nil {
		return nil, duly.Errorf(duly.Usage, "--at %v", err)
	}
	if zone != "" {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			return nil, duly.Errorf(duly.Usage, "--timezone is not an IANA time zone")
		}
		in.Borrower = []*time.Location{loc}
	}
	for _, s := range conditions {
		name, value, ok := strings.Cut(s, "=")
		if !ok || !rule.KnownInput(name, value) {
			return nil, duly.Errorf(duly.Usage, "--if is not what a condition asks for").WithHint("write name=value, such as complex=true; `duly deadlines events` lists them")
		}
		in.Inputs[name] = value
	}
	return in, nil
}

func (c *command) printDeadline(d *rule.Deadline) {
	c.printf("%-6s %-25s %s %s · %s\n", d.Demand, d.When(), d.Rule, d.TitleEN, d.TitleZH)
	if d.Seen != "" {
		c.printf("       %s\n", d.Seen)
	}
	if d.If != "" {
		c.printf("       only if %s\n", d.If)
	}
	c.printf("       %s %s; %s, read: %s", d.Term, d.Source, d.Force, d.Read)
	if d.Shadow {
		c.printf("; a shadow: do not rely on it")
	}
	c.printf(" [%s]\n", d.Pack)
}

func (c *command) deadlineEventsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "events", Short: "List the events that start clocks, and what conditions ask for", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, o := range rule.Occurrences() {
				c.printf("%-25s %s · %s\n", o.Event, o.English, o.Chinese)
				if len(o.Also) > 0 {
					c.printf("%-25s also %s\n", "", strings.Join(o.Also, ", "))
				}
			}
			c.printf("\nconditions\n")
			for _, in := range rule.Inputs() {
				words := in.Words
				if in.Truth {
					words = []string{"true", "false"}
				}
				c.printf("%-25s %s · %s: %s\n", in.Name, in.English, in.Chinese, strings.Join(words, ", "))
			}
			return nil
		},
	}
}
