package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// writeReport writes what compare and growth have left into a document.
func writeReport(path string) error {
	if path == "" {
		return fmt.Errorf("name the document to write")
	}
	dispatched, err := load("compare")
	if err != nil {
		return err
	}
	grown, err := load("growth")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	head(&b, dispatched, grown)
	for _, s := range sinks {
		dispatchTable(&b, s, dispatched)
	}
	setup(&b, dispatched)
	growthTable(&b, grown)
	b.WriteString(notes)
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func load(kind string) (out []result, err error) {
	b, err := os.ReadFile(results(kind))
	if err != nil {
		return nil, fmt.Errorf("nothing was measured yet: %w", err)
	}
	for line := range bytes.Lines(b) {
		var r result
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func head(w io.Writer, dispatched, grown []result) {
	all := slices.Concat(dispatched, grown)
	var loads []float64
	commits, databases := []string{}, []string{}
	for _, r := range all {
		l, _ := strconv.ParseFloat(r.Load, 64)
		loads = append(loads, l)
		commits = append(commits, r.Commit)
		if r.Database != "" {
			databases = append(databases, r.Database)
		}
	}
	fmt.Fprintf(w, "# Performance, compared\n\nWritten by `make bench-report`; do not edit. What each word means, and what is compared with what, stands in [bench/README.md](../bench/README.md);\n"+
		"targets stand in [benchmarks.md](benchmarks.md).\n\n")
	fmt.Fprintf(w, "| | |\n|---|---|\n")
	fmt.Fprintf(w, "| machine | %s, %d cores used by everything: engine, database, sink |\n", cpuModel(), runtime.NumCPU())
	fmt.Fprintf(w, "| software | %s, PostgreSQL %s with `fsync` and `synchronous_commit` on, SQLite with `synchronous=FULL` |\n", runtime.Version(), distinct(databases))
	fmt.Fprintf(w, "| commit | %s |\n| when | %s |\n", distinct(commits), all[0].At.Format("2006-01-02"))
	fmt.Fprintf(w, "| load average before each case | %s |\n", spread(loads, "%.1f"))
	if slices.Max(loads) > 1 {
		fmt.Fprintf(w, "\n**The machine was loaded by others while this ran.** Absolute figures are too low by an amount that is not known; ratios within a run are\nfairer. Run it again on a quiet machine before quoting any.\n")
	}
	fmt.Fprintf(w, "\nFigures are the median of the runs, with the least and the most in brackets.\n")
}

func dispatchTable(w io.Writer, s behaviour, all []result) {
	first := all[0]
	fmt.Fprintf(w, "\n## Dispatch of %s contacts, sink %s\n\n", thousands(first.Contacts), s.describe())
	fmt.Fprintf(w, "| | contacts/s | × River, same run | CPU-s per 100,000 | of these the server's | peak RSS, MB | due to POST p50 / p99, ms | in doubt | lost | twice |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, sys := range systems {
		rs := pick(all, func(r result) bool { return r.System == sys.name && r.Sink == s.name })
		if len(rs) == 0 {
			continue
		}
		of := func(f func(r result, d step) float64) []float64 {
			var out []float64
			for _, r := range rs {
				out = append(out, f(r, r.step("dispatch")))
			}
			return out
		}
		count := func(f func(t tally) int) string {
			return spread(of(func(r result, _ step) float64 { return float64(f(r.Sent)) }), "%.0f")
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s / %s | %s | %s | %s |\n", sys.title,
			spread(of(func(_ result, d step) float64 { return d.perSecond() }), "%.0f"),
			spread(ratios(all, rs), "%.2f"),
			spread(of(func(_ result, d step) float64 { return d.cpuPer100k() }), "%.1f"),
			spread(of(func(_ result, d step) float64 { return d.Server * 1e5 / float64(d.Count) }), "%.1f"),
			spread(of(func(_ result, d step) float64 { return float64(d.RSS) }), "%.0f"),
			median(of(func(r result, _ step) float64 { return r.Sent.P50 }), "%.0f"), median(of(func(r result, _ step) float64 { return r.Sent.P99 }), "%.0f"),
			count(func(t tally) int { return t.InDoubt }), count(tally.lost), count(func(t tally) int { return t.Twice }))
	}
}

// ratios sets each result's rate beside River's in the same run.
func ratios(all, rs []result) (out []float64) {
	for _, r := range rs {
		river := pick(all, func(o result) bool { return o.System == "river" && o.Sink == r.Sink && o.Run == r.Run })
		if len(river) == 1 {
			out = append(out, r.step("dispatch").perSecond()/river[0].step("dispatch").perSecond())
		}
	}
	return out
}

// setup tells what each system does before and after the dispatch.
func setup(w io.Writer, all []result) {
	fmt.Fprintf(w, "\n## Before and after the dispatch\n\nThe same %s contacts, once per case of the tables above.\n\n| | what | rate | CPU-s per 100,000 |\n|---|---|---|---|\n", thousands(all[0].Contacts))
	for _, sys := range systems {
		for _, name := range []string{"import", "plan", "insert", "receipts", "payments", "explain"} {
			var rate, cpu []float64
			unit := ""
			for _, r := range pick(all, func(r result) bool { return r.System == sys.name }) {
				if s := r.step(name); s.Count > 0 {
					rate, cpu, unit = append(rate, s.perSecond()), append(cpu, s.cpuPer100k()), s.Unit
				}
			}
			if len(rate) > 0 {
				fmt.Fprintf(w, "| %s | %s | %s %s/s | %s |\n", sys.title, name, spread(rate, "%.0f"), unit, spread(cpu, "%.1f"))
			}
		}
	}
}

func growthTable(w io.Writer, all []result) {
	fmt.Fprintf(w, "\n## Growth\n\nOne book of so many instalments, four to a person; seconds per 100,000 of each. Flat columns mean that the cost grows with the book and no faster;\nof a small book each of the 1,024 buckets holds few contacts, and each contact carries more of a bucket's cost.\n\n")
	fmt.Fprintf(w, "| instalments | store | runs | import, s per 100,000 instalments | plan, s per 100,000 persons | plan, × the time of bare SQL | dispatch, s per 100,000 contacts | contacts sent | CPU-s per 100,000 contacts | peak RSS, MB |\n|---|---|---|---|---|---|---|---|---|---|\n")
	var sizes []int
	for _, r := range all {
		sizes = append(sizes, r.Sizes)
	}
	slices.Sort(sizes)
	for _, size := range slices.Compact(sizes) {
		for _, sys := range systems {
			rs := pick(all, func(r result) bool { return r.Sizes == size && r.System == sys.name })
			if len(rs) == 0 {
				continue
			}
			of := func(f func(r result) float64, format string) string {
				var out []float64
				for _, r := range rs {
					out = append(out, f(r))
				}
				return spread(out, format)
			}
			per := func(name string) string {
				return of(func(r result) float64 { return 1e5 / r.step(name).perSecond() }, "%.2f")
			}
			fmt.Fprintf(w, "| %s | %s | %d | %s | %s | %s | %s | %s | %s | %s |\n", thousands(size), strings.TrimPrefix(sys.title, "Duly, "), len(rs), per("import"), per("plan"),
				of(func(r result) float64 { return r.step("plan").Wall / r.step("bare SQL").Wall }, "%.1f×"), per("dispatch"),
				of(func(r result) float64 { return float64(r.Sent.Arrived) }, "%.0f"),
				of(func(r result) float64 { return r.step("dispatch").cpuPer100k() }, "%.1f"), of(func(r result) float64 { return float64(r.step("dispatch").RSS) }, "%.0f"))
		}
	}
}

const notes = `
## What this shows, and what not

- River is handed words that are made and contacts that are allowed. It does not read a ledger, ask a gate, keep the reasons, hold back who has paid since,
  or chain an audit. The distance between the rows is the price of those, and of Duly's own waste.
- The durability is the same: intent committed before the POST, outcome after. What an unclear answer means is not: River
  tries again, so who got no answer may hear twice; Duly puts the contact in doubt and does not.
- "Lost" are contacts that did not arrive and of which the sender does not say so. "Twice" are contacts that the sink took more than once.
- Everything runs on the same cores and the loopback. It compares costs; it does not show what a cluster or a network would.
- "Plan beside bare SQL" sets the whole plan beside one INSERT … SELECT of the open instalments due in its reach, without rules or reasons.
`

func (b behaviour) describe() string {
	if b.refused == 0 {
		return "of " + b.name
	}
	return fmt.Sprintf("of %d ms that refuses %.1f %% and takes %.1f %% without an answer", b.delay.Milliseconds(), float64(b.refused)/10, float64(b.hung)/10)
}

func (r result) step(name string) step {
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	return step{}
}

func pick(all []result, keep func(result) bool) (out []result) {
	for _, r := range all {
		if keep(r) {
			out = append(out, r)
		}
	}
	return out
}

// spread writes the median with the least and the most.
func spread(v []float64, format string) string {
	if len(v) == 0 {
		return "–"
	}
	mid := median(v, format)
	least, most := fmt.Sprintf(format, slices.Min(v)), fmt.Sprintf(format, slices.Max(v))
	if least == most {
		return mid
	}
	return fmt.Sprintf("%s (%s–%s)", mid, least, most)
}

func median(v []float64, format string) string {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return fmt.Sprintf(format, (v[(n-1)/2]+v[n/2])/2)
}

func distinct(v []string) string {
	slices.Sort(v)
	return strings.Join(slices.Compact(v), ", ")
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return runtime.GOARCH
}
