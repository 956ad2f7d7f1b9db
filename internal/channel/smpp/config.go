package smpp

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// Config is how to reach a message centre, who we are there, and how it wants its messages.
type Config struct {
	Host          string         `yaml:"host"`
	Port          int            `yaml:"port"` // 2775 where it is not given, 3550 with tls
	TLS           bool           `yaml:"tls"`
	ServerName    string         `yaml:"server_name"`    // of the certificate, where it is not the host
	CertAuthority string         `yaml:"cert_authority"` // PEM text of a private certificate authority
	SystemID      string         `yaml:"system_id"`
	Password      channel.Secret `yaml:"password"`
	SystemType    string         `yaml:"system_type"`
	AddressRange  string         `yaml:"address_range"`
	Bind          Bind           `yaml:"bind"`   // transceiver where it is not given
	Binds         int            `yaml:"binds"`  // at one time; 1 where it is not given
	Window        int            `yaml:"window"` // messages without an answer, per bind; 10 where it is not given
	Rate          int            `yaml:"rate"`   // submit_sm per second, over all binds; 0 for as fast as the window lets

	From    string `yaml:"from"`     // our own number or name
	FromTON *int   `yaml:"from_ton"` // what kind it is; by its look where it is not given
	FromNPI *int   `yaml:"from_npi"`
	ToTON   *int   `yaml:"to_ton"` // 1, international, where it is not given
	ToNPI   *int   `yaml:"to_npi"` // 1, E.164
	Plus    bool   `yaml:"plus"`   // numbers go out with their plus sign
	Region  string `yaml:"region"` // the country of numbers written without one: CN
	Service string `yaml:"service_type"`

	Long      Long     `yaml:"long"`      // how texts go that one SMS cannot hold; udh8 where it is not given
	PartsMax  int      `yaml:"parts_max"` // 10 where it is not given
	Alphabet  Alphabet `yaml:"alphabet"`  // gsm7 where it is not given
	GSMCoding *int     `yaml:"gsm7_data_coding"`
	UCSCoding *int     `yaml:"ucs2_data_coding"`
	Validity  Validity `yaml:"validity"`  // relative where it is not given
	Reference bool     `yaml:"reference"` // sends user_message_reference, and reads it from receipts

	Receipts      Receipts                      `yaml:"receipts"` // all where it is not given
	ReceiptZone   string                        `yaml:"receipt_zone"`
	ReceiptErrors map[string]duly.ReceiptStatus `yaml:"receipt_errors"` // what an err of a receipt means: "001": bad_address
	MessageID     MessageID                     `yaml:"message_id"`
	Statuses      map[string]channel.Class      `yaml:"statuses"` // what a command_status means: "0x0411": opted_out
	Query         bool                          `yaml:"query"`    // the carrier answers query_sm

	Enquire      time.Duration `yaml:"enquire"`       // of silence, after which the link is tried; 30s where it is not given
	Answer       time.Duration `yaml:"answer"`        // for how long one answer is waited for; 20s where it is not given
	Timeout      time.Duration `yaml:"timeout"`       // of one message, connecting included; 60s where it is not given
	ReconnectMin time.Duration `yaml:"reconnect_min"` // 1s where it is not given; doubles with every failure, up to
	ReconnectMax time.Duration `yaml:"reconnect_max"` // 1m where it is not given

	statuses             map[status]channel.Class
	zone                 *time.Location // nil: the time of a receipt is when it came
	from                 address
	toTON, toNPI         byte
	gsmCoding, ucsCoding byte
}

// Bind is what a connection is used for.
type Bind string

// The ways to bind: one connection both ways, or one for each.
const (
	BindTransceiver Bind = "transceiver"
	BindPair        Bind = "pair"
)

// Long is how a text goes that one SMS cannot hold.
type Long string

// The ways: in parts with a header of an 8-bit or 16-bit reference, in parts with sar_ parameters, or whole as message_payload.
const (
	LongUDH8    Long = "udh8"
	LongUDH16   Long = "udh16"
	LongSAR     Long = "sar"
	LongPayload Long = "payload"
)

// Alphabet is what octets of the carrier's default alphabet mean.
type Alphabet string

// The alphabets.
const (
	AlphabetGSM7   Alphabet = "gsm7"
	AlphabetLatin1 Alphabet = "latin1"
)

// Validity is how a carrier is told until when a message may be delivered.
type Validity string

// The ways.
const (
	ValidityRelative Validity = "relative"
	ValidityAbsolute Validity = "absolute"
	ValidityNone     Validity = "none"
)

// Receipts is which receipts are asked for.
type Receipts string

// The choices.
const (
	ReceiptsAll      Receipts = "all"
	ReceiptsFailures Receipts = "failures"
	ReceiptsNone     Receipts = "none"
)

// MessageID is how receipts write the id that submit_sm_resp gave: carriers are known to write decimal in one place and hex in the other.
type MessageID struct {
	Receipt Notation `yaml:"receipt"` // in the text of a receipt; same where it is not given
	TLV     Notation `yaml:"tlv"`     // in receipted_message_id; same where it is not given
}

