package letter_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/letter"
)

var secret = channel.NewSecret("print-print-print")

func hear(s *letter.Sender, text string) (channel.Heard, error) {
	r := httptest.NewRequest(http.MethodPost, "/v1/receipts/print", nil)
	r.Header.Set("Authorization", "Bearer "+secret.Reveal())
	return s.Hear(r, []byte(text))
}

func listening(t *testing.T) (*letter.Sender, letter.Config) {
	t.Helper()
	c := config(t)
	c.InboundSecrets, c.Every = []channel.Secret{secret}, time.Second
	return newSender(t, c), c
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	s, _ := listening(t)
	id := string(msg(1).AttemptID)
	got, err := hear(s, "\ufeffTime, Attempt ,status,reason,extra\r\n"+
		"2026-03-02 09:00,"+id+",printed,,x\r\n"+
		"2026-03-02T11:30:00+08:00,"+id+",Posted,,\r\n"+
		"2026/03/02,"+id+",delivered\r\n"+
		"2026-03-02,"+id+",returned,\r\n"+
		"2026-03-02,"+id+",returned,moved\r\n"+
		"2026-03-02,"+id+",returned,refused\r\n"+
		"2026-03-02,"+id+",failed,\r\n")
	if err != nil {
		t.Fatal(err)
	}
	midnight := time.Date(2026, 3, 1, 16, 0, 0, 0, time.UTC)
	row := func(status duly.ReceiptStatus, detail string, at time.Time) duly.Receipt {
		return duly.Receipt{Provider: "print", AttemptID: duly.AttemptID(id), Status: status, Detail: detail, At: at}
	}
	want := []duly.Receipt{
		row(duly.ReceiptAccepted, "printed", midnight.Add(9*time.Hour)), row(duly.ReceiptAccepted, "posted", midnight.Add(11*time.Hour+30*time.Minute)),
		row(duly.ReceiptDelivered, "delivered", midnight), row(duly.ReceiptBadAddress, "returned", midnight),
		row(duly.ReceiptBadAddress, "returned_moved", midnight), row(duly.ReceiptFailed, "returned_refused", midnight), row(duly.ReceiptFailed, "failed", midnight),
	}
	keys := map[string]bool{}
	for i := range got.Receipts {
		keys[got.Receipts[i].Key] = true
		got.Receipts[i].Key = ""
	}
	if diff := cmp.Diff(want, got.Receipts); diff != "" || len(keys) != len(want) {
		t.Errorf("%d keys; -want +got:\n%s", len(keys), diff)
	}
}

func TestReceiptsRefused(t *testing.T) {
	t.Parallel()
	s, c := listening(t)
	id := string(msg(1).AttemptID)
	const head = "attempt,status,time\n"
	for name, tt := range map[string]struct {
		text  string
		field string
		line  int
	}{
		"empty":            {"", "", 1},
		"HTML":             {"<html>\n<body>error</body>", "", 1},
		"JSON":             {`{"attempt": "x"}`, "", 1},
		"no column":        {"attempt,status\n", "", 1},
		"not UTF-8":        {"attempt,status,time\n\xff", "", 0},
		"not an attempt":   {head + id + ",printed,2026-03-01\nB1,printed,2026-03-01\n", "attempt", 3},
		"a contact":        {head + "c" + id[1:28] + ",printed,2026-03-01\n", "attempt", 2},
		"unknown status":   {head + id + ",lost,2026-03-01\n", "status", 2},
		"no status":        {head + id + "\n", "status", 2},
		"unknown reason":   {"attempt,status,time,reason\n" + id + ",returned,2026-03-01,rain\n", "reason", 2},
		"no time":          {head + id + ",printed,\n", "time", 2},
		"a time to come":   {head + id + ",printed,2026-03-09\n", "time", 2},
		"another's time":   {head + id + ",printed,02.03.2026\n", "time", 2},
		"a broken quote":   {head + id + ",printed,\"2026-03-01\n", "", 2},
		"larger than 8 MB": {head + strings.Repeat("x", 8<<20), "", 0},
	} {
		got, err := hear(s, tt.text)
		e, ok := errors.AsType[*duly.Error](err)
		if !ok || len(got.Receipts) > 0 || e.Hint == "" || e.Place.Field != tt.field || e.Place.Line != tt.line {
			t.Errorf("%s: got %v, %v; want an error at line %d, field %q, with a hint", name, got, err, tt.line, tt.field)
		}
	}
	for name, header := range map[string]string{"none": "", "wrong": "Bearer print-print-prinz", "no scheme": secret.Reveal()} {
		r := httptest.NewRequest(http.MethodPost, "/v1/receipts/print", nil)
		r.Header.Set("Authorization", header)
		if _, err := s.Hear(r, []byte(head)); duly.CodeOf(err) != duly.Refused {
			t.Errorf("secret %s: got %v, want refused", name, err)
		}
	}
	c.InboundSecrets = nil
	if _, err := hear(newSender(t, c), head); duly.CodeOf(err) != duly.Refused {
		t.Errorf("without inbound_secrets: got %v, want refused", err)
	}
}

