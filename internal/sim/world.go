package sim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// world is a trial under way: the true time, the processes, the people and banks, the carrier, and what is known of all.
type world struct {
	Trial
	*law
	ctx      context.Context
	dsn      string
	loc      *time.Location
	start    civil.Date
	end      time.Time // of the trouble; some quiet days follow
	now      time.Time // the true time, that nobody reads
	shared   bool      // two processes over one store
	procs    []*process
	eye      *store.DB // through which the world looks at the store
	policy   *policy   // the one that is published
	policies map[string]*policy
	post     *post
	ledger   *ledger
	residents
	r         chances
	events    []Event
	next      int
	pending   []*delivery // facts that nobody has answered for
	sending   *delivery   // what is being applied
	telling   []duly.Receipt
	outages   []span
	publish   []time.Time
	feed      time.Time // up to when the bank has told everything
	feedGap   span
	made      int // ids of nodes
	serials   int
	nested    bool
	calmed    bool         // the trouble is over
	touched   map[int]bool // buckets that were written to since they were looked at
	moneyed   map[duly.BorrowerID]bool
	lastWrite map[int]time.Time      // by bucket: the latest instant of those that wrote there
	behind    map[int]time.Time      // and of the last that was behind it
	sent      map[int64]map[int]bool // by instant: buckets that a dispatch wrote to
	chains    map[int]*audit.Chain
	planned   map[civil.Date]bool // days on which somebody planned
	sick      map[civil.Date]bool // days on which somebody's process was not well
	expected  map[duly.BorrowerID]itemKey
	today     civil.Date
	sum       hash.Hash
	count     Count
	breach    *Breach
	story     []string
}

// residents is who lives in which bucket.
type residents struct{ byBucket map[int][]duly.BorrowerID }

// chances are the sources of chance, one for each kind of trouble.
type chances struct{ crash, flight, receipts, nodes, clock, way, gap, import_ *rand.Rand }

// span is a stretch of time, its end not included.
type span struct{ from, to time.Time }

