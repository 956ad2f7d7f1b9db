package main

import (
	"encoding/json"
	"fmt"

	"github.com/goccy/go-yaml"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/reply"
	"github.com/dulyhq/duly/internal/rule"
)

// caseRunners judge the types of cases that are no question to the gate: deadlines by the packs, replies by package reply.
func caseRunners(packs []*rule.Pack) (gate.Runners, error) {
	calendars, err := civil.BuiltIn()
	if err != nil {
		return nil, err
	}
	return gate.Runners{
		rule.CaseDeadline: func(c *gate.Case) (string, error) {
			var d rule.DeadlineCase
			if err := reread(c, func(b []byte) error { return yaml.Unmarshal(b, &d) }); err != nil {
				return "", err
			}
			return d.Run(packs, calendars), nil
		},
		reply.CaseReply: func(c *gate.Case) (string, error) {
			var r reply.Case
			if err := reread(c, func(b []byte) error { return json.Unmarshal(b, &r) }); err != nil {
				return "", err
			}
			return r.Run(), nil
		},
	}, nil
}

// reread reads a case anew as what its type makes of it.
func reread(c *gate.Case, read func([]byte) error) error {
	b, err := json.Marshal(c.Raw())
	if err != nil {
		return fmt.Errorf("case %s: %w", c.ID, err)
	}
	if err := read(b); err != nil {
		return duly.Errorf(duly.Invalid, "a key of the case has not the right kind of value").At(duly.Place{Field: "cases." + c.ID})
	}
	return nil
}
