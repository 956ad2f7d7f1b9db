package main

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/dialogues"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/dialogue"
	"github.com/dulyhq/duly/internal/message"
	"github.com/dulyhq/duly/internal/money"
)

func (c *command) dialogueCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "dialogue", Short: "What the voice robot says: prove it, show it, try it"}
	cmd.AddCommand(c.dialogueCheckCommand(), c.dialogueShowCommand(), c.dialogueTryCommand())
	return cmd
}

func (c *command) dialogueCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check [FILE…]", Short: "Prove dialogues: every path ends, nobody but the borrower hears of the debt, a person can be reached",
		Long: "Reads dialogues and proves of every path that it ends; that nothing of the debt is said before the right person is confirmed,\n" +
			"and none before it was asked whether it is still owed; that a person can be reached from wherever the robot listens; and that it\n" +
			"is said first who calls and that the call is automated. What does not hold is told with the path that shows it. Without FILE, the\n" +
			"dialogues that ship.",
		Example: "  duly dialogue check\n  duly dialogue check my/zh-CN/reminder.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			files := args
			if len(files) == 0 {
				var err error
				if files, err = fs.Glob(dialogues.FS, "*/*.yaml"); err != nil {
					return err
				}
			}
			var all []error
			for _, f := range files {
				d, err := c.dialogue(f, len(args) == 0)
				if err != nil {
					all = append(all, err)
					continue
				}
				c.printf("%s  %s  %s  %d states, proved\n", f, d.Name, d.Hash, len(d.States()))
			}
			return errors.Join(all...)
		},
	}
}

// dialogue reads a file, or one that ships where there is no such file.
func (c *command) dialogue(name string, shipped bool) (*dialogue.Dialogue, error) {
	src, err := os.ReadFile(name)
	if err != nil || shipped {
		if src, err = dialogues.FS.ReadFile(filepath.ToSlash(name)); err != nil {
			return nil, duly.Errorf(duly.NotFound, "there is no such file").At(duly.Place{File: name}).
				WithHint("give a file, or one that ships, such as zh-CN/reminder.yaml")
		}
	}
	return dialogue.Load(name, src)
}

func (c *command) dialogueShowCommand() *cobra.Command {
	var asJSON bool
	show := &cobra.Command{
		Use: "show FILE", Short: "Show a dialogue's states, what is said in each, and where keys lead",
		Args: cobra.ExactArgs(1), Example: "  duly dialogue show zh-CN/reminder.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := c.dialogue(args[0], false)
			if err != nil {
				return err
			}
			if asJSON {
				return c.json(d.States())
			}
			c.printf("%s (%s)  %s\n", d.Name, d.Language, d.Title)
			for _, s := range d.States() {
				c.printf("\n%s  %s\n  %s\n", s.ID, s.Kind, s.Words)
				for _, line := range d.Ways(s.ID) {
					c.printf("    %s\n", line)
				}
			}
			return nil
		},
	}
	show.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return show
}

func (c *command) dialogueTryCommand() *cobra.Command {
	return &cobra.Command{
		Use: "try FILE", Short: "Play a dialogue on the terminal: each line is the keys pressed, words said, or empty for silence",
		Long: "Plays a dialogue with example values. Each line of standard input is what the person does: keys (1, 0305), words in quotes or in\n" +
			"letters (是的), an empty line for silence, `machine` for an answering machine, `paid` for a payment that came in meanwhile.",
		Args: cobra.ExactArgs(1), Example: "  duly dialogue try zh-CN/reminder.yaml\n  printf '1\\n1\\n2\\n' | duly dialogue try en/reminder.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := c.dialogue(args[0], false)
			if err != nil {
				return err
			}
			call, err := d.Begin(exampleValues(d.Language, civil.Of(c.now())))
			if err != nil {
				return err
			}
			c.try(call)
			return nil
		},
	}
}

// exampleValues fills a dialogue for a trial.
func exampleValues(language string, today civil.Date) dialogue.Values {
	v := &message.Values{
		Name: "王小明", Lender: "示例消金", ServicePhone: "95000", Code: "410742", Today: today, DebitReason: "insufficient_funds",
		PayHint: "App", Contracts: map[duly.LoanID]string{"L1": "HT-20268812"},
		Items: []duly.Item{{LoanID: "L1", No: 3, DueOn: today.Add(-3), Outstanding: money.New(123450, "CNY")}},
	}
	if language == "en" {
		v.Name, v.Lender = "Wang Xiaoming", "Example Finance"
	}
	return dialogue.Values{Variables: message.Known(language, v), Today: today}
}

// try plays a call: what is said goes out, lines come in.
func (c *command) try(call *dialogue.Call) {
	lines := bufio.NewScanner(c.in)
	paid := false
	for step := call.Start(); ; {
		if step.Debt {
			if paid {
				step = call.Settled()
				continue
			}
			call.Naming()
		}
		if step.Say != "" {
			c.printf("%s: %s\n", step.State, step.Say)
		}
		switch {
		case step.Hang:
			c.printf("-- %s\n", ended(call.Result))
			return
		case step.Transfer:
			c.printf("-- does an agent take it? (y)\n")
			step = call.Transferred(lines.Scan() && strings.TrimSpace(lines.Text()) == "y")
			continue
		case !step.Listen:
			step = call.Said()
			continue
		}
		c.printf("   [%s]\n", call.Keys())
		if !lines.Scan() {
			c.printf("-- hung up at %s; %s\n", step.State, ended(call.Result))
			return
		}
		line := strings.TrimSpace(lines.Text())
		paid = paid || line == "paid"
		if next, ok := did(call, line); ok {
			step = next
		}
	}
}

// did reports what the person did to the call.
func did(call *dialogue.Call, line string) (dialogue.Step, bool) {
	switch {
	case line == "":
		return call.Silent(), true
	case line == "machine":
		return call.Machine()
	case line == "paid":
		return dialogue.Step{}, false
	case strings.Trim(line, "0123456789*#") != "":
		return call.Heard(line)
	}
	for i := range len(line) {
		if step, ok := call.Key(line[i]); ok {
			return step, true
		}
	}
	return dialogue.Step{}, false
}

// ended says in a line what came of a call.
func ended(r dialogue.Result) string {
	out := []string{"outcome " + string(r.Outcome)}
	if r.Outcome == dialogue.NoOutcome {
		out[0] = "no outcome"
	}
	if !r.PromiseOn.IsZero() {
		out = append(out, "on "+r.PromiseOn.String())
	}
	out = append(out, "right person "+yesNo(r.Confirmed), "debt named "+yesNo(r.Disclosed))
	return strings.Join(slices.Compact(out), ", ")
}
