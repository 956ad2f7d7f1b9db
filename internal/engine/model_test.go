package engine_test

import (
	"fmt"
	"strings"
	"testing"

	duly "github.com/dulyhq/duly"
)

// The claim and settle protocol as a model small enough to be looked at whole: two processes, one contact with up to two tries,
// one payment, one receipt, one crash, and every order in which their steps can come. A contact moves in it only as the table in
// package duly allows. Each mutation takes one guard away; the model then has a story in which a promise is broken, and without
// mutations it has none.

// Attempt states and answers of the model.
const (
	none = iota
	open
	taken   // accepted
	refused // definitely not accepted
	doubt
	recalled
	retry // refused for now: an answer only
)

// Phases of a process: what it holds of the contact in its memory.
const (
	idle    = iota
	checked // it believes that it holds the lease, and is about to claim
	claimed // its claim is committed
	posting // the fence let it pass: the POST has begun
	settled // it has the answer, which is not stored
)

const (
	triesMax = 2
	epochMax = 3 // how often the bucket changes hands
)

// process is one of the two, with what it only remembers.
type process struct {
	lease   uint8 // the epoch under which it believes to hold the bucket; 0: it does not
	phase   uint8
	epoch   uint8 // of the lease that its claim was made under
	no      uint8 // of the try
	young   bool  // what it knows of the payment is younger than the limit
	stopped bool  // its fence was told of the payment
	answer  uint8
}

// scene is everything there is: the store, the carrier, the caller who pays, and two processes.
type scene struct {
	contact       uint8 // index into duly.ContactStates
	tries         uint8
	attempt       [triesMax + 1]uint8
	got           [triesMax + 1]bool  // the carrier has it
	posts         [triesMax + 1]uint8 // how often it was posted
	owner, epoch  uint8               // of the bucket, by the store
	paid          bool                // the payment is committed
	told          uint8               // 1 + the process that owes the caller an answer; 0: none does
	waits         bool                // and must wait before it gives it
	answered      bool
	receipt       uint8 // 0 none yet, 1 in the inbox, 2 looked at
	receiptOf     uint8
	receiptFailed bool
	crashed       bool
	p             [2]process
}

// mutations take guards away.
type mutations struct {
	noFence     bool // the fence lets everything pass
	anyLease    bool // a claim and its POST go by any lease of the process, not by the one it was made under
	noTenure    bool // the claim's transaction does not compare the lease; the fence still does
	lapseToDue  bool // a try without an answer is planned again
	agedBefore  bool // the age of what is known is asked for some time before the fence, not at it
	retryAtOnce bool // a payment that is told again stops nothing and waits for nothing
	noWait      bool // the answer to a payment does not wait for other processes
	postsOnly   bool // no guard: only the promises about POSTs are looked at
}

// step is one thing that can happen.
type step struct {
	what string
	to   scene
}

// model explores scenes.
type model struct {
	m     mutations
	out   []step
	wrong string // the promise that the step just made breaks
}

func state(i uint8) duly.ContactState { return duly.ContactStates()[i] }

func index(s duly.ContactState) uint8 {
	for i, x := range duly.ContactStates() {
		if x == s {
			return uint8(i)
		}
	}
	panic("no such state: " + s)
}

func (m *model) add(s scene, what string, args ...any) {
	m.out = append(m.out, step{fmt.Sprintf(what, args...), s})
}

// move moves the contact, if the table of moves has the move; if not, the model itself is wrong.
func (m *model) move(s *scene, to duly.ContactState) {
	if from := state(s.contact); from != to {
		if !from.CanBecome(to) {
			m.wrong = fmt.Sprintf("the contact moves from %s to %s, which the table does not allow", from, to)
		}
		s.contact = index(to)
	}
}

// next returns all that can happen in a scene.
func (m *model) next(s scene) []step {
	m.out = nil
	for i := range s.p {
		m.leases(s, i)
		m.claims(s, i)
		m.sends(s, i)
		m.finishes(s, i)
		m.lapses(s, i)
		m.pays(s, i)
		m.applies(s, i)
		m.crashes(s, i)
	}
	m.answers(s)
	m.arrives(s)
	m.resolves(s)
	return m.out
}

// leases: a lease runs out by the process's own clock before the store lets another take the bucket; it may be given up at once.
func (m *model) leases(s scene, i int) {
	p := &s.p[i]
	if p.lease > 0 && s.epoch < epochMax {
		t := s
		t.p[i].lease = 0
		m.add(t, "the lease of %d runs out", i)
		t.owner = 0
		m.add(t, "%d gives the bucket up", i)
	}
	if s.epoch < epochMax && p.lease == 0 && (s.owner == 0 || s.p[s.owner-1].lease == 0) {
		t := s
		t.epoch++
		t.owner, t.p[i].lease = uint8(i+1), t.epoch
		m.add(t, "%d takes the bucket, epoch %d", i, t.epoch)
	}
}

