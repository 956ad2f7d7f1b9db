package store

import (
	"context"
	"time"

	duly "github.com/dulyhq/duly"
)

// Account is somebody who may use the console.
type Account struct {
	Name       string
	Role       string
	Hash       string // of the password; "" until the account was opened by its link
	CreatedAt  time.Time
	DisabledAt time.Time // zero: it may be used
	Failed     int       // wrong passwords in a row
	FailedAt   time.Time // the last of them
	Link       string    // digest of the link by which a password is set; "" is none
	LinkUntil  time.Time
}

const accountQuery = "SELECT name, role, hash, created_at, disabled_at, failed, failed_at, link, link_until FROM account "

func scanAccount(r *row) Account {
	return Account{r.text(), r.text(), r.text(), r.time(), r.time(), r.int(), r.time(), r.text(), r.time()}
}

// Accounts returns all accounts by name.
func (db *DB) Accounts(ctx context.Context) ([]Account, error) {
	return db.accounts(ctx, "ORDER BY name")
}

// FindAccount returns an account, or an error with code NotFound.
func (db *DB) FindAccount(ctx context.Context, name string) (Account, error) {
	return db.oneAccount(ctx, "WHERE name = $1", name)
}

// FindAccountByLink returns the account that a link of this digest opens, or an error with code NotFound.
func (db *DB) FindAccountByLink(ctx context.Context, digest string) (Account, error) {
	if digest == "" {
		return Account{}, noAccount()
	}
	return db.oneAccount(ctx, "WHERE link = $1", digest)
}

func noAccount() error {
	return duly.Errorf(duly.NotFound, "there is no such account").WithHint("`duly account list` shows them")
}

func (db *DB) oneAccount(ctx context.Context, where string, args ...any) (Account, error) {
	found, err := db.accounts(ctx, where, args...)
	if err == nil && len(found) == 0 {
		err = noAccount()
	}
	if err != nil {
		return Account{}, err
	}
	return found[0], nil
}

func (db *DB) accounts(ctx context.Context, where string, args ...any) (out []Account, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { out = append(out, scanAccount(r)); return nil }, accountQuery+where, args...)
	})
	return out, err
}

// PutAccount writes an account over the one of its name. Where its role or password is another, or it is disabled, whoever is
// signed in as it is signed out.
func (db *DB) PutAccount(ctx context.Context, now time.Time, a Account) error {
	return db.Update(ctx, now, nil, func(tx *Tx) error {
		same := false
		err := tx.query(func(r *row) error { same = r.text() == a.Role && r.text() == a.Hash; return nil },
			"SELECT role, hash FROM account WHERE name = $1", a.Name)
		if err != nil {
			return err
		}
		if !same || !a.DisabledAt.IsZero() {
			if _, err := tx.exec("DELETE FROM session WHERE account = $1", a.Name); err != nil {
				return err
			}
		}
		_, err = tx.exec("INSERT INTO account (name, role, hash, created_at, disabled_at, failed, failed_at, link, link_until) "+
			"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO UPDATE SET role = excluded.role, hash = excluded.hash, "+
			"disabled_at = excluded.disabled_at, failed = excluded.failed, failed_at = excluded.failed_at, link = excluded.link, link_until = excluded.link_until",
			a.Name, a.Role, a.Hash, micros(a.CreatedAt), micros(a.DisabledAt), int64(a.Failed), micros(a.FailedAt), a.Link, micros(a.LinkUntil))
		return err
	})
}

// TakeLink sets the password of the account that a link opens, once: of two that come at the same time one is refused with
// code Conflict.
func (db *DB) TakeLink(ctx context.Context, now time.Time, digest, hash string) error {
	return db.Update(ctx, now, nil, func(tx *Tx) error {
		n, err := tx.exec("UPDATE account SET hash = $1, link = '', link_until = 0, failed = 0, failed_at = 0 WHERE link = $2 AND link <> '' AND link_until > $3 AND disabled_at = 0",
			hash, digest, micros(now))
		if err == nil && n == 0 {
			err = duly.Errorf(duly.Conflict, "the link was used, or is too old").WithHint("ask an administrator for another: `duly account invite`")
		}
		return err
	})
}

// PasswordTried counts a wrong password, or forgets those before a right one.
func (db *DB) PasswordTried(ctx context.Context, now time.Time, name string, right bool) error {
	return db.Update(ctx, now, nil, func(tx *Tx) error {
		text := "UPDATE account SET failed = failed + 1, failed_at = $1 WHERE name = $2"
		if right {
			text = "UPDATE account SET failed = 0, failed_at = $1 WHERE name = $2"
		}
		_, err := tx.exec(text, micros(now), name)
		return err
	})
}

// Session is somebody signed in.
type Session struct {
	Digest    string // of what the browser holds
	Account   string
	CreatedAt time.Time
	SeenAt    time.Time
	Until     time.Time
}

// PutSession signs somebody in, and forgets sessions that are over.
func (db *DB) PutSession(ctx context.Context, now time.Time, s Session) error {
	return db.Update(ctx, now, nil, func(tx *Tx) error {
		if _, err := tx.exec("DELETE FROM session WHERE until <= $1", micros(now)); err != nil {
			return err
		}
		_, err := tx.exec("INSERT INTO session (digest, account, created_at, seen_at, until) VALUES ($1, $2, $3, $4, $5)",
			s.Digest, s.Account, micros(s.CreatedAt), micros(s.SeenAt), micros(s.Until))
		return err
	})
}

// FindSession returns a session that is not over with its account, or an error with code NotFound.
func (db *DB) FindSession(ctx context.Context, now time.Time, digest string) (s Session, a Account, err error) {
	found := false
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			a = scanAccount(r)
			s, found = Session{r.text(), r.text(), r.time(), r.time(), r.time()}, true
			return nil
		}, "SELECT a.name, a.role, a.hash, a.created_at, a.disabled_at, a.failed, a.failed_at, a.link, a.link_until, "+
			"s.digest, s.account, s.created_at, s.seen_at, s.until FROM session s JOIN account a ON a.name = s.account WHERE s.digest = $1 AND s.until > $2 AND a.disabled_at = 0",
			digest, micros(now))
	})
	if err == nil && !found {
		err = duly.Errorf(duly.NotFound, "nobody is signed in")
	}
	return s, a, err
}

// SeeSession notes that a session is in use.
func (db *DB) SeeSession(ctx context.Context, now time.Time, digest string, until time.Time) error {
	return db.Update(ctx, now, nil, func(tx *Tx) error {
		_, err := tx.exec("UPDATE session SET seen_at = $1, until = $2 WHERE digest = $3", micros(now), micros(until), digest)
		return err
	})
}

// EndSession signs somebody out.
func (db *DB) EndSession(ctx context.Context, now time.Time, digest string) error {
	return db.Update(ctx, now, nil, func(tx *Tx) error {
		_, err := tx.exec("DELETE FROM session WHERE digest = $1", digest)
		return err
	})
}
