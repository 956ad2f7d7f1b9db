package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/store"
)

// Run is the suite: what every store must do. Open returns a fresh one each time.
func Run(t *testing.T, open func(t testing.TB) *store.DB) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, w *world)
	}{
		{"facts come back as they were put", testRoundTrip},
		{"put tells what became of each fact", testPutResults},
		{"put takes one fact twice", testPutTwice},
		{"one id may name a thing of each kind", testSameIDs},
		{"people of many buckets are read at once", testManyBuckets},
		{"put counts people and versions", testPutCounts},
		{"facts in any order end the same", testAnyOrder},
		{"put leaves what is paid alone", testPaidStays},
		{"what was learned of a contact point stays", testPointState},
		{"an address is found whoever has it", testAddresses},
		{"what nobody is known for is kept once, and not for ever", testUnmatched},
		{"persons hold what counts", testPersonsFilter},
		{"due finds open instalments only", testDue},
		{"settled dates", testSettledAt},
		{"owners of loans", testOwners},
		{"every move of the table and no other", testMoves},
		{"contacts come back as they were put", testContactRoundTrip},
		{"contacts that are due, over, open or to follow up", testContactQueries},
		{"a contact has a row of what waits just while it waits", testWaiting},
		{"a contact is not planned twice", testContactTwice},
		{"attempts from claim to end", testAttempts},
		{"a recalled attempt gives its number back", testRecalled},
		{"a reservation is a touch, and moves as its table says", testReservations},
		{"reservations that ran out, or are in a state", testReservationQueries},
		{"the inbox keeps each receipt once", testReceipts},
		{"carriers are pinned, told of and paid", testCarriers},
		{"dirty persons and planned days", testDirty},
		{"feeds and imports never go back", testFeeds},
		{"outcomes are final", testOutcomes},
		{"cases come in the orders that people ask for", testCases},
		{"duties are set, ended and listed", testDuties},
		{"volumes and totals", testVolumes},
		{"sandbox receipts wait for the inbox", testSandbox},
		{"messages wait for the lender's app", testAppInbox},
		{"what hangs on old contacts goes, and what is needed stays", testForgetContacts},
		{"what else is old goes", testForgetOwners},
		{"the facts of a settled loan go and do not come back", testForgetLoans},
		{"what was known goes with the days that were planned from it", testForgetPast},
		{"a bucket is gone through once in a while", testKeepMarks},
		{"audit is sealed on commit", testAudit},
		{"a failed update leaves nothing", testRollback},
		{"buckets that are not held are refused", testNotHeld},
		{"a view is of one moment", testSnapshot},
		{"two writers of one person take turns", testTurns},
		{"leases pass from one node to the next", testLeases},
		{"a claim without a lease is refused in the store", testLeased},
		{"a command of a log takes effect once", testMarks},
		{"the audit is sealed by roots", testRoots},
		{"what the audit conceals can be erased", testConcealed},
		{"since when payments are known", testPaymentsKnown},
		{"commands are kept until they are dropped", testKept},
		{"a bucket goes along to another store", testCarry},
		{"who may write to a bucket that moves", testPlaces},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, &world{TB: t, db: open(t), now: Noon, open: open})
		})
	}
}

// Noon is the suite's now, with microseconds to be kept.
var Noon = time.Date(2026, 3, 10, 4, 0, 0, 123_456_000, time.UTC)

// world is a store under test and a clock.
type world struct {
	testing.TB
	db   *store.DB
	now  time.Time
	open func(t testing.TB) *store.DB
}

func (w *world) update(buckets []int, fn func(tx *store.Tx) error) {
	w.Helper()
	if err := w.db.Update(context.Background(), w.now, buckets, fn); err != nil {
		w.Fatalf("update: %v", err)
	}
}

func (w *world) view(fn func(tx *store.Tx) error) {
	w.Helper()
	if err := w.db.View(context.Background(), fn); err != nil {
		w.Fatalf("view: %v", err)
	}
}