// Notation is how an id is written, against how submit_sm_resp writes it.
type Notation string

// The notations: the same, decimal where the answer has hex, hex where the answer has decimal.
const (
	NotationSame    Notation = "same"
	NotationDecimal Notation = "decimal"
	NotationHex     Notation = "hex"
)

// Limits and defaults.
const (
	portDefault, portTLS       = 2775, 3550
	bindsMax                   = 32
	windowDefault, windowMax   = 10, 2000
	rateMax                    = 100_000
	partsDefault, partsMost    = 10, 255
	enquireDefault, enquireMax = 30 * time.Second, 10 * time.Minute
	answerDefault, answerMax   = 20 * time.Second, 10 * time.Minute
	timeoutDefault, timeoutMax = time.Minute, 10 * time.Minute
	reconnectDefault           = time.Second
	reconnectMost              = time.Minute
	nameMax                    = 11 // characters of a sender's name
	numberMax                  = 20
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	c.checkLink(p)
	c.checkLogin(p)
	c.checkMessage(p)
	c.checkReceipts(p)
	return p.Err()
}

func (c Config) checkLink(p *channel.Problems) {
	if c.Host == "" || strings.ContainsAny(c.Host, " /:@\r\n") && net.ParseIP(c.Host) == nil {
		p.Add("host", "not a host name or address", "write the name alone, such as smpp.carrier.example; the port has its own key")
	}
	if c.CertAuthority != "" && certPool(c.CertAuthority) == nil {
		p.Add("cert_authority", "holds no certificate", "give the PEM text itself, from BEGIN to END")
	}
	for _, n := range []struct {
		key           string
		value, most   int
		what, instead string
	}{
		{"port", c.Port, 65535, "not a port", "leave it out for 2775, or 3550 with tls"},
		{"binds", c.Binds, bindsMax, "not from 1 to " + strconv.Itoa(bindsMax), "ask the carrier how many binds it grants"},
		{"window", c.Window, windowMax, "not from 1 to " + strconv.Itoa(windowMax), "10 is what most carriers grant"},
		{"rate", c.Rate, rateMax, "not from 0 to " + strconv.Itoa(rateMax), "write what the carrier grants per second, or leave it out"},
		{"parts_max", c.PartsMax, partsMost, "not from 1 to " + strconv.Itoa(partsMost), "10 parts are 670 Chinese characters"},
	} {
		if n.value < 0 || n.value > n.most {
			p.Add(n.key, n.what, n.instead)
		}
	}
	for _, d := range []struct {
		key         string
		value, most time.Duration
	}{
		{"enquire", c.Enquire, enquireMax}, {"answer", c.Answer, answerMax}, {"timeout", c.Timeout, timeoutMax},
		{"reconnect_min", c.ReconnectMin, timeoutMax}, {"reconnect_max", c.ReconnectMax, timeoutMax},
	} {
		if d.value < 0 || d.value > d.most {
			p.Add(d.key, "not from 0 to "+d.most.String(), "write it as 30s or 2m")
		}
	}
}

func (c Config) checkLogin(p *channel.Problems) {
	for _, f := range []struct {
		key, value string
		most       int
	}{
		{"system_id", c.SystemID, 15}, {"password", c.Password.Reveal(), 63}, {"system_type", c.SystemType, 12},
		{"address_range", c.AddressRange, 40}, {"service_type", c.Service, 5},
	} {
		if len(f.value) > f.most || !plain(f.value) {
			p.Add(f.key, fmt.Sprintf("not at most %d characters of ASCII", f.most), "write it as the carrier gave it")
		}
	}
	if c.SystemID == "" {
		p.Add("system_id", "missing", "the carrier gave one with the password")
	}
	switch c.Bind {
	case "", BindTransceiver, BindPair:
	default:
		p.Add("bind", "not a way to bind", "write transceiver, or pair for a transmitter with a receiver")
	}
}

func (c Config) checkMessage(p *channel.Problems) {
	if number(c.From) && len(c.From) > numberMax || !number(c.From) && len(c.From) > nameMax || !plain(c.From) {
		p.Add("from", "not a sender", "write a number, or a name of at most 11 letters and digits")
	}
	for _, n := range []struct {
		key   string
		value *int
		most  int
	}{
		{"from_ton", c.FromTON, 6}, {"from_npi", c.FromNPI, 18}, {"to_ton", c.ToTON, 6}, {"to_npi", c.ToNPI, 18},
		{"gsm7_data_coding", c.GSMCoding, 255}, {"ucs2_data_coding", c.UCSCoding, 255},
	} {
		if n.value != nil && (*n.value < 0 || *n.value > n.most) {
			p.Add(n.key, "not from 0 to "+strconv.Itoa(n.most), "leave it out for what most carriers want")
		}
	}
	if c.Region != "" && !channel.Region(c.Region) {
		p.Add("region", "not a country", "write the two letters of ISO 3166, such as CN")
	}
	switch c.Long {
	case "", LongUDH8, LongUDH16, LongSAR, LongPayload:
	default:
		p.Add("long", "not a way to send long texts", "write udh8, udh16, sar or payload")
	}
	switch c.Alphabet {
	case "", AlphabetGSM7, AlphabetLatin1:
	default:
		p.Add("alphabet", "not an alphabet", "write gsm7 or latin1")
	}
	switch c.Validity {
	case "", ValidityRelative, ValidityAbsolute, ValidityNone:
	default:
		p.Add("validity", "not a way to write a time", "write relative, absolute or none")
	}
}

