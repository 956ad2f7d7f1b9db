package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/mappings"
)

// The tests of this file are stories of harm that a review found: each once ended with a contact too many, or with one
// person's trouble stopping everyone.

// A delivery that becomes known while the next rung waits makes the next rung needless.
func TestDeliveredCancelsTheNextRung(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.step(w.at(-1, "09:30"))
	push := w.car.sent[0]
	w.car.fate = refuse(channel.Throttled)
	w.step(w.at(-1, "12:00"))
	tries := w.car.count()
	w.car.fate = nil
	w.car.polls = append(w.car.polls, duly.Receipt{Provider: "test", Key: "r", AttemptID: push.AttemptID, Status: duly.ReceiptDelivered, At: w.at(-1, "12:00")})
	for h := 12; h < 20; h++ {
		w.step(w.at(-1, "12:10").Add(time.Duration(h-12) * time.Hour))
	}
	if w.car.count() != tries {
		t.Errorf("the text message went out though the push was delivered")
	}
}

// A try that was said to have failed and is delivered after all is not made again.
func TestDeliveredAfterTemporary(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.car.fate = refuse(channel.Temporary)
	w.step(w.at(0, "09:30"))
	w.car.fate = nil
	w.car.receipt("r", duly.ReceiptDelivered)
	w.step(w.at(0, "09:30").Add(30 * time.Second))
	w.step(w.at(0, "09:40"))
	w.want(who, "today sms delivered")
	if w.car.count() != 1 {
		t.Errorf("got %d tries, want 1", w.car.count())
	}
}

// A late failure of an earlier try says nothing of the later one.
func TestLateFailureOfAnEarlierTry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.car.fate = refuse(channel.Temporary)
	w.step(w.at(-1, "09:30"))
	first := w.car.sent[0]
	w.car.fate = nil
	w.step(w.at(-1, "09:40"))
	w.car.polls = append(w.car.polls, duly.Receipt{Provider: "test", Key: "r", AttemptID: first.AttemptID, Status: duly.ReceiptFailed, At: w.at(-1, "09:30")})
	w.step(w.at(-1, "09:45"))
	w.want(who, "before push accepted")
}

// An instalment whose due day is moved by a bulk import is not reminded of its old day.
func TestMovedDueDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.step(w.at(-1, "06:00"))
	file := filepath.Join(t.TempDir(), "i.csv")
	write(t, file, "borrower_id,loan_id,no,due_on,currency,principal,interest,fee,version\nB1,L-B1,1,2026-04-09,CNY,100.00,1.50,0,2\n")
	w.importFile(w.at(-1, "07:00"), file, "duly-installments")
	w.step(w.at(-1, "08:00"))
	w.step(w.at(-1, "09:30"))
	if w.car.count() != 0 {
		t.Errorf("a reminder went out for a day that is no longer due")
	}
}

// A message that has left when the payment commits stays on record as what it is.
func TestPaymentWhileOnItsWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.step(w.at(0, "00:01"))
	w.car.fate = func(channel.Message) (channel.Accepted, error) {
		if _, err := w.e.Apply(context.Background(), w.at(0, "12:00"), "test", []duly.Fact{payment(who, "P", 101_50, w.at(0, "12:00"))}); err != nil {
			t.Error(err)
		}
		return channel.Accepted{ProviderID: "x"}, nil
	}
	w.step(w.at(0, "12:00"))
	w.want(who, "today sms accepted")
	w.car.fate = nil
	w.car.receipt("r", duly.ReceiptDelivered)
	w.step(w.at(0, "12:05"))
	w.want(who, "today sms delivered")
}

// A claim that had to wait behind a slow carrier past its window is taken back.
func TestSlowCarrierPastTheWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	a, b := sameBucket(t)
	w.apply(w.at(-5, "10:00"), append(person(a), person(b)...)...)
	w.step(w.at(0, "06:00"))
	clock := w.at(0, "19:59")
	cfg := w.e.Config()
	cfg.Workers, cfg.Clock = 1, func() time.Time { return clock }
	w.e = w.engine(ladder, cfg)
	w.car.fate = func(m channel.Message) (channel.Accepted, error) {
		if !clock.Before(m.ExpiresAt) {
			t.Errorf("a message left at %s that expired at %s", clock, m.ExpiresAt)
		}
		clock = clock.Add(3 * time.Hour)
		return channel.Accepted{}, nil
	}
	w.step(w.at(0, "19:59"))
	if w.car.count() != 1 {
		t.Errorf("got %d messages, want 1", w.car.count())
	}
}

