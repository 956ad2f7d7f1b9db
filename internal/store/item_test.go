package store

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

var sameDay = cmp.Comparer(func(a, b civil.Date) bool { return a == b })

// FuzzItems holds the codec of items to encoding/json: the same text out, the same items in.
func FuzzItems(f *testing.F) {
	f.Add("L1", 3, int64(20260313), int64(10_500), "CNY")
	f.Add("合同/7", 0, int64(0), int64(-1), "")
	f.Add("a\"b\\c<&>\x00\x7f\xff", -5, int64(19900101), int64(math.MinInt64), "U\tD")
	f.Add("},{", 1, int64(21991231), int64(math.MaxInt64), "]")
	f.Fuzz(func(t *testing.T, loan string, no int, day, minor int64, currency string) {
		d, err := civil.FromInt(day)
		if err != nil || !d.IsZero() && (d.Year() < civil.MinYear || d.Year() > civil.MaxYear) {
			t.Skip()
		}
		it := duly.Item{LoanID: duly.LoanID(loan), No: no, DueOn: d, Outstanding: money.New(minor, money.Currency(currency))}
		items := []duly.Item{it, it}
		text := itemsText(items)
		want, err := json.Marshal(items)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("written: got %s, want %s", text, want)
		}
		var back []duly.Item
		if err := json.Unmarshal(want, &back); err != nil {
			t.Fatal(err)
		}
		r := &row{columns: oneText(text)}
		if got := readItems(r); r.err != nil || !cmp.Equal(got, back, sameDay) {
			t.Errorf("read: got %v, %v; want %v", got, r.err, back)
		}
	})
}

// FuzzParseItems holds the quick parser to encoding/json on texts that nobody wrote on purpose: where it takes one, so
// does the decoder, and they agree.
func FuzzParseItems(f *testing.F) {
	f.Add(`[{"loan":"L1","no":3,"due_on":"2026-03-13","outstanding":{"minor":10500,"currency":"CNY"}}]`)
	f.Add(`[{"loan":"L1","no":+3,"due_on":"","outstanding":{"minor":01,"currency":"CNY"}},`)
	f.Add(`[]`)
	f.Add(`[{"loan":"","no":007,"due_on":"2026-02-30","outstanding":{"minor":1e3,"currency":""}}]`)
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseItems(text)
		if !ok {
			t.Skip()
		}
		var want []duly.Item
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("took what encoding/json refuses: %v", err)
		}
		if !cmp.Equal(got, want, sameDay) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// oneText is a row of one text.
type oneText string

func (t oneText) number(int) (int64, bool) { return 0, false }
func (t oneText) bytes(int) ([]byte, bool) { return []byte(t), true }
func (t oneText) kind(int) string          { return "text" }
