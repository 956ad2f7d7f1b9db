package ingest

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"

	duly "github.com/dulyhq/duly"
)

// Limits of a workbook.
const (
	workbookMax = 4 << 30   // bytes, unpacked
	spoolMin    = 256 << 10 // bytes from which a part is laid on disk instead of held
)

// readXLSX reads a workbook, sheet by sheet.
func (r *reading) readXLSX(src io.Reader) error {
	r.workbook = true
	path := r.path
	if r.gzipped {
		spooled, err := r.spool(src)
		if err != nil {
			return err
		}
		defer os.Remove(spooled)
		path = spooled
	}
	if err := r.whole(path); err != nil {
		return err
	}
	f, err := excelize.OpenFile(path, excelize.Options{RawCellValue: true, UnzipSizeLimit: workbookMax, UnzipXMLSizeLimit: spoolMin})
	if err != nil {
		return r.fatal(0, 0, "the workbook cannot be read").WithHint("save it anew as .xlsx, without a password")
	}
	defer f.Close()
	sheets, err := r.chosen(f)
	if err != nil {
		return err
	}
	epoch := excelEpoch(false)
	if props, err := f.GetWorkbookProps(); err == nil && props.Date1904 != nil {
		epoch = excelEpoch(*props.Date1904)
	}
	for _, s := range sheets {
		t := r.newTable(s.sheet, r.file+"["+s.name+"]")
		t.day0 = epoch
		if err := r.readSheet(f, s.name, t); err != nil {
			return err
		}
	}
	r.bytes = r.total
	return nil
}

// spool unpacks a gzipped workbook to a file, because a workbook is read from its end.
func (r *reading) spool(src io.Reader) (path string, err error) {
	f, err := os.CreateTemp("", "duly-import-")
	if err != nil {
		return "", duly.Errorf(duly.Unavailable, "no room to unpack the workbook").WithHint("make room where temporary files go, or set TMPDIR")
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	n, err := io.Copy(f, io.LimitReader(src, workbookMax))
	switch {
	case err != nil:
		return "", r.broken(err, 0)
	case n == workbookMax:
		return "", r.fatal(0, 0, "the workbook is larger than %d bytes", int64(workbookMax)).WithHint("export it as CSV")
	}
	return f.Name(), nil
}

// whole reads every part of the workbook once: the library beneath takes a part that is damaged or cut off for one that
// ends there, and rows would be missing without a word.
func (r *reading) whole(path string) error {
	bad := r.fatal(0, 0, "this is not a whole workbook").WithHint("fetch it again; it must be .xlsx, without a password")
	z, err := zip.OpenReader(path)
	if err != nil {
		return bad
	}
	defer z.Close()
	unpacked := int64(0)
	for _, part := range z.File {
		in, err := part.Open()
		if err != nil {
			return bad
		}
		tail := &tailWriter{}
		n, err := io.Copy(tail, io.LimitReader(in, workbookMax-unpacked))
		in.Close()
		unpacked += n
		switch {
		case unpacked >= workbookMax:
			return r.fatal(0, 0, "the workbook is larger than %d bytes unpacked", int64(workbookMax)).WithHint("export it as CSV")
		case err != nil, strings.HasPrefix(strings.ToLower(part.Name), "xl/worksheets/sheet") && !bytes.HasSuffix(bytes.TrimSpace(tail.end), []byte("worksheet>")):
			return bad
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// tailWriter keeps the end of what is written.
type tailWriter struct{ end []byte }

const tailSize = 64

func (w *tailWriter) Write(p []byte) (int, error) {
	w.end = append(w.end, p[max(0, len(p)-tailSize):]...)
	w.end = append(w.end[:0], w.end[max(0, len(w.end)-tailSize):]...)
	return len(p), nil
}

// chosenSheet is a sheet of the workbook with its mapping.
type chosenSheet struct {
	name  string
	sheet *sheet
}

// chosen returns the sheets to read: those that the mapping names, or the one that is asked for.
func (r *reading) chosen(f *excelize.File) ([]chosenSheet, error) {
	have := f.GetSheetList()
	if len(have) == 0 {
		return nil, r.fatal(0, 0, "the workbook has no sheets")
	}
	var out []chosenSheet
	for _, s := range r.m.sheets {
		name := s.name
		switch {
		case r.opt.Sheet != "" && len(r.m.sheets) == 1:
			name = r.opt.Sheet
		case r.opt.Sheet != "" && name != r.opt.Sheet:
			continue
		case name == "":
			name = have[0]
		}
		if !slices.Contains(have, name) {
			return nil, r.fatal(0, 0, "the workbook has no sheet %q", name).WithHint("it has %s", strings.Join(have, ", "))
		}
		out = append(out, chosenSheet{name, s})
	}
	if len(out) == 0 {
		return nil, duly.Errorf(duly.Usage, "the mapping has no sheet %q", r.opt.Sheet).WithHint("it has %s", strings.Join(r.m.sheetNames(), ", "))
	}
	return out, nil
}

func (m *Mapping) sheetNames() []string {
	var out []string
	for _, s := range m.sheets {
		out = append(out, s.name)
	}
	return out
}

func (r *reading) readSheet(f *excelize.File, name string, t *table) error {
	damaged := duly.Errorf(duly.Invalid, "the sheet cannot be read on after %d rows", r.rows).WithHint("save the workbook anew as .xlsx").At(duly.Place{File: t.file})
	rows, err := f.Rows(name)
	if err != nil {
		return damaged
	}
	defer rows.Close()
	if !r.m.header {
		if err := t.bind(slices.Clone(t.s.names), 0); err != nil {
			return err
		}
	}
	bound := !r.m.header
	for line := 1; rows.Next(); line++ {
		cells, err := rows.Columns()
		if err != nil {
			return damaged
		}
		for len(cells) > 0 && cells[len(cells)-1] == "" {
			cells = cells[:len(cells)-1]
		}
		switch {
		case !bound && line >= r.m.headerLine && len(cells) > 0:
			err, bound = t.bind(cells, line), true
		case bound && len(cells) > 0:
			err = t.sheetRow(cells, line)
		}
		if err != nil {
			return err
		}
	}
	if rows.Error() != nil {
		return damaged
	}
	if !bound {
		return duly.Errorf(duly.Invalid, "the sheet is empty: it has no header").At(duly.Place{File: t.file})
	}
	return nil
}

// sheetRow reads a row of a sheet, in which empty cells at the end are not held.
func (t *table) sheetRow(cells []string, line int) error {
	if len(cells) > columnsMax {
		return t.refuse(line, 0, "columns", "more than a thousand columns", "clear the cells to the right of the table")
	}
	for len(cells) < t.width {
		cells = append(cells, "")
	}
	return t.row(cells, line)
}
