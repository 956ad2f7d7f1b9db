package ingest_test

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/ingest"
)

// workbook makes a workbook with the cells of each sheet.
func workbook(t *testing.T, from1904 bool, sheets map[string][][]any) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	for name, rows := range sheets {
		if _, err := f.NewSheet(name); err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			cell, err := excelize.CoordinatesToCellName(1, i+1)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.SetSheetRow(name, cell, &row); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.DeleteSheet("Sheet1"); err != nil {
		t.Fatal(err)
	}
	if err := f.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &from1904}); err != nil {
		t.Fatal(err)
	}
	b, err := f.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const loanSheet = `
format: xlsx
currency: CNY
sheet: Loans
rows:
  - kind: installment
    fields:
      loan_id: Loan
      no: No
      due_on: {column: Due, format: [excel, YYYY-MM-DD]}
      principal: Amount
      fee: {column: Fee, optional: true}
`

// A workbook's numbers are what they look like in it: whole ids, days, and amounts that binary fractions only come near to.
func TestWorkbook(t *testing.T) {
	t.Parallel()
	rows := [][]any{
		{"Loan", "No", "Due", "Amount", "Fee"},
		{"L1", 1, 46082, 43.2, 0.1 + 0.2},
		{},
		{10023, 2, "2026-03-31", 1e6, nil},
		{"1.23456789012346E+17", 3, 46082, 1, nil},
		{"L4", 1, 0, 1, nil},
		{"L5", 1, 46082.75, 1.005, nil},
		{"L6", 1.5, 46082, "1,5", nil, "more"},
	}
	for _, gz := range []bool{false, true} {
		content := workbook(t, false, map[string][][]any{"Other": {{"a"}}, "Loans": rows})
		if gz {
			content = gzipped(t, content)
		}
		facts, problems, err := read(t, put(t, "book.xlsx", content), mapping(t, loanSheet), ingest.Options{})
		if err != nil || len(facts) != 2 {
			t.Fatalf("got %d facts, %v, %v; want 2", len(facts), problems, err)
		}
		one, two := facts[0].(*duly.Installment), facts[1].(*duly.Installment)
		if one.Principal.Minor != 4320 || one.Fee.Minor != 30 || one.DueOn != civil.On(2026, 3, 1) || one.No != 1 {
			t.Errorf("got %+v", one)
		}
		if two.LoanID != "10023" || two.Principal.Minor != 1_000_000_00 || two.DueOn != civil.On(2026, 3, 31) {
			t.Errorf("got %+v", two)
		}
		want := []string{
			"book.xlsx[Loans]:5:1: installment.loan_id a long number that the workbook has rounded",
			"book.xlsx[Loans]:6:3: installment.due_on a year outside 1990 to 2199",
			"book.xlsx[Loans]:7:4: installment.principal more than 2 decimals for CNY",
			"book.xlsx[Loans]:8:6 the row has 6 columns, the header 5",
		}
		if len(problems) != len(want) {
			t.Fatalf("got problems %v", problems)
		}
		for i, p := range problems {
			if got := p.Place.String() + " " + p.Reason; got != want[i] {
				t.Errorf("got %q, want %q", got, want[i])
			}
		}
	}
}

func TestWorkbookFrom1904(t *testing.T) {
	t.Parallel()
	rows := [][]any{{"Loan", "No", "Due", "Amount"}, {"L1", 1, 46082 - 1462, 1}}
	facts, _, err := read(t, put(t, "b.xlsx", workbook(t, true, map[string][][]any{"Loans": rows})), mapping(t, loanSheet), ingest.Options{})
	if err != nil || len(facts) != 1 || facts[0].(*duly.Installment).DueOn != civil.On(2026, 3, 1) {
		t.Errorf("got %v, %v; want 2026-03-01", facts, err)
	}
}

// A workbook that is not whole is refused before any row: rows would be missing without a word.
func TestBrokenWorkbook(t *testing.T) {
	t.Parallel()
	rows := [][]any{{"Loan", "No", "Due", "Amount"}}
	for range 3000 {
		rows = append(rows, []any{"L1", 1, 46082, 1})
	}
	whole := workbook(t, false, map[string][][]any{"Loans": rows})
	m := mapping(t, loanSheet)
	cases := map[string][]byte{
		"cut off": whole[:len(whole)/2], "no workbook": []byte("a,b\n1,2\n"), "empty": nil,
		"a part cut off": rezip(t, whole, func(name string, b []byte) []byte {
			if strings.HasPrefix(name, "xl/worksheets/") {
				return b[:len(b)/2]
			}
			return b
		}),
	}
	flipped := bytes.Clone(whole)
	at := bytes.Index(flipped, []byte("xl/worksheets/sheet")) + 200
	flipped[at] ^= 0xff
	cases["damaged"] = flipped
	for name, content := range cases {
		facts, _, err := read(t, put(t, "b.xlsx", content), m, ingest.Options{})
		if len(facts) > 0 {
			t.Errorf("%s: got %d facts", name, len(facts))
		}
		if duly.CodeOf(err) != duly.Invalid {
			t.Errorf("%s: got %v, want an error", name, err)
		}
	}
	_, _, err := read(t, put(t, "b.xlsx", whole), m, ingest.Options{Sheet: "Payments"})
	wantError(t, err, duly.Invalid, `no sheet "Payments"`, "it has Loans")
	packed := gzipped(t, whole)
	_, _, err = read(t, put(t, "b.xlsx.gz", packed[:len(packed)/2]), m, ingest.Options{})
	wantError(t, err, duly.Invalid, "cut off")
	_, _, err = read(t, put(t, "b.xlsx", workbook(t, false, map[string][][]any{"Loans": {}})), m, ingest.Options{})
	wantError(t, err, duly.Invalid, "the sheet is empty")
}

// rezip writes a workbook anew with its parts changed, so that each is whole as an entry of the archive.
func rezip(t *testing.T, src []byte, change func(string, []byte) []byte) []byte {
	t.Helper()
	in, err := zip.NewReader(bytes.NewReader(src), int64(len(src)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range in.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		to, err := w.Create(f.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(change(f.Name, b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
