package twilio_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/twilio"
	"github.com/dulyhq/duly/internal/channel/twilioapi"
)

const (
	phone   = "+8613800138000"
	account = "AC0123456789abcdef0123456789abcdef"
	message = "SM0123456789abcdef0123456789abcdef"
	public  = "https://duly.lender.example/v1/receipts/sms"
)

var callbackAt = time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC)

func token() channel.Secret { return channel.NewSecret("the account's token") }

func config(endpoint string) twilio.Config {
	return twilio.Config{
		Account: twilioapi.Account{SID: account, Tokens: []channel.Secret{token(), channel.NewSecret("the token that goes")}, Endpoint: endpoint, CallbackURL: public},
		From:    "+14155550100", Link: post.Link{Timeout: time.Minute},
	}
}

func sender(t testing.TB, c twilio.Config) *twilio.Sender {
	t.Helper()
	s, err := twilio.New("sms", c, channel.Host{Clock: func() time.Time { return callbackAt }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// taken is the answer that Twilio documents of a message that is made.
const taken = `{"account_sid":"` + account + `","api_version":"2010-04-01","body":"…","date_created":"Mon, 02 Mar 2026 04:00:01 +0000",
	"direction":"outbound-api","error_code":null,"error_message":null,"from":"+14155550100","num_segments":"2","sid":"` + message + `","status":"queued","to":"` + phone + `"}`

// dialect is the making of a message as it is documented.
func dialect() channeltest.Dialect {
	no := func(status int, code string) channeltest.Page {
		return channeltest.Page{Status: status, Body: `{"code":` + code + `,"message":"The number ` + phone + ` …","more_info":"https://www.twilio.com/docs/errors/` + code + `","status":400}`}
	}
	return channeltest.Dialect{
		Take: func(r *http.Request, body []byte) (duly.AttemptID, error) {
			form, err := url.ParseQuery(string(body))
			user, password, _ := r.BasicAuth()
			back, _ := url.Parse(form.Get("StatusCallback"))
			switch {
			case err != nil:
				return "", err
			case r.Method != http.MethodPost || r.URL.Path != "/2010-04-01/Accounts/"+account+"/Messages.json":
				return "", errors.New("not the resource")
			case user != account || password != token().Reveal():
				return "", errors.New("not the account")
			case form.Get("To") != phone || form.Get("From") != "+14155550100" || !strings.Contains(form.Get("Body"), "1234.56") || form.Get("ValidityPeriod") != "34200":
				return "", errors.New("not the message")
			case !strings.HasPrefix(form.Get("StatusCallback"), public+"?attempt="):
				return "", errors.New("no callback")
			}
			return duly.AttemptID(back.Query().Get("attempt")), nil
		},
		Taken: channeltest.Page{Status: http.StatusCreated, Type: "application/json", Body: taken},
		Refusals: map[channeltest.Behaviour]channeltest.Page{
			channeltest.BadAddress:   no(400, "21211"),
			channeltest.OptsOut:      no(400, "21610"),
			channeltest.Rejects:      no(400, "21617"),
			channeltest.Unauthorized: no(401, "20003"),
			channeltest.Throttles:    no(429, "20429"),
		},
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Case{
		New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
			site := channeltest.NewSite(t, b, dialect())
			c := config(site.URL())
			c.Link.Timeout = site.Timeout()
			return channeltest.Carrier{Sender: sender(t, c), Channel: duly.ChannelSMS, To: phone, Log: &site.Log, Heal: site.Heal}
		},
		Skip: map[channeltest.Behaviour]string{channeltest.Unready: "no answer of Twilio's promises that it did not take a message now, and may later"},
	})
}
