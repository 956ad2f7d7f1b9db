package reply

import (
	"fmt"
	"slices"
	"strings"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// CaseReply is the type of a case that asks what a text means, in a file of cases.
const CaseReply = "inbound_reply"

// Case is one text with the meaning that it must get: how the reading of replies is tested by cases beside those of rules.
//
//   - id: RP-14
//     type: inbound_reply
//     lang: zh
//     text: 别再给我打电话了，发短信就行
//     expect: {intent: opt_out, scope: [calls], auto: true}
//
// Scopes may stand in any order. on is the day that the text came, for those that promise one; promise_on the day promised.
type Case struct {
	ID      string       `json:"id"`
	Lang    string       `json:"lang"`
	Text    string       `json:"text"`
	Channel duly.Channel `json:"channel"`
	On      civil.Date   `json:"on"`
	Expect  struct {
		Intent    Intent     `json:"intent"`
		Scope     []string   `json:"scope"`
		Auto      *bool      `json:"auto"`
		PromiseOn civil.Date `json:"promise_on"`
	} `json:"expect"`
}

// Run reads the text and returns what is wrong with what it was taken to mean, or "". The text is not repeated.
func (c *Case) Run() string {
	got := Classify(Message{Text: c.Text, Language: c.Lang, On: c.On, Channel: c.Channel})
	var wrong []string
	say := func(what string, got, want any) {
		wrong = append(wrong, fmt.Sprintf("%s: got %v, want %v", what, got, want))
	}
	if got.Intent != c.Expect.Intent {
		say("intent", got.Intent, c.Expect.Intent)
	}
	if want := slices.Sorted(slices.Values(c.Expect.Scope)); c.Expect.Scope != nil && !slices.Equal(slices.Sorted(slices.Values(got.Scope)), want) {
		say("scope", got.Scope, c.Expect.Scope)
	}
	if c.Expect.Auto != nil && got.Auto != *c.Expect.Auto {
		say("auto", got.Auto, *c.Expect.Auto)
	}
	if want := c.Expect.PromiseOn; !want.IsZero() && got.PromiseOn != want {
		say("promise_on", got.PromiseOn, want)
	}
	if len(wrong) > 0 {
		wrong = append(wrong, "decided by "+got.Matched)
	}
	return strings.Join(wrong, "; ")
}
