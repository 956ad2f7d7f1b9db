package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/stream"
)

// place tells the engine which buckets the store says that it has.
func (a *App) place(ctx context.Context) error {
	all, err := a.DB.Leases(ctx)
	if err == nil {
		a.Engine.Holding().Placed(&all.Places)
	}
	return err
}

// cellSet is the cells of a configuration: those that open, and why others do not.
type cellSet struct {
	cfg    *Config
	dbs    map[string]*store.DB
	closed map[string]error
}

// openCells opens the stores of all cells, as far as they open. It makes none.
func openCells(ctx context.Context, c *Config, o Options) (*cellSet, error) {
	if !c.Celled() {
		return nil, duly.Errorf(duly.Usage, "the configuration has no cells").WithHint("docs/scale.md, \"Cells behind a log\"")
	}
	s := &cellSet{cfg: c, dbs: map[string]*store.DB{}, closed: map[string]error{}}
	o.Wait, o.Create = false, false
	for _, cell := range c.Cells {
		db, err := open(ctx, cell.Store, o)
		if err != nil {
			s.closed[cell.Name] = err
			continue
		}
		s.dbs[cell.Name] = db
	}
	return s, nil
}

func (s *cellSet) close() error {
	var errs []error
	for _, db := range s.dbs {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

// whole fails where a cell is away.
func (s *cellSet) whole(why string) error {
	for _, name := range slices.Sorted(maps.Keys(s.closed)) {
		return errors.Join(duly.Errorf(duly.Unavailable, "cell %s is away, and %s", name, why).WithHint("is its server up, and was `duly migrate` run?"), s.closed[name])
	}
	return nil
}

// share is what a cell begins with.
func (c *Config) share(cell string) engine.Share {
	one, err := c.Cell(cell)
	if err != nil {
		panic("app.share: " + err.Error()) // its callers go through c.Cells
	}
	return one.Share
}

// SettleCells writes into every cell which buckets it has, where that stands nowhere yet: those that the configuration has it begin
// with, unless another cell has them. From then on the cells' word goes, and `parts` in the configuration is that of the beginning.
func SettleCells(ctx context.Context, c Config, o Options) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := openCells(ctx, &c, o)
	if err != nil {
		return err
	}
	err = s.settle(ctx)
	if err == nil {
		err = s.mend(ctx, o.Log)
	}
	return errors.Join(err, s.close())
}

// mend has cells let go of people who have moved to another since: such a cell was restored from a backup that is older than the
// move. What it has of them is left, for a move to remove.
func (s *cellSet) mend(ctx context.Context, log *slog.Logger) error {
	said := map[string][duly.Buckets]store.Placing{}
	for name, db := range s.dbs {
		all, err := db.Placings(ctx)
		if err != nil {
			return err
		}
		said[name] = all
	}
	stale := map[string]int{}
	for b := range duly.Buckets {
		has, moves := "", int64(-1)
		for name, all := range said {
			if owns(all[b].Place) && all[b].Moves > moves {
				has, moves = name, all[b].Moves
			}
		}
		for name, all := range said {
			if name == has || !owns(all[b].Place) || all[b].Moves == moves {
				continue
			}
			err := s.dbs[name].Rehouse(ctx, b, func(_ *store.Tx, p *store.Placing) error {
				if owns(p.Place) && p.Moves < moves { // still so
					stale[name]++
					*p = store.Placing{Place: store.Left, Moves: moves, Peer: has}
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("cell %s: %w", name, err)
			}
		}
	}
	for name, n := range stale {
		log.Error("a cell had people who have moved to another since; it lets them be. Was it restored from an older backup?", "cell", name, "buckets", n)
	}
	return nil
}

func owns(p store.Place) bool { return p == store.Here || p == store.Leaving || p == store.Sealed }

func (s *cellSet) settle(ctx context.Context) error {
	said := map[string][duly.Buckets]store.Placing{}
	settled := true
	for name, db := range s.dbs {
		all, err := db.Placings(ctx)
		if err != nil {
			return err
		}
		said[name] = all
		settled = settled && !slices.ContainsFunc(all[:], func(p store.Placing) bool { return p.Place == store.Unsaid })
	}
	if settled {
		return nil
	}
	if err := s.whole("nothing has been said yet of who has which part"); err != nil {
		return err
	}
	for _, cell := range s.cfg.Cells {
		share := s.cfg.share(cell.Name)
		err := s.dbs[cell.Name].Settle(ctx, func(b int) store.Place {
			for other, all := range said {
				if p := all[b].Place; other != cell.Name && p != store.Unsaid && p != store.Away {
					return store.Away
				}
			}
			if share.Has(b) {
				return store.Here
			}
			return store.Away
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// moveLeaseMin is how long the run of a move may be silent, at least, before its part works on where it was.
const moveLeaseMin = 5 * time.Second

// MoveParts moves parts to a cell, one after the other, while others work on them; told is called as each goes on. Those that are
// there already it leaves. A run that was cut off is gone on with by the same call.
func MoveParts(ctx context.Context, c Config, o Options, from, to int, cell string, told func(part int, what string)) ([]stream.Moved, error) {
	m, err := planMove(ctx, c, o, from, to, cell)
	if err != nil {
		return nil, err
	}
	return m.run(ctx, told)
}

// partMoves is what is to be moved, and from where.
type partMoves struct {
	cells *cellSet
	mover stream.Mover
	parts []int
	homes []string
}

// planMove finds out what there is to move, and refuses what cannot be.
func planMove(ctx context.Context, c Config, o Options, from, to int, cell string) (*partMoves, error) {
	if from < 0 || from > to || to >= c.Stream.Parts {
		return nil, duly.Errorf(duly.Usage, "there are no such parts: they are 0 to %d", c.Stream.Parts-1).WithHint("`duly cells list` shows them")
	}
	if _, err := c.Cell(cell); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := openCells(ctx, &c, o)
	if err != nil {
		return nil, err
	}
	m := &partMoves{cells: s}
	if err := m.plan(ctx, o.Log, from, to, cell); err != nil {
		return nil, errors.Join(err, s.close())
	}
	m.mover = stream.Mover{
		To: stream.Cell{Name: cell, DB: s.dbs[cell]}, Parts: c.Stream.Parts, Lease: max(moveLeaseMin, 5*time.Duration(c.Node.Lease)/2), Log: o.Log,
		Grace: 3 * time.Duration(c.Node.Lease) / 5, // three beats of a node
	}
	return m, nil
}

func (m *partMoves) plan(ctx context.Context, log *slog.Logger, from, to int, cell string) error {
	if gone := m.cells.closed[cell]; gone != nil {
		return errors.Join(duly.Errorf(duly.Unavailable, "cell %s is away: nothing can be moved to it", cell).WithHint("is its server up, and was `duly migrate` run?"), gone)
	}
	if err := m.cells.settle(ctx); err != nil {
		return err
	}
	if err := m.cells.mend(ctx, log); err != nil {
		return err
	}
	for part := from; part <= to; part++ {
		home, err := m.cells.home(ctx, part, cell)
		if err != nil {
			return err
		}
		if home != cell {
			m.parts, m.homes = append(m.parts, part), append(m.homes, home)
		}
	}
	if len(m.parts) == 0 {
		return duly.Errorf(duly.Refused, "cell %s has it already", cell).WithHint("`duly cells list` shows who has what")
	}
	return nil
}

// run moves what was planned, and closes the cells.
func (m *partMoves) run(ctx context.Context, told func(part int, what string)) (out []stream.Moved, err error) {
	defer func() { err = errors.Join(err, m.cells.close()) }()
	m.mover.Told = told
	for i, part := range m.parts {
		m.mover.From, m.mover.Run = stream.Cell{Name: m.homes[i], DB: m.cells.dbs[m.homes[i]]}, rand.Text()
		moved, err := m.mover.Move(ctx, time.Now, part)
		if err != nil {
			return out, fmt.Errorf("part %d: %w", part, err)
		}
		out = append(out, moved)
	}
	return out, nil
}

// home finds the cell that a part is to be moved from: the one that has any of it, or that an earlier move has not quite left. It is
// the cell itself if all of it is there.
func (s *cellSet) home(ctx context.Context, part int, to string) (string, error) {
	size := duly.Buckets / s.cfg.Stream.Parts
	has, leaves, there := "", "", 0
	for _, name := range slices.Sorted(maps.Keys(s.dbs)) {
		all, err := s.dbs[name].Placings(ctx)
		if err != nil {
			return "", fmt.Errorf("cell %s: %w", name, err)
		}
		for _, p := range all[part*size : (part+1)*size] {
			switch {
			case name == to && p.Place == store.Here:
				there++
			case name == to:
			case p.Place == store.Here, p.Place == store.Leaving, p.Place == store.Sealed:
				has = name
			case p.Place == store.Left && p.Peer == to:
				leaves = name
			}
		}
	}
	switch {
	case has != "":
		return has, nil
	case leaves != "":
		return leaves, nil
	case there == size:
		return to, nil
	}
	if err := s.whole(fmt.Sprintf("part %d may be there", part)); err != nil {
		return "", err
	}
	return "", duly.Errorf(duly.Conflict, "no cell has part %d", part).WithHint("was one of them restored from a backup that is older than a move? See docs/scale.md")
}

// CellsReport says who has which part.
type CellsReport struct {
	Parts  []PartsReport     `json:"parts"`
	Closed map[string]string `json:"closed,omitempty"` // cells that do not open, and why
}

// PartsReport is some neighbouring parts that are alike.
type PartsReport struct {
	From      int            `json:"from"`
	To        int            `json:"to"`
	Cell      string         `json:"cell"` // "" where none has it, or some of it only
	Buckets   int            `json:"buckets"`
	Borrowers int64          `json:"borrowers"`
	Contacts  int64          `json:"contacts"`
	Nodes     map[string]int `json:"nodes"`             // by name: how many of the buckets each leases
	Unowned   int            `json:"buckets_unowned"`   // that nobody works on
	Waiting   *uint64        `json:"waiting,omitempty"` // commands in the log; left out where it does not answer
	Move      string         `json:"move,omitempty"`    // of it that is under way, or what is wrong
}

// ListCells reports who has which part. Where the log does not answer it says nothing of it.
func ListCells(ctx context.Context, c Config, o Options) (r CellsReport, err error) {
	s, err := openCells(ctx, &c, o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var waiting map[int]uint64
	if c.Stream.Embedded == "" {
		if l, stop, err := openLog(ctx, &c, o); err == nil {
			waiting, _ = l.WaitingBy(ctx)
			stop()
		}
	}
	return s.report(ctx, waiting)
}

// cellSight is what one cell says.
type cellSight struct {
	name     string
	share    engine.Share
	at       [duly.Buckets]store.Placing
	leases   store.Leases
	contacts [duly.Buckets]int64
}

func (s *cellSet) report(ctx context.Context, waiting map[int]uint64) (CellsReport, error) {
	var sights []*cellSight
	r := CellsReport{Closed: map[string]string{}}
	for _, cell := range s.cfg.Cells {
		db := s.dbs[cell.Name]
		if db == nil {
			r.Closed[cell.Name] = "does not open"
			if e, ok := errors.AsType[*duly.Error](s.closed[cell.Name]); ok {
				r.Closed[cell.Name] = e.Message
			}
			continue
		}
		c := &cellSight{name: cell.Name, share: s.cfg.share(cell.Name)}
		var err error
		if c.at, err = db.Placings(ctx); err == nil {
			if c.leases, err = db.Leases(ctx); err == nil {
				c.contacts, err = db.CountRows(ctx)
			}
		}
		if err != nil {
			return r, fmt.Errorf("cell %s: %w", cell.Name, err)
		}
		sights = append(sights, c)
	}
	for part := range s.cfg.Stream.Parts {
		p := partReport(part, duly.Buckets/s.cfg.Stream.Parts, sights)
		if waiting != nil {
			n := waiting[part]
			p.Waiting = &n
		}
		if n := len(r.Parts); n > 0 && r.Parts[n-1].Cell == p.Cell && r.Parts[n-1].Move == "" && p.Move == "" {
			r.Parts[n-1].add(&p)
			continue
		}
		r.Parts = append(r.Parts, p)
	}
	return r, nil
}

func (p *PartsReport) add(o *PartsReport) {
	p.To = o.To
	p.Buckets += o.Buckets
	p.Borrowers += o.Borrowers
	p.Contacts += o.Contacts
	p.Unowned += o.Unowned
	for name, n := range o.Nodes {
		p.Nodes[name] += n
	}
	if p.Waiting != nil && o.Waiting != nil {
		n := *p.Waiting + *o.Waiting
		p.Waiting = &n
	}
}

// partReport makes of what the cells say of a part's buckets what is so.
func partReport(part, size int, cells []*cellSight) PartsReport {
	p := PartsReport{From: part, To: part, Buckets: size, Nodes: map[string]int{}}
	owners := map[string]int{}
	for b := part * size; b < (part+1)*size; b++ {
		has := 0
		for _, c := range cells {
			at := &c.at[b]
			switch at.Place {
			case store.Leaving, store.Sealed, store.Left:
				p.moving(c.name, at)
			case store.Unsaid, store.Here, store.Away, store.Coming, store.Ready:
			}
			if !owns(at.Place) && (at.Place != store.Unsaid || !c.share.Has(b)) {
				continue
			}
			has++
			owners[c.name]++
			p.Borrowers += at.People
			p.Contacts += c.contacts[b]
			if n := c.leases.Node(c.leases.Buckets[b].Owner); n != nil && !c.leases.Free(b) && c.leases.UnownedSince(b).IsZero() {
				p.Nodes[n.Name]++
			} else {
				p.Unowned++
			}
		}
		if has > 1 {
			p.Move = "two cells say that they have it: see docs/scale.md"
		}
	}
	if len(owners) == 1 {
		for name, n := range owners {
			if n == size {
				p.Cell = name
			}
		}
	}
	if p.Cell == "" && p.Move == "" && len(owners) > 0 {
		p.Move = "some of it is in another cell: its move was cut off, run it again"
	}
	return p
}

// moving says how a move stands.
func (p *PartsReport) moving(from string, at *store.Placing) {
	if p.Move != "" {
		return
	}
	p.Move = from + " to " + at.Peer
	switch {
	case at.Mover == "" || !at.Until.After(at.Now):
		p.Move += ", cut off: run it again"
	case at.Place == store.Leaving:
		p.Move += ": waits for messages under way"
	case at.Place == store.Sealed:
		p.Move += ": is copied"
	default:
		p.Move += ": what is left is removed"
	}
}
