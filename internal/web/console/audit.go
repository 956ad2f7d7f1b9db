package console

import (
	"net/http"
	"slices"
	"strings"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/store"
)

// record is the page of the audit: the daily roots, and the record of one borrower's bucket.
type record struct {
	Roots    []audit.Root
	Borrower string
	Entries  []audit.Entry
	More     bool
}

// rootsShown and entriesShown are how many one page lists.
const (
	rootsShown   = 14
	entriesShown = 200
)

func (c *Console) getAudit(w http.ResponseWriter, r *request) error {
	p := record{Borrower: r.FormValue("borrower")}
	var err error
	if p.Roots, err = c.DB.LatestRoots(r.Context(), rootsShown); err != nil {
		return err
	}
	if p.Borrower != "" {
		if err := c.entriesOf(r, &p); err != nil {
			return err
		}
		if n := len(p.Entries); n > entriesShown {
			p.Entries, p.More = p.Entries[n-entriesShown:], true
		}
	}
	c.show(w, r, http.StatusOK, "audit", r.lang.t("audit.title"), p)
	return nil
}

// entriesRead is how far back one page looks in the record of a borrower's bucket, which is that of many others too.
const entriesRead = 20_000

// entriesOf finds what the latest entries of a bucket say of a borrower: by id, or by one of the borrower's contacts.
func (c *Console) entriesOf(r *request, p *record) error {
	id := duly.BorrowerID(p.Borrower)
	f, err := c.Engine.File(r.Context(), r.now, id)
	if err != nil {
		return err
	}
	names := []string{`"` + p.Borrower + `"`}
	for i := range f.Contacts {
		names = append(names, string(f.Contacts[i].Contact.ID))
	}
	return c.DB.View(r.Context(), func(tx *store.Tx) error {
		last, err := tx.AuditLast(id.Bucket())
		if err != nil {
			return err
		}
		return tx.AuditAfter(id.Bucket(), max(0, last-entriesRead), func(e audit.Entry) error {
			about := func(name string) bool { return strings.Contains(e.Detail, name) }
			if e.Subject == p.Borrower || slices.ContainsFunc(names, about) {
				p.Entries = append(p.Entries, e)
			}
			return nil
		})
	})
}
