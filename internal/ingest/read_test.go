package ingest_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/internal/money"
)

func mapping(t testing.TB, src string) *ingest.Mapping {
	t.Helper()
	m, err := ingest.LoadMapping("test.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// read returns the facts and problems of a file.
func read(t testing.TB, path string, m *ingest.Mapping, opt ingest.Options) (facts []duly.Fact, problems []ingest.Problem, err error) {
	t.Helper()
	err = ingest.Read(t.Context(), path, m, opt, func(row ingest.Row) error {
		facts = append(facts, row.Facts...)
		problems = append(problems, row.Problems...)
		return nil
	})
	return facts, problems, err
}

// wantError checks code and parts of the text of an error.
func wantError(t *testing.T, err error, code duly.Code, parts ...string) {
	t.Helper()
	e, ok := errors.AsType[*duly.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("got error %v, want one of code %s", err, code)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("got error %q, want %q in it", err, p)
		}
	}
}

const borrowers = "borrower_id,name,country,zone,zone_source\nB1,王芳,CN,Asia/Shanghai,stated\nB2,李娜,CN,Asia/Shanghai,stated\n"

func encoded(t *testing.T, e encoding.Encoding, s string) []byte {
	t.Helper()
	b, err := e.NewEncoder().Bytes([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Text that is not UTF-8 is named for what it looks like, with its place and the flag that reads it; with the flag it is
// read.
func TestEncodings(t *testing.T) {
	t.Parallel()
	chineseHeader := strings.Replace(borrowers, "name", "姓名", 1)
	withHeader := `{format: csv, rows: [{kind: borrower, fields: {id: borrower_id, name: 姓名}}]}`
	tests := []struct {
		name, mapping string
		content       []byte
		wrong         []string // of the error without a flag; nil if there is none
		flag          string
	}{
		{"utf-8", "", []byte(borrowers), nil, ""},
		{"utf-8 with a mark", "", []byte("\uFEFF" + borrowers), nil, ""},
		{"gbk", "", encoded(t, simplifiedchinese.GBK, borrowers), []string{":2:2:", "looks like GBK", "--encoding gb18030"}, "gb18030"},
		{"gbk in the header", withHeader, encoded(t, simplifiedchinese.GBK, chineseHeader), []string{":1:2:", "looks like GBK"}, "gbk"},
		{"utf-16 little end first", "", encoded(t, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), borrowers), []string{"looks like utf-16le", "--encoding utf-16le"}, "utf-16le"},
		{"utf-16 without a mark", "", encoded(t, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), borrowers), []string{"looks like utf-16be"}, "UTF-16BE"},
		{"windows", "", []byte("borrower_id,name,country,zone,zone_source\nB1,Andr\xe9,FR,Europe/Paris,stated\nB2,B,FR,Europe/Paris,stated\n"), []string{":2:2:", "not UTF-8", "windows-1252"}, "windows-1252"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := shipped(t, "duly-borrowers")
			if tt.mapping != "" {
				m = mapping(t, tt.mapping)
			}
			path := put(t, "b.csv", tt.content)
			facts, _, err := read(t, path, m, ingest.Options{})
			if tt.wrong != nil {
				wantError(t, err, duly.Invalid, tt.wrong...)
				if len(facts) > 0 {
					t.Errorf("got %d facts before the error", len(facts))
				}
			}
			facts, problems, err := read(t, path, m, ingest.Options{Encoding: tt.flag})
			if err != nil || len(problems) > 0 || len(facts) != 2 {
				t.Fatalf("with %q: got %d facts, %v, %v; want 2", tt.flag, len(facts), problems, err)
			}
			if got := facts[0].(*duly.Borrower).Name; strings.ContainsRune(got, '\uFFFD') || len(got) < 5 {
				t.Errorf("got a name of %d bytes", len(got))
			}
		})
	}
	_, _, err := read(t, put(t, "b.csv", []byte(borrowers)), shipped(t, "duly-borrowers"), ingest.Options{Encoding: "latin-9"})
	wantError(t, err, duly.Usage, "unknown encoding", "gb18030")
	_, _, err = read(t, put(t, "b.csv", encoded(t, simplifiedchinese.GBK, borrowers)), shipped(t, "duly-borrowers"), ingest.Options{Encoding: "utf-16le"})
	wantError(t, err, duly.Invalid)
}

// A gzip file that is cut off or damaged says how many rows were read; what it is of is not read as if it ended there.
func TestBrokenGzip(t *testing.T) {
	t.Parallel()
	whole := gzipped(t, bookRows(20_000))
	m := shipped(t, "duly-book")
	for _, at := range []int{5, 20, len(whole) / 2, len(whole) - 1} {
		rows := 0
		err := ingest.Read(t.Context(), put(t, "book.csv.gz", whole[:at]), m, ingest.Options{}, func(ingest.Row) error { rows++; return nil })
		wantError(t, err, duly.Invalid, "cut off", fmt.Sprintf("%d rows could be read", rows), "fetch the file again")
		if rows == 20_000 && at < len(whole)/2+1 {
			t.Errorf("cut at %d: got every row", at)
		}
	}
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-6] ^= 0xff // of the checksum
	_, _, err := read(t, put(t, "book.csv.gz", damaged), m, ingest.Options{})
	wantError(t, err, duly.Invalid, "damaged")
	damaged = bytes.Clone(whole)
	for i := len(damaged) / 2; i < len(damaged)/2+50; i++ {
		damaged[i] = 0xff
	}
	if _, _, err = read(t, put(t, "book.csv.gz", damaged), m, ingest.Options{}); err == nil {
		t.Error("damaged in the middle: got no error")
	}
}

