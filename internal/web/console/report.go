package console

import (
	"encoding/csv"
	"net/http"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	routing "github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// reports is the page of totals, files read in, and processes.
type reports struct {
	AsOf     time.Time
	Today    civil.Date
	Totals   store.Totals
	Outcomes []store.OutcomeCount
	Sum      int64
	Imports  []store.ImportRun
	Nodes    *engine.NodesReport
	Carriers []routing.Report // as this process knows them
	Doubts   int
}

// importsShown is how many files one page lists, and doubtsShown up to how many attempts in doubt it counts.
const (
	importsShown = 20
	doubtsShown  = 1000
)

func (c *Console) getReports(w http.ResponseWriter, r *request) error {
	p := reports{AsOf: r.now, Today: c.Engine.Today(r.now)}
	var err error
	if p.Totals, err = c.DB.Totals(r.Context()); err != nil {
		return err
	}
	if p.Outcomes, err = c.DB.Outcomes(r.Context()); err != nil {
		return err
	}
	for _, o := range p.Outcomes {
		p.Sum += o.Count
	}
	if p.Imports, err = c.DB.Imports(r.Context(), importsShown); err != nil {
		return err
	}
	doubts, err := c.Engine.Doubts(r.Context(), r.now, doubtsShown)
	if err != nil {
		return err
	}
	p.Doubts = len(doubts)
	p.Carriers = c.Engine.RouteReports(r.now)
	if h := c.Engine.Holding(); h != nil {
		nodes, err := engine.Nodes(r.Context(), c.DB, h.Share())
		if err != nil {
			return err
		}
		p.Nodes = &nodes
	}
	c.show(w, r, http.StatusOK, "reports", r.lang.t("reports.title"), p)
	return nil
}

// getDayCSV gives the contacts of a day as a table, without personal data: for a spreadsheet, so with a byte order mark, and with
// nothing that one would take for a formula.
func (c *Console) getDayCSV(w http.ResponseWriter, r *request) error {
	day, f, err := c.dayQuery(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="duly-`+day.String()+`.csv"`)
	_, _ = w.Write([]byte("\ufeff"))
	out := csv.NewWriter(w)
	_ = out.Write([]string{"contact_id", "borrower_id", "day", "step", "channel", "state", "reason", "not_before", "sent_at"})
	bucket, after := 0, duly.ContactID("")
	for {
		var rows []duly.Contact
		err := c.DB.View(r.Context(), func(tx *store.Tx) error {
			var err error
			rows, err = tx.DayPage(day, f, bucket, after, 1000)
			return err
		})
		if err != nil { // what was written cannot be taken back: a table that ends early must not look whole
			panic(http.ErrAbortHandler)
		}
		for i := range rows {
			k := &rows[i]
			_ = out.Write([]string{plain(string(k.ID)), plain(string(k.BorrowerID)), k.Day.String(), plain(k.Step), string(k.Channel), string(k.State), plain(k.Reason),
				instant(k.NotBefore), instant(k.SentAt)})
		}
		if len(rows) < 1000 {
			break
		}
		last := &rows[len(rows)-1]
		bucket, after = last.BorrowerID.Bucket(), last.ID
	}
	out.Flush()
	return nil
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// plain keeps a spreadsheet from taking a text for a formula.
func plain(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
