package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// said is a receipt: what it says, and when its provider saw it and told it, in minutes after the message went out.
type said struct {
	status  duly.ReceiptStatus
	at, due int
}

// Receipts come early, late, twice, out of order and against each other: what a contact becomes depends on what was seen when, and
// never goes down from read, nor from delivered by what was seen before.
func TestReceiptLattice(t *testing.T) {
	t.Parallel()
	const days = 24 * 60
	for _, c := range []struct {
		name  string
		class channel.Class // of the answer; "": taken
		told  []said
		want  string
	}{
		{"nothing", "", nil, "accepted"},
		{"in order", "", []said{{duly.ReceiptAccepted, 1, 1}, {duly.ReceiptDelivered, 2, 2}, {duly.ReceiptRead, 3, 3}}, "read"},
		{"in the opposite order", "", []said{{duly.ReceiptRead, 3, 4}, {duly.ReceiptDelivered, 2, 5}, {duly.ReceiptAccepted, 1, 6}}, "read"},
		{"accepted after delivered", "", []said{{duly.ReceiptDelivered, 2, 2}, {duly.ReceiptAccepted, 1, 3}}, "delivered"},
		{"twice", "", []said{{duly.ReceiptDelivered, 2, 2}, {duly.ReceiptDelivered, 2, 2}, {duly.ReceiptDelivered, 2, 9}}, "delivered"},
		{"late", "", []said{{duly.ReceiptDelivered, 2, 3 * days}}, "delivered"},
		{"late, after it had failed", "", []said{{duly.ReceiptFailed, 2, 2}, {duly.ReceiptDelivered, 3, 3 * days}}, "delivered"},
		{"failed", "", []said{{duly.ReceiptFailed, 2, 2}}, "failed failed"},
		{"failed ranks under delivered", "", []said{{duly.ReceiptDelivered, 5, 6}, {duly.ReceiptFailed, 4, 7}}, "delivered"},
		{"failed under delivered, told first", "", []said{{duly.ReceiptFailed, 4, 5}, {duly.ReceiptDelivered, 5, 6}}, "delivered"},
		{"a bounce after it was delivered stands", "", []said{{duly.ReceiptDelivered, 5, 6}, {duly.ReceiptFailed, 8, 9}}, "failed failed"},
		{"nobody reads what failed, but one did", "", []said{{duly.ReceiptFailed, 2, 2}, {duly.ReceiptRead, 3, 3}}, "read"},
		{"read stands against a later failure", "", []said{{duly.ReceiptRead, 3, 3}, {duly.ReceiptFailed, 9, 9}, {duly.ReceiptBadAddress, 10, 10}}, "read"},
		{"failed and failed", "", []said{{duly.ReceiptFailed, 2, 2}, {duly.ReceiptFailed, 3, 3}}, "failed failed"},
		{"never taken, by its log, and it said that it was", "", []said{{duly.ReceiptNotTaken, 2, 2}}, "accepted"},
		{"in doubt, and delivered", channel.Unknown, []said{{duly.ReceiptDelivered, 2, 2}}, "delivered"},
		{"in doubt, and accepted", channel.Unknown, []said{{duly.ReceiptAccepted, 2, 2}}, "accepted"},
		{"in doubt, and never taken", channel.Unknown, []said{{duly.ReceiptNotTaken, 2, 2}}, "failed not_taken"},
		{"never taken, and delivered all the same", channel.Unknown, []said{{duly.ReceiptNotTaken, 2, 2}, {duly.ReceiptDelivered, 1, 5}}, "delivered"},
		{"in doubt, and what is no status", channel.Unknown, []said{{"pigeon", 2, 2}}, "in_doubt told_so"},
		{"refused, and delivered all the same", channel.Permanent, []said{{duly.ReceiptDelivered, 2, 2}}, "delivered"},
		{"to be tried again, and delivered", channel.Temporary, []said{{duly.ReceiptDelivered, 0, 0}}, "delivered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.Open(t, "sqlite"))
			if c.class != "" {
				w.car.fate = refuse(c.class)
			}
			w.apply(w.at(-5, "10:00"), person(who)...)
			start := w.at(0, "12:00")
			w.step(start)
			w.car.fate = nil
			id, last := w.car.sent[0].AttemptID, 0
			for i, s := range c.told {
				rc := duly.Receipt{Provider: "test", Key: fmt.Sprint(i), AttemptID: id, Status: s.status, At: start.Add(time.Duration(s.at) * time.Minute)}
				if i > 0 && c.told[i-1].status == s.status && c.told[i-1].at == s.at {
					rc.Key = "same"
				}
				last = s.due
				w.accept(start.Add(time.Duration(last)*time.Minute), rc)
				w.receive(start.Add(time.Duration(last) * time.Minute))
			}
			w.want(who, "today sms "+c.want)
			if c.class == "" && w.car.count() != 1 {
				t.Errorf("%d messages went out", w.car.count())
			}
		})
	}
}

