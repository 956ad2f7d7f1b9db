package ingest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// lines cuts text into lines, none of which may be longer than lineMax.
type lines struct {
	in   *bufio.Reader
	held []byte // a line that the buffer of in does not hold whole
	no   int    // of the line returned last
}

func newLines(src io.Reader) *lines { return &lines{in: bufio.NewReaderSize(src, bufferSize)} }

// next returns the next line without its end. The bytes are good until the next call. Of a line that is too long it
// returns the beginning, and long.
func (l *lines) next() (line []byte, long bool, err error) {
	l.no++
	line, err = l.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		line, long, err = l.rest(line)
	}
	if err == io.EOF && len(line) > 0 {
		err = nil // the last line need not have an end
	}
	if err != nil {
		return nil, long, err
	}
	line = bytes.TrimSuffix(line, []byte{'\n'})
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if l.no == 1 {
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	return line, long, nil
}

// rest reads a long line to its end, and keeps what is allowed of it.
func (l *lines) rest(head []byte) (line []byte, long bool, err error) {
	l.held = append(l.held[:0], head...)
	err = bufio.ErrBufferFull
	for err == bufio.ErrBufferFull {
		var part []byte
		part, err = l.in.ReadSlice('\n')
		if len(l.held)+len(part) > lineMax {
			long = true
			continue
		}
		l.held = append(l.held, part...)
	}
	return l.held, long, err
}

// splitter cuts one row of CSV into cells.
type splitter struct {
	delimiter byte
	cells     []string
}

// Why a row could not be cut.
const (
	splitQuote   = "a quote inside a value that does not begin with one"
	splitAfter   = "text after the closing quote of a value"
	splitColumns = "more columns than a table has"
)

// split returns the cells of a row. All of them share the one string of the row, but for those with doubled quotes.
func (s *splitter) split(row []byte) (cells []string, why string) {
	text := string(row)
	s.cells = s.cells[:0]
	if strings.IndexByte(text, '"') >= 0 {
		return s.quoted(text)
	}
	for {
		if len(s.cells) == columnsMax {
			return s.cells, splitColumns
		}
		i := strings.IndexByte(text, s.delimiter)
		if i < 0 {
			s.cells = append(s.cells, text)
			return s.cells, ""
		}
		s.cells = append(s.cells, text[:i])
		text = text[i+1:]
	}
}

func (s *splitter) quoted(text string) (cells []string, why string) {
	for {
		if len(s.cells) == columnsMax {
			return s.cells, splitColumns
		}
		if !strings.HasPrefix(text, `"`) {
			i := strings.IndexByte(text, s.delimiter)
			cell := text
			if i >= 0 {
				cell = text[:i]
			}
			s.cells = append(s.cells, cell)
			if strings.IndexByte(cell, '"') >= 0 {
				return s.cells, splitQuote
			}
			if i < 0 {
				return s.cells, ""
			}
			text = text[i+1:]
			continue
		}
		cell, rest := unquote(text[1:])
		s.cells = append(s.cells, cell)
		switch {
		case rest == "":
			return s.cells, ""
		case rest[0] != s.delimiter:
			return s.cells, splitAfter
		}
		text = rest[1:]
	}
}

// unquote returns the value up to its closing quote, and what stands behind that.
func unquote(text string) (cell, rest string) {
	end := 0
	for {
		i := strings.IndexByte(text[end:], '"')
		if i < 0 {
			return strings.ReplaceAll(text, `""`, `"`), "" // not closed: open has seen to it
		}
		end += i + 1
		if end >= len(text) || text[end] != '"' {
			break
		}
		end++
	}
	cell = text[:end-1]
	if strings.IndexByte(cell, '"') >= 0 {
		cell = strings.ReplaceAll(cell, `""`, `"`)
	}
	return cell, text[end:]
}

