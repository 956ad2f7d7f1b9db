package api

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"golang.org/x/time/rate"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/engine"
)

// Limits of links of refusal. Guesses and real links are counted apart, so that who guesses keeps nobody from refusing.
const (
	unsubscribeBodyMax = 4 << 10
	unsubscribeRate    = 50 // a second
	unsubscribeBurst   = 500
)

// Pages of a link of refusal. They say neither who wrote to whom nor about what: whoever opens a link learns nothing.
const (
	pageAsk = `<h1>停止接收此类邮件？ · Stop e-mails like this one?</h1>
<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click"><button>停止接收 · Stop</button></form>`
	pageDone = `<h1>已停止 · Stopped</h1><p>此类邮件不会再发给您。 · You will get no more e-mails like that one.</p>`
	pageNone = `<h1>链接无效 · This link does not work</h1><p>请使用邮件中的完整链接，或拨打邮件中的电话。 · Please use the whole link of the e-mail, or call the number in it.</p>`
	pageBusy = `<h1>请稍后再试 · Please try again in a moment</h1>`
)

// unsubscriber takes refusals by link (RFC 8058).
type unsubscriber struct{ guesses, links *rate.Limiter }

func newUnsubscriber() unsubscriber {
	return unsubscriber{rate.NewLimiter(unsubscribeRate, unsubscribeBurst), rate.NewLimiter(unsubscribeRate, unsubscribeBurst)}
}

// getUnsubscribe shows a page with a button, the same for every token, and changes nothing: scanners of mail follow links.
func (h *Handler) getUnsubscribe(w http.ResponseWriter, _ *http.Request) {
	writePage(w, http.StatusOK, pageAsk)
}

// postUnsubscribe makes known that the reader of a message refuses its channel. The token proves that the link is ours without
// a look at the store, so a stranger's guess is told nothing, and fast.
func (h *Handler) postUnsubscribe(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, unsubscribeBodyMax)
	if r.FormValue("List-Unsubscribe") != "One-Click" {
		writePage(w, http.StatusBadRequest, pageNone)
		return
	}
	now := h.Now().UTC()
	carrier, id, ok := h.tokenOf(r.PathValue("token"))
	limit := h.unsubscribe.guesses
	if ok {
		limit = h.unsubscribe.links
	}
	if !limit.AllowN(now, 1) {
		w.Header().Set("Retry-After", "5")
		writePage(w, http.StatusTooManyRequests, pageBusy)
		return
	}
	if !ok {
		writePage(w, http.StatusNotFound, pageNone)
		return
	}
	if err := h.refuse(r, now, carrier, id); err != nil {
		code := http.StatusServiceUnavailable
		if duly.CodeOf(err) == duly.NotFound {
			code = http.StatusGone // forgotten since: its holder knows that there was one
		} else {
			h.Log.Error("a refusal by link could not be kept", "carrier", carrier, "error", err)
		}
		writePage(w, code, map[int]string{http.StatusGone: pageNone, http.StatusServiceUnavailable: pageBusy}[code])
		return
	}
	h.poke()
	writePage(w, http.StatusOK, pageDone)
}

// tokenOf finds the carrier whose token it is, and the attempt that it was made for.
func (h *Handler) tokenOf(token string) (string, duly.AttemptID, bool) {
	for _, name := range slices.Sorted(maps.Keys(h.Inbound)) {
		if u, ok := h.Inbound[name].(channel.Unsubscriber); ok {
			if id, ok := u.Unsubscribe(token); ok {
				return name, id, true
			}
		}
	}
	return "", "", false
}

// refuse writes the refusal down. Where the attempt is another cell's, that cell is told of it as by a carrier.
func (h *Handler) refuse(r *http.Request, now time.Time, carrier string, id duly.AttemptID) error {
	a, err := h.DB.FindAttempt(r.Context(), id)
	if b, ok := id.Bucket(); ok && err != nil && duly.CodeOf(err) == duly.NotFound && !h.Engine.Holding().Has(b) {
		var rep engine.ReceiveReport
		return h.Facts.Hear(r.Context(), now, carrier, channel.Heard{Receipts: []duly.Receipt{{
			Provider: carrier, Key: "link:" + string(id), AttemptID: id, Status: duly.ReceiptOptedOut, Detail: "link", At: now,
		}}}, &rep)
	}
	if err != nil {
		return err
	}
	c, err := h.DB.FindContact(r.Context(), a.ContactID)
	if err != nil {
		return err
	}
	applied, err := h.Facts.Apply(r.Context(), now, "link", []duly.Fact{&duly.OptOut{
		BorrowerID: a.BorrowerID, ID: duly.ConsentID("link:" + string(c.Channel)), Key: string(c.Channel), At: now, Source: "link", Version: now.UnixMicro(),
	}})
	if err == nil && applied.Results[0].Refused() {
		err = errors.New("the refusal was not taken: " + applied.Results[0].String())
	}
	return err
}

// writePage answers with a page that loads nothing and tells no other site where it was.
func writePage(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html>\n<html lang=\"zh-CN\"><head><meta charset=\"utf-8\"><meta name=\"robots\" content=\"noindex\">"+
		"<meta name=\"viewport\" content=\"width=device-width\"><title>·</title></head>\n<body>%s</body></html>\n", body)
}
