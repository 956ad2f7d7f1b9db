package main

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// meter measures steps: wall time, CPU time of this process and of database servers.
type meter struct {
	postmasters []int // the servers' first processes
	steps       []step
	at          time.Time
	own, other  float64
}

func newMeter(dsns ...string) *meter {
	m := &meter{}
	for _, dsn := range dsns {
		m.watch(dsn)
	}
	return m
}

// watch measures with the server behind a DSN of storetest.Start, whose socket lies beside its data.
func (m *meter) watch(dsn string) {
	u, err := url.Parse(dsn)
	if err != nil {
		return
	}
	b, err := os.ReadFile(filepath.Join(u.Query().Get("host"), "data", "postmaster.pid"))
	if err != nil {
		return
	}
	first, _, _ := strings.Cut(string(b), "\n")
	if pid, err := strconv.Atoi(first); err == nil {
		m.postmasters = append(m.postmasters, pid)
	}
}

func (m *meter) start() { m.at, m.own, m.other = time.Now(), ownCPU(), m.serverCPU() }

func (m *meter) stop(name string, count int64, unit string) {
	wall, own, other := time.Since(m.at).Seconds(), ownCPU()-m.own, m.serverCPU()-m.other
	m.steps = append(m.steps, step{name, count, unit, wall, own + other, other, peakMB()})
}

func usage() (u syscall.Rusage) {
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u
}

func ownCPU() float64 {
	u := usage()
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func peakMB() int { return int(usage().Maxrss / 1024) }

// ticks is the kernel's unit of CPU time in /proc, which is 1/100 s on every Linux that matters.
const ticks = 100

// serverCPU sums the seconds of the server's processes: those that run and, in the first one's account, those that ended.
func (m *meter) serverCPU() float64 {
	if len(m.postmasters) == 0 {
		return 0
	}
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	sum := 0
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		// After the name, which may hold anything: state ppid … utime stime cutime cstime at 11 to 14.
		f := strings.Fields(string(b)[strings.LastIndexByte(string(b), ')')+1:])
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		number := func(i int) int { n, _ := strconv.Atoi(f[i]); return n }
		switch {
		case len(f) < 15:
		case slices.Contains(m.postmasters, pid):
			sum += number(11) + number(12) + number(13) + number(14)
		case slices.Contains(m.postmasters, number(1)):
			sum += number(11) + number(12)
		}
	}
	return float64(sum) / ticks
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
