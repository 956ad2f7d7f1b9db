package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/channel/sandbox"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/sim"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/web/console"
)

// world is a console over a book with some days behind it, and a clock that a test sets.
type world struct {
	t    testing.TB
	app  *app.App
	c    *console.Console
	srv  *httptest.Server
	last civil.Date
	log  *bytes.Buffer
	mu   sync.Mutex
	now  time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, log: &bytes.Buffer{}}
	cfg := app.Default()
	cfg.Store, cfg.Node.Lease = filepath.Join(t.TempDir(), "duly.db")+store.Hasty, app.Duration(time.Minute)
	cfg.Carriers = map[string]app.CarrierConfig{"sandbox": {Kind: "sandbox", Settings: &sandbox.Behaviour{Seed: 3}}}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	a, err := app.New(t.Context(), cfg, app.Options{Log: log, Create: true, Clock: func() time.Time { return time.Time{} }})
	must(t, err)
	t.Cleanup(func() { _ = a.Close() })
	leave, err := a.Join(t.Context(), "test")
	must(t, err)
	t.Cleanup(func() { _ = leave() })
	w.app = a
	o := sim.Options{Seed: 3, Borrowers: 80, Start: civil.On(2026, 3, 2), Days: 9, Location: a.Location}
	book, err := sim.NewBook(o)
	must(t, err)
	began := o.Start.At(0, o.Location).UTC()
	_, err = a.Engine.Apply(t.Context(), began, "test", book.Facts())
	must(t, err)
	r := sim.Runner{Engine: a.Engine, Events: book.Events(o)}
	must(t, r.Run(t.Context(), o.Start, o.Days))
	w.last = o.Start.Add(o.Days - 1)
	w.now = w.last.At(20*60, a.Location).UTC()
	w.c, err = console.New(console.Deps{Engine: a.Engine, DB: a.DB, Log: log, Now: w.clock})
	must(t, err)
	w.srv = httptest.NewServer(w.c)
	t.Cleanup(w.srv.Close)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

const goodPassword = "correct horse battery"

