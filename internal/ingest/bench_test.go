package ingest_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/ingest"
)

const bookHeader = "borrower_id,name,language,country,tier,zone,mobile,loan_id,contract_no,product,schedule,currency,loan_principal,disbursed_on,auto_debit,no,due_on,principal,interest,fee\n"

// bookRows makes n rows of the duly-book mapping, four instalments to a borrower.
func bookRows(n int) []byte {
	var b bytes.Buffer
	b.WriteString(bookHeader)
	first := civil.On(2026, 3, 1)
	for i := range n {
		p, no := i/4, i%4+1
		fmt.Fprintf(&b, "B%07d,Test %d,zh-CN,CN,A,Asia/Shanghai,+86100%08d,L%07d,HT%07d,instalment,equal_installment,CNY,4000.00,2026-01-05,true,%d,%s,1000.00,12.34,0.00\n",
			p, p, p, p, p, no, first.AddMonths(no))
	}
	return b.Bytes()
}

func put(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Target: 400,000 rows/s parsed and made into facts on one core, so that an import can reach 150,000/s.
func BenchmarkReadCSV(b *testing.B) {
	const rows = 100_000
	path, m := put(b, "book.csv", bookRows(rows)), shipped(b, "duly-book")
	b.ReportAllocs()
	cpu := cpuTime(b)
	for b.Loop() {
		facts := 0
		err := ingest.Read(b.Context(), path, m, ingest.Options{}, func(row ingest.Row) error {
			if len(row.Problems) > 0 {
				b.Fatal(row.Problems)
			}
			facts += len(row.Facts)
			return nil
		})
		if err != nil || facts != rows+3*rows/4 {
			b.Fatalf("got %d facts, %v; want an instalment from each row, the rest once for each borrower", facts, err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(rows*b.N)/(cpuTime(b)-cpu).Seconds(), "rows/CPU-s")
}

// cpuTime returns the processor time used so far, which a busy machine does not lengthen.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkReadJSONL(b *testing.B) {
	const rows = 20_000
	var text strings.Builder
	for i := range rows {
		fmt.Fprintf(&text, `{"kind":"payment","borrower_id":"B%06d","id":"P%d","amount":{"minor":10000,"currency":"CNY"},"value_at":"2026-03-01T12:00:00+08:00"}`+"\n", i/3, i)
	}
	path, m := put(b, "payments.jsonl", []byte(text.String())), shipped(b, "duly-jsonl")
	for b.Loop() {
		n := 0
		err := ingest.Read(b.Context(), path, m, ingest.Options{}, func(row ingest.Row) error { n += len(row.Facts); return nil })
		if err != nil || n != rows {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}

// Memory is flat: what a file of half a million rows leaves live while it is read is no more than a small one does.
func TestMemoryIsFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("half a million rows")
	}
	path, m := put(t, "book.csv.gz", gzipped(t, bookRows(500_000))), shipped(t, "duly-book")
	live := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before, most := live(), uint64(0)
	err := ingest.Read(t.Context(), path, m, ingest.Options{}, func(row ingest.Row) error {
		if row.Row%50_000 == 0 {
			most = max(most, live())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const limit = 8 << 20
	if most > before+limit {
		t.Errorf("got %d bytes live while reading, want at most %d", most-before, limit)
	}
}
