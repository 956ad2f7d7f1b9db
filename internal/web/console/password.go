package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	duly "github.com/dulyhq/duly"
)

// The bounds of a password, in characters and bytes.
const (
	passwordMin = 12
	passwordMax = 256
)

// The cost of a password's hash: OWASP's minimum for argon2id, about 30 ms; and how many are worked out at a time.
const (
	hashMemory  = 19 << 10 // KiB
	hashTime    = 2
	hashThreads = 1
	hashLen     = 32
	saltLen     = 16
	hashesMax   = 2
)

var b64 = base64.RawStdEncoding

// checkPassword refuses passwords that are too short to be one.
func checkPassword(password string) error {
	n := utf8.RuneCountInString(password)
	if n < passwordMin || len(password) > passwordMax {
		return duly.Errorf(duly.Invalid, "not from %d to %d characters", passwordMin, passwordMax).At(duly.Place{Field: "password"}).
			WithHint("several words that do not belong together are easy to remember and hard to guess")
	}
	return nil
}

// hashPassword returns the argon2id hash of a password as a PHC string.
func hashPassword(password string) string {
	salt := make([]byte, saltLen)
	_, _ = rand.Read(salt) // never fails
	sum := argon2.IDKey([]byte(password), salt, hashTime, hashMemory, hashThreads, hashLen)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashTime, hashThreads, b64.EncodeToString(salt), b64.EncodeToString(sum))
}

// passwordFits reports whether a password is the one of a hash. A hash that is none fits nothing.
func passwordFits(password, hash string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	var memory, time, threads uint32
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil || memory > 1<<20 || time > 16 || threads == 0 || threads > 16 {
		return false
	}
	salt, err := b64.DecodeString(parts[4])
	if err != nil {
		return false
	}
	want, err := b64.DecodeString(parts[5])
	if err != nil || len(want) == 0 {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, time, memory, uint8(threads), uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}

// noHash is worked out for names that are nobody's, so that they take as long as others.
var noHash = hashPassword("nobody has this password")

// secretLen is how many random bytes a session or a link has.
const secretLen = 16

// newSecret returns a secret for a browser or a link, and the digest by which it is kept.
func newSecret() (secret, digest string) {
	b := make([]byte, secretLen)
	_, _ = rand.Read(b) // never fails
	secret = hex.EncodeToString(b)
	return secret, digestOf(secret)
}

func digestOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