// browser is somebody with a cookie jar.
type browser struct {
	w *world
	*http.Client
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	must(w.t, err)
	return &browser{w, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// do calls the console: a GET, or with a form a POST.
func (b *browser) do(path string, form url.Values) (int, string, http.Header) {
	b.w.t.Helper()
	var r *http.Response
	var err error
	if form == nil {
		r, err = b.Get(b.w.srv.URL + path)
	} else {
		r, err = b.PostForm(b.w.srv.URL+path, form)
	}
	must(b.w.t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	must(b.w.t, err)
	return r.StatusCode, string(body), r.Header
}

// as makes an account of a role and signs in as it.
func (w *world) as(role console.Role) *browser {
	w.t.Helper()
	secret, err := console.Invite(w.t.Context(), w.app.DB, w.clock(), "a-"+string(role), role)
	must(w.t, err)
	b := w.browser()
	if status, _, _ := b.do(console.LinkPath(secret), url.Values{"password": {goodPassword}, "again": {goodPassword}}); status != http.StatusSeeOther {
		w.t.Fatalf("the link of %s answered %d", role, status)
	}
	return b
}

// anyone returns a borrower to whom something was sent.
func (w *world) anyone() duly.Borrower {
	w.t.Helper()
	found, err := w.app.Engine.Contacts(w.t.Context(), w.last, 1)
	must(w.t, err)
	if len(found) == 0 {
		w.t.Fatal("nothing was sent on the last day")
	}
	f, err := w.app.Engine.File(w.t.Context(), w.clock(), found[0].BorrowerID)
	must(w.t, err)
	return f.Person.Borrower
}

// path fills a route's pattern in.
func (w *world) path(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	id := string(w.anyone().ID)
	for k, v := range map[string]string{"{$}": "", "{id}": id, "{borrower}": id, "{hold}": "none", "{case}": "none", "{name}": "nobody", "{secret}": "none"} {
		path = strings.ReplaceAll(path, k, v)
	}
	return method, path
}

// Every route needs something that somebody has; who has not gets it neither by its method nor by a form, and who is nobody is sent
// to sign in.
func TestEveryRouteByEveryRole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	people := map[console.Role]*browser{}
	for _, r := range console.Roles() {
		people[r] = w.as(r)
	}
	nobody := w.browser()
	for _, rt := range console.Routes() {
		if rt.Needs == 0 || rt.Needs&(rt.Needs-1) != 0 {
			t.Errorf("%s needs %b, which is not one permission", rt.Pattern, rt.Needs)
		}
		if rt.Pattern == "POST /signout" {
			continue // TestSessions
		}
		method, path := w.path(rt.Pattern)
		call := func(b *browser) int {
			var form url.Values
			if method == http.MethodPost {
				form = url.Values{}
			}
			status, _, _ := b.do(path, form)
			return status
		}
		holders := 0
		for role, b := range people {
			may := rt.Needs == console.Anybody || role.May()&rt.Needs != 0
			if may {
				holders++
			}
			if got := call(b); may == (got == http.StatusForbidden) && rt.Pattern != "POST /signin" {
				t.Errorf("%s as %s: status %d, may %t", rt.Pattern, role, got, may)
			}
		}
		if holders == 0 {
			t.Errorf("nobody may %s", rt.Pattern)
		}
		got := call(nobody)
		switch {
		case rt.Needs == console.Anybody:
		case method == http.MethodGet && got != http.StatusSeeOther, method == http.MethodPost && got != http.StatusForbidden:
			t.Errorf("%s by nobody: status %d", rt.Pattern, got)
		}
	}
}

// What is personal is seen by those who may, who are written down, and by nobody else: on no page, in no address, in no log.
func TestMasking(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.anyone()
	f, err := w.app.Engine.File(t.Context(), w.clock(), b.ID)
	must(t, err)
	personal := []string{b.Name}
	for _, p := range f.Person.Points {
		personal = append(personal, p.Value)
	}
	for _, c := range f.Contacts {
		for _, a := range c.Attempts {
			personal = append(personal, a.Text)
		}
	}
	if len(personal) < 4 {
		t.Fatalf("only %d personal values to look for", len(personal))
	}
	paths := []string{"/", "/?day=" + w.last.String(), "/borrowers/" + string(b.ID), "/care", "/reports", "/reports/day.csv?day=" + w.last.String(), "/audit?borrower=" + string(b.ID), "/search?q=nobody"}
	for _, role := range console.Roles() {
		who := w.as(role)
		for _, path := range paths {
			_, body, h := who.do(path, nil)
			text := unescape(body) + h.Get("Location")
			shown := slices.ContainsFunc(personal, func(v string) bool { return strings.Contains(text, v) })
			if want := role.May()&console.SeePersonal != 0 && strings.HasPrefix(path, "/borrowers/"); shown != want {
				t.Errorf("%s at %s: personal data shown %t, want %t", role, path, shown, want)
			}
			if title := between(text, "<title>", "</title>"); strings.Contains(title, b.Name) {
				t.Errorf("%s at %s: the title names the borrower", role, path)
			}
		}
	}
	seen := map[string]bool{}
	must(t, w.app.DB.AuditEntries(t.Context(), b.ID.Bucket(), func(e audit.Entry) error {
		if e.Kind == "seen" && e.Subject == string(b.ID) {
			seen[e.Actor] = true
		}
		return nil
	}))
	want := map[string]bool{"account:a-agent": true, "account:a-supervisor": true, "account:a-compliance": true}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("who saw (-want +got):\n%s", diff)
	}
	for _, v := range personal {
		if strings.Contains(w.log.String(), v) {
			t.Error("the log holds personal data")
		}
	}
}

func unescape(s string) string {
	return strings.NewReplacer("&#43;", "+", "&amp;", "&", "&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#39;", "'").Replace(s)
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// A session begins anew at every sign-in, ends when it is idle or old, and with its account.
func TestSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := func(b *browser) bool { status, _, _ := b.do("/", nil); return status == http.StatusOK }
	b := w.as(console.Agent)
	if !in(b) {
		t.Fatal("not signed in")
	}
	cookie := func() string {
		u, err := url.Parse(w.srv.URL)
		must(t, err)
		for _, c := range b.Jar.Cookies(u) {
			if c.Name == "duly" {
				return c.Value
			}
		}
		return ""
	}
	before := cookie()
	signIn := func(b *browser, password string) int {
		status, _, _ := b.do("/signin", url.Values{"name": {"a-agent"}, "password": {password}, "next": {"//evil.example"}})
		return status
	}
	if got := signIn(b, goodPassword); got != http.StatusSeeOther {
		t.Fatalf("signing in again: status %d", got)
	}
	if after := cookie(); after == before || after == "" {
		t.Error("a sign-in kept the session that the browser came with")
	}
	if _, _, err := w.app.DB.FindSession(t.Context(), w.clock(), console.DigestOf(before)); duly.CodeOf(err) != duly.NotFound {
		t.Errorf("the session from before the sign-in: %v", err)
	}
	w.pass(console.SessionIdle - time.Minute)
	if !in(b) {
		t.Error("signed out before the idle time was over")
	}
	w.pass(console.SessionIdle - time.Minute)
	if !in(b) {
		t.Error("using a session did not keep it")
	}
	w.pass(console.SessionIdle)
	if in(b) {
		t.Error("an idle session goes on")
	}
	signIn(b, goodPassword)
	for range console.SessionMost / (20 * time.Minute) {
		in(b)
		w.pass(20 * time.Minute)
	}
	if in(b) {
		t.Error("a session goes on for ever")
	}
	signIn(b, goodPassword)
	if status, _, h := b.do("/signout", url.Values{}); status != http.StatusSeeOther || h.Get("Location") != "/signin" || in(b) {
		t.Errorf("signing out: status %d", status)
	}
	signIn(b, goodPassword)
	must(t, console.Disable(t.Context(), w.app.DB, w.clock(), "a-agent"))
	if in(b) || signIn(b, goodPassword) != http.StatusForbidden {
		t.Error("a disabled account is let in")
	}
}

// After some wrong passwords a name is refused for a while, even with the right one; names that are nobody's are not told apart.
func TestGuessing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.as(console.Agent)
	b := w.browser()
	try := func(name, password string) (int, string) {
		status, body, _ := b.do("/signin", url.Values{"name": {name}, "password": {password}})
		return status, strings.ReplaceAll(body, name, "NAME")
	}
	_, wrong := try("a-agent", "wrong")
	_, none := try("nobody", "wrong")
	if wrong != none {
		t.Error("a wrong password and a name that is nobody's are answered differently")
	}
	for range console.LockedAfter {
		try("a-agent", "wrong")
	}
	if status, _ := try("a-agent", goodPassword); status != http.StatusForbidden {
		t.Errorf("the right password after %d wrong ones: status %d", console.LockedAfter+1, status)
	}
	w.pass(console.LockedMost)
	if status, _ := try("a-agent", goodPassword); status != http.StatusSeeOther {
		t.Errorf("the right password after the wait: status %d", status)
	}
}

