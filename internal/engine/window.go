package engine

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/internal/store"
)

const (
	windowParts  = 64       // runs of buckets that the rows of a window are sorted into
	windowBuffer = 32 << 10 // bytes of each that are kept in memory
)

// window is a run of rows of a file that is sorted by the buckets of their people before it is applied: what is written
// together then lies together. Beyond a buffer for each run of buckets the rows are on disk, in a file that has no name.
type window struct {
	read      int64 // rows, those included that are not kept
	skipped   int64
	problems  []rowProblem
	bad       int64
	badBefore bool
	feed      time.Time // the latest arrival among the payments of the file so far
	last      bool

	good   int                   // rows that are kept
	facts  int                   // of them, where they are only counted
	parts  [windowParts + 1]part // the last is of rows that lie in no one bucket, as far as is known
	names  []string              // of the files that rows are of
	packer store.Packer
	disk   *os.File
	end    int64 // of what is on disk
}

// part is the rows of a run of buckets, in the order of the file: first those on disk, then those in the buffer.
type part struct {
	rows   int
	buf    []byte
	pieces []span
}

type span struct {
	at   int64
	size int
}

// rowProblem is a problem with the number of its row.
type rowProblem struct {
	row int64
	ingest.Problem
}

// placed is a row as it lies in a window or a chunk: where it was read, the place of its first fact and how many it has.
type placed struct {
	file       string
	line       int
	row        int64
	from, many int
}

// partOf returns where the facts of a row belong.
func partOf(facts []duly.Fact) int {
	at := 0
	for i, f := range facts {
		owner := f.Owner()
		switch {
		case owner == "":
			return windowParts
		case i > 0 && owner == facts[i-1].Owner():
			continue
		}
		bucket := owner.Bucket()
		if i > 0 && bucket*windowParts/duly.Buckets != at {
			return windowParts
		}
		at = bucket * windowParts / duly.Buckets
	}
	return at
}

// put keeps a row.
func (w *window) put(row *ingest.Row) error {
	if n := len(w.names); n == 0 || w.names[n-1] != row.File {
		w.names = append(w.names, row.File)
	}
	p := &w.parts[partOf(row.Facts)]
	for _, n := range []int64{int64(len(w.names) - 1), int64(row.Line), row.Row, int64(len(row.Facts))} {
		p.buf = binary.AppendUvarint(p.buf, uint64(n))
	}
	for _, f := range row.Facts {
		var err error
		if p.buf, err = w.packer.Append(p.buf, f); err != nil {
			return err
		}
	}
	p.rows++
	w.good++
	if len(p.buf) < windowBuffer {
		return nil
	}
	return w.spill(p)
}

// spill moves a part's buffer to the disk.
func (w *window) spill(p *part) error {
	if w.disk == nil {
		f, err := os.CreateTemp("", "duly-import-")
		if err != nil {
			return noTemporary(err)
		}
		w.disk = f
		os.Remove(f.Name()) // where a file cannot lose its name while it is open, close does it
	}
	if _, err := w.disk.WriteAt(p.buf, w.end); err != nil {
		return noTemporary(err)
	}
	p.pieces = append(p.pieces, span{w.end, len(p.buf)})
	w.end += int64(len(p.buf))
	p.buf = p.buf[:0]
	return nil
}

func noTemporary(cause error) error {
	return errors.Join(duly.Errorf(duly.Unavailable, "the rows of the file cannot be sorted in the folder for temporary files").
		At(duly.Place{File: os.TempDir()}).WithHint("make room there, or name another folder in TMPDIR; what is applied stays, and the next run goes on"), cause)
}

// load returns all the rows of a part.
func (w *window) load(p *part) ([]byte, error) {
	size := len(p.buf)
	for _, s := range p.pieces {
		size += s.size
	}
	b := make([]byte, 0, size)
	for _, s := range p.pieces {
		b = b[:len(b)+s.size]
		if _, err := io.ReadFull(io.NewSectionReader(w.disk, s.at, int64(s.size)), b[len(b)-s.size:]); err != nil {
			return nil, noTemporary(err)
		}
	}
	return append(b, p.buf...), nil
}

// reset empties the window for other rows.
func (w *window) reset() {
	for i := range w.parts {
		p := &w.parts[i]
		p.rows, p.buf, p.pieces = 0, p.buf[:0], p.pieces[:0]
	}
	*w = window{parts: w.parts, disk: w.disk}
}

func (w *window) close() {
	if w.disk != nil {
		w.disk.Close()
		os.Remove(w.disk.Name())
	}
}

// groups splits the parts whose people are known into runs of about so many rows.
func (w *window) groups(rows int) [][]*part {
	var out [][]*part
	n := 0
	for i := range w.parts[:windowParts] {
		p := &w.parts[i]
		if p.rows == 0 {
			continue
		}
		if len(out) == 0 || n+p.rows > rows {
			out, n = append(out, nil), 0
		}
		out[len(out)-1] = append(out[len(out)-1], p)
		n += p.rows
	}
	return out
}

// chunk is rows of a window that are applied in one transaction.
type chunk struct {
	rows   []placed
	facts  []duly.Fact
	packed *store.Unpacker // what the facts come from
}

// chunks yields the rows of parts in chunks of so many rows at most.
func (w *window) chunks(parts []*part, max int, yield func(*chunk) error) error {
	var rows []placed
	u := &store.Unpacker{}
	done := func() error {
		c := &chunk{rows, u.Facts(), u}
		rows, u = nil, &store.Unpacker{}
		return yield(c)
	}
	for _, p := range parts {
		b, err := w.load(p)
		if err != nil {
			return err
		}
		for len(b) > 0 {
			if len(rows) == max {
				if err := done(); err != nil {
					return err
				}
			}
			r := placed{from: len(u.Facts())}
			if b, err = w.unpack(&r, u, b); err != nil {
				return err
			}
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return done()
}

// unpack reads the row at the beginning of b, and returns the rest.
func (w *window) unpack(r *placed, u *store.Unpacker, b []byte) ([]byte, error) {
	var n [4]uint64
	for i := range n {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return nil, noTemporary(io.ErrUnexpectedEOF)
		}
		n[i], b = v, b[size:]
	}
	if n[0] >= uint64(len(w.names)) {
		return nil, noTemporary(io.ErrUnexpectedEOF)
	}
	r.file, r.line, r.row, r.many = w.names[n[0]], int(n[1]), int64(n[2]), int(n[3])
	for range r.many {
		var err error
		if b, err = u.Fact(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}
