package letter

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// Bounds of a file of receipts.
const (
	fileMax      = 8 << 20
	rowsMax      = 100_000
	takeMax      = 1000 // receipts that are given on at one time
	linesTold    = 10   // rows that are wrong and named in the log
	aheadMax     = 24 * time.Hour
	dirDone      = "done"
	dirBad       = "bad"
	attemptMaxed = duly.MaxIDLen
)

// count is what a row of a receipts file was.
type count int

// The counts, by name in countNames.
const (
	countPrinted count = iota
	countPosted
	countDelivered
	countReturned
	countFailed
	countWrong // a row that cannot be read
	countEnd
)

var countNames = [countEnd]string{"printed", "posted", "delivered", "returned", "failed", "wrong_row"}

// Counts tells what print houses said since the start.
func (s *Sender) Counts() map[string]int64 {
	out := make(map[string]int64, countEnd)
	for i, name := range countNames {
		out[name] = s.counts[i].Load()
	}
	return out
}

// fates is the one table of what a print house says, and of why a letter came back. Printed and posted are no more than accepted:
// nobody saw the letter arrive. Only registered mail is ever delivered. A letter that comes back is the address's fault, but where
// its reader refused or did not fetch it.
var fates = map[string]struct {
	status  duly.ReceiptStatus
	count   count
	reasons map[string]duly.ReceiptStatus
}{
	"printed":   {duly.ReceiptAccepted, countPrinted, nil},
	"posted":    {duly.ReceiptAccepted, countPosted, nil},
	"delivered": {duly.ReceiptDelivered, countDelivered, nil},
	"failed":    {duly.ReceiptFailed, countFailed, nil},
	"returned": {duly.ReceiptBadAddress, countReturned, map[string]duly.ReceiptStatus{
		"": duly.ReceiptBadAddress, "unknown": duly.ReceiptBadAddress, "moved": duly.ReceiptBadAddress, "incomplete": duly.ReceiptBadAddress,
		"deceased": duly.ReceiptBadAddress, "refused": duly.ReceiptFailed, "unclaimed": duly.ReceiptFailed,
	}},
}

// told is what a file of receipts says.
type told struct {
	receipts []duly.Receipt
	counts   [countEnd]int64
	wrong    []error // rows that cannot be read, with their lines
}

// read reads a file of receipts: CSV in UTF-8 with the columns attempt, status and time, and perhaps reason, in any order.
// The error is of the file; what is wrong with rows stands beside those that are right.
func (s *Sender) read(text []byte, now time.Time) (told, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) {
		return told{}, duly.Errorf(duly.Invalid, "the file is not UTF-8").WithHint("save it as CSV UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	head, err := r.Read()
	if err != nil {
		return told{}, noReceipts(1)
	}
	columns := map[string]int{}
	for i, name := range head {
		columns[strings.ToLower(strings.TrimSpace(name))] = i
	}
	for _, name := range []string{"attempt", "status", "time"} {
		if _, ok := columns[name]; !ok {
			return told{}, noReceipts(1)
		}
	}
	var out told
	for row := 0; ; row++ {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil || row == rowsMax { // after a broken quote nothing can be trusted
			return out, noReceipts(lineOf(r, err))
		}
		line, _ := r.FieldPos(0)
		value := func(name string) string {
			if i, ok := columns[name]; ok && i < len(rec) {
				return strings.TrimSpace(rec[i])
			}
			return ""
		}
		rc, what, err := s.row(value, now)
		if err != nil {
			out.wrong = append(out.wrong, err.(*duly.Error).At(duly.Place{Line: line, Field: err.(*duly.Error).Place.Field}))
			what = countWrong
		} else {
			out.receipts = append(out.receipts, rc)
		}
		out.counts[what]++
	}
}

func noReceipts(line int) *duly.Error {
	return duly.Errorf(duly.Invalid, "not CSV with the columns attempt, status and time").At(duly.Place{Line: line}).
		WithHint("the first row names the columns; at most %d rows", rowsMax)
}

func lineOf(r *csv.Reader, err error) int {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return e.Line
	}
	line, _ := r.FieldPos(0)
	return line
}

// row reads one receipt.
func (s *Sender) row(value func(string) string, now time.Time) (duly.Receipt, count, error) {
	bad := func(field, message, hint string) (duly.Receipt, count, error) {
		return duly.Receipt{}, 0, duly.Errorf(duly.Invalid, "%s", message).WithHint("%s", hint).At(duly.Place{Field: field})
	}
	id, word, reason := duly.AttemptID(value("attempt")), strings.ToLower(value("status")), strings.ToLower(value("reason"))
	if _, ok := id.Contact(); !ok || len(id) > attemptMaxed {
		return bad("attempt", "not an attempt's id", "copy it from the manifest")
	}
	f, ok := fates[word]
	if !ok {
		return bad("status", "not a status", "write printed, posted, delivered, returned or failed")
	}
	status, detail := f.status, word
	if f.reasons != nil {
		if status, ok = f.reasons[reason]; !ok {
			return bad("reason", "not a reason for coming back", "write unknown, moved, incomplete, deceased, refused or unclaimed, or leave it empty")
		}
		detail = strings.TrimSuffix(word+"_"+reason, "_")
	}
	at, ok := s.instant(value("time"))
	if !ok || at.After(now.Add(aheadMax)) {
		return bad("time", "not a time, or one to come", "write it as 2026-03-02T17:30:00+08:00, 2026-03-02 17:30 or 2026-03-02")
	}
	return duly.Receipt{
		Provider: s.name, Key: "letter:" + string(id) + ":" + detail + ":" + strconv.FormatInt(at.Unix(), 10), AttemptID: id, Status: status, Detail: detail, At: at,
	}, f.count, nil
}

