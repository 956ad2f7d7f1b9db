package duly

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Verdict is the gate's answer. Allow < Defer < Block: of several answers the strictest wins.
type Verdict int

// The verdicts. The zero Verdict is no answer.
const (
	NoVerdict Verdict = iota
	Allow
	Defer
	Block
)

// String writes the verdict as rule packs and the API do.
func (v Verdict) String() string {
	switch v {
	case NoVerdict:
		return ""
	case Allow:
		return "allow"
	case Defer:
		return "defer"
	case Block:
		return "block"
	}
	return ""
}

// MarshalText writes the verdict as String does.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (v *Verdict) UnmarshalText(b []byte) error {
	for _, w := range []Verdict{NoVerdict, Allow, Defer, Block} {
		if w.String() == string(b) {
			*v = w
			return nil
		}
	}
	return Errorf(Invalid, "not a verdict: allow, defer or block")
}

// Decision is the gate's answer with every reason for it. A decision that does not allow has at least one reason.
type Decision struct {
	Verdict   Verdict   `json:"verdict"`
	NotBefore time.Time `json:"not_before,omitzero"` // for Defer: the first instant at which nothing defers any more
	Reasons   []Reason  `json:"reasons,omitempty"`   // what did not allow, strictest first
	Packs     []string  `json:"packs,omitempty"`     // the rule packs asked, id@hash
}

// Code returns the reason code of the strictest reason, or "".
func (d *Decision) Code() string {
	if len(d.Reasons) == 0 {
		return ""
	}
	return d.Reasons[0].Code
}

// Reason is why one rule did not allow a contact.
type Reason struct {
	Code    string    `json:"code"`  // stable: outside_contact_hours, promise_to_pay_open, …
	Rule    string    `json:"rule"`  // CN-01
	Pack    string    `json:"pack"`  // cn-mainland
	Force   Force     `json:"force"` // what kind of rule it is
	Verdict Verdict   `json:"verdict"`
	Until   time.Time `json:"until,omitzero"`  // for Defer: when this rule lets it pass
	Source  string    `json:"source"`          // the instrument and article
	Facts   string    `json:"facts,omitempty"` // what was seen and what was needed: "22:10 Asia/Shanghai; 08:00–22:00"
}

// Force is what kind of authority a rule has.
type Force string

// The forces, strongest first. Draft rules are reported and never enforced.
const (
	ForceLaw       Force = "law"
	ForceRegulator Force = "regulator"
	ForceStandard  Force = "standard"
	ForceSelfReg   Force = "self_reg"
	ForceCarrier   Force = "carrier"
	ForcePolicy    Force = "policy"
	ForceDraft     Force = "draft"
)

// Known reports whether f is one of the forces above.
func (f Force) Known() bool {
	switch f {
	case ForceLaw, ForceRegulator, ForceStandard, ForceSelfReg, ForceCarrier, ForcePolicy, ForceDraft:
		return true
	}
	return false
}

// Hash returns the first 16 bytes of SHA-256 over the decision as JSON, in hexadecimal: two decisions are the same if, and only
// if, their hashes are.
func (d *Decision) Hash() string {
	b, err := json.Marshal(d)
	if err != nil {
		panic("duly.Decision: " + err.Error()) // plain structs of texts and times always marshal
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
