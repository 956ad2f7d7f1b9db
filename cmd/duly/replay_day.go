package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
)

// differencesMax is how many persons --why-different shows.
const differencesMax = 10

// dayFlags are those of `duly replay --date`.
type dayFlags struct {
	date, different string
	json            bool
}

func (f *dayFlags) given() bool { return f.date != "" || f.different != "" }

// replayDay decides a past day again, or compares two ways to decide it.
func (c *command) replayDay(cmd *cobra.Command, f dayFlags, args []string) error {
	if f.different != "" && len(args) != 1 {
		return duly.Errorf(duly.Usage, "--why-different needs two times").WithHint("such as --why-different 2026-03-02 now")
	}
	if f.different == "" && len(args) != 0 {
		return duly.Errorf(duly.Usage, "--date decides a day again from what the store keeps, and takes no file").
			WithHint("to play payments from a file, give --mapping, --from and --to")
	}
	day, err := parseDay(f.date, "date")
	if err != nil {
		return err
	}
	return c.look(cmd.Context(), func(a *app.App) error {
		dir, err := os.MkdirTemp("", "duly-replay-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		r, err := a.Replayer(cmd.Context(), dir)
		if err != nil {
			return err
		}
		if f.different != "" {
			err = c.whyDifferent(cmd.Context(), r, day, f, args[0])
		} else {
			err = c.again(cmd.Context(), r, day, f)
		}
		return errors.Join(err, r.Scratch.Close())
	})
}

// again prints the hash that a day printed, and the one that it has when it is decided again.
func (c *command) again(ctx context.Context, r *engine.Replayer, day civil.Date, f dayFlags) error {
	got, err := r.Day(ctx, day)
	if err != nil {
		return err
	}
	if f.json {
		err = c.json(got)
	} else {
		c.printDecisions(got.Recorded)
		c.printf("decided again: %s\n", got.Again.Hash)
	}
	if err == nil && len(got.Removed) > 0 {
		return duly.Errorf(duly.Conflict, "the day is decided otherwise now, in %s; of %d of them records were removed since", count(len(got.Differ), "bucket"), len(got.Removed)).
			WithHint("what was known then is not known any more there: neither proven nor disproven. `duly retention show` has the terms")
	}
	if err == nil && !got.Same {
		err = duly.Errorf(duly.Conflict, "the day is decided otherwise now, in %s of %d rounds' buckets", count(len(got.Differ), "bucket"), got.Recorded.Rounds).
			WithHint("another version of the program, or rows that were changed by hand: compare a copy with the program of then")
	}
	return err
}

func (c *command) printDecisions(d engine.Decisions) {
	c.printf("decision hash of %s: %s (%s, %s looked at, %s written or changed)\n", d.Day, d.Hash, count(d.Rounds, "round"),
		count(d.Persons, "person"), count(d.Changes, "contact"))
}

// whyDifferent prints the first persons about whom a day is decided otherwise with the knowledge of two times.
func (c *command) whyDifferent(ctx context.Context, r *engine.Replayer, day civil.Date, f dayFlags, other string) error {
	a, err := parseKnown(f.different)
	if err != nil {
		return err
	}
	b, err := parseKnown(other)
	if err != nil {
		return err
	}
	if day.IsZero() {
		day = a
	}
	if day.IsZero() {
		return duly.Errorf(duly.Usage, "which day is to be decided?").WithHint("give --date, or a day instead of now as the first of the two")
	}
	list, total, err := r.Differences(ctx, day, a, b, differencesMax)
	if err != nil {
		return err
	}
	if f.json {
		return c.json(struct {
			Day         civil.Date          `json:"day"`
			Persons     int                 `json:"persons"`
			Differences []engine.Difference `json:"differences"`
		}{day, total, list})
	}
	c.printf("%s decided with what was known %s and %s: %s decided otherwise\n", day, knownName(a), knownName(b), count(total, "person"))
	for _, d := range list {
		c.printf("\n%s\n", d.Borrower)
		c.printLines("  "+knownName(a)+": ", d.A)
		c.printLines("  "+knownName(b)+": ", d.B)
		for _, cause := range d.Because {
			c.printf("  because: %s", cause.What)
			if !cause.Known.IsZero() {
				c.printf(" (known from %s)", cause.Known.Format("2006-01-02 15:04:05 MST"))
			}
			c.printf("\n")
		}
	}
	return nil
}

func (c *command) printLines(head string, lines []string) {
	if len(lines) == 0 {
		lines = []string{"nothing"}
	}
	for _, l := range lines {
		c.printf("%s%s\n", head, l)
	}
}

// parseKnown reads a time of knowledge: a day that was planned, or now.
func parseKnown(s string) (civil.Date, error) {
	if s == "now" {
		return civil.Date{}, nil
	}
	return parseDay(s, "why-different")
}

func knownName(day civil.Date) string {
	if day.IsZero() {
		return "now"
	}
	return "on " + day.String()
}