// A link opens its account once, within its time.
func TestLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret, err := console.Begin(t.Context(), w.app.DB, w.clock())
	must(t, err)
	if again, err := console.Begin(t.Context(), w.app.DB, w.clock()); err != nil || again != "" {
		t.Errorf("a second start makes another link: %q, %v", again, err)
	}
	b := w.browser()
	form := url.Values{"password": {goodPassword}, "again": {goodPassword}}
	for range 3 { // whatever looks at links ahead of people does no harm
		if status, _, _ := b.do(console.LinkPath(secret), nil); status != http.StatusOK {
			t.Fatalf("looking at the link: status %d", status)
		}
	}
	if status, _, _ := b.do(console.LinkPath(secret), url.Values{"password": {"short"}, "again": {"short"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("a short password: status %d", status)
	}
	if status, _, _ := b.do(console.LinkPath(secret), form); status != http.StatusSeeOther {
		t.Errorf("opening: status %d", status)
	}
	if status, _, _ := w.browser().do(console.LinkPath(secret), form); status != http.StatusNotFound {
		t.Errorf("opening twice: status %d", status)
	}
	late, err := console.Invite(t.Context(), w.app.DB, w.clock(), "late", console.Agent)
	must(t, err)
	w.pass(console.LinkFor)
	if status, _, _ := w.browser().do(console.LinkPath(late), form); status != http.StatusConflict {
		t.Errorf("a link that is too old: status %d", status)
	}
	if _, err := console.Invite(t.Context(), w.app.DB, w.clock(), "No Name", console.Agent); duly.CodeOf(err) != duly.Invalid {
		t.Errorf("a name that is none: %v", err)
	}
	if _, err := console.Invite(t.Context(), w.app.DB, w.clock(), "fine", "king"); duly.CodeOf(err) != duly.Invalid {
		t.Errorf("a role that is none: %v", err)
	}
}

// A form by another site is refused, and no page may be framed or load anything foreign.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(console.Agent)
	id := w.anyone().ID
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.srv.URL+"/borrowers/"+string(id)+"/holds", strings.NewReader("kind=manual&reason=x"))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://evil.example")
	got, err := b.Do(r)
	must(t, err)
	got.Body.Close()
	if got.StatusCode != http.StatusForbidden {
		t.Errorf("another site's form: status %d", got.StatusCode)
	}
	for _, path := range []string{"/", "/signin", "/nothing", "/borrowers/none"} {
		_, _, h := b.do(path, nil)
		if p := h.Get("Content-Security-Policy"); !strings.Contains(p, "frame-ancestors 'none'") || strings.Contains(p, "unsafe") || h.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: policy %q", path, p)
		}
	}
}

