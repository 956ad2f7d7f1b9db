// Package callback is what every callback of a carrier must be, and how a callback is proved where the carrier signs none.
//
// A carrier without signatures is given a URL that only it knows: https://…/v1/receipts/sms?key=<secret>, see [ByKey]. That
// proves less than a signature does: whoever sees the URL can write. So what such a callback says is believed of attempts
// only, by references that nobody can guess, and never of an address.
package callback

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// Limits of a callback.
const (
	BodyMax      = 1 << 20 // of its body
	EventsMax    = 1000    // that it tells
	ReferenceMax = 128     // of ids and codes
	TextMax      = 4096    // of what a person wrote, in bytes
	WordMax      = 64      // of a carrier's code that is shown to an operator
	SecretsMax   = 2       // at one time: the new one and the one it replaces
	SecretMin    = 16      // of a secret's length
)

// KeyParam is the parameter of a URL that holds the secret.
const KeyParam = "key"

// CheckSecrets notes what is wrong with the secrets of a configuration.
func CheckSecrets(p *channel.Problems, key string, secrets []channel.Secret) {
	if len(secrets) > SecretsMax {
		p.Add(key, "more than "+strconv.Itoa(SecretsMax), "keep the new one and the one it replaces")
	}
	for i, s := range secrets {
		if len(s.Reveal()) < SecretMin {
			p.Add(key+"["+strconv.Itoa(i)+"]", "shorter than "+strconv.Itoa(SecretMin)+" characters", "make one with: openssl rand -hex 32")
		}
	}
}

// ByKey proves a callback by the secret in its URL.
func ByKey(r *http.Request, secrets []channel.Secret) error {
	if len(secrets) == 0 {
		return NotTaken()
	}
	got, ok := channel.NewSecret(r.URL.Query().Get(KeyParam)), false
	for _, s := range secrets {
		ok = s.Equal(got) && !s.IsZero() || ok
	}
	if !ok {
		return duly.Errorf(duly.Refused, "the URL does not hold the secret of this carrier's callbacks").
			WithHint("have the carrier call …?%s=<the secret of callback_secrets>", KeyParam)
	}
	return nil
}

// ByBasic proves a callback by a user's password.
func ByBasic(r *http.Request, user string, secrets []channel.Secret) error {
	if len(secrets) == 0 {
		return NotTaken()
	}
	name, password, _ := r.BasicAuth()
	got, ok := channel.NewSecret(password), false
	for _, s := range secrets {
		ok = s.Equal(got) && !s.IsZero() || ok
	}
	if !ok || !channel.NewSecret(name).Equal(channel.NewSecret(user)) {
		return duly.Errorf(duly.Refused, "the user or password of the callback is wrong").WithHint("have the carrier call with Basic authentication")
	}
	return nil
}

// NotTaken is the error of a carrier whose callbacks cannot be proved.
func NotTaken() error {
	return duly.Errorf(duly.Refused, "this carrier takes no callbacks").WithHint("set callback_secrets in its configuration")
}

// Fits refuses a body that no carrier sends.
func Fits(body []byte) error {
	if len(body) > BodyMax {
		return duly.Errorf(duly.Refused, "the body is larger than %d bytes", BodyMax).WithHint("send fewer events at a time")
	}
	return nil
}

// Fresh refuses what was said to happen more than window before now, or more than a few minutes after it: it is being played
// again, or a clock is wrong.
func Fresh(at, now time.Time, window time.Duration) error {
	if at.Before(now.Add(-window)) || at.After(now.Add(min(window, aheadMax))) {
		return duly.Errorf(duly.Refused, "the time of the event is more than %s from now", window).
			WithHint("it is being played again, or one of the clocks, or the carrier's time zone, is set wrong")
	}
	return nil
}

// aheadMax is how far ahead of ours a carrier's clock may be.
const aheadMax = 10 * time.Minute

// Decode reads JSON that is UTF-8, of the form of v, and all of the body. Keys that v has not are passed over: carriers add
// some as they like.
func Decode(body []byte, v any) error {
	if !utf8.Valid(body) {
		return duly.Errorf(duly.Invalid, "the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
			return duly.Errorf(duly.Invalid, "not the right kind of value").At(duly.Place{Field: e.Field})
		}
		return duly.Errorf(duly.Invalid, "the body is not the JSON that this carrier documents")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return duly.Errorf(duly.Invalid, "there is something after the JSON")
	}
	return nil
}

// Count refuses no events at all, and too many.
func Count(n int) error {
	if n == 0 || n > EventsMax {
		return duly.Errorf(duly.Invalid, "not from 1 to %d events", EventsMax)
	}
	return nil
}

// Wrong is the error of one event among several.
func Wrong(i int, field, message string) error {
	return duly.Errorf(duly.Invalid, "%s", message).At(duly.Place{Field: "[" + strconv.Itoa(i) + "]." + field})
}

// Reference reports whether s is an id: printable ASCII without blanks, and not too long.
func Reference(s string) bool {
	if s == "" || len(s) > ReferenceMax {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Attempt reports whether id is an attempt's.
func Attempt(id duly.AttemptID) bool {
	_, ok := id.Contact()
	return ok && Reference(string(id))
}

// Text reports whether s is what a person may have written.
func Text(s string) bool { return s != "" && len(s) <= TextMax && utf8.ValidString(s) }

// Word returns a carrier's code if it is fit to be shown, else "": letters, a few digits and _ . : - only, so that neither words
// nor numbers of people come through.
func Word(s string) string {
	if len(s) > WordMax {
		return ""
	}
	digits := 0
	for i := range len(s) {
		switch b := s[i]; {
		case b >= '0' && b <= '9':
			if digits++; digits > 6 {
				return ""
			}
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b == '_', b == '.', b == ':', b == '-':
			digits = 0
		default:
			return ""
		}
	}
	return s
}
