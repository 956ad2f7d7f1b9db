package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

func (c *command) auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "The record of what was decided and done, and the roots that seal it"}
	cmd.AddCommand(c.auditVerify(), c.auditRoot(), c.auditExport(), c.auditOpen(), c.auditErase())
	return cmd
}

func (c *command) auditVerify() *cobra.Command {
	var roots, certificate string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify [FILE]", Short: "Check that no entry was changed, added, moved or taken out: of the store, or of an export",
		Long: "Without FILE the store is checked, and held against the roots in audit.roots of the configuration. With FILE an export is\n" +
			"checked, and no store is needed. Roots that were kept elsewhere (--roots) show what neither a store nor an export can show by\n" +
			"itself: that its end was cut off, or all of it written anew. The first break of each bucket is told, with the bucket, the\n" +
			"entry's number and the day.",
		Example: "  duly audit verify\n  duly audit verify audit.jsonl --roots /worm/duly\n  duly audit verify audit.jsonl --certificate attempt.json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if certificate != "" && len(args) == 0 {
				return duly.Errorf(duly.Usage, "--certificate needs an export").WithHint("with the store at hand `duly fence show` checks one")
			}
			if len(args) == 0 {
				return c.look(cmd.Context(), func(a *app.App) error {
					if dir := a.Config.Audit.Roots; roots == "" && dir != "" {
						if _, err := os.Stat(dir); err == nil {
							roots = dir
						} else {
							fmt.Fprintf(c.err, "no roots are kept in %s yet: the store is held against its own alone\n", dir)
						}
					}
					kept, err := keptRoots(roots)
					if err != nil {
						return err
					}
					r, err := a.DB.AuditVerify(cmd.Context(), kept...)
					if err != nil {
						return err
					}
					return c.printAudit(&r, roots, asJSON)
				})
			}
			kept, err := keptRoots(roots)
			if err != nil {
				return err
			}
			return c.verifyExport(args[0], roots, kept, certificate, asJSON)
		},
	}
	cmd.Flags().StringVar(&roots, "roots", "", "roots that were kept elsewhere: a `folder`, or a file (default: audit.roots of the configuration)")
	cmd.Flags().StringVar(&certificate, "certificate", "", "look for this certificate in the export: a `file` that `duly fence show --json` wrote")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func keptRoots(path string) ([]audit.Root, error) {
	if path == "" {
		return nil, nil
	}
	return app.ReadRoots(path)
}

