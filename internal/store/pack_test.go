package store_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/store"
)

// packed holds a fact of each kind with something in every field.
func packed(t *testing.T) []duly.Fact {
	t.Helper()
	at := func(n int64) time.Time { return time.UnixMicro(1_772_000_000_000_000 + n).UTC() }
	day := civil.On(2026, 3, 13)
	amount := func(n int64) money.Amount { return money.New(n, "CNY") }
	var days civil.Weekdays
	if err := days.UnmarshalText([]byte("mon-fri")); err != nil {
		t.Fatal(err)
	}
	return []duly.Fact{
		&duly.Borrower{ID: "B1", Name: "张三", Language: "zh-CN", Country: "CN", Tier: "A", Segment: "x", Flags: []string{"vulnerable"}, Version: 1,
			Zones: []duly.Zone{{Name: "Asia/Shanghai", Source: duly.ZoneStated, ObservedAt: at(1)}}},
		&duly.Borrower{ID: "B2", Version: -1},
		&duly.ContactPoint{BorrowerID: "B1", ID: "P", Kind: duly.PointMobile, Value: "+8610000000000", State: duly.PointActive, Source: "s", Rank: 2,
			VerifiedAt: at(2), ObservedAt: at(3), Version: 4},
		&duly.Loan{BorrowerID: "B1", ID: "L", ContractNo: "C", Product: "p", Schedule: duly.Bullet, Currency: "CNY", Principal: amount(1 << 62),
			DisbursedOn: day, AutoDebit: true, Version: 5},
		&duly.Installment{BorrowerID: "B1", LoanID: "L", No: 3, DueOn: day, Principal: amount(100), Interest: amount(-7), Fee: amount(0), Version: 1 << 62},
		&duly.Payment{BorrowerID: "B1", ID: "P1", LoanID: "L", Amount: amount(5), ValueAt: at(4), ArrivedAt: at(5), Reverses: "P0", Method: "m", Version: 6},
		&duly.Debit{BorrowerID: "B1", ID: "D", LoanID: "L", InstallmentNo: 3, At: at(6), State: duly.DebitFailed, Reason: "r", Version: 7},
		&duly.Consent{BorrowerID: "B1", ID: "C", Key: "k", GivenAt: at(7), Until: at(8), WithdrawnAt: at(9), Evidence: "e", Version: 8},
		&duly.OptOut{BorrowerID: "B1", ID: "O", Key: "k", LoanID: "L", At: at(10), RevokedAt: at(11), Source: "s", Version: 9},
		&duly.Hold{BorrowerID: "B1", ID: "H", Kind: "k", Scope: duly.HoldPerson, LoanID: "L", PointID: "P", Reason: "r", Author: "a", From: at(12),
			Until: at(13), ReleasedAt: at(14), ReviewOn: day, Version: 10},
		&duly.Touch{BorrowerID: "B1", ID: "T", LoanID: "L", PointID: "P", Channel: duly.ChannelSMS, Purpose: "p", Inbound: true, Outcome: "o", At: at(15),
			Agency: "a", Version: 11},
		&duly.Case{BorrowerID: "B1", ID: "K", Kind: duly.CaseDispute, LoanID: "L", Channel: duly.ChannelSMS, Urgent: true, Complex: true, State: "open",
			OpenedAt: at(16), DoneAt: at(17), Author: "a", Outcome: "o", Version: 12},
		&duly.Reply{BorrowerID: "B1", ID: "R", ContactID: "X", LoanID: "L", PointID: "P", Channel: duly.ChannelSMS, Language: "en", Text: "a\x00b", At: at(18),
			Version: 13},
		&duly.Notice{BorrowerID: "B1", ID: "N", Type: "t", LoanID: "L", At: at(19), Evidence: "e", Version: 14},
		&duly.Preference{BorrowerID: "B1", ID: "F", Kind: "only", Days: days, From: 540, To: 600, Source: "s", At: at(20), RevokedAt: at(21), Version: 15},
	}
}

// TestPack: facts of every kind come back from their packed form as they were, with the digests that they would have had.
func TestPack(t *testing.T) {
	t.Parallel()
	facts := packed(t)
	kinds := map[duly.FactKind]bool{}
	var p store.Packer
	var b []byte
	for _, f := range facts {
		kinds[f.FactKind()] = true
		var err error
		if b, err = p.Append(b, f); err != nil {
			t.Fatal(err)
		}
	}
	if len(kinds) != store.NumTables {
		t.Errorf("facts of %d kinds are packed, there are %d", len(kinds), store.NumTables)
	}
	var u store.Unpacker
	for rest := b; len(rest) > 0; {
		var err error
		if rest, err = u.Fact(rest); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(facts, u.Facts(), cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
		t.Errorf("unpacked (-want +got):\n%s", diff)
	}
	want, err := store.NewParcel(facts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(store.Digests(want), store.Digests(u.Parcel())); diff != "" {
		t.Errorf("digests (-want +got):\n%s", diff)
	}
	for n := range b { // cut off anywhere it fails or ends between facts; it never panics
		var u store.Unpacker
		for rest := b[:n]; len(rest) > 0; {
			var err error
			if rest, err = u.Fact(rest); err != nil {
				break
			}
		}
		if len(u.Facts()) >= len(facts) {
			t.Fatalf("%d of %d bytes hold all facts", n, len(b))
		}
	}
}