// Someone who cannot be planned is not contacted, and everybody else is.
func TestOnePersonsTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	odd := person("B2")
	odd[0].(*duly.Borrower).Tier = "X"
	w.apply(w.at(-5, "10:00"), odd...)
	w.e = w.engine(strings.Replace(ladder, "steps:", "applies_to: \"int(tier == 'X' ? 'x' : '1') == 1\"\nsteps:", 1), w.e.Config())
	if err := w.e.FeedThrough(t.Context(), w.at(0, "12:00"), engine.FeedPayments, w.at(0, "12:00")); err != nil {
		t.Fatal(err)
	}
	r := w.stepOnly(w.at(0, "12:00"))
	if r.Planned.Failed != 1 {
		t.Errorf("got %d persons who could not be planned, want 1", r.Planned.Failed)
	}
	w.want(who, "today sms accepted")
	if w.car.count() != 1 {
		t.Errorf("got %d messages, want 1", w.car.count())
	}
}

// An answer that comes after another process gave the try up settles the doubt.
func TestAnswerAfterTheLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.step(w.at(-1, "06:00"))
	other := w.engine(ladder, w.e.Config())
	w.car.fate = func(channel.Message) (channel.Accepted, error) {
		if _, err := other.Dispatch(context.Background(), w.at(-1, "09:32")); err != nil {
			t.Error(err)
		}
		return channel.Accepted{ProviderID: "x"}, nil
	}
	w.step(w.at(-1, "09:30"))
	w.want(who, "before push accepted")
	d, err := w.e.Doubts(t.Context(), w.at(-1, "10:00"), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(d) != 0 {
		t.Errorf("got %d in doubt, want none", len(d))
	}
}

// A reversal after a claim was taken back brings the reminder back.
func TestReversalAfterRecall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	a, b := sameBucket(t)
	w.apply(w.at(-5, "10:00"), append(person(a), person(b)...)...)
	w.step(w.at(0, "00:01"))
	cfg := w.e.Config()
	cfg.Workers = 1
	w.e = w.engine(ladder, cfg)
	var other duly.BorrowerID
	w.car.fate = func(m channel.Message) (channel.Accepted, error) {
		if other == "" {
			if other = a; m.BorrowerID == a {
				other = b
			}
			if _, err := w.e.Apply(context.Background(), w.at(0, "12:00"), "test", []duly.Fact{payment(other, "P", 101_50, w.at(0, "12:00"))}); err != nil {
				t.Error(err)
			}
		}
		return channel.Accepted{}, nil
	}
	w.step(w.at(0, "12:00"))
	w.step(w.at(0, "12:01"))
	w.want(other, "today sms cancelled paid")
	undo := payment(other, "R", 101_50, w.at(0, "13:00"))
	undo.Reverses = "P"
	w.apply(w.at(0, "13:00"), undo)
	w.step(w.at(0, "13:01"))
	w.want(other, "today sms accepted")
	if w.car.count() != 2 {
		t.Errorf("got %d messages, want 2", w.car.count())
	}
}

// A payment that was refused because its loan is not known yet is not forgotten: the feed does not move past it, and the
// same file, imported again, applies it.
func TestRefusedPaymentIsNotForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	file := filepath.Join(t.TempDir(), "p.csv")
	write(t, file, "borrower_id,payment_id,loan_id,currency,amount,value_at,arrived_at\n,P1,L-B1,CNY,101.50,2026-03-09 10:00:00,2026-03-09 10:00:00\n")
	r := w.importFile(w.at(-1, "11:00"), file, "duly-payments")
	if r.Bad != 1 || r.Complete || !r.FeedHeld {
		t.Errorf("got %+v, want one bad row, not complete, feed held", r)
	}
	if at, err := w.db.FeedAt(t.Context(), engine.FeedPayments); err != nil || !at.IsZero() {
		t.Errorf("the feed moved to %s past a payment that is not applied (%v)", at, err)
	}
	w.apply(w.at(-1, "11:30"), person(who)...)
	r = w.importFile(w.at(-1, "12:00"), file, "duly-payments")
	if r.Good != 1 || !r.Complete || r.Settled != 1 {
		t.Errorf("imported again: got %+v, want the payment applied", r)
	}
	w.step(w.at(0, "12:00"))
	if w.car.count() != 0 {
		t.Errorf("someone who has paid was contacted")
	}
}

