package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
)

// post makes one request and says what the answer means.
func (t *try) post(ctx context.Context) (channel.Accepted, *channel.Error) {
	got, err := t.s.client.Do(ctx, post.Request{URL: t.s.url, Header: t.header, Body: t.body})
	if err != nil {
		return channel.Accepted{}, err
	}
	if got.Status/100 == 2 { // the status alone decides; the body only adds to it
		return accepted(got.Body), nil
	}
	return channel.Accepted{}, classify(got, t.now)
}

// answer is the body of an answer, all of it optional.
type answer struct {
	ID       string `json:"id"`
	Status   string `json:"status"`   // of a 2xx: accepted or delivered
	Segments int    `json:"segments"` // of a 2xx
	Error    string `json:"error"`    // of any other: the name of a class
}

// segmentsMax is more parts than any message has; a service that says more is not believed.
const segmentsMax = 100

func accepted(body []byte) channel.Accepted {
	var a answer
	if json.Unmarshal(body, &a) != nil { // taken all the same, without a reference
		return channel.Accepted{}
	}
	out := channel.Accepted{Delivered: a.Status == "delivered"}
	if callback.Reference(a.ID) {
		out.ProviderID = a.ID
	}
	if a.Segments > 0 && a.Segments <= segmentsMax {
		out.Segments = a.Segments
	}
	return out
}

// classify says what an answer other than 2xx means. [post.ClassOf] is the decision table; services are written against it.
// A body of {"error":"<class>"} with a status of 4xx or 503 names the class itself: bad_address, opted_out, permanent,
// temporary, throttled or config.
func classify(a post.Answer, now time.Time) *channel.Error {
	e := a.Refusal(now)
	if e.Class != channel.Unknown {
		e.Class, e.RetryAfter = named(e.Class, a.Status, a.Body), 0
		a.Wait(e, now)
	}
	return e
}

// named returns the class that the body names, if it may.
func named(c channel.Class, status int, body []byte) channel.Class {
	if status/100 != 4 && status != http.StatusServiceUnavailable {
		return c
	}
	var a answer
	if json.Unmarshal(body, &a) != nil {
		return c
	}
	switch n := channel.Class(a.Error); n {
	case channel.BadAddress, channel.OptedOut, channel.Permanent, channel.Temporary, channel.Throttled, channel.Config:
		return n
	case channel.Unknown: // a service that does not know either should say 500
	}
	return c
}
