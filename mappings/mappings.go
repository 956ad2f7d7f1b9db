// Package mappings holds the mappings that Duly ships: how files of Duly's own format, and of one published loan book,
// become facts.
//
// duly-book is one CSV row per instalment with everything about its borrower and loan; the other duly- mappings are one
// CSV file per noun, and duly-jsonl is JSON lines. They are the examples to start a mapping of one's own from:
// docs/mapping.md says what each key means.
//
//	src, err := mappings.FS.ReadFile("duly-book.yaml")
//	m, err := ingest.LoadMapping("duly-book.yaml", src)
package mappings

import "embed"

// FS holds the mappings, <name>.yaml.
//
//go:embed *.yaml
var FS embed.FS
