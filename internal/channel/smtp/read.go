package smtp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // GB 18030, Big5 and the others that people write in
	"github.com/emersion/go-message/mail"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// Bounds of a mail that comes back. What lies beyond them is not looked at.
const (
	headerMax     = 256 << 10 // of the mail and of each part
	depthMax      = 8         // multiparts within multiparts
	partsMax      = 64
	reportMax     = 64 << 10  // of a report's fields
	bodyTextMax   = 256 << 10 // of a text, ahead of the history that it quotes
	recipientsMax = 10        // of one report
	marksMax      = 32        // looked at in one mail
)

// mailIn is what is made of a mail: its parts that matter, sorted.
type mailIn struct {
	header   message.Header
	status   []byte         // of a delivery report
	feedback []byte         // of a complaint
	original message.Header // of the mail that a report is about
	plain    string
	html     string
	parts    int
}

// read makes out what a mail is and what it says. Only text that is no mail at all is an error.
func (s *Sender) read(raw []byte, now time.Time) (channel.Heard, count, error) {
	raw = raw[:min(len(raw), mailMax)]
	e, err := message.ReadWithOptions(bytes.NewReader(raw), &message.ReadOptions{MaxHeaderBytes: headerMax})
	if e == nil || err != nil && !tolerable(err) || !e.Header.Has("From") && !e.Header.Has("Received") && !e.Header.Has("Return-Path") {
		return channel.Heard{}, countUnread, duly.Errorf(duly.Invalid, "not a mail (RFC 5322)").WithHint("send it raw, header and body, as the mail server has it")
	}
	m := mailIn{header: e.Header}
	m.walk(e, 0)
	at := date(e.Header, now)
	key := keyOf(e.Header, raw)
	switch {
	case m.feedback != nil:
		return s.complaint(&m, key, at)
	case m.status != nil:
		return s.report(&m, key, at)
	case fromServer(e.Header):
		return s.informal(&m, key, at)
	case automatic(e.Header), s.own(e.Header):
		return channel.Heard{}, countAuto, nil
	}
	return s.reply(&m, key, at)
}

// tolerable reports whether a mail can be read all the same: with a charset or an encoding that is not known its text is raw.
func tolerable(err error) bool {
	return message.IsUnknownCharset(err) || message.IsUnknownEncoding(err)
}

// walk sorts the parts. A part that is broken ends what is read, not what was.
func (m *mailIn) walk(e *message.Entity, depth int) {
	if m.parts++; m.parts > partsMax {
		return
	}
	kind, _, _ := e.Header.ContentType()
	kind = strings.ToLower(kind)
	if mr := e.MultipartReader(); mr != nil {
		for depth < depthMax && m.parts <= partsMax {
			p, err := mr.NextPart()
			if p == nil || err != nil && !tolerable(err) {
				return
			}
			m.walk(p, depth+1)
		}
		return
	}
	switch kind {
	case "message/delivery-status", "message/global-delivery-status":
		if m.status == nil {
			m.status = content(e, reportMax)
		}
	case "message/feedback-report":
		if m.feedback == nil {
			m.feedback = content(e, reportMax)
		}
	case "message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers":
		m.returned(e)
	case "text/plain", "text/html", "":
		m.text(e, kind)
	}
}

// returned reads the header of the mail that a report is about.
func (m *mailIn) returned(e *message.Entity) {
	if m.original.Len() > 0 {
		return
	}
	raw := append(content(e, headerMax), "\r\n\r\n"...) // a report may end with the last field
	if o, _ := message.ReadWithOptions(bytes.NewReader(raw), &message.ReadOptions{MaxHeaderBytes: int64(len(raw)) + 1}); o != nil {
		m.original = o.Header
	}
}

func (m *mailIn) text(e *message.Entity, kind string) {
	if d, _, _ := e.Header.ContentDisposition(); strings.EqualFold(d, "attachment") {
		return
	}
	if kind == "text/html" {
		if m.html == "" {
			m.html = string(content(e, bodyTextMax))
		}
		return
	}
	if m.plain == "" {
		m.plain = string(content(e, bodyTextMax))
	}
}

// content reads a part up to a limit. What was read ahead of an error counts; it is never nil.
func content(e *message.Entity, limit int64) []byte {
	var b bytes.Buffer
	_, _ = io.Copy(&b, io.LimitReader(e.Body, limit))
	if b.Len() == 0 {
		return []byte{}
	}
	return b.Bytes()
}

// keyOf names a mail: the same mail twice has the same name.
func keyOf(h message.Header, raw []byte) string {
	id := []byte(h.Get("Message-ID"))
	if len(id) == 0 {
		id = raw
	}
	sum := sha256.Sum256(id)
	return "mail:" + hex.EncodeToString(sum[:12])
}

