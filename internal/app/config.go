// Package app puts the parts together: it reads the configuration, opens the store, makes the carriers and the engine,
// and runs them until it is told to stop. It is the only package beside the commands that reads a clock.
package app

import (
	"errors"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel/sandbox"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/rule"
)

// Config is the whole configuration, as duly.yaml holds it. Secrets may be given as ${NAME}, which is replaced by the
// environment variable of that name. Keys that are not known are refused.
type Config struct {
	Store      string                        `yaml:"store"`            // a path for SQLite, or postgres://…
	Listen     string                        `yaml:"listen"`           // of the HTTP API
	APIToken   string                        `yaml:"api_token"`        // needed of every caller; may be empty only on loopback
	Lender     Lender                        `yaml:"lender"`           // who lends
	Strategies []string                      `yaml:"strategies"`       // names of shipped ones, or paths of files; the first that applies to a person serves them
	Packs      []string                      `yaml:"packs"`            // names of shipped rule packs, or paths of folders
	Rules      Rules                         `yaml:"rules"`            // what of the packs acts
	Senders    map[duly.Channel]SenderConfig `yaml:"senders"`          // numbers and registrations that rules ask for, by channel
	Templates  string                        `yaml:"templates"`        // a folder of templates; "" for the shipped ones
	Calendars  string                        `yaml:"calendars"`        // a folder of holiday files that replace shipped years; "" for none
	FeedMaxAge Duration                      `yaml:"feed_max_age"`     // payments known less far back than this, or nothing is sent
	Lease      Duration                      `yaml:"lease"`            // a try without an answer after this is in doubt
	Tick       Duration                      `yaml:"tick"`             // how often `duly serve` steps
	Workers    int                           `yaml:"workers"`          // messages on the way to carriers at one time
	Keep       map[engine.Record]Term        `yaml:"keep"`             // for how long records are kept, by kind; those not named for ever
	Node       NodeConfig                    `yaml:"node"`             // of this process among others over the store
	Carriers   map[string]CarrierConfig      `yaml:"carriers"`         // by a name of the operator's choice
	Routes     map[duly.Channel]RouteConfig  `yaml:"routes"`           // which carriers a channel has, in order; a channel without: all that serve it, by name
	FanOut     int                           `yaml:"attempts_per_day"` // to send to one person, through all channels: what is more is refused; 0: no limit
	Stream     StreamConfig                  `yaml:"stream"`           // the log of commands, where several cells take the place of store
	Cells      []CellConfig                  `yaml:"cells"`            // the stores behind the log
	Audit      AuditConfig                   `yaml:"audit"`            // where the daily roots of the audit are kept
	Share      engine.Share                  `yaml:"-"`                // of the buckets, of the cell that Store is of
}

// Rules is what the operator says of rules by name.
type Rules struct {
	Enforce []string `yaml:"enforce"` // PACK/RULE: rules that would run in shadow, and are to act
}

// Lender is who lends, as borrowers and calendars know them.
type Lender struct {
	Name         string `yaml:"name"`
	ServicePhone string `yaml:"service_phone"`
	Timezone     string `yaml:"timezone"` // IANA name: when the lender's day begins
	Kind         string `yaml:"kind"`     // bank, card_issuer, …: which duties of the law it has; "" is not known

	EntityClass     string `yaml:"entity_class"`     // where duties begin by class of lender: commercial_bank, …
	CreditPurchaser bool   `yaml:"credit_purchaser"` // the credit was bought
}

// SenderConfig is from whom a channel's contacts come, where rules ask for it.
type SenderConfig struct {
	Number    string            `yaml:"number"`    // the number or header that borrowers see
	Hidden    bool              `yaml:"hidden"`    // the number is withheld
	Templates map[string]string `yaml:"templates"` // registrations with the carrier, by name of the template
}

// Duration is a time.Duration written as Go writes it: 90s, 15m, 26h.
type Duration time.Duration