func (s span) has(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

// delivery is facts that somebody tells until they are answered for.
type delivery struct{ facts []duly.Fact }

// lenders are where the lender is: whose days the strategy's are.
var lenders = []string{"Asia/Shanghai", "Asia/Shanghai", "Asia/Shanghai", "Europe/London", "America/New_York"}

func newWorld(ctx context.Context, t Trial, l *law, dsn string) (*world, error) {
	w := &world{
		Trial: t, law: l, ctx: ctx, dsn: dsn, ledger: newLedger(), policies: map[string]*policy{}, touched: map[int]bool{}, moneyed: map[duly.BorrowerID]bool{},
		lastWrite: map[int]time.Time{}, behind: map[int]time.Time{}, sent: map[int64]map[int]bool{}, chains: map[int]*audit.Chain{}, planned: map[civil.Date]bool{},
		sick: map[civil.Date]bool{}, sum: sha256.New(), residents: residents{map[int][]duly.BorrowerID{}},
	}
	w.r = chances{t.stream("crash", 0), t.stream("flight", 0), t.stream("receipts", 0), t.stream("nodes", 0), t.stream("clock", 0), t.stream("way", 0), t.stream("gap", 0), t.stream("import", 1)}
	r := t.stream("world", 0)
	w.start = []civil.Date{civil.On(2026, 3, 2), civil.On(2026, 9, 21)}[r.IntN(2)]
	zone := lenders[r.IntN(len(lenders))]
	if !t.Faults.has(FaultZones) {
		zone = "Asia/Shanghai"
	}
	if calendar := r.IntN(3) == 0; calendar && t.Faults.has(FaultCalendar) {
		w.start = civil.On(2027, 1, 1).Add(-max(1, t.Days/2))
	}
	shared := r.IntN(3) == 0
	w.shared = shared && t.Faults.has(FaultNodes)
	var err error
	if w.loc, err = time.LoadLocation(zone); err != nil {
		return nil, err
	}
	if err := w.populate(); err != nil {
		return nil, err
	}
	w.now = w.start.At(1, w.loc).UTC()
	w.end = w.start.Add(t.Days).At(0, w.loc).UTC()
	w.schedule(r)
	if w.post, err = newPost(w); err != nil {
		return nil, err
	}
	if err := w.newPolicy(); err != nil {
		return nil, err
	}
	if w.eye, err = store.Open(ctx, dsn); err != nil {
		return nil, err
	}
	n := 1
	if w.shared {
		n = 2
	}
	for i := range n {
		p := &process{w: w, name: string(rune('A' + i))}
		if w.Faults.has(FaultClock) {
			p.skew = time.Duration(w.r.clock.IntN(121)-60) * time.Second
		}
		w.procs = append(w.procs, p)
	}
	return w, nil
}

// populate makes the people, and what they will do.
func (w *world) populate() error {
	o := Options{Seed: w.Seed, Borrowers: w.Borrowers, Start: w.start, Days: w.Days, Location: w.loc}
	book, err := NewBook(o)
	if err != nil {
		return err
	}
	p := &people{t: &w.Trial, book: book, loc: w.loc, start: w.start}
	p.unsettle()
	p.live(o)
	stranger := func(id duly.BorrowerID) bool { return w.Only != "" && id != w.Only }
	for _, b := range book.Borrowers {
		if stranger(b.ID) {
			continue
		}
		w.byBucket[b.ID.Bucket()] = append(w.byBucket[b.ID.Bucket()], b.ID)
	}
	facts := slices.DeleteFunc(book.Facts(), func(f duly.Fact) bool { return stranger(f.Owner()) })
	if len(facts) == 0 {
		return duly.Errorf(duly.NotFound, "nobody of this world has that id").WithHint("its borrowers are D000001 to D%06d", w.Borrowers)
	}
	if w.Faults.has(FaultImport) {
		w.r.import_.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
	}
	for part := range slices.Chunk(facts, max(50, len(facts)/4)) {
		w.pending = append(w.pending, &delivery{facts: part})
	}
	end := w.start.Add(w.Days).At(0, w.loc).UTC()
	w.events = slices.DeleteFunc(p.events, func(e Event) bool { return !e.At.Before(end) || stranger(e.Fact.Owner()) })
	return nil
}

// schedule draws the outages, the days on which something is published, and the hours in which the bank says nothing.
func (w *world) schedule(r *rand.Rand) {
	at := func(r *rand.Rand) time.Time { return w.now.Add(time.Duration(r.IntN(w.Days*24*60)) * time.Minute) }
	if w.Faults.has(FaultOutage) {
		r := w.stream("outage", 0)
		for range 1 + w.Days/40 {
			from, long := at(r), time.Duration(1+r.IntN(30))*time.Hour
			if r.IntN(2) == 0 {
				long = time.Duration(24+r.IntN(9*24)) * time.Hour
			}
			w.outages = append(w.outages, span{from, from.Add(long)})
		}
	}
	if w.Faults.has(FaultPublish) {
		r := w.stream("publish", 0)
		for range 1 + w.Days/40 {
			w.publish = append(w.publish, w.start.Add(r.IntN(w.Days)).At(civil.Clock(9*60+r.IntN(9*60)), w.loc).UTC())
		}
		slices.SortFunc(w.publish, time.Time.Compare)
	}
	if w.Faults.has(FaultFeed) {
		from := at(w.stream("feed", 0))
		w.feedGap = span{from, from.Add(9 * time.Hour)}
	}
}

func (w *world) newPolicy() error {
	p, err := newPolicy(w.stream("policy", len(w.policies)), len(w.policies), w.packs, nil)
	if err != nil {
		return err
	}
	w.policy = p
	w.policies[p.strategy.Hash] = p
	w.count.Published++
	return nil
}

func (w *world) close() {
	for _, p := range w.procs {
		if p.db != nil {
			p.db.Close()
		}
	}
	if w.eye != nil {
		w.eye.Close()
	}
}

func (w *world) serial() int { w.serials++; return w.serials }

// quietDays follow the trouble: by their end everything is accounted for. Between two instants lie gapMin to gapMin+gapMore
// minutes.
const (
	quietDays = 3
	gapMin    = 55
	gapMore   = 95
)

// run lets the days pass. It stops at the first promise that is broken.
func (w *world) run() error {
	quiet := w.end.Add(quietDays * 24 * time.Hour)
	for w.now.Before(quiet) && w.breach == nil {
		if err := w.ctx.Err(); err != nil {
			return context.Cause(w.ctx)
		}
		if w.now.After(w.end) && !w.calmed {
			w.calm()
		}
		if err := w.instant(); err != nil {
			return err
		}
		w.pass(time.Duration(gapMin+w.r.gap.IntN(gapMore)) * time.Minute)
	}
	if err := w.finish(); err != nil || w.breach != nil {
		return err
	}
	return w.settle()
}

// finish has every process take in what it was told of last.
func (w *world) finish() error {
	if w.breach != nil {
		return nil
	}
	if err := w.bring(); err != nil {
		return err
	}
	for _, p := range w.procs {
		if p.db == nil {
			continue
		}
		if _, err := p.do(func() error { return p.beat(w.ctx) }); err != nil {
			return err
		}
		if err := w.step(p); err != nil {
			return err
		}
	}
	return w.look()
}

// calm ends all trouble but that which has begun.
func (w *world) calm() {
	w.calmed, w.Faults, w.outages, w.publish, w.feedGap = true, 0, nil, nil, span{}
	for _, p := range w.procs {
		p.skew, p.jump, p.frozen, p.calm, p.back = 0, 0, 0, 0, w.now
	}
}

// pass lets true time go by.
func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

// instant is one moment at which everybody does what is due.
func (w *world) instant() error {
	w.turn()
	if err := w.fate(); err != nil {
		return err
	}
	for _, p := range w.procs {
		if p.db != nil && p.frozen == 0 {
			if _, err := p.do(func() error { return p.beat(w.ctx) }); err != nil {
				return fmt.Errorf("beat of %s: %w", p.name, err)
			}
		}
	}
	early := w.r.gap.IntN(3) == 0 // a process may step before it is told of anything
	if !early {
		if err := w.bring(); err != nil {
			return err
		}
	}
	order := w.r.gap.Perm(len(w.procs))
	for _, i := range order {
		if err := w.step(w.procs[i]); err != nil {
			return err
		}
	}
	if early {
		if err := w.bring(); err != nil {
			return err
		}
	}
	return w.look()
}

// turn begins another day of the lender's, if it is one.
func (w *world) turn() {
	day := civil.In(w.now, w.loc)
	if day == w.today {
		return
	}
	w.nobodyForgotten()
	w.today = day
	w.count.Days = max(w.count.Days, day.Sub(w.start)+1)
	w.expect()
}

// ill notes that today somebody's process was not well.
func (w *world) ill() {
	day := civil.In(w.now, w.loc)
	w.sick[day], w.sick[day.Add(1)] = true, true
}

// fate does to the processes what is to be done to them at this moment.
func (w *world) fate() error {
	for _, o := range w.outages {
		if !o.has(w.now) {
			continue
		}
		for _, p := range w.procs {
			if p.db != nil {
				w.count.Outages++
				w.tell("", "outage until %s", w.show(o.to))
				p.kill(o.to)
			}
			if p.back.Before(o.to) {
				p.back = o.to
			}
		}
	}
	if len(w.publish) > 0 && !w.now.Before(w.publish[0]) {
		w.publish = w.publish[1:]
		if err := w.newPolicy(); err != nil {
			return err
		}
		w.tell("", "policy %d is published", w.policy.no)
		for _, p := range w.procs {
			p.kill(w.now.Add(time.Duration(w.r.way.IntN(60)) * time.Minute)) // restarted with it, one after the other
		}
	}
	for _, p := range w.procs {
		if p.db == nil {
			w.ill()
		}
		if p.db == nil && !w.now.Before(p.back) {
			if err := p.start(w.ctx); err != nil {
				return fmt.Errorf("start of %s: %w", p.name, err)
			}
			w.tell("", "%s starts with policy %d", p.name, p.policy.no)
		}
		if p.calm--; p.calm == 0 {
			p.jump, p.frozen = 0, 0
		}
		if p.calm > 0 {
			w.ill()
			continue
		}
		w.disturb(p)
	}
	return nil
}

// disturb lets a clock jump, or a machine stand still.
func (w *world) disturb(p *process) {
	if w.Faults.has(FaultClock) && w.r.clock.IntN(150) == 0 {
		p.jump, p.calm = time.Duration(w.r.clock.IntN(28*60)-26*60)*time.Minute, 1+w.r.clock.IntN(5)
		w.count.Jumps++
		w.ill()
		w.tell("", "the clock of %s jumps by %s", p.name, p.jump)
	}
	if w.shared && w.Faults.has(FaultNodes) && w.r.nodes.IntN(40) == 0 && p.db != nil && !p.heard.IsZero() {
		// The machine stood still since its last beat, for longer than its lease, while the others went on. It wakes with the
		// clocks that it had.
		p.frozen, p.calm = nodeLease+time.Hour, 2
		if w.r.nodes.IntN(2) == 0 {
			p.jump = -p.frozen
		}
		w.count.Pauses++
		w.ill()
		w.tell("", "%s stands still", p.name)
		w.pass(p.frozen)
		w.others(p)
	}
}

// others lets all processes but one live on for a moment.
func (w *world) others(than *process) {
	for _, p := range w.procs {
		if p == than || p.db == nil || p.frozen > 0 {
			continue
		}
		for range 2 { // one ends who is silent, the next takes what is free
			if _, err := p.do(func() error { return p.beat(w.ctx) }); err != nil {
				w.fail(err)
			}
		}
		if err := w.step(p); err != nil {
			w.fail(err)
		}
	}
}

// step steps one process until there is nothing more to do at this moment.
func (w *world) step(p *process) error {
	if p.db == nil {
		return nil
	}
	if p.depth > 0 {
		return nil // it is in the middle of a step already
	}
	if w.Faults.has(FaultCrash) {
		p.doom = w.drawDoom()
	}
	died, err := p.do(func() error {
		for range stepsMax {
			r, err := p.e.Step(w.ctx, p.clock())
			if err != nil {
				return err
			}
			w.count.Steps++
			w.closes(&r)
			if !r.More {
				return nil
			}
		}
		return fmt.Errorf("there is always more to do")
	})
	p.doom = doom{}
	switch {
	case err != nil:
		return fmt.Errorf("step of %s at %s: %w", p.name, w.show(w.now), err)
	case died:
		w.ill()
	}
	return nil
}

// stepsMax bounds the steps of one moment: a step that always has more to do does not end.
const stepsMax = 200

// drawDoom draws where a process dies in the step to come: mostly nowhere.
func (w *world) drawDoom() doom {
	r := w.r.crash
	if r.IntN(100) >= 5 {
		return doom{}
	}
	switch r.IntN(8) {
	case 0, 1:
		points := []engine.Point{engine.PointReceive, engine.PointPlan, engine.PointDispatch, engine.PointMeasure, engine.PointDone, engine.PointAnswer}
		return doom{how: "point", point: points[r.IntN(len(points))]}
	case 2:
		return doom{how: "point", point: engine.PointSend, left: r.IntN(4)}
	case 3:
		return doom{how: "untaken", left: r.IntN(4)}
	case 4:
		return doom{how: "taken", left: r.IntN(4)}
	case 5:
		return doom{how: "commit", left: r.IntN(6)}
	}
	return doom{how: "write", left: r.IntN(30)}
}

// anyone returns a process that lives, or nil.
func (w *world) anyone(r *rand.Rand) *process {
	n := r.IntN(len(w.procs))
	for i := range w.procs {
		if p := w.procs[(n+i)%len(w.procs)]; p.db != nil {
			return p
		}
	}
	return nil
}

// bring tells the processes what came to be known: facts, receipts, how far the bank has told.
func (w *world) bring() error {
	var due []duly.Fact
	for w.next < len(w.events) && !w.events[w.next].At.After(w.now) {
		due = append(due, w.events[w.next].Fact)
		w.next++
	}
	for part := range slices.Chunk(due, max(1, len(due)/2)) {
		w.pending = append(w.pending, &delivery{facts: part})
	}
	for i := 0; i < len(w.pending); {
		p := w.anyone(w.r.way)
		if p == nil {
			return nil
		}
		if w.Faults.has(FaultCrash) && w.r.crash.IntN(60) == 0 {
			p.doom = []doom{{how: "write", left: w.r.crash.IntN(8)}, {how: "commit"}}[w.r.crash.IntN(2)]
		}
		acked, err := w.deliver(p, w.pending[i])
		p.doom = doom{}
		if err != nil {
			return err
		}
		switch {
		case acked && len(w.pending[i].facts) == 0:
			w.pending = slices.Delete(w.pending, i, i+1)
		case acked:
			i++ // some were refused for what is not known yet: they are told again
		}
	}
	if err := w.callBacks(); err != nil {
		return err
	}
	if p := w.anyone(w.r.way); p != nil && len(w.pending) == 0 && !w.feedGap.has(w.now) {
		through := w.now
		if c := p.clock(); c.Before(through) {
			through = c
		}
		if _, err := p.do(func() error { return p.e.FeedThrough(w.ctx, p.clock(), engine.FeedPayments, through) }); err != nil {
			return err
		}
		if through.After(w.feed) {
			w.feed = through
		}
	}
	return nil
}

// deliver tells a process of facts, and reports whether it answered. Those that it refused are left.
func (w *world) deliver(p *process, d *delivery) (acked bool, err error) {
	w.sending = d
	defer func() { w.sending = nil }()
	var a engine.Applied
	died, err := p.do(func() (err error) {
		a, err = p.e.Apply(w.ctx, p.clock(), "sim", slices.Clone(d.facts))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("facts at %s: %w", w.show(w.now), err)
	}
	if died {
		w.ill()
		return false, nil
	}
	var refused []duly.Fact
	for i, f := range d.facts {
		if a.Results[i].Refused() {
			refused = append(refused, f)
		}
	}
	d.facts = refused
	return true, nil
}

// callBacks tells the receipts that are due.
func (w *world) callBacks() error {
	n := 0
	for n < len(w.post.coming) && !w.post.coming[n].due.After(w.now) {
		n++
	}
	if n == 0 {
		return nil
	}
	p := w.anyone(w.r.way)
	if p == nil {
		return nil
	}
	batch := make([]duly.Receipt, n)
	for i := range n {
		batch[i] = w.post.coming[i].receipt
	}
	if w.Faults.has(FaultCrash) && w.r.crash.IntN(60) == 0 {
		p.doom = doom{how: "commit"}
	}
	acked := w.callBack(p, batch)
	p.doom = doom{}
	if acked {
		w.post.coming = slices.Delete(w.post.coming, 0, n)
	}
	return nil
}

// callBack tells a process of receipts, and reports whether it answered. One that goes by the carrier's reference alone is parked while
// the reference is not known, in a commit that no bucket is part of, and may be traced at any time from then on: it counts as told
// from here. Where the process dies before it has parked it, nothing can come of it, and it is told again.
func (w *world) callBack(p *process, receipts []duly.Receipt) bool {
	w.telling = receipts
	defer func() { w.telling = nil }()
	for _, rc := range receipts {
		if rc.AttemptID == "" {
			w.told(duly.AttemptID(rc.ProviderID), rc.Status, false)
		}
	}
	var r engine.ReceiveReport
	died, err := p.do(func() error { return p.e.Accept(w.ctx, p.clock(), slices.Clone(receipts), &r) })
	if err != nil {
		w.fail(fmt.Errorf("receipts at %s: %w", w.show(w.now), err))
	}
	w.count.Receipts += r.Receipts
	return !died
}

// committed notes what became durable, as the store tells of it.
func (w *world) committed(now time.Time, held, changed []int) {
	for _, b := range changed {
		w.touched[b] = true
		if last, ok := w.lastWrite[b]; ok && now.Before(last) {
			w.behind[b] = now
		} else {
			w.lastWrite[b] = now
		}
	}
	if d := w.sending; d != nil {
		w.sending = nil
		for _, f := range w.ledger.commit(d.facts) {
			w.count.Facts++
			w.moneyed[f.Owner()] = true
			w.tell(f.Owner(), "known: %s", describe(f))
		}
	}
	for _, rc := range w.telling {
		if b, ok := rc.AttemptID.Bucket(); ok && slices.Contains(held, b) {
			w.told(rc.AttemptID, rc.Status, true)
		}
	}
}

// dispatched notes the buckets that a dispatch wrote to at an instant.
func (w *world) dispatched(now time.Time, changed []int) {
	at := now.UnixMicro()
	for _, b := range changed {
		if w.sent[at] == nil {
			w.sent[at] = map[int]bool{}
		}
		w.sent[at][b] = true
	}
}

// fail stops the run because of something that must not happen in any world.
func (w *world) fail(err error) {
	w.broke(&Breach{Violation: Violation{Promise: "nothing fails", Story: err.Error()}, At: w.now})
}

// broke notes a promise that was broken, if it is the first.
func (w *world) broke(b *Breach) {
	if w.breach == nil {
		w.breach = b
		w.tell(b.Borrower, "BROKEN %s: %s", b.Promise, b.Story)
	}
}

// tell adds to the story, of a borrower or with "" of all.
func (w *world) tell(b duly.BorrowerID, format string, args ...any) {
	if w.Tell == "" || b != "" && b != w.Tell {
		return
	}
	w.story = append(w.story, w.show(w.now)+"  "+fmt.Sprintf(format, args...))
}

// show writes an instant by the lender's clock.
func (w *world) show(t time.Time) string { return t.In(w.loc).Format("2006-01-02 Mon 15:04:05") }

func (w *world) hash() string { return hex.EncodeToString(w.sum.Sum(nil)[:16]) }