// dateAgeMax is how old a mail's own date may be: an older one is a clock that is wrong, or a forgery.
const dateAgeMax = 31 * 24 * time.Hour

// date is when a mail was written, as far as that can be believed.
func date(h message.Header, now time.Time) time.Time {
	mh := mail.Header{Header: h}
	at, err := mh.Date()
	if err != nil || at.After(now) || at.Before(now.Add(-dateAgeMax)) {
		return now.UTC()
	}
	return at.UTC()
}

var markText = regexp.MustCompile(`(?i)a[0-9a-f]{3}[0-9a-hjkmnp-tv-z]{24}-[0-9]{1,4}\.[0-9a-hjkmnp-tv-z]{16}`)

// attempt finds the attempt that a mail is about, with the proof that it was we who named it.
func (s *Sender) attempt(m *mailIn, report ...string) (duly.AttemptID, bool) {
	left := marksMax
	try := func(marks channel.Marks, text string) (duly.AttemptID, bool) {
		for _, found := range markText.FindAllString(text, left) {
			left--
			if id, ok := marks.Read(found); ok {
				return id, true
			}
		}
		return "", false
	}
	var texts []string
	for _, key := range []string{"To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "Cc", "In-Reply-To", "References"} {
		texts = append(texts, m.header.Values(key)...)
	}
	texts = append(texts, report...)
	for _, key := range []string{"Message-ID", "Return-Path", "Reply-To"} {
		texts = append(texts, m.original.Values(key)...)
	}
	for _, text := range texts {
		if id, ok := try(s.marks(), text); ok {
			return id, true
		}
	}
	return try(s.unsubscribes(), m.original.Get("List-Unsubscribe"))
}

// complaint reads a report of RFC 5965.
func (s *Sender) complaint(m *mailIn, key string, at time.Time) (channel.Heard, count, error) {
	blocks := fieldBlocks(m.feedback)
	if len(blocks) == 0 {
		return channel.Heard{}, countUnread, nil
	}
	switch strings.ToLower(blocks[0]["feedback-type"]) {
	case "abuse", "fraud", "opt-out", "opt-out-list", "complaint":
	default: // not-spam, auth-failure, dmarc, virus, other: no refusal
		return channel.Heard{}, countDelay, nil
	}
	id, ok := s.attempt(m, blocks[0]["original-mail-from"], blocks[0]["original-envelope-id"])
	if !ok {
		return channel.Heard{}, countUnproven, nil
	}
	return channel.Heard{Receipts: []duly.Receipt{{
		Provider: s.name, Key: key, AttemptID: id, Status: duly.ReceiptOptedOut, Detail: "complaint", At: at,
	}}}, countComplaint, nil
}

// report reads a delivery report of RFC 3464, or of RFC 6533 where addresses are not ASCII.
func (s *Sender) report(m *mailIn, key string, at time.Time) (channel.Heard, count, error) {
	blocks := fieldBlocks(m.status)
	if len(blocks) < 2 {
		return channel.Heard{}, countUnread, nil
	}
	id, ok := s.attempt(m, blocks[0]["original-envelope-id"])
	if !ok {
		return channel.Heard{}, countUnproven, nil
	}
	var heard channel.Heard
	for i, b := range blocks[1:min(len(blocks), recipientsMax+1)] {
		status, detail := fate(b)
		if status == "" {
			continue
		}
		heard.Receipts = append(heard.Receipts, duly.Receipt{
			Provider: s.name, Key: key + "/" + strconv.Itoa(i), AttemptID: id, Status: status, Detail: detail, At: at,
		})
	}
	if len(heard.Receipts) == 0 {
		return channel.Heard{}, countDelay, nil
	}
	return heard, countBounce, nil
}

// fromServer reports whether a mail server wrote the mail, under the names that servers write under.
func fromServer(h message.Header) bool {
	local, _, _ := strings.Cut(strings.ToLower(sender(h)), "@")
	return local == "mailer-daemon" || local == "postmaster"
}

// informal reads a report in a server's own words: they count where they give a status. One that gives none is for a person.
func (s *Sender) informal(m *mailIn, key string, at time.Time) (channel.Heard, count, error) {
	id, ok := s.attempt(m)
	if !ok {
		return channel.Heard{}, countUnproven, nil
	}
	text := m.plain
	if text == "" {
		text = plainOf(m.html)
	}
	found := replyText.FindStringSubmatch(text)
	if found == nil {
		return channel.Heard{}, countUnread, nil
	}
	action := map[byte]string{'4': "delayed", '5': "failed"}[found[1][0]]
	status, detail := fate(map[string]string{"action": action, "status": found[1]})
	if status == "" {
		return channel.Heard{}, countDelay, nil
	}
	return channel.Heard{Receipts: []duly.Receipt{{Provider: s.name, Key: key, AttemptID: id, Status: status, Detail: detail, At: at}}}, countBounce, nil
}

