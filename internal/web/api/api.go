// Package api is Duly's HTTP interface: facts come in, explanations and metrics go out.
//
// Bodies are JSON in the words of the root package. Errors are {"error": {"code", "message", "hint", "place"}} with a
// status that follows from the code. A call that posts facts returns after they are applied: when POST /v1/payments has
// answered, nothing more is sent for what it settled.
package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
)

// Limits of a request.
const (
	bodyMax  = 8 << 20
	factsMax = 10_000
)

// Deps is what the API works with.
type Deps struct {
	Engine    *engine.Engine
	DB        *store.DB
	Facts     Facts // nil: Engine, at once
	Inbound   map[string]channel.Inbound
	Packs     []*rule.Pack     // the law in force, for questions to the gate
	Calendars *civil.Calendars // the holidays that it knows
	Token     string           // needed of every caller but /healthz; "" needs none
	Log       *slog.Logger
	Now       func() time.Time

	// Where the store is one cell of several: who has what, and the beginning of a move.
	ListCells func(ctx context.Context) (any, error)
	MoveParts func(ctx context.Context, from, to int, cell string) error
}

// Facts takes facts, and what carriers tell, to the store that their person is in. Its methods are those of an engine, and return
// when that store has them.
type Facts interface {
	Apply(ctx context.Context, now time.Time, actor string, facts []duly.Fact) (engine.Applied, error)
	FeedThrough(ctx context.Context, now time.Time, feed string, through time.Time) error
	Hear(ctx context.Context, now time.Time, carrier string, heard channel.Heard, r *engine.ReceiveReport) error
}

// Handler is the API.
type Handler struct {
	Deps
	mux     *http.ServeMux
	metrics *metrics
	wake    chan struct{}
	mu      sync.Mutex
	last    lastStep

	unsubscribe unsubscriber
}

// lastStep is what /healthz tells of the engine.
type lastStep struct {
	at  time.Time
	err error
}

