package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/rulepacks"
	"github.com/dulyhq/duly/strategies"
	"github.com/dulyhq/duly/templates"
)

// manifest names all that decides what is planned, each text by its hash. It is kept as a document itself, and its hash is on
// every round of planning.
type manifest struct {
	Program    string                        `json:"program"` // holidays that come with Duly, and the rules' meaning, are the program's
	Timezone   string                        `json:"timezone"`
	Entity     string                        `json:"entity_class"`
	Purchaser  bool                          `json:"credit_purchaser"`
	Senders    map[duly.Channel]SenderConfig `json:"senders"`
	Enforce    []string                      `json:"enforce"`
	Strategies []text                        `json:"strategies"`
	Packs      [][]text                      `json:"packs"` // by place in the configuration
	Templates  []text                        `json:"templates"`
	Calendars  []text                        `json:"calendars"` // of the operator
}

// text is a file of the configuration.
type text struct {
	Name string `json:"name"`
	Hash string `json:"hash"`
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// sources gathers the texts of a configuration that decide what is planned.
func (c *Config) sources() (engine.Sources, error) {
	g := gathering{}
	m := manifest{
		Program: version(), Timezone: c.Lender.Timezone, Entity: c.Lender.EntityClass, Purchaser: c.Lender.CreditPurchaser, Senders: c.Senders,
		Enforce: c.Rules.Enforce,
	}
	for _, name := range c.Strategies {
		src, file, err := readNamed(strategies.FS, name)
		if err != nil {
			return g.Sources, err
		}
		m.Strategies = append(m.Strategies, g.add(filepath.Base(file), string(src)))
	}
	for _, name := range c.Packs {
		fsys, pattern := fs.FS(rulepacks.FS), name+"/*.yaml"
		if strings.ContainsRune(name, os.PathSeparator) {
			fsys, pattern = os.DirFS(name), "*/*.yaml"
		}
		m.Packs = append(m.Packs, g.all(fsys, pattern))
	}
	words := fs.FS(templates.FS)
	if c.Templates != "" {
		words = os.DirFS(c.Templates)
	}
	m.Templates = g.all(words, "*/*.yaml")
	if c.Calendars != "" {
		m.Calendars = g.all(os.DirFS(c.Calendars), "*/*.json")
	}
	b, err := json.Marshal(m)
	if err == nil {
		err = g.err
	}
	if err != nil {
		return g.Sources, fmt.Errorf("gather what decides: %w", err)
	}
	g.Configuration = g.add("", string(b)).Hash
	return g.Sources, nil
}

// gathering collects texts.
type gathering struct {
	engine.Sources
	err error
}

func (g *gathering) add(name, src string) text {
	d := store.Document{Hash: hashOf(src), Text: src}
	g.Documents = append(g.Documents, d)
	return text{name, d.Hash}
}

func (g *gathering) all(fsys fs.FS, pattern string) (out []text) {
	files, err := fs.Glob(fsys, pattern)
	for _, file := range files {
		var src []byte
		if src, err = fs.ReadFile(fsys, file); err != nil {
			break
		}
		out = append(out, g.add(file, string(src)))
	}
	if g.err == nil {
		g.err = err
	}
	return out
}

// Replayer decides past days again, in a scratch store and with files that it makes in dir. Close its Scratch when done.
func (a *App) Replayer(ctx context.Context, dir string) (*engine.Replayer, error) {
	scratch, err := store.Create(ctx, filepath.Join(dir, "scratch.db")+store.Hasty)
	if err != nil {
		return nil, err
	}
	return &engine.Replayer{From: a.DB, Scratch: scratch, Log: a.Log, Decider: func(ctx context.Context, configuration string) (engine.Decider, error) {
		return a.decider(ctx, dir, configuration)
	}}, nil
}

// decider puts together what decided under a configuration; "" is that of the app itself.
func (a *App) decider(ctx context.Context, dir, configuration string) (engine.Decider, error) {
	if configuration == "" {
		src, err := a.Config.sources()
		if err != nil {
			return engine.Decider{}, err
		}
		return a.Config.decide(src.Documents[len(src.Documents)-1].Text, a.Location)
	}
	kept, err := a.DB.FindDocument(ctx, configuration)
	if err != nil {
		return engine.Decider{}, err
	}
	var m manifest
	if err := json.Unmarshal([]byte(kept), &m); err != nil {
		return engine.Decider{}, fmt.Errorf("read document %.12s: %w", configuration, err)
	}
	c, err := m.restore(ctx, a.DB, filepath.Join(dir, configuration[:12]))
	if err != nil {
		return engine.Decider{}, err
	}
	loc, err := time.LoadLocation(m.Timezone)
	if err != nil {
		return engine.Decider{}, duly.Errorf(duly.Invalid, "not an IANA time zone").At(duly.Place{Field: "lender.timezone"})
	}
	return c.decide(kept, loc)
}

// decide loads what decides of a configuration, whose manifest is given.
func (c *Config) decide(kept string, loc *time.Location) (engine.Decider, error) {
	d := engine.Decider{Config: engine.Config{Location: loc, Law: c.asLender()}}
	var m manifest
	if err := json.Unmarshal([]byte(kept), &m); err != nil {
		return d, err
	}
	var err error
	if d.Deps.Strategies, err = LoadStrategies(c.Strategies); err != nil {
		return d, err
	}
	if d.Deps.Packs, err = c.Law(); err != nil {
		return d, err
	}
	if d.Deps.Calendars, err = c.Holidays(); err != nil {
		return d, err
	}
	d.Enforced, d.Calendars = m.Enforce, digest(m.Calendars)
	d.Lender = digest([]any{m.Timezone, m.Entity, m.Purchaser, m.Senders})
	return d, nil
}

func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("app.digest: " + err.Error()) // plain lists of texts always marshal
	}
	return hashOf(string(b))
}

// restore writes the texts of a manifest into a folder, and returns the configuration that names them there.
func (m *manifest) restore(ctx context.Context, db *store.DB, dir string) (Config, error) {
	c := Config{Lender: Lender{Timezone: m.Timezone, EntityClass: m.Entity, CreditPurchaser: m.Purchaser}, Senders: m.Senders, Rules: Rules{m.Enforce}}
	write := func(folder string, files []text) error {
		for _, f := range files {
			src, err := db.FindDocument(ctx, f.Hash)
			if err != nil {
				return err
			}
			name := filepath.Join(dir, folder, filepath.FromSlash(path.Clean("/"+f.Name)))
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(name, []byte(src), 0o600); err != nil {
				return err
			}
		}
		return nil
	}
	for i, f := range m.Strategies {
		folder := "strategy" + strconv.Itoa(i)
		if err := write(folder, []text{f}); err != nil {
			return c, err
		}
		c.Strategies = append(c.Strategies, filepath.Join(dir, folder, f.Name))
	}
	for i, files := range m.Packs {
		folder := "pack" + strconv.Itoa(i)
		if err := write(folder, files); err != nil {
			return c, err
		}
		c.Packs = append(c.Packs, filepath.Join(dir, folder))
	}
	if len(m.Calendars) == 0 {
		return c, nil
	}
	c.Calendars = filepath.Join(dir, "calendar")
	return c, write("calendar", m.Calendars)
}
