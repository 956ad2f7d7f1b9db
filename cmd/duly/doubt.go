package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
)

func (c *command) doubtCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "doubt", Short: "Attempts of which it is not known whether they went out"}
	cmd.AddCommand(c.doubtList(), c.doubtResolve())
	return cmd
}

func (c *command) doubtList() *cobra.Command {
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List them, oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				d, err := a.Engine.Doubts(cmd.Context(), c.now().UTC(), limit)
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(d)
				}
				if len(d) > 0 {
					w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
					fmt.Fprintln(w, "attempt\tage\tborrower\tchannel\tstep\tcarrier\treference\twhy\tclaimed")
					for i := range d {
						x := &d[i]
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.ID, span(time.Duration(x.Age)*time.Second), x.Borrower, x.Channel, x.Step, x.Carrier,
							dash(x.ProviderID), x.Detail, local(x.ClaimedAt, a.Location))
					}
					w.Flush()
				}
				c.printf("%d in doubt\n", len(d))
				if len(d) > 0 {
					c.printf("ask the provider what became of each, then: duly doubt resolve ATTEMPT --sent|--not-sent --by WHO --reason TEXT\n")
				}
				return nil
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100_000, "at most this many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// resolveFlags are what `duly doubt resolve` is told.
type resolveFlags struct {
	fate   map[engine.Fate]*bool
	word   engine.Word
	file   string
	apply  string
	asJSON bool
}

func (c *command) doubtResolve() *cobra.Command {
	f := resolveFlags{fate: map[engine.Fate]*bool{}}
	cmd := &cobra.Command{
		Use: "resolve [ATTEMPT]", Short: "Record what became of one, or of those in the carrier's answer, from the provider's own word",
		Long: "What was sent is never sent again. What was not sent has failed: only the next channel of the step's ladder may follow, if the\n" +
			"strategy has one, its time is not over and the gate lets it. With --file nothing is done at first: it is shown what would be,\n" +
			"with a code; --apply CODE does just that, or nothing if anything has changed since. The file is a CSV with the columns fate\n" +
			"(sent, delivered, read, not_sent) and attempt, or carrier and provider_id.",
		Example: "  duly doubt resolve a067azq3h89eb8z2py3d218xvnan-1 --not-sent --by desk-7 --reason 'not in the log of the carrier'\n" +
			"  duly doubt resolve --file answer.csv --by desk-7 --reason 'file of 12 March'\n" +
			"  duly doubt resolve --file answer.csv --by desk-7 --reason 'file of 12 March' --apply 4f0e2c66d1a98b37",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (f.file == "") == (len(args) == 0) {
				return duly.Errorf(duly.Usage, "one attempt is named, or a --file").WithHint("`duly doubt list` shows the attempts")
			}
			if f.file != "" {
				return c.resolveFile(cmd.Context(), &f)
			}
			return c.resolveAttempt(cmd.Context(), &f, duly.AttemptID(args[0]))
		},
	}
	for _, fate := range engine.Fates() {
		f.fate[fate] = cmd.Flags().Bool(strings.ReplaceAll(string(fate), "_", "-"), false, map[engine.Fate]string{
			engine.FateSent: "the provider took it", engine.FateDelivered: "it was delivered", engine.FateRead: "it was read",
			engine.FateNotSent: "the provider never had it, or did not send it",
		}[fate])
	}
	fl := cmd.Flags()
	fl.StringVar(&f.word.By, "by", "", "`who` found out: a name or code of the staff's")
	fl.StringVar(&f.word.Reason, "reason", "", "how: a `text`; the audit holds a commitment to it, and the text can be erased")
	fl.StringVar(&f.file, "file", "", "the carrier's answer, a CSV `file`")
	fl.StringVar(&f.apply, "apply", "", "do what the preview with this `code` showed")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	for _, name := range []string{"by", "reason"} {
		cmd.MarkFlagRequired(name)
	}
	return cmd
}