// New makes the API.
func New(d Deps) *Handler {
	if d.Facts == nil {
		d.Facts = d.Engine
	}
	h := &Handler{Deps: d, mux: http.NewServeMux(), metrics: newMetrics(d), wake: make(chan struct{}, 1), unsubscribe: newUnsubscriber()}
	h.handle("POST /v1/payments", h.postPayments)
	h.handle("POST /v1/events", h.postEvents)
	h.handle("GET /v1/borrowers/{id}/why", h.getWhy)
	h.handle("GET /v1/plan", h.getPlan)
	h.handle("GET /v1/doubts", h.getDoubts)
	h.handle("POST /v1/doubts/answers", h.postAnswers)
	h.handle("POST /v1/doubts/{id}/resolve", h.postResolve)
	h.handle("GET /v1/attempts/{id}/certificate", h.getCertificate)
	h.handle("GET /v1/fence", h.getFence)
	h.handle("GET /v1/audit/roots", h.getRoots)
	h.handle("GET /v1/audit/roots/{no}", h.getRoot)
	h.handle("GET /v1/audit/export", h.getExport)
	h.handle("POST /v1/contacts/reservations", h.postReservation)
	h.handle("GET /v1/contacts/reservations/{id}", h.getReservation)
	h.handle("POST /v1/contacts/reservations/{id}/commit", h.commitReservation)
	h.handle("POST /v1/contacts/reservations/{id}/release", h.releaseReservation)
	h.handle("GET /v1/rules", h.getRules)
	h.handle("POST /v1/gate/check", h.postGateCheck)
	h.handle("POST /v1/replies", h.postReplies)
	h.handle("GET /v1/inbox/{borrower}", h.getInbox)
	h.handle("POST /v1/inbox/{borrower}/{message}/read", h.postInboxMark(store.InboxRead))
	h.handle("POST /v1/inbox/{borrower}/{message}/dismissed", h.postInboxMark(store.InboxDismissed))
	h.handle("GET /v1/replies/unmatched", h.getUnmatched)
	h.handle("GET /v1/points", h.getPoints)
	h.handle("GET /v1/cases", h.getCases)
	h.handle("POST /v1/cases", h.postCases)
	h.handle("POST /v1/cases/{id}/done", h.postCaseDone)
	h.handle("GET /v1/deadlines", h.getDeadlines)
	h.handle("GET /v1/nodes", h.getNodes)
	h.handle("GET /v1/carriers", h.getCarriers)
	h.handle("PUT /v1/channels/{channel}/pin", h.putPin)
	h.handle("DELETE /v1/channels/{channel}/pin", h.deletePin)
	h.handle("POST /v1/carriers/{carrier}/reconciliation", h.postReconciliation)
	h.handle("GET /v1/retention", h.getRetention)
	if h.ListCells != nil {
		h.handle("GET /v1/cells", h.getCells)
		h.handle("POST /v1/cells/moves", h.postMove)
	}
	h.mux.HandleFunc("GET /v1/receipts/{carrier}", h.postReceipts)  // a carrier that asks whether we are who it is to call
	h.mux.HandleFunc("POST /v1/receipts/{carrier}", h.postReceipts) // proves itself by the carrier's signature
	h.mux.HandleFunc("GET /v1/unsubscribe/{token}", h.getUnsubscribe)
	h.mux.HandleFunc("POST /v1/unsubscribe/{token}", h.postUnsubscribe) // proves itself by its token
	h.mux.HandleFunc("GET /healthz", h.getHealth)
	h.handle("GET /metrics", func(w http.ResponseWriter, r *http.Request) error {
		promhttp.HandlerFor(h.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
		return nil
	})
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if _, pattern := h.mux.Handler(r); pattern == "" {
		w = &plainless{ResponseWriter: w}
	}
	h.mux.ServeHTTP(w, r)
}

// plainless says in JSON what the mux says in plain text: that there is no such call, or not with this method.
type plainless struct{ http.ResponseWriter }

// WriteHeader answers a status of the mux in the words of the API.
func (p *plainless) WriteHeader(code int) {
	switch code {
	case http.StatusNotFound:
		writeJSON(p.ResponseWriter, code, errorBody{duly.Errorf(duly.NotFound, "there is no such call").WithHint("docs/api.md lists the calls")})
	case http.StatusMethodNotAllowed:
		writeJSON(p.ResponseWriter, code, errorBody{duly.Errorf(duly.Usage, "the call does not take this method").WithHint("the Allow header lists those it takes")})
	default:
		p.ResponseWriter.WriteHeader(code)
	}
}

// Write drops the plain text.
func (p *plainless) Write(b []byte) (int, error) { return len(b), nil }

// Stepped tells the API how the last step of the engine went.
func (h *Handler) Stepped(r engine.Report, err error) {
	h.metrics.step(r, err)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = lastStep{at: h.Now(), err: err}
}

// Hear takes what a carrier told over a connection of its own. When it returns nil all of it is kept.
func (h *Handler) Hear(ctx context.Context, carrier string, heard channel.Heard) error {
	var rep engine.ReceiveReport
	err := h.Facts.Hear(ctx, h.Now().UTC(), carrier, heard, &rep)
	if err == nil {
		h.poke()
	}
	return err
}

// Wake is ready when facts came in that the engine should look at before its next tick.
func (h *Handler) Wake() <-chan struct{} { return h.wake }

func (h *Handler) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// handle registers a handler that returns its error, behind the token.
func (h *Handler) handle(pattern string, fn func(http.ResponseWriter, *http.Request) error) {
	h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if !h.allowed(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeJSON(w, http.StatusUnauthorized, errorBody{duly.Errorf(duly.Refused, "a bearer token is needed").
				WithHint("send Authorization: Bearer with the api_token of the configuration")})
			return
		}
		if err := fn(w, r); err != nil {
			h.fail(w, r, err)
		}
	})
}

func (h *Handler) allowed(r *http.Request) bool {
	if h.Token == "" {
		return true
	}
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(h.Token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

type errorBody struct {
	Error *duly.Error `json:"error"`
}

// fail maps an error to a status. What is not meant for a person goes to the log and comes out as "internal".
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[*duly.Error](err)
	if !ok {
		h.Log.Error("request failed", "method", r.Method, "path", r.Pattern, "error", err)
		e = duly.Errorf(duly.Internal, "internal error").WithHint("the log says more")
	}
	writeJSON(w, status(e.Code), errorBody{e})
}

func status(c duly.Code) int {
	switch c {
	case duly.Usage:
		return http.StatusBadRequest
	case duly.Invalid:
		return http.StatusUnprocessableEntity
	case duly.NotFound:
		return http.StatusNotFound
	case duly.Conflict:
		return http.StatusConflict
	case duly.Refused:
		return http.StatusForbidden
	case duly.Unavailable:
		return http.StatusServiceUnavailable
	case duly.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(v) // the status is out: nothing can be done about a broken connection
}

// readJSON reads a body strictly: no unknown keys, one value.
func readJSON(r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, bodyMax))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return jsonError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return duly.Errorf(duly.Usage, "the body holds more than one JSON value")
	}
	return nil
}

// jsonError tells what the decoder did not like, without what it read: the decoder's own words may hold values.
func jsonError(err error) error {
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return duly.Errorf(duly.Usage, "the body is larger than %d bytes", e.Limit).WithHint("send fewer facts in one call")
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return duly.Errorf(duly.Usage, "the body is not JSON").At(duly.Place{File: "body", Column: int(e.Offset)})
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return duly.Errorf(duly.Usage, "the body is not JSON: it ends too early").At(duly.Place{File: "body"})
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return duly.Errorf(duly.Invalid, "another sort of value is wanted").At(duly.Place{File: "body", Field: e.Field}).WithHint("docs/api.md shows the bodies")
	}
	if key, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		e := duly.Errorf(duly.Invalid, "unknown key").At(duly.Place{File: "body"}).WithHint("docs/api.md lists the keys")
		if key = strings.Trim(key, `"`); plainKey(key) {
			e.Place.Field = key
		}
		return e
	}
	return duly.Errorf(duly.Usage, "the body cannot be read whole").At(duly.Place{File: "body"})
}

