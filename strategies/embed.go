// Package strategies holds the contact strategies that ship with Duly: consumer-cn for mainland China and consumer-en for
// an English-speaking market. They are a beginning: copy one, change it, and check it with `duly strategy check`.
//
//	src, err := strategies.FS.ReadFile("consumer-cn.yaml")
//	s, err := strategy.Load("consumer-cn.yaml", src)
package strategies

import "embed"

// FS has a file for each strategy.
//
//go:embed *.yaml
var FS embed.FS
