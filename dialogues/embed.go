// Package dialogues holds what the voice robot says, as it ships with Duly: a folder for each language, a file for each dialogue. A lender
// copies the folder, changes it, checks it with `duly dialogue check`, and names the copy in the carrier's settings.
//
//	set, err := dialogue.LoadFS(dialogues.FS)
package dialogues

import "embed"

// FS has a folder for each language.
//
//go:embed */*.yaml
var FS embed.FS