// TestReceiptFiles: a file is moved once its receipts are kept, and not before; one with wrong rows is kept for a person.
func TestReceiptFiles(t *testing.T) {
	t.Parallel()
	s, c := listening(t)
	dir := filepath.Join(c.Folder, "receipts")
	if err := os.MkdirAll(filepath.Join(dir, "done"), 0o755); err != nil {
		t.Fatal(err)
	}
	id := string(msg(1).AttemptID)
	for name, text := range map[string]string{
		"a.csv": "attempt,status,time\n" + id + ",printed,2026-03-01\n", "done/a.csv": "of yesterday",
		"b.csv": "attempt,status,time\n" + id + ",lost,2026-03-01\n" + id + ",posted,2026-03-01\n", "c.part": "not whole yet", ".d.csv": "neither",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	refusals, taken := 1, []string{}
	done := make(chan error, 1)
	go func() {
		done <- s.Listen(ctx, func(_ context.Context, h channel.Heard) error {
			mu.Lock()
			defer mu.Unlock()
			if refusals--; refusals >= 0 {
				return errors.New("the store does not answer")
			}
			for _, r := range h.Receipts {
				taken = append(taken, r.Detail)
			}
			return nil
		})
	}()
	bad := filepath.Join(dir, "bad", "b.csv")
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(bad); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the files were not read")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Listen: %v", err)
	}
	if diff := cmp.Diff([]string{"printed", "posted"}, taken); diff != "" {
		t.Errorf("taken -want +got:\n%s", diff)
	}
	for _, name := range []string{"done/a.csv", "done/a-2.csv", "bad/b.csv", "c.part", ".d.csv"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s is not there", name)
		}
	}
	counts := s.Counts()
	if counts["printed"] != 1 || counts["posted"] != 1 || counts["wrong_row"] != 1 {
		t.Errorf("counted %v", counts)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	config(t) // or skip
	short := channel.NewSecret("short")
	font := filepath.Join(t.TempDir(), "font.ttf")
	if err := os.WriteFile(font, []byte("no font"), 0o600); err != nil {
		t.Fatal(err)
	}
	collection := font + ".ttc"
	if err := os.WriteFile(collection, []byte("ttcf...."), 0o600); err != nil {
		t.Fatal(err)
	}
	for field, spoil := range map[string]func(*letter.Config){
		"folder":     func(c *letter.Config) { c.Folder = "" },
		"fonts":      func(c *letter.Config) { c.Fonts = make([]string, 9) },
		"fonts[0]":   func(c *letter.Config) { c.Fonts = []string{"not-there.ttf"} },
		"fonts[0] ":  func(c *letter.Config) { c.Fonts = []string{font} },
		"fonts[0]  ": func(c *letter.Config) { c.Fonts = []string{collection} },
		"header":     func(c *letter.Config) { c.Header = make([]string, 9) },
		"window":     func(c *letter.Config) { c.Window = "c5" },
		"window_mm": func(c *letter.Config) {
			c.Window, c.WindowMM = letter.WindowDINA, &letter.Box{Left: 20, Top: 50, Width: 90, Height: 40}
		},
		"window_mm ":         func(c *letter.Config) { c.WindowMM = &letter.Box{Left: 20, Top: 250, Width: 90, Height: 40} },
		"window_mm  ":        func(c *letter.Config) { c.WindowMM = &letter.Box{Left: 20, Top: 50, Width: 170, Height: 40} },
		"sender":             func(c *letter.Config) { c.Sender = "a\nb" },
		"postal_class":       func(c *letter.Config) { c.PostalClass = "a,b" },
		"pages_max":          func(c *letter.Config) { c.PagesMax = 21 },
		"batch_max":          func(c *letter.Config) { c.BatchMax = -1 },
		"close_at":           func(c *letter.Config) { c.CloseAt = "5pm" },
		"timezone":           func(c *letter.Config) { c.Timezone = "Beijing" },
		"every":              func(c *letter.Config) { c.Every = time.Millisecond },
		"inbound_secrets":    func(c *letter.Config) { c.InboundSecrets = []channel.Secret{secret, secret, secret} },
		"inbound_secrets[0]": func(c *letter.Config) { c.InboundSecrets = []channel.Secret{short} },
	} {
		c := letter.Config{Folder: "x", Header: []string{"Lender"}}
		spoil(&c)
		_, err := letter.New("print", c, channel.Host{})
		e, ok := errors.AsType[*duly.Error](err)
		if want := "carriers.print.letter." + strings.TrimSpace(field); !ok || e.Place.Field != want || e.Hint == "" {
			t.Errorf("got %v, want an invalid %s with a hint", err, want)
		}
	}
}

// FuzzReceipts: whatever a file of receipts holds, reading it ends, and what comes of it is fit for the inbox.
func FuzzReceipts(f *testing.F) {
	if _, err := os.Stat(latin); err != nil {
		f.Skip("no letters: fonts-dejavu-core is not installed")
	}
	s, err := letter.New("print", letter.Config{Folder: "x", Fonts: []string{latin}, InboundSecrets: []channel.Secret{secret}}, channel.Host{Clock: func() time.Time { return noon }})
	if err != nil {
		f.Fatal(err)
	}
	id := string(msg(1).AttemptID)
	f.Add("attempt,status,time\n" + id + ",printed,2026-03-01\n")
	f.Add("\ufefftime,status,attempt,reason\n2026-03-01 10:00,returned," + id + ",moved\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := hear(s, text)
		if _, ok := errors.AsType[*duly.Error](err); err != nil && !ok {
			t.Fatalf("got a %T", err)
		}
		for _, r := range got.Receipts {
			if _, ok := r.AttemptID.Contact(); !ok || r.Key == "" || len(r.Key) > 256 || r.At.IsZero() || r.Status.State() == "" || !strings.Contains(text, string(r.AttemptID)) {
				t.Errorf("got %+v", r)
			}
		}
	})
}
