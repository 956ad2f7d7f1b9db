// Package sim makes books of people who behave by a seed, and runs the real engine over them.
//
// The same seed makes the same people, the same payments and, because the engine is deterministic, the same contacts. A
// [Book] is what a lender would export; a [World] is the book with the payments that will come in, one of which no
// lender knows yet. After every step [Check] holds what happened against the promises of the product.
package sim

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/arrange"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// Options say what book to make.
type Options struct {
	Seed      uint64
	Borrowers int
	Start     civil.Date // the first day of the run
	Days      int
	Location  *time.Location
}

// Book is what a lender knows when the run starts.
type Book struct {
	Borrowers    []duly.Borrower
	Points       []duly.ContactPoint
	Loans        []duly.Loan
	Installments []duly.Installment
}

// tierShares is how many of 100 borrowers are in each tier, and lateness how many of 1,000 instalments of that tier are
// settled after their due day. The mean is near that of the consumer book in the literature the timing table is from.
var (
	tierShares = []struct {
		tier  string
		share int
	}{{"A", 35}, {"B", 30}, {"C", 20}, {"D", 10}, {"E", 5}}
	lateness = map[string]int{"A": 40, "B": 110, "C": 240, "D": 420, "E": 600}
)

// Names are put together from common characters; a person of that name is chance.
var (
	surnames = []string{"王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高", "林", "何", "郭", "马", "罗"}
	givens   = []string{"伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明", "超", "秀英", "桂兰", "建国", "晓燕", "志强", "雨桐", "子涵", "浩然"}
)

