package post

import (
	"errors"
	"net"
	"testing"
)

func TestWire(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	go func() {
		buf := make([]byte, 16)
		for {
			if _, err := far.Read(buf); err != nil {
				return
			}
		}
	}()
	w := &wire{Conn: near}
	mark := w.mark()
	if _, err := w.Write([]byte("one")); err != nil {
		t.Fatal(err)
	}
	if w.unwritten(mark) {
		t.Error("something was written, and it says that nothing was")
	}
	if _, err := w.Write([]byte("two")); err != nil {
		t.Errorf("a connection that was written to is sealed: %v", err)
	}
	if !w.unwritten(w.mark()) {
		t.Error("nothing was written since the mark, and it says that something was")
	}
	if n, err := w.Write([]byte("three")); n != 0 || !errors.Is(err, errSealed) {
		t.Errorf("a sealed connection wrote %d bytes, %v", n, err)
	}
}

// TestWireFailedWrite: a write that failed whole leaves nothing on the wire.
func TestWireFailedWrite(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	_ = far.Close()
	w := &wire{Conn: near}
	mark := w.mark()
	if _, err := w.Write([]byte("one")); err == nil {
		t.Fatal("wrote to a closed pipe")
	}
	if !w.unwritten(mark) {
		t.Error("nothing got through, and it says that something did")
	}
}
