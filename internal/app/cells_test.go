package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// fleetHealth is what /healthz says of a process that works on several cells.
type fleetHealth struct {
	Status string `json:"status"`
	FeedAt string `json:"payment_feed_at"` // of one cell
}

// call makes a call of a running process and returns its status and its body.
func call(t *testing.T, method, url, body string) (int, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, req.URL.Path, err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, said
}

// While one cell hangs, which is worse than being away, what is about people of the other is answered as ever, its feed moves, and
// the process stays in service and says which cell is not well.
func TestSickCell(t *testing.T) {
	t.Parallel()
	p, dsn := newProxy(t, storetest.DSN(t, "postgres"))
	db, err := store.Create(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	c := app.Default()
	c.Listen = "127.0.0.1:0"
	c.Node.Lease = app.Duration(2 * time.Second)
	c.Stream.Parts = 8
	c.Cells = []app.CellConfig{
		{Name: "sick", Store: dsn, Parts: []int{0, 3}}, // the first to be asked
		{Name: "well", Store: filepath.Join(t.TempDir(), "well.db") + store.Hasty, Parts: []int{4, 7}},
	}
	if err := c.Embed(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	url, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- app.ServeCells(ctx, c, app.Options{}, func(addr string) { url <- "http://" + addr }) }()
	t.Cleanup(func() {
		p.restore()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	at := <-url
	health := func(query string) (int, fleetHealth) {
		code, body := call(t, http.MethodGet, at+"/healthz"+query, "")
		var h fleetHealth
		if err := json.Unmarshal(body, &h); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return code, h
	}
	until(t, "both cells well", func() bool { _, h := health(""); return h.Status == "ok" })

	var sick, well string // a person of each
	for n := 0; sick == "" || well == ""; n++ {
		if id := fmt.Sprintf("B%d", n); duly.BorrowerID(id).Bucket() < duly.Buckets/2 {
			sick = id
		} else {
			well = id
		}
	}
	var events []string
	for _, id := range []string{sick, well} {
		events = append(events,
			fmt.Sprintf(`{"kind":"borrower","id":"%s","name":"x","language":"en","country":"XX","zones":[{"name":"Etc/UTC","source":"lender"}]}`, id),
			fmt.Sprintf(`{"kind":"loan","borrower_id":"%[1]s","id":"L-%[1]s","schedule":"bullet","currency":"USD","principal":{"minor":100,"currency":"USD"},"disbursed_on":"2026-01-01"}`, id))
	}
	if code, body := call(t, http.MethodPost, at+"/v1/events", `{"events":[`+strings.Join(events, ",")+`]}`); code != http.StatusOK {
		t.Fatalf("the book: got %d %s", code, body)
	}

	p.stall()
	pay := func(id, no string) (int, []byte) { // by the loan alone: its owner is asked for in the cells
		return call(t, http.MethodPost, at+"/v1/payments",
			fmt.Sprintf(`{"id":"%s","loan_id":"L-%s","amount":{"minor":1,"currency":"USD"},"value_at":"%s"}`, no, id, time.Now().UTC().Format(time.RFC3339)))
	}
	if code, body := pay(well, "P1"); code != http.StatusOK {
		t.Errorf("a payment in the cell that is well: got %d %s, want 200", code, body)
	}
	if code, body := pay(sick, "P2"); code != http.StatusServiceUnavailable {
		t.Errorf("a payment in the cell that hangs: got %d %s, want 503", code, body)
	}
	through := time.Now().UTC().Truncate(time.Second)
	feed := fmt.Sprintf(`{"events":[{"kind":"feed","through":"%s"}]}`, through.Format(time.RFC3339))
	if code, body := call(t, http.MethodPost, at+"/v1/events", feed); code != http.StatusServiceUnavailable {
		t.Errorf("a feed, with a cell that is not told: got %d %s, want 503", code, body)
	}
	if code, h := health("?cell=well"); code != http.StatusOK || h.FeedAt == "" {
		t.Errorf("the cell that is well: got %d %+v, want it to know of the feed", code, h)
	}
	until(t, "the sick cell said to be sick", func() bool {
		code, h := health("")
		if code != http.StatusOK {
			t.Fatalf("/healthz: got %d %+v, want the process in service", code, h)
		}
		return h.Status == "not well: cell sick"
	})
	if code, _ := health("?cell=sick"); code != http.StatusServiceUnavailable {
		t.Errorf("/healthz of the sick cell: got %d, want 503", code)
	}

	p.restore()
	until(t, "both cells well again", func() bool { _, h := health(""); return h.Status == "ok" })
	if code, body := call(t, http.MethodPost, at+"/v1/events", feed); code != http.StatusOK {
		t.Errorf("the feed told again: got %d %s", code, body)
	}
	if code, body := pay(sick, "P2"); code != http.StatusOK {
		t.Errorf("the payment told again: got %d %s", code, body)
	}
}