func (c *command) resolveAttempt(ctx context.Context, f *resolveFlags, id duly.AttemptID) error {
	var fate engine.Fate
	n := 0
	for k, set := range f.fate {
		if *set {
			fate = k
			n++
		}
	}
	if n != 1 || f.apply != "" {
		return duly.Errorf(duly.Usage, "one of --sent, --delivered, --read and --not-sent is needed, and --apply is for a --file")
	}
	return c.look(ctx, func(a *app.App) error {
		r, err := a.Engine.Resolve(ctx, c.now().UTC(), engine.DoubtAnswer{Attempt: id, Fate: fate}, f.word)
		if err != nil {
			return err
		}
		if f.asJSON {
			return c.json(r)
		}
		switch {
		case r.Result == engine.ResolvedBefore:
			c.printf("attempt %s: %s; nothing changed\n", r.Attempt, r.Why)
		case r.From == r.To:
			c.printf("attempt %s is %s; %s\n", r.Attempt, r.Fate, r.Why)
		default:
			c.printf("attempt %s is %s; the contact is %s\n", r.Attempt, r.Fate, r.To)
		}
		return nil
	})
}

func (c *command) resolveFile(ctx context.Context, f *resolveFlags) error {
	for _, set := range f.fate {
		if *set {
			return duly.Errorf(duly.Usage, "with --file each row says its own fate")
		}
	}
	answers, err := readAnswers(f.file)
	if err != nil {
		return err
	}
	return c.look(ctx, func(a *app.App) error {
		var p engine.DoubtPreview
		if f.apply == "" {
			p, err = a.Engine.PreviewAnswers(ctx, answers)
		} else {
			p, err = a.Engine.ApplyAnswers(ctx, c.now().UTC(), answers, f.apply, f.word)
		}
		if err != nil {
			return err
		}
		if f.asJSON {
			return c.json(p)
		}
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "row\tattempt\tborrower\tfate\tcontact\tbecomes\tresult\t")
		for i := range p.Rows {
			r := &p.Rows[i]
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Line+1, dash(string(r.Attempt)), dash(r.Borrower), r.Fate, dash(string(r.From)), dash(string(r.To)), r.Result, r.Why)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		c.printf("%d answers = %d resolved (%d sent, %d not sent) + %d known before + %d refused\n", p.Answers, p.Resolved, p.Sent, p.NotSent, p.Before, p.Refused)
		if !p.Applied {
			c.printf("nothing is done yet; to do just this: --apply %s\n", p.Hash)
		}
		return nil
	})
}

// answerColumns are those of a carrier's answer.
var answerColumns = []string{"attempt", "carrier", "provider_id", "fate"}

// readAnswers reads a carrier's answer.
func readAnswers(path string) ([]engine.DoubtAnswer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, duly.Errorf(duly.NotFound, "the file cannot be read").At(duly.Place{File: path})
	}
	defer f.Close()
	in := csv.NewReader(f)
	head, err := in.Read()
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "the file is empty or not a CSV").At(duly.Place{File: path, Line: 1}).WithHint("its columns are %s", strings.Join(answerColumns, ", "))
	}
	head[0] = strings.TrimPrefix(head[0], "\ufeff")
	for i, name := range head {
		if !slices.Contains(answerColumns, name) || slices.Contains(head[:i], name) {
			return nil, duly.Errorf(duly.Invalid, "a column that is not known, or is there twice").At(duly.Place{File: path, Line: 1, Column: i + 1}).
				WithHint("the columns are %s", strings.Join(answerColumns, ", "))
		}
	}
	if !slices.Contains(head, "fate") {
		return nil, duly.Errorf(duly.Invalid, "the column fate is missing").At(duly.Place{File: path, Line: 1})
	}
	var out []engine.DoubtAnswer
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		line, _ := in.FieldPos(0)
		if err != nil {
			if p, ok := errors.AsType[*csv.ParseError](err); ok {
				line = p.Line
			}
			return nil, duly.Errorf(duly.Invalid, "the row is not one of a CSV with %d columns", len(head)).At(duly.Place{File: path, Line: line})
		}
		var a engine.DoubtAnswer
		for i, name := range head {
			switch v := strings.TrimSpace(row[i]); name {
			case "attempt":
				a.Attempt = duly.AttemptID(v)
			case "carrier":
				a.Carrier = v
			case "provider_id":
				a.ProviderID = v
			case "fate":
				a.Fate = engine.Fate(v)
			}
		}
		if !a.Fate.Known() {
			return nil, duly.Errorf(duly.Invalid, "the fate is none").At(duly.Place{File: path, Line: line, Field: "fate"}).WithHint("sent, delivered, read or not_sent")
		}
		if out = append(out, a); len(out) > engine.AnswersMax {
			return nil, duly.Errorf(duly.Invalid, "more than %d answers", engine.AnswersMax).At(duly.Place{File: path}).WithHint("cut the file")
		}
	}
}
