package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"duly": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// The scripts read like the manual: what a person types, and what Duly answers.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits}, Condition: there,
	})
}

// exits STATUS COMMAND… runs a command that has to end with just this status; `stdout` and `stderr` look at it afterwards.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("got exit status %d, want %d", got, want)
	}
}

// there is the condition [there:FILE]: whether this machine has a file.
func there(cond string) (bool, error) {
	file, ok := strings.CutPrefix(cond, "there:")
	if !ok {
		return false, errors.New("unknown condition")
	}
	_, err := os.Stat(file)
	return err == nil, nil
}

// cutter cancels when the words it waits for are written: here, when a certain row is told to be bad.
type cutter struct {
	bytes.Buffer
	word string
	cut  context.CancelFunc
}

func (c *cutter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.word) {
		c.cut()
	}
	return c.Buffer.Write(p)
}

// A run that is stopped in its second chunk keeps the first, whole, and the next run goes on behind it.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	const rows, first, bad = 27_000, 25_000, 20_000 // the first window is of 25,000 good rows; what is wrong is told when they are in
	dir := t.TempDir()
	file, db := filepath.Join(dir, "borrowers.csv"), filepath.Join(dir, "try.db")
	var b strings.Builder
	b.WriteString("borrower_id,name,language,country,tier,segment,zone,zone_source,flags,version\n")
	for i := 1; i <= rows; i++ {
		tier := "A"
		if i == bad {
			tier = "?"
		}
		fmt.Fprintf(&b, "D%d,n,zh-CN,CN,%s,consumer,Asia/Shanghai,address,,1\n", i, tier)
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	try := func(ctx context.Context, errOut io.Writer) (int, string) {
		var out bytes.Buffer
		return run(ctx, []string{"--store", db, "import", file, "--mapping", "duly-borrowers"}, nil, &out, errOut), out.String()
	}

	ctx, cancel := context.WithCancel(t.Context())
	told := &cutter{word: fmt.Sprintf("borrowers.csv:%d:", bad+1), cut: cancel}
	status, out := try(ctx, told)
	if want := fmt.Sprintf("%d applied, 1 bad, 0 applied by an earlier run", first); status != 7 || !strings.Contains(out, want) {
		t.Fatalf("stopped: got status %d, %q, want 7 and %q; stderr %s", status, out, want, told)
	}
	if want := "run the same again"; !strings.Contains(told.String(), want) {
		t.Errorf("stopped: got %q, want %q in it", told, want)
	}
	var errOut bytes.Buffer
	status, out = try(t.Context(), &errOut)
	if want := fmt.Sprintf("%d rows = %d applied + 0 bad + %d applied by an earlier run", rows, rows-first-1, first+1); status != 0 || !strings.Contains(out, want) {
		t.Fatalf("again: got status %d, %q, want 0 and %q; stderr %s", status, out, want, &errOut)
	}
	if want := fmt.Sprintf("%d facts = %d new", rows-first-1, rows-first-1); !strings.Contains(out, want) {
		t.Errorf("again: got %q, want %q in it", out, want)
	}
}

// A server that is told to stop while it opens its store has nothing to drain: that is no failure.
func TestServeStoppedAtStart(t *testing.T) {
	t.Parallel()
	for _, store := range []string{filepath.Join(t.TempDir(), "try.db"), "postgres://nobody@127.0.0.1:1/none"} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var out, errOut bytes.Buffer
		if status := run(ctx, []string{"serve", "--store", store}, strings.NewReader(""), &out, &errOut); status != 0 {
			t.Errorf("%s: exit status %d, want 0\n%s", store, status, &errOut)
		}
	}
}
