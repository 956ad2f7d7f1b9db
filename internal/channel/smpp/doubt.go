package smpp

import (
	"context"
	"strings"
	"sync"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// doubtsMax bounds the attempts in doubt that are remembered; the oldest is forgotten first.
const doubtsMax = 10_000

// doubts are attempts under way, and those whose answer was lost: by what their parts went by, and what is known of their ids. They are a
// help, not a record: what they do not settle stays in doubt, as it does when the process ends.
type doubts struct {
	mu    sync.Mutex
	byRef map[uint16][]*unsure
	byID  map[duly.AttemptID]*unsure
	order []*unsure // those whose answer was lost
}

type unsure struct {
	id   duly.AttemptID
	to   string
	from address
	refs []uint16
	ids  []string
}

// unsure is an attempt whose parts are about to go out; nil where nothing would ask for it.
func (c *Config) unsure(id duly.AttemptID, submits []shortMessage) *unsure {
	if !c.Reference && !c.Query {
		return nil
	}
	u := &unsure{id: id, to: submits[0].to.text, from: submits[0].from, ids: make([]string, len(submits))}
	for n := range submits {
		u.refs = append(u.refs, reference(id, n+1))
	}
	return u
}

// open remembers an attempt while it is under way: its receipt may come before its answer.
func (d *doubts) open(u *unsure) {
	if u == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byID == nil {
		d.byRef, d.byID = map[uint16][]*unsure{}, map[duly.AttemptID]*unsure{}
	}
	d.byID[u.id] = u
	for _, ref := range u.refs {
		d.byRef[ref] = append(d.byRef[ref], u)
	}
}

// close forgets an attempt that has an answer, and keeps one that has none.
func (d *doubts) close(u *unsure, ids []string, err *channel.Error) {
	if u == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil || err.Class != channel.Unknown {
		d.forget(u)
		return
	}
	if len(u.ids) > 1 || u.ids[0] == "" { // a late answer may have been here first
		u.ids = ids
	}
	if d.order = append(d.order, u); len(d.order) > doubtsMax {
		d.forget(d.order[0])
		d.order = d.order[1:]
	}
}

func (d *doubts) forget(u *unsure) {
	if d.byID[u.id] == u {
		delete(d.byID, u.id)
	}
	for _, ref := range u.refs {
		var left []*unsure
		for _, other := range d.byRef[ref] {
			if other != u {
				left = append(left, other)
			}
		}
		if d.byRef[ref] = left; left == nil {
			delete(d.byRef, ref)
		}
	}
}

// find returns the one attempt in doubt to a number that went by a reference; "" where there is none, or more.
func (d *doubts) find(ref uint16, number string) duly.AttemptID {
	d.mu.Lock()
	defer d.mu.Unlock()
	var id duly.AttemptID
	for _, u := range d.byRef[ref] {
		if !sameNumber(u.to, number) {
			continue
		}
		if id != "" && id != u.id {
			return ""
		}
		id = u.id
	}
	return id
}

// nationalMin is how many digits two numbers must share at their ends to be one, where one is written without its country.
const nationalMin = 8

func sameNumber(a, b string) bool {
	a, b = strings.TrimPrefix(a, "+"), strings.TrimPrefix(b, "+")
	return a == b || len(b) >= nationalMin && strings.HasSuffix(a, strings.TrimLeft(b, "0"))
}

// learn notes the id that a late answer told.
func (d *doubts) learn(id duly.AttemptID, message string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if u := d.byID[id]; u != nil && len(u.ids) == 1 {
		u.ids = []string{message}
	}
}

func (d *doubts) known(id duly.AttemptID) (address, []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.byID[id]
	if u == nil {
		return address{}, nil
	}
	for _, message := range u.ids {
		if message == "" {
			return address{}, nil
		}
	}
	return u.from, u.ids
}

// Query asks the carrier what became of an attempt in doubt by query_sm. It can be asked only about what it has given an id: that is
// one whose answer came too late, as long as the process lives. Of anything else the carrier cannot tell.
func (s *Sender) Query(ctx context.Context, id duly.AttemptID) (duly.ReceiptStatus, bool, error) {
	from, ids := s.doubts.known(id)
	if !s.c.Query || len(ids) == 0 {
		return "", false, nil
	}
	s.start()
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Timeout, errTimeout)
	defer cancel()
	got := duly.ReceiptDelivered
	for _, message := range ids {
		st, known, err := s.queryPart(ctx, from, message)
		if err != nil || !known {
			return "", false, err
		}
		if got == duly.ReceiptDelivered || st == duly.ReceiptFailed {
			got = st
		}
	}
	return got, true, nil
}

func (s *Sender) queryPart(ctx context.Context, from address, message string) (duly.ReceiptStatus, bool, error) {
	session, err := s.pool.get(ctx)
	if err != nil {
		return "", false, err
	}
	defer s.pool.put(session)
	p, f := session.ask(ctx, querySM, appendAddress(appendText(nil, message), from), nil)
	if f != nil {
		return "", false, f.fail("query_sm")
	}
	r := reader{b: p.body}
	r.text() // message_id
	r.text() // final_date
	state, _ := r.octet(), r.octet()
	if p.status != ok || r.err != nil {
		return "", false, nil
	}
	for _, st := range states {
		if st.number == state {
			return st.status, true, nil
		}
	}
	return "", false, nil
}
