package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/fault"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/internal/store"
)

// ImportOptions say how a file is imported. Problem and Progress are called one at a time, though not by the goroutine
// that calls Read.Progress.
type ImportOptions struct {
	Mapping   *ingest.Mapping
	Read      ingest.Options
	AsOf      time.Time            // the version of facts that have none, and how far a payment feed reaches; zero: now
	CheckOnly bool                 // read and check every row, write nothing
	Problem   func(ingest.Problem) // told of every bad row, in order
	Progress  func(ImportReport)   // told after every window
	Way       Way                  // how facts reach the stores that they belong to; nil: this engine's, at once
}

// Way is how facts reach the stores that they belong to, where that is not the one that is open.
type Way interface {
	// Apply returns when the facts are applied, in every store. An error may leave some applied and others not: to apply them
	// again changes nothing about those that are.
	Apply(ctx context.Context, now time.Time, actor string, facts []duly.Fact, bulk bool) (Applied, error)
	// FeedThrough tells every store that everything of a feed up to an instant is known.
	FeedThrough(ctx context.Context, now time.Time, feed string, through time.Time) error
}

// ImportReport counts what an import did. It closes: Rows = Skipped + Good + Bad, by row of the file.
type ImportReport struct {
	File     string
	Hash     string
	Rows     int64 // rows of data read, without headers
	Skipped  int64 // of these, applied by an earlier run of the same file
	Good     int64 // rows whose facts are all known now
	Bad      int64 // rows refused and reported
	Facts    int64
	Added    int64
	Changed  int64
	Same     int64
	Stale    int64 // older than what is known
	Settled  int64
	Stopped  int64
	Already  bool // the same file was imported whole before, with the same mapping: nothing was done
	Complete bool
	FeedHeld bool // rows of payments were left out, so the payment feed was not moved
}

// Import reads a file into the store. A file of up to 25,000 rows is applied whole or not at all. A larger one is sorted by
// the buckets of its people, in windows of up to 250,000 rows, and applied in chunks of neighbouring buckets: each chunk whole
// or not at all, and how far the file has been read is recorded after each window. A run that was cut off goes on at the
// window in which it stopped; what of that was applied is found to be known. A file that was imported whole is not read again.
// Rows that are wrong are told to opt.Problem and left out; they stop nothing.
func (e *Engine) Import(ctx context.Context, now time.Time, path string, opt ImportOptions) (ImportReport, error) {
	hash, _, err := ingest.Hash(path)
	if err != nil {
		return ImportReport{}, err
	}
	im := &importer{e: e, now: now, opt: opt, report: ImportReport{File: path, Hash: hash}}
	im.version = now.UnixMicro()
	if opt.AsOf.After(now) {
		return im.report, duly.Errorf(duly.Usage, "the file is said to be complete up to a time that has not come").WithHint("check --as-of")
	}
	if !opt.AsOf.IsZero() {
		im.version = opt.AsOf.UnixMicro()
	}
	if !opt.CheckOnly {
		known, err := e.db.FindImport(ctx, hash, opt.Mapping.Hash)
		if err != nil {
			return im.report, err
		}
		if known.Complete {
			im.report.Already, im.report.Rows, im.report.Skipped, im.report.Complete = true, known.Rows, known.Rows, true
			return im.report, nil
		}
		im.resume(known)
	}
	if err := im.run(ctx, path); err != nil {
		return im.report, err
	}
	im.report.Complete = im.refusedAt == 0
	return im.report, nil
}

// importer gathers rows into windows, and applies one while it reads the next.
type importer struct {
	e       *Engine
	now     time.Time
	opt     ImportOptions
	version int64
	skip    int64
	feed    time.Time // the latest arrival among payments read
	rows    int       // that the window being read may keep
	full    chan *window
	spare   chan *window
	report  ImportReport // of the applier alone, and so is what follows
	// refusedAt is the first row that the store refused because of what else is known, which may change: the file is
	// not done, and another run starts there. 0: none.
	refusedAt int64
	badBefore bool // among the rows that an earlier run went through is one that was wrong
	begun     bool // the version is on record
	elsewhere bool // see Applied
	mu        sync.Mutex
}

func (im *importer) resume(known store.Import) {
	im.skip = known.Rows
	if known.Version != 0 && im.opt.AsOf.IsZero() {
		im.version = known.Version // the same version as what is already in
	}
}

