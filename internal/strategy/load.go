package strategy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Load reads and checks a strategy; name is the file's, for messages. It tells every problem at once: the error joins one
// [duly.Error] for each, with its line, column, field and what to do.
func Load(name string, src []byte) (*Strategy, error) {
	l := &loader{problems: problems{file: name}}
	top := l.document(src)
	if top == nil {
		return nil, errors.Join(l.list...)
	}
	s := l.strategy(top)
	l.check(s)
	if len(l.list) > 0 {
		return nil, errors.Join(l.list...)
	}
	s.File, s.Hash = name, hashOf(src)
	return s, nil
}

// hashOf names a text: how its lines end makes no difference.
func hashOf(src []byte) string {
	text := bytes.TrimPrefix(src, []byte("\ufeff"))
	sum := sha256.Sum256(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
	return hex.EncodeToString(sum[:])[:12]
}

// loader reads one file, and remembers where its parts were for the checks that look at several of them.
type loader struct {
	problems
	top   mapping
	steps []mapping // of each step
}

func (l *loader) strategy(n ast.Node) *Strategy {
	l.top = l.open(n, "", "name", "title", "calendar", "review_by", "applies_to", "consolidate", "limits", "steps")
	m := &l.top
	s := &Strategy{
		Name: l.id(m, "name", "a short name in lower case, such as consumer-cn"), Calendar: m.text("calendar"), ReviewBy: l.day(m, "review_by"),
		AppliesTo: l.condition(m, "applies_to", true), Consolidate: oneOf(m, "consolidate", ByStep, ByStep, ByPersonDay),
	}
	if m.need("title", "write title: {zh: …, en: …}") {
		t := l.open(m.nodes["title"], "title", "zh", "en")
		s.TitleZH, s.TitleEN = l.title(&t, "zh"), l.title(&t, "en")
	}
	for i, n := range m.list("limits", MaxLimits) {
		s.Limits = append(s.Limits, l.limit(n, fmt.Sprintf("limits[%d]", i)))
	}
	if m.need("steps", "a strategy has at least one step") {
		for i, n := range m.list("steps", MaxSteps) {
			s.Steps = append(s.Steps, l.step(n, fmt.Sprintf("steps[%d]", i)))
		}
	}
	return s
}

func (l *loader) title(m *mapping, key string) string {
	if !m.need(key, "titles are shown in Chinese and in English") {
		return ""
	}
	s := m.text(key)
	if len(s) > MaxTitle {
		m.fail(key, fmt.Sprintf("at most %d bytes", MaxTitle), "is too long")
	}
	return s
}

func (l *loader) limit(n ast.Node, path string) Limit {
	m := l.open(n, path, "per", "max", "channels")
	out := Limit{Line: line(m.at)}
	if m.need("per", "write calendar_day, rolling_days:7, iso_week, rolling:72h or ever") {
		out.Per = m.text("per")
		if out.Per != "" && !period(out.Per) {
			m.fail("per", "write calendar_day, rolling_days:7, iso_week, rolling:72h or ever", "is no period")
		}
	}
	if m.need("max", "how many contacts are let through in the period") {
		out.Max = m.whole("max", 1, MaxLimit, 0)
	}
	for i, c := range m.list("channels", MaxRungs) {
		out.Channels = append(out.Channels, l.channel(c, fmt.Sprintf("%s.channels[%d]", path, i)))
	}
	return out
}

// period reports whether s is a period as rules write it.
func period(s string) bool {
	if n, ok := strings.CutPrefix(s, "rolling_days:"); ok {
		days, err := strconv.Atoi(n)
		return err == nil && days >= 1 && days <= 366
	}
	if d, ok := strings.CutPrefix(s, "rolling:"); ok {
		length, err := time.ParseDuration(d)
		return err == nil && length > 0 && length <= 366*24*time.Hour
	}
	return s == "calendar_day" || s == "iso_week" || s == "ever"
}

func (l *loader) step(n ast.Node, path string) Step {
	m := l.open(n, path, "id", "at", "window", "hour", "spread", "when", "channels", "tone", "template", "late_template", "priority", "catch_up",
		"within", "on_holiday", "stop")
	l.steps = append(l.steps, m)
	st := Step{
		ID: l.id(&m, "id", "a short name in lower case, such as d-3"), Line: line(m.at), Offset: l.offset(&m), When: l.condition(&m, "when", false),
		Template: l.id(&m, "template", "the name of the message template"), Priority: m.whole("priority", 0, MaxPriority, 0),
		CatchUp:   oneOf(&m, "catch_up", Expire, Expire, Merge, SendLate),
		OnHoliday: oneOf(&m, "on_holiday", Same, Same, Earlier, Later, Skip),
		Spread:    time.Duration(m.whole("spread", 0, MaxSpread, 0)) * time.Minute,
	}
	if m.need("tone", "write friendly, plain or firm") {
		st.Tone = oneOf(&m, "tone", "", duly.ToneFriendly, duly.TonePlain, duly.ToneFirm)
	}
	st.From, st.To = l.hours(&m)
	if m.has("late_template") {
		st.LateTemplate = l.id(&m, "late_template", "")
	}
	st.Within = l.within(&m, st.CatchUp)
	st.Ladder = l.ladder(&m)
	for i, n := range m.list("stop", MaxRungs) {
		st.Stops = append(st.Stops, l.stop(n, fmt.Sprintf("%s.stop[%d]", path, i)))
	}
	return st
}

// offset reads at: due, due-7d, due+3d.
func (l *loader) offset(m *mapping) int {
	const hint = "write due, due-7d or due+3d"
	if !m.need("at", hint) {
		return 0
	}
	s := m.text("at")
	rest, ok := strings.CutPrefix(s, "due")
	if ok && rest == "" {
		return 0
	}
	digits, days := strings.CutSuffix(rest, "d")
	n, err := strconv.Atoi(digits)
	if s == "" || !ok || !days || err != nil || digits[0] != '+' && digits[0] != '-' {
		m.fail("at", hint, "is no day of a step")
		return 0
	}
	if n < MinOffset || n > MaxOffset {
		m.fail("at", fmt.Sprintf("from due%dd to due+%dd", MinOffset, MaxOffset), "no step can fall so far from the due day")
	}
	return n
}

// hours reads window or hour: exactly one of them.
func (l *loader) hours(m *mapping) (from, to civil.Clock) {
	switch {
	case m.has("window") && m.has("hour"):
		m.fail("hour", "keep window or hour", "the hours are given twice")
	case m.has("hour"):
		from = l.clock(m, "hour")
		return from, min(from+hourLasts, 24*60)
	case m.need("window", `write window: {from: "09:00", to: "20:00"}, or hour: "09:30"`):
		w := l.open(m.nodes["window"], m.field("window"), "from", "to")
		if w.need("from", `such as "09:00"`) {
			from = l.clock(&w, "from")
		}
		if w.need("to", `such as "20:00"`) {
			to = l.clock(&w, "to")
		}
		if w.has("from") && w.has("to") && from >= to {
			w.fail("to", "a window lies within one day", "the window ends before it begins")
		}
	}
	return from, to
}

func (l *loader) clock(m *mapping, key string) civil.Clock {
	c, err := civil.ParseClock(m.text(key))
	if err != nil {
		m.fail(key, `write it in quotes, such as "09:30"`, "%v", err)
	}
	return c
}

// within reads how many days late a catch-up may be: 3d.
func (l *loader) within(m *mapping, c CatchUp) int {
	const other = 3
	if !m.has("within") {
		if c == Expire {
			return 0
		}
		return other
	}
	digits, ok := strings.CutSuffix(m.text("within"), "d")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || n > MaxWithin || strconv.Itoa(n) != digits {
		m.fail("within", "such as 3d", "must be 1d to %dd", MaxWithin)
		return other
	}
	return n
}

func (l *loader) ladder(m *mapping) []Rung {
	const hint = "write channels: [{channel: push}, {channel: sms, after: 4h}]"
	if !m.need("channels", hint) {
		return nil
	}
	nodes := m.list("channels", MaxRungs)
	if len(nodes) == 0 {
		if _, ok := m.nodes["channels"].(*ast.SequenceNode); ok {
			m.fail("channels", hint, "the ladder has no rung")
		}
	}
	out := make([]Rung, 0, len(nodes))
	for i, n := range nodes {
		path := fmt.Sprintf("%s[%d]", m.field("channels"), i)
		r := l.open(n, path, "channel", "after", "unless")
		rung := Rung{Line: line(r.at)}
		if r.need("channel", "write channel: sms") {
			rung.Channel = l.channel(r.nodes["channel"], r.field("channel"))
		}
		l.fallback(&r, &rung, i)
		out = append(out, rung)
	}
	return out
}

// fallback reads what concerns the rung before, which the first rung has not.
func (l *loader) fallback(r *mapping, rung *Rung, i int) {
	if i == 0 {
		for _, key := range []string{"after", "unless"} {
			if r.has(key) {
				r.fail(key, "take it out; it belongs to the rungs that follow", "the first rung waits for nothing")
			}
		}
		return
	}
	rung.Unless = oneOf(r, "unless", UnlessDelivered, UnlessDelivered, UnlessRead)
	if !r.need("after", "how long the rung before is waited for, such as 4h") {
		return
	}
	d, err := time.ParseDuration(r.text("after"))
	if err != nil || d < MinAfter || d > MaxAfter {
		r.fail("after", "such as 30m or 4h", "must be from %s to %s", "1m", "72h")
		return
	}
	rung.After = d
}

func (l *loader) channel(n ast.Node, path string) duly.Channel {
	s, _ := plain(n)
	if c := duly.Channel(s); c.Known() {
		return c
	}
	l.add(start(n), path, "the channels are sms, email, push, im, in_app, call_prerecorded, call_ai, call_agent, letter", "unknown channel")
	return ""
}

func (l *loader) stop(n ast.Node, path string) Stop {
	s, _ := plain(n)
	switch x := Stop(s); x {
	case StopPaid, StopPromise, StopHold, StopOptOut:
		return x
	}
	l.add(start(n), path, "the stops are paid, promise, hold, opt_out", "unknown stop")
	return ""
}

// id reads a name: lower-case letters and digits, joined by - + _ or a dot.
func (l *loader) id(m *mapping, key, hint string) string {
	if !m.need(key, hint) {
		return ""
	}
	s := m.text(key)
	good := s != "" && len(s) <= MaxName && s[0] >= 'a' && s[0] <= 'z'
	for i := range len(s) {
		c := s[i]
		good = good && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-+_.", c) >= 0)
	}
	if !good {
		m.fail(key, fmt.Sprintf("lower-case letters, digits, - + _ and dots, at most %d, beginning with a letter", MaxName), "is no name")
		return ""
	}
	return s
}

func (l *loader) day(m *mapping, key string) civil.Date {
	if !m.has(key) {
		return civil.Date{}
	}
	d, err := civil.Parse(m.text(key))
	if err != nil {
		m.fail(key, "write the day as 2027-06-30", "%v", err)
	}
	return d
}

// condition compiles the expression at key, or returns nil if there is none.
func (l *loader) condition(m *mapping, key string, appliesOnly bool) *Condition {
	if !m.has(key) {
		return nil
	}
	n := m.nodes[key]
	text, ok := plain(n)
	if !ok || strings.TrimSpace(text) == "" {
		m.fail(key, `such as tier in ["D", "E"]; leave the key out for always`, "must be a condition")
		return nil
	}
	c, wrong := compile(text, line(start(n)), appliesOnly)
	for _, f := range wrong {
		l.addAt(l.placeIn(n, m.field(key), f), f.hint, "%s", f.message)
	}
	return c
}

// placeIn turns a place within an expression into one of the file. In a folded block it is the block's.
func (l *loader) placeIn(n ast.Node, field string, f fault) duly.Place {
	p := duly.Place{File: l.file, Field: field}
	t := start(n)
	if t == nil || t.Position == nil {
		return p
	}
	p.Line, p.Column = t.Position.Line, t.Position.Column
	switch t.Type {
	case token.LiteralType:
		p.Column = l.indent(p.Line) + f.column + 1
		p.Line += 1 + f.line
	case token.FoldedType:
	case token.DoubleQuoteType, token.SingleQuoteType:
		p.Column++
		fallthrough
	default:
		if f.line == 0 {
			p.Column += f.column
		}
	}
	return p
}

func line(t *token.Token) int {
	if t == nil || t.Position == nil {
		return 0
	}
	return t.Position.Line
}