// replyText is a server's reply within words: a code and a status, such as 550 5.1.1.
var replyText = regexp.MustCompile(`\b[45][0-9]{2}[ -]#?([45]\.[0-9]{1,3}\.[0-9]{1,3})\b`)

// fate is what a report says of one recipient, and the code it gives. A report of delay, or of a mail that was passed on, says
// nothing yet. This is the whole decision:
//
//	delivered                                 delivered
//	failed, 5.1.x but for 5.1.7, 5.1.8        bad_address
//	failed, 5.2.1                             bad_address
//	failed otherwise, after 4xx for too long  failed
//
// Where the status tells no more than that it failed (5.0.0), the other server's own words may hold a better one.
func fate(b map[string]string) (duly.ReceiptStatus, string) {
	action, _, _ := strings.Cut(strings.ToLower(b["action"]), " ")
	status := statusText.FindString(b["status"])
	if status == "" || strings.HasSuffix(status, ".0.0") {
		if _, reply, ok := strings.Cut(b["diagnostic-code"], ";"); ok {
			if better := statusText.FindString(clip(reply, diagnosticMax)); better != "" {
				status = better
			}
		}
	}
	detail := strings.TrimSuffix("dsn_"+status, "_")
	switch action {
	case "delivered":
		return duly.ReceiptDelivered, detail
	case "failed":
		if refusal(phaseRcpt, 0, status) == channel.BadAddress {
			return duly.ReceiptBadAddress, detail
		}
		return duly.ReceiptFailed, detail
	}
	return "", ""
}

// diagnosticMax is how far into another server's words a status is looked for.
const diagnosticMax = 64

var statusText = regexp.MustCompile(`\b[245]\.[0-9]{1,3}\.[0-9]{1,3}\b`)

func clip(s string, n int) string { return s[:min(len(s), n)] }

// fieldBlocks reads fields in blocks with empty lines between them, as reports have them. Names are in small letters.
func fieldBlocks(text []byte) []map[string]string {
	var out []map[string]string
	block, last := map[string]string{}, ""
	flush := func() {
		if len(block) > 0 {
			out = append(out, block)
		}
		block, last = map[string]string{}, ""
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		switch key, value, ok := strings.Cut(line, ":"); {
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				block[last] += " " + strings.TrimSpace(line)
			}
		case ok:
			if last = strings.ToLower(strings.TrimSpace(key)); block[last] == "" {
				block[last] = strings.TrimSpace(value)
			}
		}
		if len(out) > recipientsMax+1 {
			break
		}
	}
	flush()
	return out
}

var (
	autoSubject = regexp.MustCompile(`(?i)^\s*(auto(matic(ally)?)?[ -]?(reply|response|generated)|out of( the)? office|自动回复|自動回覆|自动答复|不在办公室)`)
	bulk        = regexp.MustCompile(`(?i)^\s*(bulk|junk|list|auto_reply)\s*$`)
)

// automatic reports whether a machine wrote the mail (RFC 3834), as far as machines say so.
func automatic(h message.Header) bool {
	said, _, _ := strings.Cut(h.Get("Auto-Submitted"), ";")
	if said = strings.TrimSpace(said); said != "" && !strings.EqualFold(said, "no") {
		return true
	}
	for _, key := range []string{"X-Autoreply", "X-Autorespond", "X-Autoresponder", "List-Id"} {
		if h.Has(key) {
			return true
		}
	}
	return strings.TrimSpace(h.Get("Return-Path")) == "<>" || bulk.MatchString(h.Get("Precedence")) || autoSubject.MatchString(subject(h))
}

func subject(h message.Header) string {
	text, err := h.Text("Subject")
	if err != nil {
		return h.Get("Subject")
	}
	return text
}

// own reports whether the mail is one of ours that went round.
func (s *Sender) own(h message.Header) bool {
	a, _ := mail.ParseAddress(s.c.From)
	return a != nil && strings.EqualFold(sender(h), a.Address)
}

// sender is who wrote a mail, as it says itself; "" where it says nobody, or more than one.
func sender(h message.Header) string {
	mh := mail.Header{Header: h}
	list, err := mh.AddressList("From")
	if err != nil || len(list) != 1 || !plainAddress(list[0].Address) {
		return ""
	}
	return list[0].Address
}
