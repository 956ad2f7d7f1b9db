package generic

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dulyhq/duly/internal/channel"
)

// text is a template: words with values between them, {{name}} or {{name|filter}}. Values are data: none is ever read as a
// template, and each place that a text goes to escapes what comes out as that place needs.
type text struct{ parts []part }

// part is words, or a value.
type part struct {
	words  string
	name   string
	filter filter
	arg    string
}

// filter changes a value on its way.
type filter struct {
	name  string
	arg   bool // it takes one, after a colon
	apply func(v value, arg string) (string, bool)
}

// value is what a name stands for: a text, or an instant.
type value struct {
	text string
	at   time.Time
}

// filters is the one table of filters.
var filters = []filter{
	{"digits", false, func(v value, _ string) (string, bool) { return digits(v.text), true }},
	{"national", true, func(v value, country string) (string, bool) {
		if n, ok := strings.CutPrefix(v.text, "+"+country); ok {
			return n, true
		}
		return digits(v.text), true
	}},
	{"number", false, func(v value, _ string) (string, bool) { return v.text, json.Valid([]byte(v.text)) && numeric(v.text) }},
	{"unix", false, func(v value, _ string) (string, bool) { return strconv.FormatInt(v.at.Unix(), 10), !v.at.IsZero() }},
	{"unix_ms", false, func(v value, _ string) (string, bool) { return strconv.FormatInt(v.at.UnixMilli(), 10), !v.at.IsZero() }},
	{"url", false, func(v value, _ string) (string, bool) { return url.QueryEscape(v.text), true }},
	{"base64", false, func(v value, _ string) (string, bool) { return base64.StdEncoding.EncodeToString([]byte(v.text)), true }},
	{"sha256", false, func(v value, _ string) (string, bool) { return hexDigest(v.text), true }},
}

func numeric(s string) bool { return s != "" && strings.Trim(s, "0123456789.-+eE") == "" }

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

func hexDigest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// names are the values of a message. var.<name> and secret.<name> come besides; body only where a signature covers it.
var names = map[string]func(v *values) value{
	"attempt":     func(v *values) value { return value{text: string(v.m.AttemptID)} },
	"channel":     func(v *values) value { return value{text: string(v.m.Channel)} },
	"to":          func(v *values) value { return value{text: v.to} },
	"subject":     func(v *values) value { return value{text: v.m.Subject} },
	"text":        func(v *values) value { return value{text: v.m.Text} },
	"language":    func(v *values) value { return value{text: v.m.Language} },
	"segments":    func(v *values) value { return value{text: strconv.Itoa(v.m.Segments)} },
	"template":    func(v *values) value { return value{text: v.m.Template} },
	"template_id": func(v *values) value { return value{text: v.filled.ID} },
	"sign":        func(v *values) value { return value{text: v.filled.Sign} },
	"expires_at":  func(v *values) value { return instant(v.m.ExpiresAt) },
	"now":         func(v *values) value { return instant(v.now) },
	"nonce":       func(v *values) value { return value{text: hexDigest("duly\x00" + string(v.m.AttemptID))[:32]} },
	"body":        func(v *values) value { return value{text: v.body} },
}

func instant(t time.Time) value { return value{t.UTC().Format(time.RFC3339), t} }

const (
	variablePrefix = "var."
	secretPrefix   = "secret."
	textMax        = 16 << 10 // of a template
)

// scope says which names a template may use.
type scope struct {
	secrets  map[string]channel.Secret
	template bool // the provider's templates are configured
	body     bool
	speaks   *bool // set where a template speaks of a variable
}

// knows reports what is wrong with a name, or "".
func (s scope) knows(name string) string {
	if secret, ok := strings.CutPrefix(name, secretPrefix); ok {
		if _, ok := s.secrets[secret]; !ok {
			return "there is no secret " + strconv.Quote(secret) + " among secrets"
		}
		return ""
	}
	if strings.HasPrefix(name, variablePrefix) && len(name) > len(variablePrefix) {
		*s.speaks = true
		return ""
	}
	if _, ok := names[name]; !ok || name == "body" && !s.body {
		return "there is no value " + strconv.Quote(name) + "; there are " + strings.Join(slices.Sorted(maps.Keys(names)), ", ") + ", var.<name>, secret.<name>"
	}
	if (name == "template_id" || name == "sign") && !s.template {
		return name + " needs templates"
	}
	return ""
}

// parseText reads a template.
func parseText(s string, in scope) (text, error) {
	var out text
	if len(s) > textMax || !utf8.ValidString(s) {
		return out, errors.New("longer than 16 KiB, or not UTF-8")
	}
	for {
		words, rest, ok := strings.Cut(s, "{{")
		if words != "" {
			out.parts = append(out.parts, part{words: words})
		}
		if !ok {
			return out, nil
		}
		inside, after, ok := strings.Cut(rest, "}}")
		if !ok {
			return out, errors.New("{{ is not closed by }}")
		}
		p, err := parsePart(inside, in)
		if err != nil {
			return out, err
		}
		out.parts, s = append(out.parts, p), after
	}
}

func parsePart(inside string, in scope) (part, error) {
	name, how, filtered := strings.Cut(inside, "|")
	p := part{name: strings.TrimSpace(name)}
	if wrong := in.knows(p.name); wrong != "" {
		return p, errors.New(wrong)
	}
	if !filtered {
		return p, nil
	}
	how, arg, _ := strings.Cut(strings.TrimSpace(how), ":")
	i := slices.IndexFunc(filters, func(f filter) bool { return f.name == how })
	if i < 0 || filters[i].arg != (arg != "") {
		return p, errors.New("there is no filter " + strconv.Quote(how) + " so written; there are digits, national:<country code>, number, unix, unix_ms, url, base64, sha256")
	}
	p.filter, p.arg = filters[i], arg
	return p, nil
}

// number reports whether the text is one value that is to be a JSON number.
func (t text) number() bool { return len(t.parts) == 1 && t.parts[0].filter.name == "number" }

// values are what the names stand for, of one message.
type values struct {
	m       channel.Message
	to      string
	filled  filled
	now     time.Time
	body    string
	secrets map[string]channel.Secret
}

// filled is what stands for the message's template at the provider.
type filled struct {
	ID, Sign  string
	Variables map[string]string
}

// write returns the text with its values, or the name of the value that is not there or does not fit.
func (t text) write(v *values) (string, string) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.name == "" {
			b.WriteString(p.words)
			continue
		}
		got, ok := v.value(p.name)
		s := got.text
		if ok && p.filter.apply != nil {
			s, ok = p.filter.apply(got, p.arg)
		}
		if !ok || !utf8.ValidString(s) {
			return "", p.name
		}
		b.WriteString(s)
	}
	return b.String(), ""
}

func (v *values) value(name string) (value, bool) {
	if secret, ok := strings.CutPrefix(name, secretPrefix); ok {
		return value{text: v.secrets[secret].Reveal()}, true
	}
	if variable, ok := strings.CutPrefix(name, variablePrefix); ok {
		s, ok := v.filled.Variables[variable]
		return value{text: s}, ok
	}
	return names[name](v), true
}
