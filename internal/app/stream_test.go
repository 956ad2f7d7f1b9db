package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/app"
)

// A part of no cell would be of people to whom nothing is sent, one of two cells of people who are told twice: neither is taken.
func TestCellsChecked(t *testing.T) {
	t.Parallel()
	const urls = "stream: {urls: ['nats://n:4222'], parts: 8}\n"
	for _, c := range []struct{ name, yaml, say string }{
		{"whole", urls + "cells:\n  - {name: a, store: a.db, parts: [0, 3]}\n  - {name: b, store: b.db, parts: [4, 7]}\n", ""},
		{"a gap", urls + "cells:\n  - {name: a, store: a.db, parts: [0, 3]}\n  - {name: b, store: b.db, parts: [5, 7]}\n", "part 4 is of no cell"},
		{"an overlap", urls + "cells:\n  - {name: a, store: a.db, parts: [0, 4]}\n  - {name: b, store: b.db, parts: [4, 7]}\n", "part 4 is another cell's"},
		{"one store twice", urls + "cells:\n  - {name: a, store: a.db, parts: [0, 3]}\n  - {name: b, store: a.db, parts: [4, 7]}\n", "another cell's"},
		{"no log", "cells:\n  - {name: a, store: a.db, parts: [0, 63]}\n", "cells need a log"},
		{"no cells", urls, "at least one cell"},
		{"an odd number of parts", "stream: {urls: ['nats://n:4222'], parts: 10}\ncells:\n  - {name: a, store: a.db, parts: [0, 9]}\n", "divisor"},
	} {
		path := filepath.Join(t.TempDir(), "duly.yaml")
		if err := os.WriteFile(path, []byte(c.yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := app.LoadConfig(path)
		if (err == nil) != (c.say == "") || err != nil && !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.say)
		}
	}
}
