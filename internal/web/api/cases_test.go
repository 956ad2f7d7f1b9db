package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// rows returns one key of every object in a list of the answer.
func rows(t *testing.T, answer map[string]any, name, key string) []string {
	t.Helper()
	l, ok := answer[name].([]any)
	if !ok {
		t.Fatalf("the answer has no list %s: %v", name, answer)
	}
	out := []string{}
	for _, x := range l {
		m, ok := x.(map[string]any)
		if !ok {
			t.Fatalf("%s holds %v, which is no object", name, x)
		}
		out = append(out, fmt.Sprint(m[key]))
	}
	return out
}

// A case is opened, listed with what the law demands, and closed once.
func TestCases(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "")
		w.lend()
		same := func(what string, got, want any) {
			t.Helper()
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", what, d)
			}
		}
		body := `{"borrower_id": "B1", "id": "K1", "case_kind": "complaint", "channel": "call_agent", "opened_at": "2026-03-01T10:00:00+08:00"}`
		got := w.post("/v1/cases", body, http.StatusOK)
		same("result", got["result"], "added")
		same("duties", rows(t, got, "duties", "due_on"), []string{"2026-03-16"})
		same("again", w.post("/v1/cases", body, http.StatusOK)["result"], "same")
		made := w.post("/v1/cases", `{"loan_id": "L1", "case_kind": "crisis"}`, http.StatusOK)
		same("urgent", made["case"].(map[string]any)["urgent"], true)
		same("borrower", made["case"].(map[string]any)["borrower_id"], "B1")
		id := fmt.Sprint(made["case"].(map[string]any)["id"])

		same("cases", rows(t, w.get("/v1/cases", http.StatusOK), "cases", "id"), []string{id, "K1"})
		same("at most one", rows(t, w.get("/v1/cases?limit=1", http.StatusOK), "cases", "id"), []string{id})
		same("of another", rows(t, w.get("/v1/cases?borrower=B2&all=true", http.StatusOK), "cases", "id"), []string{})
		same("deadlines", rows(t, w.get("/v1/deadlines", http.StatusOK), "deadlines", "rule"), []string{"CN-25"})
		same("in 8 days", rows(t, w.get("/v1/deadlines?within=8d&borrower=B1", http.StatusOK), "deadlines", "rule"), []string{})
		same("overdue", rows(t, w.get("/v1/deadlines?overdue=true", http.StatusOK), "deadlines", "rule"), []string{})
		w.at(7, 0)
		same("overdue a week later", rows(t, w.get("/v1/deadlines?overdue=true", http.StatusOK), "deadlines", "overdue"), []string{"true"})

		w.post("/v1/cases/K1/done", `{"duty": "CN-99"}`, http.StatusNotFound)
		got = w.post("/v1/cases/K1/done", `{"outcome": "upheld"}`, http.StatusOK)
		same("done", got["result"], "changed")
		same("done again", w.post("/v1/cases/K1/done", `{"outcome": "refused"}`, http.StatusOK)["result"], "same")
		same("open", rows(t, w.get("/v1/cases", http.StatusOK), "cases", "id"), []string{id})
		same("all", rows(t, w.get("/v1/cases?all=1", http.StatusOK), "cases", "outcome"), []string{"", "upheld"})
		same("no deadlines", rows(t, w.get("/v1/deadlines", http.StatusOK), "deadlines", "rule"), []string{})
	})
}

// After a crisis was posted nothing is sent.
func TestCrisis(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	w.at(-1, 8)
	w.step()
	w.post("/v1/events", `{"events": [{"kind": "case", "borrower_id": "B1", "id": "K1", "case_kind": "crisis", "opened_at": "2026-03-09T08:30:00+08:00"}]}`, http.StatusOK)
	w.at(-1, 10)
	w.step()
	if n := len(w.car.sent); n != 0 {
		t.Errorf("sent: got %d, want 0", n)
	}
}

func TestCasesRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	for _, c := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"POST", "/v1/cases", `null`, 400, "the body holds no case"},
		{"POST", "/v1/cases", `[]`, 422, "another sort of value"},
		{"POST", "/v1/cases", `{"borrower_id": "B1", "case_kind": "weather"}`, 422, "not a kind of case"},
		{"POST", "/v1/cases", `{"case_kind": "complaint"}`, 422, "neither a borrower nor a loan"},
		{"POST", "/v1/cases", `{"borrower_id": "B1", "case_kind": "complaint", "words": "he said"}`, 422, "no such field"},
		{"POST", "/v1/cases", `{"borrower_id": "B1", "case_kind": "complaint", "opened_at": "2027-01-01T00:00:00Z"}`, 422, "a time that has not come"},
		{"POST", "/v1/cases", `{"borrower_id": "B404", "case_kind": "complaint"}`, 404, "no borrower with this id"},
		{"POST", "/v1/cases", `{"borrower_id": "B1", "loan_id": "L404", "case_kind": "complaint"}`, 404, "the loan is not known"},
		{"POST", "/v1/cases/K404/done", `{"outcome": "upheld"}`, 404, "no case of this id"},
		{"POST", "/v1/cases/K%00/done", `{"outcome": "upheld"}`, 404, "no case of this id"},
		{"POST", "/v1/cases/K1/done", `{}`, 400, "needs outcome or duty"},
		{"POST", "/v1/cases/K1/done", `{"outcome": "upheld", "duty": "CN-25"}`, 400, "needs outcome or duty"},
		{"POST", "/v1/cases/K1/done", `{"outcome": "the man shouted"}`, 400, "the outcome is not a code"},
		{"GET", "/v1/cases?limit=0", "", 400, "limit is not a number"},
		{"GET", "/v1/cases?all=perhaps", "", 400, "all is not true or false"},
		{"GET", "/v1/cases?borrower=%00", "", 404, "no borrower with this id"},
		{"GET", "/v1/deadlines?within=soon", "", 400, "within is not a time"},
		{"GET", "/v1/deadlines?within=-1h", "", 400, "within is not a time"},
	} {
		if c.want == "the outcome is not a code" {
			w.post("/v1/cases", `{"borrower_id": "B1", "id": "K1", "case_kind": "complaint"}`, http.StatusOK)
		}
		status, text := w.call(c.method, c.target, c.body)
		if status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s %s %s: got %d %s, want %d %q", c.method, c.target, c.body, status, text, c.status, c.want)
		}
	}
}
