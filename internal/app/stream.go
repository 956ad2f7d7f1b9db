package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/stream"
	"github.com/dulyhq/duly/internal/stream/local"
)

// StreamConfig is the log of commands before the cells.
type StreamConfig struct {
	URLs        []string `yaml:"urls"`        // nats://… of its servers
	Embedded    string   `yaml:"embedded"`    // a folder: one server in this process in their place, for trying it out
	Name        string   `yaml:"name"`        // of the stream
	Parts       int      `yaml:"parts"`       // a divisor of 1,024; for good
	Replicas    int      `yaml:"replicas"`    // servers that keep each command
	Credentials string   `yaml:"credentials"` // a file of the servers' operator
}

// CellConfig is one store of several, and the parts of the log that it begins with: later they move.
type CellConfig struct {
	Name  string `yaml:"name"`
	Store string `yaml:"store"`
	Parts []int  `yaml:"parts"` // from, to, both included; left out: none
}

// Celled reports whether several cells take the place of one store.
func (c *Config) Celled() bool { return len(c.Cells) > 0 }

// checkCells finds what is wrong with the log and the cells. Together they must have every part once: a part of no cell would be of
// people to whom nothing is sent, one of two cells of people who are told twice.
func (c *Config) checkCells(bad func(field, format string, args ...any)) {
	s := &c.Stream
	named := len(s.URLs) > 0 || s.Embedded != ""
	switch {
	case !c.Celled() && !named:
		return
	case !c.Celled():
		bad("cells", "missing: a log needs at least one cell")
		return
	case !named:
		bad("stream.urls", "missing: cells need a log")
	case len(s.URLs) > 0 && s.Embedded != "":
		bad("stream.embedded", "not beside stream.urls")
	}
	if s.Parts < 1 || s.Parts > duly.Buckets || duly.Buckets%s.Parts != 0 {
		bad("stream.parts", "not a divisor of %d", duly.Buckets)
		return
	}
	if s.Replicas < 1 || s.Replicas > 5 {
		bad("stream.replicas", "not from 1 to 5")
	}
	if !plainName(s.Name) {
		bad("stream.name", "not of letters, digits and hyphens")
	}
	owner := make([]string, s.Parts)
	names := map[string]bool{}
	for i, cell := range c.Cells {
		field := fmt.Sprintf("cells[%d]", i)
		if !plainName(cell.Name) || names[cell.Name] {
			bad(field+".name", "not a name of letters, digits and hyphens that no other cell has")
		}
		names[cell.Name] = true
		if cell.Store == "" || slices.ContainsFunc(c.Cells[:i], func(o CellConfig) bool { return o.Store == cell.Store }) {
			bad(field+".store", "missing, or another cell's")
		}
		if len(cell.Parts) == 0 { // parts are moved to it later
			continue
		}
		if len(cell.Parts) != 2 || cell.Parts[0] < 0 || cell.Parts[0] > cell.Parts[1] || cell.Parts[1] >= s.Parts {
			bad(field+".parts", "not [from, to] between 0 and %d", s.Parts-1)
			continue
		}
		for p := cell.Parts[0]; p <= cell.Parts[1]; p++ {
			if owner[p] != "" {
				bad(field+".parts", "part %d is another cell's already", p)
				break
			}
			owner[p] = cell.Name
		}
	}
	if p := slices.Index(owner, ""); p >= 0 {
		bad("cells", "part %d is of no cell", p)
	}
}

func plainName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 40
}

// Cell returns the configuration of one cell by itself.
func (c *Config) Cell(name string) (Config, error) {
	names := ""
	for _, cell := range c.Cells {
		if cell.Name == name {
			one := *c
			one.Store, one.Cells = cell.Store, nil
			if one.Audit.Roots != "" {
				one.Audit.Roots = filepath.Join(one.Audit.Roots, name)
			}
			if one.Share = stream.NoShare(c.Stream.Parts); len(cell.Parts) > 0 {
				one.Share = stream.ShareOf(c.Stream.Parts, cell.Parts[0], cell.Parts[1])
			}
			return one, nil
		}
		names += " " + cell.Name
	}
	if name == "" {
		return Config{}, duly.Errorf(duly.Usage, "the configuration has cells, and none is named").WithHint("give --cell, one of:%s", names)
	}
	return Config{}, duly.Errorf(duly.Usage, "there is no cell of this name").WithHint("the cells are:%s", names)
}

// Embed has one store or the cells that are configured stand behind a log in this process.
func (c *Config) Embed(dir string) error {
	if len(c.Stream.URLs) > 0 {
		return duly.Errorf(duly.Usage, "the configuration names servers of a log already").WithHint("leave --stream-embedded out")
	}
	c.Stream.Embedded = dir
	if !c.Celled() {
		c.Cells = []CellConfig{{Name: "only", Store: c.Store, Parts: []int{0, c.Stream.Parts - 1}}}
	}
	return nil
}

// openLog connects to the log, or starts the one in this process. Where o.Wait it waits for servers that do not answer.
func openLog(ctx context.Context, c *Config, o Options) (*stream.Log, func(), error) {
	sc := stream.Config{URLs: c.Stream.URLs, Name: c.Stream.Name, Parts: c.Stream.Parts, Replicas: c.Stream.Replicas, Credentials: c.Stream.Credentials, Log: o.Log}
	stop := func() {}
	if c.Stream.Embedded != "" {
		s, err := local.Start(local.Options{Dir: c.Stream.Embedded})
		if err != nil {
			return nil, nil, err
		}
		sc.URLs, sc.Replicas, stop = []string{s.URL()}, 1, s.Stop
	}
	told := false
	for {
		l, err := stream.Open(ctx, sc)
		if err == nil {
			return l, func() { l.Close(); stop() }, nil
		}
		if !o.Wait || duly.CodeOf(err) != duly.Unavailable {
			stop()
			return nil, nil, err
		}
		if !told {
			told = true
			o.Log.Error("the log does not answer; waiting for it", "error", err)
		}
		if !pause(ctx, openRetry) {
			stop()
			return nil, nil, errors.Join(err, context.Cause(ctx))
		}
	}
}

// ThroughLog opens every cell and the log, for a command that tells facts: fn is given the first cell, where what is read of files
// is noted, and the way to all of them. Some `duly serve` must run, for it applies them.
func ThroughLog(ctx context.Context, c Config, o Options, fn func(home *App, way engine.Way) error) (err error) {
	var apps []*App
	defer func() {
		for _, a := range apps {
			err = errors.Join(err, a.Close())
		}
	}()
	var engines []*engine.Engine
	for _, cell := range c.Cells {
		one, err := c.Cell(cell.Name)
		if err != nil {
			return err
		}
		o.Create = !IsPostgres(one.Store)
		a, err := New(ctx, one, o)
		if err != nil {
			return fmt.Errorf("cell %s: %w", cell.Name, err)
		}
		apps, engines = append(apps, a), append(engines, a.Engine)
	}
	if c.Stream.Embedded != "" {
		return errEmbedded()
	}
	l, stop, err := openLog(ctx, &c, o)
	if err != nil {
		return err
	}
	defer stop()
	p, err := stream.NewPublisher(l, func() ([]*engine.Engine, error) { return engines, nil })
	if err != nil {
		return err
	}
	defer p.Close()
	p.Patience = importPatience
	p.Keeps = func() []*store.DB {
		var out []*store.DB
		for _, a := range apps {
			out = append(out, a.DB)
		}
		return out
	}
	return fn(apps[0], p.Way())
}

// importPatience is how long a chunk of an import may take: no person waits for it.
const importPatience = 5 * time.Minute
