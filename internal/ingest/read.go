package ingest

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"

	duly "github.com/dulyhq/duly"
)

// Limits of what is read. A file that goes beyond one of them is wrong, or not what it is said to be.
const (
	lineMax    = 1 << 20   // bytes of one row, quoted line breaks included
	columnsMax = 1000      // columns of one row
	rowsEach   = 1024      // rows between two looks at the context and two reports of progress
	bufferSize = 256 << 10 // bytes read at a time
)

// Options say how a file is read, beside its mapping.
type Options struct {
	Encoding string                            // of text files; "" is the mapping's, else UTF-8
	Sheet    string                            // read this sheet of a workbook only; "" reads those of the mapping
	SkipRows int64                             // rows at the beginning that are read but not yielded: they were applied before
	Progress func(bytesRead, bytesTotal int64) // told now and then, and at the end
}

// Row is what one row of data says. Facts is valid until yield returns; the facts in it may be kept. A row with
// problems has no facts. A borrower, contact point or loan that says exactly what the row before said is left out.
type Row struct {
	File     string
	Line     int   // where the row begins: the line of the file, or the row of the sheet
	Row      int64 // number of the data row, from 1, counted on across sheets
	Facts    []duly.Fact
	Problems []Problem
}

// Problem is one thing that is wrong with a row.
type Problem struct {
	Place  duly.Place // file, line, column of the table, and the noun's field
	Class  string     // what sort of value was found, such as "digits(18)", "text(7)" or "empty"; never the value
	Reason string
	Hint   string
}

// Read streams a file, gzipped or not, through a mapping and yields its rows in order. It stops at the first error of
// yield or of the file itself; rows that are wrong are yielded with their problems and stop nothing. Its errors are of
// type [*duly.Error], but for those of yield and ctx.
func Read(ctx context.Context, path string, m *Mapping, opt Options, yield func(Row) error) error {
	if m == nil {
		return duly.Errorf(duly.Usage, "no mapping").WithHint("say which columns mean what: --mapping")
	}
	encoding, err := knownEncoding(opt.Encoding, m.encoding)
	if err != nil {
		return err
	}
	if opt.Sheet != "" && m.Format != XLSX {
		return duly.Errorf(duly.Usage, "only workbooks have sheets").WithHint("leave out --sheet, or use a mapping of format xlsx")
	}
	f, err := os.Open(path)
	if err != nil {
		return openError(path, err)
	}
	defer f.Close()
	r := &reading{ctx: ctx, m: m, opt: opt, path: path, file: filepath.Base(path), encoding: encoding, yield: yield}
	if info, err := f.Stat(); err == nil {
		r.total = info.Size()
	}
	if err := r.read(f); err != nil {
		return err
	}
	r.progress()
	return nil
}

// Hash returns the SHA-256 of a file's bytes as they lie on disk, in hexadecimal, and how many there are.
func Hash(path string) (string, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, openError(path, err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return "", 0, openError(path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}

func openError(path string, err error) error {
	code, msg := duly.Invalid, "the file cannot be read"
	if errors.Is(err, os.ErrNotExist) {
		code, msg = duly.NotFound, "there is no such file"
	}
	return duly.Errorf(code, "%s", msg).WithHint("check the path and that it is a file you may read").At(duly.Place{File: path})
}

// reading is one pass over a file.
type reading struct {
	ctx       context.Context
	m         *Mapping
	opt       Options
	path      string
	file      string // the name that places carry
	encoding  string
	yield     func(Row) error
	rows      int64 // data rows so far
	bytes     int64 // of the file as it lies on disk
	total     int64
	gzipped   bool
	workbook  bool
	facts     []duly.Fact
	undecoded bool // the text is as it lies in the file: not UTF-8 is an error of its own
}

// countingReader adds up what is read.
type countingReader struct {
	r io.Reader
	n *int64
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

func (r *reading) read(f io.Reader) error {
	in := bufio.NewReaderSize(countingReader{f, &r.bytes}, bufferSize)
	var src io.Reader = in
	if head, _ := in.Peek(2); len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b {
		r.gzipped = true
		z, err := gzip.NewReader(in)
		if err != nil {
			return r.broken(err, 0)
		}
		src = z
	}
	switch r.m.Format {
	case CSV:
		return r.readCSV(src)
	case JSONL:
		return r.readJSONL(src)
	case XLSX:
		return r.readXLSX(src)
	}
	return duly.Errorf(duly.Internal, "unknown format %q", string(r.m.Format))
}

// broken turns an error of the bytes beneath the rows into one that a person can act on.
func (r *reading) broken(err error, line int) error {
	place := duly.Place{File: r.file, Line: line}
	switch {
	case r.gzipped && errors.Is(err, io.ErrUnexpectedEOF):
		return duly.Errorf(duly.Invalid, "the gzip file is cut off: %d rows could be read, nothing after them was applied", r.rows).
			WithHint("fetch the file again and import it again").At(place)
	case r.gzipped && (errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || isCorrupt(err)):
		return duly.Errorf(duly.Invalid, "the gzip file is damaged: %d rows could be read, nothing after them was applied", r.rows).
			WithHint("fetch the file again and import it again").At(place)
	}
	if _, ok := errors.AsType[*duly.Error](err); ok {
		return err
	}
	return duly.Errorf(duly.Invalid, "the file cannot be read on after %d rows", r.rows).
		WithHint("check the disk and that nothing else writes the file").At(place)
}

// begin counts a data row and looks up now and then whether to go on.
func (r *reading) begin() error {
	r.rows++
	if r.rows%rowsEach != 0 {
		return nil
	}
	r.progress()
	return r.ctx.Err()
}

func (r *reading) progress() {
	if r.opt.Progress != nil {
		r.opt.Progress(min(r.bytes, r.total), r.total)
	}
}

// hand yields a row, unless it was applied by an earlier run.
func (r *reading) hand(row Row) error {
	if row.Row <= r.opt.SkipRows {
		return nil
	}
	if len(row.Problems) > 0 {
		row.Facts = nil
	}
	return r.yield(row)
}

// fatal makes an error that ends the reading.
func (r *reading) fatal(line, column int, format string, args ...any) *duly.Error {
	return duly.Errorf(duly.Invalid, format, args...).At(duly.Place{File: r.file, Line: line, Column: column})
}
