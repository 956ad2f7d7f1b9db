package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/message"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/rulepacks"
	"github.com/dulyhq/duly/templates"
)

// Trial is one run: a world made by a seed, in which everything goes wrong that is asked for, around the real engine over a
// real store. The same trial of the same program does the same to the last byte.
type Trial struct {
	Seed      uint64
	Borrowers int
	Days      int
	Faults    Faults
	Store     string          // "": a SQLite file that is thrown away; else the address of an empty PostgreSQL database
	Only      duly.BorrowerID // "": everybody; else the others are left out of the world
	Tell      duly.BorrowerID // whose story is kept; "" is nobody's
}

// String writes the trial as a command.
func (t *Trial) String() string {
	s := fmt.Sprintf("duly sim --seed %d --days %d --borrowers %d", t.Seed, t.Days, t.Borrowers)
	if t.Faults != AllFaults {
		s += " --faults " + t.Faults.String()
	}
	if t.Only != "" {
		s += " --only " + string(t.Only)
	}
	return s
}

// Outcome is what a trial came to.
type Outcome struct {
	Trial  Trial
	Hash   string // over every POST and over what every contact came to
	Count  Count
	Breach *Breach  // the first promise that was broken; nil if none was
	Story  []string // of the borrower whose story was asked for
}

// Count is how much happened.
type Count struct {
	Days, Steps, Facts, Posts, Sent, Recalled, InDoubt, Receipts, Contacts, Checks int
	Crashes, Outages, Published, Jumps, Pauses, Meantime                           int // Meantime: what happened between a claim and its POST
}

// Add adds another's counts.
func (c *Count) Add(o Count) {
	c.Days += o.Days
	c.Steps += o.Steps
	c.Facts += o.Facts
	c.Posts += o.Posts
	c.Sent += o.Sent
	c.Recalled += o.Recalled
	c.InDoubt += o.InDoubt
	c.Receipts += o.Receipts
	c.Contacts += o.Contacts
	c.Checks += o.Checks
	c.Crashes += o.Crashes
	c.Outages += o.Outages
	c.Published += o.Published
	c.Jumps += o.Jumps
	c.Pauses += o.Pauses
	c.Meantime += o.Meantime
}

// String writes the counts on one line.
func (c Count) String() string {
	return fmt.Sprintf("%d days, %d facts, %d steps, %d contacts, %d POSTs, %d taken, %d recalled, %d in doubt, %d receipts; %d deaths, %d outages, %d policies, %d clock jumps, %d pauses, %d things between a claim and its POST; %d checks",
		c.Days, c.Facts, c.Steps, c.Contacts, c.Posts, c.Sent, c.Recalled, c.InDoubt, c.Receipts, c.Crashes, c.Outages, c.Published, c.Jumps, c.Pauses, c.Meantime, c.Checks)
}

// Breach is a promise that was broken: when, and to whom.
type Breach struct {
	Violation
	Borrower duly.BorrowerID
	At       time.Time
}

// String writes the breach on one line.
func (b *Breach) String() string {
	return fmt.Sprintf("%s: %s (borrower %s, contact %s, %s)", b.Promise, b.Story, b.Borrower, b.Contact, b.At.Format(time.RFC3339))
}

// shipped is what every world has of the product's own: read once.
var shipped = sync.OnceValues(func() (*law, error) {
	packs, err := rule.LoadFS(rulepacks.FS)
	if err != nil {
		return nil, err
	}
	l := &law{}
	for _, p := range packs {
		if p.ID == "policy-default" || p.ID == "cn-mainland" {
			l.packs = append(l.packs, p)
		}
	}
	if l.messages, err = message.LoadFS(templates.FS); err != nil {
		return nil, err
	}
	l.calendars, err = civil.BuiltIn()
	return l, err
})

// law is the rules, words and calendars that come with the product.
type law struct {
	packs     []*rule.Pack
	messages  *message.Set
	calendars *civil.Calendars
}

// Limits of a trial.
const (
	BorrowersMax = 100_000
	DaysMax      = 400
)

// Run runs a trial. An error is one of the machinery; a promise that was broken is the outcome's breach.
func (t Trial) Run(ctx context.Context) (Outcome, error) {
	out := Outcome{Trial: t}
	if t.Borrowers < 1 || t.Borrowers > BorrowersMax || t.Days < 1 || t.Days > DaysMax {
		return out, duly.Errorf(duly.Usage, "a trial is of 1 to %d borrowers and 1 to %d days", BorrowersMax, DaysMax)
	}
	l, err := shipped()
	if err != nil {
		return out, err
	}
	dsn := t.Store
	if dsn == "" {
		dir, err := os.MkdirTemp("", "duly-sim-")
		if err != nil {
			return out, err
		}
		defer os.RemoveAll(dir)
		if dsn, err = freshStore(ctx, dir); err != nil {
			return out, err
		}
	} else if err := makeStore(ctx, dsn); err != nil {
		return out, err
	}
	w, err := newWorld(ctx, t, l, dsn)
	if err != nil {
		return out, err
	}
	defer w.close()
	err = w.run()
	out.Hash, out.Count, out.Breach, out.Story = w.hash(), w.count, w.breach, w.story
	if out.Breach != nil {
		err = nil
	}
	return out, err
}

func makeStore(ctx context.Context, dsn string) error {
	db, err := store.Create(ctx, dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	if n, err := db.People(ctx); err != nil || n > 0 {
		return errors.Join(err, duly.Errorf(duly.Refused, "the store has people in it").WithHint("a trial needs an empty one, and leaves it full"))
	}
	return nil
}

// empty is a new store as bytes: to copy it is quicker than to make one.
var empty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "duly-sim-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "duly.db")
	db, err := store.Create(context.Background(), path+store.Hasty)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil { // folds the log back into the file
		return nil, err
	}
	return os.ReadFile(path)
})

func freshStore(_ context.Context, dir string) (string, error) {
	b, err := empty()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "duly.db")
	return path + store.Lone, os.WriteFile(path, b, 0o600)
}