func (c Config) checkReceipts(p *channel.Problems) {
	switch c.Receipts {
	case "", ReceiptsAll, ReceiptsFailures, ReceiptsNone:
	default:
		p.Add("receipts", "not a choice of receipts", "write all, failures or none")
	}
	if _, err := time.LoadLocation(c.ReceiptZone); err != nil {
		p.Add("receipt_zone", "not a time zone", "write the zone of the carrier's clock, such as Asia/Shanghai")
	}
	for key, n := range map[string]Notation{"receipt": c.MessageID.Receipt, "tlv": c.MessageID.TLV} {
		switch n {
		case "", NotationSame, NotationDecimal, NotationHex:
		default:
			p.Add("message_id."+key, "not a notation", "write same, decimal or hex")
		}
	}
	for key, st := range c.ReceiptErrors {
		if st.State() == "" {
			p.Add("receipt_errors."+key, "not what a receipt can say", "write failed, bad_address or opted_out")
		}
	}
	for key, class := range c.Statuses {
		if _, err := strconv.ParseUint(key, 0, 32); err != nil || !class.Known() {
			p.Add("statuses."+key, "not a command_status with a class", `write it as "0x0411": permanent; docs/channels.md lists the classes`)
		}
	}
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func number(s string) bool {
	digits := strings.TrimPrefix(s, "+")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

// withDefaults fills in what was not given, and works out what is asked of it for every message.
func (c Config) withDefaults() Config {
	c.Bind, c.Long, c.Alphabet = or(c.Bind, BindTransceiver), or(c.Long, LongUDH8), or(c.Alphabet, AlphabetGSM7)
	c.Validity, c.Receipts = or(c.Validity, ValidityRelative), or(c.Receipts, ReceiptsAll)
	c.MessageID.Receipt, c.MessageID.TLV = or(c.MessageID.Receipt, NotationSame), or(c.MessageID.TLV, NotationSame)
	c.Port = or(c.Port, map[bool]int{false: portDefault, true: portTLS}[c.TLS])
	c.Binds, c.Window, c.PartsMax = or(c.Binds, 1), or(c.Window, windowDefault), or(c.PartsMax, partsDefault)
	c.Enquire, c.Answer, c.Timeout = or(c.Enquire, enquireDefault), or(c.Answer, answerDefault), or(c.Timeout, timeoutDefault)
	c.ReconnectMin, c.ReconnectMax = or(c.ReconnectMin, reconnectDefault), or(c.ReconnectMax, reconnectMost)
	c.ReconnectMax = max(c.ReconnectMax, c.ReconnectMin)
	c.ServerName = or(c.ServerName, c.Host)
	if c.ReceiptZone != "" {
		c.zone, _ = time.LoadLocation(c.ReceiptZone) // Check has loaded it before
	}
	c.statuses = make(map[status]channel.Class, len(c.Statuses))
	for key, class := range c.Statuses {
		n, _ := strconv.ParseUint(key, 0, 32)
		c.statuses[status(n)] = class
	}
	c.from = sender(c.From)
	c.from.ton, c.from.npi = given(c.FromTON, c.from.ton), given(c.FromNPI, c.from.npi)
	c.toTON, c.toNPI = given(c.ToTON, tonInternational), given(c.ToNPI, npiE164)
	c.gsmCoding, c.ucsCoding = given(c.GSMCoding, codingDefault), given(c.UCSCoding, codingUCS2)
	return c
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func given(n *int, otherwise byte) byte {
	if n == nil {
		return otherwise
	}
	return byte(*n)
}

// Kinds of numbers and numbering plans; section 5.2.5.
const (
	tonUnknown       = 0
	tonInternational = 1
	tonShort         = 3
	tonName          = 5
	npiUnknown       = 0
	npiE164          = 1
	shortMax         = 6 // digits of a short code
)

// sender tells by its look what kind of sender a text is.
func sender(s string) address {
	switch {
	case s == "":
		return address{}
	case s[0] == '+' && number(s):
		return address{tonInternational, npiE164, s[1:]}
	case number(s) && len(s) <= shortMax:
		return address{tonShort, npiUnknown, s}
	case number(s):
		return address{tonUnknown, npiE164, s}
	}
	return address{tonName, npiUnknown, s}
}

func (c *Config) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: c.ServerName, RootCAs: certPool(c.CertAuthority), MinVersion: tls.VersionTLS12}
}

// certPool returns nil, which means the system's own authorities, for text without a certificate.
func certPool(pem string) *x509.CertPool {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil
	}
	return pool
}
