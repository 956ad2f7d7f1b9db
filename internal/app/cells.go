package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/stream"
	"github.com/dulyhq/duly/internal/web/api"
)

// fleet is one process among several that work on all cells behind a log.
type fleet struct {
	cfg   Config
	opts  Options
	log   *stream.Log
	pub   *stream.Publisher
	cells []*cell
	moves moves
}

// cell is one store of the fleet. app and handler are nil until it has opened.
type cell struct {
	name    string
	cfg     Config
	log     *slog.Logger
	mu      sync.Mutex
	app     *App
	handler *api.Handler
}

func (c *cell) opened() (*App, *api.Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.app, c.handler
}

// ServeCells is [App.Serve] where several cells take the place of one store. Each cell is worked on by itself: one that is away
// keeps no other from its work.
func ServeCells(ctx context.Context, c Config, o Options, ready func(addr string)) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Wait = true
	if c.APIToken == "" && !loopback(c.Listen) {
		return duly.Errorf(duly.Refused, "without an api_token the API listens on a loopback address only").
			WithHint("set api_token in the configuration, or listen on 127.0.0.1")
	}
	f := &fleet{cfg: c, opts: o}
	for _, cc := range c.Cells {
		one, err := c.Cell(cc.Name)
		if err != nil {
			return err
		}
		f.cells = append(f.cells, &cell{name: cc.Name, cfg: one, log: o.Log.With("cell", cc.Name)})
	}
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return duly.Errorf(duly.Unavailable, "cannot listen on %s: the address is in use or not allowed", c.Listen).
			WithHint("set listen in the configuration, or --listen")
	}
	l, stop, err := openLog(ctx, &c, o)
	if err != nil {
		ln.Close()
		if ctx.Err() != nil {
			return nil // told to stop before the log was there
		}
		return err
	}
	defer stop()
	f.log = l
	if f.pub, err = stream.NewPublisher(l, f.engines); err != nil {
		ln.Close()
		return err
	}
	defer f.pub.Close()
	f.pub.Keeps = f.stores
	return f.serve(ctx, ln, ready)
}

func (f *fleet) serve(ctx context.Context, ln net.Listener, ready func(addr string)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	srv := server(f)
	var serveErr error
	var work, serving sync.WaitGroup
	serving.Go(func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			serveErr = err
			cancel(err)
		}
	})
	work.Go(func() { f.reconcile(ctx) })
	defer f.moves.work.Wait()
	errs := make([]error, len(f.cells))
	var lost atomic.Int32
	for i, c := range f.cells {
		work.Go(func() {
			if errs[i] = f.work(ctx, c); errs[i] == nil {
				return
			}
			errs[i] = fmt.Errorf("cell %s: %w", c.name, errs[i])
			c.log.Error("the cell does not open; mend it and start this process again", "error", errs[i])
			if lost.Add(1) == int32(len(f.cells)) {
				cancel(errors.Join(errs...))
			}
		})
	}
	if ready != nil {
		ready(ln.Addr().String())
	}
	work.Wait()
	limited, done := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer done()
	err := srv.Shutdown(limited)
	serving.Wait()
	for _, c := range f.cells {
		if a, _ := c.opened(); a != nil {
			err = errors.Join(err, a.Close())
		}
	}
	return errors.Join(append(errs, serveErr, err)...)
}

// work opens a cell, however long that takes, and works on it until ctx ends. It fails only where the cell's store is not one of
// this program; then the other cells go on.
func (f *fleet) work(ctx context.Context, c *cell) error {
	o := f.opts
	o.Log, o.Create = c.log, !IsPostgres(c.cfg.Store)
	a, err := New(ctx, c.cfg, o)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	h := a.handlerOf(f.pub, f.list, func(limited context.Context, from, to int, cell string) error {
		return f.move(limited, ctx, from, to, cell)
	})
	c.mu.Lock()
	c.app, c.handler = a, h
	c.mu.Unlock()
	if err := f.opened().mend(ctx, f.opts.Log); err != nil && ctx.Err() == nil {
		c.log.Warn("it was not seen whether another cell has people of this one", "error", err)
	}
	pulling, stop := context.WithCancel(ctx)
	var pull sync.WaitGroup
	err = a.run(ctx, h, nil, func() { pull.Go(func() { f.log.Work(pulling, a.Engine, a.gained) }) })
	stop()
	pull.Wait()
	return err
}

