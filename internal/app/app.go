package app

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/message"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/strategy"
	"github.com/dulyhq/duly/rulepacks"
	"github.com/dulyhq/duly/strategies"
	"github.com/dulyhq/duly/templates"
)

// App is Duly, put together.
type App struct {
	Config    Config
	DB        *store.DB
	Engine    *engine.Engine
	Calendars *civil.Calendars
	Packs     []*rule.Pack                // the law in force, with what the operator turned on
	Inbound   map[string]channel.Inbound  // carriers that are called back, by name
	Listeners map[string]channel.Listener // carriers that speak over connections of their own, by name
	Log       *slog.Logger
	Location  *time.Location
	needs     []string // the calendars that strategies and rules look at
	clock     func() time.Time
	wake      chan struct{} // buckets came in that a step should look at
	mu        sync.Mutex
	abandon   context.CancelCauseFunc // of the step under way
	closers   []io.Closer             // carriers that hold connections
}

// Options change what New does.
type Options struct {
	Log        *slog.Logger
	Partitions int              // of a Postgres store that is yet to be made; see store.CreatePartitioned
	Create     bool             // make or migrate the store if need be; else an old or missing one is refused
	Wait       bool             // for a server: wait for a database that does not answer instead of failing, and not for carriers that are slow
	Clock      func() time.Time // nil: time.Now; a function that stands still for runs of simulated time
}

// New opens the store and makes the engine. Close it when done.
func New(ctx context.Context, c Config, o Options) (*App, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	loc, err := time.LoadLocation(c.Lender.Timezone)
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not an IANA time zone").At(duly.Place{Field: "lender.timezone"})
	}
	a := &App{Config: c, Log: o.Log, Location: loc, clock: o.Clock, wake: make(chan struct{}, 1), Inbound: map[string]channel.Inbound{}, Listeners: map[string]channel.Listener{}}
	deps, err := a.deps()
	if err != nil {
		return nil, err
	}
	if a.DB, err = open(ctx, c.Store, o); err != nil {
		return nil, err
	}
	deps.DB, deps.Holding = a.DB, engine.NewHoldingOf(time.Now, c.Share)
	if err = a.carriers(&deps); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	var patience time.Duration
	if o.Wait {
		patience = carrierPatience
	}
	a.Engine, err = engine.New(deps, engine.Config{
		Location: loc, Lender: c.Lender.Name, LenderKind: c.Lender.Kind, ServicePhone: c.Lender.ServicePhone, FeedMaxAge: time.Duration(c.FeedMaxAge),
		Lease: time.Duration(c.Lease), Workers: c.Workers, FanOut: c.FanOut, Patience: patience, Clock: o.Clock, Law: c.asLender(), Keep: c.terms(),
	})
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	if c.Share != (engine.Share{}) { // one cell of several: buckets may have moved since the configuration was written
		if err := a.place(ctx); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	return a, nil
}

// carrierPatience is how long a server waits for answers when nothing else is due. What comes later is stored at the next step.
const carrierPatience = 300 * time.Millisecond

// Lacking returns the years of holidays that strategies and rules need now or soon, and that nobody has given.
func (a *App) Lacking(today civil.Date) []civil.Missing { return a.Calendars.Lacking(a.needs, today) }

// Close closes the carriers' connections and then the store.
func (a *App) Close() error {
	var errs []error
	for _, c := range slices.Backward(a.closers) {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, a.DB.Close())...)
}

// openRetry is the wait between two tries to open a store.
const openRetry = time.Second

// open opens the store, and waits for it where it should. What will not change by waiting is an error at once.
func open(ctx context.Context, dsn string, o Options) (*store.DB, error) {
	how := store.Open
	if o.Create {
		how = func(ctx context.Context, dsn string) (*store.DB, error) {
			return store.CreatePartitioned(ctx, dsn, o.Partitions)
		}
	}
	out := &outage{log: o.Log}
	for {
		db, err := how(ctx, dsn)
		if err == nil {
			out.worked("open")
			return db, nil
		}
		if !o.Wait || !IsPostgres(dsn) || duly.CodeOf(err) != duly.Unavailable {
			return nil, err
		}
		out.failed("open", err)
		if !pause(ctx, openRetry) {
			return nil, err
		}
	}
}

