package fcm

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
)

// codeStale is an access token that is not taken (any more).
const codeStale = "fcm_unauthenticated"

// answer is what FCM says, of acceptance or of refusal.
type answer struct {
	Name  string `json:"name"` // projects/<project>/messages/<id>
	Error struct {
		Status  string `json:"status"`
		Details []struct {
			Code       string `json:"errorCode"`
			Violations []struct {
				Field string `json:"field"`
			} `json:"fieldViolations"`
		} `json:"details"`
	} `json:"error"`
}

// code is FCM's own code of an error, else that of Google's calls.
func (a *answer) code() string {
	for _, d := range a.Error.Details {
		if d.Code != "" {
			return d.Code
		}
	}
	return a.Error.Status
}

// blames reports whether the field of the token is what is wrong.
func (a *answer) blames() bool {
	for _, d := range a.Error.Details {
		for _, v := range d.Violations {
			if v.Field == "message.token" {
				return true
			}
		}
	}
	return false
}

// refusals are FCM's codes. A token that another account made is not retired: a wrong service account would retire them all.
var refusals = map[string]channel.Class{
	"UNREGISTERED":           channel.BadAddress,
	"INVALID_ARGUMENT":       channel.Permanent, // a bad address, where it is the token that is invalid
	"SENDER_ID_MISMATCH":     channel.Permanent,
	"QUOTA_EXCEEDED":         channel.Throttled,
	"RESOURCE_EXHAUSTED":     channel.Throttled,
	"UNAVAILABLE":            channel.Temporary,
	"UNAUTHENTICATED":        channel.Config,
	"PERMISSION_DENIED":      channel.Config,
	"THIRD_PARTY_AUTH_ERROR": channel.Config,
	"INTERNAL":               channel.Unknown,
}

// waitDefault is what Google asks for where it gives no Retry-After.
const waitDefault = time.Minute

// read says what an answer means. Acceptance names the message: another 200 is not FCM's, so not known.
func read(got post.Answer, now time.Time) (channel.Accepted, *channel.Error) {
	var a answer
	broken := json.Unmarshal(got.Body, &a) != nil
	if got.Status == http.StatusOK {
		id := a.Name[strings.LastIndexByte(a.Name, '/')+1:]
		if broken || !callback.Reference(id) {
			return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: "not_fcm", Detail: "http_200"}
		}
		return channel.Accepted{ProviderID: id}, nil
	}
	e := got.Refusal(now)
	class, known := refusals[a.code()]
	if broken || !known || got.Status/100 == 2 || got.Status/100 == 5 && class != channel.Temporary && class != channel.Throttled {
		return channel.Accepted{}, e // 404 without FCM's word for it is a wrong address of FCM's, not of the borrower's
	}
	if class == channel.Permanent && a.code() == "INVALID_ARGUMENT" && a.blames() {
		class = channel.BadAddress
	}
	out := &channel.Error{Class: class, Code: "fcm_" + strings.ToLower(a.code()), Detail: "http_" + strconv.Itoa(got.Status)}
	if got.Wait(out, now); out.RetryAfter == 0 && class == channel.Throttled {
		out.RetryAfter = waitDefault
	}
	return channel.Accepted{}, out
}
