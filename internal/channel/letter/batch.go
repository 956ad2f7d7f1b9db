package letter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// The folders within the carrier's folder. Those that begin with a full stop are nobody else's.
const (
	dirBatches = "batches"
	dirOpen    = ".open"    // the batch that is filled
	dirEntries = ".entries" // within a batch: what the manifest will say of each letter
	dirSent    = ".sent"    // by month, an empty file for each attempt that was taken
	dirTmp     = ".tmp"
	fileLock   = ".lock"
	fileOpened = ".opened"
)

// sentMonths is how many months an attempt that was taken is remembered.
const sentMonths = 3

// lockPoll is how often a lock that another process has is asked for.
const lockPoll = 10 * time.Millisecond

// Files are for the group too: the print house's upload often runs as another user.
const (
	dirMode  = 0o750
	fileMode = 0o640
)

// entry is what the manifest says of a letter.
type entry struct {
	Attempt  duly.AttemptID `json:"attempt"`
	Pages    int            `json:"pages"`
	SHA256   string         `json:"sha256"`
	Class    string         `json:"class"`
	Language string         `json:"language"`
	Address  []string       `json:"address"`
}

func (s *Sender) path(parts ...string) string {
	return filepath.Join(append([]string{s.c.Folder}, parts...)...)
}

// lock makes this process the only one that changes batches, or waits until ctx ends. A process that dies leaves no lock.
func (s *Sender) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(s.path(fileLock), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	wait := time.NewTicker(lockPoll)
	defer wait.Stop()
	for {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-wait.C:
		}
	}
}

// has reports whether an attempt's letter was taken.
func (s *Sender) has(id duly.AttemptID) bool {
	if exists(s.path(dirOpen, dirEntries, string(id)+".json")) {
		return true
	}
	months, _ := os.ReadDir(s.path(dirSent))
	return slices.ContainsFunc(months, func(m os.DirEntry) bool { return exists(s.path(dirSent, m.Name(), string(id))) })
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// keep puts a letter into the open batch. The letter is taken once its entry is there, which is the last thing that is written.
func (s *Sender) keep(ctx context.Context, m channel.Message, pages int, pdf []byte) error {
	sum := sha256.Sum256(pdf)
	line, err := json.Marshal(entry{
		Attempt: m.AttemptID, Pages: pages, SHA256: hex.EncodeToString(sum[:]), Class: s.c.PostalClass, Language: m.Language,
		Address: addressLines(m, strings.HasPrefix(strings.ToLower(m.Language), "zh")),
	})
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.c.Folder); err != nil {
		return err
	}
	for _, dir := range []string{dirTmp, dirBatches, dirSent} {
		if err := os.MkdirAll(s.path(dir), dirMode); err != nil {
			return err
		}
	}
	name := string(m.AttemptID)
	letter, err := s.write(name, pdf)
	if err != nil {
		return err
	}
	note, err := s.write(name, line)
	if err != nil {
		return errors.Join(err, os.Remove(letter))
	}
	unlock, err := s.lock(ctx)
	if err == nil {
		defer unlock()
		err = s.put(m, letter, note)
	}
	_ = os.Remove(letter) // where it was not moved
	_ = os.Remove(note)
	return err
}

// put moves a letter and its entry into the open batch, under the lock.
func (s *Sender) put(m channel.Message, letter, note string) error {
	name := string(m.AttemptID)
	if s.has(m.AttemptID) {
		return nil
	}
	if err := s.open(m.Now); err != nil {
		return err
	}
	if err := os.Rename(letter, s.path(dirOpen, name+".pdf")); err != nil {
		return err
	}
	if err := syncDir(s.path(dirOpen)); err != nil {
		return err
	}
	if err := os.Rename(note, s.path(dirOpen, dirEntries, name+".json")); err != nil {
		return err
	}
	if err := syncDir(s.path(dirOpen, dirEntries)); err != nil {
		return errUnsure
	}
	if _, n := s.openSince(); n >= s.c.BatchMax {
		if err := s.closeBatch(m.Now); err != nil { // the letter is taken: the next one closes it
			s.log.Warn("a full batch cannot be closed; will try again", "carrier", s.name, "error", fault(err))
		}
	}
	return nil
}

// open makes the open batch where there is none.
func (s *Sender) open(now time.Time) error {
	if err := os.MkdirAll(s.path(dirOpen, dirEntries), dirMode); err != nil {
		return err
	}
	if exists(s.path(dirOpen, fileOpened)) {
		return nil
	}
	tmp, err := s.write("opened", []byte(now.UTC().Format(time.RFC3339)))
	if err != nil {
		return err
	}
	return os.Rename(tmp, s.path(dirOpen, fileOpened))
}

