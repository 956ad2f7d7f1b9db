// Package console is Duly's web console: what operations see, understand and steer.
//
// Pages are HTML made on the server; they read and act without scripts. What a route needs and what a role may are tables
// (console.go, role.go); everything is said in the words of a catalogue (words/). Personal data is masked unless the role may see
// it, and each time that it is shown is written into the audit.
package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// Facts takes facts to the store that their person is in.
type Facts interface {
	Apply(ctx context.Context, now time.Time, actor string, facts []duly.Fact) (engine.Applied, error)
}

// Deps is what the console works with.
type Deps struct {
	Engine *engine.Engine
	DB     *store.DB
	Facts  Facts // nil: Engine
	Log    *slog.Logger
	Now    func() time.Time
}

// Console answers the console's pages.
type Console struct {
	Deps
	mux       *http.ServeMux
	guard     *http.CrossOriginProtection
	languages map[string]*language
	pages     map[string]map[string]*template.Template // by language and name
	hashes    chan struct{}                            // how many passwords may be looked at at a time
}

// route is one page or action.
type route struct {
	pattern string
	needs   permission
	answer  func(*Console, http.ResponseWriter, *request) error
}

// routes is the one table of what the console answers, and of what is needed for it.
var routes = []route{
	{"GET /signin", anybody, (*Console).getSignIn},
	{"POST /signin", anybody, (*Console).postSignIn},
	{"GET /open/{secret}", anybody, (*Console).getOpen},
	{"POST /open/{secret}", anybody, (*Console).postOpen},
	{"POST /settings", anybody, (*Console).postSettings},
	{"POST /signout", signedIn, (*Console).postSignOut},
	{"GET /{$}", seeBook, (*Console).getToday},
	{"GET /search", seeBook, (*Console).getSearch},
	{"GET /borrowers/{id}", seeBook, (*Console).getBorrower},
	{"POST /borrowers/{id}/holds", holdBorrower, (*Console).postHold},
	{"POST /borrowers/{id}/holds/{hold}/release", holdBorrower, (*Console).postRelease},
	{"POST /borrowers/{id}/refusals", holdBorrower, (*Console).postRefusal},
	{"GET /care", workCases, (*Console).getCare},
	{"POST /care/{borrower}/{case}/done", workCases, (*Console).postCaseDone},
	{"GET /audit", seeAudit, (*Console).getAudit},
	{"GET /reports", seeReports, (*Console).getReports},
	{"GET /reports/day.csv", seeReports, (*Console).getDayCSV},
	{"GET /accounts", accounts, (*Console).getAccounts},
	{"POST /accounts", accounts, (*Console).postAccount},
	{"POST /accounts/{name}/disable", accounts, (*Console).postDisable},
}

// request is one call by somebody.
type request struct {
	*http.Request
	who     *store.Account // nil: nobody is signed in
	session string         // digest of the session
	may     permission
	lang    *language
	now     time.Time
}

// actor is how the audit names who did something.
func (r *request) actor() string { return "account:" + r.who.Name }

//go:embed static
var staticFiles embed.FS

// New makes the console.
func New(d Deps) (*Console, error) {
	if d.Facts == nil {
		d.Facts = d.Engine
	}
	c := &Console{Deps: d, mux: http.NewServeMux(), guard: http.NewCrossOriginProtection(), hashes: make(chan struct{}, hashesMax)}
	var err error
	if c.languages, err = loadLanguages(); err != nil {
		return nil, err
	}
	if c.pages, err = c.loadPages(); err != nil {
		return nil, err
	}
	for _, rt := range routes {
		c.mux.Handle(rt.pattern, c.behind(rt))
	}
	static, err := fs.Sub(staticFiles, "static")
	if err != nil {
		return nil, err
	}
	files := http.StripPrefix("/static/", http.FileServerFS(static))
	c.mux.HandleFunc("GET /static/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		files.ServeHTTP(w, r)
	})
	return c, nil
}

// policy lets a page load its own style and script, and nothing else; nobody may frame it.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP answers one call.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	if err := c.guard.Check(r); err != nil {
		c.fail(w, &request{Request: r, lang: c.languageOf(r), now: c.Now()}, duly.Errorf(duly.Refused, "the form was sent by another site"))
		return
	}
	if _, pattern := c.mux.Handler(r); pattern == "" {
		c.fail(w, &request{Request: r, lang: c.languageOf(r), now: c.Now()}, duly.Errorf(duly.NotFound, "there is no such page"))
		return
	}
	c.mux.ServeHTTP(w, r)
}

// formMax bounds what a form may send.
const formMax = 64 << 10