func (w *world) accept(now time.Time, receipts ...duly.Receipt) {
	w.t.Helper()
	var r engine.ReceiveReport
	if err := w.e.Accept(w.t.Context(), now, receipts, &r); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) receive(now time.Time) (sum engine.ReceiveReport) {
	w.t.Helper()
	r, err := w.e.Receive(w.t.Context(), now)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// A receipt that is told while the carrier is still answering, by the carrier's own reference, is parked: nobody knows it yet. It is
// applied as soon as the answer is stored.
func TestReceiptBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		now := w.at(0, "12:00")
		w.car.fate = func(m channel.Message) (channel.Accepted, error) {
			for range 2 {
				w.accept(now, duly.Receipt{Provider: "test", Key: "k", ProviderID: "theirs", Status: duly.ReceiptDelivered, At: now})
			}
			return channel.Accepted{ProviderID: "theirs"}, nil
		}
		w.step(now)
		r := w.receive(now.Add(time.Second))
		w.want(who, "today sms delivered")
		if parked, given, err := db.CountOrphans(t.Context()); err != nil || parked+given != 0 || r.Traced > 1 {
			t.Errorf("%d parked, %d given up, %v", parked, given, err)
		}
	})
}

// A receipt that nobody ever knows is looked for less and less often, for three days; then it is reported, and looked for no more.
// However many of them there are, one that has an attempt is found.
func TestUnknownReceipts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	start := w.at(0, "12:00")
	var odd []duly.Receipt
	for i := range 500 {
		odd = append(odd, duly.Receipt{Provider: "test", Key: fmt.Sprint("odd", i), ProviderID: fmt.Sprint("nobody-", i), Status: duly.ReceiptRead, At: start})
	}
	w.accept(start, odd...)
	w.step(start)
	w.accept(start, duly.Receipt{Provider: "test", Key: "k", ProviderID: "p-" + string(w.car.sent[0].AttemptID), Status: duly.ReceiptDelivered, At: start})
	w.accept(start, duly.Receipt{Provider: "other", Key: "k", ProviderID: "p-" + string(w.car.sent[0].AttemptID), Status: duly.ReceiptFailed, At: start})
	for s := range 10 {
		w.receive(start.Add(time.Duration(s) * time.Second))
	}
	w.want(who, "today sms delivered")
	count := func() (parked, given int) {
		t.Helper()
		parked, given, err := w.db.CountOrphans(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return parked, given
	}
	if parked, given := count(); parked != 501 || given != 0 {
		t.Errorf("got %d parked and %d given up, want 501 and none: one of them is another carrier's", parked, given)
	}
	gone := 0
	for h := 1; h < 80; h++ {
		for range 4 {
			gone += w.receive(start.Add(time.Duration(h) * time.Hour)).GivenUp
		}
		if parked, given := count(); h < 72 && given > 0 || h > 75 && parked > 0 {
			t.Fatalf("after %d hours: %d parked, %d given up", h, parked, given)
		}
	}
	if gone != 501 {
		t.Errorf("%d were reported, want all 501", gone)
	}
}

