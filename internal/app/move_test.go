package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel/sandbox"
	"github.com/dulyhq/duly/internal/store"
)

// celled is a configuration of three SQLite cells behind a log in the process, of which c has nothing yet.
func celled(t *testing.T) app.Config {
	t.Helper()
	dir := t.TempDir()
	c := app.Default()
	c.Listen, c.Tick, c.Node.Lease = "127.0.0.1:0", app.Duration(50*time.Millisecond), app.Duration(2*time.Second)
	c.Carriers = map[string]app.CarrierConfig{"sandbox": {Kind: "sandbox", Settings: &sandbox.Behaviour{Seed: 1}}}
	c.Stream.Parts, c.Stream.Embedded = 16, filepath.Join(dir, "log")
	at := func(name string) string { return filepath.Join(dir, name+".db") + store.Hasty }
	c.Cells = []app.CellConfig{{Name: "a", Store: at("a"), Parts: []int{0, 7}}, {Name: "b", Store: at("b"), Parts: []int{8, 15}}, {Name: "c", Store: at("c")}}
	return c
}

// served is a `duly serve` of cells.
type served struct {
	t   *testing.T
	url string
}

func serveCells(t *testing.T, c app.Config) *served {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	addr := make(chan string, 1)
	done := make(chan error, 1)
	go func() { done <- app.ServeCells(ctx, c, app.Options{}, func(a string) { addr <- a }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case a := <-addr:
		return &served{t, "http://" + a}
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	return nil
}

// call makes a call and returns its status and body.
func (s *served) call(method, path, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Error(err)
	}
	return res.StatusCode, string(b)
}

// cells asks who has what; nothing is said while no cell has opened.
func (s *served) cells() (r app.CellsReport) {
	s.t.Helper()
	code, body := s.call(http.MethodGet, "/v1/cells", "")
	if code == http.StatusServiceUnavailable {
		return r
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != http.StatusOK {
		s.t.Fatalf("GET /v1/cells: %d %s, %v", code, body, err)
	}
	return r
}

// until waits for a state of the cells.
func (s *served) until(what string, is func(r app.CellsReport) bool) {
	s.t.Helper()
	var r app.CellsReport
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if r = s.cells(); is(r) {
			return
		}
	}
	s.t.Fatalf("%s: still %+v", what, r)
}

// owner returns who has a part, and whether it is at rest: worked on, and no move under way.
func owner(r app.CellsReport, part int) (cell string, rest bool) {
	for _, p := range r.Parts {
		if p.From <= part && part <= p.To {
			return p.Cell, p.Move == "" && p.Unowned == 0
		}
	}
	return "", false
}

// Parts are moved by a call and by a command while payments are told: every one of them is answered, and the cell that has the people
// says what became of them.
func TestMoveWhileServing(t *testing.T) {
	t.Parallel()
	c := celled(t)
	s := serveCells(t, c)
	var people []duly.BorrowerID
	for i := 0; len(people) < 12; i++ { // of part 3
		if id := duly.BorrowerID(fmt.Sprintf("B%05d", i)); id.Bucket()/(duly.Buckets/16) == 3 {
			people = append(people, id)
		}
	}
	var book bytes.Buffer
	for i, id := range people {
		for _, e := range []string{
			`{"kind":"borrower","id":"%[1]s","name":"x","language":"en","country":"XX"}`, `{"kind":"loan","borrower_id":"%[1]s","id":"L%[2]d","schedule":"bullet","currency":"USD","principal":{"minor":10000,"currency":"USD"},"disbursed_on":"2026-01-02"}`,
			`{"kind":"installment","borrower_id":"%[1]s","loan_id":"L%[2]d","no":1,"due_on":"2099-01-02","principal":{"minor":10000,"currency":"USD"},"interest":{"minor":0,"currency":"USD"},"fee":{"minor":0,"currency":"USD"}}`,
		} {
			if book.Len() > 0 {
				book.WriteString(",")
			}
			fmt.Fprintf(&book, e, id, i)
		}
	}
	s.until("at first", func(r app.CellsReport) bool {
		cell, rest := owner(r, 3)
		return cell == "a" && rest && len(r.Closed) == 0
	})
	if code, body := s.call(http.MethodPost, "/v1/events", `{"events":[`+book.String()+`]}`); code != http.StatusOK {
		t.Fatalf("the book: %d %s", code, body)
	}
	var stop atomic.Bool
	var paid atomic.Int64
	var payers sync.WaitGroup
	for i, id := range people[:4] {
		payers.Go(func() {
			for n := 0; !stop.Load(); n++ {
				code, body := s.call(http.MethodPost, "/v1/payments", fmt.Sprintf(`{"id":"P%d-%d","loan_id":"L%d","amount":{"minor":1,"currency":"USD"},"value_at":"2026-03-01T00:00:00Z"}`, i, n, i))
				if code != http.StatusOK {
					t.Errorf("a payment of %s: %d %s", id, code, body)
					return
				}
				paid.Add(1)
			}
		})
	}
	defer payers.Wait()
	defer stop.Store(true)
	for _, bad := range []struct {
		body string
		want int
	}{
		{`{"part":3,"cell":"z"}`, http.StatusBadRequest}, {`{"part":16,"cell":"c"}`, http.StatusBadRequest}, {`{"cell":"c"}`, http.StatusBadRequest},
		{`{"part":3}`, http.StatusBadRequest}, {`{"part":9,"cell":"b"}`, http.StatusForbidden}, {`{"part":3,"to":4,"cell":"c"}`, http.StatusUnprocessableEntity},
	} {
		if code, body := s.call(http.MethodPost, "/v1/cells/moves", bad.body); code != bad.want {
			t.Errorf("%s: got %d %s, want %d", bad.body, code, body, bad.want)
		}
	}
	if code, body := s.call(http.MethodPost, "/v1/cells/moves", `{"part":3,"last_part":4,"cell":"c"}`); code != http.StatusAccepted {
		t.Fatalf("the move: %d %s", code, body)
	}
	s.until("moved by a call", func(r app.CellsReport) bool {
		three, rest := owner(r, 3)
		four, rested := owner(r, 4)
		return three == "c" && four == "c" && rest && rested
	})
	before := paid.Load()
	for _, id := range people { // read where they are now
		if code, body := s.call(http.MethodGet, "/v1/borrowers/"+string(id)+"/why", ""); code != http.StatusOK {
			t.Errorf("why of %s: %d %s", id, code, body)
		}
	}
	// And back, by a command beside it.
	moved, err := app.MoveParts(t.Context(), c, app.Options{}, 3, 3, "b", nil)
	if err != nil || len(moved) != 1 || moved[0].Rows < int64(3*len(people)) {
		t.Fatalf("moved by a command: %+v, %v", moved, err)
	}
	s.until("moved by a command", func(r app.CellsReport) bool { cell, rest := owner(r, 3); return cell == "b" && rest })
	for deadline := time.Now().Add(time.Minute); paid.Load() < before+8 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
	}
	stop.Store(true)
	payers.Wait()
	if paid.Load() < before+8 {
		t.Errorf("payments stood still after the move: %d, then %d", before, paid.Load())
	}
	s.counted(c, people, paid.Load())
	if _, err := app.MoveParts(t.Context(), c, app.Options{}, 3, 3, "b", nil); duly.CodeOf(err) != duly.Refused {
		t.Errorf("moved to where it is: got %v, want it refused", err)
	}
	// People that one cell has the other refuses, though its configuration says that it begins with them.
	one, err := c.Cell("a")
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), one, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Engine.Apply(t.Context(), time.Now(), "test", []duly.Fact{&duly.Borrower{ID: people[0], Version: 1}}); duly.CodeOf(err) != duly.Refused {
		t.Errorf("facts for a cell that gave the people away: got %v, want them refused", err)
	}
}