// run reads the file in this goroutine and applies it in another, which is at most a window behind.
func (im *importer) run(ctx context.Context, path string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	windows := []*window{{}, {}}
	im.full, im.spare, im.rows = make(chan *window), make(chan *window, len(windows)), importChunkRows
	defer func() {
		for _, w := range windows {
			w.close()
		}
	}()
	im.spare <- windows[1]
	done := make(chan error, 1)
	go func() {
		var err error
		for w := range im.full {
			if err == nil {
				if err = im.apply(ctx, w); err != nil {
					cancel(err)
				}
			}
			w.reset()
			im.spare <- w
		}
		done <- err
	}()
	w := windows[0]
	readErr := ingest.Read(ctx, path, im.opt.Mapping, im.opt.Read, func(row ingest.Row) (err error) { w, err = im.add(ctx, w, &row); return err })
	if readErr == nil {
		w.last = true
		w, readErr = im.hand(ctx, w)
	}
	close(im.full)
	if err := <-done; err != nil {
		return err
	}
	if readErr != nil { // what was read and not applied is still told of
		im.tally(w)
		im.tell(w)
	}
	return readErr
}

// add takes a row into the window that is being read, and returns the one for the next row.
func (im *importer) add(ctx context.Context, w *window, row *ingest.Row) (*window, error) {
	w.read++
	switch {
	case row.Row <= im.skip:
		w.skipped++
		w.badBefore = w.badBefore || len(row.Problems) > 0
	case len(row.Problems) > 0:
		w.bad++
		for _, p := range row.Problems {
			w.problems = append(w.problems, rowProblem{row.Row, p})
		}
	default:
		for _, f := range row.Facts {
			setVersion(f, im.version)
			if p, ok := f.(*duly.Payment); ok && p.ArrivedAt.After(im.feed) {
				im.feed = p.ArrivedAt
			}
		}
		if im.opt.CheckOnly {
			w.good++
			w.facts += len(row.Facts)
			break
		}
		urgentCases(row.Facts)
		if err := w.put(row); err != nil {
			return w, err
		}
	}
	if w.good < im.rows && w.bad < importChunkRows {
		return w, nil
	}
	return im.hand(ctx, w)
}

// hand gives a window to the applier, and returns the next one. The first is small, so that there is something to apply soon.
func (im *importer) hand(ctx context.Context, w *window) (*window, error) {
	w.feed = im.feed
	im.rows = min(2*im.rows, importWindowRows)
	select {
	case im.full <- w:
	case <-ctx.Done():
		return w, context.Cause(ctx)
	}
	return <-im.spare, nil
}

// tell tells of what is wrong with the rows of a window, in the order of the file.
func (im *importer) tell(w *window) {
	if im.opt.Problem == nil {
		return
	}
	slices.SortStableFunc(w.problems, func(a, b rowProblem) int { return cmp.Compare(a.row, b.row) })
	for _, p := range w.problems {
		im.opt.Problem(p.Problem)
	}
}

// tally counts what was read, and the rows that were wrong as they were read.
func (im *importer) tally(w *window) {
	im.report.Rows += w.read
	im.report.Skipped += w.skipped
	im.report.Bad += w.bad
	im.badBefore = im.badBefore || w.badBefore
}

// apply applies a window.
func (im *importer) apply(ctx context.Context, w *window) error {
	before := im.report.Rows
	im.tally(w)
	defer im.tell(w)
	if im.opt.CheckOnly {
		im.report.Good += int64(w.good)
		im.report.Facts += int64(w.facts)
		return nil
	}
	if err := im.applyParts(ctx, w); err != nil {
		return fmt.Errorf("apply rows %d to %d: %w", before+1, im.report.Rows, err)
	}
	im.report.FeedHeld = im.report.FeedHeld || w.last && im.refusedAt > 0 && !w.feed.IsZero()
	if im.opt.Progress != nil {
		im.opt.Progress(im.report)
	}
	return nil
}

