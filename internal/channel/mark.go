package channel

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"

	duly "github.com/dulyhq/duly"
)

// Unsubscriber is a Sender whose messages carry a link by which whoever reads one refuses more of them.
type Unsubscriber interface {
	// Unsubscribe returns the attempt that a link's token was made for, and false for a token that we did not make.
	Unsubscribe(token string) (duly.AttemptID, bool)
}

// Counter is a Sender that counts what it heard and let be. The keys are a short, closed list, fit for a metric's label.
type Counter interface {
	Counts() map[string]int64
}

// Marks proves that it was we who named an attempt to the outside: a mark is the attempt's id, a full stop and a code that
// only the holder of the secret can make. It is verified without a look at the store, so a stranger who guesses learns
// nothing. Marks of one use are none of another. Letters of a mark have no case: mail servers may change it.
type Marks struct {
	Use     string   // what the marks are for: one word
	Secrets []Secret // the first makes marks, all verify them: two while one replaces the other
}

// markBytes is how much of the HMAC a mark has: 80 bits, which fit a mail address beside an attempt's id.
const markBytes = 10

var markText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// markLen is the length of a code.
const markLen = markBytes * 8 / 5

// Make returns the mark of an attempt.
func (m Marks) Make(id duly.AttemptID) string {
	return string(id) + "." + m.code(m.Secrets[0], id)
}

// Read returns the attempt that a mark is of, and false for text that is none of our marks.
func (m Marks) Read(mark string) (duly.AttemptID, bool) {
	at := len(mark) - markLen - 1
	if at < 1 || len(mark) > duly.MaxIDLen || mark[at] != '.' {
		return "", false
	}
	mark = strings.ToLower(mark)
	id := duly.AttemptID(mark[:at])
	if _, ok := id.Contact(); !ok {
		return "", false
	}
	known := false
	for _, s := range m.Secrets {
		known = hmac.Equal([]byte(mark[at+1:]), []byte(m.code(s, id))) || known
	}
	return id, known
}

func (m Marks) code(s Secret, id duly.AttemptID) string {
	h := hmac.New(sha256.New, []byte(s.Reveal()))
	h.Write([]byte("duly mark\x00" + m.Use + "\x00" + string(id)))
	return markText.EncodeToString(h.Sum(nil)[:markBytes])
}
