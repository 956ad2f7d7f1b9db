package smtp_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"mime"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/smtp"
)

var markSecret = channel.NewSecret("0123456789abcdef0123456789abcdef")

// keys are the private keys of the tests as PEM, and the DNS records of their public halves.
type keys struct {
	rsa, ed, small string
	records        map[string]string
}

// theKeys makes them once: an RSA key takes a while.
var theKeys = sync.OnceValue(func() keys {
	private := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			panic(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	public, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(r.Public())
	if err != nil {
		panic(err)
	}
	return keys{
		rsa: string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(r)})), ed: private(e), small: private(small),
		records: map[string]string{
			"r1._domainkey.lender.example": "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(spki),
			"e1._domainkey.lender.example": "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public),
		},
	}
})

func lookup(name string) ([]string, error) {
	record, ok := theKeys().records[strings.TrimSuffix(name, ".")]
	if !ok {
		return nil, fmt.Errorf("no record %s", name)
	}
	return []string{record}, nil
}

// signing is a configuration with all that this carrier can do: two signatures, marks, a link of refusal.
func signing(t *testing.T, c smtp.Config) smtp.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dkim.pem")
	if err := os.WriteFile(file, []byte(theKeys().rsa), 0o600); err != nil {
		t.Fatal(err)
	}
	c.DKIM = []smtp.DKIM{
		{Domain: "lender.example", Selector: "r1", KeyFile: file},
		{Domain: "lender.example", Selector: "e1", Key: channel.NewSecret(theKeys().ed)},
	}
	c.Secrets = []channel.Secret{markSecret}
	c.EnvelopeFrom, c.ReplyTo = "bounce+{attempt}@lender.example", "reply+{attempt}@lender.example"
	c.Unsubscribe = "https://duly.lender.example/v1/unsubscribe/{token}"
	return c
}

func mark(id duly.AttemptID) string {
	return channel.Marks{Use: "mail", Secrets: []channel.Secret{markSecret}}.Make(id)
}

// verifySigned holds a mail that arrived to its two signatures: by the library that signed, and by dkimpy, which others wrote.
func verifySigned(t *testing.T, raw []byte) {
	t.Helper()
	got, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: lookup})
	if err != nil || len(got) != 2 {
		t.Fatalf("got %d signatures, %v; want 2", len(got), err)
	}
	for _, v := range got {
		if v.Err != nil {
			t.Errorf("signature of %s: %v", v.Domain, v.Err)
		}
		for _, want := range []string{"From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post"} {
			if n := strings.Count(strings.ToLower(":"+strings.Join(v.HeaderKeys, ":")+":"), strings.ToLower(":"+want+":")); n == 0 {
				t.Errorf("%s is not signed: %v", want, v.HeaderKeys)
			}
		}
	}
	// A field that somebody adds breaks the signatures: each is signed once more than it is there.
	for _, add := range []string{"Subject: Pay here instead\r\n", "From: <thief@example.com>\r\n", "List-Unsubscribe: <https://thief.example>\r\n"} {
		got, err := dkim.VerifyWithOptions(bytes.NewReader(append([]byte(add), raw...)), &dkim.VerifyOptions{LookupTXT: lookup})
		if err != nil || len(got) != 2 || got[0].Err == nil || got[1].Err == nil {
			t.Errorf("with a second field %q the signatures still hold", add)
		}
	}
	dkimpy(t, raw, true)
	dkimpy(t, bytes.Replace(raw, []byte("To: "), []byte("To: x"), 1), false)
}

// dkimpyScript verifies each signature of a mail with dkimpy, with the records given as name=value lines.
const dkimpyScript = `
import sys, dkim
records = dict(l.split("=", 1) for l in open(sys.argv[1]).read().splitlines())
def txt(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    return records.get(name.rstrip("."), "").encode()
mail = open(sys.argv[2], "rb").read()
d = dkim.DKIM(mail)
print(",".join(str(d.verify(idx=i, dnsfunc=txt)) for i in range(2)))
`

func dkimpy(t *testing.T, raw []byte, want bool) {
	t.Helper()
	if err := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", "import dkim, nacl").Run(); err != nil {
		t.Log("not verified by dkimpy: python3-dkim and python3-nacl are not installed")
		return
	}
	dir := t.TempDir()
	var records strings.Builder
	for name, value := range theKeys().records {
		fmt.Fprintf(&records, "%s=%s\n", name, value)
	}
	for name, text := range map[string]string{"records": records.String(), "mail": string(raw)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", dkimpyScript, filepath.Join(dir, "records"), filepath.Join(dir, "mail")).CombinedOutput()
	says := "False,False"
	if want {
		says = "True,True"
	}
	if got := strings.TrimSpace(string(out)); err != nil || got != says {
		t.Errorf("dkimpy: got %q, %v; want %s", got, err, says)
	}
}