// A line with a million columns or of a million bytes is refused by itself in the data, and ends the reading in the header.
func TestHugeLines(t *testing.T) {
	t.Parallel()
	m := shipped(t, "duly-borrowers")
	header, row := "borrower_id,country,zone,zone_source\n", "B1,CN,Asia/Shanghai,stated\n"
	tests := []struct {
		name, text string
		rows       int
		problem    string
		wrong      string
	}{
		{"columns", header + row + strings.Repeat("1,", 300_000) + "\n" + row, 2, "more than 1000 columns", ""},
		{"a million columns", header + strings.Repeat("1,", 1_000_000) + "\n" + row, 1, "a line of more than 1048576 bytes", ""},
		{"one value", header + strings.Repeat("x", 3<<20) + "\n" + row, 1, "a line of more than 1048576 bytes", ""},
		{"Chinese cut in the middle", header + "x" + strings.Repeat("芳", 1<<20) + "\n" + row, 1, "a line of more than 1048576 bytes", ""},
		{"header", strings.Repeat("a,", 1_000_000) + "\n" + row, 0, "", "the header has more than 1048576 bytes"},
		{"header columns", strings.Repeat("a,", 2_000) + "\n" + row, 0, "", "the header has more than 1000 columns"},
		{"open quote", header + row + "\"" + strings.Repeat("x\n", 1<<20), 1, "", "not closed within 1048576 bytes"},
		{"open quote at the end", header + row + "\"B2,CN\nB3\n", 1, "", "b.csv:3: a quote is opened in this row and never closed"},
		{"old Mac", strings.ReplaceAll(header+strings.Repeat(row, 100_000), "\n", "\r"), 0, "", "the header has more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			facts, problems, err := read(t, put(t, "b.csv", []byte(tt.text)), m, ingest.Options{})
			if tt.wrong != "" {
				wantError(t, err, duly.Invalid, tt.wrong)
			} else if err != nil {
				t.Fatal(err)
			}
			if len(facts) != tt.rows {
				t.Errorf("got %d facts, want %d", len(facts), tt.rows)
			}
			if tt.problem != "" && (len(problems) != 1 || !strings.Contains(problems[0].Reason, tt.problem)) {
				t.Errorf("got problems %v, want %q", problems, tt.problem)
			}
		})
	}
}

