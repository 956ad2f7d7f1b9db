// Command bench sets Duly beside other ways of doing the same job, on one machine and in one run, and writes what it
// measured into a document. It is a module of its own, so that the product depends on none of what it is compared with.
//
//	go run . compare                # dispatch: Duly on SQLite and PostgreSQL, River with a durable send log
//	go run . growth                 # import, plan, bare SQL and dispatch at 100,000 and 1,000,000 instalments
//	go run . report FILE            # docs/performance.md from what both have left in .cache
//
// Every case runs in a process of its own, on a store of its own, against a sink in a third process.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are those of a case; a case process gets them as JSON.
type options struct {
	System   string // what does the job: see systems
	Sink     string // how the sink behaves: see sinks
	Contacts int
	Workers  int // messages on the way at one time
	Conns    int // of River's pool; Duly has its own default
	Sizes    int // instalments, of a growth case
	Commit   string
}

// systems are what is compared, by the names of the report.
var systems = []struct{ name, title string }{
	{"duly-sqlite", "Duly, SQLite"},
	{"duly-postgres", "Duly, PostgreSQL"},
	{"duly-partitioned", "Duly, PostgreSQL in 16 partitions"},
	{"duly-cells", "Duly, two PostgreSQL cells behind JetStream"},
	{"river", "River with a send log, PostgreSQL"},
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("say compare, growth or report")
	}
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	contacts := f.Int("contacts", 20_000, "contacts of each dispatch")
	workers := f.Int("workers", 256, "messages on the way at one time, for every system")
	conns := f.Int("conns", 64, "connections of River's pool")
	runs := f.Int("runs", 3, "runs of every case")
	only := f.String("only", "", "only systems whose name holds this")
	large := f.Bool("large", false, "growth: 10,000,000 instalments too")
	more := f.Bool("append", false, "keep the results that are there")
	sizes := f.Int("instalments", 0, "growth: this size alone")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	o := options{Contacts: *contacts, Workers: *workers, Conns: *conns, Commit: commit()}
	if (args[0] == "compare" || args[0] == "growth") && !*more {
		if err := os.Remove(results(args[0])); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	switch args[0] {
	case "sink":
		return serveSink()
	case "case":
		return runCase(f.Arg(0))
	case "compare":
		return compare(o, *runs, *only)
	case "growth":
		list := []int{100_000, 1_000_000}
		if *large {
			list = append(list, 10_000_000)
		}
		if *sizes > 0 {
			list = []int{*sizes}
		}
		return growth(o, list, *runs, *only)
	case "report":
		return writeReport(f.Arg(0))
	}
	return fmt.Errorf("there is no %q: say compare, growth or report", args[0])
}

// result is what one case measured.
type result struct {
	options
	At       time.Time
	Run      int
	Load     string // of the machine before it
	Database string // the server's version
	Steps    []step
	Sent     tally
}

// step is one part of a case.
type step struct {
	Name   string
	Count  int64
	Unit   string
	Wall   float64 // seconds
	CPU    float64 // seconds, of the process and of the database server
	Server float64 // of these, the server's
	RSS    int     // MB, the process's peak so far
}

// compare runs every system against every sink, the systems of one sink one after the other, so that what is compared was
// measured in the same minutes.
func compare(o options, runs int, only string) error {
	for n := 1; n <= runs; n++ {
		for _, s := range sinks {
			for _, sys := range systems {
				if !strings.Contains(sys.name, only) {
					continue
				}
				c := o
				c.System, c.Sink = sys.name, s.name
				if err := spawn(c, n, "compare"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func growth(o options, sizes []int, runs int, only string) error {
	for n := 1; n <= runs; n++ {
		for _, size := range sizes {
			for _, sys := range []string{"duly-sqlite", "duly-postgres"} {
				if !strings.Contains(sys, only) {
					continue
				}
				c := o
				c.System, c.Sink, c.Sizes = sys, sinks[0].name, size
				if err := spawn(c, n, "growth"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cache is the folder of results, one line of JSON each.
const cache = "../.cache"

func results(kind string) string { return filepath.Join(cache, "bench-"+kind+".jsonl") }

// spawn runs a case in a process of its own and keeps its result.
func spawn(o options, run int, kind string) error {
	load := loadAverage()
	arg, err := json.Marshal(o)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	cmd := exec.Command(self, "case", string(arg))
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	at := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s to %s: %w", o.System, o.Sink, err)
	}
	var r result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return err
	}
	r.At, r.Run, r.Load = at.UTC(), run, load
	fmt.Println(r)
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(results(kind), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, werr := file.Write(append(line, '\n'))
	if err := file.Close(); werr == nil {
		werr = err
	}
	return werr
}

// commit names what was measured.
func commit() string {
	b, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

// String writes a result for the eye.
func (r result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "run %d  %-17s %-12s load %s\n", r.Run, r.System, r.Sink, r.Load)
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "    %-10s %8d %-12s %8.2f s %9.0f/s %6.1f CPU-s per 100,000 (server %.1f)  peak %d MB\n",
			s.Name, s.Count, s.Unit, s.Wall, s.perSecond(), s.cpuPer100k(), s.Server*1e5/float64(max(1, s.Count)), s.RSS)
	}
	if r.Sent.Asked > 0 {
		fmt.Fprintf(&b, "    at the sink: %d of %d, %d in doubt, %d lost, %d twice; due to POST p50 %.0f ms, p99 %.0f ms\n",
			r.Sent.Arrived, r.Sent.Asked, r.Sent.InDoubt, r.Sent.lost(), r.Sent.Twice, r.Sent.P50, r.Sent.P99)
	}
	return b.String()
}

func (s step) perSecond() float64  { return float64(s.Count) / s.Wall }
func (s step) cpuPer100k() float64 { return s.CPU * 1e5 / float64(max(1, s.Count)) }

// runCase runs one case in this process and prints its result.
func runCase(arg string) error {
	var r result
	if err := json.Unmarshal([]byte(arg), &r.options); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "duly-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sink, err := startSink()
	if err != nil {
		return err
	}
	defer sink.stop()
	ctx, cancel := context.WithTimeout(context.Background(), caseLimit)
	defer cancel()
	switch {
	case r.System == "river":
		err = riverCase(ctx, &r, sink)
	default:
		err = dulyCase(ctx, &r, sink, dir)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

const caseLimit = 2 * time.Hour