// instant reads a time as print houses write it; without a zone it is the carrier's.
func (s *Sender) instant(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", "2006/01/02 15:04:05", "2006/01/02 15:04", "2006/01/02"} {
		if at, err := time.ParseInLocation(layout, text, s.loc); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// Hear takes a file of receipts that is POSTed with Authorization: Bearer and one of inbound_secrets. It is taken whole or not
// at all. The same file twice is heard with the same keys.
func (s *Sender) Hear(r *http.Request, body []byte) (channel.Heard, error) {
	switch {
	case len(s.c.InboundSecrets) == 0:
		return channel.Heard{}, duly.Errorf(duly.Refused, "this carrier takes no receipts by HTTP").WithHint("set inbound_secrets in its configuration")
	case s.clock == nil:
		return channel.Heard{}, errors.New("letter: receipts need Host.Clock")
	}
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	known := false
	for _, secret := range s.c.InboundSecrets {
		known = secret.Equal(channel.NewSecret(strings.TrimSpace(got))) || known
	}
	if !known || !strings.EqualFold(scheme, "Bearer") {
		return channel.Heard{}, duly.Errorf(duly.Refused, "the secret is wrong").WithHint("send Authorization: Bearer and one of the carrier's inbound_secrets")
	}
	if len(body) > fileMax {
		return channel.Heard{}, duly.Errorf(duly.Usage, "the file is larger than %d bytes", fileMax).WithHint("send it in parts")
	}
	t, err := s.read(body, s.clock())
	if err == nil && len(t.wrong) > 0 {
		err = t.wrong[0]
	}
	if err != nil {
		return channel.Heard{}, err
	}
	s.tally(t)
	return channel.Heard{Receipts: t.receipts}, nil
}

func (s *Sender) tally(t told) {
	for i, n := range t.counts {
		s.counts[i].Add(n)
	}
}

// Listen reads the print house's files of receipts, *.csv, until ctx ends. One is moved to done once its receipts are kept; one with
// rows that cannot be read to bad, after those that can were taken. A file must appear whole: be uploaded under another name, and
// renamed.
func (s *Sender) Listen(ctx context.Context, take func(context.Context, channel.Heard) error) error {
	if s.clock == nil {
		return errors.New("letter: Listen needs Host.Clock")
	}
	tick := time.NewTicker(s.c.Every)
	defer tick.Stop()
	for {
		if err := s.sweep(ctx, take); err != nil && ctx.Err() == nil {
			s.log.Warn("receipts of letters cannot be read; will try again", "carrier", s.name, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Sender) sweep(ctx context.Context, take func(context.Context, channel.Heard) error) error {
	files, err := os.ReadDir(s.c.Receipts)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the print house has said nothing yet
	}
	if err != nil {
		return errors.New("their folder cannot be listed")
	}
	for _, f := range files {
		name := f.Name()
		if ctx.Err() != nil || !f.Type().IsRegular() || strings.HasPrefix(name, ".") || !strings.EqualFold(filepath.Ext(name), ".csv") {
			continue
		}
		if err := s.file(ctx, name, take); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sender) file(ctx context.Context, name string, take func(context.Context, channel.Heard) error) error {
	r, err := os.Open(filepath.Join(s.c.Receipts, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil // another process was first
	}
	if err != nil {
		return errors.New("a file cannot be opened")
	}
	text, err := io.ReadAll(io.LimitReader(r, fileMax+1))
	_ = r.Close()
	if err != nil {
		return errors.New("a file cannot be read")
	}
	if len(text) > fileMax {
		return s.shelve(name, dirBad, []error{duly.Errorf(duly.Invalid, "the file is larger than %d bytes", fileMax)})
	}
	t, err := s.read(text, s.clock())
	for part := range slices.Chunk(t.receipts, takeMax) {
		if err := take(ctx, channel.Heard{Receipts: part}); err != nil {
			return err
		}
	}
	s.tally(t)
	if err != nil {
		t.wrong = append(t.wrong, err)
	}
	if len(t.wrong) > 0 {
		return s.shelve(name, dirBad, t.wrong)
	}
	return s.shelve(name, dirDone, nil)
}

// shelve moves a file out of the way. Where another of its name lies there, it gets a number.
func (s *Sender) shelve(name, dir string, wrong []error) error {
	if len(wrong) > 0 {
		s.log.Error("a file of receipts holds what cannot be read; it is kept in bad, and what could be read was taken", "carrier", s.name,
			"file", name, "rows", len(wrong), "first", errors.Join(wrong[:min(len(wrong), linesTold)]...))
	}
	to := filepath.Join(s.c.Receipts, dir)
	if err := os.MkdirAll(to, dirMode); err != nil {
		return errors.New("a file cannot be moved to " + dir)
	}
	base, ext := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
	place := filepath.Join(to, name)
	for n := 2; exists(place); n++ {
		place = filepath.Join(to, base+"-"+strconv.Itoa(n)+ext)
	}
	if err := os.Rename(filepath.Join(s.c.Receipts, name), place); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.New("a file cannot be moved to " + dir)
	}
	return nil
}