// What is wrong with a whole file is said before any row.
func TestWrongFiles(t *testing.T) {
	t.Parallel()
	m := shipped(t, "duly-payments")
	tests := []struct{ name, text, want string }{
		{"empty", "", "the file is empty"},
		{"another header", "a,b,c\n1,2,3\n", `b.csv:1: the header has no column "payment_id", "currency", "amount", "value_at"`},
		{"no header", "B1,P1,L1,CNY,100.00,2026-03-01 12:00\n", "the header has no column"},
		{"column twice", "payment_id,currency,amount,amount,value_at\n", `b.csv:1:3: the header names column "amount" twice`},
		{"zeros", "payment_id,currency,amount,value_at\nP1,CNY,1\x00,2026-03-01\n", "b.csv:2"},
	}
	for _, tt := range tests {
		facts, _, err := read(t, put(t, "b.csv", []byte(tt.text)), m, ingest.Options{})
		wantError(t, err, duly.Invalid, tt.want)
		if len(facts) > 0 {
			t.Errorf("%s: got facts", tt.name)
		}
	}
	_, _, err := read(t, "/no/such/file.csv", m, ingest.Options{})
	wantError(t, err, duly.NotFound, "no such file")
	_, _, err = read(t, put(t, "b.csv", nil), m, ingest.Options{Sheet: "x"})
	wantError(t, err, duly.Usage, "sheets")
	_, _, err = ingest.Hash("/no/such/file.csv")
	if duly.CodeOf(err) != duly.NotFound {
		t.Errorf("Hash of no file: got %v", err)
	}
	sum, size, err := ingest.Hash(put(t, "b.csv", []byte("abc")))
	if err != nil || size != 3 || sum != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("Hash: got %s, %d, %v", sum, size, err)
	}
}

// The header may be in other capitals, further down, or absent; the columns may be in any order.
func TestHeaders(t *testing.T) {
	t.Parallel()
	fields := `rows: [{kind: borrower, fields: {id: "Cust No", name: Name}}]`
	tests := []struct{ name, mapping, text string }{
		{"order and capitals", "{format: csv, " + fields + "}", "extra,NAME, cust no \nx,Li,B1\n"},
		{"further down", "{format: csv, header_line: 3, " + fields + "}", "Report of March\n\nCust No,Name\nB1,Li\n"},
		{"none", "{format: csv, header: false, columns: [Cust No, Name], " + fields + "}", "B1,Li\n"},
		{"tabs and CRLF", "{format: csv, delimiter: tab, " + fields + "}", "Cust No\tName\r\nB1\tLi\r\n"},
		{"no end of line", "{format: csv, " + fields + "}", "Cust No,Name\nB1,Li"},
		{"quotes", "{format: csv, " + fields + "}", "\"Cust No\",\"Name\"\n\"B1\",\"Li\"\n"},
	}
	want := []duly.Fact{&duly.Borrower{ID: "B1", Name: "Li"}}
	for _, tt := range tests {
		facts, problems, err := read(t, put(t, "b.csv", []byte(tt.text)), mapping(t, tt.mapping), ingest.Options{})
		if diff := cmp.Diff(want, facts, dates); diff != "" || err != nil || len(problems) > 0 {
			t.Errorf("%s: %v %v (-want +got):\n%s", tt.name, err, problems, diff)
		}
	}
}

// dates lets days be compared.
var dates = cmp.Comparer(func(a, b civil.Date) bool { return a == b })

// One row of the book makes all four facts, and the next row of the same loan only what is new.
func TestBookRow(t *testing.T) {
	t.Parallel()
	facts, problems, err := read(t, put(t, "book.csv", bookRows(5)), shipped(t, "duly-book"), ingest.Options{})
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	cny := func(minor int64) money.Amount { return money.New(minor, "CNY") }
	want := []duly.Fact{
		&duly.Borrower{ID: "B0000000", Name: "Test 0", Language: "zh-CN", Country: "CN", Tier: "A", Zones: []duly.Zone{{Name: "Asia/Shanghai", Source: duly.ZoneAddress}}},
		&duly.ContactPoint{BorrowerID: "B0000000", ID: "mobile", Kind: duly.PointMobile, Value: "+8610000000000", State: duly.PointActive, Source: "debtor_provided"},
		&duly.Loan{BorrowerID: "B0000000", ID: "L0000000", ContractNo: "HT0000000", Product: "instalment", Schedule: duly.EqualInstallment, Currency: "CNY",
			Principal: cny(4000_00), DisbursedOn: civil.On(2026, 1, 5), AutoDebit: true},
	}
	for no := 1; no <= 4; no++ {
		want = append(want, &duly.Installment{BorrowerID: "B0000000", LoanID: "L0000000", No: no, DueOn: civil.On(2026, 3, 1).AddMonths(no), Principal: cny(1000_00), Interest: cny(12_34), Fee: cny(0)})
	}
	if diff := cmp.Diff(want, facts[:7], dates); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(facts) != 11 {
		t.Errorf("got %d facts, want four more of the second borrower", len(facts))
	}
}

