package generic

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // some providers sign with it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
)

// compiled is a configuration that was read whole: what it cannot mean was said when it was read.
type compiled struct {
	headers, query, form map[string]text
	json                 node // nil: no JSON
	sign                 text
	pattern              *regexp.Regexp // nil: the answer is no text
	code, id, segments   path
	list                 path
	receipt              receiptPaths
	reply                replyPaths
	variables            bool // the templates speak of variables, or the provider's do
}

type receiptPaths struct {
	attempt, id, key, status, code, at path
	when                               when
}

type replyPaths struct {
	from, text, id, attempt, at path
	when                        when
}

// Limits and defaults of a configuration.
const (
	secretsMax    = 20
	fieldsMax     = 100
	depthMax      = 16
	limitMax      = 1 << 16
	windowDefault = 24 * time.Hour
	windowMax     = 30 * 24 * time.Hour
)

// acceptedWord is what a code or status means that is no class.
const acceptedWord = "accepted"

// ignoreWord and anyWord are those of statuses of receipts.
const (
	ignoreWord = "ignore"
	anyWord    = "*"
)

// reader reads a configuration, and gathers what is wrong with it.
type reader struct {
	p  *channel.Problems
	in scope
}

func (r reader) text(key, s string) text {
	t, err := parseText(s, r.in)
	if err != nil {
		r.p.Add(key, err.Error(), "see docs/channels.md for what a template may hold")
	}
	return t
}

func (r reader) texts(key string, m map[string]string) map[string]text {
	if len(m) > fieldsMax {
		r.p.Add(key, "more than "+strconv.Itoa(fieldsMax)+" fields", "write those that the provider documents")
		return nil
	}
	out := make(map[string]text, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out[name] = r.text(key+"."+name, m[name])
	}
	return out
}

func (r reader) path(key, s string) path {
	p, err := parsePath(s)
	if err != nil {
		r.p.Add(key, err.Error(), "write the keys with full stops between them, places in arrays in brackets")
	}
	return p
}

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	_, err := c.compile(at)
	return err
}

func (c Config) compile(at string) (compiled, error) {
	p := channel.ProblemsAt(at)
	out := compiled{variables: len(c.Templates) > 0}
	r := reader{p, scope{secrets: c.Secrets, template: len(c.Templates) > 0, speaks: &out.variables}}
	c.checkPlain(p)
	out.headers = r.texts("headers", c.Headers)
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if !headerName(name) {
			p.Add("headers."+name, "not a header that may be set", "write it as the provider does, such as X-Api-Key; the authorization under auth")
		}
	}
	out.query, out.form = r.texts("query", c.Query), r.texts("form", c.Form)
	if c.JSON != nil {
		out.json = r.node("json", c.JSON, 0)
	}
	if c.JSON != nil && c.Form != nil || c.Method == http.MethodGet && (c.JSON != nil || c.Form != nil) {
		p.Add("form", "a body of two kinds, or with GET", "write one of json and form; what GET sends stands in query")
	}
	out.sign = c.Auth.read(r)
	c.Answer.read(r, &out)
	if c.Callback != nil {
		c.Callback.read(r, &out)
	}
	return out, p.Err()
}

