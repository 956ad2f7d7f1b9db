package storetest

import (
	"context"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

// caseOf makes an open complaint; see Borrower.
func caseOf(b duly.BorrowerID, id duly.CaseID, opened time.Time) *duly.Case {
	return &duly.Case{
		BorrowerID: b, ID: id, Kind: duly.CaseComplaint, LoanID: "L1", Channel: duly.ChannelSMS, State: duly.CaseOpen, OpenedAt: opened,
		Author: "agent-4", Version: 1,
	}
}

func dutyOf(c *duly.Case, rule, demand string, on civil.Date) duly.CaseDuty {
	return duly.CaseDuty{
		BorrowerID: c.BorrowerID, CaseID: c.ID, Rule: rule, Pack: "cn-mainland@1f", TitleZH: "投诉", TitleEN: "Complaint", Demand: demand,
		If: "lender is bank", DueOn: on, DueAt: on.Add(1).At(0, time.UTC), Shadow: true, Source: "Act",
	}
}

// testCases puts cases as facts and reads them in the orders that people ask for.
func testCases(_ *testing.T, w *world) {
	ids := InBucket(13, 2)
	other := InBucket(14, 1)[0]
	first, urgent, done := caseOf(ids[0], "K1", Noon.Add(-2*time.Hour)), caseOf(ids[0], "K2", Noon.Add(-time.Hour)), caseOf(ids[0], "K3", Noon.Add(-3*time.Hour))
	urgent.Kind, urgent.Urgent, urgent.LoanID, urgent.Channel = duly.CaseCrisis, true, "", ""
	done.State, done.DoneAt, done.Outcome, done.Complex = duly.CaseDone, Noon, "upheld", true
	far := caseOf(other, "K1", Noon.Add(-30*time.Minute)) // an id that another borrower has too
	w.same("results", w.put(Borrower(ids[0]), Loan(ids[0], "L1"), Borrower(other), Loan(other, "L1"), first, urgent, done, far),
		[]store.PutResult{store.Added, store.Added, store.Added, store.Added, store.Added, store.Added, store.Added, store.Added})
	again := *first
	w.same("again", w.put(&again, caseOf(ids[1], "K9", Noon), caseOf("nobody", "K9", Noon)), []store.PutResult{store.Same, store.UnknownBorrower, store.UnknownBorrower})
	elsewhere := *first
	elsewhere.ID, elsewhere.LoanID = "K4", "L404"
	w.same("unknown loan", w.put(&elsewhere), []store.PutResult{store.UnknownLoan})

	w.view(func(tx *store.Tx) error {
		got, err := tx.BorrowerCases(ids[0])
		w.same("of a borrower", got, []duly.Case{*urgent, *done, *first})
		if err != nil {
			return err
		}
		if got, err = tx.OpenCases(10); err != nil {
			return err
		}
		w.same("open", got, []duly.Case{*urgent, *first, *far})
		if got, err = tx.OpenCases(1); err != nil {
			return err
		}
		w.same("open, at most one", got, []duly.Case{*urgent})
		got, err = tx.AllCases(10)
		w.same("all", got, []duly.Case{*far, *urgent, *first, *done})
		return err
	})
	found, err := w.db.FindCases(context.Background(), "K1")
	if err != nil {
		w.Fatal(err)
	}
	want := []duly.Case{*first, *far}
	if want[0].BorrowerID > want[1].BorrowerID {
		want[0], want[1] = want[1], want[0]
	}
	w.same("of an id", found, want)
}

// testDuties sets, ends and lists duties.
func testDuties(t *testing.T, w *world) {
	b, other := InBucket(13, 1)[0], InBucket(14, 1)[0]
	c, far := caseOf(b, "K1", Noon), caseOf(other, "K1", Noon)
	w.put(Borrower(b), Loan(b, "L1"), Borrower(other), Loan(other, "L1"), c, far)
	day := civil.On(2026, 3, 10)
	answer, keep, erase, wait := dutyOf(c, "R-1", "within", day.Add(5)), dutyOf(c, "R-2", "keep", day.Add(9)), dutyOf(c, "R-3", "erase", day.Add(-1)), dutyOf(c, "R-4", "wait", day.Add(-1))
	unknown := dutyOf(c, "R-5", "within", civil.Date{})
	unknown.DueAt, unknown.Lack, unknown.Shadow, unknown.If = time.Time{}, "calendar_missing", false, ""
	farther := dutyOf(far, "R-1", "within", day.Add(6))
	before := w.bucket(13).Version
	w.update([]int{13, 14}, func(tx *store.Tx) error {
		if err := tx.SetDuties(c, []duly.CaseDuty{answer, keep, erase, wait, unknown}); err != nil {
			return err
		}
		return tx.SetDuties(far, []duly.CaseDuty{farther})
	})
	if got := w.bucket(13).Version; got != before+1 {
		t.Errorf("version: got %d, want %d", got, before+1)
	}
	w.view(func(tx *store.Tx) error {
		got, err := tx.Duties(b, "K1")
		w.same("of a case", got, []duly.CaseDuty{unknown, erase, wait, answer, keep})
		if err != nil {
			return err
		}
		if got, err = tx.OpenDuties(Noon, Noon.AddDate(0, 0, 7), 10); err != nil {
			return err
		}
		w.same("open in a week", got, []duly.CaseDuty{unknown, erase, answer, farther})
		if got, err = tx.OpenDuties(Noon, Noon.AddDate(0, 0, 7), 2); err != nil {
			return err
		}
		w.same("open, at most two", got, []duly.CaseDuty{unknown, erase})
		got, err = tx.BorrowerDuties(b, Noon, Noon.AddDate(1, 0, 0))
		w.same("of a borrower", got, []duly.CaseDuty{unknown, erase, answer, keep})
		return err
	})

	w.update([]int{13}, func(tx *store.Tx) error {
		n, err := tx.EndDuties(c, Noon)
		w.same("ended", n, int64(2))
		if err != nil {
			return err
		}
		n, err = tx.EndDuty(c, Noon, "R-3")
		w.same("ended by rule", n, int64(1))
		if err != nil {
			return err
		}
		n, err = tx.EndDuty(c, Noon.Add(time.Hour), "R-3")
		w.same("ended twice", n, int64(0))
		return err
	})
	answer.DoneAt, unknown.DoneAt, erase.DoneAt = Noon, Noon, Noon
	again := dutyOf(c, "R-1", "within", day.Add(20)) // done already: not owed a second time, by whatever pack
	again.Pack = "cn-mainland@2f"
	w.update([]int{13}, func(tx *store.Tx) error { return tx.SetDuties(c, []duly.CaseDuty{again, keep}) })
	w.view(func(tx *store.Tx) error {
		got, err := tx.Duties(b, "K1")
		w.same("after", got, []duly.CaseDuty{unknown, erase, answer, keep})
		return err
	})
	if err := w.try([]int{14}, func(tx *store.Tx) error { return tx.SetDuties(c, nil) }); err == nil {
		t.Error("duties of a bucket that is not held: got no error")
	}
}
