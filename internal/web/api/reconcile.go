package api

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/ingest"
)

// logMax bounds a provider's log that is posted; larger ones are for the command.
const logMax = 64 << 20

// postReconciliation holds a provider's log, the body, against what was sent.
func (h *Handler) postReconciliation(w http.ResponseWriter, r *http.Request) error {
	a, columns, err := h.reconcileAsk(r.URL.Query())
	if err != nil {
		return err
	}
	a.Carrier = r.PathValue("carrier")
	a.Lines, err = ingest.ReadLog(http.MaxBytesReader(w, r.Body, logMax), "body", ingest.LogFormat{Columns: columns, Location: h.Engine.Config().Location})
	if err != nil {
		return err
	}
	out, err := h.Engine.Reconcile(r.Context(), h.Now().UTC(), a)
	if err != nil {
		return err
	}
	if out.Settled > 0 {
		h.poke()
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// reconcileAsk reads what is asked: from, until, complete, settle, column.OURS=THEIRS and status.THEIRS=OURS.
func (h *Handler) reconcileAsk(q url.Values) (engine.ReconcileAsk, map[string]string, error) {
	a, columns := engine.ReconcileAsk{Words: map[string]duly.ReceiptStatus{}}, map[string]string{}
	for key := range q {
		value := q.Get(key)
		wrong := func(hint string) error {
			return duly.Errorf(duly.Usage, "the parameter is not readable").At(duly.Place{File: "query", Field: key}).WithHint("%s", hint)
		}
		var err error
		switch {
		case key == "from", key == "until":
			to := &a.From
			if key == "until" {
				to = &a.Until
			}
			if *to, err = time.Parse(time.RFC3339, value); err != nil {
				return a, nil, wrong("write it as 2026-03-10T00:00:00+08:00, with + as %2B")
			}
			*to = to.UTC()
		case key == "complete", key == "settle":
			to := &a.Complete
			if key == "settle" {
				to = &a.Settle
			}
			if *to, err = strconv.ParseBool(value); err != nil {
				return a, nil, wrong("true or false")
			}
		case strings.HasPrefix(key, "column."):
			columns[strings.TrimPrefix(key, "column.")] = value
		case strings.HasPrefix(key, "status."):
			a.Words[strings.TrimPrefix(key, "status.")] = duly.ReceiptStatus(value)
		default:
			return a, nil, duly.Errorf(duly.Usage, "there is no such parameter").At(duly.Place{File: "query", Field: key}).
				WithHint("from, until, complete, settle, column.… and status.…")
		}
	}
	return a, columns, nil
}
