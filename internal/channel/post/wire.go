package post

import (
	"errors"
	"net"
	"sync"
)

// wire is a connection that knows whether anything was written to it, and can be shut for writing with proof. It is the
// ground on which a failure is called temporary: a trace event tells that a request was handed to a buffer, only the
// connection tells that it left.
type wire struct {
	net.Conn
	mu     sync.Mutex
	writes int // those that wrote something
	sealed bool
}

var errSealed = errors.New("the message was given up before it was written")

// Write counts what is written. It holds the lock while it does, so that unwritten waits for a write under way.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sealed {
		return 0, errSealed
	}
	n, err := w.Conn.Write(p)
	if n > 0 {
		w.writes++
	}
	return n, err
}

// mark returns the number of writes so far, to be given to unwritten.
func (w *wire) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writes
}

// unwritten reports whether nothing was written since the mark, and if so makes sure that nothing ever will be.
func (w *wire) unwritten(mark int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writes != mark {
		return false
	}
	w.sealed = true
	return true
}