// openSince is since when the open batch is filled, and how many letters it has.
func (s *Sender) openSince() (time.Time, int) {
	text, err := os.ReadFile(s.path(dirOpen, fileOpened))
	if err != nil {
		return time.Time{}, 0
	}
	at, _ := time.Parse(time.RFC3339, string(text)) // what cannot be read was long ago
	entries, _ := os.ReadDir(s.path(dirOpen, dirEntries))
	return at, len(entries)
}

// closeBatch writes the manifest and renames the open batch into batches, under the lock. Letters that were never taken, because
// their process died, are removed.
func (s *Sender) closeBatch(now time.Time) error {
	entries, err := s.entries()
	if err != nil {
		return err
	}
	if err := s.dropStrays(entries); err != nil {
		return err
	}
	if err := s.remember(now, entries); err != nil {
		return err
	}
	text, err := manifest(entries)
	if err != nil {
		return err
	}
	tmp, err := s.write("manifest", text)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, s.path(dirOpen, "manifest.csv")); err != nil {
		return err
	}
	if err := syncDir(s.path(dirOpen)); err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	to := s.path(dirBatches, now.In(s.loc).Format("2006-01-02-1504")+"-"+hex.EncodeToString(sum[:4]))
	if err := os.Rename(s.path(dirOpen), to); err != nil {
		return err
	}
	err = errors.Join(syncDir(s.path(dirBatches)), syncDir(s.c.Folder))
	s.log.Info("a batch of letters was closed", "carrier", s.name, "batch", filepath.Base(to), "letters", len(entries))
	_ = os.Remove(filepath.Join(to, fileOpened)) // what is left of these harms nobody
	_ = os.RemoveAll(filepath.Join(to, dirEntries))
	return err
}

// entries are those of the open batch, by attempt.
func (s *Sender) entries() ([]entry, error) {
	files, err := os.ReadDir(s.path(dirOpen, dirEntries))
	if err != nil {
		return nil, err
	}
	out := make([]entry, len(files))
	for i, f := range files {
		text, err := os.ReadFile(s.path(dirOpen, dirEntries, f.Name()))
		if err == nil {
			err = json.Unmarshal(text, &out[i])
		}
		if err != nil {
			return nil, fmt.Errorf("an entry of the open batch cannot be read: %w", err)
		}
	}
	return out, nil
}

func (s *Sender) dropStrays(entries []entry) error {
	files, err := os.ReadDir(s.path(dirOpen))
	if err != nil {
		return err
	}
	for _, f := range files {
		id, isLetter := strings.CutSuffix(f.Name(), ".pdf")
		if isLetter && !slices.ContainsFunc(entries, func(e entry) bool { return string(e.Attempt) == id }) {
			if err := os.Remove(s.path(dirOpen, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// remember notes the attempts of a batch that is about to be closed, and forgets those of months long past.
func (s *Sender) remember(now time.Time, entries []entry) error {
	now = now.UTC()
	month := s.path(dirSent, now.Format("2006-01"))
	if err := os.MkdirAll(month, dirMode); err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.WriteFile(filepath.Join(month, string(e.Attempt)), nil, fileMode); err != nil {
			return err
		}
	}
	if err := errors.Join(syncDir(month), syncDir(s.path(dirSent))); err != nil {
		return err
	}
	oldest := time.Date(now.Year(), now.Month()-sentMonths, 1, 0, 0, 0, 0, time.UTC).Format("2006-01")
	months, err := os.ReadDir(s.path(dirSent))
	for _, m := range months {
		if m.Name() < oldest {
			err = errors.Join(err, os.RemoveAll(s.path(dirSent, m.Name())))
		}
	}
	return err
}

// manifest lists a batch as CSV: what to print, how to post it, and to whom.
func manifest(entries []entry) ([]byte, error) {
	lines := 0
	for _, e := range entries {
		lines = max(lines, len(e.Address))
	}
	head := []string{"attempt", "file", "pages", "sha256", "class", "language"}
	for i := range lines {
		head = append(head, "address_"+strconv.Itoa(i+1))
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	_ = w.Write(head) // a buffer takes everything
	for _, e := range entries {
		row := []string{string(e.Attempt), string(e.Attempt) + ".pdf", strconv.Itoa(e.Pages), e.SHA256, e.Class, e.Language}
		row = append(row, e.Address...)
		_ = w.Write(append(row, make([]string, len(head)-len(row))...))
	}
	w.Flush()
	return out.Bytes(), w.Error()
}

// write makes a file that is on disk, for renaming to its place.
func (s *Sender) write(name string, text []byte) (string, error) {
	f, err := os.CreateTemp(s.path(dirTmp), name+".*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Chmod(fileMode)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
