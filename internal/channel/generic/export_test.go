package generic

import (
	"net/http"
	"time"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/post"
)

// MAC is what a callback is proved by, for tests that call back.
func MAC(secret channel.Secret, algorithm, encoding, over string) string {
	return signature(secret, algorithm, encoding, over)
}

// Read reads an answer, for the fuzz target.
func (s *Sender) Read(status int, body []byte) (channel.Accepted, *channel.Error) {
	return s.read(post.Answer{Status: status, Body: body, Whole: true, Header: http.Header{}}, time.Time{})
}
