package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/store/storetest"
)

// question is a case as a program would put it: a text at half past ten in the evening in Manila.
const question = `{"jurisdiction": "PH", "now": "2026-06-10T22:30:00+08:00", "loan": {"product": "consumer_loan", "amount_due": 100},
  "contact": {"channel": "sms", "purpose": "collection", "days_past_due": 5, "address": {"id": "A1", "kind": "mobile", "value": "` + personPhone + `"}},
  "borrower": {"timezones": ["Asia/Manila"], "name": "` + personName + `"}}`

func TestGateCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	got := w.post("/v1/gate/check", question, http.StatusOK)
	if got["verdict"] != "defer" || got["not_before"] != "2026-06-10T22:00:00Z" {
		t.Errorf("got %v from %v, want defer", got["verdict"], got["not_before"])
	}
	answers := map[string]string{}
	for _, r := range got["rules"].([]any) {
		r := r.(map[string]any)
		answers[r["rule"].(string)] = r["answer"].(string)
	}
	for rule, want := range map[string]string{"PH-01": "defer", "PH-02": "allow", "POL-03": "allow", "CN-01": ""} {
		if answers[rule] != want {
			t.Errorf("rule %s: got %q, want %q", rule, answers[rule], want)
		}
	}
	if facts := got["facts"].(map[string]any); facts["country"] != "PH" || facts["address_kind"] != "mobile" {
		t.Errorf("facts: got %v", facts)
	}
	_, body := w.call("POST", "/v1/gate/check", question)
	for _, p := range personal {
		if strings.Contains(body, p) {
			t.Errorf("the answer tells %s: %s", p, body)
		}
	}
}

func TestGateCheckRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	for _, c := range []struct {
		name, body string
		want       int
		code       string
	}{
		{"no JSON", "now: 2026", http.StatusBadRequest, "usage"},
		{"a list", "[]", http.StatusUnprocessableEntity, "invalid"},
		{"no time", `{"now": "` + personPhone + `"}`, http.StatusUnprocessableEntity, "invalid"},
		{"unknown key", `{"` + personPhone + `": 1}`, http.StatusUnprocessableEntity, "invalid"},
		{"unknown pack", `{"packs": ["` + personPhone + `"]}`, http.StatusNotFound, "not_found"},
	} {
		code, body := w.call("POST", "/v1/gate/check", c.body)
		if code != c.want || !strings.Contains(body, `"code":"`+c.code+`"`) || strings.Contains(body, personPhone) {
			t.Errorf("%s: got %d %s, want %d and %s", c.name, code, body, c.want, c.code)
		}
	}
	if code, body := w.call("POST", "/v1/gate/check", "{}"); code != http.StatusOK || !strings.Contains(body, `"verdict":"block"`) {
		t.Errorf("nothing known: got %d %s, want a block", code, body)
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	enforced := map[string]any{}
	for _, p := range w.get("/v1/rules", http.StatusOK)["packs"].([]any) {
		p := p.(map[string]any)
		for _, r := range p["rules"].([]any) {
			r := r.(map[string]any)
			enforced[p["id"].(string)+"/"+r["id"].(string)] = r["enforced"]
			if len(r["says"].([]any)) == 0 {
				t.Errorf("%v says nothing", r["id"])
			}
		}
	}
	for rule, want := range map[string]any{"us-regf/US-06": false, "us-regf/US-08": true, "policy-default/POL-03": true, "cn-mainland/CN-01": true} {
		if enforced[rule] != want {
			t.Errorf("%s: got enforced %v, want %v", rule, enforced[rule], want)
		}
	}
}
