package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/store"
)

// Limits of what is heard (ADR 27).
const (
	sharersMax    = 50                  // an address that more people have tells nothing of who wrote
	sharedLead    = 24 * time.Hour      // who was written to so long after all others that share an address is who answers
	unmatchedFor  = 30 * 24 * time.Hour // how long what nobody is known for is kept
	unmatchedMax  = 10_000              // how much of it; beyond that the oldest goes
	unmatchedRest = 10 * time.Minute    // between two looks for the same
	unmatchedStep = 50                  // looked for in one step
)

// The kinds of what nobody is known for.
const (
	heardReply = "reply"
	heardPoint = "point"
)

// Home is where what was heard is taken to: an engine, or the log before several.
type Home interface {
	Apply(ctx context.Context, now time.Time, actor string, facts []duly.Fact) (Applied, error)
	Accept(ctx context.Context, now time.Time, receipts []duly.Receipt, r *ReceiveReport) error
}

// Hear takes what a carrier told of its own accord. When it returns nil all of it is kept: receipts in the inbox, replies and
// news of addresses with the people whom they are about, or apart where nobody is known. The same again changes nothing.
func (e *Engine) Hear(ctx context.Context, now time.Time, carrier string, heard channel.Heard, r *ReceiveReport) error {
	return HearFor(ctx, now, carrier, heard, []*Engine{e}, nil, e, r)
}

// HearFor is [Engine.Hear] where several cells take the place of one store: it looks for people in each of them, and takes what is
// found home. away is the error of cells that do not answer: then what is about nobody in the others is not taken, for the carrier
// to tell it again.
func HearFor(ctx context.Context, now time.Time, carrier string, heard channel.Heard, cells []*Engine, away error, home Home, r *ReceiveReport) error {
	h := &hearing{now: now, carrier: carrier, cells: cells, away: away, home: home, r: r}
	if len(heard.Receipts) > 0 {
		if err := home.Accept(ctx, now, heard.Receipts, r); err != nil {
			return fmt.Errorf("keep receipts: %w", err)
		}
	}
	for i := range heard.Replies {
		if err := h.takeReply(ctx, &heard.Replies[i]); err != nil {
			return fmt.Errorf("keep a reply: %w", err)
		}
	}
	for i := range heard.Points {
		if err := h.takeNews(ctx, &heard.Points[i]); err != nil {
			return fmt.Errorf("keep news of an address: %w", err)
		}
	}
	return h.keep(ctx)
}

// hearing takes what one carrier told to the people whom it is about.
type hearing struct {
	now       time.Time
	carrier   string
	cells     []*Engine
	away      error
	home      Home
	r         *ReceiveReport
	unmatched []store.Unmatched
}

// sharer is somebody whose address it is.
type sharer struct {
	borrower duly.BorrowerID
	point    duly.PointID
	kind     duly.PointKind
	contact  duly.ContactID // what is answered; "" is not known
	channel  duly.Channel   // of that contact
	last     time.Time      // when they were last written to there
}

// whose returns who of those that have an address speaks: the only one, or the one who was written to well after all others. Where
// that is not plain it may be any of them, and shared says so.
func whose(all []sharer) (who []sharer, shared bool) {
	slices.SortStableFunc(all, func(a, b sharer) int { return b.last.Compare(a.last) })
	switch others := slices.IndexFunc(all, func(s sharer) bool { return s.borrower != all[0].borrower }); {
	case len(all) == 0:
		return nil, false
	case others < 0, !all[0].last.IsZero() && all[0].last.Sub(all[others].last) >= sharedLead:
		return all[:1], false
	}
	seen := map[duly.BorrowerID]bool{}
	for _, s := range all {
		if !seen[s.borrower] {
			seen[s.borrower] = true
			who = append(who, s)
		}
	}
	return who, true
}

