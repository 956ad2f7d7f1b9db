package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Header is the first line of an export: what it holds.
type Header struct {
	Format int        `json:"format"` // 1
	MadeAt time.Time  `json:"made_at"`
	From   civil.Date `json:"from,omitzero"`        // the first day asked for; zero: from the beginning
	To     civil.Date `json:"to,omitzero"`          // the last day asked for; zero: to the end
	First  int64      `json:"first_root,omitempty"` // the root at which the records begin; 0: at their beginning
	Last   int64      `json:"last_root,omitempty"`  // the root at which they end; 0: at their heads as of MadeAt
}

// format is the one there is.
const format = 1

// footer is the last line of an export.
type footer struct {
	Entries int64  `json:"entries"`
	Buckets int    `json:"buckets"`
	Roots   int    `json:"roots"`
	SHA256  string `json:"sha256"` // of all lines before
}

// line is one line of an export: one of these.
type line struct {
	Header *Header `json:"audit,omitempty"`
	Root   *Root   `json:"root,omitempty"`
	Begin  *Chain  `json:"begin,omitempty"` // of a bucket: where its record begins here
	Entry  *Entry  `json:"entry,omitempty"`
	End    *Chain  `json:"end,omitempty"` // of the bucket: its head
	// Elsewhere is a bucket whose record another cell has.
	Elsewhere *int    `json:"elsewhere,omitempty"`
	Footer    *footer `json:"sum,omitempty"`
}

// Writer writes an export: records with what is needed to verify them, and no personal data. It has one JSON value a line: the
// header, the roots in order, then of each bucket where its record begins, its entries and its head, and at last the sum.
type Writer struct {
	out    *bufio.Writer
	sum    hash.Hash
	footer footer
	err    error
}

// NewWriter begins an export.
func NewWriter(w io.Writer, h Header) *Writer {
	h.Format = format
	x := &Writer{out: bufio.NewWriterSize(w, 1<<16), sum: sha256.New()}
	x.write(line{Header: &h})
	return x
}

// Root writes a root. Roots come before records.
func (x *Writer) Root(r *Root) { x.footer.Roots++; x.write(line{Root: r}) }

// Begin begins the record of a bucket.
func (x *Writer) Begin(c Chain) { x.footer.Buckets++; x.write(line{Begin: &c}) }

// Entry writes the next entry of the record.
func (x *Writer) Entry(e *Entry) { x.footer.Entries++; x.write(line{Entry: e}) }

// Elsewhere says that another cell has the record of a bucket.
func (x *Writer) Elsewhere(bucket int) { x.write(line{Elsewhere: &bucket}) }

// End ends the record.
func (x *Writer) End(c Chain) { x.write(line{End: &c}) }

// Close writes the sum. It returns the first error of all that was written.
func (x *Writer) Close() error {
	x.footer.SHA256 = hex.EncodeToString(x.sum.Sum(nil))
	x.write(line{Footer: &x.footer})
	return errors.Join(x.err, x.out.Flush())
}

func (x *Writer) write(l line) {
	if x.err != nil {
		return
	}
	b, err := marshal(l)
	if err == nil {
		x.sum.Write(b)
		_, err = x.out.Write(b)
	}
	x.err = err
}

// marshal writes a value as one line of JSON, as it is: an entry's words must come back to the byte.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// lineMax bounds a line of an export: a root has the heads of all buckets, an entry may name all contacts of a claim.
const lineMax = 16 << 20

// VerifyExport follows the records in an export and holds them against its own roots and those that were kept elsewhere. seen,
// if not nil, is told every entry that holds. An error says that the file cannot be read as an export at all.
func VerifyExport(r io.Reader, kept []Root, seen func(*Entry)) (Header, Report, error) {
	x := &reader{in: bufio.NewReaderSize(r, 1<<16), sum: sha256.New(), kept: kept, seen: seen}
	for !x.done {
		raw, err := x.line()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = x.take(raw)
		}
		if err != nil {
			return x.header, Report{}, err
		}
	}
	if _, err := x.in.ReadByte(); err == nil {
		x.whole = false // there is more behind the sum
	}
	return x.header, x.report(), nil
}

// reader is the reading of an export under way.
type reader struct {
	in     *bufio.Reader
	sum    hash.Hash
	no     int // of the line
	header Header
	kept   []Root
	roots  []Root
	v      *Verifier // once the records begin
	open   bool      // a record is
	done   bool      // the sum was read
	whole  bool      // and it is right
	count  footer
	seen   func(*Entry)
}

func (x *reader) line() ([]byte, error) {
	var out []byte
	for {
		part, err := x.in.ReadSlice('\n')
		out = append(out, part...)
		if len(out) > lineMax {
			return nil, x.wrong("the line is longer than %d bytes", lineMax)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) && len(out) > 0 {
			return nil, io.EOF // a line that was cut is none
		}
		x.no++
		return out, err
	}
}

func (x *reader) wrong(format string, args ...any) error {
	return duly.Errorf(duly.Invalid, format, args...).At(duly.Place{Line: x.no}).WithHint("an export is what `duly audit export` writes, line by line")
}

func (x *reader) take(raw []byte) error {
	var l line
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return x.wrong("not a line of an export")
	}
	if (x.no == 1) != (l.Header != nil) {
		return x.wrong("an export begins with a line that says so, and has one of them")
	}
	if l.Footer != nil {
		x.count.SHA256 = hex.EncodeToString(x.sum.Sum(nil))
		x.done, x.whole = true, *l.Footer == x.count
		return nil
	}
	x.sum.Write(raw)
	switch {
	case l.Header != nil:
		if x.header = *l.Header; x.header.Format != format {
			return x.wrong("the export is of format %d, and this program reads format %d", x.header.Format, format)
		}
	case l.Root != nil:
		if x.v != nil {
			return x.wrong("a root stands behind the records")
		}
		x.count.Roots++
		x.roots = append(x.roots, *l.Root)
	default:
		return x.record(&l)
	}
	return nil
}

func (x *reader) record(l *line) error {
	x.begin()
	switch {
	case l.Begin != nil && !x.open:
		x.open = true
		x.count.Buckets++
		x.v.Begin(*l.Begin)
	case l.Entry != nil && x.open:
		x.count.Entries++
		before := x.v.report.Entries
		x.v.Next(l.Entry)
		if x.seen != nil && x.v.report.Entries > before {
			x.seen(l.Entry)
		}
	case l.Elsewhere != nil && !x.open:
		x.v.Elsewhere(*l.Elsewhere)
	case l.End != nil && x.open:
		x.open = false
		x.v.End(*l.End)
	default:
		return x.wrong("the line is out of place")
	}
	return nil
}

func (x *reader) begin() {
	if x.v == nil {
		x.v = NewVerifier(Roots{First: x.header.First, Last: x.header.Last, List: x.roots, Kept: x.kept, Until: x.header.MadeAt})
	}
}

// report says what was found, with what is wrong with the file as a whole at last.
func (x *reader) report() Report {
	x.begin()
	if x.open { // the file ends in the middle of a record
		x.v.End(x.v.chain)
	}
	r := x.v.Done()
	if !x.done {
		r.Breaks = append(r.Breaks, &Break{Bucket: NoBucket, Fault: Cut})
	} else if !x.whole {
		r.Breaks = append(r.Breaks, &Break{Bucket: NoBucket, Fault: Altered})
	}
	return r
}