// UnmarshalYAML reads a duration, and says where it is none.
func (d *Duration) UnmarshalYAML(n ast.Node) error {
	var text string
	v := time.Duration(0)
	err := yaml.NodeToValue(n, &text)
	if err == nil {
		v, err = time.ParseDuration(text)
	}
	if err != nil {
		at := n.GetToken().Position
		return duly.Errorf(duly.Invalid, "not a duration").WithHint("write it as 90s, 15m or 26h").At(duly.Place{Line: at.Line, Column: at.Column})
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes a duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Term is a rule.Term written as rules write it: P1830D, P60M, P5Y.
type Term rule.Term

// UnmarshalYAML reads a term, and says where it is none.
func (t *Term) UnmarshalYAML(n ast.Node) error {
	var text string
	var v rule.Term
	err := yaml.NodeToValue(n, &text)
	if err == nil {
		v, err = rule.ParseTerm(text)
	}
	if err != nil {
		at := n.GetToken().Position
		return duly.Errorf(duly.Invalid, "not a term").WithHint("write it as P1830D, P60M or P5Y").At(duly.Place{Line: at.Line, Column: at.Column})
	}
	*t = Term(v)
	return nil
}

// MarshalText writes a term.
func (t Term) MarshalText() ([]byte, error) { return rule.Term(t).MarshalText() }

// Limits of what may be configured.
const (
	workersMax    = 4096
	configSizeMax = 1 << 20
)

// Default is the configuration without a file: SQLite in the folder, the shipped Chinese strategy, and a carrier that
// keeps messages instead of sending them.
func Default() Config {
	return Config{
		Store: "duly.db", Listen: "127.0.0.1:8383",
		Lender:     Lender{Name: "示例消金", ServicePhone: "95000", Timezone: "Asia/Shanghai"},
		Strategies: []string{"consumer-cn"}, Packs: []string{"policy-default", "cn-mainland"},
		FeedMaxAge: Duration(26 * time.Hour), Lease: Duration(2 * time.Minute), Tick: Duration(5 * time.Second), Workers: 64,
		FanOut:   20,
		Node:     NodeConfig{Lease: Duration(6 * time.Second)},
		Audit:    AuditConfig{Every: Duration(time.Minute)},
		Stream:   StreamConfig{Name: "duly", Parts: 64, Replicas: 3},
		Carriers: map[string]CarrierConfig{"sandbox": {Kind: "sandbox", Settings: &sandbox.Behaviour{}}},
	}
}

// LoadConfig reads a configuration file over the defaults; "" means duly.yaml if there is one, else the defaults. All
// problems are reported at once.
func LoadConfig(path string) (Config, error) {
	c := Default()
	if path == "" {
		if _, err := os.Stat("duly.yaml"); errors.Is(err, fs.ErrNotExist) {
			return c, nil
		}
		path = "duly.yaml"
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return c, duly.Errorf(duly.Usage, "the configuration cannot be read: %v", errors.Unwrap(err)).At(duly.Place{File: path})
	}
	if len(src) > configSizeMax {
		return c, duly.Errorf(duly.Invalid, "the configuration is larger than %d bytes", configSizeMax).At(duly.Place{File: path})
	}
	if err := parseConfig(src, path, &c); err != nil {
		return c, err
	}
	return c, c.check(path)
}

// parseConfig reads a configuration over what c holds.
func parseConfig(src []byte, path string, c *Config) error {
	tokens := lexer.Tokenize(string(src))
	if missing := expand(tokens); len(missing) > 0 {
		names := make([]string, len(missing))
		for i, m := range missing {
			names[i] = m.name
		}
		return duly.Errorf(duly.Invalid, "environment variables are not set: %s", strings.Join(names, ", ")).
			At(duly.Place{File: path, Line: missing[0].at.Line, Column: missing[0].at.Column})
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return yamlError(path, err)
	}
	if len(file.Docs) > 1 {
		return duly.Errorf(duly.Invalid, "more than one YAML document").At(duly.Place{File: path})
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil // nothing but comments
	}
	body := file.Docs[0].Body
	var keys map[string]any
	if yaml.NodeToValue(body, &keys) == nil {
		if _, named := keys["carriers"]; named {
			c.Carriers = nil // a file that names carriers names all of them
		}
	}
	err = yaml.NodeToValue(body, c, yaml.Strict())
	if _, told := errors.AsType[yaml.Error](err); err == nil || told || duly.CodeOf(err) != duly.Internal {
		return yamlError(path, err)
	}
	// Of a carrier's times the decoder does not say where they are wrong, but its error quotes them.
	q := &quoted{in: err.Error()}
	ast.Walk(q, body)
	return duly.Errorf(duly.Invalid, "not readable as configuration").At(duly.Place{File: path, Line: q.at.Line, Column: q.at.Column}).
		WithHint("times are written as 90s, 15m or 26h; docs/operating.md lists the keys")
}

// quoted finds the first value that an error quotes.
type quoted struct {
	in string
	at token.Position
}

// Visit looks at one node.
func (q *quoted) Visit(n ast.Node) ast.Visitor {
	if s, ok := n.(*ast.StringNode); ok && q.at.Line == 0 && strings.Contains(q.in, strconv.Quote(s.Value)) {
		q.at = *s.Token.Position
	}
	return q
}

// missing is a reference to a variable that is not set.
type missing struct {
	name string
	at   *token.Position
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces ${NAME} in values by the environment and returns what is not set. It works on tokens, not on the text
// of the file, so that neither a comment nor a secret with quotes or a $ in it can break the file.
func expand(tokens token.Tokens) []missing {
	var lost []missing
	for _, tk := range tokens {
		switch tk.Type {
		case token.StringType, token.SingleQuoteType, token.DoubleQuoteType:
		default:
			continue
		}
		if !variable.MatchString(tk.Value) {
			continue
		}
		value := variable.ReplaceAllStringFunc(tk.Value, func(ref string) string {
			name := ref[2 : len(ref)-1]
			v, ok := os.LookupEnv(name)
			if !ok {
				lost = append(lost, missing{name, tk.Position})
			}
			return v
		})
		if p := tk.Prev; p != nil && (p.Type == token.LiteralType || p.Type == token.FoldedType) {
			tk.Origin = strings.Replace(tk.Origin, tk.Value, value, 1)
			tk.Value = value
			continue
		}
		// Secrets are decoded from the token's own text, so that has to be good YAML whatever the value is.
		tk.Type, tk.Indicator, tk.CharacterType = token.DoubleQuoteType, token.QuotedScalarIndicator, token.CharacterTypeIndicator
		tk.Value, tk.Origin = value, " "+strconv.Quote(value)
	}
	return lost
}

// yamlError tells what the reader of YAML did not like, without the excerpt of the file that it would show.
func yamlError(path string, err error) error {
	if err == nil {
		return nil
	}
	place := duly.Place{File: path}
	if e, ok := errors.AsType[*duly.Error](err); ok {
		place.Line, place.Column = e.Place.Line, e.Place.Column
		return e.At(place)
	}
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		if tok := syntax.GetToken(); tok != nil {
			place.Line, place.Column = tok.Position.Line, tok.Position.Column
		}
		return duly.Errorf(duly.Invalid, "%s", syntax.GetMessage()).At(place).WithHint("docs/operating.md lists the keys")
	}
	return duly.Errorf(duly.Invalid, "not readable as configuration").At(place).WithHint("docs/operating.md lists the keys")
}

// check finds what is wrong with values.
func (c *Config) check(path string) error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, duly.Errorf(duly.Invalid, format, args...).At(duly.Place{File: path, Field: field}))
	}
	if _, err := time.LoadLocation(c.Lender.Timezone); err != nil || c.Lender.Timezone == "" {
		bad("lender.timezone", "not an IANA time zone such as Asia/Shanghai")
	}
	if k := c.Lender.Kind; k != "" && !rule.KnownLender(k) {
		bad("lender.kind", "not a sort of lender: %s", strings.Join(rule.LenderKinds(), ", "))
	}
	if c.Lender.Name == "" {
		bad("lender.name", "the lender's name is missing; messages are signed with it")
	}
	if c.Workers < 1 || c.Workers > workersMax {
		bad("workers", "not from 1 to %d", workersMax)
	}
	for _, d := range []struct {
		field string
		value Duration
	}{{"feed_max_age", c.FeedMaxAge}, {"lease", c.Lease}, {"tick", c.Tick}} {
		if d.value <= 0 {
			bad(d.field, "not above zero")
		}
	}
	if d := time.Duration(c.Node.Lease); d < nodeLeaseMin || d > nodeLeaseMax {
		bad("node.lease", "not from %s to %s", nodeLeaseMin, nodeLeaseMax)
	}
	c.checkCells(bad)
	c.Audit.check(bad)
	if c.APIToken == "" && !loopback(c.Listen) {
		bad("api_token", "needed where listen is not a loopback address")
	}
	for _, r := range slices.Sorted(maps.Keys(c.Keep)) {
		if !slices.Contains(engine.Records(), r) {
			bad("keep."+string(r), "no kind of record; those that are kept for a term are %v", engine.Records())
		}
	}
	for _, ch := range slices.Sorted(maps.Keys(c.Senders)) {
		if !ch.Known() {
			bad("senders."+string(ch), "unknown channel")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Carriers)) {
		k := c.Carriers[name]
		if k.Kind == "" {
			bad("carriers."+name, "needs exactly one of %s; it has %d", kindNames(), k.found)
		}
		for _, ch := range k.Channels {
			if !ch.Known() {
				bad("carriers."+name+".channels", "unknown channel %q", string(ch))
			}
		}
		for _, e := range k.Limits.Check("carriers." + name) {
			bad(e.Place.Field, "%s (%s)", e.Message, e.Hint)
		}
	}
	for _, ch := range slices.Sorted(maps.Keys(c.Routes)) {
		r := c.Routes[ch]
		if !ch.Known() {
			bad("routes."+string(ch), "unknown channel")
		}
		if r.Prefer != "" && r.Prefer != preferOrder && r.Prefer != preferPrice {
			bad("routes."+string(ch)+".prefer", "neither order nor price")
		}
		if len(slices.Compact(slices.Sorted(slices.Values(r.Carriers)))) != len(r.Carriers) {
			bad("routes."+string(ch), "a carrier is named twice")
		}
	}
	if c.FanOut < 0 {
		bad("attempts_per_day", "below zero")
	}
	return errors.Join(errs...)
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// readNamed reads a shipped file by its name, or a file of the operator's by its path.
func readNamed(shipped fs.FS, name string) ([]byte, string, error) {
	if filepath.Ext(name) == "" && !strings.ContainsRune(name, os.PathSeparator) {
		src, err := fs.ReadFile(shipped, name+".yaml")
		if err != nil {
			return nil, name, duly.Errorf(duly.NotFound, "nothing shipped has the name %q", name).WithHint("give a path to use a file of your own")
		}
		return src, name + ".yaml", nil
	}
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, name, duly.Errorf(duly.NotFound, "the file cannot be read").At(duly.Place{File: name})
	}
	return src, name, nil
}
