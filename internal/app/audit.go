package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
)

// AuditConfig is where the daily roots of the audit are kept, out of reach of whoever may write to the store.
type AuditConfig struct {
	Roots string         `yaml:"roots"` // a folder: one file for each root; "" keeps them in the store alone
	Post  string         `yaml:"post"`  // an address to which each root is posted as JSON; "" posts none
	Token channel.Secret `yaml:"token"` // sent along as a bearer's, if there is one
	Every Duration       `yaml:"every"` // how often `duly serve` looks whether a day has begun that has no root yet
}

// Limits of keeping roots.
const (
	postTimeout  = 20 * time.Second
	postsMax     = 50      // roots posted at a time
	rootSizeMax  = 4 << 20 // bytes of a file
	rootMarkName = "root-%06d-"
)

func (c *AuditConfig) check(bad func(field, format string, args ...any)) {
	if c.Every <= 0 {
		bad("audit.every", "not above zero")
	}
	if c.Post == "" {
		if !c.Token.IsZero() {
			bad("audit.token", "is for audit.post, which is missing")
		}
		return
	}
	u, err := url.Parse(c.Post)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(withPort(u))) {
		bad("audit.post", "not an https address, or http on a loopback address")
	}
}

func withPort(u *url.URL) string {
	if u.Port() == "" {
		return u.Host + ":80"
	}
	return u.Host
}

// Sealed is what Seal did.
type Sealed struct {
	Root   *audit.Root // made; nil where the day has one
	Files  []string    // written
	Posted int
}

// Seal makes the root of the lender's day if it has none yet, or in any case where one is asked for, and keeps what is not kept yet:
// each root as a file of its own, never written twice, and posted until it is taken.
func (a *App) Seal(ctx context.Context, now time.Time, anyway bool) (Sealed, error) {
	var s Sealed
	make := a.DB.DailyRoot
	if anyway {
		make = a.DB.MakeRoot
	}
	root, made, err := make(ctx, now, civil.In(now, a.Location))
	if err != nil {
		return s, err
	}
	if made {
		s.Root = &root
	}
	s.Files, err = a.fileRoots(ctx, root.No)
	var posted error
	s.Posted, posted = a.postRoots(ctx, now)
	return s, errors.Join(err, posted)
}

// fileRoots writes the roots that have no file yet, up to the last.
func (a *App) fileRoots(ctx context.Context, last int64) ([]string, error) {
	dir := a.Config.Audit.Roots
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, noFolder(dir)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, noFolder(dir)
	}
	var out []string
	for no := int64(1); no <= last; no++ {
		mark := fmt.Sprintf(rootMarkName, no)
		i := slices.IndexFunc(list, func(e fs.DirEntry) bool {
			return strings.HasPrefix(e.Name(), mark) && strings.HasSuffix(e.Name(), ".json")
		})
		if i >= 0 && no < last {
			continue
		}
		root, err := a.DB.AuditRoot(ctx, no)
		if err != nil && duly.CodeOf(err) == duly.NotFound {
			continue // taken out of the store: what is kept elsewhere shows it
		}
		if err != nil {
			return out, err
		}
		if i >= 0 {
			if err := a.sameRoot(filepath.Join(dir, list[i].Name()), &root); err != nil {
				return out, err
			}
			continue
		}
		name := filepath.Join(dir, mark+root.Day.String()+".json")
		if err := writeRoot(name, &root); err != nil {
			return out, err
		}
		out = append(out, name)
	}
	return out, nil
}

// sameRoot refuses to go on where another root of the number is kept: the store is not the one that was sealed.
func (a *App) sameRoot(name string, root *audit.Root) error {
	kept, err := readRoot(name)
	if err != nil || kept.Hash == root.Hash {
		return err
	}
	return duly.Errorf(duly.Conflict, "another root %d is kept here than the store has", root.No).At(duly.Place{File: name}).
		WithHint("`duly audit verify` shows since when they differ; after a backup was restored, keep the old roots in another folder and begin a new one")
}