func (c Config) checkPlain(p *channel.Problems) {
	c.Link.CheckURL(p, "url", c.URL)
	if strings.ContainsAny(c.URL, "?#{") {
		p.Add("url", "holds a query or a template", "write the query's parameters under query")
	}
	if c.Method != "" && c.Method != http.MethodGet && c.Method != http.MethodPost && c.Method != http.MethodPut {
		p.Add("method", "not GET, POST or PUT", "leave it out for POST")
	}
	if len(c.Secrets) > secretsMax {
		p.Add("secrets", "more than "+strconv.Itoa(secretsMax), "keep those that templates use")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		if c.Secrets[name].IsZero() {
			p.Add("secrets."+name, "empty", "give it as ${NAME_OF_A_VARIABLE}")
		}
	}
	for i, ch := range c.Serves {
		if !ch.Known() {
			p.Add("serves["+strconv.Itoa(i)+"]", "not a channel", "write sms, email, push, im, in_app, call_prerecorded, call_ai, call_agent or letter")
		}
	}
	if c.Region != "" && !channel.Region(c.Region) {
		p.Add("region", "not a country's code", "write it as CN, or leave it out where numbers have theirs")
	}
	if c.TextMax < 0 || c.TextMax > limitMax || c.VariableMax < 0 || c.VariableMax > limitMax {
		p.Add("text_max", "not from 0 to "+strconv.Itoa(limitMax), "write how many characters the provider takes of text (text_max) and of a variable (variable_max)")
	}
	if c.Templates != nil {
		c.Templates.Check(p, "templates")
	}
	c.Link.Check(p)
}

// headerName reports whether a header may be set: not those that the message's form depends on.
func headerName(s string) bool {
	if s == "" || len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return false
	}
	switch http.CanonicalHeaderKey(s) {
	case "Authorization", "Content-Length", "Content-Type", "Host", "Connection", "Transfer-Encoding", "Idempotency-Key", "X-Idempotency-Key":
		return false
	}
	return true
}

func (a Auth) read(r reader) text {
	if a.Basic != nil && !a.Bearer.IsZero() {
		r.p.Add("auth", "both basic and bearer", "write the one that the provider documents")
	}
	if a.Basic != nil && (a.Basic.Username == "" || strings.Contains(a.Basic.Username, ":") || a.Basic.Password.IsZero()) {
		r.p.Add("auth.basic", "not a user with a password", "write username, and password as ${NAME_OF_A_VARIABLE}")
	}
	if strings.ContainsAny(a.Bearer.Reveal(), " \r\n") {
		r.p.Add("auth.bearer", "holds blanks", "write the token alone")
	}
	if a.HMAC == nil {
		return text{}
	}
	h := a.HMAC
	if h.Secret.IsZero() || !headerName(h.Header) {
		r.p.Add("auth.hmac", "no secret, or no header that may be set", "write secret as ${NAME_OF_A_VARIABLE}, and header as the provider documents it")
	}
	checkMAC(r.p, "auth.hmac", h.Algorithm, h.Encoding)
	r.in.body = true
	return r.text("auth.hmac.over", h.Over)
}

func checkMAC(p *channel.Problems, key, algorithm, encoding string) {
	if hashOf(algorithm) == nil {
		p.Add(key+".algorithm", "not sha256, sha1 or sha512", "leave it out for sha256")
	}
	if encoding != "" && encoding != "hex" && encoding != "base64" {
		p.Add(key+".encoding", "not hex or base64", "leave it out for hex")
	}
}

func hashOf(algorithm string) func() hash.Hash {
	switch algorithm {
	case "", "sha256":
		return sha256.New
	case "sha1":
		return sha1.New
	case "sha512":
		return sha512.New
	}
	return nil
}

