package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// A doubt is resolved with a word, once; what was said opens from beside the audit and is in no answer.
func TestResolveDoubts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "")
		w.lend()
		w.car.fate = &channel.Error{Class: channel.Unknown, Code: "lost"}
		w.at(-1, 10)
		w.step()
		w.car.fate = nil
		id := string(w.car.sent[0].AttemptID)
		doubt := w.get("/v1/doubts", http.StatusOK)["attempts"].([]any)[0].(map[string]any)
		if doubt["borrower"] != "…" || doubt["channel"] != "sms" || doubt["age_seconds"] == nil || doubt["borrower_id"] != nil {
			t.Errorf("got %v, want it with age and channel, and the borrower masked", doubt)
		}
		one, many := "/v1/doubts/"+id+"/resolve", "/v1/doubts/answers"
		for _, c := range []struct {
			path, body string
			want       int
		}{
			{one, `{"fate": "perhaps", "by": "d", "reason": "r"}`, 422}, {one, `{"fate": "sent", "by": "d"}`, 400}, {one, `{"fate": "sent", "reason": "r"}`, 400},
			{"/v1/doubts/a1/resolve", `{"fate": "sent", "by": "d", "reason": "r"}`, 404}, {one, `{"fate": "sent", "bye": "d"}`, 422},
			{many, `{"answers": []}`, 400}, {many, `{"answers": [{"attempt": "a1", "fate": "x"}]}`, 422},
			{many, `{"answers": [{"attempt": "a1", "fate": "sent"}], "preview": "00", "by": "d", "reason": "r"}`, 409},
		} {
			w.post(c.path, c.body, c.want)
		}
		answers := fmt.Sprintf(`{"answers": [{"attempt": %q, "fate": "not_sent"}, {"attempt": "a1", "fate": "sent"}]`, id)
		p := w.post(many, answers+"}", http.StatusOK)
		if p["resolved"] != 1.0 || p["refused"] != 1.0 || p["applied"] != false {
			t.Errorf("preview: got %v", p)
		}
		p = w.post(many, answers+fmt.Sprintf(`, "preview": %q, "by": "desk", "reason": "in their log"}`, p["preview"]), http.StatusOK)
		if p["resolved"] != 1.0 || p["applied"] != true {
			t.Errorf("applied: got %v", p)
		}
		if got := w.post(one, `{"fate": "not_sent", "by": "d", "reason": "r"}`, http.StatusOK); got["result"] != "before" {
			t.Errorf("again: got %v", got)
		}
		w.post(one, `{"fate": "sent", "by": "d", "reason": "r"}`, http.StatusForbidden)
		w.at(-1, 15)
		w.step()
		if n := len(w.car.sent); n != 1 {
			t.Errorf("got %d messages, want no second one", n)
		}
	})
}

// The roots, the export and the certificate are what the audit holds, and the fence report closes.
func TestAuditCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	w.at(-1, 10)
	w.step()
	if got := w.get("/v1/audit/roots", http.StatusOK); fmt.Sprint(got["roots"]) != "[]" {
		t.Errorf("no roots: got %v", got)
	}
	w.get("/v1/audit/roots/1", http.StatusNotFound)
	w.get("/v1/audit/roots/x", http.StatusBadRequest)
	root, _, err := w.db.MakeRoot(t.Context(), w.clock(), due.Add(-1))
	must(t, err)
	if got := rows(t, w.get("/v1/audit/roots?limit=1", http.StatusOK), "roots", "hash"); cmp.Diff([]string{root.Hash}, got) != "" {
		t.Errorf("roots: got %v, want %s", got, root.Hash)
	}
	if got := w.get("/v1/audit/roots/1", http.StatusOK); got["hash"] != root.Hash || len(got["heads"].([]any)) != len(root.Heads) {
		t.Errorf("root: got %v", got)
	}
	code, body := w.call("GET", "/v1/audit/export", "")
	_, r, err := audit.VerifyExport(strings.NewReader(body), []audit.Root{root}, nil)
	if code != http.StatusOK || err != nil || len(r.Breaks) != 0 || r.Entries != root.Entries || r.Kept != 1 {
		t.Errorf("export: got %d, %+v, %v", code, r, err)
	}
	if strings.Contains(body, personName) || strings.Contains(body, personPhone) {
		t.Error("the export holds personal data")
	}
	w.get("/v1/audit/export?from=2026-03-02&to=2026-03-01", http.StatusBadRequest)
	w.get("/v1/audit/export?from=x", http.StatusBadRequest)

	id := string(w.car.sent[0].AttemptID)
	got := w.get("/v1/attempts/"+id+"/certificate", http.StatusOK)
	if got["seal"] != "holds" || got["salt"] != nil || got["commitment"] == "" || got["known"].(map[string]any)["audit_entry"] == nil {
		t.Errorf("certificate: got %v", got)
	}
	w.get("/v1/attempts/a1/certificate", http.StatusNotFound)
	w.post("/v1/payments", pay, http.StatusOK)
	f := w.get("/v1/fence?from="+due.Add(-1).String()+"&to="+due.Add(-1).String(), http.StatusOK)
	if f["attempts"] != float64(len(w.car.sent)) || f["classes"].(map[string]any)["our_fault"] != 0.0 {
		t.Errorf("fence: got %v", f)
	}
	w.get("/v1/fence?from=2026-03-02&to=2026-03-01", http.StatusBadRequest)
	w.get("/v1/fence?limit=0", http.StatusBadRequest)
	if civil.In(w.clock(), w.loc) != due.Add(-1) {
		t.Error("the clock of the test moved")
	}
}
