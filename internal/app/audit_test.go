package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/store"
)

// receiver keeps the roots that are posted to it, while it is willing.
type receiver struct {
	mu    sync.Mutex
	deaf  bool
	roots []audit.Root
	auth  string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var root audit.Root
	body, err := io.ReadAll(req.Body)
	if err != nil || json.Unmarshal(body, &root) != nil || r.deaf {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.auth = req.Header.Get("Authorization")
	r.roots = append(r.roots, root)
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.roots)
}

// Each day has one root, which is kept as a file and posted until it is taken; a record that is cut and sealed anew behind them is
// told apart by the files alone.
func TestSeal(t *testing.T) {
	t.Parallel()
	rcv := &receiver{}
	srv := httptest.NewServer(rcv)
	defer srv.Close()
	cfg := app.Default()
	cfg.Store = filepath.Join(t.TempDir(), "duly.db")
	cfg.Audit = app.AuditConfig{Roots: filepath.Join(t.TempDir(), "kept", "roots"), Post: srv.URL, Token: channel.NewSecret("let-me-in"), Every: cfg.Audit.Every}
	a, err := app.New(t.Context(), cfg, app.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	now := time.Date(2026, 3, 10, 15, 0, 0, 0, time.UTC) // 23:00 in Shanghai
	note := func(n int) {
		t.Helper()
		for range n {
			if err := a.DB.Update(t.Context(), now, []int{5}, func(tx *store.Tx) error { tx.Audit(5, "facts", "test", "", "x"); return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	seal := func(anyway bool, made bool, files, posted int) {
		t.Helper()
		s, err := a.Seal(t.Context(), now, anyway)
		if err != nil || (s.Root != nil) != made || len(s.Files) != files || s.Posted != posted {
			t.Fatalf("got %+v, %v; want made %v, %d files, %d posted", s, err, made, files, posted)
		}
	}
	note(3)
	seal(false, true, 1, 1)
	seal(false, false, 0, 0)
	now = now.Add(2 * time.Hour) // the next day in Shanghai, the same in UTC
	rcv.deaf = true
	s, err := a.Seal(t.Context(), now, false)
	if duly.CodeOf(err) != duly.Unavailable || s.Root == nil || len(s.Files) != 1 {
		t.Fatalf("a deaf receiver: got %+v, %v; want the root made and filed all the same", s, err)
	}
	rcv.deaf = false
	seal(false, false, 0, 1)
	note(2)
	seal(true, true, 1, 1)
	if rcv.count() != 3 || rcv.auth != "Bearer let-me-in" || !rcv.roots[2].Holds() || rcv.roots[2].Entries != 5 {
		t.Errorf("got %d roots with %q, the last %+v", rcv.count(), rcv.auth, rcv.roots[2])
	}
	kept, err := app.ReadRoots(cfg.Audit.Roots)
	if err != nil || len(kept) != 3 || kept[2].Hash != rcv.roots[2].Hash {
		t.Fatalf("got %d kept roots, %v", len(kept), err)
	}
	if r, err := a.DB.AuditVerify(t.Context(), kept...); err != nil || len(r.Breaks) != 0 || r.Kept != 3 {
		t.Errorf("got %+v, %v; want it to hold", r, err)
	}

	// A file that is lost is written again, from what the store has.
	first := filepath.Join(cfg.Audit.Roots, "root-000001-2026-03-10.json")
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	seal(false, false, 1, 0)
	// Another store in its place, however good in itself, is not the one that was sealed.
	other := cfg
	other.Store, other.Audit = filepath.Join(t.TempDir(), "other.db"), app.AuditConfig{Every: cfg.Audit.Every}
	b, err := app.New(t.Context(), other, app.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.DB.Update(t.Context(), now, []int{5}, func(tx *store.Tx) error { tx.Audit(5, "facts", "test", "", "y"); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Seal(t.Context(), now, true); err != nil {
		t.Fatal(err)
	}
	if r, err := b.DB.AuditVerify(t.Context()); err != nil || len(r.Breaks) != 0 {
		t.Errorf("by itself: got %v, %v", r.Breaks, err)
	}
	if r, err := b.DB.AuditVerify(t.Context(), kept...); err != nil || len(r.Breaks) != 4 { // three roots, and the bucket
		t.Errorf("got %v, %v; want three roots and a bucket that do not hold", r.Breaks, err)
	}

	// It does not add its roots to those that are kept of the other.
	b.Config.Audit.Roots = cfg.Audit.Roots
	if _, err := b.Seal(t.Context(), now, false); duly.CodeOf(err) != duly.Conflict {
		t.Errorf("a store that is not the one sealed: got %v, want a conflict", err)
	}

	if err := os.WriteFile(filepath.Join(cfg.Audit.Roots, "root-000009-2026-03-19.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := app.ReadRoots(cfg.Audit.Roots); duly.CodeOf(err) != duly.Invalid {
		t.Errorf("a file that is no root: got %v", err)
	}
	if _, err := app.ReadRoots(filepath.Join(cfg.Audit.Roots, "none")); duly.CodeOf(err) != duly.NotFound {
		t.Errorf("no folder: got %v", err)
	}
	if _, err := app.ReadRoots(first); err != nil {
		t.Errorf("one file: got %v", err)
	}
}

// `duly serve` seals the day by itself.
func TestServeSeals(t *testing.T) {
	t.Parallel()
	cfg := app.Default()
	cfg.Store, cfg.Listen = filepath.Join(t.TempDir(), "duly.db"), "127.0.0.1:0"
	cfg.Audit = app.AuditConfig{Roots: t.TempDir(), Every: app.Duration(10 * time.Millisecond)}
	a, err := app.New(t.Context(), cfg, app.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, nil) }()
	deadline := time.Now().Add(2 * time.Minute)
	var kept []audit.Root
	for len(kept) == 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
		if kept, err = app.ReadRoots(cfg.Audit.Roots); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if len(kept) == 0 || !kept[0].Holds() {
		t.Errorf("got %d roots, want that of today", len(kept))
	}
}