// What a form asks for is checked, and acts: a hold stops what waits, its release lets it go.
func TestHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(console.Supervisor)
	id := w.anyone().ID
	path := "/borrowers/" + string(id)
	for _, form := range []url.Values{{"kind": {"whim"}, "reason": {"x"}}, {"kind": {"manual"}}, {"kind": {"manual"}, "reason": {"x"}, "until": {"2020-01-01"}}} {
		if status, _, _ := b.do(path+"/holds", form); status != http.StatusUnprocessableEntity {
			t.Errorf("%v: status %d", form, status)
		}
	}
	if status, _, _ := b.do(path+"/holds", url.Values{"kind": {"dispute"}, "reason": {"says it is not his"}, "until": {w.last.Add(5).String()}}); status != http.StatusSeeOther {
		t.Fatalf("a hold: status %d", status)
	}
	held := func() (out []duly.Hold) {
		f, err := w.app.Engine.File(t.Context(), w.clock(), id)
		must(t, err)
		for _, h := range f.Person.Holds {
			if h.ActiveAt(w.clock()) {
				out = append(out, h)
			}
		}
		return out
	}
	holds := held()
	if len(holds) != 1 || holds[0].Author != "account:a-supervisor" || civil.In(holds[0].Until.Add(-time.Second), w.app.Location) != w.last.Add(5) {
		t.Fatalf("got holds %+v", holds)
	}
	if status, _, _ := b.do(path+"/holds/"+string(holds[0].ID)+"/release", url.Values{}); status != http.StatusSeeOther || len(held()) != 0 {
		t.Errorf("a release: status %d, %d holds", status, len(held()))
	}
	if status, _, _ := b.do("/borrowers/none/holds", url.Values{"kind": {"manual"}, "reason": {"x"}}); status != http.StatusNotFound {
		t.Errorf("a hold on nobody: status %d", status)
	}
}

