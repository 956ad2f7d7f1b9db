// Package templates holds the words that ship with Duly: a folder for each language, a file for each message. A lender
// copies the folder, changes the words and names the copy in the configuration.
//
//	words, err := message.LoadFS(templates.FS)
package templates

import "embed"

// FS has a folder for each language.
//
//go:embed */*.yaml
var FS embed.FS