// NewBook makes the book of a seed.
func NewBook(o Options) (*Book, error) {
	b := &Book{}
	for i := range o.Borrowers {
		r := rand.New(rand.NewPCG(o.Seed, uint64(i)))
		if err := b.add(r, o, i+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *Book) add(r *rand.Rand, o Options, n int) error {
	id := duly.BorrowerID(fmt.Sprintf("D%06d", n))
	observed := o.Start.Add(-30-r.IntN(300)).At(12*60, o.Location).UTC()
	p := duly.Borrower{
		ID: id, Name: surnames[r.IntN(len(surnames))] + givens[r.IntN(len(givens))], Language: "zh-CN", Country: "CN",
		Tier: pickTier(r), Segment: "consumer", Version: 1,
		Zones: []duly.Zone{{Name: "Asia/Shanghai", Source: duly.ZoneAddress, ObservedAt: observed}},
	}
	b.Borrowers = append(b.Borrowers, p)
	b.addPoints(r, p.ID, n, observed)
	loans := 1
	if r.IntN(100) < 12 {
		loans = 2
	}
	for k := range loans {
		if err := b.addLoan(r, o, p.ID, n, k+1); err != nil {
			return err
		}
	}
	return nil
}

// addPoints gives a borrower a number that no network has given to anyone: Chinese mobile numbers begin with 13 to 19.
func (b *Book) addPoints(r *rand.Rand, id duly.BorrowerID, n int, observed time.Time) {
	point := func(kind duly.PointKind, value string, rank int) {
		b.Points = append(b.Points, duly.ContactPoint{
			BorrowerID: id, ID: duly.PointID(fmt.Sprintf("%s-%s", id, kind)), Kind: kind, Value: value,
			State: duly.PointActive, Source: "debtor_provided", Rank: rank, ObservedAt: observed, Version: 1,
		})
	}
	point(duly.PointMobile, fmt.Sprintf("+86100%08d", n), 1)
	if r.IntN(100) < 70 {
		point(duly.PointApp, fmt.Sprintf("app-%08x", r.Uint32()), 1)
	}
	if r.IntN(100) < 30 {
		point(duly.PointEmail, fmt.Sprintf("d%06d@example.com", n), 1)
	}
}

func (b *Book) addLoan(r *rand.Rand, o Options, id duly.BorrowerID, n, k int) error {
	l := duly.Loan{
		BorrowerID: id, ID: duly.LoanID(fmt.Sprintf("L%06d-%d", n, k)), ContractNo: fmt.Sprintf("HT2026%06d%d", n, k),
		Currency: "CNY", Principal: money.New(int64(5+r.IntN(96))*100_00, "CNY"), AutoDebit: r.IntN(100) < 60, Version: 1,
	}
	first := o.Start.Add(r.IntN(o.Days+8) - 3)
	t := arrange.Terms{Principal: l.Principal, RateBP: int64(720 + 60*r.IntN(20)), FirstDue: first}
	switch r.IntN(10) {
	case 0, 1, 2:
		l.Product, l.Schedule, t.Periods = "single", duly.Bullet, 1
	case 3:
		l.Product, l.Schedule, t.Periods = "interest-first", duly.InterestFirst, 6
	case 4:
		l.Product, l.Schedule, t.Periods = "equal-principal", duly.EqualPrincipal, 12
	default:
		l.Product, l.Schedule, t.Periods = "instalment", duly.EqualInstallment, 3+3*r.IntN(4)
	}
	t.Kind, t.Start = l.Schedule, first.AddMonths(-1)
	l.DisbursedOn = t.Start
	rows, err := arrange.Schedule(t)
	if err != nil {
		return fmt.Errorf("schedule of %s: %w", l.ID, err)
	}
	for i := range rows {
		rows[i].BorrowerID, rows[i].LoanID, rows[i].Version = id, l.ID, 1
	}
	b.Loans = append(b.Loans, l)
	b.Installments = append(b.Installments, rows...)
	return nil
}

func pickTier(r *rand.Rand) string {
	n := r.IntN(100)
	for _, t := range tierShares {
		if n < t.share {
			return t.tier
		}
		n -= t.share
	}
	return "E"
}

// Write writes the book as the files of Duly's own CSV format, for `duly import`: borrowers.csv, contact_points.csv,
// loans.csv and installments.csv.
func (b *Book) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		write func(*csv.Writer) error
	}{
		{"borrowers.csv", b.writeBorrowers}, {"contact_points.csv", b.writePoints},
		{"loans.csv", b.writeLoans}, {"installments.csv", b.writeInstallments},
	} {
		if err := writeCSV(filepath.Join(dir, f.name), f.write); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	return nil
}

func writeCSV(path string, write func(*csv.Writer) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	w := csv.NewWriter(io.Writer(f))
	if err := write(w); err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

func (b *Book) writeBorrowers(w *csv.Writer) error {
	w.Write([]string{"borrower_id", "name", "language", "country", "tier", "segment", "zone", "zone_source", "flags", "version"})
	for _, p := range b.Borrowers {
		w.Write([]string{string(p.ID), p.Name, p.Language, p.Country, p.Tier, p.Segment, p.Zones[0].Name, string(p.Zones[0].Source), "", "1"})
	}
	return w.Error()
}

func (b *Book) writePoints(w *csv.Writer) error {
	w.Write([]string{"borrower_id", "point_id", "kind", "value", "state", "source", "rank", "version"})
	for _, p := range b.Points {
		w.Write([]string{string(p.BorrowerID), string(p.ID), string(p.Kind), p.Value, string(p.State), p.Source, strconv.Itoa(p.Rank), "1"})
	}
	return w.Error()
}

func (b *Book) writeLoans(w *csv.Writer) error {
	w.Write([]string{"borrower_id", "loan_id", "contract_no", "product", "schedule", "currency", "principal", "disbursed_on", "auto_debit", "version"})
	for _, l := range b.Loans {
		w.Write([]string{string(l.BorrowerID), string(l.ID), l.ContractNo, l.Product, string(l.Schedule), string(l.Currency),
			l.Principal.Decimal(), l.DisbursedOn.String(), strconv.FormatBool(l.AutoDebit), "1"})
	}
	return w.Error()
}

func (b *Book) writeInstallments(w *csv.Writer) error {
	w.Write([]string{"borrower_id", "loan_id", "no", "due_on", "currency", "principal", "interest", "fee", "version"})
	for _, i := range b.Installments {
		w.Write([]string{string(i.BorrowerID), string(i.LoanID), strconv.Itoa(i.No), i.DueOn.String(), string(i.Currency()),
			i.Principal.Decimal(), i.Interest.Decimal(), i.Fee.Decimal(), "1"})
	}
	return w.Error()
}

// Facts returns the book as facts, in the order in which they refer to each other.
func (b *Book) Facts() []duly.Fact {
	var out []duly.Fact
	for i := range b.Borrowers {
		out = append(out, &b.Borrowers[i])
	}
	for i := range b.Points {
		out = append(out, &b.Points[i])
	}
	for i := range b.Loans {
		out = append(out, &b.Loans[i])
	}
	for i := range b.Installments {
		out = append(out, &b.Installments[i])
	}
	return out
}