// open reports whether a part of a row ends inside a quoted value, given whether it begins in one.
func (s *splitter) open(part []byte, inside bool) bool {
	if bytes.IndexByte(part, '"') < 0 {
		return inside
	}
	mayOpen := !inside // at the start of a value, and right after a quote that closed one: two quotes are one within
	for _, b := range part {
		switch {
		case b == '"' && inside:
			inside, mayOpen = false, true
		case b == '"' && mayOpen:
			inside, mayOpen = true, false
		case b == s.delimiter && !inside:
			mayOpen = true
		default:
			mayOpen = false
		}
	}
	return inside
}

// readCSV reads a text file of rows.
func (r *reading) readCSV(src io.Reader) error {
	in, s := newLines(r.decode(src)), &splitter{delimiter: r.m.delimiter}
	t := r.newTable(r.m.sheets[0], r.file)
	if err := r.csvHeader(in, s, t); err != nil {
		return err
	}
	var buf []byte
	for {
		line, long, err := in.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return r.broken(err, in.no)
		}
		begin := in.no
		if len(line) == 0 {
			continue
		}
		if long {
			if err := t.refuse(begin, 0, fmt.Sprintf("line(>%d)", lineMax), fmt.Sprintf("a line of more than %d bytes", lineMax), longHint); err != nil {
				return err
			}
			continue
		}
		if err := r.checkText(line, in.no); err != nil {
			return err
		}
		if s.open(line, false) {
			if line, err = r.continued(in, s, append(buf[:0], line...), begin); err != nil {
				return err
			}
			buf = line
		}
		if err := r.csvRow(t, s, line, begin); err != nil {
			return err
		}
	}
}

const longHint = "check the delimiter and that lines end in \\n or \\r\\n"

// csvHeader binds the mapping's columns to those of the file.
func (r *reading) csvHeader(in *lines, s *splitter, t *table) error {
	if !r.m.header {
		return t.bind(append([]string(nil), t.s.names...), 0)
	}
	for {
		line, long, err := in.next()
		if err == io.EOF {
			return r.fatal(0, 0, "the file is empty: it has no header").WithHint("check that the export ran to its end")
		}
		if err != nil {
			return r.broken(err, in.no)
		}
		if long {
			return r.fatal(in.no, 0, "the header has more than %d bytes", lineMax).WithHint(longHint)
		}
		if err := r.checkText(line, in.no); err != nil {
			return err
		}
		if in.no < r.m.headerLine {
			continue
		}
		begin := in.no
		if s.open(line, false) {
			if line, err = r.continued(in, s, bytes.Clone(line), begin); err != nil {
				return err
			}
		}
		cells, why := s.split(line)
		if why == splitColumns {
			return r.fatal(begin, 0, "the header has more than %d columns", columnsMax).WithHint(longHint)
		}
		if why != "" {
			return r.fatal(begin, len(cells), "%s", why).WithHint("check the delimiter and the quotes")
		}
		return t.bind(cells, begin)
	}
}

// continued adds lines to a row until the quoted value that it ends in is closed.
func (r *reading) continued(in *lines, s *splitter, row []byte, begin int) ([]byte, error) {
	for inside := true; inside; {
		line, long, err := in.next()
		if err == io.EOF {
			return nil, r.fatal(begin, 0, "a quote is opened in this row and never closed").WithHint("double the quotes inside values")
		}
		if err != nil {
			return nil, r.broken(err, in.no)
		}
		if long || len(row)+len(line) >= lineMax {
			return nil, r.fatal(begin, 0, "a quote is opened in this row and not closed within %d bytes", lineMax).WithHint("double the quotes inside values")
		}
		if err := r.checkText(line, in.no); err != nil {
			return nil, err
		}
		row = append(append(row, '\n'), line...)
		inside = s.open(line, true)
	}
	return row, nil
}

func (r *reading) csvRow(t *table, s *splitter, line []byte, no int) error {
	cells, why := s.split(line)
	switch why {
	case "":
		return t.row(cells, no)
	case splitColumns:
		n := bytes.Count(line, []byte{s.delimiter}) + 1
		return t.refuse(no, 0, fmt.Sprintf("columns(%d)", n), fmt.Sprintf("more than %d columns", columnsMax), longHint)
	}
	return t.refuse(no, len(cells), classOf(cells[len(cells)-1]), why, "put the value in quotes and double the quotes in it")
}
