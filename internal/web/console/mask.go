package console

import (
	"strings"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
)

// maskName leaves the first character of a name.
func maskName(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	if n == 0 {
		return ""
	}
	return string(r) + "**"
}

// maskPoint leaves of an address what tells it from the borrower's others: the end of a number, the domain of an e-mail address.
func maskPoint(p *duly.ContactPoint) string {
	switch p.Kind {
	case duly.PointMobile, duly.PointLandline, duly.PointWhatsApp:
		if n := len(p.Value); n > 4 {
			return "****" + p.Value[n-4:]
		}
	case duly.PointEmail, duly.PointWorkEmail:
		if at := strings.LastIndexByte(p.Value, '@'); at >= 0 {
			return "***" + p.Value[at:]
		}
	case duly.PointApp, duly.PointWeChat, duly.PointPostal:
	}
	return "****"
}
