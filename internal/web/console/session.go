package console

import (
	"context"
	"net/http"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// For how long somebody is signed in: without doing anything, and at most. A session is noted as in use no more often than
// sessionNote.
const (
	sessionIdle = 30 * time.Minute
	sessionMost = 12 * time.Hour
	sessionNote = time.Minute
)

// lockedAfter wrong passwords in a row, a name is refused for a time that doubles with each further one, up to lockedMost.
const (
	lockedAfter = 5
	lockedFirst = time.Minute
	lockedMost  = time.Hour
)

// lockedUntil is until when a name is refused because of wrong passwords.
func lockedUntil(a *store.Account) time.Time {
	if a.Failed < lockedAfter {
		return time.Time{}
	}
	wait := lockedMost
	if n := a.Failed - lockedAfter; n < 6 {
		wait = lockedFirst << n
	}
	return a.FailedAt.Add(wait)
}

// cookieName is that of the session. Behind TLS the browser holds it to this very host.
func cookieName(r *http.Request) string {
	if secure(r) {
		return "__Host-duly"
	}
	return "duly"
}

// secure reports whether the browser came by TLS, here or at the proxy in front.
func secure(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

func setSession(w http.ResponseWriter, r *http.Request, secret string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(r), Value: secret, Path: "/", HttpOnly: true, Secure: secure(r), SameSite: http.SameSiteLaxMode, MaxAge: int(age / time.Second),
	})
}

// who returns the account that is signed in, and the digest of its session; nil for nobody.
func (c *Console) who(r *http.Request) (*store.Account, string, error) {
	cookie, err := r.Cookie(cookieName(r))
	if err != nil || cookie.Value == "" {
		return nil, "", nil
	}
	now := c.Now().UTC()
	s, a, err := c.DB.FindSession(r.Context(), now, digestOf(cookie.Value))
	if duly.CodeOf(err) == duly.NotFound {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if now.Sub(s.SeenAt) > sessionNote {
		until := now.Add(sessionIdle)
		if most := s.CreatedAt.Add(sessionMost); until.After(most) {
			until = most
		}
		if err := c.DB.SeeSession(r.Context(), now, s.Digest, until); err != nil {
			return nil, "", err
		}
	}
	return &a, s.Digest, nil
}

// signIn begins a session, always a new one: what a browser held before is void.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request, name string) error {
	now := c.Now().UTC()
	if old, err := r.Cookie(cookieName(r)); err == nil {
		if err := c.DB.EndSession(r.Context(), now, digestOf(old.Value)); err != nil {
			return err
		}
	}
	secret, digest := newSecret()
	s := store.Session{Digest: digest, Account: name, CreatedAt: now, SeenAt: now, Until: now.Add(sessionIdle)}
	if err := c.DB.PutSession(r.Context(), now, s); err != nil {
		return err
	}
	setSession(w, r, secret, sessionMost)
	return nil
}

// prove reports whether a name and a password are an account's. It takes as long for names that are nobody's.
func (c *Console) prove(ctx context.Context, name, password string) (bool, error) {
	now := c.Now().UTC()
	a, err := c.DB.FindAccount(ctx, name)
	if err != nil && duly.CodeOf(err) != duly.NotFound {
		return false, err
	}
	known := err == nil && a.DisabledAt.IsZero() && a.Hash != ""
	if known && now.Before(lockedUntil(&a)) {
		return false, duly.Errorf(duly.Refused, "too many wrong passwords")
	}
	hash := noHash
	if known {
		hash = a.Hash
	}
	c.hashes <- struct{}{}
	fits := passwordFits(password, hash)
	<-c.hashes
	if !known {
		return false, nil
	}
	return fits, c.DB.PasswordTried(ctx, now, name, fits)
}
