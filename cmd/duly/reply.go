package main

import (
	"bufio"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/reply"
)

// replyLineMax bounds one line of standard input, in bytes.
const replyLineMax = 1 << 20

func (c *command) replyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "reply", Short: "What borrowers write back"}
	var language, date, channel string
	var asJSON bool
	classify := &cobra.Command{
		Use: "classify [TEXT…]", Short: "Say what a text means and what may be done about it",
		Long: "Says what an inbound text means: its intent, the scope it asks for, whether that may be done without a person, and the\n" +
			"rule that decided. Without TEXT, every line of standard input is one text. Nothing is stored and no text is shown.",
		Example: "  duly reply classify 别再给我打电话了，发短信就行\n  duly reply classify \"I'll pay next Friday\" --date 2026-01-13 --json",
		RunE: func(_ *cobra.Command, args []string) error {
			on, err := parseDay(date, "date")
			if err != nil {
				return err
			}
			if on.IsZero() {
				on = civil.Of(c.now())
			}
			m := reply.Message{Language: language, On: on, Channel: duly.Channel(channel)}
			if channel != "" && !m.Channel.Known() {
				return duly.Errorf(duly.Usage, "--channel: there is no such channel").WithHint("sms, email, push, im, in_app, call_agent, …")
			}
			if len(args) > 0 {
				m.Text = strings.Join(args, " ")
				return c.printReply(m, asJSON)
			}
			return c.classifyLines(m, asJSON)
		},
	}
	f := classify.Flags()
	f.StringVar(&language, "language", "", "the borrower's `language` (zh-CN, en-US): decides which of 2/3 is the month")
	f.StringVar(&date, "date", "", "the `day` it came; today if left out")
	f.StringVar(&channel, "channel", "", "the `channel` it came by; sms if left out")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(c.takeCommand(), classify, c.unmatchedCommand())
	return cmd
}

func (c *command) classifyLines(m reply.Message, asJSON bool) error {
	lines := bufio.NewScanner(c.in)
	lines.Buffer(nil, replyLineMax)
	for lines.Scan() {
		m.Text = lines.Text()
		if err := c.printReply(m, asJSON); err != nil {
			return err
		}
	}
	if lines.Err() != nil {
		return duly.Errorf(duly.Invalid, "a line of the input cannot be read").WithHint("a text is one line of at most %d bytes", replyLineMax)
	}
	return nil
}

func (c *command) printReply(m reply.Message, asJSON bool) error {
	r := reply.Classify(m)
	if asJSON {
		return c.json(r)
	}
	c.printf("%s  scope %s  auto %s  person %s  rule %s", r.Intent, strings.Join(r.Scope, ","), yesNo(r.Auto), yesNo(r.Person), r.Matched)
	if !r.PromiseOn.IsZero() {
		c.printf("  on %s", r.PromiseOn)
	}
	if !r.Hours.IsZero() {
		c.printf("  hours %s", r.Hours)
	}
	for _, also := range r.Also {
		c.printf("  also %s", also)
	}
	c.printf("\n")
	return nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (c *command) unmatchedCommand() *cobra.Command {
	var asJSON, text bool
	var limit int
	cmd := &cobra.Command{
		Use: "unmatched", Short: "List what carriers told of people whom nobody knows",
		Long: "Lists replies, and refusals that carriers report, from addresses that no contact point has. They are kept for 30 days and looked\n" +
			"for again every ten minutes: an import may bring the address. Addresses are masked; the words are shown with --text.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				list, err := a.Engine.Strays(cmd.Context(), text, limit)
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(list)
				}
				if len(list) == 0 {
					c.printf("nothing: whoever wrote is known\n")
					return nil
				}
				w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "RECEIVED\tCARRIER\tWHAT\tCHANNEL\tFROM\tUNTIL\tWORDS")
				for _, s := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ReceivedAt.In(a.Location).Format(zoned), s.Carrier, s.Kind, s.Channel, s.From,
						s.GoneAt.In(a.Location).Format(time.DateOnly), strings.Join(strings.Fields(s.Text), " "))
				}
				return w.Flush()
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&limit, "limit", 100, "show at most so `many`")
	f.BoolVar(&text, "text", false, "show the words: personal")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *command) takeCommand() *cobra.Command {
	var r duly.Reply
	var at string
	var asJSON bool
	take := &cobra.Command{
		Use: "take BORROWER TEXT…", Short: "Take in what a borrower wrote: what makes contact less is done at once, the rest is a case",
		Long: "Works out what the text means and does, in one transaction, whatever makes contact less: a refusal, a hold, an address\n" +
			"that is retired. The rest opens a case for a person. Programs use POST /v1/replies.",
		Example: "  duly reply take D000001 别再给我打电话了 --channel sms --point mobile\n  duly reply take D000001 \"I'll pay on Friday\" --contact c3b6…",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				when, err := parseTime(at, "at", a.Location)
				if err != nil {
					return err
				}
				if when.IsZero() {
					when = now
				}
				r.BorrowerID, r.Text, r.At = duly.BorrowerID(args[0]), strings.Join(args[1:], " "), when.UTC()
				if r.ID == "" {
					r.ID = duly.ReplyID(fmt.Sprintf("cli-%d", when.UnixMicro()))
				}
				if !r.Channel.Known() {
					return duly.Errorf(duly.Usage, "--channel: there is no such channel").WithHint("sms, email, push, im, in_app, call_agent, …")
				}
				if len(r.Text) > duly.ReplyTextMax {
					return duly.Errorf(duly.Usage, "the text is longer than %d bytes", duly.ReplyTextMax)
				}
				if asJSON {
					if _, err := a.Engine.Apply(cmd.Context(), now, author(), engine.Versioned([]duly.Fact{&r}, now)); err != nil {
						return err
					}
					return c.json(r.Meaning)
				}
				if err := c.applyFact(cmd, a, now, &r); err != nil {
					return err
				}
				c.printMeaning(&r.Meaning)
				return nil
			})
		},
	}
	f := take.Flags()
	f.StringVar((*string)(&r.Channel), "channel", "sms", "by which `channel` it came")
	f.StringVar((*string)(&r.ID), "id", "", "the source's own `id`: the same one is the same reply; made if left out")
	f.StringVar((*string)(&r.ContactID), "contact", "", "the `id` of the contact that it answers")
	f.StringVar((*string)(&r.LoanID), "loan", "", "the `id` of the loan that it is about")
	f.StringVar((*string)(&r.PointID), "point", "", "the contact point `id` that it came from")
	f.StringVar(&r.Language, "language", "", "its `language`; the borrower's if left out")
	f.StringVar(&at, "at", "", "the `time` it was written; now if left out")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return take
}

// printReplied tells of one reply on record.
func (c *command) printReplied(r *duly.Reply, loc *time.Location) {
	c.printf("  %s  %s by %s\n", r.ID, local(r.At, loc), r.Channel)
	if r.Text != "" {
		c.printf("        %s\n", strings.ReplaceAll(r.Text, "\n", "\n        "))
	}
	c.printMeaning(&r.Meaning)
}

func (c *command) printMeaning(m *duly.Meaning) {
	if m.Intent == "" {
		return
	}
	c.printf("      means %s (rule %s)", m.Intent, m.Matched)
	if len(m.Also) > 0 {
		c.printf(", also %s", strings.Join(m.Also, ", "))
	}
	if !m.PromiseOn.IsZero() {
		c.printf(", on %s", m.PromiseOn)
	}
	c.printf("\n")
	for _, d := range m.Done {
		c.printf("      done: %s\n", d)
	}
	for _, id := range m.Cases {
		c.printf("      case %s\n", id)
	}
}