// put puts facts in one transaction.
func (w *world) put(facts ...duly.Fact) (out []store.PutResult) {
	w.Helper()
	w.update(Buckets(facts), func(tx *store.Tx) (err error) { out, err = tx.Put(facts); return err })
	return out
}

func (w *world) person(id duly.BorrowerID) duly.Person {
	w.Helper()
	var out []duly.Person
	w.view(func(tx *store.Tx) (err error) {
		out, err = tx.Persons(id.Bucket(), []duly.BorrowerID{id}, w.now.AddDate(0, 0, -35))
		return err
	})
	if len(out) != 1 {
		w.Fatalf("persons: got %d, want 1", len(out))
	}
	return out[0]
}

func (w *world) bucket(b int) (out store.Bucket) {
	w.Helper()
	w.view(func(tx *store.Tx) (err error) { out, err = tx.Bucket(b); return err })
	return out
}

func (w *world) same(what string, got, want any) {
	w.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b civil.Date) bool { return a == b })); d != "" {
		w.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// try returns fn's error instead of failing.
func (w *world) try(buckets []int, fn func(tx *store.Tx) error) error {
	return w.db.Update(context.Background(), w.now, buckets, fn)
}

// Buckets returns the buckets of the owners of facts.
func Buckets(facts []duly.Fact) []int {
	var out []int
	for _, f := range facts {
		if f.Owner() != "" {
			out = append(out, f.Owner().Bucket())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// InBucket returns n ids of borrowers that live in one bucket.
func InBucket(bucket, n int) []duly.BorrowerID {
	var out []duly.BorrowerID
	for i := 0; len(out) < n; i++ {
		if id := duly.BorrowerID(fmt.Sprintf("B%06d", i)); id.Bucket() == bucket {
			out = append(out, id)
		}
	}
	return out
}

// Borrower, Loan, Installment and Payment make plain facts of version 1.
func Borrower(id duly.BorrowerID) *duly.Borrower {
	return &duly.Borrower{
		ID: id, Name: "张三", Language: "zh-CN", Country: "CN", Tier: "B", Segment: "new",
		Zones: []duly.Zone{{Name: "Asia/Shanghai", Source: duly.ZoneLender}}, Version: 1,
	}
}

// Loan makes a loan; see Borrower.
func Loan(b duly.BorrowerID, id duly.LoanID) *duly.Loan {
	return &duly.Loan{
		BorrowerID: b, ID: id, ContractNo: "HT-" + string(id), Product: "cash", Schedule: duly.EqualInstallment, Currency: "CNY",
		Principal: money.New(120_000, "CNY"), DisbursedOn: civil.On(2026, 1, 10), AutoDebit: true, Version: 1,
	}
}

// Installment makes an instalment of 100.00 and 5.00 interest; see Borrower.
func Installment(b duly.BorrowerID, l duly.LoanID, no int, due civil.Date) *duly.Installment {
	return &duly.Installment{
		BorrowerID: b, LoanID: l, No: no, DueOn: due, Principal: money.New(10_000, "CNY"), Interest: money.New(500, "CNY"),
		Fee: money.New(0, "CNY"), Version: 1,
	}
}

// Payment makes a payment; see Borrower.
func Payment(b duly.BorrowerID, l duly.LoanID, id duly.PaymentID, minor int64) *duly.Payment {
	return &duly.Payment{
		BorrowerID: b, ID: id, LoanID: l, Amount: money.New(minor, "CNY"), ValueAt: Noon.Add(-time.Hour), ArrivedAt: Noon.Add(-time.Minute),
		Method: "manual", Version: 1,
	}
}

// Contact makes a planned contact for an hour before Noon until the evening.
func Contact(b duly.BorrowerID, step string, day civil.Date, rung int) duly.Contact {
	return duly.Contact{
		ID: duly.NewContactID(b, "consumer-cn", step, day, rung), BorrowerID: b, Strategy: "consumer-cn", StrategyHash: "abc123", Step: step, Day: day,
		Rung: rung, Channel: duly.ChannelSMS, PointID: "m1", Purpose: duly.PurposePreDue, Tone: duly.ToneFriendly, Template: "pre_due", Priority: 10,
		Items: []duly.Item{{LoanID: "L1", No: 3, DueOn: day.Add(3), Outstanding: money.New(10_500, "CNY")}},
		State: duly.Planned, NotBefore: Noon.Add(-time.Hour), ExpiresAt: Noon.Add(9 * time.Hour),
		Decision:  duly.Decision{Verdict: duly.Allow, Packs: []string{"cn-mainland@1f"}},
		PlannedAt: Noon.Add(-2 * time.Hour), ChangedAt: Noon.Add(-2 * time.Hour),
	}
}

// Attempt makes the n-th attempt of a contact, open for a minute.
func Attempt(c *duly.Contact, n int) duly.Attempt {
	return duly.Attempt{
		ID: duly.NewAttemptID(c.ID, n), ContactID: c.ID, BorrowerID: c.BorrowerID, No: n, Carrier: "sandbox", State: duly.AttemptOpen, Segments: 1,
		Text:      "您的借款将于 3 月 13 日到期",
		Known:     duly.Knowledge{LedgerVersion: 4, FeedAt: Noon.Add(-time.Minute), Items: c.Items, Packs: []string{"cn-mainland@1f"}, Strategy: "consumer-cn@abc123"},
		ClaimedAt: Noon, LeaseUntil: Noon.Add(time.Minute),
	}
}

// allKinds is one fact of every kind, in the order in which they refer to each other.
func allKinds(b duly.BorrowerID) []duly.Fact {
	at := Noon.Add(-24 * time.Hour)
	return []duly.Fact{
		Borrower(b),
		&duly.ContactPoint{BorrowerID: b, ID: "m1", Kind: duly.PointMobile, Value: "+8613800000000", State: duly.PointActive, Source: "debtor_provided", Rank: 2, VerifiedAt: at, ObservedAt: at.Add(time.Microsecond), Version: 1},
		Loan(b, "L1"),
		Installment(b, "L1", 3, civil.On(2026, 3, 13)),
		Payment(b, "L1", "P1", 250),
		&duly.Debit{BorrowerID: b, ID: "D1", LoanID: "L1", InstallmentNo: 3, At: at, State: duly.DebitFailed, Reason: "insufficient_funds", Version: 1},
		&duly.Consent{BorrowerID: b, ID: "C1", Key: "out_of_hours", GivenAt: at, Until: Noon.AddDate(1, 0, 0), Evidence: "form 7", Version: 1},
		&duly.OptOut{BorrowerID: b, ID: "O1", Key: "sms", LoanID: "L1", At: at, Source: "sms_reply", Version: 1},
		&duly.Hold{BorrowerID: b, ID: "H1", Kind: "dispute", Scope: duly.HoldLoan, LoanID: "L1", Reason: "amount", Author: "agent-4", From: at, Until: Noon.AddDate(0, 1, 0), ReviewOn: civil.On(2026, 3, 20), Version: 1},
		&duly.Touch{BorrowerID: b, ID: "T1", LoanID: "L1", PointID: "m1", Channel: duly.ChannelAgent, Purpose: duly.PurposeCollection, Inbound: true, Outcome: "conversation", At: at, Agency: "agency-1", Version: 1},
		caseOf(b, "K1", at),
		&duly.Reply{BorrowerID: b, ID: "R1", LoanID: "L1", PointID: "m1", Channel: duly.ChannelSMS, Language: "zh-CN", Text: "好的", At: at, Version: 1},
		&duly.Notice{BorrowerID: b, ID: "N1", Type: "transfer_notice", LoanID: "L1", At: at, Evidence: "letter 9", Version: 1},
		&duly.Preference{BorrowerID: b, ID: "W1", Kind: duly.PreferForbid, Days: civil.Weekdays{1: true, 2: true, 6: true}, From: 22 * 60, To: 6*60 + 30, Source: "agent", At: at, RevokedAt: Noon.Add(time.Hour), Version: 1},
	}
}

// shuffled returns facts in another order.
func shuffled[T any](r *rand.Rand, list []T) []T {
	out := slices.Clone(list)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

var errOnPurpose = errors.New("on purpose")
