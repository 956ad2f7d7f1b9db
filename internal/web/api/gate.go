package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/rule"
)

// postGateCheck answers one question to the gate: a case in, the decision with every rule's answer out. Nothing is stored.
func (h *Handler) postGateCheck(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, gate.MaxCaseBytes))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return duly.Errorf(duly.Usage, "the body is larger than %d bytes", gate.MaxCaseBytes)
	}
	if err != nil {
		return duly.Errorf(duly.Usage, "the body cannot be read whole")
	}
	if !json.Valid(body) {
		return duly.Errorf(duly.Usage, "the body is not JSON").At(duly.Place{File: "body"})
	}
	c, err := gate.ReadCase("body", body)
	if err != nil {
		return first(err)
	}
	if len(c.Notes) > 0 { // a caller of the API gets what it meant, or nothing
		return duly.Errorf(duly.Invalid, "unknown key").At(duly.Place{File: "body"}).WithHint("docs/rules.md lists what a case holds")
	}
	x, err := gate.Ask(c, h.Packs, h.Calendars)
	if err != nil {
		return first(err)
	}
	writeJSON(w, http.StatusOK, x)
	return nil
}

// first returns the first error of several that is for a person.
func first(err error) error {
	if e, ok := errors.AsType[*duly.Error](err); ok {
		return e
	}
	return err
}

// rulePack is a pack as GET /v1/rules tells it.
type rulePack struct {
	ID           string       `json:"id"`
	Version      string       `json:"version"`
	Jurisdiction string       `json:"jurisdiction"`
	Title        title        `json:"title"`
	Hash         string       `json:"hash"`
	Conditions   []rule.Field `json:"conditions"` // of every rule of the pack
	Rules        []oneRule    `json:"rules"`
}

type title struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

type oneRule struct {
	ID       string       `json:"id"`
	Kind     rule.Kind    `json:"kind"`
	Title    title        `json:"title"`
	Force    duly.Force   `json:"force"`
	Enforced bool         `json:"enforced"` // false: in shadow
	Effect   duly.Verdict `json:"effect"`
	Reason   string       `json:"reason"`
	Says     []rule.Field `json:"says"` // what the pack writes, by path
}

// getRules lists the packs in force with their rules, what each says and where it comes from.
func (h *Handler) getRules(w http.ResponseWriter, _ *http.Request) error {
	out := struct {
		Packs []rulePack `json:"packs"`
	}{[]rulePack{}}
	for _, p := range h.Packs {
		q := rulePack{p.ID, p.Version, p.Jurisdiction, title{p.TitleZH, p.TitleEN}, p.Hash, append([]rule.Field{}, p.Conditions()...), []oneRule{}}
		for i := range p.Rules {
			r := &p.Rules[i]
			q.Rules = append(q.Rules, oneRule{r.ID, r.Kind, title{r.TitleZH, r.TitleEN}, r.Force, !r.Shadow, r.Effect, r.Reason, r.Fields()})
		}
		out.Packs = append(out.Packs, q)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}
