package rule

import (
	"time"
)

// consentRequired lets contacts pass while the borrower's consent stands.
//
//	params: {consent: marketing_sms}
type consentRequired struct{ key string }

func (c *consentRequired) check(v *View, at time.Time) finding {
	if v.consent(c.key, at) {
		return pass()
	}
	return finding{seen: "no consent " + c.key + " stands"}
}

func parseConsent(o *object) checker {
	return &consentRequired{key: o.name("consent", codes)}
}
