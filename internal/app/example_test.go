package app_test

import (
	"encoding/json"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A carrier is one folder and one line: the example of docs/channels.md is put into the source as it stands there, passes the suite,
// and is a kind that the configuration knows.
func TestAddingACarrier(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the product")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "channels.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, page2, ok := strings.Cut(string(page), "\n## Adding a carrier\n")
	if !ok {
		t.Fatal("the page has no example")
	}
	block := func() string {
		_, rest, ok := strings.Cut(page2, "```go\n")
		text, after, end := strings.Cut(rest, "```\n")
		if !ok || !end {
			t.Fatal("the example lacks a block")
		}
		page2 = after
		return text
	}
	adapter, line, suite := block(), block(), block()
	for _, src := range []string{adapter, suite} {
		if got, err := format.Source([]byte(src)); err != nil || string(got) != src {
			t.Errorf("the example is not as gofmt has it: %v", err)
		}
	}
	if strings.Count(line, "\n") != 1 {
		t.Errorf("the line is %q, want one", line)
	}
	const table, imports = "	return map[string]kind{\n", "	\"github.com/dulyhq/duly/internal/channel/sandbox\"\n"
	src, err := os.ReadFile("carriers.go")
	if err != nil {
		t.Fatal(err)
	}
	wired := strings.Replace(strings.Replace(string(src), table, table+line, 1), imports, "	\"github.com/dulyhq/duly/internal/channel/pager\"\n"+imports, 1)
	if len(wired) == len(src) {
		t.Fatal("carriers.go has no place for the line")
	}
	dir, replace := t.TempDir(), map[string]string{}
	for path, text := range map[string]string{
		"internal/channel/pager/pager.go": adapter, "internal/channel/pager/pager_test.go": suite, "internal/app/carriers.go": wired,
	} {
		file := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, filepath.FromSlash(path))] = file
	}
	overlay, bin := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "duly")
	b, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err == nil {
		err = os.WriteFile(overlay, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("go", "test", "-c", "-vet", "off", "-overlay", overlay, "-o", bin+".test", "./internal/channel/pager") // vet would go to the folder, which is not there
	run(bin + ".test")
	run("go", "build", "-overlay", overlay, "-ldflags", "-s -w", "-o", bin, "./cmd/duly")
	config := filepath.Join(dir, "duly.yaml")
	text := "carriers:\n  own: {channels: [sms], pager: {url: \"http://127.0.0.1:1\", token: t}}\n  rest: {channels: [push, email, im, in_app, call_ai, call_prerecorded, letter], sandbox: {}}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run(bin, "-c", config, "--store", filepath.Join(dir, "d.db"), "migrate")
	if out := run(bin, "-c", config, "--store", filepath.Join(dir, "d.db"), "carriers"); !strings.Contains(out, "own      sms") {
		t.Errorf("the new kind is not told of:\n%s", out)
	}
}
