package channel

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// Secret is a password or key of a configuration. However it is printed, logged or marshalled, it comes out as
// <secret>; only Reveal tells it. The zero Secret is none.
type Secret struct {
	text *string // behind a pointer, so that printing a struct that hides a Secret shows an address at most
}

const secretMask = "<secret>"

// NewSecret returns a secret of a text; "" makes the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal compares texts in constant time.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// String returns <secret>, or "" for none.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return secretMask
}

// Format prints as String does, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue logs as String does.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText writes as String does: a secret that was marshalled cannot be read back.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a secret from a configuration.
func (s *Secret) UnmarshalText(b []byte) error {
	*s = NewSecret(string(b))
	return nil
}
