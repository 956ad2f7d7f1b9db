package whatsapp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
)

// notice is what WhatsApp posts.
type notice struct {
	Entry []struct {
		Changes []struct {
			Value struct {
				Statuses []status `json:"statuses"`
				Messages []text   `json:"messages"`
			} `json:"value"`
		} `json:"changes"`
	} `json:"entry"`
}

type status struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	At      string `json:"timestamp"`
	Attempt string `json:"biz_opaque_callback_data"`
	Errors  []struct {
		Code int `json:"code"`
	} `json:"errors"`
}

type text struct {
	ID   string `json:"id"`
	From string `json:"from"`
	At   string `json:"timestamp"`
	Type string `json:"type"`
	Text struct {
		Body string `json:"body"`
	} `json:"text"`
	Button struct {
		Text string `json:"text"`
	} `json:"button"`
}

// window is how old an event may be: WhatsApp tries again for up to seven days what it could not hand over.
const window = 8 * 24 * time.Hour

// Hear proves a callback by its signature and reads statuses, in whatever order they come, and what borrowers wrote. A call by
// GET with the verify token is answered with its challenge.
func (s *Sender) Hear(r *http.Request, body []byte) (channel.Heard, error) {
	if r.Method == http.MethodGet {
		return s.verify(r)
	}
	switch {
	case len(s.c.AppSecrets) == 0:
		return channel.Heard{}, duly.Errorf(duly.Refused, "this carrier takes no callbacks").WithHint("set app_secrets in its configuration")
	case s.clock == nil:
		return channel.Heard{}, errors.New("whatsapp: callbacks need Host.Clock")
	}
	if err := callback.Fits(body); err != nil {
		return channel.Heard{}, err
	}
	if !signed(s.c.AppSecrets, r.Header.Get("X-Hub-Signature-256"), body) {
		return channel.Heard{}, duly.Errorf(duly.Refused, "the signature is wrong").WithHint("compare app_secrets with the app's settings at Meta")
	}
	return parse(s.name, body, s.clock())
}

func (s *Sender) verify(r *http.Request) (channel.Heard, error) {
	q := r.URL.Query()
	if s.c.VerifyToken.IsZero() || !s.c.VerifyToken.Equal(channel.NewSecret(q.Get("hub.verify_token"))) || q.Get("hub.mode") != "subscribe" {
		return channel.Heard{}, duly.Errorf(duly.Refused, "the verify token is wrong").WithHint("write the same text as verify_token, and in the app's settings at Meta")
	}
	if !callback.Reference(q.Get("hub.challenge")) {
		return channel.Heard{}, duly.Errorf(duly.Invalid, "there is no hub.challenge")
	}
	return channel.Heard{Answer: &channel.Answer{Type: "text/plain; charset=utf-8", Body: []byte(q.Get("hub.challenge"))}}, nil
}

// signed reports whether the signature is by one of the secrets.
func signed(secrets []channel.Secret, header string, body []byte) bool {
	got, err := hex.DecodeString(strings.TrimPrefix(header, "sha256="))
	ok := false
	for _, s := range secrets {
		h := hmac.New(sha256.New, []byte(s.Reveal()))
		h.Write(body)
		ok = hmac.Equal(h.Sum(nil), got) || ok
	}
	return ok && err == nil
}

func parse(name string, body []byte, now time.Time) (channel.Heard, error) {
	var n notice
	if err := callback.Decode(body, &n); err != nil {
		return channel.Heard{}, err
	}
	var out channel.Heard
	count := 0
	for _, entry := range n.Entry {
		for _, change := range entry.Changes {
			for _, x := range change.Value.Statuses {
				if count++; count > callback.EventsMax {
					return channel.Heard{}, callback.Count(count)
				}
				if err := x.add(&out, name, now); err != nil {
					return channel.Heard{}, err
				}
			}
			for _, x := range change.Value.Messages {
				if count++; count > callback.EventsMax {
					return channel.Heard{}, callback.Count(count)
				}
				if err := x.add(&out, now); err != nil {
					return channel.Heard{}, err
				}
			}
		}
	}
	return out, nil
}

func instant(text string, now time.Time) (time.Time, error) {
	unix, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, duly.Errorf(duly.Invalid, "not a time in Unix seconds").At(duly.Place{Field: "timestamp"})
	}
	at := time.Unix(unix, 0).UTC()
	return at, callback.Fresh(at, now, window)
}

var statuses = map[string]duly.ReceiptStatus{
	"sent": duly.ReceiptAccepted, "delivered": duly.ReceiptDelivered, "read": duly.ReceiptRead, "failed": duly.ReceiptFailed,
}

// add takes a status that WhatsApp has of messages; others, such as of ones deleted, say nothing of delivery.
func (x *status) add(out *channel.Heard, name string, now time.Time) error {
	is, ok := statuses[x.Status]
	if !ok {
		return nil
	}
	at, err := instant(x.At, now)
	if err != nil {
		return err
	}
	if !callback.Reference(x.ID) {
		return duly.Errorf(duly.Invalid, "not an id").At(duly.Place{Field: "id"})
	}
	rc := duly.Receipt{Provider: name, Key: x.ID + ":" + x.Status, ProviderID: x.ID, Status: is, At: at}
	if id := duly.AttemptID(x.Attempt); callback.Attempt(id) {
		rc.AttemptID = id
	}
	if is == duly.ReceiptFailed && len(x.Errors) > 0 {
		rc.Detail = strconv.Itoa(x.Errors[0].Code)
		switch refusals[x.Errors[0].Code] {
		case channel.BadAddress:
			rc.Status = duly.ReceiptBadAddress
		case channel.OptedOut:
			rc.Status = duly.ReceiptOptedOut
		case channel.Temporary, channel.Throttled, channel.Config, channel.Permanent, channel.Unknown:
		}
	}
	out.Receipts = append(out.Receipts, rc)
	return nil
}

// add takes what a borrower wrote, or the button that was pressed; pictures and voices are nobody's words.
func (x *text) add(out *channel.Heard, now time.Time) error {
	words := x.Text.Body
	if x.Type == "button" {
		words = x.Button.Text
	}
	if x.Type != "text" && x.Type != "button" || !callback.Text(words) {
		return nil
	}
	at, err := instant(x.At, now)
	if err != nil {
		return err
	}
	if !callback.Reference(x.ID) || x.From == "" || strings.Trim(x.From, "0123456789") != "" || len(x.From) > 15 {
		return duly.Errorf(duly.Invalid, "not an id, or not a number").At(duly.Place{Field: "messages"})
	}
	out.Replies = append(out.Replies, channel.Reply{Key: x.ID, Channel: duly.ChannelIM, From: "+" + x.From, Text: words, At: at})
	return nil
}
