package aliyun_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/alicloud"
	"github.com/dulyhq/duly/internal/channel/aliyun"
	"github.com/dulyhq/duly/internal/channel/approved"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/civil"
)

const phone = "+8613800138000"

var callbackAt = time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC)

func callbackSecret() channel.Secret { return channel.NewSecret("the-secret-of-the-callbacks") }

func config(url string) aliyun.Config {
	return aliyun.Config{
		Account:  alicloud.Account{KeyID: "LTAI-test", Secret: channel.NewSecret("secret of the key")},
		Endpoint: url, Sign: "示例消金", CallbackSecrets: []channel.Secret{callbackSecret()}, Link: post.Link{Timeout: 700 * time.Millisecond},
		Templates: approved.Templates{channeltest.Template: {
			ID: "SMS_154950909", ApprovedAt: civil.On(2026, time.January, 5), Variables: map[string]string{"amount": "total", "when": "due_when"},
		}},
	}
}

func sender(t testing.TB, c aliyun.Config) *aliyun.Sender {
	t.Helper()
	s, err := aliyun.New("sms", c, channel.Host{Clock: func() time.Time { return callbackAt }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// dialect is SendSms as it is documented.
func dialect() channeltest.Dialect {
	no := func(status int, code string) channeltest.Page {
		return channeltest.Page{Status: status, Body: `{"RequestId":"F655A8D5-B967-440B-8683-DAD6FF8DE990","Message":"` + phone + `","Code":"` + code + `"}`}
	}
	return channeltest.Dialect{
		Take: func(r *http.Request, _ []byte) (duly.AttemptID, error) {
			q := r.URL.Query()
			var values map[string]string
			switch {
			case r.Header.Get("X-Acs-Action") != "SendSms" || r.Header.Get("X-Acs-Version") != "2017-05-25":
				return "", errors.New("not the action")
			case !strings.HasPrefix(r.Header.Get("Authorization"), "ACS3-HMAC-SHA256 Credential=LTAI-test,SignedHeaders=host;x-acs-"):
				return "", errors.New("not signed")
			case q.Get("PhoneNumbers") != "13800138000" || q.Get("SignName") != "示例消金" || q.Get("TemplateCode") != "SMS_154950909":
				return "", errors.New("not the message")
			case json.Unmarshal([]byte(q.Get("TemplateParam")), &values) != nil || values["amount"] != "1234.56元" || values["when"] != "明天（2026年3月3日）":
				return "", errors.New("not the values")
			}
			return duly.AttemptID(q.Get("OutId")), nil
		},
		Taken: channeltest.Page{Body: `{"RequestId":"F655A8D5-B967-440B-8683-DAD6FF8DE990","Message":"OK","BizId":"9006197469364984^0","Code":"OK"}`},
		Refusals: map[channeltest.Behaviour]channeltest.Page{
			channeltest.BadAddress:   no(200, "isv.MOBILE_NUMBER_ILLEGAL"),
			channeltest.OptsOut:      no(200, "isv.BLACKLISTED_NUMBER"),
			channeltest.Rejects:      no(200, "isv.BLACK_KEY_CONTROL_LIMIT"),
			channeltest.Unauthorized: no(404, "InvalidAccessKeyId.NotFound"),
			channeltest.Throttles:    no(200, "isv.BUSINESS_LIMIT_CONTROL"),
			channeltest.Unready:      no(503, "ServiceUnavailable"),
		},
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Case{New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
		site := channeltest.NewSite(t, b, dialect())
		return channeltest.Carrier{Sender: sender(t, config(site.URL())), Channel: duly.ChannelSMS, To: phone, Log: &site.Log, Heal: site.Heal}
	}})
}
