package post

import (
	"crypto/x509"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// Link is how a carrier is reached: the settings that all who post share, read among the adapter's own.
//
//	type Config struct {
//		URL  string    `yaml:"url"`
//		Link post.Link `yaml:",inline"`
//	}
type Link struct {
	Plaintext     bool          `yaml:"plaintext"`      // allows http beyond the loopback: borrowers' addresses cross the network in clear
	Connections   int           `yaml:"connections"`    // at one time; 64 where it is not given
	Timeout       time.Duration `yaml:"timeout"`        // of one message; 10s where it is not given
	CertAuthority string        `yaml:"cert_authority"` // PEM text of a private certificate authority
}

// Limits and defaults of a link.
const (
	connectionsDefault = 64
	connectionsMax     = 4096
	timeoutDefault     = 10 * time.Second
	timeoutMax         = 5 * time.Minute
)

// Check notes what is wrong with the link.
func (l Link) Check(p *channel.Problems) {
	if l.Connections < 0 || l.Connections > connectionsMax {
		p.Add("connections", "not from 1 to "+strconv.Itoa(connectionsMax), "leave it out for "+strconv.Itoa(connectionsDefault))
	}
	if l.Timeout < 0 || l.Timeout > timeoutMax {
		p.Add("timeout", "not from 0 to "+timeoutMax.String(), "write it as 10s")
	}
	if l.CertAuthority != "" && certPool(l.CertAuthority) == nil {
		p.Add("cert_authority", "holds no certificate", "give the PEM text itself, from BEGIN to END")
	}
}

// CheckURL notes what is wrong with a URL that the link leads to.
func (l Link) CheckURL(p *channel.Problems, key, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		p.Add(key, "not a web address", "write it whole, such as https://sms.lender.example/duly")
	case u.User != nil:
		p.Add(key, "holds a user or password", "write them where the carrier's settings ask for them, and take them out here")
	case u.Scheme == "http" && !l.Plaintext && !Loopback(u.Hostname()):
		p.Add(key, "would send borrowers' numbers over the network in clear", "write https, or set plaintext: true on a network that is yours alone")
	}
}

// WithDefaults fills in what was not given.
func (l Link) WithDefaults() Link {
	if l.Connections == 0 {
		l.Connections = connectionsDefault
	}
	if l.Timeout == 0 {
		l.Timeout = timeoutDefault
	}
	return l
}

// certPool returns nil, which means the system's own authorities, for text without a certificate.
func certPool(pem string) *x509.CertPool {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil
	}
	return pool
}

// Loopback reports whether a host is this machine.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
