package generic

import (
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/approved"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Config is a provider's interface, as its manual describes it. Texts marked so are templates.
type Config struct {
	URL         string                    `yaml:"url"`     // without a query
	Method      string                    `yaml:"method"`  // POST where it is not given; GET, PUT
	Secrets     map[string]channel.Secret `yaml:"secrets"` // for templates: {{secret.<name>}}
	Auth        Auth                      `yaml:"auth"`
	Headers     map[string]string         `yaml:"headers"`   // templates
	Query       map[string]string         `yaml:"query"`     // templates, escaped as a query is
	Form        map[string]string         `yaml:"form"`      // the body as a form: templates, escaped as a form is; or
	JSON        any                       `yaml:"json"`      // the body as JSON: a tree whose texts are templates, escaped as JSON is
	Serves      []duly.Channel            `yaml:"serves"`    // the channels it can carry; those that the operator gave it, else sms
	Region      string                    `yaml:"region"`    // the country of numbers that are written without one, such as CN
	TextMax     int                       `yaml:"text_max"`  // characters of a message's text; as many as there are where it is not given
	Templates   approved.Templates        `yaml:"templates"` // where the provider sends only what it approved
	VariableMax int                       `yaml:"variable_max"`
	Answer      Answer                    `yaml:"answer"`
	Callback    *Callback                 `yaml:"callback"`
	Link        post.Link                 `yaml:",inline"`
}

// Auth is how a request proves who sends it.
type Auth struct {
	Basic  *Basic         `yaml:"basic"`
	Bearer channel.Secret `yaml:"bearer"`
	HMAC   *Signature     `yaml:"hmac"`
}

// Basic is a user with a password.
type Basic struct {
	Username string         `yaml:"username"`
	Password channel.Secret `yaml:"password"`
}

// Signature is an HMAC over a text, in a header.
type Signature struct {
	Secret    channel.Secret `yaml:"secret"`
	Over      string         `yaml:"over"`      // a template; {{body}} is the body as it goes out
	Header    string         `yaml:"header"`    // where it goes
	Prefix    string         `yaml:"prefix"`    // before it, such as sha256=
	Algorithm string         `yaml:"algorithm"` // sha256 where it is not given; sha1, sha512
	Encoding  string         `yaml:"encoding"`  // hex where it is not given; base64
}

// Answer says what the provider's answers mean.
type Answer struct {
	Format   string            `yaml:"format"`   // json where it is not given; text
	Pattern  string            `yaml:"pattern"`  // of text: a regular expression with groups code, id, segments
	Code     string            `yaml:"code"`     // the path of the provider's own code; none: the status alone decides
	ID       string            `yaml:"id"`       // the path of its id of the message
	Segments string            `yaml:"segments"` // the path of the billed parts
	Codes    map[string]string `yaml:"codes"`    // what a code means: accepted, or a class
	Statuses map[int]string    `yaml:"statuses"` // what a status means, where the code does not say: accepted, or a class
}

// Callback says how the provider calls back.
type Callback struct {
	Proof   Proof         `yaml:"proof"`
	Format  string        `yaml:"format"`  // json where it is not given; form, query
	List    string        `yaml:"list"`    // in JSON the path of the array of events; the whole body where it is not given
	Window  time.Duration `yaml:"window"`  // how old an event may be; 24h where it is not given
	Receipt *Receipt      `yaml:"receipt"` // where an event's status is
	Reply   *Reply        `yaml:"reply"`   // where an event's words are
	Answer  *Page         `yaml:"answer"`  // what the provider wants to be told; that it was kept, where it is not given
}

// Proof is how a callback proves whose it is: exactly one.
type Proof struct {
	Key   []channel.Secret `yaml:"key"`   // the parameter key of the URL
	Basic *BasicProof      `yaml:"basic"` // a user with any of the passwords
	HMAC  *HMACProof       `yaml:"hmac"`
}

// BasicProof is a user with any of several passwords.
type BasicProof struct {
	Username  string           `yaml:"username"`
	Passwords []channel.Secret `yaml:"passwords"`
}

// HMACProof is an HMAC with any of several secrets, in a header.
type HMACProof struct {
	Secrets   []channel.Secret `yaml:"secrets"`
	Header    string           `yaml:"header"`
	Prefix    string           `yaml:"prefix"`
	Algorithm string           `yaml:"algorithm"`
	Encoding  string           `yaml:"encoding"`
	Over      string           `yaml:"over"`      // {{body}} where it is not given; {{timestamp}} is the stamp, {{query}} the URL's query as it came
	Timestamp string           `yaml:"timestamp"` // the header that holds when it was signed, in Unix seconds or milliseconds; it is then held against the window
}

// Receipt says where in an event a status is.
type Receipt struct {
	Attempt  string            `yaml:"attempt"` // our own reference; or
	ID       string            `yaml:"id"`      // the provider's
	Key      string            `yaml:"key"`     // its id of the event; made of the others where it is not given
	Status   string            `yaml:"status"`
	Code     string            `yaml:"code"`     // its reason
	At       When              `yaml:"at"`       // when; the time of the call where it is not given
	Statuses map[string]string `yaml:"statuses"` // what a status means: a receipt's status, or ignore; "*" is any other
	Codes    map[string]string `yaml:"codes"`    // reasons of failures that mean more: bad_address, opted_out
}

// Reply says where in an event somebody's words are.
type Reply struct {
	From    string `yaml:"from"`
	Text    string `yaml:"text"`
	ID      string `yaml:"id"`
	Attempt string `yaml:"attempt"` // what it answers, where the provider says so
	At      When   `yaml:"at"`
}

// When says where a time is, and how it is written.
type When struct {
	Path   string `yaml:"path"`
	Layout string `yaml:"layout"` // rfc3339 where it is not given; unix, unix_ms, or as Go writes layouts: 2006-01-02 15:04:05
	Zone   string `yaml:"zone"`   // of layouts without one, such as Asia/Shanghai; UTC where it is not given
}

// Page is an answer to a callback.
type Page struct {
	Status int    `yaml:"status"`
	Type   string `yaml:"type"`
	Body   string `yaml:"body"`
}
