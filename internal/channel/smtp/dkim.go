package smtp

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/idna"

	"github.com/dulyhq/duly/internal/channel"
)

// DKIM is one signature that every mail carries (RFC 6376): of a domain, by a key whose public half stands in the DNS under
// SELECTOR._domainkey.DOMAIN. Several may stand side by side, such as an Ed25519 key beside an RSA key.
type DKIM struct {
	Domain   string         `yaml:"domain"`
	Selector string         `yaml:"selector"`
	Key      channel.Secret `yaml:"key"`      // the private key's PEM text; or
	KeyFile  string         `yaml:"key_file"` // a file of it
}

// Limits of signatures. RFC 8301 wants RSA keys of 2,048 bits; of 4,096 not every receiver takes the DNS record.
const (
	signaturesMax = 4
	rsaBitsMin    = 2048
	rsaBitsMax    = 4096
	keyFileMax    = 64 << 10
)

// signedHeaders are the fields that a signature covers; those named twice are signed once more as absent, so that nobody can
// add another one. RFC 8058 wants both List-Unsubscribe fields covered.
var signedHeaders = []string{
	"From", "From", "To", "To", "Cc", "Subject", "Subject", "Date", "Date", "Message-ID", "Message-ID", "Reply-To", "Reply-To",
	"In-Reply-To", "References", "List-Unsubscribe", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Unsubscribe-Post",
	"Auto-Submitted", "Content-Language", "MIME-Version", "Content-Type", "Content-Type", "Content-Transfer-Encoding",
}

var dnsName = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?$`)

// checkDKIM reports what is wrong with the signatures. One of them must be of the sender's own domain, or DMARC counts none.
func (c Config) checkDKIM(p *channel.Problems, from string) {
	if len(c.DKIM) > signaturesMax {
		p.Add("dkim", "more than "+strconv.Itoa(signaturesMax)+" signatures", "one RSA and one Ed25519 key are enough")
	}
	own := len(c.DKIM) == 0
	host := strings.ToLower(from)
	if ascii, err := idna.ToASCII(host); err == nil { // 例子.中国 is signed for as xn--fsqu00a.xn--fiqs8s
		host = ascii
	}
	for i, d := range c.DKIM {
		at := "dkim[" + strconv.Itoa(i) + "]."
		if !dnsName.MatchString(d.Domain) || !strings.Contains(d.Domain, ".") {
			p.Add(at+"domain", "not a domain", "write it in small letters, such as lender.example; a Chinese domain in its xn-- form")
		}
		if !dnsName.MatchString(d.Selector) {
			p.Add(at+"selector", "not a selector", "write the part ahead of ._domainkey in the DNS, such as s1")
		}
		switch {
		case d.Key.IsZero() == (d.KeyFile == ""):
			p.Add(at+"key", "not exactly one of key and key_file", "give the private key's PEM text, or the path of a file of it")
		case !d.Key.IsZero():
			if _, err := parseKey([]byte(d.Key.Reveal())); err != nil {
				p.Add(at+"key", err.Error(), keyHint)
			}
		}
		own = own || host == d.Domain || strings.HasSuffix(host, "."+d.Domain) || strings.HasSuffix(d.Domain, "."+host)
	}
	if !own {
		p.Add("dkim", "no signature is of the domain of from", "receivers with DMARC count only signatures of the domain that borrowers see; add one")
	}
}

const keyHint = "make one with: openssl genrsa 2048, or: openssl genpkey -algorithm ed25519"

// parseKey reads a private key of PEM text. Its errors say nothing of the key.
func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("holds no PEM block")
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, errors.New("is no private key in PKCS #1 or PKCS #8, or is protected by a password")
	}
	if err != nil {
		return nil, errors.New("is no readable private key")
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if n := k.N.BitLen(); n < rsaBitsMin || n > rsaBitsMax {
			return nil, errors.New("is an RSA key of fewer than " + strconv.Itoa(rsaBitsMin) + " or more than " + strconv.Itoa(rsaBitsMax) + " bits")
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, errors.New("is neither an RSA nor an Ed25519 key")
}

// signers makes the signers of a configuration that was checked.
func (c Config) signers(at string) ([]dkim.SignOptions, error) {
	p := channel.ProblemsAt(at)
	out := make([]dkim.SignOptions, 0, len(c.DKIM))
	for i, d := range c.DKIM {
		key, err := d.signer()
		if err != nil {
			p.Add("dkim["+strconv.Itoa(i)+"].key_file", err.Error(), keyHint)
			continue
		}
		out = append(out, dkim.SignOptions{
			Domain: d.Domain, Selector: d.Selector, Signer: key, HeaderKeys: signedHeaders,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		})
	}
	return out, p.Err()
}

// Record is the public half of a signature's key, as the DNS has to hold it for receivers to check signatures by.
type Record struct {
	Name string // SELECTOR._domainkey.DOMAIN
	Text string // of the TXT record; longer than 255 bytes it is written in parts
}

// Records returns what has to stand in the DNS for the configured signatures; at is the configuration's place in its file.
func (c Config) Records(at string) ([]Record, error) {
	if err := c.Check(at); err != nil {
		return nil, err
	}
	signatures, err := c.signers(at)
	if err != nil {
		return nil, err
	}
	out := make([]Record, len(signatures))
	for i, s := range signatures {
		kind, key := "ed25519", []byte(nil)
		switch public := s.Signer.Public().(type) {
		case ed25519.PublicKey:
			key = public
		case *rsa.PublicKey:
			kind = "rsa"
			if key, err = x509.MarshalPKIXPublicKey(public); err != nil {
				return nil, err
			}
		}
		out[i] = Record{s.Selector + "._domainkey." + s.Domain, "v=DKIM1; k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(key)}
	}
	return out, nil
}

func (d DKIM) signer() (crypto.Signer, error) {
	if d.KeyFile == "" {
		return parseKey([]byte(d.Key.Reveal()))
	}
	f, err := os.Open(d.KeyFile)
	if err != nil {
		return nil, errors.New("the file cannot be read")
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, keyFileMax))
	if err != nil {
		return nil, errors.New("the file cannot be read")
	}
	return parseKey(text)
}

// sign puts the signatures ahead of a mail. Each covers the mail as it was composed, so their order does not matter.
func (s *Sender) sign(raw []byte) ([]byte, error) {
	var out []byte
	for i := range s.signatures {
		signer, err := dkim.NewSigner(&s.signatures[i])
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(signer, bytes.NewReader(raw))
		if cerr := signer.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, err
		}
		out = append(out, signer.Signature()...)
	}
	return append(out, raw...), nil
}
