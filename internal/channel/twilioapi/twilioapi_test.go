package twilioapi_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/twilioapi"
)

// TestVector holds the signature against those that Twilio publishes with its libraries: the token 12345, five fields, and
// the URL with http or https, with and without a port.
func TestVector(t *testing.T) {
	t.Parallel()
	form := url.Values{
		"Digits": {"1234"}, "CallSid": {"CA1234567890ABCDE"}, "To": {"+18005551212"}, "Caller": {"+14158675309"}, "From": {"+14158675309"},
	}
	for target, want := range map[string]string{
		"https://mycompany.com/myapp.php?foo=1&bar=2":     "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
		"https://mycompany.com:443/myapp.php?foo=1&bar=2": "kvajT1Ptam85bY51eRf/AJRuM3w=",
		"http://mycompany.com:80/myapp.php?foo=1&bar=2":   "0ZXoZLH/DfblKGATFgpif+LLRf4=",
		"http://mycompany.com:1234/myapp.php?foo=1&bar=2": "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=",
	} {
		if got := twilioapi.Sign(channel.NewSecret("12345"), target, form); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	good := twilioapi.Account{SID: "AC" + strings.Repeat("0a", 16), Tokens: []channel.Secret{channel.NewSecret("t")}, CallbackURL: "https://duly.lender.example/v1/receipts/sms"}
	for field, spoil := range map[string]func(*twilioapi.Account){
		"":              func(*twilioapi.Account) {},
		"account_sid":   func(a *twilioapi.Account) { a.SID = "AC123" },
		"auth_tokens":   func(a *twilioapi.Account) { a.Tokens = nil },
		"auth_tokens ":  func(a *twilioapi.Account) { a.Tokens = []channel.Secret{{}} },
		"endpoint":      func(a *twilioapi.Account) { a.Endpoint = "http://api.twilio.com" },
		"callback_url":  func(a *twilioapi.Account) { a.CallbackURL = "https://duly.lender.example/v1?x=y" },
		"callback_url ": func(a *twilioapi.Account) { a.CallbackURL = "duly" },
	} {
		a := good
		spoil(&a)
		p := channel.ProblemsAt("x")
		a.Check(p, post.Link{})
		if err := p.Err(); (err == nil) != (field == "") || err != nil && !strings.Contains(err.Error(), "x."+strings.TrimSpace(field)) {
			t.Errorf("%q: got %v", field, err)
		}
	}
}
