// Command duly tells borrowers, properly and at the proper time, that a repayment is due.
//
// Run `duly help` for the commands. Exit status: 0 done, 2 wrong use, 3 wrong input, 4 not found, 5 conflict, 6 refused,
// 7 unavailable, 1 a defect.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole command: it returns the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	c := &command{in: in, out: out, err: errOut, now: time.Now}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	return c.explain(err)
}

// command is what the subcommands share: streams, a clock and the flags that all of them have.
type command struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	config   string
	store    string
	cell     string
	verbose  bool
	at       string
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use: "duly", Short: "Remind borrowers properly and at the proper time · 恰当而及时地提醒还款",
		Long: "Duly mirrors a loan book, decides each day whom to contact, when, by which channel and with which words, checks\n" +
			"every contact against the law, sends it never twice and never after the money has come in, and can say why.\n\n" +
			"Start with `duly demo`, or `duly import FILE --mapping duly-book` and `duly serve`.",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return duly.Errorf(duly.Usage, "%v", err).WithHint("run the command with --help")
	})
	f := root.PersistentFlags()
	f.StringVarP(&c.config, "config", "c", "", "configuration `file` (default: duly.yaml if there is one)")
	f.StringVar(&c.store, "store", "", "where data is kept: a `path` for SQLite, or postgres://… (overrides the configuration)")
	f.StringVar(&c.cell, "cell", "", "where the configuration has cells: the `name` of the one to look at")
	f.StringVar(&c.at, "now", "", "act as if it were this `time`, for trials on a store of their own; nothing is sent at a time before what is on record")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "log what happens")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return c.setNow() }
	root.AddCommand(c.importCommand(), c.payCommand(), c.holdCommand(), c.releaseCommand(), c.optOutCommand(), c.preferCommand(), c.noticeCommand(), c.feedCommand(), c.reserveCommand(), c.reservationCommand(),
		c.planCommand(), c.stepCommand(), c.serveCommand(), c.whyCommand(), c.doubtCommand(), c.auditCommand(), c.fenceCommand(), c.strategyCommand(), c.dialogueCommand(),
		c.rulesCommand(), c.gateCommand(), c.templateCommand(), c.mappingCommand(), c.caseCommand(), c.deadlinesCommand(), c.migrateCommand(), c.demoCommand(), c.simCommand(), c.replayCommand(), c.statusCommand(), c.replyCommand(), c.pointsCommand(),
		c.nodesCommand(), c.carriersCommand(), c.reconcileCommand(), c.cellsCommand(), c.retentionCommand(), c.backupCommand(), c.restoreCommand(), c.resumeCommand(), c.accountCommand(),
		c.mailCommand(), c.letterCommand())
	for _, cmd := range root.Commands() {
		if cmd.HasSubCommands() && cmd.RunE == nil {
			cmd.RunE = group
		}
	}
	return root
}

// group is what a command does that only has commands below it: without a name it shows them, with a wrong one it says so.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return duly.Errorf(duly.Usage, "unknown command %q for %q", args[0], cmd.CommandPath()).WithHint("see `%s --help`", cmd.CommandPath())
}

// setNow makes the clock stand still at --now, if it is given.
func (c *command) setNow() error {
	if c.at == "" {
		return nil
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	loc, err := time.LoadLocation(cfg.Lender.Timezone)
	if err != nil {
		return duly.Errorf(duly.Invalid, "not an IANA time zone").At(duly.Place{Field: "lender.timezone"})
	}
	t, err := parseTime(c.at, "now", loc)
	if err != nil {
		return err
	}
	c.now = func() time.Time { return t }
	return nil
}

// explain prints an error for a person and returns the exit status. What is not meant for a person is named a defect.
func (c *command) explain(err error) int {
	if errors.Is(err, context.Canceled) {
		err = duly.Errorf(duly.Unavailable, "stopped before the end").WithHint("what was done is kept whole; run the same again and it goes on from there")
	}
	var code duly.Code
	for _, e := range flatten(err) {
		if code == "" {
			code = duly.CodeOf(e)
		}
		fmt.Fprintln(c.err, "duly:", e)
	}
	if de, ok := errors.AsType[*duly.Error](err); !ok && cobraUsage(err) {
		code = duly.Usage
	} else if ok && code == duly.Internal {
		code = de.Code
	}
	return code.Exit()
}

// flatten lists the errors that errors.Join put together, so that each stands on a line of its own.
func flatten(err error) []error {
	j, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range j.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}

// cobraUsage reports whether the error is the command library's word that the command line is wrong.
func cobraUsage(err error) bool {
	for _, prefix := range []string{"unknown command", "accepts ", "requires ", "unknown flag", "required flag", "invalid argument"} {
		if len(err.Error()) >= len(prefix) && err.Error()[:len(prefix)] == prefix {
			return true
		}
	}
	return false
}

// load reads the configuration, with --store over it.
func (c *command) load() (app.Config, error) {
	cfg, err := app.LoadConfig(c.config)
	if err != nil {
		return cfg, err
	}
	if c.store != "" {
		cfg.Store = c.store
	}
	return cfg, nil
}

// open puts Duly together; the caller closes it. A missing SQLite store is made, because there is nothing to decide;
// PostgreSQL is migrated only by `duly migrate`.
func (c *command) open(ctx context.Context) (*app.App, error) {
	cfg, err := c.loadStore()
	if err != nil {
		return nil, err
	}
	o := app.Options{Log: c.log(), Create: !app.IsPostgres(cfg.Store)}
	if c.at != "" { // else the engine would see hours pass between a step that stands at --now and the real clock
		o.Clock = func() time.Time { return time.Time{} }
	}
	return app.New(ctx, cfg, o)
}

// loadStore is load for commands that open the store. It says so where the folder of a SQLite store does not exist: the
// database's own words do not.
func (c *command) loadStore() (app.Config, error) {
	cfg, err := c.load()
	if err == nil && (cfg.Celled() || c.cell != "") {
		if c.store != "" {
			return cfg, duly.Errorf(duly.Usage, "--store is not for a configuration with cells").WithHint("give --cell")
		}
		cfg, err = cfg.Cell(c.cell)
	}
	if err != nil || app.IsPostgres(cfg.Store) {
		return cfg, err
	}
	folder := filepath.Dir(strings.TrimSuffix(cfg.Store, store.Hasty))
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return cfg, duly.Errorf(duly.NotFound, "the folder of the store does not exist").At(duly.Place{File: folder}).
			WithHint("make it, or name another with --store or `store` in the configuration")
	}
	return cfg, nil
}

// with opens Duly, runs fn, and closes it.
func (c *command) with(ctx context.Context, fn func(*app.App) error) error {
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(fn(a), a.Close())
}

// look is with for commands that need what is in a store: a mistyped --store is an error, not a new and empty store that
// answers.
func (c *command) look(ctx context.Context, fn func(*app.App) error) error {
	cfg, err := c.loadStore()
	if err != nil {
		return err
	}
	if path := strings.TrimSuffix(cfg.Store, store.Hasty); !app.IsPostgres(cfg.Store) {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return duly.Errorf(duly.NotFound, "there is no store here").At(duly.Place{File: path}).
				WithHint("name the right one with --store, or make one: `duly import` and `duly migrate` do")
		}
	}
	return c.with(ctx, fn)
}

func (c *command) log() *slog.Logger {
	level := slog.LevelWarn
	if c.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level}))
}

// count writes a number with its noun: 1 row, 2 rows.
func count[N int | int64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func (c *command) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }
