package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

// rowsShown is how many contacts one page lists.
const rowsShown = 50

// today is the page of one day: whom it contacts, whom not, and why.
type today struct {
	Day, Before, After civil.Date
	IsToday            bool
	FeedAt             time.Time
	Considered         int64
	Going, Held        []share
	GoingSum, HeldSum  int64
	Reasons            []share
	Steps, Channels    []string
	Chart              *chart
	Filter             store.DayFilter
	Filtered           bool
	Rows               []duly.Contact
	Next               string // the page behind this one; "" for the last
	Clear              string
}

// share is a part of a total, with the page of its rows.
type share struct {
	Key   string
	Count int64
	Of    int // of a hundred, of the largest
	Link  string
}

// dayQuery reads the day and the filter of a request.
func (c *Console) dayQuery(r *request) (civil.Date, store.DayFilter, error) {
	q := r.URL.Query()
	f := store.DayFilter{State: duly.ContactState(q.Get("state")), Step: q.Get("step"), Channel: duly.Channel(q.Get("channel")), Reason: q.Get("reason")}
	if f.State != "" && !f.State.Known() {
		return civil.Date{}, f, duly.Errorf(duly.Usage, "not a state of a contact").At(duly.Place{Field: "state"})
	}
	day := c.Engine.Today(r.now)
	if q.Get("day") != "" {
		var err error
		if day, err = civil.Parse(q.Get("day")); err != nil {
			return day, f, duly.Errorf(duly.Usage, "not a day").At(duly.Place{Field: "day"}).WithHint("write it as 2026-11-25")
		}
	}
	return day, f, nil
}

// dayLink is the page of a day and a filter.
func dayLink(day civil.Date, f store.DayFilter) string {
	q := url.Values{"day": {day.String()}}
	for k, v := range map[string]string{"state": string(f.State), "step": f.Step, "channel": string(f.Channel), "reason": f.Reason} {
		if v != "" {
			q.Set(k, v)
		}
	}
	return "/?" + q.Encode()
}

func (c *Console) getToday(w http.ResponseWriter, r *request) error {
	day, f, err := c.dayQuery(r)
	if err != nil {
		return err
	}
	p := today{Day: day, Before: day.Add(-1), After: day.Add(1), IsToday: day == c.Engine.Today(r.now), Filter: f, Filtered: f != store.DayFilter{}, Clear: dayLink(day, store.DayFilter{})}
	counts, err := c.DB.Volumes(r.Context(), day)
	if err != nil {
		return err
	}
	p.sum(counts, c.Engine.Config().Location)
	err = c.DB.View(r.Context(), func(tx *store.Tx) error {
		var err error
		if p.FeedAt, err = tx.FeedAt("payments"); err != nil {
			return err
		}
		q := r.URL.Query()
		bucket, _ := strconv.Atoi(q.Get("bucket")) // what is no number begins at the first
		p.Rows, err = tx.DayPage(day, f, bucket, duly.ContactID(q.Get("after")), rowsShown+1)
		return err
	})
	if err != nil {
		return err
	}
	if len(p.Rows) > rowsShown {
		last := &p.Rows[rowsShown-1]
		p.Next = dayLink(day, f) + "&bucket=" + strconv.Itoa(last.BorrowerID.Bucket()) + "&after=" + url.QueryEscape(string(last.ID))
		p.Rows = p.Rows[:rowsShown]
	}
	c.show(w, r, http.StatusOK, "today", r.lang.t("today.title"), p)
	return nil
}

// sum counts what a day's contacts are. It closes: Considered is the sum of GoingSum and HeldSum, and each of these of its shares.
func (p *today) sum(counts []store.Volume, loc *time.Location) {
	states, reasons := map[duly.ContactState]int64{}, map[string]int64{}
	hours := map[string]map[int]int64{}
	for _, v := range counts {
		p.Considered += v.Count
		states[v.State] += v.Count
		if !slices.Contains(p.Steps, v.Step) {
			p.Steps = append(p.Steps, v.Step)
		}
		if !slices.Contains(p.Channels, string(v.Channel)) {
			p.Channels = append(p.Channels, string(v.Channel))
		}
		if isHeld(v.State) {
			p.HeldSum += v.Count
			reasons[v.Reason] += v.Count
			continue
		}
		p.GoingSum += v.Count
		if hours[string(v.Channel)] == nil {
			hours[string(v.Channel)] = map[int]int64{}
		}
		hours[string(v.Channel)][v.Slot.In(loc).Hour()] += v.Count
	}
	slices.Sort(p.Channels)
	for _, s := range duly.ContactStates() {
		if states[s] == 0 {
			continue
		}
		sh := share{Key: string(s), Count: states[s], Link: dayLink(p.Day, store.DayFilter{State: s})}
		if isHeld(s) {
			p.Held = append(p.Held, sh)
		} else {
			p.Going = append(p.Going, sh)
		}
	}
	for reason, n := range reasons {
		p.Reasons = append(p.Reasons, share{Key: reason, Count: n, Link: dayLink(p.Day, store.DayFilter{Reason: reason})})
	}
	slices.SortFunc(p.Reasons, func(a, b share) int { return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Key, b.Key)) })
	for i := range p.Reasons {
		p.Reasons[i].Of = int(p.Reasons[i].Count * 100 / p.Reasons[0].Count)
	}
	p.Chart = newChart(hours)
}

// isHeld reports whether a contact in a state does not go out.
func isHeld(s duly.ContactState) bool { return s == duly.Blocked || s == duly.Cancelled }
