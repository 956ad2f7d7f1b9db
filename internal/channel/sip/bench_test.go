package sip_test

import (
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/channel/sip"
)

// BenchmarkCalls holds 300 calls at once with sipp, which echoes all sound, each through greeting, questions and silence to its end: how
// much of a core that takes. Target: below half a core.
//
//	go test ./internal/channel/sip -run '^$' -bench Calls -benchtime 1x -cpu 1
func BenchmarkCalls(b *testing.B) {
	const calls = 300
	if _, err := exec.LookPath("sipp"); err != nil {
		b.Skip("sipp is not installed")
	}
	for b.Loop() {
		trunk := sippWith(b, invited+answer(180, "Ringing", "")+strings.Replace(pickUp(0), "m=audio 0 ", "m=audio [media_port] ", 1)+hungUp, "-rtp_echo")
		w := call(b, trunk, func(c *sip.Config) { c.Calls, c.PerSecond, c.Ports = calls, 100, "30000-31999" })
		began, cpu := time.Now(), cpuTime()
		var all sync.WaitGroup
		for n := range calls {
			all.Go(func() {
				if err := w.send(b, message(n)); err != nil {
					b.Errorf("call %d: %v", n, err)
				}
			})
		}
		all.Wait()
		seconds := 0
		for range calls {
			h := w.told(b)
			_, s, _ := strings.Cut(h.Receipts[0].Detail, "seconds=")
			s, _, _ = strings.Cut(s, " ")
			n, err := strconv.Atoi(s)
			if err != nil || !strings.HasPrefix(h.Receipts[0].Detail, "outcome=no_input ") {
				b.Errorf("told %s", h.Receipts[0].Detail)
			}
			seconds += n
		}
		spent, took := cpuTime()-cpu, time.Since(began)
		b.ReportMetric(float64(spent.Microseconds())/1000/float64(seconds), "cpu-ms/call-s")
		b.ReportMetric(100*spent.Seconds()/took.Seconds(), "%core")
		b.ReportMetric(float64(seconds)/calls, "s/call")
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