func (m *model) claims(s scene, i int) {
	p := &s.p[i]
	if p.phase == idle && p.lease > 0 && state(s.contact) == duly.Planned {
		t := s
		t.p[i].phase, t.p[i].epoch = checked, p.lease
		m.add(t, "%d believes that it holds the bucket", i)
	}
	if p.phase != checked {
		return
	}
	t := s
	holds := s.owner == uint8(i+1) && s.epoch == p.epoch || m.m.anyLease || m.m.noTenure
	switch {
	case !holds || state(s.contact) != duly.Planned || s.tries == triesMax:
		t.p[i] = process{lease: p.lease}
		if !holds && p.lease == p.epoch {
			t.p[i].lease = 0
		}
		m.add(t, "%d does not claim", i)
	case s.paid:
		t.p[i] = process{lease: p.lease}
		m.move(&t, duly.Cancelled)
		m.add(t, "%d finds it paid, and cancels", i)
	default:
		t.tries++
		t.attempt[t.tries] = open
		m.move(&t, duly.Claimed)
		t.p[i].phase, t.p[i].no, t.p[i].young, t.p[i].stopped = claimed, t.tries, true, false
		m.add(t, "%d claims try %d", i, t.tries)
	}
}

func (m *model) sends(s scene, i int) {
	p := &s.p[i]
	switch p.phase {
	case claimed:
		m.begins(s, i)
	case posting:
		for _, c := range []struct {
			got    bool
			answer uint8
			what   string
		}{{true, taken, "takes it"}, {true, doubt, "takes it, and its answer is lost"}, {false, doubt, "never gets it, and nobody knows"},
			{false, retry, "refuses for now"}, {false, refused, "refuses for good"}} {
			t := s
			t.got[p.no] = s.got[p.no] || c.got
			t.p[i].phase, t.p[i].answer = settled, c.answer
			m.add(t, "the carrier %s", c.what)
		}
	}
}

// begins: what is known must be young when the fence is asked; what is not is read once more.
func (m *model) begins(s scene, i int) {
	p := &s.p[i]
	t := s
	t.p[i].phase, t.p[i].answer = settled, recalled
	m.add(t, "%d takes its claim back, because it is old", i)
	if p.young {
		t = s
		t.p[i].young = false
		m.add(t, "time passes for %d", i)
	} else {
		t = s
		if t.p[i].young = state(s.contact) == duly.Claimed && !s.paid; !t.p[i].young {
			t.p[i].phase, t.p[i].answer = settled, recalled
		}
		m.add(t, "%d reads the claim once more", i)
	}
	if !p.young && !m.m.agedBefore {
		return
	}
	t = s
	leased := p.lease > 0 && (p.lease == p.epoch || m.m.anyLease)
	if (p.stopped || !leased) && !m.m.noFence {
		t.p[i].phase, t.p[i].answer = settled, recalled
		m.add(t, "the fence stops %d", i)
		return
	}
	t.p[i].phase = posting
	t.posts[p.no]++
	m.judgePost(s, p.no)
	m.add(t, "%d begins the POST of try %d", i, p.no)
}

// judgePost says which promise a POST that begins now breaks.
func (m *model) judgePost(s scene, no uint8) {
	switch {
	case s.answered:
		m.wrong = "a POST begins after the payment was answered"
	case s.posts[no] > 0:
		m.wrong = "an attempt is posted twice"
	}
	for n := range s.got {
		if s.got[n] || s.attempt[n] == doubt && uint8(n) != no {
			m.wrong = "a contact is posted again that the carrier has, or may have"
		}
	}
	for i := range s.p {
		if q := s.p[i]; q.phase == posting || q.phase == settled && q.answer == doubt {
			m.wrong = "a contact is posted while another try of it is on its way"
		}
	}
}

// finishes: the answer is stored, in the engine's own words.
func (m *model) finishes(s scene, i int) {
	p := &s.p[i]
	if p.phase != settled {
		return
	}
	t := s
	t.p[i] = process{lease: p.lease}
	a := p.answer
	next := map[uint8]duly.ContactState{taken: duly.Accepted, doubt: duly.InDoubt, refused: duly.Failed, recalled: duly.Planned, retry: duly.Planned}[a]
	if a == retry {
		if a = refused; p.no == triesMax {
			next = duly.Failed
		}
	}
	if was := s.attempt[p.no]; was == open || was == doubt {
		t.attempt[p.no] = a
	}
	switch now := state(s.contact); {
	case now == duly.Claimed:
		m.move(&t, next)
		if a == recalled {
			t.tries--
		}
	case now == duly.InDoubt && s.tries == p.no:
		if next == duly.Planned {
			next = duly.Failed
		}
		if now.CanBecome(next) {
			m.move(&t, next)
		}
	}
	m.add(t, "%d stores its answer: %s", i, state(t.contact))
}