// deps loads everything that is not the store: strategies, packs, templates, calendars.
func (a *App) deps() (engine.Deps, error) {
	d := engine.Deps{Log: a.Log}
	var err error
	if d.Strategies, err = LoadStrategies(a.Config.Strategies); err != nil {
		return d, err
	}
	if d.Packs, err = a.Config.Law(); err != nil {
		return d, err
	}
	a.Packs = d.Packs
	a.needs = rule.Calendars(d.Packs)
	for _, s := range d.Strategies {
		if s.Calendar != "" && !slices.Contains(a.needs, s.Calendar) {
			a.needs = append(a.needs, s.Calendar)
		}
	}
	if d.Messages, err = LoadTemplates(a.Config.Templates); err != nil {
		return d, err
	}
	if a.Calendars, err = a.Config.Holidays(); err != nil {
		return d, err
	}
	d.Calendars = a.Calendars
	d.Sources, err = a.Config.sources()
	return d, err
}

// asLender is what rules ask of the lender.
func (c *Config) asLender() *rule.Lender {
	l := &rule.Lender{EntityClass: c.Lender.EntityClass, CreditPurchaser: c.Lender.CreditPurchaser, Senders: map[duly.Channel]rule.Identity{}}
	for ch, s := range c.Senders {
		l.Senders[ch] = rule.Identity{Number: s.Number, Hidden: s.Hidden, Templates: s.Templates}
	}
	return l
}

// terms is for how long records are kept.
func (c *Config) terms() map[engine.Record]rule.Term {
	out := make(map[engine.Record]rule.Term, len(c.Keep))
	for r, t := range c.Keep {
		out[r] = rule.Term(t)
	}
	return out
}

// Law loads the rule packs that are configured, with the rules turned on that are.
func (c *Config) Law() ([]*rule.Pack, error) {
	packs, err := LoadPacks(c.Packs)
	if err != nil {
		return nil, err
	}
	if known := rule.Classes(packs); c.Lender.EntityClass != "" && len(known) > 0 && !slices.Contains(known, c.Lender.EntityClass) {
		return nil, duly.Errorf(duly.Invalid, "no loaded rule knows this class of lender").At(duly.Place{Field: "lender.entity_class"}).
			WithHint("the classes are %s", strings.Join(known, ", "))
	}
	return rule.Enforce(packs, c.Rules.Enforce)
}

// Holidays loads the calendars that come with Duly and, over them, those that are configured.
func (c *Config) Holidays() (*civil.Calendars, error) {
	cals, err := civil.BuiltIn()
	if err != nil || c.Calendars == "" {
		return cals, err
	}
	return cals, cals.Load(os.DirFS(c.Calendars))
}

// LoadStrategies loads strategies by shipped name or path, reporting every problem at once.
func LoadStrategies(names []string) ([]*strategy.Strategy, error) {
	var out []*strategy.Strategy
	var errs []error
	for _, name := range names {
		src, file, err := readNamed(strategies.FS, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s, err := strategy.Load(file, src)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, s)
	}
	return out, errors.Join(errs...)
}

// LoadPacks loads rule packs by shipped name or by the path of a folder of packs.
func LoadPacks(names []string) ([]*rule.Pack, error) {
	shipped, err := rule.LoadFS(rulepacks.FS)
	if err != nil {
		return nil, err
	}
	var out []*rule.Pack
	for _, name := range names {
		if strings.ContainsRune(name, os.PathSeparator) {
			own, err := rule.LoadFS(os.DirFS(name))
			if err != nil {
				return nil, err
			}
			out = append(out, own...)
			continue
		}
		i := slices.IndexFunc(shipped, func(p *rule.Pack) bool { return p.ID == name })
		if i < 0 {
			return nil, duly.Errorf(duly.NotFound, "no shipped rule pack has the name %q", name).WithHint("`duly rules list` shows them; give a path to use packs of your own")
		}
		out = append(out, shipped[i])
	}
	return out, nil
}

// LoadTemplates loads the templates of a folder, or the shipped ones for "".
func LoadTemplates(dir string) (*message.Set, error) {
	var fsys fs.FS = templates.FS
	if dir != "" {
		fsys = os.DirFS(dir)
	}
	return message.LoadFS(fsys)
}
