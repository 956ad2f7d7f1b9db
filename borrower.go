package duly

import (
	"strings"
	"time"
)

// Borrower is a person who owes, as the lender knows them.
type Borrower struct {
	ID       BorrowerID `json:"id"`
	Name     string     `json:"name"`     // personal: shown by role, never logged
	Language string     `json:"language"` // BCP 47: zh-CN, en
	Country  string     `json:"country"`  // ISO 3166 path that rule packs are chosen by: CN, US, US-MA
	Tier     string     `json:"tier"`     // the lender's risk tier, A (safe) to E; "" is unknown
	Segment  string     `json:"segment"`
	Zones    []Zone     `json:"zones"` // every time zone there is evidence for; none means unknown
	Flags    []string   `json:"flags"` // circumstances: vulnerable, debtor_unreachable, contact_refused, processing_restricted
	Version  int64      `json:"version"`
}

// Zone is a time zone that a person may be in, and how that is known. All of them count: a contact must be lawful in
// each.
type Zone struct {
	Name       string     `json:"name"` // IANA: Asia/Shanghai
	Source     ZoneSource `json:"source"`
	ObservedAt time.Time  `json:"observed_at,omitzero"`
}

// ZoneSource is the evidence for a zone.
type ZoneSource string

// The evidence there can be.
const (
	ZoneStated  ZoneSource = "stated"  // the borrower said so
	ZoneAddress ZoneSource = "address" // of the home address
	ZonePhone   ZoneSource = "phone"   // of the number's area code
	ZoneDevice  ZoneSource = "device"  // of the app
	ZoneLender  ZoneSource = "lender"  // the lender lends in one zone only
)

// HasFlag reports whether the borrower's circumstances include name.
func (b *Borrower) HasFlag(name string) bool {
	for _, f := range b.Flags {
		if f == name {
			return true
		}
	}
	return false
}

// ContactPoint is one address of a borrower: a number, an e-mail address, an app token.
type ContactPoint struct {
	BorrowerID BorrowerID `json:"borrower_id"`
	ID         PointID    `json:"id"`
	Kind       PointKind  `json:"kind"`
	Value      string     `json:"value"` // personal: shown by role, never logged
	State      PointState `json:"state"`
	Source     string     `json:"source"` // debtor_provided, contact_list, public_data, …
	Rank       int        `json:"rank"`   // lower is tried first
	VerifiedAt time.Time  `json:"verified_at,omitzero"`
	ObservedAt time.Time  `json:"observed_at,omitzero"` // when it was last confirmed; age is counted from here
	Version    int64      `json:"version"`
	Failures   int        `json:"failures,omitempty"` // messages in a row that were not delivered; found out by use, never part of what a source says
	SeenAt     time.Time  `json:"seen_at,omitzero"`   // when use last showed that it works; as above
}

// PointKind is what sort of address a contact point is.
type PointKind string

// The kinds of contact point.
const (
	PointMobile    PointKind = "mobile"
	PointLandline  PointKind = "landline"
	PointEmail     PointKind = "email"
	PointWorkEmail PointKind = "work_email"
	PointApp       PointKind = "app_token"
	PointWeChat    PointKind = "wechat"
	PointWhatsApp  PointKind = "whatsapp"
	PointPostal    PointKind = "postal"
)

// Known reports whether k is one of the kinds above.
func (k PointKind) Known() bool {
	switch k {
	case PointMobile, PointLandline, PointEmail, PointWorkEmail, PointApp, PointWeChat, PointWhatsApp, PointPostal:
		return true
	}
	return false
}

// Phone reports whether addresses of kind k are telephone numbers.
func (k PointKind) Phone() bool { return k == PointMobile || k == PointLandline || k == PointWhatsApp }

// maskedAddress is how many characters of an address are shown where it is masked.
const maskedAddress = 4

// Masked returns an address of kind k for lists that are passed around: of a number its last digits, of an e-mail address its host,
// of others nothing.
func (k PointKind) Masked(value string) string {
	value = k.Normal(value)
	switch {
	case k.Phone() && len(value) > 2*maskedAddress:
		return "…" + value[len(value)-maskedAddress:]
	case k == PointEmail || k == PointWorkEmail:
		if _, host, ok := strings.Cut(value, "@"); ok {
			return "…@" + host
		}
	}
	return "…"
}

// Normal returns the one form of an address of kind k by which it is found again: of numbers their digits with the country
// code, of e-mail addresses small letters, of others what is between spaces.
func (k PointKind) Normal(value string) string {
	value = strings.TrimSpace(value)
	switch k {
	case PointMobile, PointLandline, PointWhatsApp:
		digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, value)
		return strings.TrimPrefix(digits, "00")
	case PointEmail, PointWorkEmail:
		return strings.ToLower(value)
	case PointApp, PointWeChat, PointPostal:
	}
	return value
}