// A row that an earlier run of the file found wrong keeps the feed where it is, also when another run goes on behind it.
func TestFeedRemembersBadRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	file := filepath.Join(t.TempDir(), "p.csv")
	write(t, file, "borrower_id,payment_id,loan_id,currency,amount,value_at,arrived_at\n"+
		",P0,L-B1,CNY,nonsense,2026-03-09 09:00:00,2026-03-09 09:00:00\n"+
		",P1,L-B1,CNY,1.50,2026-03-09 10:00:00,2026-03-09 10:00:00\n")
	w.importFile(w.at(-1, "11:00"), file, "duly-payments")
	w.apply(w.at(-1, "11:30"), person(who)...)
	r := w.importFile(w.at(-1, "12:00"), file, "duly-payments")
	if r.Skipped != 1 || r.Good != 1 || !r.FeedHeld {
		t.Errorf("got %+v, want one row skipped, one applied and the feed held", r)
	}
	if at, err := w.db.FeedAt(t.Context(), engine.FeedPayments); err != nil || !at.IsZero() {
		t.Errorf("the feed moved to %s past a row that nobody could read (%v)", at, err)
	}
}

// A payment that says it arrives in years does not make the feed fresh for years.
func TestFeedNeverAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	file := filepath.Join(t.TempDir(), "p.csv")
	write(t, file, "borrower_id,payment_id,loan_id,currency,amount,value_at,arrived_at\n,P1,L-B1,CNY,1.50,2026-03-09 10:00:00,2062-03-09 10:00:00\n")
	now := w.at(-1, "11:00")
	w.importFile(now, file, "duly-payments")
	if at, err := w.db.FeedAt(t.Context(), engine.FeedPayments); err != nil || at.After(now) {
		t.Errorf("the feed is said to be complete up to %s at %s (%v)", at, now, err)
	}
}

// An answer that the store has to write twice counts once.
func TestAnswerWrittenTwice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.step(w.at(0, "06:00"))
		if err := w.e.FeedThrough(t.Context(), w.at(0, "09:30"), engine.FeedPayments, w.at(0, "09:30")); err != nil {
			t.Fatal(err)
		}
		if err := w.e.RecallTwice(t.Context(), w.at(0, "09:30"), who.Bucket()); err != nil {
			t.Fatal(err)
		}
		if c := w.contacts(who); c[0].Attempts != 0 || !c[0].SentAt.IsZero() {
			t.Errorf("got %d attempts, sent at %s; want none", c[0].Attempts, c[0].SentAt)
		}
		w.step(w.at(0, "09:31"))
		w.want(who, "today sms accepted")
	})
}

func (w *world) importFile(now time.Time, file, mapping string) engine.ImportReport {
	w.t.Helper()
	src, err := mappings.FS.ReadFile(mapping + ".yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := ingest.LoadMapping(mapping+".yaml", src)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := w.e.Import(w.t.Context(), now, file, engine.ImportOptions{Mapping: m})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is said of a loan in another currency than the loan's is refused, row by row.
func TestWrongCurrency(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		in := person(who)[4].(*duly.Installment)
		in.Version, in.Principal.Currency, in.Interest.Currency, in.Fee.Currency = 2, "USD", "USD", "USD"
		pay := payment(who, "P", 1_00, w.at(-4, "10:00"))
		pay.Amount.Currency = "USD"
		a, err := w.e.Apply(t.Context(), w.at(-4, "10:00"), "test", []duly.Fact{in, pay, payment(who, "Q", 1_00, w.at(-4, "10:00"))})
		if err != nil {
			t.Fatal(err)
		}
		want := []store.PutResult{store.WrongCurrency, store.WrongCurrency, store.Added}
		if !slices.Equal(a.Results, want) {
			t.Errorf("got %v, want %v", a.Results, want)
		}
	})
}

// A receipt that names only the provider's id and overtakes the answer that tells this id is not lost.
func TestReceiptBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.car.fate = func(channel.Message) (channel.Accepted, error) {
			var r engine.ReceiveReport
			early := duly.Receipt{Provider: "test", Key: "k", ProviderID: "x", Status: duly.ReceiptDelivered, At: w.at(-1, "09:30")}
			if err := w.e.Accept(context.Background(), w.at(-1, "09:30"), []duly.Receipt{early}, &r); err != nil || r.Orphans != 1 {
				t.Errorf("got %+v, %v; want one receipt without a known attempt", r, err)
			}
			return channel.Accepted{ProviderID: "x"}, nil
		}
		w.step(w.at(-1, "09:30"))
		w.step(w.at(-1, "09:35"))
		w.want(who, "before push delivered")
		for h := 10; h < 20; h++ {
			w.step(w.at(-1, "09:35").Add(time.Duration(h-9) * time.Hour))
		}
		if w.car.count() != 1 {
			t.Errorf("got %d messages, want 1: the first was delivered", w.car.count())
		}
	})
}
