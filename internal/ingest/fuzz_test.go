package ingest_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/mappings"
)

// Whatever a mapping file holds, it loads or is refused with errors of code invalid, and reading with it does not panic.
func FuzzLoadMapping(f *testing.F) {
	entries, err := mappings.FS.ReadDir(".")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		src, err := mappings.FS.ReadFile(e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src, []byte("borrower_id,loan_id,no\nB1,L1,1\n"))
	}
	f.Add([]byte("format: csv\nrows: {kind: borrower, fields: {id: {template: \"{a}-{b}\", map: {x: y}}}}"), []byte("a,b\nx,y\n"))
	f.Add([]byte("format: csv\nrows: [[[[[[[["), []byte(""))
	f.Add([]byte("a: &a [*a]\nformat: &f csv\n<<: *a"), []byte(""))
	f.Add([]byte("format: csv\ncurrency: JPY\nrows:\n- kind: payment\n  fields: {id: {hash_each: [a]}, amount: {add: [a, b]}, value_at: {column: b, format: unix}, loan_id: {row_number: true}}"), []byte("a,b\n1,2\n"))
	f.Fuzz(func(t *testing.T, src, input []byte) {
		m, err := ingest.LoadMapping("fuzz.yaml", src)
		if err != nil {
			if duly.CodeOf(err) != duly.Invalid {
				t.Fatalf("got %v of code %s", err, duly.CodeOf(err))
			}
			return
		}
		if m.Format == ingest.XLSX {
			return
		}
		sane(t, put(t, "in", input), m)
	})
}

// Whatever a file of rows holds, each row is good or is refused with problems, and the file ends in an error of a kind that
// a person can be shown.
func FuzzReadCSV(f *testing.F) {
	f.Add(bookRows(3))
	f.Add([]byte(bookHeader + "B1,\"a\"\"b\nc\",zh-CN,CN,A,Asia/Shanghai,+8610000000001,L1,HT1,x,bullet,CNY,1,2026-01-05,1,1,2026-02-30,1,,\n"))
	f.Add([]byte(bookHeader + "\"\n"))
	f.Add([]byte("\xef\xbb\xbf" + bookHeader + "\xff\xfe"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	m := shipped(f, "duly-book")
	f.Fuzz(func(t *testing.T, input []byte) { sane(t, put(t, "in.csv", input), m) })
}

// FuzzReadJSONL is FuzzReadCSV for facts as JSON lines.
func FuzzReadJSONL(f *testing.F) {
	f.Add([]byte(`{"kind":"installment","loan_id":"L1","no":1,"due_on":"2026-02-05","principal":{"minor":97193,"currency":"CNY"}}`))
	f.Add([]byte(`{"kind":"hold","borrower_id":"B1","id":"H-1","hold_kind":"dispute","from":"2026-02-21T00:00:00+08:00"}` + "\n[]\n{"))
	f.Add([]byte(`{"kind":"payment","id":1e999,"amount":{"minor":1.5},"value_at":"x","x":{}}`))
	f.Add([]byte(`{"kind":"borrower","id":"B","zones":[{"name":"../../etc/passwd"}],"Kind":"loan","flags":[null]}`))
	m := shipped(f, "duly-jsonl")
	f.Fuzz(func(t *testing.T, input []byte) { sane(t, put(t, "in.jsonl", input), m) })
}

// sane holds a reading against what every reading promises.
func sane(t *testing.T, path string, m *ingest.Mapping) {
	t.Helper()
	last := int64(0)
	err := ingest.Read(t.Context(), path, m, ingest.Options{}, func(row ingest.Row) error {
		if row.Row != last+1 || row.Line < 1 {
			t.Fatalf("row %d at line %d follows row %d", row.Row, row.Line, last)
		}
		last = row.Row
		if len(row.Problems) > 0 && len(row.Facts) > 0 {
			t.Fatal("a row has problems and facts")
		}
		for _, p := range row.Problems {
			if p.Reason == "" || p.Class == "" || p.Place.File == "" || p.Place.Line != row.Line && p.Place.Line < 1 {
				t.Fatalf("a problem does not say enough: %+v", p)
			}
		}
		for _, f := range row.Facts {
			saneFact(t, f)
		}
		return nil
	})
	if err != nil {
		if _, ok := errors.AsType[*duly.Error](err); !ok {
			t.Fatalf("got error %v, which nobody may see", err)
		}
	}
}

// saneFact holds a fact against the little that every consumer counts on.
func saneFact(t *testing.T, f duly.Fact) {
	t.Helper()
	if key := f.FactKey(); len(key) > 2*duly.MaxIDLen || !utf8.ValidString(key) || strings.ContainsRune(key, 0) || len(f.Owner()) > duly.MaxIDLen {
		t.Fatalf("%s with key %q", f.FactKind(), key)
	}
	switch f := f.(type) {
	case *duly.Installment:
		if f.DueOn.IsZero() || f.Principal.Minor < 0 || f.Interest.Minor < 0 || f.Fee.Minor < 0 || f.No < 1 || f.Due().Total() < 0 {
			t.Fatalf("%+v", f)
		}
	case *duly.Payment:
		if !f.Amount.IsPositive() || !f.Amount.Currency.Known() || f.ValueAt.IsZero() || f.ArrivedAt.IsZero() {
			t.Fatalf("%+v", f)
		}
	}
}