// A fact is left out only if the row before said it and was good.
func TestRepeatedFacts(t *testing.T) {
	t.Parallel()
	m := mapping(t, `{format: csv, currency: CNY, rows: [{kind: borrower, fields: {id: b}}, {kind: payment, fields: {id: p, borrower_id: b, amount: a, value_at: {column: at, format: unix}}}]}`)
	text := "b,p,a,at\nB1,P1,-1,1772337600\nB1,P2,1,1772337600\nB1,P3,1,1772337600\nB2,P4,1,1772337600\nB1,P5,1,1772337600\nB1,P6,x,1772337600\nB1,P7,1,1772337600\n"
	var got []string
	err := ingest.Read(t.Context(), put(t, "p.csv", []byte(text)), m, ingest.Options{}, func(row ingest.Row) error {
		s := fmt.Sprint(row.Row)
		for _, f := range row.Facts {
			s += " " + f.FactKey()
		}
		got = append(got, s)
		return nil
	})
	want := []string{"1", "2 B1 P2", "3 P3", "4 B2 P4", "5 B1 P5", "6", "7 B1 P7"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// Local times: with a zone in the text, without one, in the hour that clocks skip and in the one they show twice.
func TestTimes(t *testing.T) {
	t.Parallel()
	src := func(options string) string {
		return `{format: csv, currency: EUR, timezone: Europe/Berlin, rows: [{kind: payment, fields: {id: id, borrower_id: id, amount: {const: "1"}, value_at: {column: at` + options + `}}}]}`
	}
	tests := []struct{ options, text, want string }{
		{"", "2026-01-01 12:00:00", "2026-01-01T11:00:00Z"},
		{"", "2026-07-01 12:00", "2026-07-01T10:00:00Z"},
		{"", "2026-07-01T12:00:00-05:00", "2026-07-01T17:00:00Z"},
		{"", "2026-03-29 02:30:15", "2026-03-29T01:00:00Z"}, // skipped: the first instant after
		{"", "2026-10-25 02:30:15", "2026-10-25T00:30:15Z"}, // twice: the earlier
		{`, clock: "23:59"`, "2026-07-01", "2026-07-01T21:59:00Z"},
		{`, clock: "24:00"`, "2026-07-01", "2026-07-01T22:00:00Z"},
		{", format: unix", "1772337600", "2026-03-01T04:00:00Z"},
		{", format: unix_ms", "1772337600123", "2026-03-01T04:00:00.123Z"},
		{", format: DD/MM/YYYY HH:mm", "03/02/2026 08:05", "2026-02-03T07:05:00Z"},
		{", format: [YYYYMMDD HHmmss, 'YYYY年MM月DD日 HH:mm']", "2026年02月03日 08:05", "2026-02-03T07:05:00Z"},
		{", format: 'DD-MMM-YY hh.mm.ss AM'", "03-FEB-26 08.05.09 PM", "2026-02-03T19:05:09Z"},
		{", format: '2006-01-02T15:04:05.000Z07:00'", "2026-02-03T08:05:09.250+08:00", "2026-02-03T00:05:09.25Z"},
	}
	for _, tt := range tests {
		facts, problems, err := read(t, put(t, "p.csv", []byte("id,at\nP1,"+tt.text+"\n")), mapping(t, src(tt.options)), ingest.Options{})
		if err != nil || len(problems) > 0 || len(facts) != 1 {
			t.Errorf("%s %s: %v %v", tt.options, tt.text, problems, err)
			continue
		}
		p := facts[0].(*duly.Payment)
		if got := p.ValueAt.Format(time.RFC3339Nano); got != tt.want || !p.ArrivedAt.Equal(p.ValueAt) {
			t.Errorf("%s %s: got %s, want %s", tt.options, tt.text, got, tt.want)
		}
	}
}

// Ids made of columns: the same for the same columns, and told apart by counting where asked.
func TestHashes(t *testing.T) {
	t.Parallel()
	m := mapping(t, `{format: csv, currency: CNY, duplicates: keep, rows: [{kind: payment, fields: {id: {hash_each: [a, b]}, borrower_id: {hash: [a]}, amount: {const: "1"}, value_at: {const: "2026-01-01 00:00"}}}]}`)
	facts, problems, err := read(t, put(t, "p.csv", []byte("a,b\nx,y\nx,y\nxy,\nx,z\nx,y\n,\n")), m, ingest.Options{})
	if err != nil || len(facts) != 5 || len(problems) != 1 {
		t.Fatalf("got %d facts, %v, %v; want 5 and a row without anything to hash", len(facts), problems, err)
	}
	ids := map[string]bool{}
	for _, f := range facts {
		ids[f.FactKey()] = true
	}
	first := facts[0].FactKey()
	if len(ids) != 5 || facts[1].FactKey() != first+"-2" || facts[4].FactKey() != first+"-3" || facts[0].Owner() != facts[3].Owner() || facts[0].Owner() == facts[2].Owner() {
		t.Errorf("got ids %v", ids)
	}
	skip := mapping(t, `{format: csv, duplicates: skip, rows: [{kind: borrower, fields: {id: a}}]}`)
	if facts, _, err := read(t, put(t, "p.csv", []byte("a,b\nx,y\nx,z\nx,y\n")), skip, ingest.Options{}); err != nil || len(facts) != 2 {
		t.Errorf("skip: got %d facts, %v; want 2", len(facts), err)
	}
}

// Reading goes on where it stopped: the rows from there on are the same as in one reading.
func TestSkipRows(t *testing.T) {
	t.Parallel()
	path, m := put(t, "p.csv", []byte("id\n"+strings.Repeat("same\n", 10))), mapping(t, `{format: csv, currency: CNY, rows: [{kind: payment, fields: {id: {hash_each: [id]}, borrower_id: id, amount: {const: "1"}, value_at: {const: "2026-01-01 00:00"}}}]}`)
	keys := func(skip int64) (out []string) {
		err := ingest.Read(t.Context(), path, m, ingest.Options{SkipRows: skip}, func(row ingest.Row) error {
			out = append(out, fmt.Sprint(row.Row, row.Line, row.Facts[0].FactKey()))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	all := keys(0)
	for skip := range 11 {
		if diff := cmp.Diff(all[skip:], keys(int64(skip)), cmp.Transformer("", func(s []string) string { return strings.Join(s, "\n") })); diff != "" {
			t.Errorf("after %d rows (-want +got):\n%s", skip, diff)
		}
	}
}

// An error of the caller, or the end of the context, stops the reading and comes back as it is.
func TestStops(t *testing.T) {
	t.Parallel()
	path, m := put(t, "book.csv", bookRows(5000)), shipped(t, "duly-book")
	mine := errors.New("enough")
	if err := ingest.Read(t.Context(), path, m, ingest.Options{}, func(row ingest.Row) error {
		if row.Row == 3 {
			return mine
		}
		return nil
	}); err != mine {
		t.Errorf("got %v, want the caller's error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	rows := 0
	err := ingest.Read(ctx, path, m, ingest.Options{}, func(ingest.Row) error { rows++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || rows > 2000 {
		t.Errorf("got %v after %d rows, want the context's end soon", err, rows)
	}
}

// Progress never goes back and ends at the file's size.
func TestProgress(t *testing.T) {
	t.Parallel()
	path := put(t, "book.csv.gz", gzipped(t, bookRows(50_000)))
	_, size, err := ingest.Hash(path)
	if err != nil {
		t.Fatal(err)
	}
	last, calls := int64(0), 0
	err = ingest.Read(t.Context(), path, shipped(t, "duly-book"), ingest.Options{Progress: func(n, total int64) {
		calls++
		if n < last || n > total || total != size {
			t.Errorf("got %d of %d after %d, of a file of %d bytes", n, total, last, size)
		}
		last = n
	}}, func(ingest.Row) error { return nil })
	if err != nil || last != size || calls < 10 {
		t.Errorf("got %d of %d bytes in %d calls, %v", last, size, calls, err)
	}
}

// Whatever a CSV writer writes is read back: quotes, delimiters and line breaks within values.
func TestCSVRoundTrip(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	m := mapping(t, `{format: csv, rows: [{kind: contact_point, fields: {borrower_id: a, id: {row_number: true}, kind: {const: postal}, value: {column: v, trim: false}}}]}`)
	alphabet := []rune("ab\",\n 号;'")
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	w.Write([]string{"a", "v"})
	var want []string
	for range 500 {
		v := make([]rune, 1+r.IntN(8))
		for i := range v {
			v[i] = alphabet[r.IntN(len(alphabet))]
		}
		want = append(want, string(v))
		w.Write([]string{"B1", string(v)})
	}
	w.Flush()
	facts, problems, err := read(t, put(t, "v.csv", text.Bytes()), m, ingest.Options{})
	if err != nil || len(problems) > 0 || len(facts) != len(want) {
		t.Fatalf("seed %d: got %d facts, %v, %v", seed, len(facts), problems, err)
	}
	for i, f := range facts {
		if got := f.(*duly.ContactPoint).Value; got != want[i] {
			t.Fatalf("seed %d: got %q, want %q", seed, got, want[i])
		}
	}
}

// Amounts: whatever an amount prints as is read back, with any marks.
func TestAmountRoundTrip(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	for _, c := range []money.Currency{"CNY", "JPY", "KWD"} {
		m := mapping(t, `{format: csv, delimiter: "|", currency: `+string(c)+`, defaults: {decimal: ",", grouping: "."}, rows: [{kind: loan, fields: {borrower_id: {const: B}, id: {row_number: true}, schedule: {const: bullet}, principal: a}}]}`)
		var text strings.Builder
		var want []int64
		text.WriteString("a|b\n")
		for range 300 {
			n := r.Int64N(1 << (1 + r.UintN(62)))
			want = append(want, n)
			text.WriteString(german(money.New(n, c).Decimal()) + "|\n")
		}
		facts, problems, err := read(t, put(t, "a.csv", []byte(text.String())), m, ingest.Options{})
		if err != nil || len(problems) > 0 {
			t.Fatalf("seed %d: %v %v", seed, problems, err)
		}
		for i, f := range facts {
			if got := f.(*duly.Loan).Principal; got != money.New(want[i], c) {
				t.Fatalf("seed %d: got %v, want %v", seed, got, money.New(want[i], c))
			}
		}
	}
}

// german writes 1234567.89 as 1.234.567,89.
func german(s string) string {
	whole, frac, point := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "." + whole[i:]
	}
	if point {
		return whole + "," + frac
	}
	return whole
}

// ParseFact is the native format one fact at a time.
func TestParseFact(t *testing.T) {
	t.Parallel()
	place := duly.Place{File: "body", Line: 2}
	raw := `{"borrower_id":"B1","id":"P1","amount":{"minor":100,"currency":"CNY"},"value_at":"2026-03-01T12:00:00+08:00"}`
	f, err := ingest.ParseFact([]byte(raw), duly.FactPayment, place)
	at := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
	if diff := cmp.Diff(duly.Fact(&duly.Payment{BorrowerID: "B1", ID: "P1", Amount: money.New(100, "CNY"), ValueAt: at, ArrivedAt: at}), f); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	_, err = ingest.ParseFact([]byte(raw), "", place)
	wantError(t, err, duly.Invalid, "body:2: kind: not a kind of fact")
	_, err = ingest.ParseFact([]byte(`{"kind":"debit"}`), duly.FactPayment, place)
	wantError(t, err, duly.Invalid, "body:2: ")
	_, err = ingest.ParseFact([]byte(`{"kind":"payment","amount":{"minor":"13800138000"}}`), "", place)
	wantError(t, err, duly.Invalid, "body:2: amount.minor")
	if strings.Contains(err.Error(), "138") {
		t.Errorf("the error carries the value: %v", err)
	}
}

func ExampleRead() {
	m, err := ingest.LoadMapping("payments.yaml", []byte(`
format: jsonl
native: true
`))
	fmt.Println(m.Format, err)
	_, err = ingest.LoadMapping("wrong.yaml", []byte(`
format: csv
colums: [a]
`))
	fmt.Println(err)
	// Output:
	// jsonl <nil>
	// wrong.yaml:3:1: colums: unknown key (the keys here are name, about, format, native, sheet, sheets, header, header_line, columns, delimiter, encoding, currency, timezone, defaults, duplicates, rows)
	// wrong.yaml:2:1: the mapping needs either rows or sheets (each of rows says which fact a row makes; sheets is for workbooks)
}
