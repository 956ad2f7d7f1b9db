package api

import (
	"net/http"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
)

// askBody is an engine.Ask as it is posted: one loan may be named alone, and how long the slot is to be kept is 15m.
type askBody struct {
	engine.Ask
	Loan      duly.LoanID `json:"loan"`
	ExpiresIn string      `json:"expires_in"`
}

// refusedBody answers that no slot is kept, and why.
type refusedBody struct {
	Error *duly.Error `json:"error"`
	engine.Slot
}

// postReservation asks for a slot: 200 with one that is kept, 409 with the reasons why none is.
func (h *Handler) postReservation(w http.ResponseWriter, r *http.Request) error {
	var body askBody
	if err := readJSON(r, &body); err != nil {
		return err
	}
	ask := body.Ask
	if body.Loan != "" {
		ask.Loans = append(ask.Loans, body.Loan)
	}
	if body.ExpiresIn != "" {
		d, err := time.ParseDuration(body.ExpiresIn)
		if err != nil || d <= 0 {
			return duly.Errorf(duly.Invalid, "not a length of time above zero").At(duly.Place{File: "body", Field: "expires_in"}).WithHint("write it as 15m or 2h")
		}
		ask.ExpiresIn = d
	}
	slot, err := h.Engine.Reserve(r.Context(), h.Now().UTC(), "api", ask)
	if err != nil {
		return err
	}
	slot.Reasons = list(slot.Reasons)
	if slot.Verdict == duly.Allow {
		h.metrics.asked.WithLabelValues("reserved").Inc()
		writeJSON(w, http.StatusOK, slot)
		return nil
	}
	h.metrics.asked.WithLabelValues("refused").Inc()
	writeJSON(w, http.StatusConflict, refusedBody{slot.Refusal(), slot})
	return nil
}

// getReservation tells how a reservation stands: asked right before dialling.
func (h *Handler) getReservation(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Engine.Stands(r.Context(), h.Now().UTC(), duly.ReservationID(r.PathValue("id")))
	return standing(w, s, err)
}

// commitReservation records that the contact was made.
func (h *Handler) commitReservation(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Outcome string    `json:"outcome"`
		At      time.Time `json:"at"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	s, err := h.Engine.Commit(r.Context(), h.Now().UTC(), "api", duly.ReservationID(r.PathValue("id")), body.Outcome, body.At)
	return standing(w, s, err)
}

// releaseReservation gives the slot back.
func (h *Handler) releaseReservation(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	s, err := h.Engine.Release(r.Context(), h.Now().UTC(), "api", duly.ReservationID(r.PathValue("id")), body.Reason)
	return standing(w, s, err)
}

func standing(w http.ResponseWriter, s engine.Standing, err error) error {
	if err != nil {
		return err
	}
	s.Reasons, s.Reservation.Loans, s.Reservation.Items = list(s.Reasons), list(s.Reservation.Loans), list(s.Reservation.Items)
	writeJSON(w, http.StatusOK, s)
	return nil
}
