package tencent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

const algorithm = "TC3-HMAC-SHA256"

// authorize signs a POST of a body to / of a service, with some of its headers, as TC3-HMAC-SHA256 does.
func authorize(id string, secret channel.Secret, service string, now time.Time, headers map[string]string, body []byte) string {
	names := slices.Sorted(maps.Keys(headers))
	var b strings.Builder
	b.WriteString("POST\n/\n\n")
	for _, name := range names {
		b.WriteString(name + ":" + strings.ToLower(strings.TrimSpace(headers[name])) + "\n")
	}
	list := strings.Join(names, ";")
	b.WriteString("\n" + list + "\n" + digest(body))
	date := now.UTC().Format("2006-01-02")
	scope := date + "/" + service + "/tc3_request"
	text := algorithm + "\n" + strconv.FormatInt(now.Unix(), 10) + "\n" + scope + "\n" + digest([]byte(b.String()))
	key := mac(mac(mac([]byte("TC3"+secret.Reveal()), date), service), "tc3_request")
	return algorithm + " Credential=" + id + "/" + scope + ", SignedHeaders=" + list + ", Signature=" + hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text))
	return h.Sum(nil)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
