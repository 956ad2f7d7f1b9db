package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/internal/store"
)

// repliesMax is how many replies are taken in one call: each is read by itself.
const repliesMax = 1000

// replyBody is what was made of a reply. The words are not in it.
type replyBody struct {
	Result     string          `json:"result,omitempty"` // of a posted one: added, changed, same, stale, conflict, …
	BorrowerID duly.BorrowerID `json:"borrower_id"`
	ID         duly.ReplyID    `json:"id"`
	Channel    duly.Channel    `json:"channel"`
	At         time.Time       `json:"at"`
	Meaning    duly.Meaning    `json:"meaning"`
}

func replyOf(r *duly.Reply) replyBody {
	return replyBody{BorrowerID: r.BorrowerID, ID: r.ID, Channel: r.Channel, At: r.At, Meaning: r.Meaning}
}

// postReplies takes in what borrowers wrote: one reply or a list. All are taken, or for a malformed one none.
func (h *Handler) postReplies(w http.ResponseWriter, r *http.Request) error {
	list, err := oneOrMore(r)
	if err != nil {
		return err
	}
	if len(list) == 0 || len(list) > repliesMax {
		return duly.Errorf(duly.Usage, "the body holds %d replies; 1 to %d are taken in one call", len(list), repliesMax)
	}
	now := h.Now().UTC()
	facts := make([]duly.Fact, len(list))
	for i, raw := range list {
		if facts[i], err = ingest.ParseFact(raw, duly.FactReply, duly.Place{File: "body", Line: i + 1}); err != nil {
			return err
		}
	}
	a, err := h.Facts.Apply(r.Context(), now, "api", engine.Versioned(facts, now))
	if err != nil {
		return err
	}
	h.poke()
	out := make([]replyBody, len(facts))
	for i, f := range facts {
		out[i] = replyOf(f.(*duly.Reply))
		out[i].Result = a.Results[i].String()
	}
	code := http.StatusOK
	if slices.ContainsFunc(a.Results, store.PutResult.Refused) {
		code = http.StatusConflict
	}
	writeJSON(w, code, map[string][]replyBody{"replies": out})
	return nil
}

// getUnmatched lists what carriers told of people whom nobody knows. The words are not in it.
func (h *Handler) getUnmatched(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	out, err := h.Engine.Strays(r.Context(), false, limit)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string][]engine.Stray{"unmatched": list(out)})
	return nil
}

// oneOrMore reads a body that is one object or a list of them.
func oneOrMore(r *http.Request) ([]json.RawMessage, error) {
	var raw json.RawMessage
	if err := readJSON(r, &raw); err != nil {
		return nil, err
	}
	if len(raw) == 0 || raw[0] != '[' {
		return []json.RawMessage{raw}, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, jsonError(err)
	}
	return list, nil
}
