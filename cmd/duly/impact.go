package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/rule"
)

func (c *command) impactCommand() *cobra.Command {
	var paths []string
	var days int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "impact --pack FILE|FOLDER", Short: "Foresee what a rule pack would change for the people in the store, before it is loaded",
		Long: "Plans and judges today and the days to come twice: by the packs as they are, and with the given one in the place of the\n" +
			"one of the same id, or beside them. As if nobody paid and every message arrived. Writes nothing. Totals close:\n" +
			"considered = same + gained + lost + moved. Rules in draft change nothing and are counted apart.",
		Example: "  duly rules impact --pack packs/cn-mainland/pack.yaml\n  duly rules impact --pack packs --days 14 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var packs []*rule.Pack
			for _, p := range paths {
				got, err := readPacks(p)
				if err != nil {
					return err
				}
				packs = append(packs, got...)
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				m, err := a.Engine.Impact(cmd.Context(), c.now().UTC(), packs, days)
				if err != nil {
					return err
				}
				if asJSON {
					return c.json(m)
				}
				c.printImpact(&m, a)
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVar(&paths, "pack", nil, "a pack's `file`, its folder, or a folder of packs; may be given again")
	cmd.Flags().IntVar(&days, "days", 7, "today and so many `days` in all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagRequired("pack")
	return cmd
}

// readPacks reads one pack from its file or folder, or the packs of a folder. A pack alone needs no tests yet: it is being
// tried.
func readPacks(path string) ([]*rule.Pack, error) {
	place := duly.Place{File: path}
	info, err := os.Stat(path)
	if err != nil {
		return nil, duly.Errorf(duly.NotFound, "there is no such file or folder").At(place)
	}
	if info.IsDir() {
		if alone, err := os.Stat(filepath.Join(path, "pack.yaml")); err != nil || alone.IsDir() {
			return folderPacks(path)
		}
		path = filepath.Join(path, "pack.yaml")
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, duly.Errorf(duly.NotFound, "the file cannot be read").At(place).WithHint("may this user read it?")
	}
	p, err := rule.Load(path, src)
	if err != nil {
		return nil, err
	}
	return []*rule.Pack{p}, nil
}

func (c *command) printImpact(m *engine.Impact, a *app.App) {
	c.printf("Impact from %s to %s (nothing written)\npacks  %s\nthen   %s\n\n", m.From, m.To, short(m.Packs), short(m.Then))
	if len(m.Rows) > 0 {
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "step\tchannel\treason\tconsidered\tsame\tgained\tlost\tmoved\tby minutes, mean\tmost\t")
		for _, r := range m.Rows {
			reason := r.Reason
			if reason == "" {
				reason = "–"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", r.Step, r.Channel, reason, r.Considered, r.Same, r.Gained, r.Lost, r.Moved, r.ShiftMean, r.ShiftMax)
		}
		w.Flush()
		c.printf("\n")
	}
	c.printf("considered %d = same %d + gained %d + lost %d + moved %d\n", m.Considered, m.Same, m.Gained, m.Lost, m.Moved)
	c.printf("%s looked at: %d would gain a contact, %d lose one, %d have one moved\n", count(m.Persons, "person"), m.Gaining, m.Losing, m.Moving)
	if m.Failed > 0 {
		c.printf("%s could not be planned and are left out: the log on stderr says why\n", count(m.Failed, "person"))
	}
	if m.Draft > 0 {
		c.printf("%s of the packs given in draft: reported when sending, and changing nothing\n", count(m.Draft, "rule"))
	}
	for i, x := range m.Examples {
		if i == 0 {
			c.printf("\nfor example\n")
		}
		c.printf("  %s  %s  step %s by %s of %s  %s", x.What, x.BorrowerID, x.Step, x.Channel, x.Day, x.Reason)
		if x.Rule != "" {
			c.printf(" (%s)", x.Rule)
		}
		if x.What == "moved" {
			c.printf("  %s to %s", local(x.Now, a.Location), local(x.Then, a.Location))
		}
		c.printf("\n")
	}
}

// short writes packs as id@hash, with as much of the hash as tells them apart.
func short(packs []string) string {
	out := make([]string, len(packs))
	for i, p := range packs {
		id, hash, _ := strings.Cut(p, "@")
		out[i] = fmt.Sprintf("%s@%.12s", id, hash)
	}
	return strings.Join(out, ", ")
}
