package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// The headers of a message and of a callback.
const (
	HeaderAttempt   = "Duly-Attempt"   // the attempt's id: the same for every repeat of one message
	HeaderTimestamp = "Duly-Timestamp" // when it was signed, in Unix seconds
	HeaderSignature = "Duly-Signature" // v1=<hex>, several with commas between
)

// signatureMark is the scheme: HMAC-SHA256 over the timestamp, a full stop and the body.
const signatureMark = "v1="

// signaturesMax bounds the signatures that a callback may try.
const signaturesMax = 4

// ReplayWindow is how old, or how far ahead, a callback's timestamp may be.
const ReplayWindow = 5 * time.Minute

// Sign returns the value of Duly-Signature for a body signed at a Unix time: the reference that the other side's
// programmer can check theirs against.
func Sign(secret channel.Secret, unix int64, body []byte) string {
	return string(newKey(secret).append(nil, strconv.FormatInt(unix, 10), body))
}

// key signs with one secret. It keeps hashes for reuse: setting one up costs more than a message.
type key struct{ pool *sync.Pool }

func newKey(s channel.Secret) key {
	text := []byte(s.Reveal())
	return key{&sync.Pool{New: func() any { return hmac.New(sha256.New, text) }}}
}

func newKeys(secrets []channel.Secret) []key {
	out := make([]key, len(secrets))
	for i, s := range secrets {
		out[i] = newKey(s)
	}
	return out
}

// append adds v1=<hex> to dst.
func (k key) append(dst []byte, timestamp string, body []byte) []byte {
	h := k.pool.Get().(hash.Hash)
	defer k.pool.Put(h)
	h.Reset()
	var buf [32]byte
	_, _ = h.Write(append(append(buf[:0], timestamp...), '.'))
	_, _ = h.Write(body)
	return hex.AppendEncode(append(dst, signatureMark...), h.Sum(buf[:0]))
}

// verifies reports whether one of the signatures in header is by one of the keys. It compares in constant time.
func verifies(keys []key, header, timestamp string, body []byte) bool {
	parts := strings.SplitN(header, ",", signaturesMax+1)
	if len(parts) > signaturesMax {
		return false
	}
	ok := false
	for _, k := range keys {
		want := k.append(nil, timestamp, body)
		for _, p := range parts {
			if hmac.Equal(want, []byte(strings.TrimSpace(p))) {
				ok = true
			}
		}
	}
	return ok
}
