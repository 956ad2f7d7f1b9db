package api

import (
	"net/http"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
)

// getPoints lists who owes and has no good contact point, those longest not seen first: ?quality=, ?limit=; or with ?borrower= the
// contact points of one borrower. Addresses are masked.
func (h *Handler) getPoints(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	if id := r.URL.Query().Get("borrower"); id != "" {
		points, err := h.Engine.Points(r.Context(), duly.BorrowerID(id))
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, map[string][]engine.PointView{"points": list(points)})
		return nil
	}
	out, err := h.Engine.Unreached(r.Context(), r.URL.Query().Get("quality"), limit)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string][]engine.Unreached{"unreached": list(out)})
	return nil
}
