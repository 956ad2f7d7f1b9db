package tencent_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/approved"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/tencent"
	"github.com/dulyhq/duly/internal/civil"
)

const (
	phone  = "+8613800138000"
	serial = "5000:1045710669157053657849499619"
)

var callbackAt = time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC)

func callbackSecret() channel.Secret { return channel.NewSecret("the-secret-of-the-callbacks") }

func config(url string) tencent.Config {
	return tencent.Config{
		SecretID: "AKID-test", SecretKey: channel.NewSecret("secret of the key"), App: "1400006666", Endpoint: url, Sign: "示例消金",
		CallbackSecrets: []channel.Secret{callbackSecret()}, Link: post.Link{Timeout: time.Minute}, VariableMax: 20,
		Templates: approved.Templates{channeltest.Template: {
			ID: "1110", ApprovedAt: civil.On(2026, time.January, 5), Variables: map[string]string{"2": "total", "1": "due_when"},
		}},
	}
}

func sender(t testing.TB, c tencent.Config) *tencent.Sender {
	t.Helper()
	s, err := tencent.New("sms", c, channel.Host{Clock: func() time.Time { return callbackAt }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// one is what SendSms answers of one message.
func one(code string) string {
	return `{"Response":{"SendStatusSet":[{"SerialNo":"` + serial + `","PhoneNumber":"` + phone + `","Fee":2,"SessionContext":"x","Code":"` + code +
		`","Message":"send success","IsoCode":"CN"}],"RequestId":"a0aabda6-cf91-4f3e-a81f-9198114a2279"}}`
}

func failure(code string) string {
	return `{"Response":{"Error":{"Code":"` + code + `","Message":"` + phone + `"},"RequestId":"ed93f3cb-f35e-473f-b9f3-0d451b8b79c6"}}`
}

// dialect is SendSms as it is documented.
func dialect() channeltest.Dialect {
	return channeltest.Dialect{
		Take: func(r *http.Request, body []byte) (duly.AttemptID, error) {
			var m struct {
				PhoneNumberSet, TemplateParamSet                  []string
				SmsSdkAppID, TemplateID, SignName, SessionContext string
			}
			switch err := json.Unmarshal(body, &m); {
			case err != nil:
				return "", err
			case r.Header.Get("X-TC-Action") != "SendSms" || r.Header.Get("X-TC-Version") != "2021-01-11" || r.Header.Get("X-TC-Region") != "ap-guangzhou":
				return "", errors.New("not the action")
			case !strings.HasPrefix(r.Header.Get("Authorization"), "TC3-HMAC-SHA256 Credential=AKID-test/2026-03-02/sms/tc3_request, SignedHeaders="):
				return "", errors.New("not signed")
			case len(m.PhoneNumberSet) != 1 || m.PhoneNumberSet[0] != phone || m.SmsSdkAppID != "1400006666" || m.TemplateID != "1110" || m.SignName != "示例消金":
				return "", errors.New("not the message")
			case strings.Join(m.TemplateParamSet, "|") != "明天（2026年3月3日）|1234.56元":
				return "", errors.New("not the values")
			}
			return duly.AttemptID(m.SessionContext), nil
		},
		Taken: channeltest.Page{Body: one("Ok")},
		Refusals: map[channeltest.Behaviour]channeltest.Page{
			channeltest.BadAddress:   {Body: one("InvalidParameterValue.IncorrectPhoneNumber")},
			channeltest.OptsOut:      {Body: one("FailedOperation.PhoneNumberInBlacklist")},
			channeltest.Rejects:      {Body: one("FailedOperation.ContainSensitiveWord")},
			channeltest.Unauthorized: {Body: failure("AuthFailure.SignatureFailure")},
			channeltest.Throttles:    {Body: one("LimitExceeded.PhoneNumberDailyLimit")},
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
		Skip: map[channeltest.Behaviour]string{channeltest.Unready: "no code of the service promises that it did not take a message now, and may later"},
	})
}
