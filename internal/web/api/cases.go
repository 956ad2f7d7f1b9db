package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/internal/store"
)

// listDefault is how many cases and deadlines are listed without ?limit=.
const listDefault = 1000

// caseBody is the answer to a case that was opened or closed.
type caseBody struct {
	Result string          `json:"result"` // added, changed, same or stale; of one that is closed: changed or same
	Case   duly.Case       `json:"case"`
	Duties []duly.CaseDuty `json:"duties"`
}

// postCases opens a case: a fact of kind case. Without an id one is made, without opened_at it is now.
func (h *Handler) postCases(w http.ResponseWriter, r *http.Request) error {
	var keys map[string]json.RawMessage
	if err := readJSON(r, &keys); err != nil {
		return err
	}
	now := h.Now().UTC()
	place := duly.Place{File: "body"}
	raw, err := wholeCase(keys, now)
	if err != nil {
		return err
	}
	f, err := ingest.ParseFact(raw, duly.FactCase, place)
	if err != nil {
		return err
	}
	k := f.(*duly.Case)
	if k.OpenedAt.After(now) {
		place.Field = "opened_at"
		return duly.Errorf(duly.Invalid, "the case is opened at a time that has not come").At(place)
	}
	a, err := h.Facts.Apply(r.Context(), now, "api", engine.Versioned([]duly.Fact{k}, now))
	if err != nil {
		return err
	}
	if err := refusedCase(a.Results[0]); err != nil {
		return err
	}
	h.poke()
	x, err := h.Engine.FindCase(r.Context(), k.BorrowerID, k.ID)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, caseBody{a.Results[0].String(), x.Case, list(x.Duties)})
	return nil
}

// wholeCase gives a case what it may lack: when it was opened, and an id that follows from whose it is, its kind and time.
func wholeCase(keys map[string]json.RawMessage, now time.Time) (json.RawMessage, error) {
	var head struct {
		Borrower string        `json:"borrower_id"`
		Loan     string        `json:"loan_id"`
		Kind     duly.CaseKind `json:"case_kind"`
		OpenedAt time.Time     `json:"opened_at"`
	}
	if _, ok := keys["opened_at"]; !ok {
		if keys == nil {
			return nil, duly.Errorf(duly.Usage, "the body holds no case").At(duly.Place{File: "body"})
		}
		keys["opened_at"] = json.RawMessage(strconv.Quote(now.Truncate(time.Microsecond).Format(time.RFC3339Nano)))
	}
	raw, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	// What cannot be read is found, with its key, where the fact is parsed.
	if _, ok := keys["id"]; ok || json.Unmarshal(raw, &head) != nil {
		return raw, nil
	}
	id := duly.NewCaseID(duly.BorrowerID(cmp.Or(head.Borrower, head.Loan)), head.Kind, head.OpenedAt)
	keys["id"] = json.RawMessage(strconv.Quote(string(id)))
	return json.Marshal(keys)
}

// refusedCase says why the store did not take a case.
func refusedCase(r store.PutResult) error {
	switch r {
	case store.UnknownBorrower:
		return duly.Errorf(duly.NotFound, "there is no borrower with this id")
	case store.UnknownLoan:
		return duly.Errorf(duly.NotFound, "the loan is not known, or not as this borrower's")
	case store.Conflict:
		return duly.Errorf(duly.Conflict, "a case of this id and version is known with other content").WithHint("give a higher version, or another id")
	case store.NoResult, store.Added, store.Changed, store.Same, store.Stale, store.WrongCurrency:
	}
	return nil
}

// postCaseDone closes a case, with the code of its outcome, or records that what one rule demands is done.
func (h *Handler) postCaseDone(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Borrower duly.BorrowerID `json:"borrower_id"`
		Outcome  string          `json:"outcome"`
		Duty     string          `json:"duty"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	if (body.Outcome == "") == (body.Duty == "") {
		return duly.Errorf(duly.Usage, "the body needs outcome or duty, and not both").At(duly.Place{File: "body"})
	}
	id := r.PathValue("id")
	if !storable(id) || !storable(body.Duty) {
		return duly.Errorf(duly.NotFound, "there is no case of this id, or no such duty")
	}
	now := h.Now().UTC()
	result := store.Changed
	var x engine.CaseFile
	var err error
	if body.Duty != "" {
		x, err = h.Engine.EndDuty(r.Context(), now, "api", body.Borrower, duly.CaseID(id), body.Duty)
	} else {
		var closed bool
		if x, closed, err = h.Engine.CloseCase(r.Context(), now, "api", body.Borrower, duly.CaseID(id), body.Outcome); !closed {
			result = store.Same
		}
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, caseBody{result.String(), x.Case, list(x.Duties)})
	return nil
}

// getCases lists open cases: ?borrower=, ?all=true for those that are done too, ?limit=.
func (h *Handler) getCases(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	all, err := truthOf(r, "all")
	if err != nil {
		return err
	}
	borrower, err := borrowerOf(r)
	if err != nil {
		return err
	}
	cases, err := h.Engine.Cases(r.Context(), borrower, all, limit)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"cases": list(cases)})
	return nil
}

// getDeadlines lists the duties of cases that are not done: ?within=7d, ?overdue=true, ?borrower=, ?limit=.
func (h *Handler) getDeadlines(w http.ResponseWriter, r *http.Request) error {
	var q engine.DueQuery
	var err error
	if q.Borrower, err = borrowerOf(r); err != nil {
		return err
	}
	if q.Limit, err = limitOf(r); err != nil {
		return err
	}
	if q.Overdue, err = truthOf(r, "overdue"); err != nil {
		return err
	}
	if s := r.FormValue("within"); s != "" {
		if q.Within, err = engine.ParseWithin(s); err != nil {
			return err
		}
	}
	due, err := h.Engine.Deadlines(r.Context(), h.Now().UTC(), q)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"deadlines": list(due)})
	return nil
}

// storable reports whether a store could hold the id, and every one takes the question.
func storable(id string) bool {
	return len(id) <= duly.MaxIDLen && utf8.ValidString(id) && !strings.ContainsRune(id, 0)
}

// borrowerOf returns the borrower whose cases or deadlines are asked for, or "" for all.
func borrowerOf(r *http.Request) (duly.BorrowerID, error) {
	id := r.FormValue("borrower")
	if !storable(id) {
		return "", duly.Errorf(duly.NotFound, "there is no borrower with this id")
	}
	return duly.BorrowerID(id), nil
}

func limitOf(r *http.Request) (int, error) {
	s := r.FormValue("limit")
	if s == "" {
		return listDefault, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > engine.DueMax {
		return 0, duly.Errorf(duly.Usage, "limit is not a number from 1 to %d", engine.DueMax).At(duly.Place{Field: "limit"})
	}
	return n, nil
}

func truthOf(r *http.Request, name string) (bool, error) {
	s := r.FormValue(name)
	if s == "" {
		return false, nil
	}
	v, err := strconv.ParseBool(s)
	if err != nil {
		return false, duly.Errorf(duly.Usage, "%s is not true or false", name).At(duly.Place{Field: name})
	}
	return v, nil
}
