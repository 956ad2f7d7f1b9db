// Package weixin is what WeChat and WeCom share: callbacks that are signed with a token and sealed with an AES key, access
// tokens, and answers that carry an errcode.
package weixin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1" //nolint:gosec // the platform signs with it
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
)

// SealConfig is how callbacks prove themselves. Without it none are taken.
type SealConfig struct {
	Token  channel.Secret `yaml:"token"`
	AESKey channel.Secret `yaml:"encoding_aes_key"` // 43 letters and digits
}

// Check notes what is wrong with it.
func (c SealConfig) Check(p *channel.Problems, at string) {
	if c.Token.IsZero() && c.AESKey.IsZero() {
		return
	}
	if c.Token.IsZero() {
		p.Add(at+".token", "missing", "copy the token from the platform's page of the callback")
	}
	if _, err := aesKey(c.AESKey); err != nil {
		p.Add(at+".encoding_aes_key", "not an EncodingAESKey", "copy its 43 characters from the platform's page of the callback, in safe mode")
	}
}

func aesKey(s channel.Secret) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(s.Reveal() + "=")
	if err == nil && len(key) != 32 {
		err = aes.KeySizeError(len(key))
	}
	return key, err
}

// Seal opens callbacks. The zero Seal takes none.
type Seal struct {
	token    string
	receiver string
	block    cipher.Block
	iv       []byte
}

// NewSeal makes a seal for callbacks to a receiver: an app's id, or a company's.
func NewSeal(c SealConfig, receiver string) (Seal, error) {
	if c.Token.IsZero() {
		return Seal{}, nil
	}
	key, err := aesKey(c.AESKey)
	if err != nil {
		return Seal{}, err
	}
	block, err := aes.NewCipher(key)
	return Seal{c.Token.Reveal(), receiver, block, key[:aes.BlockSize]}, err
}

// Taken reports whether callbacks are taken.
func (s *Seal) Taken() bool { return s.block != nil }

// Window is how old a callback may be.
const Window = 5 * time.Minute

// Open proves a callback, and returns the XML in it; of a call by GET, the text that the platform wants back.
func (s *Seal) Open(r *http.Request, body []byte, now time.Time) ([]byte, error) {
	if !s.Taken() {
		return nil, duly.Errorf(duly.Refused, "this carrier takes no callbacks").WithHint("set callback.token and callback.encoding_aes_key in its configuration")
	}
	if err := callback.Fits(body); err != nil {
		return nil, err
	}
	q := r.URL.Query()
	var sealed string
	switch {
	case r.Method == http.MethodGet && q.Get("msg_signature") == "": // of an official account: only signed
		if err := s.proved(q, q.Get("signature"), now); err != nil {
			return nil, err
		}
		if !callback.Reference(q.Get("echostr")) {
			return nil, duly.Errorf(duly.Invalid, "there is no echostr")
		}
		return []byte(q.Get("echostr")), nil
	case r.Method == http.MethodGet:
		sealed = q.Get("echostr")
	default:
		var v struct {
			Encrypt string `xml:"Encrypt"`
		}
		if xml.Unmarshal(body, &v) != nil || v.Encrypt == "" {
			return nil, duly.Errorf(duly.Invalid, "the body is no sealed XML").WithHint("choose safe mode, and XML, on the platform's page of the callback")
		}
		sealed = v.Encrypt
	}
	if err := s.proved(q, q.Get("msg_signature"), now, sealed); err != nil {
		return nil, err
	}
	return s.unseal(sealed)
}

// proved checks a signature and the time that it is of.
func (s *Seal) proved(q url.Values, signature string, now time.Time, more ...string) error {
	timestamp := q.Get("timestamp")
	if subtle.ConstantTimeCompare([]byte(Signature(append(more, s.token, timestamp, q.Get("nonce"))...)), []byte(signature)) != 1 {
		return duly.Errorf(duly.Refused, "the signature is wrong").WithHint("compare callback.token with the platform's page of the callback")
	}
	unix, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return duly.Errorf(duly.Refused, "the timestamp is not a time in Unix seconds")
	}
	return callback.Fresh(time.Unix(unix, 0), now, Window)
}

// Signature is the platform's: the hex SHA-1 of the texts, sorted.
func Signature(texts ...string) string {
	slices.Sort(texts)
	h := sha1.New() //nolint:gosec // as above
	for _, t := range texts {
		h.Write([]byte(t))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// unseal decrypts: 16 random octets, the length, the text and the receiver, padded to 32.
func (s *Seal) unseal(sealed string) ([]byte, error) {
	bad := duly.Errorf(duly.Refused, "the callback cannot be opened").WithHint("compare callback.encoding_aes_key, and the id of the receiver, with the platform's page")
	b, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(b) == 0 || len(b)%aes.BlockSize != 0 {
		return nil, bad
	}
	cipher.NewCBCDecrypter(s.block, s.iv).CryptBlocks(b, b)
	pad := int(b[len(b)-1])
	if pad < 1 || pad > 32 || len(b)-pad < 20 {
		return nil, bad
	}
	b = b[16 : len(b)-pad]
	n := binary.BigEndian.Uint32(b)
	if b = b[4:]; uint64(n) > uint64(len(b)) || string(b[n:]) != s.receiver {
		return nil, bad
	}
	return b[:n], nil
}
