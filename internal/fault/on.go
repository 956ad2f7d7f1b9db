//go:build fault

package fault

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// wanted is the point of the environment, and how often it is yet to be come to.
var wanted = sync.OnceValues(func() (string, *atomic.Int64) {
	name, count, _ := strings.Cut(os.Getenv("DULY_FAULT"), ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		n = 1
	}
	left := &atomic.Int64{}
	left.Store(n)
	return name, left
})

// At dies as of kill -9 if it is the point of DULY_FAULT, come to for the last time that is wanted.
func At(point string) {
	name, left := wanted()
	if name != point || left.Add(-1) > 0 {
		return
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until the signal is there
}
