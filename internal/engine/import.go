package engine

import (
	"context"
	"fmt"
	"slices"
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
	Progress  func(ImportReport)   // told after every chunk
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

// Import reads a file into the store in chunks. Each chunk is applied whole or not at all, together with how far the file
// has been read, so that a run that was cut off goes on where it stopped; a file that was imported whole is not read
// again. Rows that are wrong are told to opt.Problem and left out; they stop nothing.
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

// importer gathers rows into chunks, and applies one while it reads the next.
type importer struct {
	e       *Engine
	now     time.Time
	opt     ImportOptions
	version int64
	skip    int64
	chunk   chunk     // being read
	feed    time.Time // the latest arrival among payments read
	full    chan chunk
	report  ImportReport // of the applier alone, and so is what follows
	// refusedAt is the first row that the store refused because of what else is known, which may change: the file is
	// not done, and another run starts there. 0: none.
	refusedAt int64
	badBefore bool // among the rows that an earlier run went through is one that was wrong
}

// chunk is a run of rows that is applied in one transaction.
type chunk struct {
	read      int64 // rows, those included that are not in rows
	skipped   int64
	problems  []ingest.Problem
	bad       int64
	badBefore bool
	rows      []chunkRow
	facts     []duly.Fact
	parcel    *store.Parcel // facts made ready; nil if an owner of one is yet to be found
	feed      time.Time     // the latest arrival among the payments of the file so far
	last      bool
}

// chunkRow is a row of the chunk: the place of its first fact in facts, and how many it has.
type chunkRow struct {
	file       string
	line       int
	row        int64
	from, many int
}

func (im *importer) resume(known store.Import) {
	im.skip = known.Rows
	if known.Version != 0 && im.opt.AsOf.IsZero() {
		im.version = known.Version // the same version as the chunks that are already in
	}
}

// run reads the file in this goroutine and applies it in another, which is at most a chunk behind.
func (im *importer) run(ctx context.Context, path string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	im.full = make(chan chunk)
	done := make(chan error, 1)
	go func() {
		var err error
		for c := range im.full {
			if err == nil {
				if err = im.apply(ctx, &c); err != nil {
					cancel(err)
				}
			}
		}
		done <- err
	}()
	readErr := ingest.Read(ctx, path, im.opt.Mapping, im.opt.Read, func(row ingest.Row) error { return im.add(ctx, row) })
	rest := im.chunk
	if readErr == nil {
		rest.last = true
		readErr = im.hand(ctx, rest)
	}
	close(im.full)
	if err := <-done; err != nil {
		return err
	}
	if readErr != nil { // what was read and not applied is still told of
		im.tally(&rest)
	}
	return readErr
}

func (im *importer) add(ctx context.Context, row ingest.Row) error {
	c := &im.chunk
	c.read++
	switch {
	case row.Row <= im.skip:
		c.skipped++
		c.badBefore = c.badBefore || len(row.Problems) > 0
	case len(row.Problems) > 0:
		c.bad++
		c.problems = append(c.problems, row.Problems...)
	default:
		c.rows = append(c.rows, chunkRow{row.File, row.Line, row.Row, len(c.facts), len(row.Facts)})
		for _, f := range row.Facts {
			c.facts = append(c.facts, f)
			setVersion(f, im.version)
			if p, ok := f.(*duly.Payment); ok && p.ArrivedAt.After(im.feed) {
				im.feed = p.ArrivedAt
			}
		}
	}
	if len(c.rows) < importChunkRows && c.bad < importChunkRows {
		return nil
	}
	full := im.chunk
	im.chunk = chunk{rows: make([]chunkRow, 0, len(full.rows)), facts: make([]duly.Fact, 0, len(full.facts))}
	return im.hand(ctx, full)
}

// hand makes a chunk ready and hands it to the applier.
func (im *importer) hand(ctx context.Context, c chunk) error {
	c.feed = im.feed
	if !im.opt.CheckOnly && !slices.ContainsFunc(c.facts, func(f duly.Fact) bool { return f.Owner() == "" }) {
		var err error
		if c.parcel, err = parcel(c.facts); err != nil {
			return err
		}
	}
	select {
	case im.full <- c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (im *importer) tell(p ingest.Problem) {
	if im.opt.Problem != nil {
		im.opt.Problem(p)
	}
}

// tally counts what was read, and tells of the rows that were wrong as they were read.
func (im *importer) tally(c *chunk) {
	im.report.Rows += c.read
	im.report.Skipped += c.skipped
	im.report.Bad += c.bad
	im.badBefore = im.badBefore || c.badBefore
	for _, p := range c.problems {
		im.tell(p)
	}
}

// apply applies the chunk and, in the same transaction, how far the file has been read.
func (im *importer) apply(ctx context.Context, c *chunk) error {
	im.tally(c)
	if im.opt.CheckOnly {
		im.report.Good += int64(len(c.rows))
		im.report.Facts += int64(len(c.facts))
		return nil
	}
	if im.opt.Way != nil {
		return im.applyBy(ctx, im.opt.Way, c)
	}
	if c.parcel == nil {
		err := im.e.resolveOwners(ctx, c.facts)
		if err == nil {
			c.parcel, err = parcel(c.facts)
		}
		if err != nil {
			return err
		}
	}
	if err := im.e.foreign(c.facts); err != nil {
		return err
	}
	var applied Applied
	refused := im.refusedAt
	err := im.e.db.Update(ctx, im.now, c.parcel.Buckets(), func(tx *store.Tx) error {
		var err error
		if applied, err = im.e.applyParcel(tx, "import:"+im.report.Hash[:12], c.parcel, false); err != nil {
			return err
		}
		refused = im.firstRefused(c, applied)
		if feed := im.watermark(c, refused); !feed.IsZero() {
			if err := tx.SetFeed(FeedPayments, feed); err != nil {
				return err
			}
		}
		err = tx.PutImport(im.record(c, refused))
		fault.At(fault.ImportUncommitted)
		return err
	})
	fault.At(fault.ImportCommitted)
	if err != nil {
		return fmt.Errorf("apply rows up to %d: %w", im.report.Rows, err)
	}
	im.e.settleElsewhere(ctx, &applied)
	im.done(c, applied, refused)
	return nil
}

// applyBy is apply where facts go to other stores: how far the file has been read is recorded here, after they are applied
// there. A run that is cut off in between applies the chunk once more, which changes nothing.
func (im *importer) applyBy(ctx context.Context, way Way, c *chunk) error {
	applied, err := way.Apply(ctx, im.now, "import:"+im.report.Hash[:12], c.facts, true)
	if err != nil {
		return fmt.Errorf("apply rows up to %d: %w", im.report.Rows, err)
	}
	refused := im.firstRefused(c, applied)
	if feed := im.watermark(c, refused); !feed.IsZero() {
		if err := way.FeedThrough(ctx, im.now, FeedPayments, feed); err != nil {
			return err
		}
	}
	err = im.e.db.Update(ctx, im.now, nil, func(tx *store.Tx) error { return tx.PutImport(im.record(c, refused)) })
	if err != nil {
		return fmt.Errorf("record rows up to %d: %w", im.report.Rows, err)
	}
	im.done(c, applied, refused)
	return nil
}

// record is how far the file has been read once the chunk is in.
func (im *importer) record(c *chunk, refused int64) store.Import {
	r := store.Import{Hash: im.report.Hash, Mapping: im.opt.Mapping.Hash, Rows: im.report.Rows, Version: im.version, Complete: c.last && refused == 0}
	if refused > 0 {
		r.Rows = refused - 1
	}
	return r
}

// done takes a chunk that is in into the report.
func (im *importer) done(c *chunk, applied Applied, refused int64) {
	im.refusedAt = refused
	im.report.FeedHeld = im.report.FeedHeld || c.last && refused > 0 && !c.feed.IsZero()
	im.count(c, applied)
	if im.opt.Progress != nil {
		im.opt.Progress(im.report)
	}
}

// firstRefused returns the first row of the file so far that the store refused, or 0.
func (im *importer) firstRefused(c *chunk, a Applied) int64 {
	if im.refusedAt > 0 {
		return im.refusedAt
	}
	for _, row := range c.rows {
		for i := row.from; i < row.from+row.many; i++ {
			if a.Results[i].Refused() {
				return row.row
			}
		}
	}
	return 0
}

// watermark returns up to when payments are known once the chunk is in: at the end of a file of payments, its as-of time
// if one was given, else the latest arrival in it, and never a time that has not come. A file without payments says
// nothing of the feed; one of which a row was left out does not move it, for that row may be somebody's payment.
func (im *importer) watermark(c *chunk, refused int64) time.Time {
	switch {
	case !c.last || c.feed.IsZero() || refused > 0:
		return time.Time{}
	case im.report.Bad > 0 || im.badBefore:
		im.report.FeedHeld = true
		return time.Time{}
	case !im.opt.AsOf.IsZero():
		return im.opt.AsOf
	case c.feed.After(im.now):
		return im.now
	}
	return c.feed
}

// count adds a chunk to the report and tells of the rows that the store refused.
func (im *importer) count(c *chunk, a Applied) {
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
				im.tell(storeProblem(row, c.facts[i], a.Results[i]))
			}
		}
		if bad {
			r.Bad++
		} else {
			r.Good++
		}
	}
}

func storeProblem(row chunkRow, f duly.Fact, result store.PutResult) ingest.Problem {
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