// verifyExport checks a file without any store.
func (c *command) verifyExport(path, roots string, kept []audit.Root, certificate string, asJSON bool) error {
	var p *engine.Proof
	if certificate != "" {
		b, err := os.ReadFile(certificate)
		if err != nil {
			return duly.Errorf(duly.NotFound, "the file cannot be read").At(duly.Place{File: certificate})
		}
		p = &engine.Proof{}
		if err := json.Unmarshal(b, p); err != nil || p.Attempt == "" {
			return duly.Errorf(duly.Invalid, "the file is not a certificate").At(duly.Place{File: certificate}).WithHint("`duly fence show ATTEMPT --json` writes one")
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return duly.Errorf(duly.NotFound, "the file cannot be read").At(duly.Place{File: path})
	}
	defer f.Close()
	in := false
	_, r, err := audit.VerifyExport(f, kept, func(e *audit.Entry) { in = in || p != nil && p.In(e) })
	if e, ok := errors.AsType[*duly.Error](err); ok {
		place := e.Place
		place.File = path
		return e.At(place)
	}
	if err != nil {
		return duly.Errorf(duly.Unavailable, "the file cannot be read to its end").At(duly.Place{File: path})
	}
	if err := c.printAudit(&r, roots, asJSON); err != nil || p == nil {
		return err
	}
	switch {
	case !p.Opens():
		return duly.Errorf(duly.Conflict, "the certificate is not what its commitment is to").At(duly.Place{File: certificate}).WithHint("it was changed, or its salt was left out")
	case !in:
		return duly.Errorf(duly.Conflict, "entry %d of bucket %d in the export does not seal this certificate", p.Known.Entry, p.Bucket).
			At(duly.Place{File: certificate}).WithHint("does the export hold the day of %s?", p.ClaimedAt.Format("2006-01-02"))
	}
	c.printf("the certificate of attempt %s is sealed by entry %d of bucket %d\n", p.Attempt, p.Known.Entry, p.Bucket)
	return nil
}

func (c *command) printAudit(r *audit.Report, roots string, asJSON bool) error {
	if asJSON {
		if err := c.json(r); err != nil {
			return err
		}
	} else {
		for _, b := range r.Breaks {
			c.printf("%s\n", b)
		}
		c.printf("%d entries in %d chains, held against %s", r.Entries, r.Buckets, count(r.Roots, "root"))
		if roots != "" {
			c.printf(", %d of them kept in %s", r.Kept, roots)
		}
		c.printf("\n")
		if n := len(r.Elsewhere); n > 0 {
			c.printf("not looked at, because another cell has it: %s; verify that cell too\n", count(n, "bucket"))
		}
	}
	if len(r.Breaks) > 0 {
		return duly.Errorf(duly.Conflict, "the audit does not hold: %s", count(len(r.Breaks), "break")).WithHint("compare with a backup from before the change")
	}
	return nil
}

func (c *command) auditRoot() *cobra.Command {
	var list, asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use: "root", Short: "Make a root over all buckets now, and keep it where the configuration says",
		Long: "`duly serve` makes one each day by itself. A root seals every bucket's record as it stands, and the root before it; it is\n" +
			"written to the folder audit.roots and posted to audit.post.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				if list {
					roots, err := a.DB.LatestRoots(cmd.Context(), limit)
					if err != nil || asJSON {
						return errors.Join(err, c.jsonIf(err == nil, roots))
					}
					w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
					fmt.Fprintln(w, "root\tday\tmade\tentries\thash")
					for _, r := range roots {
						fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\n", r.No, r.Day, local(r.At, a.Location), r.Entries, r.Hash)
					}
					return w.Flush()
				}
				s, err := a.Seal(cmd.Context(), c.now().UTC(), true)
				if s.Root != nil {
					if asJSON {
						err = errors.Join(err, c.json(s.Root))
					} else {
						c.printf("root %d of %s seals %d entries of %s: %s\n", s.Root.No, s.Root.Day, s.Root.Entries, count(len(s.Root.Heads), "bucket"), s.Root.Hash)
						for _, f := range s.Files {
							c.printf("written %s\n", f)
						}
						if s.Posted > 0 {
							c.printf("posted %s\n", count(s.Posted, "root"))
						}
					}
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "list the roots there are, newest first, and make none")
	cmd.Flags().IntVar(&limit, "limit", 31, "list at most this many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *command) jsonIf(yes bool, v any) error {
	if !yes {
		return nil
	}
	return c.json(v)
}

func (c *command) auditExport() *cobra.Command {
	var from, to, out string
	cmd := &cobra.Command{
		Use: "export", Short: "Write the audit, with the roots that seal it, as JSON lines that verify by themselves",
		Long: "There is no personal data in it: ids of contacts, codes, counts and commitments. With --from and --to it holds those days\n" +
			"whole: from the last root made before them to the first one made after.",
		Example: "  duly audit export --out audit.jsonl\n  duly audit export --from 2026-03-01 --to 2026-03-31 --out march.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s store.Span
			var err error
			if s.From, err = parseDay(from, "from"); err != nil {
				return err
			}
			if s.To, err = parseDay(to, "to"); err != nil {
				return err
			}
			if !s.To.IsZero() && s.To.Before(s.From) {
				return duly.Errorf(duly.Usage, "--to is before --from")
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				s.In = a.Location
				if out == "" {
					return a.DB.ExportAudit(cmd.Context(), c.out, c.now(), s)
				}
				f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
				if err != nil {
					return duly.Errorf(duly.Usage, "the file cannot be made, or is there already").At(duly.Place{File: out}).WithHint("name another: an export is never written over")
				}
				if err := errors.Join(a.DB.ExportAudit(cmd.Context(), f, c.now(), s), f.Sync(), f.Close()); err != nil {
					os.Remove(out)
					return err
				}
				return c.weigh(out)
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the first `day`; the beginning if left out")
	cmd.Flags().StringVar(&to, "to", "", "the last `day`; up to now if left out")
	cmd.Flags().StringVar(&out, "out", "", "the `file` to write; standard output if left out")
	return cmd
}

// weigh reads an export that was just written once more, and says what is in it.
func (c *command) weigh(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, r, err := audit.VerifyExport(io.Reader(f), nil, nil)
	if err != nil {
		return err
	}
	c.printf("written %s: ", path)
	return c.printAudit(&r, "", false)
}

func (c *command) auditOpen() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "open BORROWER", Short: "Show what commitments in the audit about a borrower open to: personal data", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				var all []audit.Opening
				err := a.DB.View(cmd.Context(), func(tx *store.Tx) (err error) { all, err = tx.Openings(duly.BorrowerID(args[0])); return err })
				if err != nil || asJSON {
					return errors.Join(err, c.jsonIf(err == nil, all))
				}
				for _, o := range all {
					good := "opens"
					if !o.Holds() {
						good = "does not open"
					}
					c.printf("%s  %s: %s\n", o.Hash, good, o.Value)
				}
				c.printf("%s\n", count(len(all), "opening"))
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *command) auditErase() *cobra.Command {
	return &cobra.Command{
		Use: "erase BORROWER", Short: "Take away what commitments in the audit about a borrower open to; the audit holds as before",
		Long: "Takes away the texts beside the audit, and of attempts that are over the words that were sent and their certificates. It takes\n" +
			"away no fact, contact or receipt, but what facts were before they were overwritten: `duly replay --date` may then decide otherwise. It cannot be undone.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				x, err := a.Engine.EraseOpenings(cmd.Context(), c.now().UTC(), "cli:"+author(), duly.BorrowerID(args[0]))
				if err != nil {
					return err
				}
				c.printf("erased: %s beside the audit, the words and certificates of %s, %s as facts were before\n", count(x.Openings, "text"), count(x.Attempts, "attempt"), count(x.Past, "row"))
				return nil
			})
		},
	}
}