func TestSigned(t *testing.T) {
	t.Parallel()
	srv := newServer(t, script{})
	s := newSender(t, signing(t, config(srv.addr)))
	m := message(1)
	m.Subject = strings.Repeat("还款提醒，", 24) // longer than a line may be
	for range 2 {
		if _, err := send(t, s, m); err != nil {
			t.Fatal(err)
		}
	}
	got := srv.got()[0]
	verifySigned(t, []byte(got.data))
	if want := "FROM:<bounce+" + mark(m.AttemptID) + "@lender.example> BODY=8BITMIME"; got.mail != want {
		t.Errorf("envelope: got %q, want %q", got.mail, want)
	}
	parsed, err := mail.ReadMessage(strings.NewReader(got.data))
	if err != nil {
		t.Fatal(err)
	}
	if subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject")); err != nil || subject != m.Subject {
		t.Errorf("subject: got %q, %v; want %q", subject, err, m.Subject)
	}
	head, _, _ := strings.Cut(got.data, "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		for word := range strings.FieldsSeq(line) {
			if strings.HasPrefix(word, "=?") && len(word) > 75 { // RFC 2047, section 2
				t.Errorf("an encoded word of %d characters: %s", len(word), word)
			}
		}
		if !ascii(line) || len(line) > 998 {
			t.Errorf("a header line that not every server takes: %s", line)
		}
	}
	token := channel.Marks{Use: "unsubscribe", Secrets: []channel.Secret{markSecret}}.Make(m.AttemptID)
	for name, want := range map[string]string{
		"Message-ID": "<" + mark(m.AttemptID) + "@lender.example>", "Reply-To": "<reply+" + mark(m.AttemptID) + "@lender.example>",
		"List-Unsubscribe": "<https://duly.lender.example/v1/unsubscribe/" + token + ">", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
	} {
		if got := parsed.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if id, ok := s.Unsubscribe(token); !ok || id != m.AttemptID {
		t.Errorf("the token is of %q, %t", id, ok)
	}
	for _, other := range []string{mark(m.AttemptID), token[:len(token)-1] + "?", ""} {
		if _, ok := s.Unsubscribe(other); ok {
			t.Errorf("%q is taken for a token", other)
		}
	}
	composed := func(data string) string { return data[strings.Index(data, "List-Unsubscribe: <"):] } // below the signatures, which have a time
	if composed(got.data) != composed(srv.got()[1].data) {
		t.Error("the same message twice is not the same mail")
	}
}

func ascii(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0 }

// TestRecords: the records that an operator is told to publish are those by which the signatures verify.
func TestRecords(t *testing.T) {
	t.Parallel()
	c := signing(t, smtp.Config{Host: "mx.lender.example", From: "notice@lender.example"})
	got, err := c.Records("carriers.mail.smtp")
	if err != nil {
		t.Fatal(err)
	}
	want := []smtp.Record{{"r1._domainkey.lender.example", theKeys().records["r1._domainkey.lender.example"]}, {"e1._domainkey.lender.example", theKeys().records["e1._domainkey.lender.example"]}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	c.DKIM[0].KeyFile = "not-there.pem"
	if _, err := c.Records("carriers.mail.smtp"); duly.CodeOf(err) != duly.Invalid {
		t.Errorf("without the key's file: got %v, want invalid", err)
	}
}

// TestPage: the HTML says what the plain text says, and holds nothing that is fetched or run.
func TestPage(t *testing.T) {
	t.Parallel()
	srv := newServer(t, script{})
	m := message(1)
	m.Subject, m.Language = `a </title><script>alert(1)</script>`, `en"><b`
	m.Text = "Dear A & B,\n\n1 < 2 <img src=x onerror=y>\nsecond line\n\n\nLender\n"
	s := newSender(t, config(srv.addr))
	if _, err := send(t, s, m); err != nil {
		t.Fatal(err)
	}
	parsed, err := mail.ReadMessage(strings.NewReader(srv.got()[0].data))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(decodePart(t, parsed, "text/html"), "\r\n", "\n")
	want := `<!DOCTYPE html>
<html lang="en&#34;&gt;&lt;b"><head><meta charset="utf-8"><title>a &lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;</title></head>
<body style="max-width:40em">
<p>Dear A &amp; B,</p>
<p>1 &lt; 2 &lt;img src=x onerror=y&gt;<br>
second line</p>
<p>Lender</p>
</body></html>
`
	if strings.TrimRight(got, "\n") != strings.TrimRight(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	c := config(srv.addr)
	c.PlainOnly = true
	if _, err := send(t, newSender(t, c), m); err != nil {
		t.Fatal(err)
	}
	if data := srv.got()[1].data; strings.Contains(data, "text/html") {
		t.Error("plain_only sends HTML")
	}
}

// BenchmarkSend sends mails over one kept connection, unsigned and with each sort of key.
func BenchmarkSend(b *testing.B) {
	rsa, ed := channel.NewSecret(theKeys().rsa), channel.NewSecret(theKeys().ed)
	for name, d := range map[string][]smtp.DKIM{
		"unsigned": nil, "rsa": {{Domain: "lender.example", Selector: "r1", Key: rsa}}, "ed25519": {{Domain: "lender.example", Selector: "e1", Key: ed}},
	} {
		b.Run(name, func(b *testing.B) {
			c := config(newServer(b, script{}).addr)
			c.DKIM, c.Connections = d, 1
			s, err := smtp.New("mail", c, channel.Host{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			for n := 0; b.Loop(); n++ {
				if _, err := s.Send(b.Context(), message(n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
