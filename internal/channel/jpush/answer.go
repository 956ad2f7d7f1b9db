package jpush

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
)

// answer is what JPush says, of acceptance or of refusal.
type answer struct {
	ID    json.Number `json:"msg_id"` // as a number, or in quotes
	Error *struct {
		Code int `json:"code"`
	} `json:"error"`
}

// refusals are JPush's codes. Those that are not here mean what their status means.
var refusals = map[int]channel.Class{
	1001: channel.Config,     // not a POST
	1002: channel.Permanent,  // a parameter is missing
	1003: channel.Permanent,  // a value is not allowed
	1004: channel.Config,     // app_key or master_secret
	1005: channel.Permanent,  // too large
	1008: channel.Config,     // app_key
	1009: channel.Permanent,  // options that are not allowed
	1011: channel.BadAddress, // no device of that registration id has been there for a long time
	1020: channel.Config,     // https only
	2002: channel.Throttled,
	2003: channel.Config,    // the app is barred
	2004: channel.Config,    // our address is not on the app's list
	2005: channel.Throttled, // more than the app may send
	2006: channel.Config,    // not the app's owner
}

// throttledFor is how long JPush counts requests for.
const throttledFor = time.Minute

// read says what an answer means. Acceptance names the message: another 200 is not JPush's, so not known.
func read(got post.Answer, now time.Time) (channel.Accepted, *channel.Error) {
	var a answer
	broken := json.Unmarshal(got.Body, &a) != nil
	if got.Status == http.StatusOK && !broken && a.Error == nil && callback.Reference(a.ID.String()) {
		return channel.Accepted{ProviderID: a.ID.String()}, nil
	}
	if broken || a.Error == nil {
		if got.Status/100 == 2 {
			return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: "not_jpush", Detail: "http_" + strconv.Itoa(got.Status)}
		}
		return channel.Accepted{}, got.Refusal(now)
	}
	class, known := refusals[a.Error.Code]
	if !known || got.Status/100 == 5 {
		e := got.Refusal(now)
		if a.Error.Code == 1030 { // it timed out inside JPush, which promises nothing
			e = &channel.Error{Class: channel.Unknown}
		}
		e.Code, e.Detail = "jpush_"+strconv.Itoa(a.Error.Code), "http_"+strconv.Itoa(got.Status)
		return channel.Accepted{}, e
	}
	e := &channel.Error{Class: class, Code: "jpush_" + strconv.Itoa(a.Error.Code), Detail: "http_" + strconv.Itoa(got.Status)}
	if class == channel.Throttled {
		e.RetryAfter = throttledFor
		if n, err := strconv.Atoi(got.Header.Get("X-Rate-Limit-Reset")); err == nil && n > 0 {
			e.RetryAfter = min(time.Duration(min(n, 86400))*time.Second, post.RetryAfterMax)
		}
	}
	return channel.Accepted{}, e
}
