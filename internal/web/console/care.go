package console

import (
	"net/http"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
)

// care is the page of the cases that somebody has to look at.
type care struct {
	Now   time.Time
	Rows  []careRow
	More  bool
	Codes []string
}

type careRow struct {
	Case   duly.Case
	Due    time.Time // the nearest duty; zero where there is none with a time
	Rule   string
	Title  string
	Over   bool
	Duties int
}

// casesShown is how many cases one page lists.
const casesShown = 200

// outcomes are what a case may come to.
var outcomes = []string{"answered", "upheld", "partly_upheld", "refused", "withdrawn", "duplicate"}

func (c *Console) getCare(w http.ResponseWriter, r *request) error {
	cases, err := c.Engine.Cases(r.Context(), "", false, casesShown+1)
	if err != nil {
		return err
	}
	p := care{Now: r.now, Codes: outcomes, More: len(cases) > casesShown}
	for _, k := range cases[:min(len(cases), casesShown)] {
		f, err := c.Engine.FindCase(r.Context(), k.BorrowerID, k.ID)
		if err != nil {
			return err
		}
		p.Rows = append(p.Rows, r.careRow(&f))
	}
	c.show(w, r, http.StatusOK, "care", r.lang.t("care.title"), p)
	return nil
}

// careRow is a case with the nearest of its duties that is not done.
func (r *request) careRow(f *engine.CaseFile) careRow {
	row := careRow{Case: f.Case}
	for i := range f.Duties {
		d := &f.Duties[i]
		if !d.DoneAt.IsZero() {
			continue
		}
		row.Duties++
		if d.DueAt.IsZero() || !row.Due.IsZero() && !d.DueAt.Before(row.Due) {
			continue
		}
		row.Due, row.Rule, row.Title = d.DueAt, d.Rule, d.TitleEN
		if r.lang.tag == "zh-CN" {
			row.Title = d.TitleZH
		}
	}
	row.Over = !row.Due.IsZero() && row.Due.Before(r.now)
	return row
}

func (c *Console) postCaseDone(w http.ResponseWriter, r *request) error {
	b, id := duly.BorrowerID(r.PathValue("borrower")), duly.CaseID(r.PathValue("case"))
	if _, _, err := c.Engine.CloseCase(r.Context(), r.now, r.actor(), b, id, r.PostFormValue("outcome")); err != nil {
		return err
	}
	return back(w, r, "/care")
}
