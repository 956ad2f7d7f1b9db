package console

import (
	"net/http"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
)

// signInForm is what the page to sign in shows.
type signInForm struct {
	Name, Next, Wrong string
}

func (c *Console) getSignIn(w http.ResponseWriter, r *request) error {
	if r.who != nil {
		return back(w, r, within(r.FormValue("next")))
	}
	c.show(w, r, http.StatusOK, "signin", r.lang.t("signin.title"), signInForm{Next: within(r.FormValue("next"))})
	return nil
}

func (c *Console) postSignIn(w http.ResponseWriter, r *request) error {
	form := signInForm{Name: r.PostFormValue("name"), Next: within(r.PostFormValue("next"))}
	fits, err := c.prove(r.Context(), form.Name, r.PostFormValue("password"))
	switch {
	case duly.CodeOf(err) == duly.Refused:
		form.Wrong = r.lang.t("signin.locked")
	case err != nil:
		return err
	case !fits:
		form.Wrong = r.lang.t("signin.wrong")
	default:
		if err := c.signIn(w, r.Request, form.Name); err != nil {
			return err
		}
		return back(w, r, form.Next)
	}
	c.show(w, r, http.StatusForbidden, "signin", r.lang.t("signin.title"), form)
	return nil
}

func (c *Console) postSignOut(w http.ResponseWriter, r *request) error {
	if err := c.DB.EndSession(r.Context(), r.now, r.session); err != nil {
		return err
	}
	setSession(w, r.Request, "", -time.Second)
	return back(w, r, "/signin")
}

// openForm is what the page of an account's link shows.
type openForm struct{ Name, Wrong string }

// getOpen shows whose link it is; it does nothing, so whatever looks at links ahead of people does no harm.
func (c *Console) getOpen(w http.ResponseWriter, r *request) error {
	a, err := c.DB.FindAccountByLink(r.Context(), digestOf(r.PathValue("secret")))
	if err != nil || !r.now.Before(a.LinkUntil) || !a.DisabledAt.IsZero() {
		if err != nil && duly.CodeOf(err) != duly.NotFound {
			return err
		}
		return duly.Errorf(duly.NotFound, "the link was used, or is too old")
	}
	c.show(w, r, http.StatusOK, "open", r.lang.t("open.title"), openForm{Name: a.Name})
	return nil
}

func (c *Console) postOpen(w http.ResponseWriter, r *request) error {
	digest := digestOf(r.PathValue("secret"))
	a, err := c.DB.FindAccountByLink(r.Context(), digest)
	if err != nil {
		return duly.Errorf(duly.NotFound, "the link was used, or is too old")
	}
	password := r.PostFormValue("password")
	wrong := ""
	switch {
	case checkPassword(password) != nil:
		wrong = r.lang.t("open.short", passwordMin)
	case password != r.PostFormValue("again"):
		wrong = r.lang.t("open.differ")
	}
	if wrong != "" {
		c.show(w, r, http.StatusUnprocessableEntity, "open", r.lang.t("open.title"), openForm{a.Name, wrong})
		return nil
	}
	c.hashes <- struct{}{}
	hash := hashPassword(password)
	<-c.hashes
	if err := c.DB.TakeLink(r.Context(), r.now, digest, hash); err != nil {
		return err
	}
	if err := c.signIn(w, r.Request, a.Name); err != nil {
		return err
	}
	return back(w, r, "/")
}

// settingsAge is how long a browser keeps language and theme.
const settingsAge = 365 * 24 * time.Hour

// postSettings sets the language or the theme of a browser.
func (c *Console) postSettings(w http.ResponseWriter, r *request) error {
	set := func(name, value string) {
		http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: secure(r.Request), SameSite: http.SameSiteLaxMode, MaxAge: int(settingsAge / time.Second)})
	}
	if l := r.PostFormValue("language"); c.languages[l] != nil {
		set("duly_language", l)
	}
	switch theme := r.PostFormValue("theme"); theme {
	case "light", "dark", "system":
		set("duly_theme", theme)
	}
	return back(w, r, within(r.PostFormValue("next")))
}

// within keeps a path that the browser is to go on to inside the console.
func within(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n") {
		return "/"
	}
	return path
}
