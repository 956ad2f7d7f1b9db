package main

import (
	"bufio"
	"strings"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
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
	cmd.AddCommand(classify)
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