// applyParts applies the parts of a window. If they are one chunk it is applied together with how far the file has been read.
// Otherwise a run that begins anew must give the same version to what has none, so that is on record first; then chunks of
// different buckets are applied in any order; then what nobody is known to own, for its loans may be among the others; and
// then how far the file has been read.
func (im *importer) applyParts(ctx context.Context, w *window) error {
	groups, rest := w.groups(importGroupRows), []*part{&w.parts[windowParts]}
	owned := w.good - rest[0].rows
	if im.opt.Way == nil && w.good <= importChunkRows && (owned == 0 || owned == w.good) {
		var all []*part
		for i := range w.parts {
			all = append(all, &w.parts[i])
		}
		applied := false
		err := w.chunks(all, importChunkRows, func(c *chunk) error { applied = true; return im.applyChunk(ctx, w, c, true) })
		if err != nil || applied {
			return err
		}
		return im.finish(ctx, w)
	}
	if !im.begun {
		im.begun = true
		begin := store.Import{Hash: im.report.Hash, Mapping: im.opt.Mapping.Hash, Rows: im.skip, Version: im.version}
		if err := im.e.db.Update(ctx, im.now, nil, func(tx *store.Tx) error { return tx.PutImport(begin) }); err != nil {
			return err
		}
	}
	if err := im.applyGroups(ctx, w, groups); err != nil {
		return err
	}
	if err := w.chunks(rest, importChunkRows, func(c *chunk) error { return im.applyChunk(ctx, w, c, false) }); err != nil {
		return err
	}
	return im.finish(ctx, w)
}

// importWorkers is how many chunks are applied at a time: one is made ready while the other is written, and a server writes
// both.
const importWorkers = 2