// counted fails unless the cell that has the people has every payment, once, and no other has any.
func (s *served) counted(c app.Config, people []duly.BorrowerID, want int64) {
	s.t.Helper()
	for _, cell := range c.Cells {
		db, err := store.Open(s.t.Context(), cell.Store)
		if err != nil {
			s.t.Fatal(err)
		}
		n := 0
		err = db.View(s.t.Context(), func(tx *store.Tx) error {
			for _, id := range people {
				persons, err := tx.Persons(id.Bucket(), []duly.BorrowerID{id}, time.Time{})
				if err != nil {
					return err
				}
				for _, p := range persons {
					n += int(10000 - p.Installments[0].Outstanding().Minor)
				}
			}
			return nil
		})
		db.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		if has := map[string]int64{"b": want}[cell.Name]; int64(n) != has {
			s.t.Errorf("cell %s has %d paid, want %d", cell.Name, n, has)
		}
	}
}

// What cannot be moved is refused before anything is done, and the list says who is away.
func TestMoveRefusals(t *testing.T) {
	t.Parallel()
	c := celled(t)
	if _, err := app.MoveParts(t.Context(), c, app.Options{}, 3, 3, "c", nil); duly.CodeOf(err) != duly.Unavailable {
		t.Errorf("no cell is there: got %v, want unavailable", err)
	}
	if _, err := app.ListCells(t.Context(), app.Default(), app.Options{}); duly.CodeOf(err) != duly.Usage {
		t.Errorf("no cells are configured: got %v, want wrong use", err)
	}
	for _, cell := range c.Cells[:2] {
		db, err := store.Create(t.Context(), cell.Store)
		if err != nil {
			t.Fatal(err)
		}
		db.Close()
	}
	// Who has what stands nowhere yet, and one of them cannot say.
	if _, err := app.MoveParts(t.Context(), c, app.Options{}, 3, 3, "b", nil); duly.CodeOf(err) != duly.Unavailable || !strings.Contains(err.Error(), "cell c") {
		t.Errorf("cell c is away: got %v, want unavailable", err)
	}
	r, err := app.ListCells(t.Context(), c, app.Options{})
	if err != nil || len(r.Parts) != 2 || r.Parts[0].Cell != "a" || r.Parts[1].Cell != "b" || r.Parts[0].Buckets != duly.Buckets/2 || r.Closed["c"] == "" {
		t.Errorf("the list: %+v, %v", r, err)
	}
	db, err := store.Create(t.Context(), c.Cells[2].Store)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	c.Node.Lease = app.Duration(10 * time.Millisecond)
	if _, err := app.MoveParts(t.Context(), c, app.Options{}, 3, 3, "b", nil); err != nil {
		t.Errorf("all are there: %v", err)
	}
	// A cell that is restored from a backup which is older than a move lets go of who has moved, and a move removes what it has.
	path := strings.TrimSuffix(c.Cells[0].Store, store.Hasty)
	backup, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.MoveParts(t.Context(), c, app.Options{}, 5, 5, "b", nil); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"-wal", "-shm"} {
		os.Remove(path + end)
	}
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err = app.ListCells(t.Context(), c, app.Options{}); err != nil {
		t.Fatal(err)
	}
	if got, rest := owner(r, 5); got != "" || rest {
		t.Errorf("a restored cell is not seen: part 5 is in %q", got)
	}
	if err := app.SettleCells(t.Context(), c, app.Options{}); err != nil {
		t.Fatal(err)
	}
	if r, err = app.ListCells(t.Context(), c, app.Options{}); err != nil {
		t.Fatal(err)
	}
	if got, rest := owner(r, 5); got != "b" || rest {
		t.Errorf("a restored cell: part 5 is in %q, at rest: %t", got, rest)
	}
	if _, err := app.MoveParts(t.Context(), c, app.Options{}, 5, 5, "b", nil); err != nil {
		t.Errorf("what a restored cell has left is not removed: %v", err)
	}
	// A cell that is made anew does not get back what it gave away.
	again := c
	again.Cells = append([]app.CellConfig{{Name: "a", Store: filepath.Join(t.TempDir(), "a.db") + store.Hasty, Parts: []int{0, 7}}}, c.Cells[1:]...)
	if db, err = store.Create(t.Context(), again.Cells[0].Store); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if err := app.SettleCells(t.Context(), again, app.Options{}); err != nil {
		t.Fatal(err)
	}
	if r, err = app.ListCells(t.Context(), again, app.Options{}); err != nil {
		t.Fatal(err)
	}
	for part, want := range map[int]string{2: "a", 3: "b", 4: "a", 8: "b"} {
		if got, _ := owner(r, part); got != want {
			t.Errorf("part %d: got cell %q, want %q", part, got, want)
		}
	}
}
