// Package letter is the carrier that makes letters for a print house: a PDF for each, in batches, in a folder.
//
//	letters/batches/2026-03-02-1700-3fa2c1d0/manifest.csv   what is in the batch, with a digest of each file
//	letters/batches/2026-03-02-1700-3fa2c1d0/a18a….pdf      one letter; its name is the attempt's id
//	letters/receipts/printed.csv                            what the print house says of them; see [Sender.Listen]
//
// A letter is taken once it is in the open batch, on disk. A batch is closed when it is full or its hour has come: it is then
// renamed into batches, whole, with its manifest. Names that begin with a full stop are Duly's own. The same letter handed
// over twice is in a batch once, for an attempt that was taken is remembered for three months; several processes may share the
// folder.
package letter

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
)

// Sender puts letters into a folder.
type Sender struct {
	name    string
	c       Config
	faces   []face
	closeAt civil.Clock
	loc     *time.Location
	clock   func() time.Time
	log     *slog.Logger
	counts  [countEnd]atomic.Int64
}

var (
	_ channel.Sender   = (*Sender)(nil)
	_ channel.Poller   = (*Sender)(nil)
	_ channel.Querier  = (*Sender)(nil)
	_ channel.Inbound  = (*Sender)(nil)
	_ channel.Listener = (*Sender)(nil)
	_ channel.Counter  = (*Sender)(nil)
)

// New makes a sender of a name. It reads the fonts; it does not look at the folder yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	at := "carriers." + name + ".letter"
	if err := c.Check(at); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	faces, err := openFonts(at, c.Fonts)
	if err != nil {
		return nil, err
	}
	s := &Sender{name: name, c: c, faces: faces, clock: h.Clock, log: h.Log}
	s.closeAt, _ = civil.ParseClock(c.CloseAt) // Check has parsed it before
	s.loc, _ = time.LoadLocation(c.Timezone)   // and this
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, s.checkGlyphs(at)
}

// checkGlyphs refuses a header that no font can print: every letter would be refused for it.
func (s *Sender) checkGlyphs(at string) error {
	p := channel.ProblemsAt(at)
	look := func(key, text string) {
		if t := (&setter{c: &s.c, faces: s.faces}); t.width(plain(text), 1) >= 0 && t.missing {
			p.Add(key, "holds a character that no font has", "write it in other characters, or name a font that has it under fonts")
		}
	}
	for i, l := range s.c.Header {
		look("header["+strconv.Itoa(i)+"]", l)
	}
	look("sender", s.c.Sender)
	return p.Err()
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that a letter that is handed over twice is printed once, and that its fate is told. The variables are wanted for the
// borrower's name, which stands above the address.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{
		Channels: []duly.Channel{duly.ChannelLetter}, Idempotent: true, Receipts: true, Query: true, Variables: true, Timeout: sendTimeout,
	}
}

// Send puts one letter into the open batch. Segments are its pages.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	if ctx.Err() != nil {
		return channel.Accepted{}, &channel.Error{Class: channel.Temporary, Code: "cancelled"}
	}
	sh, cerr := s.set(m)
	if cerr != nil {
		return channel.Accepted{}, cerr
	}
	taken := channel.Accepted{Segments: len(sh.pages)}
	if s.has(m.AttemptID) {
		return taken, nil
	}
	pdf, err := s.pdf(sh, m.Language)
	if err != nil {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "pdf"}
	}
	if err := s.keep(ctx, m, len(sh.pages), pdf); err != nil {
		return channel.Accepted{}, fault(err)
	}
	return taken, nil
}

// Preview makes the PDF of a letter and keeps nothing. It returns the number of pages too.
func (s *Sender) Preview(m channel.Message) ([]byte, int, error) {
	sh, cerr := s.set(m)
	if cerr != nil {
		return nil, 0, duly.Errorf(duly.Refused, "the letter cannot be made: %s", cerr.Error()).WithHint("docs/channels.md says what each code means")
	}
	pdf, err := s.pdf(sh, m.Language)
	return pdf, len(sh.pages), err
}

// errUnsure is that a letter is in the batch, but may not be on disk.
var errUnsure = errors.New("the folder cannot be synchronized")

// fault classifies what went wrong ahead of the letter's being in the batch: nothing was taken, and a person is seldom needed.
func fault(err error) *channel.Error {
	e := &channel.Error{Class: channel.Temporary, Code: "folder"}
	switch {
	case errors.Is(err, errUnsure):
		e.Class, e.Code = channel.Unknown, "sync"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Code = "timeout"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Code = "disk_full"
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Class, e.Code = channel.Config, "not_allowed"
	case errors.Is(err, os.ErrNotExist):
		e.Detail = "the folder is not there"
	}
	return e
}

// Query reports whether the folder has taken an attempt's letter.
func (s *Sender) Query(_ context.Context, id duly.AttemptID) (duly.ReceiptStatus, bool, error) {
	if _, ok := id.Contact(); !ok || id != duly.AttemptID(filepath.Base(string(id))) {
		return "", false, nil
	}
	if !s.has(id) {
		return "", false, nil
	}
	return duly.ReceiptAccepted, true, nil
}

// Poll closes the batch whose hour has come. It has no receipts: Listen hears those, and moves a file only once it is kept.
func (s *Sender) Poll(ctx context.Context, now time.Time, _ int) ([]duly.Receipt, error) {
	opened, n := s.openSince()
	if n == 0 || now.Before(s.closing(opened)) {
		return nil, nil
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if opened, n = s.openSince(); n == 0 || now.Before(s.closing(opened)) {
		return nil, nil
	}
	return nil, s.closeBatch(now)
}

// closing is when a batch that was opened at an instant is closed.
func (s *Sender) closing(opened time.Time) time.Time {
	day := civil.In(opened, s.loc)
	if at := day.At(s.closeAt, s.loc); at.After(opened) {
		return at
	}
	return day.Add(1).At(s.closeAt, s.loc)
}