// keyMax is the longest unknown key that is told back.
const keyMax = 40

// plainKey reports whether a key looks like one: anything else may be a value that slipped, and is not told back.
func plainKey(key string) bool {
	return len(key) <= keyMax && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// health is the answer of /healthz.
type health struct {
	Status string      `json:"status"` // ok, or what is wrong
	Store  string      `json:"store"`
	FeedAt *time.Time  `json:"payment_feed_at,omitempty"`
	Stale  bool        `json:"payment_feed_stale"`
	StepAt *time.Time  `json:"last_step_at,omitempty"`
	Node   *nodeHealth `json:"node,omitempty"` // left out where nothing else can open the store
}

// nodeHealth is what /healthz tells of this process among the nodes, and of the buckets that nobody works on.
type nodeHealth struct {
	ID         string   `json:"id,omitempty"`
	Sending    bool     `json:"sending"` // the lease runs
	Buckets    int      `json:"buckets"` // that fall to this process
	Left       float64  `json:"lease_seconds_left"`
	Alive      *int     `json:"nodes_alive,omitempty"` // left out where the store does not answer
	Unowned    *int     `json:"buckets_unowned,omitempty"`
	UnownedFor *float64 `json:"buckets_unowned_seconds,omitempty"`
}

func (h *Handler) getHealth(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	out := health{Status: "ok", Store: h.DB.Kind()}
	code := http.StatusOK
	feed, err := h.DB.FeedAt(ctx, engine.FeedPayments)
	if err != nil {
		out.Status, code = "the store does not answer", http.StatusServiceUnavailable
	} else if !feed.IsZero() {
		out.FeedAt = &feed
	}
	if out.Node = h.nodeHealth(ctx, code == http.StatusOK); out.Node != nil && !out.Node.Sending && code == http.StatusOK {
		out.Status, code = "sending is paused: this node has no lease", http.StatusServiceUnavailable
	}
	out.Stale = h.Now().Sub(feed) > h.Engine.Config().FeedMaxAge
	h.mu.Lock()
	last := h.last
	h.mu.Unlock()
	if !last.at.IsZero() {
		out.StepAt = &last.at
	}
	if last.err != nil && code == http.StatusOK {
		out.Status, code = "the last step of the engine failed", http.StatusServiceUnavailable
	}
	writeJSON(w, code, out)
}

// nodeHealth tells of this process among the nodes, and of the others if the store answers.
func (h *Handler) nodeHealth(ctx context.Context, answers bool) *nodeHealth {
	holding := h.Engine.Holding()
	if holding == nil {
		return nil
	}
	held := holding.State()
	out := &nodeHealth{ID: held.Node, Sending: held.Live, Buckets: held.Buckets, Left: held.Left.Seconds()}
	if !answers {
		return out
	}
	if nodes, err := engine.Nodes(ctx, h.DB, holding.Share()); err == nil {
		alive := nodes.Alive()
		out.Alive, out.Unowned, out.UnownedFor = &alive, &nodes.Unowned, &nodes.UnownedFor
	}
	return out
}

// postReceipts takes a carrier's callback: verified, written down, answered.
func (h *Handler) postReceipts(w http.ResponseWriter, r *http.Request) {
	err := func() error {
		name := r.PathValue("carrier")
		in := h.Inbound[name]
		if in == nil {
			return duly.Errorf(duly.NotFound, "no carrier of this name takes callbacks")
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
		if err != nil {
			return duly.Errorf(duly.Usage, "the body cannot be read whole")
		}
		heard, err := in.Hear(r, body)
		if err != nil {
			return err
		}
		var rep engine.ReceiveReport
		if err := h.Facts.Hear(r.Context(), h.Now().UTC(), name, heard, &rep); err != nil {
			return err
		}
		h.poke()
		if a := heard.Answer; a != nil {
			w.Header().Set("Content-Type", a.Type)
			w.WriteHeader(cmp.Or(a.Status, http.StatusOK))
			_, _ = w.Write(a.Body)
			return nil
		}
		writeJSON(w, http.StatusOK, map[string]int{"kept": rep.Receipts + rep.Replies + rep.Points, "orphans": rep.Orphans + rep.Unmatched})
		return nil
	}()
	if err != nil {
		h.fail(w, r, err)
	}
}

// WriteError answers an error as every call does.
func WriteError(w http.ResponseWriter, e *duly.Error) { writeJSON(w, status(e.Code), errorBody{e}) }
