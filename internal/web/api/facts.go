package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/internal/store"
)

// appliedBody is the answer to posted facts: what became of each, in order, and what it brought about.
type appliedBody struct {
	Results []string `json:"results"` // added, changed, same, stale, conflict, unknown_borrower, unknown_loan, wrong_currency
	Settled int      `json:"installments_settled"`
	Stopped int      `json:"contacts_stopped"`
	Held    bool     `json:"feed_held,omitempty"` // the call's feed event was not taken: a fact beside it was refused
}

// postPayments takes one payment, or a list of them.
func (h *Handler) postPayments(w http.ResponseWriter, r *http.Request) error {
	var raw json.RawMessage
	if err := readJSON(r, &raw); err != nil {
		return err
	}
	var list []json.RawMessage
	if len(raw) > 0 && raw[0] == '[' {
		if err := json.Unmarshal(raw, &list); err != nil {
			return jsonError(err)
		}
	} else {
		list = []json.RawMessage{raw}
	}
	return h.apply(w, r, list, duly.FactPayment)
}

// postEvents takes {"events": [{"kind": "payment", …}, …]}: facts of any kind, and {"kind": "feed", "through": time}.
func (h *Handler) postEvents(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Events []json.RawMessage `json:"events"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	return h.apply(w, r, body.Events, "")
}

// apply parses facts, applies them all or none, and answers. A kind of "" is read from each fact.
func (h *Handler) apply(w http.ResponseWriter, r *http.Request, list []json.RawMessage, kind duly.FactKind) error {
	if len(list) == 0 || len(list) > factsMax {
		return duly.Errorf(duly.Usage, "the body holds %d facts; 1 to %d are taken in one call", len(list), factsMax)
	}
	now := h.Now().UTC()
	facts := make([]duly.Fact, 0, len(list))
	var through time.Time
	for i, raw := range list {
		place := duly.Place{File: "body", Line: i + 1}
		if kind == "" && isFeed(raw) {
			at, err := feedEvent(raw, now, place)
			if err != nil {
				return err
			}
			if at.After(through) {
				through = at
			}
			continue
		}
		f, err := ingest.ParseFact(raw, kind, place)
		if err != nil {
			return err
		}
		facts = append(facts, f)
	}
	a, err := h.Facts.Apply(r.Context(), now, "api", engine.Versioned(facts, now))
	if err != nil {
		return err
	}
	// What was refused may be the payment that the feed would be said to hold.
	refused := slices.ContainsFunc(a.Results, store.PutResult.Refused)
	if !through.IsZero() && !refused {
		if err := h.Facts.FeedThrough(r.Context(), now, engine.FeedPayments, through); err != nil {
			return err
		}
	}
	h.poke()
	out := appliedBody{Results: make([]string, len(a.Results)), Settled: a.Settled, Stopped: a.Stopped, Held: refused && !through.IsZero()}
	code := http.StatusOK
	if refused {
		code = http.StatusConflict
	}
	for i, res := range a.Results {
		out.Results[i] = res.String()
	}
	writeJSON(w, code, out)
	return nil
}

// isFeed reports whether an event tells of the payment feed rather than a fact.
func isFeed(raw json.RawMessage) bool {
	var e struct {
		Kind json.RawMessage `json:"kind"`
	}
	return json.Unmarshal(raw, &e) == nil && string(e.Kind) == `"feed"`
}

// feedEvent reads {"kind": "feed", "through": …}. It is checked before anything of the call is applied.
func feedEvent(raw json.RawMessage, now time.Time, place duly.Place) (time.Time, error) {
	var e struct {
		Kind    string    `json:"kind"`
		Through time.Time `json:"through"`
	}
	place.Field = "through"
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	switch err := dec.Decode(&e); {
	case err != nil && strings.Contains(err.Error(), "unknown field"):
		place.Field = ""
		return e.Through, duly.Errorf(duly.Invalid, "a feed event has the keys kind and through, and no other").At(place)
	case err != nil || e.Through.IsZero():
		return e.Through, duly.Errorf(duly.Invalid, "a feed event needs through, a time with zone").At(place).
			WithHint("write it as 2026-11-23T06:00:00+08:00")
	case e.Through.After(now):
		return e.Through, duly.Errorf(duly.Invalid, "the feed is said to be complete up to a time that has not come").At(place).
			WithHint("check the clock and time zone of the source")
	}
	return e.Through, nil
}

// getWhy explains a borrower's day: ?date=YYYY-MM-DD, today if it is left out.
func (h *Handler) getWhy(w http.ResponseWriter, r *http.Request) error {
	now := h.Now().UTC()
	day, err := h.day(r, now)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	if len(id) > duly.MaxIDLen || !utf8.ValidString(id) || strings.ContainsRune(id, 0) { // no store could hold it, and not every one takes the question
		return duly.Errorf(duly.NotFound, "there is no borrower with this id")
	}
	x, err := h.Engine.Why(r.Context(), now, duly.BorrowerID(id), day)
	if err != nil {
		return err
	}
	x.Mask()
	x.Packs, x.Recorded, x.Considered, x.Replies = list(x.Packs), list(x.Recorded), list(x.Considered), list(x.Replies)
	writeJSON(w, http.StatusOK, x)
	return nil
}

// getPlan tells the volumes of a day: per step, channel, hour, state and reason.
func (h *Handler) getPlan(w http.ResponseWriter, r *http.Request) error {
	day, err := h.day(r, h.Now())
	if err != nil {
		return err
	}
	v, err := h.Engine.Volumes(r.Context(), day)
	if err != nil {
		return err
	}
	v.Wanted, v.Held = list(v.Wanted), list(v.Held)
	writeJSON(w, http.StatusOK, v)
	return nil
}

// doubtsDefault is how many attempts in doubt are listed without ?limit=.
const doubtsDefault = 100

// getDoubts lists the attempts of which it is not known whether they went out.
func (h *Handler) getDoubts(w http.ResponseWriter, r *http.Request) error {
	limit := doubtsDefault
	if s := r.FormValue("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > factsMax {
			return duly.Errorf(duly.Usage, "limit is not a number from 1 to %d", factsMax).At(duly.Place{Field: "limit"})
		}
		limit = n
	}
	d, err := h.Engine.Doubts(r.Context(), h.Now().UTC(), limit)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"attempts": list(d)})
	return nil
}

// getNodes tells which nodes work on the store, on how many buckets, and which buckets nobody works on.
func (h *Handler) getNodes(w http.ResponseWriter, r *http.Request) error {
	n, err := engine.Nodes(r.Context(), h.DB, h.Engine.Holding().Share())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, n)
	return nil
}

// getRetention tells for how long records are kept, what demands it, and how far removing the others has come.
func (h *Handler) getRetention(w http.ResponseWriter, r *http.Request) error {
	x, err := h.Engine.Retention(r.Context(), h.Now())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, x)
	return nil
}

func (h *Handler) day(r *http.Request, now time.Time) (civil.Date, error) {
	s := r.FormValue("date")
	if s == "" {
		return h.Engine.Today(now), nil
	}
	d, err := civil.Parse(s)
	if err != nil {
		return d, duly.Errorf(duly.Usage, "date: %v", err).At(duly.Place{Field: "date"})
	}
	return d, nil
}

// list returns a list that is written as [] where it is empty, so that callers can go through it without asking.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