// lapses: a try whose lease ended without an answer. By then what anybody knew of it is old.
func (m *model) lapses(s scene, i int) {
	if s.owner != uint8(i+1) || s.p[i].lease != s.epoch || s.tries == 0 || s.attempt[s.tries] != open {
		return
	}
	t := s
	t.attempt[s.tries] = doubt
	if state(s.contact) == duly.Claimed {
		if m.m.lapseToDue {
			t.attempt[s.tries] = recalled
			m.move(&t, duly.Planned)
		} else {
			m.move(&t, duly.InDoubt)
		}
	}
	age(&t)
	m.add(t, "%d finds the try without an answer: %s", i, state(t.contact))
}

func age(s *scene) {
	for i := range s.p {
		s.p[i].young = false
	}
}

// pays: the payment comes to a process; told once more if that one died before it answered.
func (m *model) pays(s scene, i int) {
	if s.answered || s.told != 0 {
		return
	}
	t := s
	t.told = uint8(i + 1)
	if !s.paid || !m.m.retryAtOnce {
		t.waits = s.p[i].lease == 0 && state(s.contact) == duly.Claimed && !m.m.noWait
		t.p[i].stopped = true
	}
	if t.paid = true; !s.paid && state(s.contact) == duly.Planned {
		m.move(&t, duly.Cancelled)
	}
	m.add(t, "the payment is committed by %d", i)
}

// answers: who had to wait has waited longer than what anybody knows may be old.
func (m *model) answers(s scene) {
	if s.told == 0 {
		return
	}
	t := s
	if t.answered, t.told = true, 0; s.waits {
		age(&t)
	}
	m.add(t, "the payment is answered")
}

func (m *model) arrives(s scene) {
	if s.receipt != 0 {
		return
	}
	for no := range s.got {
		if !s.got[no] {
			continue
		}
		t := s
		t.receipt, t.receiptOf = 1, uint8(no)
		m.add(t, "a receipt of delivery comes")
		t.receiptFailed = true
		m.add(t, "a receipt of failure comes")
	}
}

func (m *model) applies(s scene, i int) {
	if s.receipt != 1 || s.p[i].lease == 0 {
		return
	}
	t := s
	t.receipt = 2
	next, now := duly.Delivered, state(s.contact)
	if s.receiptFailed {
		next = duly.Failed
	}
	if (!s.receiptFailed || s.receiptOf == s.tries) && now.CanBecome(next) && (now != duly.Planned || s.tries > 0) {
		m.move(&t, next)
		if a := &t.attempt[s.receiptOf]; *a == open || *a == doubt {
			*a = taken
		}
	}
	m.add(t, "the receipt is looked at: %s", state(t.contact))
}

// resolves: a person says what became of a try in doubt, rightly or not.
func (m *model) resolves(s scene) {
	if state(s.contact) != duly.InDoubt || s.attempt[s.tries] != doubt {
		return
	}
	for _, to := range []duly.ContactState{duly.Accepted, duly.Failed} {
		t := s
		t.attempt[s.tries] = map[duly.ContactState]uint8{duly.Accepted: taken, duly.Failed: refused}[to]
		m.move(&t, to)
		m.add(t, "a person resolves it: %s", to)
	}
}

// crashes: what was in memory is gone, and a new process stands in its place.
func (m *model) crashes(s scene, i int) {
	if s.crashed || s.epoch == epochMax {
		return
	}
	t := s
	t.crashed, t.p[i] = true, process{}
	if s.told == uint8(i+1) {
		t.told, t.waits = 0, false
	}
	m.add(t, "%d dies", i)
}

// over reports whether nothing more need happen: the contact has come to rest, and so has every try.
func (s *scene) over() bool {
	for i := range s.p {
		if s.p[i].phase != idle {
			return false
		}
	}
	for _, a := range s.attempt {
		if a == open {
			return false
		}
	}
	switch state(s.contact) {
	case duly.Planned, duly.Claimed:
		return false
	case duly.InDoubt:
		return s.attempt[s.tries] == doubt // it is on the list
	default:
		return true
	}
}

