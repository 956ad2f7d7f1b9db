package api

import (
	"net/http"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// getCarriers tells how the carriers do, as this process and the others know them, and what is pinned.
func (h *Handler) getCarriers(w http.ResponseWriter, r *http.Request) error {
	x, err := h.Engine.Carriers(r.Context(), h.Now().UTC())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, x)
	return nil
}

// putPin has all messages of a channel go to one carrier.
func (h *Handler) putPin(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Carrier string    `json:"carrier"`
		Until   time.Time `json:"until"`
		By      string    `json:"by"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	now := h.Now().UTC()
	p := store.Pin{Channel: duly.Channel(r.PathValue("channel")), Carrier: body.Carrier, Until: body.Until.UTC(), By: body.By, At: now}
	if body.Until.IsZero() {
		p.Until = time.Time{}
	}
	if err := h.Engine.Pin(r.Context(), now, p); err != nil {
		return err
	}
	h.poke()
	return h.getCarriers(w, r)
}

// deletePin takes a channel's pin away.
func (h *Handler) deletePin(w http.ResponseWriter, r *http.Request) error {
	if err := h.Engine.Unpin(r.Context(), h.Now().UTC(), duly.Channel(r.PathValue("channel")), r.URL.Query().Get("by")); err != nil {
		return err
	}
	h.poke()
	return h.getCarriers(w, r)
}