// behind answers a route to whoever may have it.
func (c *Console) behind(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		hr.Body = http.MaxBytesReader(w, hr.Body, formMax)
		r := &request{Request: hr, lang: c.languageOf(hr), now: c.Now().UTC()}
		var err error
		if r.who, r.session, err = c.who(hr); err != nil {
			c.fail(w, r, err)
			return
		}
		if r.who != nil {
			r.may = Role(r.who.Role).may()
		}
		switch {
		case rt.needs&anybody != 0:
		case r.who == nil && hr.Method == http.MethodGet:
			http.Redirect(w, hr, "/signin?next="+url.QueryEscape(hr.URL.RequestURI()), http.StatusSeeOther)
			return
		case r.may&rt.needs == 0:
			c.fail(w, r, duly.Errorf(duly.Refused, "this needs another role"))
			return
		}
		if err := rt.answer(c, w, r); err != nil {
			c.fail(w, r, err)
		}
	})
}

// statuses are those of errors that are for a person; of all others 500.
var statuses = map[duly.Code]int{
	duly.Usage: http.StatusBadRequest, duly.Invalid: http.StatusUnprocessableEntity, duly.NotFound: http.StatusNotFound,
	duly.Conflict: http.StatusConflict, duly.Refused: http.StatusForbidden, duly.Unavailable: http.StatusServiceUnavailable,
}

// fail shows an error. What is not meant for a person goes to the log.
func (c *Console) fail(w http.ResponseWriter, r *request, err error) {
	code := duly.CodeOf(err)
	status, ok := statuses[code]
	if !ok {
		status = http.StatusInternalServerError
		if !errors.Is(err, context.Canceled) {
			c.Log.Error("a page of the console failed", "method", r.Method, "error", err)
		}
	}
	title, detail := r.lang.errorWords(err)
	c.show(w, r, status, "error", title, struct{ Title, Detail string }{title, detail})
}

// page is what every page is made from.
type page struct {
	Lang, Theme, Title, Name string
	Here                     string // path and query, to come back to
	Who                      *store.Account
	Nav                      []navItem
	Body                     any
}

type navItem struct {
	Key, Path, Word string
	Here            bool
}

// places are the pages that the list at the left leads to.
var places = []struct {
	key, path string
	needs     permission
}{
	{"today", "/", seeBook}, {"care", "/care", workCases}, {"audit", "/audit", seeAudit}, {"reports", "/reports", seeReports}, {"accounts", "/accounts", accounts},
}

// show answers with a page.
func (c *Console) show(w http.ResponseWriter, r *request, status int, name, title string, body any) {
	p := page{Lang: r.lang.tag, Title: title, Name: name, Here: r.URL.RequestURI(), Who: r.who, Body: body}
	if r.Method != http.MethodGet {
		p.Here = "/"
	}
	if cookie, err := r.Cookie("duly_theme"); err == nil && (cookie.Value == "dark" || cookie.Value == "light") {
		p.Theme = cookie.Value
	}
	for _, at := range places {
		if r.may&at.needs != 0 {
			p.Nav = append(p.Nav, navItem{at.key, at.path, r.lang.t("nav." + at.key), at.key == name})
		}
	}
	var b bytes.Buffer
	if err := c.pages[r.lang.tag][name].ExecuteTemplate(&b, "layout", p); err != nil {
		c.Log.Error("a page of the console cannot be made", "page", name, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// back answers a form by sending the browser on to a page.
func back(w http.ResponseWriter, r *request, path string) error {
	http.Redirect(w, r.Request, path, http.StatusSeeOther)
	return nil
}

//go:embed page/*.html
var pageFiles embed.FS

// loadPages makes every page in every language.
func (c *Console) loadPages() (map[string]map[string]*template.Template, error) {
	names, err := fs.Glob(pageFiles, "page/*.html")
	if err != nil {
		return nil, err
	}
	loc := c.Engine.Config().Location
	out := map[string]map[string]*template.Template{}
	for tag, l := range c.languages {
		out[tag] = map[string]*template.Template{}
		funcs := template.FuncMap{
			"t": l.t, "or": l.or, "n": l.count, "day": l.day, "amount": l.amount,
			"at": func(t time.Time) string { return clock(t, loc) }, "roles": Roles,
		}
		base, err := template.New("").Funcs(funcs).ParseFS(pageFiles, "page/layout.html")
		if err != nil {
			return nil, err
		}
		for _, file := range names {
			name := file[len("page/") : len(file)-len(".html")]
			if name == "layout" {
				continue
			}
			t, err := base.Clone()
			if err != nil {
				return nil, err
			}
			if out[tag][name], err = t.ParseFS(pageFiles, file); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
