package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/ingest"
)

// problemsShown is how many bad rows are printed; --report keeps all.
const problemsShown = 20

type importFlags struct {
	mapping, encoding, sheet, asOf, report string
	check                                  bool
}

func (c *command) importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use: "import FILE…", Short: "Read a loan book or a payment feed from files",
		Long: "Reads CSV, JSON lines or XLSX, gzipped or not, as a mapping says. Good rows are applied in chunks, each whole or\n" +
			"not at all; bad rows are reported with file, line, column and field and change nothing. The same file twice changes\n" +
			"nothing; a run that was cut off goes on where it stopped. Exit status 3 if any row was bad.",
		Example: "  duly import book.csv.gz --mapping duly-book\n  duly import payments.xlsx --mapping my-bank.yaml --as-of 2026-11-23T06:00:00+08:00\n  duly import book.csv --mapping duly-book --check",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			m, err := app.LoadMapping(f.mapping) // first, so that a wrong one leaves no empty store behind
			if err != nil {
				return err
			}
			cfg, err := c.load()
			if err != nil {
				return err
			}
			if cfg.Celled() && c.cell == "" && !f.check {
				o := app.Options{Log: c.log()}
				return app.ThroughLog(cmd.Context(), cfg, o, func(home *app.App, way engine.Way) error { return c.importFiles(cmd, home, m, files, f, way) })
			}
			return c.with(cmd.Context(), func(a *app.App) error { return c.importFiles(cmd, a, m, files, f, nil) })
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.mapping, "mapping", "m", "", "a shipped mapping's `name` (see `duly mapping list`) or a file")
	fl.BoolVar(&f.check, "check", false, "check every row by itself, change nothing")
	fl.StringVar(&f.asOf, "as-of", "", "the `time` up to which the file is complete: the version of its facts and, for payments, how fresh the feed is")
	fl.StringVar(&f.encoding, "encoding", "", "of text files: utf-8, gb18030, gbk, utf-16le, utf-16be, windows-1252")
	fl.StringVar(&f.sheet, "sheet", "", "of a workbook, if the mapping does not name it")
	fl.StringVar(&f.report, "report", "", "write every bad row to this CSV `file`")
	cmd.MarkFlagRequired("mapping")
	return cmd
}

func (c *command) importFiles(cmd *cobra.Command, a *app.App, m *ingest.Mapping, files []string, f importFlags, way engine.Way) error {
	asOf, err := parseTime(f.asOf, "as-of", a.Location)
	if err != nil {
		return err
	}
	report, err := newProblemReport(f.report, c.err)
	if err != nil {
		return err
	}
	bad := int64(0)
	for _, file := range files {
		bar, progress := c.progress(file)
		rep, err := a.Engine.Import(cmd.Context(), c.now().UTC(), file, engine.ImportOptions{
			Mapping: m, AsOf: asOf, CheckOnly: f.check, Problem: report.add, Way: way,
			Read: ingest.Options{Encoding: f.encoding, Sheet: f.sheet, Progress: progress},
		})
		bar.Finish()
		if err != nil {
			c.printStopped(rep, f.check)
			return errors.Join(err, report.close())
		}
		c.printImport(rep, f.check)
		bad += rep.Bad
	}
	if err := report.close(); err != nil {
		return err
	}
	if bad > 0 {
		return badRows(bad, f.check)
	}
	return nil
}

func badRows(bad int64, check bool) error {
	if check {
		return duly.Errorf(duly.Invalid, "%s found", count(bad, "bad row")).WithHint("an import would leave them out; mend them at the source first")
	}
	return duly.Errorf(duly.Invalid, "%s left out", count(bad, "bad row")).
		WithHint("mend them at the source and import the file again; what is in already stays as it is")
}

// printStopped says how far a run came that an error ended.
func (c *command) printStopped(r engine.ImportReport, check bool) {
	if r.Rows == 0 {
		return
	}
	if check {
		c.printf("%s: stopped after %s, %d of them bad; checked only, nothing was changed\n", r.File, count(r.Rows, "row"), r.Bad)
		return
	}
	c.printf("%s: stopped after %s: %d applied, %d bad, %d applied by an earlier run, %d read but not applied\n",
		r.File, count(r.Rows, "row"), r.Good, r.Bad, r.Skipped, r.Rows-r.Good-r.Bad-r.Skipped)
}

