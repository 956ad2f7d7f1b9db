package api

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// getRoots lists the daily roots of the audit, newest first, without their heads: ?limit=.
func (h *Handler) getRoots(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	roots, err := h.DB.LatestRoots(r.Context(), limit)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"roots": list(roots)})
	return nil
}

// getRoot gives one root whole, as it is kept and posted.
func (h *Handler) getRoot(w http.ResponseWriter, r *http.Request) error {
	no, err := strconv.ParseInt(r.PathValue("no"), 10, 64)
	if err != nil || no < 1 {
		return duly.Errorf(duly.Usage, "not the number of a root").At(duly.Place{Field: "no"})
	}
	root, err := h.DB.AuditRoot(r.Context(), no)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, root)
	return nil
}

// getExport writes the audit as JSON lines: ?from=, ?to=. One that breaks off lacks its last line, and does not verify.
func (h *Handler) getExport(w http.ResponseWriter, r *http.Request) error {
	s := store.Span{In: h.Engine.Config().Location}
	var err error
	if s.From, s.To, err = daysOf(r); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jsonl; charset=utf-8")
	out := &counter{w: w}
	if err := h.DB.ExportAudit(r.Context(), out, h.Now(), s); err != nil {
		if out.n == 0 {
			return err
		}
		h.Log.Error("an export of the audit broke off", "error", err)
	}
	return nil
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int
}

// Write writes on.
func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += n
	return n, err
}

// getFence reports the contacts at or after a payment's value time: ?from=, ?to=, ?limit= of those listed.
func (h *Handler) getFence(w http.ResponseWriter, r *http.Request) error {
	from, to, err := daysOf(r)
	if err != nil {
		return err
	}
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	f, err := h.Engine.Fence(r.Context(), h.Now().UTC(), from, to)
	if err != nil {
		return err
	}
	f.Findings = list(f.Findings[:min(limit, len(f.Findings))])
	writeJSON(w, http.StatusOK, f)
	return nil
}

// getCertificate gives the certificate of an attempt, held against the audit.
func (h *Handler) getCertificate(w http.ResponseWriter, r *http.Request) error {
	p, err := h.Engine.Certificate(r.Context(), duly.AttemptID(r.PathValue("id")))
	if err != nil {
		return err
	}
	p.Mask()
	writeJSON(w, http.StatusOK, p)
	return nil
}

// daysOf reads ?from= and ?to=.
func daysOf(r *http.Request) (from, to civil.Date, err error) {
	for name, d := range map[string]*civil.Date{"from": &from, "to": &to} {
		if s := r.FormValue(name); s != "" {
			if *d, err = civil.Parse(s); err != nil {
				return from, to, duly.Errorf(duly.Usage, "%s: %v", name, err).At(duly.Place{Field: name})
			}
		}
	}
	if !to.IsZero() && to.Before(from) {
		return from, to, duly.Errorf(duly.Usage, "to is before from").At(duly.Place{Field: "to"})
	}
	return from, to, nil
}

// postResolve records what became of one attempt in doubt.
func (h *Handler) postResolve(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		engine.Word
		Fate       engine.Fate `json:"fate"`
		ProviderID string      `json:"provider_id"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	if !body.Fate.Known() {
		return duly.Errorf(duly.Invalid, "the fate is none: %v", engine.Fates()).At(duly.Place{File: "body", Field: "fate"})
	}
	a := engine.DoubtAnswer{Attempt: duly.AttemptID(r.PathValue("id")), ProviderID: body.ProviderID, Fate: body.Fate}
	x, err := h.Engine.Resolve(r.Context(), h.Now().UTC(), a, body.Word)
	if err != nil {
		return err
	}
	h.poke()
	writeJSON(w, http.StatusOK, x)
	return nil
}

// postAnswers tells what a carrier's answers would do, and with the preview's hash does just that.
func (h *Handler) postAnswers(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		engine.Word
		Answers []engine.DoubtAnswer `json:"answers"`
		Preview string               `json:"preview"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	for i := range body.Answers {
		if !body.Answers[i].Fate.Known() {
			return duly.Errorf(duly.Invalid, "the fate is none: %v", engine.Fates()).At(duly.Place{File: "body", Field: fmt.Sprintf("answers[%d].fate", i)})
		}
	}
	var p engine.DoubtPreview
	var err error
	if body.Preview == "" {
		p, err = h.Engine.PreviewAnswers(r.Context(), body.Answers)
	} else {
		p, err = h.Engine.ApplyAnswers(r.Context(), h.Now().UTC(), body.Answers, body.Preview, body.Word)
		h.poke()
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, p)
	return nil
}
