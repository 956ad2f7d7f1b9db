package console

import (
	"net/http"
	"strings"

	"github.com/dulyhq/duly/internal/store"
)

// accountsPage is the page of who may use the console.
type accountsPage struct {
	Rows []store.Account
	Link string // of an account that was just made; shown once
	Name string
}

func (c *Console) getAccounts(w http.ResponseWriter, r *request) error {
	return c.showAccounts(w, r, accountsPage{})
}

func (c *Console) showAccounts(w http.ResponseWriter, r *request, p accountsPage) error {
	var err error
	if p.Rows, err = c.DB.Accounts(r.Context()); err != nil {
		return err
	}
	c.show(w, r, http.StatusOK, "accounts", r.lang.t("accounts.title"), p)
	return nil
}

func (c *Console) postAccount(w http.ResponseWriter, r *request) error {
	name := strings.TrimSpace(r.PostFormValue("name"))
	secret, err := Invite(r.Context(), c.DB, r.now, name, Role(r.PostFormValue("role")))
	if err != nil {
		return err
	}
	scheme := "http://"
	if secure(r.Request) {
		scheme = "https://"
	}
	return c.showAccounts(w, r, accountsPage{Link: scheme + r.Host + LinkPath(secret), Name: name})
}

func (c *Console) postDisable(w http.ResponseWriter, r *request) error {
	if err := Disable(r.Context(), c.DB, r.now, r.PathValue("name")); err != nil {
		return err
	}
	return back(w, r, "/accounts")
}