func (c *command) printImport(r engine.ImportReport, check bool) {
	if r.Already {
		c.printf("%s: imported before, nothing to do (%s, sha256 %.12s)\n", r.File, count(r.Rows, "row"), r.Hash)
		return
	}
	verb := "applied"
	if check {
		verb = "good"
	}
	c.printf("%s: %s = %d %s + %d bad", r.File, count(r.Rows, "row"), r.Good, verb, r.Bad)
	if r.Skipped > 0 {
		c.printf(" + %d applied by an earlier run", r.Skipped)
	}
	c.printf("\n")
	if check {
		c.printf("  %s; checked only, nothing was changed. Whether borrowers and loans are known is seen at the import\n", count(r.Facts, "fact"))
		return
	}
	c.printf("  %s = %d new + %d changed + %d unchanged + %d older than known + %d refused\n",
		count(r.Facts, "fact"), r.Added, r.Changed, r.Same, r.Stale, r.Facts-r.Added-r.Changed-r.Same-r.Stale)
	if r.FeedHeld {
		c.printf("  payment rows were left out, so payments do not count as known any further than before; when you have seen to them,\n" +
			"  import the file again, or say `duly feed --through TIME`\n")
	}
	if r.Settled > 0 || r.Stopped > 0 {
		c.printf("  %s settled, %s stopped\n", count(r.Settled, "instalment"), count(r.Stopped, "contact"))
	}
}

// progress shows a bar on a terminal and nothing elsewhere.
func (c *command) progress(file string) (*progressbar.ProgressBar, func(read, total int64)) {
	out := io.Discard
	if f, ok := c.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		out = f
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(file),
		progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	return bar, func(read, total int64) {
		if total > 0 && bar.GetMax64() != total {
			bar.ChangeMax64(total)
		}
		bar.Set64(read)
	}
}

// problemReport prints the first bad rows and, if asked, writes all of them to a file.
type problemReport struct {
	file  *os.File
	csv   *csv.Writer
	out   io.Writer
	shown int
	left  int
}

func newProblemReport(path string, out io.Writer) (*problemReport, error) {
	r := &problemReport{out: out}
	if path == "" {
		return r, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, duly.Errorf(duly.Usage, "the report cannot be written").At(duly.Place{File: path})
	}
	r.file, r.csv = f, csv.NewWriter(f)
	r.csv.Write([]string{"file", "line", "column", "field", "value", "reason", "hint"})
	return r, nil
}

func (r *problemReport) add(p ingest.Problem) {
	if r.csv != nil {
		r.csv.Write([]string{p.Place.File, strconv.Itoa(p.Place.Line), strconv.Itoa(p.Place.Column), p.Place.Field, p.Class, p.Reason, p.Hint})
	}
	if r.shown >= problemsShown {
		r.left++
		return
	}
	r.shown++
	fmt.Fprintf(r.out, "%s: %s (%s)", p.Place, p.Reason, p.Class)
	if p.Hint != "" {
		fmt.Fprintf(r.out, " → %s", p.Hint)
	}
	fmt.Fprintln(r.out)
}

func (r *problemReport) close() error {
	if r.left > 0 {
		fmt.Fprintf(r.out, "… and %d more; --report FILE keeps all of them\n", r.left)
	}
	if r.file == nil {
		return nil
	}
	r.csv.Flush()
	return errors.Join(r.csv.Error(), r.file.Close())
}

// parseTime reads a time given on the command line: RFC 3339, or a day, which means its beginning in the lender's zone.
func parseTime(s, flag string, loc *time.Location) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, loc); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, duly.Errorf(duly.Usage, "--%s is not a time", flag).WithHint("write 2026-11-23T06:00:00+08:00, or 2026-11-23 06:00 in the lender's zone")
}

func (c *command) mappingCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "mapping", Short: "Show the shipped mappings"}
	cmd.AddCommand(&cobra.Command{Use: "list", Short: "List the shipped mappings", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		names, err := app.Mappings()
		for _, n := range names {
			c.printf("%s\n", n)
		}
		return err
	}})
	cmd.AddCommand(&cobra.Command{Use: "show NAME", Short: "Print a shipped mapping, to start your own from", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		src, err := app.MappingSource(args[0])
		c.out.Write(src)
		return err
	}})
	return cmd
}
