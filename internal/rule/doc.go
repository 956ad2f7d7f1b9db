// Package rule holds what law and limits require of a contact: rule packs, read from YAML into compiled rules that judge
// [Facts]. It keeps one law of its own: what is not known is never allowed.
//
// A pack is dated data with its sources, named by the hash of its text:
//
//	id: cn-mainland
//	version: "2026.02"
//	jurisdiction: CN
//	rules:
//	  - id: CN-01
//	    kind: contact_window
//	    title: {zh: 催收时间, en: Collection hours}
//	    force: standard
//	    when: {purpose: [collection]}
//	    params: {days: {"*": ["08:00", "22:00"]}}
//	    unless_consent: out_of_hours
//	    effect: defer
//	    reason: outside_contact_hours
//	    source: {instrument: GB/T 45251-2025, read: secondary, checked_on: 2026-11-23, reviewer: null}
//
// [Load] reads a pack, [NewSet] compiles several into one [Set], and package gate asks the set. What kinds of rules there
// are, and the parameters of each, is the table in kind.go; a kind is one file and one row there.
package rule
