package api_test

import (
	"net/http"
	"strings"
	"testing"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// A channel is pinned and let go; how its carriers do is told, and counted.
func TestCarriers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	name := w.car.Name()
	w.put("/v1/channels/sms/pin", `{"carrier": "`+name+`", "by": "desk-7", "until": "2030-01-01T00:00:00Z"}`, http.StatusOK)
	got := w.get("/v1/carriers", http.StatusOK)
	pins, _ := got["pins"].([]any)
	if carriers, _ := got["carriers"].([]any); len(carriers) != 1 || len(pins) != 1 {
		t.Errorf("got %v", got)
	}
	for body, say := range map[string]string{
		`{"carrier": "nobody", "by": "desk-7"}`: "no carrier of this name", `{"carrier": "` + name + `"}`: "who says so",
		`{"carrier": "` + name + `", "by": "d", "until": "2020-01-01T00:00:00Z"}`: "over already",
	} {
		if code, text := w.call("PUT", "/v1/channels/sms/pin", body); code < 400 || code >= 500 || !strings.Contains(text, say) {
			t.Errorf("%s: got %d %s, want it refused: %s", body, code, text, say)
		}
	}
	if code, text := w.call("DELETE", "/v1/channels/sms/pin?by=desk-7", ""); code != http.StatusOK {
		t.Errorf("got %d %s", code, text)
	}
	if code, text := w.call("DELETE", "/v1/channels/sms/pin?by=desk-7", ""); code != http.StatusNotFound {
		t.Errorf("a second time: got %d %s", code, text)
	}
	_, metrics := w.call("GET", "/metrics", "")
	for _, want := range []string{`duly_carrier_state{carrier="` + name + `",state="ok"} 1`, `duly_carrier_rests_total{carrier="` + name + `"} 0`,
		`duly_channel_stopped{channel="sms"} 0`, `duly_receipts_unknown{state="parked"} 0`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func (w *world) put(target, body string, want int) {
	w.t.Helper()
	if code, got := w.call("PUT", target, body); code != want {
		w.t.Fatalf("PUT %s: got status %d and %s, want %d", target, code, got, want)
	}
}

// A provider's log is posted: what it proves of what is in doubt is settled at the next step.
func TestReconciliation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"), "")
	w.lend()
	w.car.fate = &channel.Error{Class: channel.Unknown, Code: "timeout"}
	w.at(0, 12)
	w.step()
	at := "/v1/carriers/" + w.car.Name() + "/reconciliation"
	log := "ref,state,when\n" + string(w.car.sent[0].AttemptID) + ",OK!,2026-03-10 12:00:01\n"
	code, text := w.call("POST", at+"?column.attempt=ref&column.status=state&column.time=when&status.OK!=delivered", log)
	if got := decode(t, text); code != http.StatusOK || got["matched"] != 1.0 || got["proved"] != 1.0 || got["settled"] != 0.0 {
		t.Errorf("got %d %s", code, text)
	}
	code, text = w.call("POST", at+"?column.attempt=ref&column.status=state&column.time=when&status.OK!=delivered&settle=true&from=2026-03-10T00:00:00%2B08:00&until=2026-03-11T00:00:00%2B08:00", log)
	if got := decode(t, text); code != http.StatusOK || got["settled"] != 1.0 {
		t.Errorf("got %d %s", code, text)
	}
	w.step()
	c, err := w.db.FindContact(t.Context(), contactOf(t, w.car.sent[0].AttemptID))
	if err != nil || c.State != duly.Delivered {
		t.Errorf("got %s, %v; want delivered", c.State, err)
	}
	for query, say := range map[string]string{
		"?frm=1": "no such parameter", "?from=1": "not readable", "?settle=perhaps": "not readable", "?column.attempt=none": "no column",
		"?complete=true&column.attempt=ref&column.time=when": "not said from when",
	} {
		if code, text := w.call("POST", at+query, log); code < 400 || code >= 500 || !strings.Contains(text, say) {
			t.Errorf("%s: got %d %s, want it refused: %s", query, code, text, say)
		}
	}
	if code, text := w.call("POST", at, "<html>"); code < 400 || code >= 500 {
		t.Errorf("no CSV: got %d %s", code, text)
	}
}

func contactOf(t *testing.T, id duly.AttemptID) duly.ContactID {
	t.Helper()
	c, ok := id.Contact()
	if !ok {
		t.Fatalf("%q is no attempt's id", id)
	}
	return c
}
