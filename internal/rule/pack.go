package rule

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Limits of a pack.
const (
	MaxPackBytes = 256 << 10
	MaxRules     = 500
	maxName      = 64
)

// Pack is one rule pack: immutable, and known by the hash of its text.
type Pack struct {
	ID           string
	Version      string
	Jurisdiction string // "*", CN, US-MA: it applies to every country path that begins with it
	TitleZH      string
	TitleEN      string
	Hash         string // SHA-256 of the text, in hexadecimal; of the obligations' too, if it has some
	Rules        []Rule
	appliesIf    When // conditions of every rule of the pack
	conditions   []Field
	Duties       []Duty // its obligations; see Obligation
}

// Name returns the pack's id with the first 12 digits of its hash: what decisions are stamped with.
func (p *Pack) Name() string { return p.ID + "@" + p.Hash[:12] }

// Source is where a rule comes from and who has read it.
type Source struct {
	Instrument string // the law, standard or decision, with its article
	URL        string
	Read       string     // primary: the text itself; secondary: a report of it; memory: neither
	CheckedOn  civil.Date // when it was last looked at
	Reviewer   string     // the lawyer who signed it off; "" is nobody yet
}

// Load reads a pack. It refuses unknown keys, values and duplicates, and reports every problem it finds, each a
// *duly.Error with its place in the file called name.
func Load(name string, src []byte) (*Pack, error) {
	r := &reader{file: name}
	if len(src) > MaxPackBytes {
		return nil, duly.Errorf(duly.Invalid, "the pack is larger than %d KiB", MaxPackBytes>>10).At(duly.Place{File: name})
	}
	top := r.parse(src)
	if top == nil {
		return nil, r.err()
	}
	p := r.pack(top)
	sum := sha256.Sum256(bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n")))
	p.Hash = hex.EncodeToString(sum[:])
	if err := r.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// LoadFS reads the packs of fsys: each folder <id> with its pack.yaml and tests.yaml, in the order of their names. A
// pack without tests does not load; package gate runs them.
func LoadFS(fsys fs.FS) ([]*Pack, error) {
	files, err := fs.Glob(fsys, "*/pack.yaml")
	if err != nil {
		return nil, fmt.Errorf("find rule packs: %w", err)
	}
	var packs []*Pack
	var problems []error
	for _, file := range files {
		p, err := loadFile(fsys, file)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		packs = append(packs, p)
	}
	return packs, errors.Join(problems...)
}

func loadFile(fsys fs.FS, file string) (*Pack, error) {
	src, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, fmt.Errorf("read rule pack: %w", err)
	}
	p, err := Load(file, src)
	if err != nil {
		return nil, err
	}
	dir := path.Dir(file)
	if p.ID != dir {
		return nil, duly.Errorf(duly.Invalid, "pack %s is in a folder called %s", p.ID, dir).At(duly.Place{File: file, Field: "id"}).
			WithHint("give the folder the pack's id")
	}
	if _, err := fs.Stat(fsys, path.Join(dir, "tests.yaml")); err != nil {
		return nil, duly.Errorf(duly.Invalid, "pack %s has no tests", p.ID).At(duly.Place{File: file}).
			WithHint("write %s/tests.yaml with an allowing and a refusing case for each rule", dir)
	}
	return p, p.addDuties(fsys)
}

var (
	packIDs       = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	ruleIDs       = regexp.MustCompile(`^[A-Z][A-Za-z0-9-]*$`)
	codes         = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	jurisdictions = regexp.MustCompile(`^(\*|[A-Z]{2}(-[A-Z0-9]{1,8})*)$`)
)

func (r *reader) pack(top ast.Node) *Pack {
	o := r.open(top, "", "id", "version", "jurisdiction", "title", "applies_if", "rules")
	p := &Pack{ID: o.name("id", packIDs), Version: o.str("version"), Jurisdiction: o.name("jurisdiction", jurisdictions)}
	o.need("version")
	if o.has("title") {
		p.TitleZH, p.TitleEN = o.titles()
	}
	o.appliesIf(&p.appliesIf)
	if o.has("applies_if") {
		p.conditions = flatten(o.at["applies_if"], "applies_if")
	}
	if !o.need("rules") {
		return p
	}
	list, ok := o.at["rules"].(*ast.SequenceNode)
	if !ok || len(list.Values) == 0 || len(list.Values) > MaxRules {
		o.fail("rules", "must be a list of 1 to %d rules", MaxRules)
		return p
	}
	for i, n := range list.Values {
		p.Rules = append(p.Rules, r.rule(n, i, p))
	}
	return p
}

var ruleKeys = []string{"id", "kind", "title", "force", "valid", "when", "applies_if", "params", "unless_consent", "effect", "reason", "source"}

func (r *reader) rule(n ast.Node, i int, p *Pack) Rule {
	o := r.open(n, fmt.Sprintf("rules[%d]", i))
	rule := Rule{ID: o.name("id", ruleIDs), Pack: p.ID, Jurisdiction: p.Jurisdiction}
	if rule.ID != "" {
		o.field = "rules." + rule.ID
		if slices.ContainsFunc(p.Rules, func(q Rule) bool { return q.ID == rule.ID }) {
			o.fail("id", "rule %s is there already", rule.ID)
		}
	}
	o.only(ruleKeys...)
	rule.TitleZH, rule.TitleEN = o.titles()
	rule.Force = duly.Force(o.str("force"))
	if o.need("force") && !rule.Force.Known() {
		o.fail("force", "unknown force")
		r.hint("a force is law, regulator, standard, self_reg, carrier, policy or draft")
	}
	rule.From, rule.To = o.valid()
	rule.When = o.when()
	o.appliesIf(&rule.When)
	rule.When.add(o, &p.appliesIf)
	rule.UnlessConsent = o.str("unless_consent")
	o.kind(&rule)
	rule.Reason = o.name("reason", codes)
	rule.Source = o.source()
	rule.Shadow = rule.Force == duly.ForceDraft || rule.Source.Read == readMemory && rule.Force != duly.ForcePolicy
	rule.Place, rule.fields = r.place(n, "rules."+rule.ID), flatten(n, "")
	return rule
}

// readMemory is the source of a rule whose instrument nobody has read.
const readMemory = "memory"

// add takes the conditions of the pack, which all its rules have.
func (w *When) add(o object, pack *When) {
	twice := pack.MinDays != nil && w.MinDays != nil || pack.MaxDays != nil && w.MaxDays != nil || pack.ThirdParty != nil && w.ThirdParty != nil ||
		len(pack.Product) > 0 && len(w.Product) > 0 || len(pack.ProductNot) > 0 && len(w.ProductNot) > 0 ||
		pack.CreditPurchaser != nil && w.CreditPurchaser != nil
	if twice {
		o.fail("when", "has a condition that applies_if of the pack has too")
	}
	w.MinDays, w.MaxDays = cmp.Or(pack.MinDays, w.MinDays), cmp.Or(pack.MaxDays, w.MaxDays)
	w.ThirdParty, w.CreditPurchaser = cmp.Or(pack.ThirdParty, w.ThirdParty), cmp.Or(pack.CreditPurchaser, w.CreditPurchaser)
	w.Product, w.ProductNot = append(w.Product, pack.Product...), append(w.ProductNot, pack.ProductNot...)
}

// flatten lists what a node of a pack says, each text with its path.
func flatten(n ast.Node, name string) []Field {
	var pairs []*ast.MappingValueNode
	switch x := n.(type) {
	case *ast.MappingNode:
		pairs = x.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{x}
	case *ast.NullNode:
		return nil // null says nothing
	case *ast.SequenceNode:
		parts := make([]string, len(x.Values))
		for i, v := range x.Values {
			parts[i] = plainText(v)
		}
		return []Field{{name, "[" + strings.Join(parts, ", ") + "]"}}
	default:
		return []Field{{name, plainText(n)}}
	}
	var out []Field
	for _, p := range pairs {
		key := plainText(p.Key)
		if name != "" {
			key = name + "." + key
		}
		out = append(out, flatten(p.Value, key)...)
	}
	return out
}

// plainText returns what one node says, without the quotes it may be in.
func plainText(n ast.Node) string {
	if s, ok := text(n); ok {
		return s
	}
	if n == nil || n.GetToken() == nil {
		return ""
	}
	return n.GetToken().Value
}

// kind reads what depends on the rule's kind: its parameters and its effect.
func (o *object) kind(rule *Rule) {
	rule.Kind = Kind(o.str("kind"))
	k, ok := kinds[rule.Kind]
	if !ok {
		if o.need("kind") {
			o.fail("kind", "unknown kind of rule")
			o.r.hint("the kinds are %s", kindNames())
		}
		return
	}
	params := object{r: o.r, node: o.node, field: o.path("params"), at: map[string]ast.Node{}}
	if o.has("params") {
		params = o.r.open(o.at["params"], o.path("params"))
	}
	if len(k.params) > 0 {
		params.only(k.names()...)
	}
	rule.checker = k.parse(&params)
	rule.Effect = o.effect(rule.Kind, k.effects)
	if c, ok := rule.checker.(*frequencyCap); ok && c.period.unit == ever && rule.Effect == duly.Defer {
		o.fail("effect", "a cap for ever cannot defer")
		o.r.hint("its effect must be block")
	}
}

// effect reads the effect of a rule, which is one of those that its kind can have; the first if none is given.
func (o *object) effect(k Kind, can []duly.Verdict) duly.Verdict {
	if !o.has("effect") {
		return can[0]
	}
	var v duly.Verdict
	if err := v.UnmarshalText([]byte(o.str("effect"))); err == nil && slices.Contains(can, v) {
		return v
	}
	names := make([]string, len(can))
	for i, e := range can {
		names[i] = e.String()
	}
	o.fail("effect", "a %s cannot have this effect", k)
	o.r.hint("its effect is %s", strings.Join(names, " or "))
	return can[0]
}

// only refuses every key of parameters but the given ones.
func (o *object) only(keys ...string) {
	for i, k := range o.keys {
		if !slices.Contains(keys, k) {
			o.r.fail(o.names[i], o.path(k), "unknown key")
			if len(keys) == 0 {
				o.r.hint("this kind of rule has no parameters")
			} else {
				o.r.hint("the keys here are %s", strings.Join(keys, ", "))
			}
		}
	}
}

// name returns the text at key, which must be there, be short and match a pattern.
func (o *object) name(key string, pattern *regexp.Regexp) string {
	if !o.need(key) {
		return ""
	}
	s := o.str(key)
	if len(s) > maxName || !pattern.MatchString(s) {
		o.fail(key, "must match %s and be at most %d long", pattern, maxName)
		return ""
	}
	return s
}

func (o *object) titles() (zh, en string) {
	t := o.sub("title", "zh", "en")
	if t.node != nil {
		t.need("zh")
		t.need("en")
	}
	return t.str("zh"), t.str("en")
}

func (o *object) valid() (from, to civil.Date) {
	if !o.has("valid") {
		return from, to
	}
	v := o.sub("valid", "from", "to")
	from, to = v.day("from"), v.day("to")
	if !to.IsZero() && to.Before(from) {
		v.fail("to", "is before from")
	}
	return from, to
}

func (o *object) source() Source {
	s := o.sub("source", "instrument", "url", "read", "checked_on", "reviewer")
	src := Source{Instrument: s.str("instrument"), URL: s.str("url"), Read: s.str("read"), CheckedOn: s.day("checked_on"), Reviewer: s.str("reviewer")}
	if s.node == nil {
		return src
	}
	s.need("instrument")
	s.need("checked_on")
	if s.need("read") && src.Read != "primary" && src.Read != "secondary" && src.Read != "memory" {
		s.fail("read", "must be primary, secondary or memory")
	}
	return src
}