// engines are those of the cells that answer, with an error if one does not. A cell that this process has not heard of for the
// length of a lease is not asked.
func (f *fleet) engines() ([]*engine.Engine, error) {
	var out []*engine.Engine
	var errs []error
	for _, c := range f.cells {
		a, _ := c.opened()
		if a == nil || a.Engine.Holding().Lost() {
			errs = append(errs, away(c.name))
			continue
		}
		out = append(out, a.Engine)
	}
	return out, errors.Join(errs...)
}

func away(cell string) *duly.Error {
	return duly.Errorf(duly.Unavailable, "cell %s does not answer this process", cell).WithHint("is its server up? the log of this process says more")
}

// ServeHTTP answers a call: what is about one person by the cell of that person, facts by any, for they go through the log, and
// what is about all people by the cell that ?cell= names.
func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" && r.URL.Query().Get("cell") == "" {
		f.health(w, r)
		return
	}
	h, err := f.route(r)
	if err != nil {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		api.WriteError(w, err)
		return
	}
	h.ServeHTTP(w, r)
}

// route finds the handler of a call.
func (f *fleet) route(r *http.Request) (http.Handler, *duly.Error) {
	if name := r.URL.Query().Get("cell"); name != "" {
		for _, c := range f.cells {
			if c.name == name {
				return c.route()
			}
		}
		return nil, duly.Errorf(duly.NotFound, "there is no cell of this name").At(duly.Place{Field: "cell"})
	}
	switch path := r.URL.Path; {
	case path == "/v1/cells", path == "/v1/cells/moves", path == "/v1/payments", path == "/v1/events", path == "/v1/replies", strings.HasPrefix(path, "/v1/receipts/"):
		return f.any()
	case path == "/v1/rules", path == "/v1/gate/check": // these read no store
		return f.any()
	case strings.HasPrefix(path, "/v1/borrowers/"):
		id, _, _ := strings.Cut(strings.TrimPrefix(path, "/v1/borrowers/"), "/")
		return f.of(duly.BorrowerID(id).Bucket())
	case strings.HasPrefix(path, "/v1/contacts/reservations/"):
		id, _, _ := strings.Cut(strings.TrimPrefix(path, "/v1/contacts/reservations/"), "/")
		if b, ok := duly.ReservationID(id).Bucket(); ok {
			return f.of(b)
		}
	case strings.HasPrefix(path, "/v1/doubts/"), strings.HasPrefix(path, "/v1/attempts/"):
		_, rest, _ := strings.Cut(strings.TrimPrefix(path, "/v1/"), "/")
		id, _, _ := strings.Cut(rest, "/")
		if b, ok := duly.AttemptID(id).Bucket(); ok {
			return f.of(b)
		}
	case r.Method == http.MethodPost:
		if id := peek(r); id != "" {
			return f.of(id.Bucket())
		}
	}
	if len(f.cells) == 1 {
		return f.cells[0].route()
	}
	return nil, duly.Errorf(duly.Usage, "the call does not say which cell it is about").At(duly.Place{Field: "cell"}).
		WithHint("add ?cell=NAME; what names a borrower finds its cell by itself")
}

func (c *cell) route() (http.Handler, *duly.Error) {
	if _, h := c.opened(); h != nil {
		return h, nil
	}
	return nil, away(c.name)
}