// takeReply takes a reply to whoever wrote it.
func (h *hearing) takeReply(ctx context.Context, x *channel.Reply) error {
	all, err := h.find(ctx, x.AttemptID, x.Channel, x.Channel.Points(), x.From)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return h.nobody(heardReply, x.Key, x)
	}
	id := duly.NewReplyID(h.carrier, replyKey(x))
	who, shared := whose(all)
	if len(all) > 1 { // told before, it stays with whom it was told of: who was written to last may be another by now
		if taken, err := h.taken(ctx, all, id); err != nil || taken {
			return err
		}
	}
	var facts []duly.Fact
	for _, s := range who {
		facts = append(facts, h.replyOf(x, id, &s, shared))
	}
	return h.apply(ctx, facts)
}

// replyKey is the carrier's key of a reply; of one without, what it is.
func replyKey(x *channel.Reply) string {
	if x.Key != "" {
		return x.Key
	}
	return fmt.Sprintf("%s\x00%s\x00%s\x00%d", x.AttemptID, x.From, x.Text, x.At.UnixMicro())
}

func (h *hearing) replyOf(x *channel.Reply, id duly.ReplyID, s *sharer, shared bool) duly.Fact {
	f := &duly.Reply{
		BorrowerID: s.borrower, ID: id, ContactID: s.contact, PointID: s.point, Channel: x.Channel, Text: cleanText(x.Text),
		Said: duly.Said{Intent: x.Intent, PromiseOn: x.PromiseOn, Shared: shared}, At: x.At.UTC().Truncate(time.Microsecond), Version: 1,
	}
	if f.Channel == "" {
		f.Channel = s.channel
	}
	if x.At.IsZero() {
		f.At = h.now
	}
	return f
}