func (im *importer) applyGroups(ctx context.Context, w *window, groups [][]*part) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan []*part, len(groups))
	for _, g := range groups {
		todo <- g
	}
	close(todo)
	var wg sync.WaitGroup
	for range min(importWorkers, len(groups)) {
		wg.Go(func() {
			for g := range todo {
				err := w.chunks(g, importChunkRows, func(c *chunk) error { return im.applyChunk(ctx, w, c, false) })
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// applyChunk applies a chunk; one that is all of its window together with how far the file has been read.
func (im *importer) applyChunk(ctx context.Context, w *window, c *chunk, all bool) error {
	if im.opt.Way != nil {
		applied, err := im.opt.Way.Apply(ctx, im.now, im.actor(), c.facts, true)
		if err == nil {
			im.done(w, c, applied)
		}
		return err
	}
	p, err := im.e.chunkParcel(ctx, c)
	if err == nil {
		err = im.e.foreign(p.Buckets())
	}
	if err != nil {
		return err
	}
	var applied Applied
	update := im.e.db.UpdatePart
	if all {
		update = im.e.db.Update
	}
	err = update(ctx, im.now, p.Buckets(), func(tx *store.Tx) error {
		var err error
		if applied, err = im.e.applyParcel(tx, im.actor(), p, false); err == nil && all {
			err = im.record(tx, w, im.firstRefused(c, applied))
		}
		fault.At(fault.ImportUncommitted)
		return err
	})
	fault.At(fault.ImportCommitted)
	if err != nil {
		return err
	}
	if all {
		im.e.settleElsewhere(ctx, &applied)
	}
	im.done(w, c, applied)
	return nil
}

// chunkParcel makes the facts of a chunk ready, and finds the owners of those that name only their loan.
func (e *Engine) chunkParcel(ctx context.Context, c *chunk) (*store.Parcel, error) {
	if !slices.ContainsFunc(c.facts, func(f duly.Fact) bool { return f.Owner() == "" }) {
		return c.packed.Parcel(), nil
	}
	if err := e.resolveOwners(ctx, c.facts); err != nil {
		return nil, err
	}
	return parcel(c.facts)
}

func (im *importer) actor() string { return "import:" + im.report.Hash[:12] }

// finish records how far the file has been read once a window is in.
func (im *importer) finish(ctx context.Context, w *window) error {
	im.e.settleElsewhere(ctx, &Applied{elsewhere: im.elsewhere})
	im.elsewhere = false
	if feed := im.watermark(w, im.refusedAt); im.opt.Way != nil && !feed.IsZero() {
		if err := im.opt.Way.FeedThrough(ctx, im.now, FeedPayments, feed); err != nil {
			return err
		}
	}
	return im.e.db.Update(ctx, im.now, nil, func(tx *store.Tx) error { return im.record(tx, w, im.refusedAt) })
}

// record is how far the file has been read once the window is in, and up to when its payments are known.
func (im *importer) record(tx *store.Tx, w *window, refused int64) error {
	if feed := im.watermark(w, refused); im.opt.Way == nil && !feed.IsZero() {
		if err := tx.SetFeed(FeedPayments, feed); err != nil {
			return err
		}
	}
	r := store.Import{Hash: im.report.Hash, Mapping: im.opt.Mapping.Hash, Rows: im.report.Rows, Version: im.version, Complete: w.last && refused == 0}
	if refused > 0 {
		r.Rows = refused - 1
	}
	return tx.PutImport(r)
}

// firstRefused returns the first row of the file so far that the store refused, or 0.
func (im *importer) firstRefused(c *chunk, a Applied) int64 {
	first := im.refusedAt
	for _, row := range c.rows {
		for i := row.from; i < row.from+row.many && (first == 0 || row.row < first); i++ {
			if a.Results[i].Refused() {
				first = row.row
			}
		}
	}
	return first
}

// watermark returns up to when payments are known once the window is in: at the end of a file of payments, its as-of time
// if one was given, else the latest arrival in it, and never a time that has not come. A file without payments says
// nothing of the feed; one of which a row was left out does not move it, for that row may be somebody's payment.
func (im *importer) watermark(w *window, refused int64) time.Time {
	switch {
	case !w.last || w.feed.IsZero() || refused > 0:
		return time.Time{}
	case im.report.Bad > 0 || im.badBefore:
		im.report.FeedHeld = true
		return time.Time{}
	case !im.opt.AsOf.IsZero():
		return im.opt.AsOf
	case w.feed.After(im.now):
		return im.now
	}
	return w.feed
}

// done takes a chunk that is in into the report, and notes the rows that the store refused.
func (im *importer) done(w *window, c *chunk, a Applied) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.refusedAt = im.firstRefused(c, a)
	im.elsewhere = im.elsewhere || a.elsewhere
	r := &im.report
	r.Facts += int64(len(c.facts))
	r.Settled += int64(a.Settled)
	r.Stopped += int64(a.Stopped)
	for _, row := range c.rows {
		bad := false
		for i := row.from; i < row.from+row.many; i++ {
			switch a.Results[i] {
			case store.Added:
				r.Added++
			case store.Changed:
				r.Changed++
			case store.Same:
				r.Same++
			case store.Stale:
				r.Stale++
			case store.Conflict, store.UnknownBorrower, store.UnknownLoan, store.WrongCurrency:
				bad = true
				w.problems = append(w.problems, rowProblem{row.row, storeProblem(row, c.facts[i], a.Results[i])})
			}
		}
		if bad {
			r.Bad++
		} else {
			r.Good++
		}
	}
}

func storeProblem(row placed, f duly.Fact, result store.PutResult) ingest.Problem {
	p := ingest.Problem{Place: duly.Place{File: row.file, Line: row.line, Field: string(f.FactKind())}, Class: "reference"}
	switch result {
	case store.Conflict:
		p.Class, p.Reason = "duplicate", "the same key with the same version but different content is already known"
		p.Hint = "give newer content a higher version, or import it with a later --as-of"
	case store.UnknownBorrower:
		p.Reason, p.Hint = "its borrower is not known", "import the borrowers first"
	case store.UnknownLoan:
		p.Reason, p.Hint = "its loan is not known", "import the loans first"
	case store.WrongCurrency:
		p.Class, p.Reason = "currency", "its amount is in another currency than its loan"
		p.Hint = "a loan and everything about it are in one currency; mend the row, or the loan"
	case store.Added, store.Changed, store.Same, store.Stale:
	}
	return p
}

// setVersion gives a fact without a version of its own the import's.
func setVersion(f duly.Fact, v int64) {
	if f.FactVersion() != 0 {
		return
	}
	switch f := f.(type) {
	case *duly.Borrower:
		f.Version = v
	case *duly.ContactPoint:
		f.Version = v
	case *duly.Loan:
		f.Version = v
	case *duly.Installment:
		f.Version = v
	case *duly.Payment:
		f.Version = v
	case *duly.Debit:
		f.Version = v
	case *duly.Consent:
		f.Version = v
	case *duly.OptOut:
		f.Version = v
	case *duly.Hold:
		f.Version = v
	case *duly.Touch:
		f.Version = v
	case *duly.Case:
		f.Version = v
	case *duly.Reply:
		f.Version = v
	case *duly.Notice:
		f.Version = v
	case *duly.Preference:
		f.Version = v
	}
}
