package rule

import (
	"fmt"
	"slices"

	"github.com/dulyhq/duly"
)

// knownPurpose reports whether rules know the purpose. A contact for any other is blocked.
func knownPurpose(p duly.Purpose) bool { return slices.Contains(everyPurpose, p) }

// Acts that rules name like channels though Duly sends nothing by them.
const (
	actAPI       duly.Channel = "api" // a report to a credit bureau
	actVisit     duly.Channel = "visit"
	actVoicemail duly.Channel = "voicemail"
	actInbound   duly.Channel = "call_inbound"
)

// knownChannel reports whether rules know the channel.
func knownChannel(c duly.Channel) bool { return slices.Contains(everyChannel, c) }

// factDays is how many days past due the contact is, as rules name it.
const factDays = "days_past_due"

// conditionKeys are the keys by which a rule, and its pack, choose contacts besides purpose, channel and phase.
var conditionKeys = []string{"dpd_gt", "dpd_lte", "actor_third_party", "product", "product_not", "credit_purchaser"}

func (o *object) when() When {
	if !o.has("when") {
		return When{}
	}
	w := o.sub("when", append([]string{"purpose", "channel", "phase"}, conditionKeys...)...)
	out := When{Purpose: w.purposes("purpose"), Channel: w.channels("channel")}
	for i, s := range w.strs("phase") {
		if !Phase(s).Known() {
			w.fail("phase", "value %d is no phase: plan or send", i+1)
		}
		out.Phase = append(out.Phase, Phase(s))
	}
	w.conditions(&out)
	return out
}

// appliesIf reads the conditions of applies_if over those that are there already.
func (o *object) appliesIf(w *When) {
	if o.has("applies_if") {
		c := o.sub("applies_if", conditionKeys...)
		c.conditions(w)
	}
}

// conditions reads conditions over those that are there already: all of them must hold, so the same is not given twice.
func (o *object) conditions(w *When) {
	twice := func(key string, there bool) {
		if there && o.has(key) {
			o.fail(key, "is given twice: by the rule, and by applies_if of the rule or its pack")
		}
	}
	twice("dpd_gt", w.MinDays != nil)
	twice("dpd_lte", w.MaxDays != nil)
	twice("actor_third_party", w.ThirdParty != nil)
	twice("product", len(w.Product) > 0)
	twice("product_not", len(w.ProductNot) > 0)
	twice("credit_purchaser", w.CreditPurchaser != nil)
	if o.has("dpd_gt") {
		n := o.whole("dpd_gt", -maxDays, maxDays) + 1
		w.MinDays = &n
	}
	if o.has("dpd_lte") {
		n := o.whole("dpd_lte", -maxDays, maxDays)
		w.MaxDays = &n
	}
	if o.has("actor_third_party") {
		b := o.yes("actor_third_party")
		w.ThirdParty = &b
	}
	if o.has("product") {
		w.Product = o.words("product")
	}
	if o.has("product_not") {
		w.ProductNot = o.words("product_not")
	}
	if o.has("credit_purchaser") {
		b := o.yes("credit_purchaser")
		w.CreditPurchaser = &b
	}
}

// words reads one text or a list of them.
func (o *object) words(key string) []string {
	if s, ok := text(o.at[key]); ok && s != "" {
		return []string{s}
	}
	return o.strs(key)
}

// maxDays bounds days past due and ages in days.
const maxDays = 36500

func (o *object) purposes(key string) []duly.Purpose {
	var out []duly.Purpose
	for i, s := range o.strs(key) {
		if !knownPurpose(duly.Purpose(s)) {
			o.r.fail(o.at[key], fmt.Sprintf("%s[%d]", o.path(key), i), "unknown purpose")
		}
		out = append(out, duly.Purpose(s))
	}
	return out
}

func (o *object) channels(key string) []duly.Channel {
	var out []duly.Channel
	for i, s := range o.strs(key) {
		if !knownChannel(duly.Channel(s)) {
			o.r.fail(o.at[key], fmt.Sprintf("%s[%d]", o.path(key), i), "unknown channel")
		}
		out = append(out, duly.Channel(s))
	}
	return out
}
