package api

import (
	"net/http"

	duly "github.com/dulyhq/duly"
)

// getCells tells which cell has which parts, who works on them, and which are being moved.
func (h *Handler) getCells(w http.ResponseWriter, r *http.Request) error {
	cells, err := h.ListCells(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, cells)
	return nil
}

// postMove begins to move parts to another cell. It answers once that is begun; GET /v1/cells tells how it goes on.
func (h *Handler) postMove(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Part *int   `json:"part"`
		Last *int   `json:"last_part"` // of several
		Cell string `json:"cell"`
	}
	if err := readJSON(r, &in); err != nil {
		return err
	}
	switch {
	case in.Part == nil:
		return duly.Errorf(duly.Usage, "missing: the part to move").At(duly.Place{Field: "part"}).WithHint("GET /v1/cells lists them")
	case in.Cell == "":
		return duly.Errorf(duly.Usage, "missing: the cell to move to").At(duly.Place{Field: "cell"})
	case in.Last == nil:
		in.Last = in.Part
	}
	if err := h.MoveParts(r.Context(), *in.Part, *in.Last, in.Cell); err != nil {
		return err
	}
	writeJSON(w, http.StatusAccepted, map[string]bool{"begun": true})
	return nil
}