// A provider's log is held against what was sent: what each side lacks is told, and what it proves of messages in doubt is settled by
// the rules of receipts.
func TestReconcile(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, alpha, _ := routed(t, db, route.Config{Limits: map[string]route.Limits{"alpha": {Price: &route.Price{Currency: "CNY", Segment: 35_000}}}}, nil)
		ids := []duly.BorrowerID{"sent", "lost", "doubt-delivered", "doubt-absent", "refused", "doubt-odd"}
		for _, id := range ids {
			w.apply(w.at(-5, "10:00"), person(id)...)
		}
		alpha.fate = func(m channel.Message) (channel.Accepted, error) {
			switch {
			case strings.HasPrefix(string(m.BorrowerID), "doubt"):
				return refuse(channel.Unknown)(m)
			case m.BorrowerID == "refused":
				return refuse(channel.Permanent)(m)
			}
			return channel.Accepted{ProviderID: "ref-" + string(m.BorrowerID), Segments: 2}, nil
		}
		now := w.at(0, "12:00")
		w.step(now)
		log := "\ufeffRef,MsgID,State,Parts,Price,When\n"
		add := func(ref duly.AttemptID, id, state, parts, price string) {
			log += fmt.Sprintf("%s,%s,%s,%s,%s,2026-03-10 12:00:05\n", ref, id, state, parts, price)
		}
		add("", "ref-sent", "DELIVRD", "3", "-0.105")
		add(w.attempt("doubt-delivered", 1), "x1", "DELIVRD", "2", "0.07")
		add(w.attempt("doubt-odd", 1), "x2", "GESENDET?", "", "")
		add(w.attempt("refused", 1), "x3", "sent", "2", "")
		add("a0000", "x4", "DELIVRD", "1", "")
		add("", "nobody", "DELIVRD", "1", "")
		add("", "ref-sent", "DELIVRD", "3", "0.105")
		read := func() []ingest.LogLine {
			t.Helper()
			lines, err := ingest.ReadLog(strings.NewReader(log), "log.csv", ingest.LogFormat{Location: w.loc,
				Columns: map[string]string{"attempt": "Ref", "provider_id": "MsgID", "status": "State", "segments": "Parts", "price": "Price", "time": "When"}})
			if err != nil {
				t.Fatal(err)
			}
			return lines
		}
		ask := engine.ReconcileAsk{Carrier: "alpha", Lines: read(), From: w.at(0, "00:00"), Until: w.at(1, "00:00"), Complete: true}
		r, err := w.e.Reconcile(t.Context(), w.at(1, "09:00"), ask)
		if err != nil {
			t.Fatal(err)
		}
		if r.Lines != 7 || r.Matched != 4 || r.Again != 1 || r.OnlyLog != 2 || r.Ours != 5 || r.OnlyOurs != 1 || r.Refused != 1 || r.Doubts != 3 || r.Proved != 1 || r.NotTaken != 1 || r.Settled != 0 ||
			r.Words["GESENDET?"] != 1 || r.Segments.Theirs != 5 || r.Cost.Theirs != 175_000 || r.Cost.Ours < 2*70_000-35_000 || r.Cost.Ours%35_000 != 0 {
			t.Errorf("got %+v", r)
		}
		if r.Lines != r.Matched+r.Again+r.OnlyLog || r.Ours != r.Matched-r.Refused+r.OnlyOurs+r.NotTaken {
			t.Errorf("it does not close: %+v", r)
		}
		w.want("doubt-delivered", "today sms in_doubt told_so")
		ask.Settle, ask.Words = true, map[string]duly.ReceiptStatus{"GESENDET?": duly.ReceiptAccepted}
		for want := 3; want >= 0; want -= 3 { // a second time nothing is new
			if r, err = w.e.Reconcile(t.Context(), w.at(1, "09:00"), ask); err != nil || r.Settled != want {
				t.Fatalf("got %+v, %v; want %d settled", r, err, want)
			}
			w.receive(w.at(1, "09:00"))
		}
		w.want("doubt-delivered", "today sms delivered")
		w.want("doubt-odd", "today sms accepted")
		w.want("doubt-absent", "today sms failed not_taken")
		w.want("lost", "today sms accepted")
		w.want("refused", "today sms failed told_so")
		if got := w.tries("doubt-absent", 0) + ", " + w.tries("doubt-delivered", 0); got != "alpha refused, alpha accepted" {
			t.Errorf("got %s", got)
		}
		for _, c := range []struct {
			ask engine.ReconcileAsk
			say string
		}{
			{engine.ReconcileAsk{Carrier: "gamma"}, "no carrier of this name"},
			{engine.ReconcileAsk{Carrier: "alpha", Lines: ask.Lines, Complete: true}, "not said from when"},
			{engine.ReconcileAsk{Carrier: "alpha", From: w.at(0, "00:00")}, "together"},
			{engine.ReconcileAsk{Carrier: "alpha", From: w.at(0, "00:00"), Until: w.at(90, "00:00")}, "40 days"},
			{engine.ReconcileAsk{Carrier: "alpha"}, "has no times"},
			{engine.ReconcileAsk{Carrier: "alpha", Words: map[string]duly.ReceiptStatus{"x": "y"}}, "no status"},
		} {
			if _, err := w.e.Reconcile(t.Context(), now, c.ask); err == nil || !strings.Contains(err.Error(), c.say) {
				t.Errorf("got %v, want it to say %q", err, c.say)
			}
		}
	})
}
