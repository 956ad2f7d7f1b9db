package duly_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// canonicalSum is the hash of the form, computed by another program.
const canonicalSum = "bc4b6aed8f10a68c00b0821ca0f00fa54e8e61e2ae25127581997f94553e4b17"

func certificate() duly.Certificate {
	items := []duly.Item{
		{LoanID: "L1", No: 3, DueOn: civil.On(2026, 3, 10), Outstanding: money.New(101_50, "CNY")},
		{LoanID: "L2", No: 1, DueOn: civil.On(2026, 3, 11), Outstanding: money.New(7, "USD")},
		{LoanID: "L1", No: 4, DueOn: civil.On(2026, 4, 10), Outstanding: money.New(1, "CNY")},
	}
	return duly.Certificate{
		Attempt: "a067-1", Contact: "c067", Carrier: "sms", ClaimedAt: time.Date(2026, 3, 10, 4, 0, 0, 1000, time.UTC),
		Known: duly.Knowledge{
			LedgerVersion: 12, FeedAt: time.Date(2026, 3, 10, 3, 59, 0, 0, time.UTC), FeedAge: 60, Outstanding: duly.OutstandingOf(items), Items: items,
			Packs: []string{"cn-mainland@1f"}, Strategy: "s@1", Decision: "d", Text: "t", Entry: 9,
		},
	}
}

// Whatever is changed in a certificate, its canonical form is another; and it comes back from JSON as it was.
func TestCanonical(t *testing.T) {
	t.Parallel()
	c := certificate()
	if o := c.Known.Outstanding; len(o) != 2 || o[0] != money.New(101_51, "CNY") || o[1] != money.New(7, "USD") {
		t.Errorf("outstanding: got %v, want CNY 101.51 and USD 0.07", o)
	}
	want := c.Canonical()
	for what, change := range map[string]func(c *duly.Certificate){
		"attempt": func(c *duly.Certificate) { c.Attempt += "1" }, "contact": func(c *duly.Certificate) { c.Contact = "" },
		"carrier":       func(c *duly.Certificate) { c.Carrier = "s" },
		"claimed at":    func(c *duly.Certificate) { c.ClaimedAt = c.ClaimedAt.Add(time.Microsecond) },
		"version":       func(c *duly.Certificate) { c.Known.LedgerVersion++ },
		"feed at":       func(c *duly.Certificate) { c.Known.FeedAt = time.Time{} },
		"feed age":      func(c *duly.Certificate) { c.Known.FeedAge-- },
		"owed":          func(c *duly.Certificate) { c.Known.Outstanding[1].Minor++ },
		"currency":      func(c *duly.Certificate) { c.Known.Outstanding[1].Currency = "EUR" },
		"an item less":  func(c *duly.Certificate) { c.Known.Items = c.Known.Items[:2] },
		"an item's no":  func(c *duly.Certificate) { c.Known.Items[0].No++ },
		"an item's day": func(c *duly.Certificate) { c.Known.Items[0].DueOn = c.Known.Items[0].DueOn.Add(1) },
		"an item owed":  func(c *duly.Certificate) { c.Known.Items[0].Outstanding.Minor-- },
		"an item's loan": func(c *duly.Certificate) {
			c.Known.Items[0].LoanID = "L2"
		},
		"packs":          func(c *duly.Certificate) { c.Known.Packs = append(c.Known.Packs, "") },
		"words moved":    func(c *duly.Certificate) { c.Known.Decision, c.Known.Text = "", "dt" },
		"strategy":       func(c *duly.Certificate) { c.Known.Strategy = "s@2" },
		"entry":          func(c *duly.Certificate) { c.Known.Entry++ },
		"pack and more":  func(c *duly.Certificate) { c.Known.Packs, c.Known.Strategy = nil, "cn-mainland@1fs@1" },
		"two currencies": func(c *duly.Certificate) { c.Known.Outstanding = c.Known.Outstanding[:1] },
	} {
		changed := certificate()
		change(&changed)
		if bytes.Equal(changed.Canonical(), want) {
			t.Errorf("%s: the form is the same", what)
		}
	}
	raw, err := json.Marshal(&c)
	var back duly.Certificate
	if err != nil || json.Unmarshal(raw, &back) != nil || !bytes.Equal(back.Canonical(), want) {
		t.Errorf("after JSON the form is another: %s, %v", raw, err)
	}
	sum := sha256.Sum256(want)
	if got := hex.EncodeToString(sum[:]); got != canonicalSum {
		t.Errorf("the form is not what it was: got %s", got)
	}
}

func TestMasked(t *testing.T) {
	t.Parallel()
	for id, want := range map[duly.BorrowerID]string{"": "…", "D1": "…", "D00001": "…", "D000001": "…001", "客户零零零零一号": "…零一号"} {
		if got := id.Masked(); got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
	}
}