// of returns the handler of the cell that has a bucket.
func (f *fleet) of(bucket int) (http.Handler, *duly.Error) {
	var closed *cell
	for _, c := range f.cells {
		a, _ := c.opened()
		if a != nil && a.Engine.Holding().Has(bucket) {
			return c.route()
		}
		if a == nil && (closed == nil || c.cfg.Share.Has(bucket)) {
			closed = c
		}
	}
	if closed != nil {
		return nil, away(closed.name)
	}
	return nil, duly.Errorf(duly.Unavailable, "these people are on their way to another cell").WithHint("try again in a moment; see `duly cells list`")
}

// any returns the handler of a cell that is open.
func (f *fleet) any() (http.Handler, *duly.Error) {
	for _, c := range f.cells {
		if _, h := c.opened(); h != nil {
			return h, nil
		}
	}
	return nil, duly.Errorf(duly.Unavailable, "no cell is open in this process").WithHint("are their servers up? the log of this process says more")
}

// peekMax is how much of a body is read to find whom it is about.
const peekMax = 1 << 20

// peek reads whom a body is about, and leaves the body as it was.
func peek(r *http.Request) duly.BorrowerID {
	b, err := io.ReadAll(io.LimitReader(r.Body, peekMax))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(b), r.Body), r.Body}
	var head struct {
		Borrower duly.BorrowerID `json:"borrower_id"`
	}
	if err != nil || json.Unmarshal(b, &head) != nil {
		return ""
	}
	return head.Borrower
}

// fleetHealth is what /healthz tells where there are several cells.
type fleetHealth struct {
	Status  string                     `json:"status"`
	Cells   map[string]json.RawMessage `json:"cells"`
	Waiting *uint64                    `json:"commands_waiting,omitempty"` // in the log; left out where it does not answer
	Moving  int                        `json:"buckets_moving"`             // between cells
}

// health asks every cell at one time. This process is well while the log answers and one cell does: whoever takes it out of service
// for a cell that is away, which is away to all processes, would take the other cells out too.
func (f *fleet) health(w http.ResponseWriter, r *http.Request) {
	out, code := fleetHealth{Status: "ok", Cells: map[string]json.RawMessage{}}, http.StatusOK
	answers := make([]*answerKept, len(f.cells))
	var asked sync.WaitGroup
	for i, c := range f.cells {
		asked.Go(func() { answers[i] = c.health(r) })
	}
	asked.Wait()
	var unwell []string
	for i, c := range f.cells {
		out.Cells[c.name] = bytes.TrimSpace(answers[i].Bytes())
		if a, _ := c.opened(); a != nil {
			out.Moving += a.Engine.Holding().Moving()
		}
		if answers[i].code != http.StatusOK {
			unwell = append(unwell, c.name)
		}
	}
	switch {
	case len(unwell) == len(f.cells):
		out.Status, code = "no cell is well", http.StatusServiceUnavailable
	case len(unwell) > 0:
		out.Status = "not well: cell " + strings.Join(unwell, ", ")
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if n, err := f.log.Waiting(ctx); err == nil {
		out.Waiting = &n
	} else {
		out.Status, code = "the log does not answer", http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(out)
}

// health asks one cell, which answers within some seconds though its store hangs.
func (c *cell) health(r *http.Request) *answerKept {
	kept := &answerKept{header: http.Header{}, code: http.StatusServiceUnavailable}
	if _, h := c.opened(); h != nil {
		kept.code = http.StatusOK
		h.ServeHTTP(kept, r)
		return kept
	}
	kept.WriteString(`{"status":"not open"}`)
	return kept
}

// answerKept is an answer that is not sent.
type answerKept struct {
	bytes.Buffer
	header http.Header
	code   int
}

// Header is that of an http.ResponseWriter.
func (a *answerKept) Header() http.Header { return a.header }

// WriteHeader keeps the status.
func (a *answerKept) WriteHeader(code int) { a.code = code }