func noFolder(dir string) error {
	return duly.Errorf(duly.Unavailable, "the folder of the audit's roots cannot be used").At(duly.Place{File: dir}).
		WithHint("make it, let this user write to it, or name another under audit.roots")
}

// writeRoot writes a file whole or not at all, and for reading only.
func writeRoot(name string, root *audit.Root) error {
	b, err := json.Marshal(root)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".root-*")
	if err != nil {
		return noFolder(filepath.Dir(name))
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Chmod(0o440), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return duly.Errorf(duly.Unavailable, "a root cannot be written").At(duly.Place{File: name}).WithHint("is there room on the disk?")
	}
	return nil
}

// postRoots posts the roots that were not taken yet, oldest first. One that was taken and of which that could not be noted is posted
// again: a receiver goes by its number and hash.
func (a *App) postRoots(ctx context.Context, now time.Time) (int, error) {
	if a.Config.Audit.Post == "" {
		return 0, nil
	}
	roots, err := a.DB.UnpostedRoots(ctx, postsMax)
	if err != nil {
		return 0, err
	}
	for i := range roots {
		if err := a.postRoot(ctx, &roots[i]); err != nil {
			return i, err
		}
		if err := a.DB.RootPosted(ctx, now, roots[i].No); err != nil {
			return i, err
		}
	}
	return len(roots), nil
}

func (a *App) postRoot(ctx context.Context, root *audit.Root) error {
	body, err := json.Marshal(root)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, postTimeout, errors.New("the receiver of roots does not answer"))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Config.Audit.Post, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if t := a.Config.Audit.Token; !t.IsZero() {
		req.Header.Set("Authorization", "Bearer "+t.Reveal())
	}
	what := duly.Errorf(duly.Unavailable, "root %d of %s could not be posted", root.No, root.Day).At(duly.Place{Field: "audit.post"})
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return what.WithHint("the receiver does not answer; the root is kept and posted again later")
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	if resp.StatusCode/100 != 2 {
		return what.WithHint("the receiver answered with status %d; the root is kept and posted again later", resp.StatusCode)
	}
	return nil
}

// sealing seals every day until ctx ends.
func (a *App) sealing(ctx context.Context) {
	tick := time.NewTicker(time.Duration(a.Config.Audit.Every))
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s, err := a.Seal(ctx, time.Now().UTC(), false)
		if s.Root != nil {
			a.Log.Info("the audit was sealed", "root", s.Root.No, "day", s.Root.Day.String(), "entries", s.Root.Entries, "hash", s.Root.Hash)
		}
		switch {
		case err == nil:
			told = ""
		case ctx.Err() == nil && told != err.Error():
			told = err.Error()
			a.Log.Error("the audit's roots could not be made or kept; will try again", "error", err)
		}
	}
}

// ReadRoots reads roots that were kept as files: a folder of them, or one file.
func ReadRoots(path string) ([]audit.Root, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, duly.Errorf(duly.NotFound, "no roots are kept here").At(duly.Place{File: path}).WithHint("name the folder of audit.roots, or a file from it")
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "root-*.json")); err != nil {
			return nil, err
		}
	}
	var out []audit.Root
	for _, name := range files {
		root, err := readRoot(name)
		if err != nil {
			return nil, err
		}
		out = append(out, root)
	}
	slices.SortStableFunc(out, func(a, b audit.Root) int { return int(a.No - b.No) })
	return out, nil
}

func readRoot(name string) (root audit.Root, err error) {
	place := duly.Place{File: name}
	f, err := os.Open(name)
	if err != nil {
		return root, duly.Errorf(duly.NotFound, "the file cannot be read").At(place)
	}
	defer f.Close()
	dec := json.NewDecoder(io.LimitReader(f, rootSizeMax))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&root); err != nil || root.No < 1 {
		return root, duly.Errorf(duly.Invalid, "the file is not a root of an audit").At(place).WithHint("only files that `duly serve` or `duly audit root` wrote belong into the folder")
	}
	return root, nil
}
