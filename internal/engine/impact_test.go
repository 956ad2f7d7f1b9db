package engine_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/rulepacks"
)

// threeSteps wants three text messages, on the day before, the due day and the day after it.
const threeSteps = `name: test
title: {zh: 测试, en: test}
steps:
  - id: before
    at: due-1d
    window: {from: "09:00", to: "20:00"}
    channels: [{channel: sms}]
    tone: friendly
    template: due-tomorrow
    catch_up: expire
  - id: today
    at: due
    window: {from: "09:00", to: "20:00"}
    channels: [{channel: sms}]
    tone: plain
    template: due-today
    catch_up: expire
  - id: after
    at: due+1d
    window: {from: "09:00", to: "20:00"}
    channels: [{channel: sms}]
    tone: plain
    template: overdue-plain
    catch_up: expire
`

// pack makes a pack of one rule.
func pack(t *testing.T, id, text string) *rule.Pack {
	t.Helper()
	return packOf(t, id, "policy", text)
}

func packOf(t *testing.T, id, force, text string) *rule.Pack {
	t.Helper()
	head := "id: " + id + "\nversion: \"1\"\njurisdiction: \"*\"\ntitle: {zh: 试, en: trial}\nrules:\n  - id: T-1\n    title: {zh: 试, en: trial}\n    force: " + force + "\n" +
		"    source: {instrument: trial, read: primary, checked_on: 2026-03-01, reviewer: null}\n"
	p, err := rule.Load(id+".yaml", []byte(head+text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) impact(now time.Time, days int, packs ...*rule.Pack) engine.Impact {
	w.t.Helper()
	m, err := w.e.Impact(w.t.Context(), now, packs, days)
	if err != nil {
		w.t.Fatal(err)
	}
	sum := engine.Effect{}
	for _, r := range m.Rows {
		if r.Considered != r.Same+r.Gained+r.Lost+r.Moved {
			w.t.Errorf("row %+v does not close", r)
		}
		sum.Considered, sum.Same, sum.Gained, sum.Lost, sum.Moved = sum.Considered+r.Considered, sum.Same+r.Same, sum.Gained+r.Gained, sum.Lost+r.Lost, sum.Moved+r.Moved
	}
	if got := (engine.Effect{Considered: m.Considered, Same: m.Same, Gained: m.Gained, Lost: m.Lost, Moved: m.Moved}); got != sum || m.Considered != m.Same+m.Gained+m.Lost+m.Moved {
		w.t.Errorf("the totals %+v are not those of the rows %+v", got, sum)
	}
	if len(m.Examples) > 10 {
		w.t.Errorf("got %d examples, want at most 10", len(m.Examples))
	}
	return m
}

func rows(m engine.Impact) []string {
	out := []string{}
	for _, r := range m.Rows {
		out = append(out, fmt.Sprintf("%s %s %s: same %d gained %d lost %d moved %d by %d", r.Step, r.Channel, r.Reason, r.Same, r.Gained, r.Lost, r.Moved, r.ShiftMax))
	}
	return out
}

func TestImpact(t *testing.T) {
	t.Parallel()
	w := newLedger(t, storetest.Open(t, "sqlite"), threeSteps)
	const refuses = duly.BorrowerID("B2")
	w.apply(w.at(-5, "10:00"), append(person(who), person(refuses)...)...)
	w.apply(w.at(-5, "10:00"), &duly.OptOut{BorrowerID: refuses, ID: "o", Key: "sms", At: w.at(-5, "10:00"), Version: 1})
	w.step(w.at(-1, "07:00")) // that of the day before is planned, and refused to the other
	now := w.at(-1, "07:30")
	versions := func() (out [2]int64) {
		err := w.db.View(t.Context(), func(tx *store.Tx) error {
			for i, id := range []duly.BorrowerID{who, refuses} {
				b, err := tx.Bucket(id.Bucket())
				if err != nil {
					return err
				}
				out[i] = b.Version
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := versions()
	const refused = "borrower_refused_channel"
	same := func(step string) []string {
		return []string{step + " sms : same 1 gained 0 lost 0 moved 0 by 0", step + " sms " + refused + ": same 1 gained 0 lost 0 moved 0 by 0"}
	}
	for _, c := range []struct {
		name string
		pack *rule.Pack
		want []string
	}{
		{"hours from eleven", pack(t, "trial", "    kind: contact_window\n    when: {channel: [sms]}\n    params: {days: {\"*\": [\"11:00\", \"19:00\"]}}\n    effect: defer\n    reason: trial_hours\n"),
			[]string{
				"after sms " + refused + ": same 1 gained 0 lost 0 moved 0 by 0", "after sms trial_hours: same 0 gained 0 lost 0 moved 1 by 120",
				"before sms " + refused + ": same 1 gained 0 lost 0 moved 0 by 0", "before sms trial_hours: same 0 gained 0 lost 0 moved 1 by 120",
				"today sms " + refused + ": same 1 gained 0 lost 0 moved 0 by 0", "today sms trial_hours: same 0 gained 0 lost 0 moved 1 by 120",
			}},
		// What is foreseen for the day before counts on the day after it.
		{"one in two days", pack(t, "trial", "    kind: frequency_cap\n    params: {limit: 1, period: \"rolling_days:2\", scope: [person]}\n    effect: defer\n    reason: trial_cap\n"),
			append(append(same("after"), same("before")...),
				"today sms "+refused+": same 1 gained 0 lost 0 moved 0 by 0", "today sms trial_cap: same 0 gained 0 lost 1 moved 0 by 0")},
		// Words are judged, though a plan does not know them.
		{"words of today", pack(t, "trial", "    kind: content\n    when: {purpose: [due_day_reminder]}\n    params: {must_not: [\"今天|今日\"]}\n    effect: block\n    reason: trial_words\n"),
			append(append(same("after"), same("before")...),
				"today sms "+refused+": same 1 gained 0 lost 0 moved 0 by 0", "today sms trial_words: same 0 gained 0 lost 1 moved 0 by 0")},
		{"words of every message", pack(t, "trial", "    kind: content\n    params: {must_not: [\"您\"]}\n    effect: block\n    reason: trial_words\n"),
			[]string{
				"after sms " + refused + ": same 1 gained 0 lost 0 moved 0 by 0", "after sms trial_words: same 0 gained 0 lost 1 moved 0 by 0",
				"before sms " + refused + ": same 1 gained 0 lost 0 moved 0 by 0", "before sms trial_words: same 0 gained 0 lost 1 moved 0 by 0",
				"today sms " + refused + ": same 1 gained 0 lost 0 moved 0 by 0", "today sms trial_words: same 0 gained 0 lost 1 moved 0 by 0",
			}},
		{"the default policy without refusals of channels", without(t, "policy-default", "POL-06"),
			[]string{
				"after sms : same 1 gained 0 lost 0 moved 0 by 0", "after sms " + refused + ": same 0 gained 1 lost 0 moved 0 by 0",
				"before sms : same 1 gained 0 lost 0 moved 0 by 0", "before sms " + refused + ": same 0 gained 1 lost 0 moved 0 by 0",
				"today sms : same 1 gained 0 lost 0 moved 0 by 0", "today sms " + refused + ": same 0 gained 1 lost 0 moved 0 by 0",
			}},
	} {
		m := w.impact(now, 3, c.pack)
		if d := cmp.Diff(c.want, rows(m)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
		if m.Persons != 2 || m.Failed != 0 || len(m.Examples) != m.Gained+m.Lost+m.Moved {
			t.Errorf("%s: got %d persons, %d failed, %d examples", c.name, m.Persons, m.Failed, len(m.Examples))
		}
	}
	m := w.impact(now, 3, pack(t, "trial", "    kind: contact_window\n    params: {days: {\"*\": [\"11:00\", \"19:00\"]}}\n    effect: defer\n    reason: trial_hours\n"))
	if d := w.impact(now, 3, packOf(t, "trial", "draft", "    kind: content\n    params: {must_not: [\"您\"]}\n    effect: block\n    reason: trial_words\n")); d.Considered != d.Same || d.Draft != 1 {
		t.Errorf("a rule in draft makes a difference: %+v", d)
	}
	x := m.Examples[0]
	if x.What != "moved" || x.BorrowerID != who || x.Rule != "trial T-1" || !x.Now.Equal(w.at(-1, "09:00")) || !x.Then.Equal(w.at(-1, "11:00")) || x.Shift != 120 {
		t.Errorf("the first example: got %+v", x)
	}
	if m.Moving != 1 || m.Losing != 0 || m.Gaining != 0 {
		t.Errorf("persons: got %d moving, %d losing, %d gaining", m.Moving, m.Losing, m.Gaining)
	}
	if after := versions(); after != before {
		t.Errorf("it wrote: versions were %v, are %v", before, after)
	}
	if _, err := w.e.Impact(t.Context(), now, nil, 0); duly.CodeOf(err) != duly.Usage {
		t.Errorf("of no days: got %v", err)
	}
}

// without is a shipped pack with one rule taken out.
func without(t *testing.T, id, out string) *rule.Pack {
	t.Helper()
	src, err := fs.ReadFile(rulepacks.FS, id+"/pack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(src), "\n  - id: ")
	kept := parts[:1]
	for _, p := range parts[1:] {
		if !strings.HasPrefix(p, out+"\n") {
			kept = append(kept, p)
		}
	}
	if len(kept) != len(parts)-1 {
		t.Fatalf("rule %s is not there once", out)
	}
	p, err := rule.Load(id, []byte(strings.Join(kept, "\n  - id: ")))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What is foreseen comes to pass: with the packs as they are, what would go is what goes when the days come.
func TestImpactComesToPass(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newLedger(t, db, threeSteps)
		var facts []duly.Fact
		for i := range 40 {
			id := duly.BorrowerID(fmt.Sprintf("P%02d", i))
			own := person(id)
			if i%3 == 0 { // lives eight hours further west: nine in the lender's morning is not nine there
				own[0].(*duly.Borrower).Zones = []duly.Zone{{Name: "Europe/London", Source: duly.ZoneAddress}}
			}
			facts = append(facts, own...)
			if i%5 == 0 {
				facts = append(facts, &duly.OptOut{BorrowerID: id, ID: "o", Key: "sms", At: w.at(-5, "10:00"), Version: 1})
			}
			if i%7 == 0 {
				facts = append(facts, &duly.Hold{BorrowerID: id, ID: "h", Kind: "dispute", Scope: duly.HoldPerson, From: w.at(-5, "10:00"), Until: w.at(0, "03:00"), Version: 1})
			}
		}
		w.apply(w.at(-5, "10:00"), facts...)
		m := w.impact(w.at(-1, "00:00"), 3)
		if m.Considered != m.Same {
			t.Errorf("the same packs make a difference: %+v", m.Rows)
		}
		want := map[string]int{}
		for _, r := range m.Rows {
			if r.Reason == "" {
				want[r.Step] += r.Same
			}
		}
		for now := w.at(-1, "00:00"); now.Before(w.at(2, "00:00")); now = now.Add(30 * time.Minute) {
			w.step(now)
		}
		got := map[string]int{}
		for i := range 40 {
			for _, c := range w.contacts(duly.BorrowerID(fmt.Sprintf("P%02d", i))) {
				if c.State.CountsAsSent() {
					got[c.Step]++
				}
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("foreseen and come to pass (-foreseen +sent):\n%s", d)
		}
		if len(want) != 3 || want["today"] < 20 || want["today"] == want["before"] {
			t.Errorf("the test tests little: %v", want)
		}
	})
}
