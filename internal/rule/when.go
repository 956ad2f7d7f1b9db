package rule

import (
	"fmt"

	"github.com/dulyhq/duly"
)

// knownPurpose reports whether rules know the purpose. A contact for any other is blocked.
func knownPurpose(p duly.Purpose) bool {
	switch p {
	case duly.PurposePreDue, duly.PurposeDueDay, duly.PurposeCollection, duly.PurposeMarketing, duly.PurposeLocation,
		duly.PurposeCreditReport, duly.PurposeConsentRequest, duly.PurposeOptOutConfirm, duly.PurposeEnforcement,
		duly.PurposeHardshipDecision, duly.PurposeMandatory:
		return true
	}
	return false
}

// Acts that rules name like channels though Duly sends nothing by them.
const (
	actAPI       duly.Channel = "api" // a report to a credit bureau
	actVisit     duly.Channel = "visit"
	actVoicemail duly.Channel = "voicemail"
	actInbound   duly.Channel = "call_inbound"
)

// knownChannel reports whether rules know the channel.
func knownChannel(c duly.Channel) bool {
	return c.Known() || c == actAPI || c == actVisit || c == actVoicemail || c == actInbound
}

func (o *object) when() When {
	if !o.has("when") {
		return When{}
	}
	w := o.sub("when", "purpose", "channel", "phase", "dpd_gt", "dpd_lte", "actor_third_party")
	out := When{Purpose: w.purposes("purpose"), Channel: w.channels("channel")}
	for i, s := range w.strs("phase") {
		if !Phase(s).Known() {
			w.fail("phase", "value %d is no phase: plan or send", i+1)
		}
		out.Phase = append(out.Phase, Phase(s))
	}
	if w.has("dpd_gt") {
		n := w.whole("dpd_gt", -maxDays, maxDays) + 1
		out.MinDays = &n
	}
	if w.has("dpd_lte") {
		n := w.whole("dpd_lte", -maxDays, maxDays)
		out.MaxDays = &n
	}
	if w.has("actor_third_party") {
		b := w.yes("actor_third_party")
		out.ThirdParty = &b
	}
	return out
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
