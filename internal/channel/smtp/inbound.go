package smtp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// mailMax is how much of a mail is read. A longer one is cut: what matters of a bounce or a reply stands ahead of its
// attachments.
const mailMax = 4 << 20

// count is what a mail that came back turned out to be.
type count int

// The counts, by name in countNames.
const (
	countBounce    count = iota // a delivery that failed
	countDelay                  // a delivery that is late, or was passed on: nothing follows
	countComplaint              // a reader told its mail service that the mail was unwanted
	countReply
	countAuto     // an out-of-office answer, a list, a mail of our own: let be
	countUnproven // a bounce or complaint that names no attempt of ours with a proof: let be
	countUnread   // nobody's: neither report nor words
	countEnd
)

var countNames = [countEnd]string{"bounce", "delay", "complaint", "reply", "auto_reply", "unproven", "unread"}

// Counts tells what came back as mail since the start, by what it was.
func (s *Sender) Counts() map[string]int64 {
	out := make(map[string]int64, countEnd)
	for i, name := range countNames {
		out[name] = s.counts[i].Load()
	}
	return out
}

// Hear takes one raw mail that a mail server's pipe or a mail service POSTs, and proves itself by a secret: Authorization:
// Bearer and one of inbound_secrets. The same mail twice is heard with the same keys.
func (s *Sender) Hear(r *http.Request, body []byte) (channel.Heard, error) {
	if err := s.admit(r); err != nil {
		return channel.Heard{}, err
	}
	if r.Method != http.MethodPost {
		return channel.Heard{}, duly.Errorf(duly.Usage, "mail is POSTed, raw, as it came")
	}
	heard, what, err := s.read(body, s.clock())
	if err != nil {
		return channel.Heard{}, err
	}
	s.counts[what].Add(1)
	return heard, nil
}

func (s *Sender) admit(r *http.Request) error {
	switch {
	case len(s.c.InboundSecrets) == 0:
		return duly.Errorf(duly.Refused, "this carrier takes no mail").WithHint("set inbound_secrets in its configuration")
	case s.clock == nil:
		return errors.New("smtp: mail that comes in needs Host.Clock")
	}
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	known := false
	for _, secret := range s.c.InboundSecrets {
		known = secret.Equal(channel.NewSecret(strings.TrimSpace(got))) || known
	}
	if !known || !strings.EqualFold(scheme, "Bearer") {
		return duly.Errorf(duly.Refused, "the secret is wrong").WithHint("send Authorization: Bearer and one of the carrier's inbound_secrets")
	}
	return nil
}

// sweepMax bounds how many mails are read before the folder is listed anew.
const sweepMax = 1000

// Listen reads the maildir, where there is one, until ctx ends. A mail is moved from new to cur once what it says is kept; one
// that nobody could read is flagged there, for a person.
func (s *Sender) Listen(ctx context.Context, take func(context.Context, channel.Heard) error) error {
	if s.c.Inbox == "" {
		<-ctx.Done()
		return nil
	}
	if s.clock == nil {
		return errors.New("smtp: an inbox needs Host.Clock")
	}
	tick := time.NewTicker(s.c.InboxEvery)
	defer tick.Stop()
	for {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = s.sweep(ctx, take); err != nil && ctx.Err() == nil {
				s.log.Warn("the inbox cannot be read whole; will try again", "carrier", s.name, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sweep hears the mails of the folder, and reports whether there are more.
func (s *Sender) sweep(ctx context.Context, take func(context.Context, channel.Heard) error) (bool, error) {
	dir, err := os.Open(filepath.Join(s.c.Inbox, "new"))
	if err != nil {
		return false, errors.New("its folder new cannot be opened") // the path may be a person's mailbox
	}
	defer func() { _ = dir.Close() }()
	entries, err := dir.ReadDir(sweepMax)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, errors.New("its folder new cannot be listed")
	}
	done := 0
	for _, e := range entries {
		if ctx.Err() != nil {
			return false, nil
		}
		if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := s.hear(ctx, e.Name(), take); err != nil {
			return false, err
		}
		done++
	}
	return done > 0 && len(entries) == sweepMax, nil
}

// hear takes one mail of the folder. It is moved only once it was taken, so a process that dies in between hears it again.
func (s *Sender) hear(ctx context.Context, name string, take func(context.Context, channel.Heard) error) error {
	from := filepath.Join(s.c.Inbox, "new", name)
	f, err := os.Open(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil // another process was first
	}
	if err != nil {
		return errors.New("a mail cannot be opened")
	}
	raw, err := io.ReadAll(io.LimitReader(f, mailMax))
	_ = f.Close()
	if err != nil {
		return errors.New("a mail cannot be read")
	}
	heard, what, err := s.read(raw, s.clock())
	if err != nil {
		what = countUnread
	} else if len(heard.Receipts)+len(heard.Replies)+len(heard.Points) > 0 {
		if err := take(ctx, heard); err != nil {
			return err
		}
	}
	s.counts[what].Add(1)
	flags := ":2,S" // seen
	if what == countUnread || what == countUnproven {
		flags = ":2,FS"
	}
	base, _, _ := strings.Cut(name, ":")
	if err := os.Rename(from, filepath.Join(s.c.Inbox, "cur", base+flags)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.New("a mail cannot be moved from new to cur")
	}
	return nil
}