// whole returns what is wrong with a scene, or "".
func (s *scene) whole() string {
	if s.p[0].lease > 0 && s.p[1].lease > 0 {
		return "two processes believe that they hold the bucket"
	}
	has := false
	for _, g := range s.got {
		has = has || g
	}
	switch now := state(s.contact); {
	case !s.over():
	case has && (now == duly.Cancelled || now == duly.Blocked):
		return "the carrier has it, and it is on record as never sent"
	case !has && (now == duly.Delivered || now == duly.Read):
		return "it is on record as delivered, and the carrier never had it"
	}
	return ""
}

// explored is a model looked at whole.
type explored struct {
	scenes int
	over   int
	broken string   // the promise that is broken
	story  []string // how, by the shortest way
}

// explore goes through everything that can happen, nearest first, until a promise is broken.
func explore(mut mutations) explored {
	m := &model{m: mut}
	first := scene{contact: index(duly.Planned)}
	from := map[scene]step{first: {}}
	back := map[scene][]scene{}
	var out explored
	tell := func(s scene, last string) (story []string) {
		for ; s != first; s = from[s].to {
			story = append([]string{from[s].what}, story...)
		}
		return append(story, last)
	}
	todo := []scene{first}
	for len(todo) > 0 {
		s := todo[0]
		todo = todo[1:]
		m.wrong = ""
		next := m.next(s)
		for _, n := range next {
			if m.wrong == "" && !mut.postsOnly {
				m.wrong = n.to.whole()
			}
		}
		if m.wrong != "" {
			last := m.blame(s)
			return explored{len(from), out.over, m.wrong, tell(s, last)}
		}
		for _, n := range next {
			back[n.to] = append(back[n.to], s)
			if _, seen := from[n.to]; !seen {
				from[n.to] = step{n.what, s}
				todo = append(todo, n.to)
			}
		}
	}
	// Whatever happens, it can come to rest.
	rest := map[scene]bool{}
	for s := range from {
		if s.over() {
			out.over++
			rest[s] = true
			todo = append(todo, s)
		}
	}
	for len(todo) > 0 {
		s := todo[0]
		todo = todo[1:]
		for _, b := range back[s] {
			if !rest[b] {
				rest[b] = true
				todo = append(todo, b)
			}
		}
	}
	out.scenes = len(from)
	for s := range from {
		if !rest[s] {
			out.broken, out.story = "a contact never comes to rest", tell(s, "for ever")
			break
		}
	}
	return out
}

// blame returns the step out of a scene that breaks the promise.
func (m *model) blame(s scene) string {
	wrong := m.wrong
	for i := range s.p {
		m.wrong, m.out = "", nil
		if s.p[i].phase == claimed {
			m.begins(s, i)
		}
		if m.wrong == wrong {
			return m.out[len(m.out)-1].what
		}
	}
	m.wrong = wrong
	return "and then"
}

func TestModel(t *testing.T) {
	t.Parallel()
	got := explore(mutations{})
	if got.broken != "" {
		t.Fatalf("%s:\n%s", got.broken, strings.Join(got.story, "\n"))
	}
	if got.scenes < 10_000 || got.over < 1000 {
		t.Errorf("only %d scenes, %d of them at rest: the model does not look at what it should", got.scenes, got.over)
	}
	t.Logf("%d scenes, %d of them at rest: no promise is broken", got.scenes, got.over)
}

// Each guard is needed: without it there is a story in which a promise is broken.
func TestModelMutations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m    mutations
		want string
	}{
		"no fence":                        {mutations{noFence: true}, "a POST begins after the payment was answered"},
		"claims by any lease":             {mutations{anyLease: true}, "a POST begins after the payment was answered"},
		"lapsed claims are due again":     {mutations{lapseToDue: true, postsOnly: true}, "a contact is posted"},
		"age is asked before the fence":   {mutations{agedBefore: true}, "a POST begins after the payment was answered"},
		"answers do not wait":             {mutations{noWait: true}, "a POST begins after the payment was answered"},
		"a payment told again is nothing": {mutations{retryAtOnce: true}, "a POST begins after the payment was answered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := explore(c.m)
			if !strings.HasPrefix(got.broken, c.want) {
				t.Fatalf("after %d scenes: got %q, want %q", got.scenes, got.broken, c.want)
			}
			t.Logf("%s:\n  %s", got.broken, strings.Join(got.story, "\n  "))
		})
	}
}

// The lease is compared twice, in the claim's transaction and in the fence: one of them is enough for these promises, and with
// neither there is a story (above).
func TestModelLeaseIsComparedTwice(t *testing.T) {
	t.Parallel()
	if got := explore(mutations{noTenure: true}); got.broken != "" {
		t.Errorf("%s:\n%s", got.broken, strings.Join(got.story, "\n"))
	}
}
