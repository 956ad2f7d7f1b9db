package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/strategy"
	"github.com/dulyhq/duly/rulepacks"
	"github.com/dulyhq/duly/strategies"
)

var shanghai = func() *time.Location {
	loc, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		panic(err)
	}
	return loc
}()

// world is what ships with Duly: strategies, packs and calendars.
type world struct {
	packs      []*rule.Pack
	calendars  *civil.Calendars
	strategies []*strategy.Strategy
	sets       map[string]*rule.Set
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{sets: map[string]*rule.Set{}}
	var err error
	if w.packs, err = rule.LoadFS(rulepacks.FS); err != nil {
		t.Fatal(err)
	}
	if w.calendars, err = civil.BuiltIn(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"consumer-cn.yaml", "consumer-en.yaml"} {
		src, err := strategies.FS.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		w.add(t, name, src)
	}
	return w
}

func (w *world) add(t testing.TB, name string, src []byte) *strategy.Strategy {
	t.Helper()
	s, err := strategy.Load(name, src)
	if err != nil {
		t.Fatal(err)
	}
	var caps []rule.Rule
	for i, l := range s.Limits {
		r, err := rule.NewCap(fmt.Sprintf("LIMIT-%02d", i+1), s.Name, l.Max, l.Per, l.Channels)
		if err != nil {
			t.Fatal(err)
		}
		caps = append(caps, r)
	}
	if w.sets[s.Name], err = rule.NewSet(w.packs, caps...); err != nil {
		t.Fatal(err)
	}
	w.strategies = append(w.strategies, s)
	return s
}

func (w *world) rules(t testing.TB, s *strategy.Strategy) *rule.Set {
	t.Helper()
	set := w.sets[s.Name]
	if set == nil {
		t.Fatalf("no rules for %s", s.Name)
	}
	return set
}
