package engine

import (
	"context"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/internal/store"
)

// ReconcileAsk is what a provider's log is held against.
type ReconcileAsk struct {
	Carrier  string
	Lines    []ingest.LogLine
	Words    map[string]duly.ReceiptStatus // what the provider's words mean, besides those that are known
	From     time.Time                     // attempts claimed from here …
	Until    time.Time                     // … until here, exclusive; both zero: as the times of the log say
	Complete bool                          // the log holds all that the provider took in that time
	Settle   bool                          // what it proves of attempts in doubt is written down
}

// Reconciliation is what a provider's log and Duly's own records say of each other. It closes: Lines = Matched + Again + OnlyLog, and
// Ours = Matched - Refused + OnlyOurs + NotTaken.
type Reconciliation struct {
	Carrier string    `json:"carrier"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	Lines   int       `json:"lines"`
	Ours    int       `json:"ours"`    // attempts that the carrier took, or may have
	Matched int       `json:"matched"` // lines with their attempt
	Again   int       `json:"again"`   // further lines of the same attempt
	OnlyLog int       `json:"only_log"`
	// Attempts that Duly holds for taken, and the log does not have.
	OnlyOurs int `json:"only_ours"`
	// Attempts that the carrier refused or that never left, by Duly's records; the log has them as taken.
	Refused  int            `json:"refused"`
	Doubts   int            `json:"doubts"`    // attempts in doubt
	Proved   int            `json:"proved"`    // of these, what became of them stands in the log
	NotTaken int            `json:"not_taken"` // of these, the log proves that they were never taken
	Settled  int            `json:"settled"`   // receipts that were written down of them
	Words    map[string]int `json:"words"`     // statuses that are not known, and so prove nothing
	Segments Compared       `json:"segments"`  // of lines with their attempt, where both say
	Cost     Compared       `json:"cost_micros"`
	Rows     []ReconcileRow `json:"rows"` // what does not agree, up to a number
	Left     int            `json:"left"` // and how many more there are
}

// Compared is what both sides count of the same messages.
type Compared struct {
	Ours   int64 `json:"ours"`
	Theirs int64 `json:"theirs"`
}

// ReconcileRow is one thing that does not agree.
type ReconcileRow struct {
	Line       int            `json:"line,omitempty"` // of the log
	Attempt    duly.AttemptID `json:"attempt,omitempty"`
	ProviderID string         `json:"provider_id,omitempty"`
	What       ReconcileWhat  `json:"what"`
	Ours       string         `json:"ours,omitempty"`
	Theirs     string         `json:"theirs,omitempty"`
}

// ReconcileWhat is in what something does not agree.
type ReconcileWhat string

// The ways not to agree.
const (
	ReconcileOnlyLog  ReconcileWhat = "only_log"
	ReconcileOnlyOurs ReconcileWhat = "only_ours"
	ReconcileAgain    ReconcileWhat = "again"
	ReconcileRefused  ReconcileWhat = "refused"
	ReconcileSegments ReconcileWhat = "segments"
	ReconcileCost     ReconcileWhat = "cost"
	ReconcileDoubt    ReconcileWhat = "doubt"
)

// Limits of a reconciliation.
const (
	reconcileRows    = 1000
	reconcileLookups = 10_000 // of lines whose attempt is not in the time that is looked at
	reconcileSpan    = 40 * 24 * time.Hour
	reconcileMargin  = time.Hour // around the times of a log, where it alone says what is looked at
)

// logWords is what providers commonly say.
var logWords = map[string]duly.ReceiptStatus{
	"accepted": duly.ReceiptAccepted, "accepted_by_carrier": duly.ReceiptAccepted, "sent": duly.ReceiptAccepted, "queued": duly.ReceiptAccepted, "enroute": duly.ReceiptAccepted, "acceptd": duly.ReceiptAccepted,
	"delivered": duly.ReceiptDelivered, "delivrd": duly.ReceiptDelivered, "success": duly.ReceiptDelivered, "read": duly.ReceiptRead,
	"failed": duly.ReceiptFailed, "undelivered": duly.ReceiptFailed, "undeliv": duly.ReceiptFailed, "expired": duly.ReceiptFailed, "rejectd": duly.ReceiptFailed, "deleted": duly.ReceiptFailed,
	"bad_address": duly.ReceiptBadAddress, "opted_out": duly.ReceiptOptedOut,
}

// reconciler is a reconciliation under way.
type reconciler struct {
	*ReconcileAsk
	r        Reconciliation
	byOurs   map[duly.AttemptID]int // places in Lines
	byTheirs map[string]int
	done     []bool
	receipts []duly.Receipt
}

// Reconcile holds a provider's log against what Duly knows. What the log proves of attempts in doubt goes to the inbox as
// receipts do, if that is asked for: contacts then move by the same rules, at the next step.
func (e *Engine) Reconcile(ctx context.Context, now time.Time, a ReconcileAsk) (Reconciliation, error) {
	c := &reconciler{ReconcileAsk: &a, byOurs: map[duly.AttemptID]int{}, byTheirs: map[string]int{}, done: make([]bool, len(a.Lines))}
	if err := c.begin(e); err != nil {
		return c.r, err
	}
	for _, b := range e.holding.Works() {
		if err := ctx.Err(); err != nil {
			return c.r, context.Cause(ctx)
		}
		err := e.db.View(ctx, func(tx *store.Tx) error {
			ours, err := tx.AttemptsBetween(b, c.r.From, c.r.Until)
			for i := range ours {
				if ours[i].Carrier == a.Carrier {
					c.ours(&ours[i], now, true)
				}
			}
			return err
		})
		if err != nil {
			return c.r, err
		}
	}
	if err := c.rest(ctx, e, now); err != nil {
		return c.r, err
	}
	if !a.Settle || len(c.receipts) == 0 {
		return c.r, nil
	}
	var kept ReceiveReport
	if err := e.Accept(ctx, now, c.receipts, &kept); err != nil {
		return c.r, err
	}
	c.r.Settled = kept.Receipts
	return c.r, nil
}

// begin checks what is asked, and finds its way into the log.
func (c *reconciler) begin(e *Engine) error {
	known := false
	for _, s := range e.senders {
		known = known || s.Name() == c.Carrier
	}
	if !known {
		return duly.Errorf(duly.NotFound, "there is no carrier of this name").At(duly.Place{Field: "provider"}).WithHint("`duly carriers` lists them")
	}
	c.r = Reconciliation{Carrier: c.Carrier, From: c.From, Until: c.Until, Lines: len(c.Lines), Words: map[string]int{}, Rows: []ReconcileRow{}}
	for word, status := range c.Words {
		if status.State() == "" || status == duly.ReceiptNotTaken {
			return duly.Errorf(duly.Usage, "%q is made to mean what is no status", word).WithHint("accepted, delivered, read, failed, bad_address or opted_out")
		}
	}
	for i := range c.Lines {
		l := &c.Lines[i]
		if l.Attempt == "" && l.ProviderID == "" {
			return duly.Errorf(duly.Invalid, "the line does not say which message it is about").At(duly.Place{Line: l.Line})
		}
		if l.Attempt != "" {
			if j, twice := c.byOurs[l.Attempt]; twice {
				c.again(i, j)
				continue
			}
			c.byOurs[l.Attempt] = i
		} else if j, twice := c.byTheirs[l.ProviderID]; twice {
			c.again(i, j)
			continue
		}
		if l.ProviderID != "" {
			c.byTheirs[l.ProviderID] = i
		}
	}
	return c.span()
}

func (c *reconciler) again(i, first int) {
	c.done[i] = true
	c.r.Again++
	c.row(ReconcileRow{Line: c.Lines[i].Line, Attempt: c.Lines[i].Attempt, ProviderID: c.Lines[i].ProviderID, What: ReconcileAgain, Theirs: c.Lines[first].Status + " " + c.Lines[i].Status})
}

// span settles from when to when attempts are looked at.
func (c *reconciler) span() error {
	if c.From.IsZero() != c.Until.IsZero() {
		return duly.Errorf(duly.Usage, "from and until are given together, or neither")
	}
	if c.From.IsZero() {
		for i := range c.Lines {
			at := c.Lines[i].At
			if at.IsZero() {
				continue
			}
			if c.r.From.IsZero() || at.Before(c.r.From) {
				c.r.From = at
			}
			if at.After(c.r.Until) {
				c.r.Until = at
			}
		}
		if c.r.From.IsZero() {
			return duly.Errorf(duly.Usage, "the log has no times, so it is not known what it should hold").WithHint("give from and until, or name its column of times")
		}
		if c.Complete {
			return duly.Errorf(duly.Usage, "it is not said from when to when the log is complete").WithHint("give from and until")
		}
		c.r.From, c.r.Until = c.r.From.Add(-reconcileMargin), c.r.Until.Add(reconcileMargin)
	}
	if span := c.r.Until.Sub(c.r.From); span <= 0 || span > reconcileSpan {
		return duly.Errorf(duly.Usage, "from and until are not up to 40 days one after the other").WithHint("cut the log, by day")
	}
	return nil
}

func (c *reconciler) row(r ReconcileRow) {
	if len(c.r.Rows) < reconcileRows {
		c.r.Rows = append(c.r.Rows, r)
	} else {
		c.r.Left++
	}
}

// line returns the place of the line about an attempt, or -1.
func (c *reconciler) line(a *duly.Attempt) int {
	if i, ok := c.byOurs[a.ID]; ok {
		return i
	}
	if i, ok := c.byTheirs[a.ProviderID]; ok && a.ProviderID != "" {
		return i
	}
	return -1
}

// ours takes in one attempt; within: it was claimed in the time that is looked at.
func (c *reconciler) ours(a *duly.Attempt, now time.Time, within bool) {
	i := c.line(a)
	if i >= 0 && c.done[i] {
		i = -1
	}
	taken := a.State == duly.AttemptAccepted || a.State == duly.AttemptInDoubt || a.State == duly.AttemptOpen
	if taken && within {
		c.r.Ours++
	}
	if a.State == duly.AttemptInDoubt {
		c.r.Doubts++
	}
	if i < 0 {
		c.absent(a, now, taken)
		return
	}
	l := &c.Lines[i]
	c.done[i] = true
	c.r.Matched++
	if taken && !within {
		c.r.Ours++
	}
	status, known := c.Words[l.Status]
	if !known {
		status, known = logWords[strings.ToLower(l.Status)]
	}
	if !known && l.Status != "" {
		c.r.Words[l.Status]++
	}
	if !taken {
		c.r.Refused++
		c.row(ReconcileRow{Line: l.Line, Attempt: a.ID, ProviderID: l.ProviderID, What: ReconcileRefused, Ours: string(a.State) + " " + a.Class, Theirs: l.Status})
		return
	}
	c.compare(a, l)
	if a.State == duly.AttemptInDoubt && known {
		c.r.Proved++
		c.row(ReconcileRow{Line: l.Line, Attempt: a.ID, ProviderID: l.ProviderID, What: ReconcileDoubt, Ours: string(a.State), Theirs: l.Status})
		c.prove(a, l, status, now)
	}
}

// absent takes in an attempt that the log does not have.
func (c *reconciler) absent(a *duly.Attempt, now time.Time, taken bool) {
	switch {
	case !taken:
	case a.State == duly.AttemptInDoubt && c.Complete:
		c.r.NotTaken++
		c.row(ReconcileRow{Attempt: a.ID, ProviderID: a.ProviderID, What: ReconcileDoubt, Ours: string(a.State), Theirs: string(duly.ReceiptNotTaken)})
		c.prove(a, &ingest.LogLine{}, duly.ReceiptNotTaken, now)
	default:
		c.r.OnlyOurs++
		c.row(ReconcileRow{Attempt: a.ID, ProviderID: a.ProviderID, What: ReconcileOnlyOurs, Ours: string(a.State)})
	}
}

// compare counts parts and cost where both sides say.
func (c *reconciler) compare(a *duly.Attempt, l *ingest.LogLine) {
	if l.Segments > 0 {
		c.r.Segments.Ours += int64(max(1, a.Segments))
		c.r.Segments.Theirs += int64(l.Segments)
		if max(1, a.Segments) != l.Segments {
			c.row(ReconcileRow{Line: l.Line, Attempt: a.ID, What: ReconcileSegments, Ours: strconv.Itoa(max(1, a.Segments)), Theirs: strconv.Itoa(l.Segments)})
		}
	}
	if l.Micros >= 0 && a.Cost.Currency != "" {
		c.r.Cost.Ours += a.Cost.Micros
		c.r.Cost.Theirs += l.Micros
		if a.Cost.Micros != l.Micros {
			c.row(ReconcileRow{Line: l.Line, Attempt: a.ID, What: ReconcileCost, Ours: route.Micros(a.Cost.Micros).String(), Theirs: route.Micros(l.Micros).String()})
		}
	}
}

// prove notes what the log proves of an attempt in doubt, as a receipt.
func (c *reconciler) prove(a *duly.Attempt, l *ingest.LogLine, status duly.ReceiptStatus, now time.Time) {
	at := l.At
	if at.IsZero() {
		at = now
	}
	c.receipts = append(c.receipts, duly.Receipt{
		Provider: c.Carrier, Key: "reconciled:" + string(a.ID) + ":" + string(status), AttemptID: a.ID, ProviderID: l.ProviderID, Status: status, Detail: "reconciled", At: at,
	})
}

// rest looks for the attempts of lines that are of another time than was looked at.
func (c *reconciler) rest(ctx context.Context, e *Engine, now time.Time) error {
	lookups := 0
	for i := range c.Lines {
		if c.done[i] {
			continue
		}
		l := &c.Lines[i]
		if lookups++; lookups <= reconcileLookups {
			a, err := e.attemptOf(ctx, c.Carrier, l)
			if err == nil {
				c.ours(&a, now, false)
				continue
			}
			if duly.CodeOf(err) != duly.NotFound {
				return err
			}
		}
		c.r.OnlyLog++
		c.row(ReconcileRow{Line: l.Line, Attempt: l.Attempt, ProviderID: l.ProviderID, What: ReconcileOnlyLog, Theirs: l.Status})
	}
	return nil
}

// attemptOf returns the attempt that a line is about, of that carrier, or NotFound.
func (e *Engine) attemptOf(ctx context.Context, carrier string, l *ingest.LogLine) (a duly.Attempt, err error) {
	if l.Attempt == "" {
		return e.db.FindAttemptByProvider(ctx, carrier, l.ProviderID)
	}
	err = e.db.View(ctx, func(tx *store.Tx) error { a, err = tx.FindAttempt(l.Attempt); return err })
	if err == nil && a.Carrier != carrier {
		err = duly.Errorf(duly.NotFound, "the attempt was made with another carrier")
	}
	return a, err
}