// The catalogues say the same things, filled in alike.
func TestWords(t *testing.T) {
	t.Parallel()
	all, err := console.Catalogues()
	must(t, err)
	verbs := regexp.MustCompile(`%[sd]`)
	zh, en := all["zh-CN"], all["en"]
	for key, text := range zh {
		if text == "" || en[key] == "" {
			t.Errorf("%s: one of the languages is silent", key)
		}
		if diff := cmp.Diff(verbs.FindAllString(text, -1), verbs.FindAllString(en[key], -1)); diff != "" {
			t.Errorf("%s is filled in differently:\n%s", key, diff)
		}
	}
	if len(zh) != len(en) {
		t.Errorf("%d keys in Chinese, %d in English", len(zh), len(en))
	}
	for _, s := range duly.ContactStates() {
		if en["state."+string(s)] == "" {
			t.Errorf("state %s has no words", s)
		}
	}
	used := regexp.MustCompile(`\bt "([a-z.]+)"`)
	files, err := filepath.Glob("page/*.html")
	must(t, err)
	for _, file := range files {
		src, err := os.ReadFile(file)
		must(t, err)
		for _, m := range used.FindAllStringSubmatch(string(src), -1) {
			if _, ok := zh[m[1]]; !ok {
				t.Errorf("%s: no words for %s", file, m[1])
			}
		}
	}
}

// A spreadsheet takes no cell for a formula.
func TestPlain(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "D1": "D1", "=1+1": "'=1+1", "@x": "'@x", "-3": "'-3", "+86": "'+86"} {
		if got := console.Plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestBrowser walks through the console in Chromium: every page in both languages and themes, wide and narrow, held to the rules of
// accessibility and to its own policy; and the main forms with scripts off. SHOTS names a folder for pictures of all of them.
func TestBrowser(t *testing.T) {
	t.Parallel()
	chromium, modules := findBrowser(t)
	w := newWorld(t)
	secret, err := console.Begin(t.Context(), w.app.DB, w.clock())
	must(t, err)
	options, err := json.Marshal(map[string]string{
		"base": w.srv.URL, "link": w.srv.URL + console.LinkPath(secret), "day": w.last.String(), "borrower": string(w.anyone().ID),
		"chromium": chromium, "modules": modules, "password": goodPassword, "shots": os.Getenv("SHOTS"),
	})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "node", "testdata/browser.mjs", string(options)).Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	var seen struct {
		Checks []struct {
			Name, What string
			OK         bool
		}
		Errors, Axe, Wide []string
	}
	must(t, json.Unmarshal(out, &seen))
	for _, c := range seen.Checks {
		if !c.OK {
			t.Errorf("%s: not so (%s)", c.Name, c.What)
		}
	}
	for what, found := range map[string][]string{"the browser complains": seen.Errors, "accessibility": seen.Axe, "wider than the screen": seen.Wide} {
		for _, f := range found {
			t.Errorf("%s: %s", what, f)
		}
	}
	if len(seen.Checks) < 40 {
		t.Errorf("only %d checks were made", len(seen.Checks))
	}
}

// findBrowser returns Chromium's program and the folder of the modules that steer it, which scripts/setup-test installs.
func findBrowser(t *testing.T) (chromium, modules string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("Chromium is not installed: scripts/setup-test installs it where it may")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node.js is not installed: scripts/setup-test installs it where it may")
	}
	modules, err = filepath.Abs("../../../.cache/npm/node_modules")
	must(t, err)
	for _, m := range []string{"playwright-core", "axe-core"} {
		if _, err := os.Stat(filepath.Join(modules, m)); err != nil {
			t.Skipf("%s is not installed: scripts/setup-test installs it where it may", m)
		}
	}
	return chromium, modules
}
