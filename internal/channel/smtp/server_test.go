package smtp_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel/channeltest"
)

// What a script may say in place of a reply.
const (
	hangUp  = "hang up"
	silence = "silence" // until the other side goes away
	flood   = "flood"
	drip    = "drip: " // and the reply, byte by byte
	cut     = "cut: "  // and the beginning of a reply, then hang up
	once    = "once: " // and any of the others: the next time it is answered well
)

// script is what a server says at each command: greeting, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, dot, RSET, QUIT. What
// is not there it answers as a good server does.
type script map[string]string

// server is a mail server that follows a script.
type server struct {
	t    testing.TB
	log  channeltest.Log
	addr *net.TCPAddr
	ext  []string

	mu     sync.Mutex
	cert   *tls.Certificate // to offer STARTTLS with
	tls    bool             // from the first byte
	script script
	mails  []mailGot
	conns  int
	open   map[net.Conn]bool
	lines  []string
}

// mailGot is what the server got of one mail.
type mailGot struct{ mail, rcpt, data string }

func newServer(t testing.TB, s script, ext ...string) *server {
	t.Helper()
	srv := &server{t: t, script: s, ext: ext, open: map[net.Conn]bool{}}
	srv.listen("127.0.0.1:0")
	return srv
}

func (s *server) listen(addr string) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().(*net.TCPAddr)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns++
			s.open[c] = true
			s.mu.Unlock()
			wg.Go(func() { s.serve(c) })
		}
	})
	s.t.Cleanup(func() {
		_ = l.Close()
		s.dropAll()
		wg.Wait()
	})
}

// dropAll closes every connection without a word.
func (s *server) dropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
	}
}

func (s *server) follow(to script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = to
}

// secure gives the server a certificate, for STARTTLS or for use from the first byte on.
func (s *server) secure(cert *tls.Certificate, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cert, s.tls = cert, first
}

func (s *server) certificate() (*tls.Certificate, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cert, s.tls
}

func (s *server) got() []mailGot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]mailGot(nil), s.mails...)
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

func (s *server) says(step, good string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.script[step]
	if !ok {
		return good
	}
	if said, ok := strings.CutPrefix(r, once); ok {
		delete(s.script, step)
		return said
	}
	return r
}

// session is one connection.
type session struct {
	*server
	c    net.Conn
	r    *bufio.Reader
	ext  []string
	mail mailGot
}

func (s *server) serve(c net.Conn) {
	defer func(c net.Conn) {
		_ = c.Close()
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	}(c)
	cert, first := s.certificate()
	if first {
		c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*cert}})
	}
	x := &session{server: s, c: c, r: bufio.NewReader(c), ext: s.ext}
	if !x.reply("greeting", "220 mx.lender.example ESMTP") {
		return
	}
	for {
		line, err := x.r.ReadString('\n')
		if err != nil || !x.command(strings.TrimRight(line, "\r\n")) {
			return
		}
	}
}

func (x *session) command(line string) bool {
	x.mu.Lock()
	x.lines = append(x.lines, line)
	x.mu.Unlock()
	verb, rest, _ := strings.Cut(line, " ")
	switch verb = strings.ToUpper(verb); verb {
	case "EHLO":
		return x.reply("EHLO", "250-mx.lender.example\r\n250-8BITMIME\r\n"+x.extensions()+"250 SIZE 1000000")
	case "STARTTLS":
		if !x.reply(verb, "220 go on") {
			return false
		}
		cert, _ := x.certificate()
		c := tls.Server(x.c, &tls.Config{Certificates: []tls.Certificate{*cert}})
		x.c, x.r, x.ext = c, bufio.NewReader(c), nil
		return true
	case "AUTH":
		return x.reply(verb, "235 2.7.0 welcome")
	case "MAIL":
		if x.mail.mail != "" {
			return x.say("503 5.5.1 one mail at a time")
		}
		x.mail.mail = rest
		return x.reply(verb, "250 2.1.0 ok")
	case "RSET":
		x.mail = mailGot{}
		return x.reply(verb, "250 2.0.0 ok")
	case "RCPT":
		x.mail.rcpt = rest
		return x.reply(verb, "250 2.1.5 ok")
	case "DATA":
		return x.data()
	case "QUIT":
		_ = x.reply(verb, "221 bye")
		return false
	}
	return x.reply(verb, "250 2.0.0 ok")
}

func (x *session) extensions() string {
	var out string
	for _, e := range x.ext {
		out += "250-" + e + "\r\n"
	}
	return out
}

func (x *session) data() bool {
	if !x.reply("DATA", "354 go on") {
		return false
	}
	if !strings.HasPrefix(x.says("DATA", "354"), "354") {
		return true
	}
	if x.says("content", "") == hangUp {
		return false
	}
	var b strings.Builder
	for {
		line, err := x.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	x.mail.data = b.String()
	reply := x.says("dot", "250 2.0.0 Ok: queued as 4F2A81B")
	if takes(reply) {
		x.mu.Lock()
		x.mails = append(x.mails, x.mail)
		x.mu.Unlock()
		x.log.Took(attemptOf(x.mail.data))
	}
	x.mail = mailGot{}
	return x.say(reply)
}

// takes reports whether a server that says so at the end has the mail: all but those that refuse it do.
func takes(reply string) bool {
	return !strings.HasPrefix(reply, "4") && !strings.HasPrefix(reply, "5")
}

func attemptOf(data string) duly.AttemptID {
	_, after, _ := strings.Cut(data, "Message-ID: <")
	id, _, _ := strings.Cut(after, "@")
	return duly.AttemptID(id)
}

func (x *session) reply(step, good string) bool { return x.say(x.says(step, good)) }

// say sends a reply and reports whether the conversation goes on.
func (x *session) say(reply string) bool {
	switch {
	case reply == hangUp:
		return false
	case reply == silence:
		for {
			if _, err := x.r.ReadByte(); err != nil {
				return false
			}
		}
	case reply == flood:
		for {
			if _, err := x.c.Write([]byte("250-more and more and more of it\r\n")); err != nil {
				return false
			}
		}
	case strings.HasPrefix(reply, cut):
		_, _ = x.c.Write([]byte(strings.TrimPrefix(reply, cut)))
		return false
	case strings.HasPrefix(reply, drip):
		for _, b := range []byte(strings.TrimPrefix(reply, drip) + "\r\n") {
			_, _ = x.c.Write([]byte{b})
			time.Sleep(2 * time.Millisecond)
		}
		return true
	}
	_, err := x.c.Write([]byte(reply + "\r\n"))
	return err == nil && !strings.HasPrefix(reply, "421")
}

// writeCertificate writes the certificate and its key to files, for a server that reads them.
func writeCertificate(t *testing.T, c *tls.Certificate, certPEM string) (certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, text := range map[string][]byte{
		certFile: []byte(certPEM), keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// certificate makes one for 127.0.0.1 that vouches for itself, and its PEM text.
func certificate(t *testing.T) (*tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.lender.example"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