// cleanText makes of what came something that can be kept: text, without what no store takes, and of bounded length.
func cleanText(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
	if len(s) <= duly.ReplyTextMax {
		return s
	}
	s = s[:duly.ReplyTextMax]
	for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

// apply takes facts home, those of each person by themselves: no transaction crosses people, and told again it goes on.
func (h *hearing) apply(ctx context.Context, facts []duly.Fact) error {
	for _, f := range facts {
		a, err := h.home.Apply(ctx, h.now, h.carrier, []duly.Fact{f})
		if err != nil {
			return err
		}
		if r := a.Results[0]; r == store.Added || r == store.Changed {
			h.r.Replies++
		}
	}
	return nil
}

// taken reports whether a reply was taken in for one of those that have its address.
func (h *hearing) taken(ctx context.Context, all []sharer, id duly.ReplyID) (bool, error) {
	for _, s := range all {
		e := h.cell(s.borrower.Bucket())
		if e == nil {
			continue
		}
		yes, err := e.db.HasReply(ctx, s.borrower, id)
		if err != nil || yes {
			return yes, err
		}
	}
	return false, nil
}

// cell returns the engine of the cell that has a bucket, or nil.
func (h *hearing) cell(bucket int) *Engine {
	for _, e := range h.cells {
		if e.holding.Has(bucket) {
			return e
		}
	}
	return nil
}

// find returns those whom something is about: the one of the attempt, else those who have the address.
func (h *hearing) find(ctx context.Context, id duly.AttemptID, ch duly.Channel, kinds []duly.PointKind, value string) ([]sharer, error) {
	if contact, ok := id.Contact(); ok {
		b, _ := id.Bucket()
		e := h.cell(b)
		if e == nil {
			return nil, errors.Join(duly.Errorf(duly.Unavailable, "the cell of the person does not answer").WithHint("tell it again"), h.away)
		}
		c, err := e.db.FindContact(ctx, contact)
		if err == nil {
			return []sharer{{borrower: c.BorrowerID, point: c.PointID, contact: c.ID, channel: c.Channel}}, nil
		}
		if duly.CodeOf(err) != duly.NotFound {
			return nil, err
		}
	}
	if value == "" || len(kinds) == 0 {
		return nil, nil
	}
	var out []sharer
	for _, e := range h.cells {
		found, err := e.sharers(ctx, h.now, ch, kinds, value)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	if h.away != nil { // whoever is there may have the address too
		return nil, h.away
	}
	if len(out) > sharersMax {
		return nil, nil
	}
	return out, nil
}

// sharers returns those of this store that have an address.
func (e *Engine) sharers(ctx context.Context, now time.Time, ch duly.Channel, kinds []duly.PointKind, value string) ([]sharer, error) {
	points, err := e.db.PointsOf(ctx, kinds, value, sharersMax+1)
	if err != nil {
		return nil, err
	}
	since := e.Today(now).Add(-historyDays)
	var out []sharer
	for i := range points {
		p := &points[i]
		if !e.holding.Has(p.BorrowerID.Bucket()) {
			continue // of people who have left for another cell
		}
		s := sharer{borrower: p.BorrowerID, point: p.ID, kind: p.Kind}
		if len(points) > 1 {
			if s.last, err = e.db.LastSent(ctx, p.BorrowerID, p.ID, ch, since); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// takeNews takes news of an address to all who have it: a number that is dead is dead for each of them.
func (h *hearing) takeNews(ctx context.Context, x *channel.PointNews) error {
	kinds := x.OptedOut.Points()
	switch {
	case x.Kind == duly.PointMobile || x.Kind == duly.PointLandline: // lenders mix them up
		kinds = []duly.PointKind{duly.PointMobile, duly.PointLandline}
	case x.Kind.Known():
		kinds = []duly.PointKind{x.Kind}
	}
	all, err := h.find(ctx, x.AttemptID, x.OptedOut, kinds, x.Value)
	if err != nil {
		return err
	}
	if len(all) == 0 && x.OptedOut != "" { // of an address that nobody has only a refusal is worth keeping
		return h.nobody(heardPoint, x.Key, x)
	}
	for _, s := range all {
		if err := h.newsOf(ctx, x, &s); err != nil {
			return err
		}
	}
	return nil
}

func (h *hearing) newsOf(ctx context.Context, x *channel.PointNews, s *sharer) error {
	at := x.At
	if at.IsZero() || at.After(h.now) {
		at = h.now
	}
	if x.OptedOut != "" {
		if err := h.apply(ctx, []duly.Fact{refusal(lesson{borrower: s.borrower, refused: x.OptedOut}, at)}); err != nil {
			return err
		}
	}
	if x.State == "" || s.point == "" {
		return nil
	}
	e := h.cell(s.borrower.Bucket())
	if e == nil {
		return duly.Errorf(duly.Unavailable, "the cell of the person does not answer").WithHint("tell it again")
	}
	return e.pointTold(ctx, h.now, h.carrier, s.borrower, s.point, x.State, at, h.r)
}

// pointTold takes what a carrier says of a contact point.
func (e *Engine) pointTold(ctx context.Context, now time.Time, carrier string, id duly.BorrowerID, point duly.PointID, state duly.PointState, at time.Time, r *ReceiveReport) error {
	b := id.Bucket()
	changed := false
	err := e.db.Update(ctx, now, []int{b}, func(tx *store.Tx) error {
		changed = false
		persons, err := tx.Persons(b, []duly.BorrowerID{id}, tx.Now())
		if err != nil || len(persons) == 0 {
			return err
		}
		p := persons[0].Point(point)
		if p == nil || p.State == state || !state.Known() {
			return nil
		}
		if news, err := tx.NewsOfPoint(b, id, point, at); err != nil || !news { // told before, or overtaken by what came first
			return err
		}
		if err := tx.SetPointState(b, id, point, state); err != nil {
			return err
		}
		changed = true
		tx.Audit(b, "point", carrier, string(point), string(state))
		return tx.MarkDirty([]duly.BorrowerID{id})
	})
	if err == nil && changed {
		e.fence.stop(id)
		r.Points++
	}
	return err
}

// nobody keeps what is about somebody who is not known, until the loan book brings them or it is too old.
func (h *hearing) nobody(kind, key string, x any) error {
	data, err := json.Marshal(x)
	if err != nil {
		return err
	}
	if r, ok := x.(*channel.Reply); ok {
		key = replyKey(r)
	}
	h.unmatched = append(h.unmatched, store.Unmatched{
		Carrier: h.carrier, Key: string(duly.NewReplyID(kind, key)), Kind: kind, Data: string(data), ReceivedAt: h.now, TriedAt: h.now,
	})
	return nil
}

// keep writes down what nobody is known for, in every cell: each looks for it among its own.
func (h *hearing) keep(ctx context.Context) error {
	if len(h.unmatched) == 0 {
		return nil
	}
	if h.away != nil {
		return h.away
	}
	h.r.Unmatched += len(h.unmatched)
	for _, e := range h.cells {
		gone, err := e.db.PutUnmatched(ctx, h.now, h.unmatched, unmatchedMax)
		if err != nil {
			return err
		}
		if gone > 0 {
			e.log.Warn("too much is told of people whom nobody knows; the oldest is dropped", "kept", unmatchedMax, "dropped", gone)
		}
	}
	return nil
}

// Stray is what a carrier told of somebody whom nobody knows, as lists show it.
type Stray struct {
	Carrier    string       `json:"carrier"`
	Kind       string       `json:"kind"` // reply, or point: a refusal that the carrier reports
	Channel    duly.Channel `json:"channel"`
	From       string       `json:"from"`           // masked
	Text       string       `json:"text,omitempty"` // shown by role
	At         time.Time    `json:"at"`
	ReceivedAt time.Time    `json:"received_at"`
	GoneAt     time.Time    `json:"gone_at"` // when it is dropped if nobody comes to be known
}

// Strays lists what nobody is known for, the newest first. The words are left out unless asked for.
func (e *Engine) Strays(ctx context.Context, words bool, limit int) ([]Stray, error) {
	list, err := e.db.Unmatched(ctx, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Stray, len(list))
	for i := range list {
		u := &list[i]
		s := Stray{Carrier: u.Carrier, Kind: u.Kind, ReceivedAt: u.ReceivedAt, GoneAt: u.ReceivedAt.Add(unmatchedFor)}
		var x struct {
			channel.Reply
			Kind     duly.PointKind
			Value    string
			OptedOut duly.Channel
		}
		if err := json.Unmarshal([]byte(u.Data), &x); err != nil {
			return nil, fmt.Errorf("read what nobody is known for: %w", err)
		}
		s.Channel, s.At = x.Channel, x.At
		kind, address := x.Kind, x.Value
		if u.Kind == heardReply {
			address = x.From
			if kinds := x.Channel.Points(); len(kinds) > 0 {
				kind = kinds[0]
			}
		} else {
			s.Channel = x.OptedOut
		}
		s.From = kind.Masked(address)
		if words {
			s.Text = x.Text
		}
		out[i] = s
	}
	return out, nil
}

// match looks again for those whom nobody knew.
func (e *Engine) match(ctx context.Context, now time.Time, r *ReceiveReport) error {
	list, err := e.db.UntriedSince(ctx, now.Add(-unmatchedRest), unmatchedStep)
	if err != nil || len(list) == 0 {
		return err
	}
	var tried, done []store.Unmatched
	for i := range list {
		u := &list[i]
		h := &hearing{now: now, carrier: u.Carrier, cells: []*Engine{e}, home: e, r: r}
		switch err := h.again(ctx, u); {
		case err != nil:
			if _, moving := errors.AsType[*store.Moving](err); !moving {
				return err
			}
			tried = append(tried, *u)
		case len(h.unmatched) > 0:
			tried = append(tried, *u)
		default:
			done = append(done, *u)
		}
	}
	return e.db.TriedUnmatched(ctx, now, tried, done, now.Add(-unmatchedFor))
}

// again takes what was kept, if its person has come to be known.
func (h *hearing) again(ctx context.Context, u *store.Unmatched) error {
	switch u.Kind {
	case heardReply:
		var x channel.Reply
		if err := json.Unmarshal([]byte(u.Data), &x); err != nil {
			return fmt.Errorf("read what nobody is known for: %w", err)
		}
		return h.takeReply(ctx, &x)
	case heardPoint:
		var x channel.PointNews
		if err := json.Unmarshal([]byte(u.Data), &x); err != nil {
			return fmt.Errorf("read what nobody is known for: %w", err)
		}
		return h.takeNews(ctx, &x)
	}
	return nil
}
