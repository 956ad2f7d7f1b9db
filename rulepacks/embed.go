// Package rulepacks holds the rule packs that ship with Duly: each folder is one pack, its law in pack.yaml and the cases
// that test it in tests.yaml.
//
//	packs, err := rule.LoadFS(rulepacks.FS)
package rulepacks

import "embed"

// FS has a folder for each pack.
//
//go:embed */pack.yaml */tests.yaml
var FS embed.FS