// signature is the HMAC of a text as it is written.
func signature(secret channel.Secret, algorithm, encoding, over string) string {
	mac := hmac.New(hashOf(algorithm), []byte(secret.Reveal()))
	_, _ = mac.Write([]byte(over))
	if encoding == "base64" {
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

func (a Answer) read(r reader, out *compiled) {
	out.code, out.id, out.segments = r.path("answer.code", a.Code), r.path("answer.id", a.ID), r.path("answer.segments", a.Segments)
	switch a.Format {
	case "", "json":
	case "text":
		p, err := regexp.Compile(a.Pattern)
		if err != nil || a.Pattern == "" || p.SubexpIndex("code") < 0 {
			r.p.Add("answer.pattern", "not a regular expression with a group code", `write it as ^(?P<code>\d+): and so on`)
		}
		out.pattern = p
	default:
		r.p.Add("answer.format", "not json or text", "leave it out for json")
	}
	if (a.Code != "" || out.pattern != nil) && !slices.Contains(slices.Collect(maps.Values(a.Codes)), acceptedWord) {
		r.p.Add("answer.codes", "no code means that a message was taken", `write it as {"0": accepted}`)
	}
	for _, code := range slices.Sorted(maps.Keys(a.Codes)) {
		checkMeaning(r.p, "answer.codes."+code, a.Codes[code])
	}
	for _, status := range slices.Sorted(maps.Keys(a.Statuses)) {
		key := "answer.statuses." + strconv.Itoa(status)
		if status < 200 || status > 599 {
			r.p.Add(key, "not an HTTP status", "write it as 503")
		}
		checkMeaning(r.p, key, a.Statuses[status])
	}
}

func checkMeaning(p *channel.Problems, key, meaning string) {
	if meaning != acceptedWord && !channel.Class(meaning).Known() {
		p.Add(key, "neither accepted nor a class", "write accepted, temporary, throttled, config, bad_address, permanent, opted_out or unknown")
	}
}

func (c *Callback) read(r reader, out *compiled) {
	c.Proof.check(r)
	if c.Format != "" && c.Format != "json" && c.Format != "form" && c.Format != "query" {
		r.p.Add("callback.format", "not json, form or query", "leave it out for json")
	}
	if c.Window < 0 || c.Window > windowMax {
		r.p.Add("callback.window", "not from 0 to "+windowMax.String(), "leave it out for "+windowDefault.String())
	}
	if c.Receipt == nil && c.Reply == nil {
		r.p.Add("callback", "neither receipt nor reply", "say where in an event the status is, or the words")
	}
	if a := c.Answer; a != nil && (a.Status != 0 && a.Status/100 != 2 || len(a.Body) > textMax) {
		r.p.Add("callback.answer.status", "not a status that says yes, or too long a body", "write 200 or 204")
	}
	out.list = r.path("callback.list", c.List)
	if c.Receipt != nil {
		out.receipt = c.Receipt.read(r)
		c.checkStrength(r.p)
	}
	if c.Reply != nil {
		out.reply = c.Reply.read(r)
	}
}

// checkStrength refuses to have an address marked, or a refusal written down, by who has seen a URL.
func (c *Callback) checkStrength(p *channel.Problems) {
	if c.Proof.Key == nil {
		return
	}
	for _, m := range []map[string]string{c.Receipt.Statuses, c.Receipt.Codes} {
		for _, said := range slices.Sorted(maps.Keys(m)) {
			if s := duly.ReceiptStatus(m[said]); s == duly.ReceiptBadAddress || s == duly.ReceiptOptedOut {
				p.Add("callback.proof.key", "does not prove enough for "+string(s), "use hmac or basic, or write failed for "+strconv.Quote(said))
				return
			}
		}
	}
}

func (f Proof) check(r reader) {
	given := 0
	if f.Key != nil {
		given++
		callback.CheckSecrets(r.p, "callback.proof.key", f.Key)
	}
	if b := f.Basic; b != nil {
		given++
		callback.CheckSecrets(r.p, "callback.proof.basic.passwords", b.Passwords)
		if b.Username == "" || len(b.Passwords) == 0 {
			r.p.Add("callback.proof.basic", "not a user with a password", "write username and passwords")
		}
	}
	if h := f.HMAC; h != nil {
		given++
		callback.CheckSecrets(r.p, "callback.proof.hmac.secrets", h.Secrets)
		checkMAC(r.p, "callback.proof.hmac", h.Algorithm, h.Encoding)
		if len(h.Secrets) == 0 || h.Header == "" {
			r.p.Add("callback.proof.hmac", "no secrets, or no header", "write secrets, and header as the provider documents it")
		}
		if h.Over != "" && !strings.Contains(h.Over, "{{body}}") && !strings.Contains(h.Over, "{{query}}") {
			r.p.Add("callback.proof.hmac.over", "covers neither the body nor the query", "leave it out for {{body}}")
		}
		if h.Timestamp != "" && !strings.Contains(h.Over, "{{timestamp}}") {
			r.p.Add("callback.proof.hmac.over", "does not cover the timestamp", "write {{timestamp}} where the provider puts it: {{timestamp}}.{{body}}")
		}
	}
	if given != 1 {
		r.p.Add("callback.proof", "not exactly one of key, basic and hmac", "write the one that the provider can do; hmac is the strongest")
	}
}

func (c *Receipt) read(r reader) receiptPaths {
	const at = "callback.receipt."
	if c.Status == "" || c.Attempt == "" && c.ID == "" {
		r.p.Add("callback.receipt", "no status, or neither attempt nor id", "say where they are")
	}
	if len(c.Statuses) == 0 {
		r.p.Add(at+"statuses", "missing", "write what each of the provider's statuses means: {DELIVRD: delivered}")
	}
	for _, s := range slices.Sorted(maps.Keys(c.Statuses)) {
		if m := c.Statuses[s]; m != ignoreWord && duly.ReceiptStatus(m).State() == "" {
			r.p.Add(at+"statuses."+s, "not a receipt's status", "write accepted, failed, bad_address, delivered, read, opted_out or ignore")
		}
	}
	for _, s := range slices.Sorted(maps.Keys(c.Codes)) {
		if m := duly.ReceiptStatus(c.Codes[s]); m != duly.ReceiptBadAddress && m != duly.ReceiptOptedOut {
			r.p.Add(at+"codes."+s, "neither bad_address nor opted_out", "leave out reasons that mean no more than a failure")
		}
	}
	return receiptPaths{
		r.path(at+"attempt", c.Attempt), r.path(at+"id", c.ID), r.path(at+"key", c.Key), r.path(at+"status", c.Status),
		r.path(at+"code", c.Code), r.path(at+"at.path", c.At.Path), c.At.read(r, at+"at"),
	}
}

func (c *Reply) read(r reader) replyPaths {
	const at = "callback.reply."
	if c.From == "" || c.Text == "" {
		r.p.Add("callback.reply", "no from, or no text", "say where they are")
	}
	return replyPaths{
		r.path(at+"from", c.From), r.path(at+"text", c.Text), r.path(at+"id", c.ID), r.path(at+"attempt", c.Attempt),
		r.path(at+"at.path", c.At.Path), c.At.read(r, at+"at"),
	}
}

// when reads times of one layout.
type when struct {
	layout string
	zone   *time.Location
}

func (w When) read(r reader, key string) when {
	zone, err := time.LoadLocation(w.Zone)
	if err != nil || w.Zone == "Local" {
		r.p.Add(key+".zone", "not a time zone", "write it as Asia/Shanghai")
		zone = time.UTC
	}
	out := when{w.Layout, zone}
	switch w.Layout {
	case "":
		out.layout = time.RFC3339
	case "rfc3339":
		out.layout = time.RFC3339
	case "unix", "unix_ms":
	default:
		probe := time.Date(2026, time.November, 25, 13, 14, 15, 0, zone)
		if back, err := time.ParseInLocation(w.Layout, probe.Format(w.Layout), zone); err != nil || !back.Equal(probe) && !back.Equal(probe.Truncate(time.Minute)) {
			r.p.Add(key+".layout", "not a layout that tells day and time", "write rfc3339, unix, unix_ms, or how the provider would write 2006-01-02 15:04:05")
		}
	}
	return out
}

// at reads a time.
func (w when) at(s string) (time.Time, error) {
	if w.layout != "unix" && w.layout != "unix_ms" {
		return time.ParseInLocation(w.layout, s, w.zone)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > stampMax {
		return time.Time{}, fmt.Errorf("not a time: %w", err)
	}
	if w.layout == "unix_ms" {
		return time.UnixMilli(n), nil
	}
	return time.Unix(n, 0), nil
}

const stampMax = 1 << 46 // in milliseconds, beyond the year 4000
