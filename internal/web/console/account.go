package console

import (
	"context"
	"regexp"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// linkFor is how long the link of an account works.
const linkFor = 24 * time.Hour

var accountName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,39}$`)

// Invite makes an account of a role, or gives the one of the name that role, and returns the secret of a link by which its password
// is set, once, within a day. The password that it had is void.
func Invite(ctx context.Context, db *store.DB, now time.Time, name string, role Role) (secret string, err error) {
	if !accountName.MatchString(name) {
		return "", duly.Errorf(duly.Invalid, "not an account's name").At(duly.Place{Field: "name"}).
			WithHint("2 to 40 small letters, digits, and . _ - between them")
	}
	if !role.Known() {
		return "", duly.Errorf(duly.Invalid, "not a role: %v", Roles()).At(duly.Place{Field: "role"})
	}
	a, err := db.FindAccount(ctx, name)
	if err != nil && duly.CodeOf(err) != duly.NotFound {
		return "", err
	}
	if err != nil {
		a = store.Account{Name: name, CreatedAt: now}
	}
	secret, digest := newSecret()
	a.Role, a.Hash, a.DisabledAt, a.Link, a.LinkUntil = string(role), "", time.Time{}, digest, now.Add(linkFor)
	return secret, db.PutAccount(ctx, now, a)
}

// Disable signs an account out and keeps it out.
func Disable(ctx context.Context, db *store.DB, now time.Time, name string) error {
	a, err := db.FindAccount(ctx, name)
	if err != nil {
		return err
	}
	if a.DisabledAt.IsZero() {
		a.DisabledAt = now
	}
	a.Link, a.LinkUntil = "", time.Time{}
	return db.PutAccount(ctx, now, a)
}

// FirstAdmin is the name of the account that the first start makes.
const FirstAdmin = "admin"

// Begin makes the first account of a store that has none that can be used, and returns the secret of its link; "" where there are
// accounts.
func Begin(ctx context.Context, db *store.DB, now time.Time) (secret string, err error) {
	all, err := db.Accounts(ctx)
	if err != nil {
		return "", err
	}
	for _, a := range all {
		if a.DisabledAt.IsZero() && (a.Hash != "" || now.Before(a.LinkUntil)) {
			return "", nil
		}
	}
	return Invite(ctx, db, now, FirstAdmin, Admin)
}

// LinkPath is the page that a link's secret opens.
func LinkPath(secret string) string { return "/open/" + secret }
