// Package tidy is a test of the repository: the floors hold, nothing below the roof reads a clock, every package says what
// it is.
package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/dulyhq/duly"

// floors is the one table of the building: a package may import what is on a lower floor, and what sideways allows. The
// longest prefix decides.
var floors = map[string]int{
	"internal/civil": 0, "internal/money": 0, "internal/fault": 0,
	"":                  1,
	"internal/strategy": 2, "internal/rule": 2, "internal/gate": 2, "internal/plan": 2, "internal/message": 2, "internal/reply": 2, "internal/dialogue": 2,
	"internal/arrange": 2, "internal/outcome": 2, "internal/audit": 2,
	"rulepacks": 2, "strategies": 2, "templates": 2, "mappings": 2, "dialogues": 2,
	"internal/ingest": 3, "internal/channel": 3, "internal/voice": 3, "internal/store": 3,
	"internal/engine": 4, "internal/web": 5, "internal/stream": 5, "internal/app": 6, "internal/sim": 6, "cmd": 7, "internal/tidy": 7, "bench": 7,
}

// sideways lists who may import whom on the same floor.
var sideways = map[string][]string{
	"internal/gate":     {"internal/rule", "internal/gate", "rulepacks"},
	"internal/plan":     {"internal/rule", "internal/gate", "internal/strategy"},
	"internal/dialogue": {"internal/message", "dialogues"}, // it speaks of what templates speak of
	"internal/channel":  {"internal/channel", "internal/voice"},
	"internal/store":    {"internal/store"},
	"internal/web":      {"internal/web"},
	"internal/app":      {"internal/sim"},
	"internal/sim":      {"internal/sim", "internal/app"},
	"internal/message":  {"templates"}, // its tests read what is shipped
	"internal/rule":     {"rulepacks"},
	"internal/strategy": {"strategies"},
	"internal/ingest":   {"mappings"},
}

// clocks may read time.Now: the roof, and what measures.
var clocks = []string{"internal/app", "cmd", "internal/sim", "bench"}

type file struct {
	path string // from the root of the repository
	pkg  string // the folder
	test bool
	ast  *ast.File
}

func load(t *testing.T) []file {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []file
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (strings.HasPrefix(name, ".") && name != ".." || name == "node_modules" || name == "testdata" || name == "demo") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(rel))
		if dir == "." {
			dir = ""
		}
		out = append(out, file{filepath.ToSlash(rel), dir, strings.HasSuffix(name, "_test.go"), f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 50 {
		t.Fatalf("only %d Go files found: the test looks in the wrong place", len(out))
	}
	return out
}

// room returns the entry of the table that a folder belongs to.
func room(pkg string) (string, int, bool) {
	for p := pkg; ; p = p[:strings.LastIndexByte(p, '/')] {
		if n, ok := floors[p]; ok && (p != "" || pkg == "") {
			return p, n, true
		}
		if !strings.ContainsRune(p, '/') {
			return "", 0, false
		}
	}
}

// Imports go down only; a package that no floor is given has no place in the building.
func TestFloors(t *testing.T) {
	t.Parallel()
	for _, f := range load(t) {
		from, floor, ok := room(f.pkg)
		if !ok {
			t.Errorf("%s: the folder has no floor; give it one in the table of this test and in docs/ARCHITECTURE.md", f.path)
			continue
		}
		if f.test {
			continue // tests may look up
		}
		for _, imp := range f.ast.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			rest, inside := strings.CutPrefix(path, module)
			if !inside {
				continue
			}
			to, lower, ok := room(strings.TrimPrefix(rest, "/"))
			switch {
			case !ok:
				t.Errorf("%s imports %s, which has no floor", f.path, path)
			case lower > floor, lower == floor && !slices.Contains(sideways[from], to):
				t.Errorf("%s (floor %d) imports %s (floor %d): imports go down only", f.path, floor, path, lower)
			}
		}
	}
}

// A clock is read at the roof only; everything else is told what time it is.
func TestClock(t *testing.T) {
	t.Parallel()
	for _, f := range load(t) {
		if f.test || slices.ContainsFunc(clocks, func(p string) bool { return f.pkg == p || strings.HasPrefix(f.pkg, p+"/") }) ||
			strings.HasSuffix(f.pkg, "test") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && (s.Sel.Name == "Now" || s.Sel.Name == "Since" || s.Sel.Name == "Until") {
				t.Errorf("%s: time.%s below the roof; take now as an argument", f.path, s.Sel.Name)
			}
			return true
		})
	}
}

// There is no floating point where there is money, and no init anywhere.
func TestBans(t *testing.T) {
	t.Parallel()
	for _, f := range load(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if d, ok := n.(*ast.FuncDecl); ok && d.Name.Name == "init" && d.Recv == nil {
				t.Errorf("%s: init runs without being asked; construct it where it is needed", f.path)
			}
			if id, ok := n.(*ast.Ident); ok && !f.test && (id.Name == "float64" || id.Name == "float32") &&
				(f.pkg == "internal/money" || f.pkg == "internal/arrange" || f.pkg == "") {
				t.Errorf("%s: %s: money is whole minor units", f.path, id.Name)
			}
			return true
		})
	}
}

// Every package says in one sentence what it is.
func TestPackageComments(t *testing.T) {
	t.Parallel()
	said, seen := map[string]bool{}, map[string]bool{}
	for _, f := range load(t) {
		if f.test && f.pkg != "internal/tidy" {
			continue
		}
		seen[f.pkg] = true
		if doc := f.ast.Doc.Text(); strings.HasPrefix(doc, "Package ") || strings.HasPrefix(doc, "Command ") {
			said[f.pkg] = true
		}
	}
	for pkg := range seen {
		if !said[pkg] {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

// Exported names below the command are documented.
func TestDocComments(t *testing.T) {
	t.Parallel()
	for _, f := range load(t) {
		if f.test || strings.HasPrefix(f.pkg, "cmd") {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && d.Doc.Text() == "" && !factMethod(d) {
					t.Errorf("%s: %s has no comment", f.path, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc.Text() == "" && ts.Doc.Text() == "" && ts.Comment.Text() == "" {
						t.Errorf("%s: type %s has no comment", f.path, ts.Name.Name)
					}
				}
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

// factMethod reports whether d is one of the methods that duly.Fact documents for every noun.
func factMethod(d *ast.FuncDecl) bool {
	return slices.Contains([]string{"FactKind", "Owner", "FactKey", "FactVersion"}, d.Name.Name)
}

// Decisions are numbered, none twice, and the list names each. Numbers may be missing: decisions are written side by side.
func TestDecisions(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(filepath.Join("..", "..", "docs", "adr"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join("..", "..", "docs", "adr", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for _, e := range entries {
		if e.Name() == "README.md" {
			continue
		}
		n, err := strconv.Atoi(e.Name()[:4])
		if err != nil || n <= last {
			t.Errorf("docs/adr/%s: its number is none, or another's: %04d is the last before it", e.Name(), last)
		}
		if !strings.Contains(string(list), "("+e.Name()+")") {
			t.Errorf("docs/adr/README.md does not name %s", e.Name())
		}
		last = n
	}
}

// One word per thing: the synonyms that the glossary rejects do not stand in names.
func TestWords(t *testing.T) {
	t.Parallel()
	banned := regexp.MustCompile(`(?i)^(.*[a-z])?(debtor|repayer|customer|dunning|campaign)([A-Z].*)?$`)
	for _, f := range load(t) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && banned.MatchString(fn.Name.Name) {
				t.Errorf("%s: %s: docs/glossary.md has another word for it", f.path, fn.Name.Name)
			}
		}
	}
}
