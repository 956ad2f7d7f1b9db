package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
)

// Limits of a callback.
const (
	callbackMax     = 1 << 20
	receiptsMax     = 1000
	receiptFieldMax = 128
)

// batch is receipts as they are posted.
type batch struct {
	Receipts []receipt `json:"receipts"`
}

type receipt struct {
	Key     string             `json:"key"`     // the service's own id of this event
	Attempt duly.AttemptID     `json:"attempt"` // what Duly-Attempt was; or
	ID      string             `json:"id"`      // what the service answered as id
	Status  duly.ReceiptStatus `json:"status"`
	Code    string             `json:"code"` // optional: the service's own reason
	At      time.Time          `json:"at"`
}

// Hear proves that a callback was signed with a callback secret within the last five minutes, and reads it:
//
//	{"receipts":[{"key":"e-1","attempt":"a0f3…-1","status":"delivered","at":"2026-03-01T02:00:05Z"}]}
//
// A batch is taken whole or not at all. The same event may come again, with the same key.
func (s *Sender) Hear(r *http.Request, body []byte) (channel.Heard, error) {
	if err := s.prove(r.Header, body); err != nil {
		return channel.Heard{}, err
	}
	receipts, err := parse(s.name, body)
	return channel.Heard{Receipts: receipts}, err
}

func (s *Sender) prove(h http.Header, body []byte) error {
	switch {
	case len(s.callbacks) == 0:
		return duly.Errorf(duly.Refused, "this carrier takes no callbacks").WithHint("set callback_secrets in its configuration")
	case s.clock == nil:
		return errors.New("webhook: callbacks need Host.Clock")
	case len(body) > callbackMax:
		return duly.Errorf(duly.Refused, "the body is larger than %d bytes", callbackMax).WithHint("send fewer receipts at a time")
	}
	timestamp := h.Get(HeaderTimestamp)
	unix, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return duly.Errorf(duly.Refused, "the %s header is not a time in Unix seconds", HeaderTimestamp)
	}
	if !verifies(s.callbacks, h.Get(HeaderSignature), timestamp, body) {
		return duly.Errorf(duly.Refused, "the signature is wrong").
			WithHint("%s is v1= and the hex HMAC-SHA256 of the timestamp, a full stop and the body", HeaderSignature)
	}
	now := s.clock().Unix()
	if window := int64(ReplayWindow / time.Second); unix < now-window || unix > now+window {
		return duly.Errorf(duly.Refused, "the timestamp is more than %s from now", ReplayWindow).
			WithHint("set the clock of the sending machine; sign again when sending again")
	}
	return nil
}

// parse reads a batch strictly: no unknown key, no value out of its range, nothing after the end.
func parse(provider string, body []byte) ([]duly.Receipt, error) {
	if !utf8.Valid(body) {
		return nil, duly.Errorf(duly.Invalid, "the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	var c batch
	if err := d.Decode(&c); err != nil {
		return nil, malformed(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, duly.Errorf(duly.Invalid, "there is something after the JSON object")
	}
	if n := len(c.Receipts); n == 0 || n > receiptsMax {
		return nil, duly.Errorf(duly.Invalid, "not from 1 to %d receipts", receiptsMax).At(duly.Place{Field: "receipts"})
	}
	out := make([]duly.Receipt, len(c.Receipts))
	for i, r := range c.Receipts {
		if field, message := r.wrong(); field != "" {
			return nil, duly.Errorf(duly.Invalid, "%s", message).At(duly.Place{Field: fmt.Sprintf("receipts[%d].%s", i, field)})
		}
		out[i] = duly.Receipt{
			Provider: provider, Key: r.Key, AttemptID: r.Attempt, ProviderID: r.ID, Status: r.Status, Detail: r.Code, At: r.At.UTC(),
		}
	}
	return out, nil
}

// malformed tells what the decoder did not like, without what it read.
func malformed(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return duly.Errorf(duly.Invalid, "not the right kind of value").At(duly.Place{Field: e.Field})
	}
	return duly.Errorf(duly.Invalid, "the body is not a JSON object of receipts").
		WithHint(`write {"receipts":[{"key":…,"attempt":…,"status":…,"at":…}]} with no other keys`)
}

// wrong returns the first field that is out of its range and what is wrong with it.
func (r *receipt) wrong() (field, message string) {
	switch {
	case !callback.Reference(r.Key):
		return "key", "not 1 to 128 printable characters"
	case r.Attempt == "" && r.ID == "":
		return "attempt", "neither attempt nor id is given"
	case r.Attempt != "" && !callback.Attempt(r.Attempt):
		return "attempt", "not an attempt's id"
	case r.ID != "" && !callback.Reference(r.ID):
		return "id", "not 1 to 128 printable characters"
	case !known(r.Status):
		return "status", "not one of accepted, failed, bad_address, delivered, read, opted_out"
	case r.Code != "" && !code(r.Code):
		return "code", "not a code of letters, digits and _ . : -"
	case r.At.IsZero():
		return "at", "not a time"
	}
	return "", ""
}

func known(s duly.ReceiptStatus) bool { return s.State() != "" }

// code keeps words out of the log: a service's text may repeat a number or a name.
func code(s string) bool {
	if len(s) > receiptFieldMax {
		return false
	}
	for i := range len(s) {
		switch b := s[i]; {
		case b >= '0' && b <= '9', b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b == '_', b == '.', b == ':', b == '-':
		default:
			return false
		}
	}
	return true
}
