// Package rulepacks holds the rule packs that ship with Duly: each folder is one pack, its law in pack.yaml and the cases
// that test it in tests.yaml. What has to be done or kept after something happened is in obligations.yaml, with its cases
// in deadlines.yaml.
//
//	packs, err := rule.LoadFS(rulepacks.FS)
package rulepacks

import "embed"

// FS has a folder for each pack.
//
//go:embed */pack.yaml */tests.yaml */obligations.yaml */deadlines.yaml
var FS embed.FS
