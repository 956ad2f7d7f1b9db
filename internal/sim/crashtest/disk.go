package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// disk has the disk of a SQLite store fill up in the middle of sending, and be read-only at a start. It takes a disk of its own,
// which only root can make; for anybody else it says so.
func (m *matrix) disk() error {
	if m.server != nil || !m.o.disk {
		return nil
	}
	dir := filepath.Join(m.dir, "small") // it has a configuration of its own
	mount := filepath.Join(dir, "disk")
	if err := os.MkdirAll(mount, 0o700); err != nil {
		return err
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=48m", "none", mount).CombinedOutput(); err != nil {
		fmt.Fprintf(m.o.out, "no disk of its own can be made here, so none is filled: %s", out)
		return nil
	}
	defer exec.Command("umount", "-l", mount).Run()
	d := &matrix{o: m.o, world: world{
		dir: dir, contacts: 3000, dsn: filepath.Join(mount, "duly.db"), sink: newSink(), rand: m.rand, options: m.options, lease: m.lease, tags: m.tags,
	}}
	d.sink.delay = m.sink.delay
	if err := d.prepare(); err != nil {
		return err
	}
	defer d.sink.close()
	if err := d.full(mount); err != nil {
		return err
	}
	if err := d.readOnly(mount); err != nil {
		return err
	}
	m.rows = append(m.rows, d.rows...)
	if err := d.serveUntilDone(); err != nil {
		return err
	}
	return d.judge()
}

// full fills the disk under a server, and makes space again after a while.
func (m *matrix) full(mount string) error {
	cmd, err := m.serve("")
	if err != nil {
		return err
	}
	err = wait(func() (bool, error) { return m.sink.total() > 300, nil })
	filler := filepath.Join(mount, "filler")
	err = errors.Join(err, fill(filler))
	quiet, last := time.Now(), m.sink.total()
	paused := false
	err = errors.Join(err, wait(func() (bool, error) {
		if n := m.sink.total(); n != last {
			quiet, last = time.Now(), n
		}
		paused = time.Since(quiet) > 3*time.Second
		return paused || last >= m.contacts, nil
	}))
	if !paused {
		err = errors.Join(err, errors.New("a full disk did not keep messages from leaving"))
	}
	err = errors.Join(err, os.Remove(filler))
	began := time.Now()
	err = errors.Join(err, wait(func() (bool, error) { return m.sink.total() > last || last >= m.contacts, nil }))
	took := time.Since(began)
	if err := errors.Join(err, stopServer(cmd)); err != nil {
		return fmt.Errorf("disk full: %w", err)
	}
	m.killed++ // what was claimed and could not be answered may come to be in doubt
	return m.note(matrixRow{name: "disk full", times: 1, bound: doubtMax, recovery: took})
}

// fill writes a file until there is no space left.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	return f.Close()
}

// readOnly starts a server on a disk that cannot be written: it ends at once, and sends nothing.
func (m *matrix) readOnly(mount string) error {
	if out, err := exec.Command("mount", "-o", "remount,ro", mount).CombinedOutput(); err != nil {
		return fmt.Errorf("remount: %w: %s", err, out)
	}
	before := m.sink.total()
	out, err := m.command("serve").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() == 1 || m.sink.total() != before {
		return fmt.Errorf("a server on a read-only disk: %v, %d messages left\n%s", err, m.sink.total()-before, out)
	}
	fmt.Fprintf(m.o.out, "on a read-only disk: exit status %d: %s", exit.ExitCode(), out)
	if out, err := exec.Command("mount", "-o", "remount,rw", mount).CombinedOutput(); err != nil {
		return fmt.Errorf("remount: %w: %s", err, out)
	}
	return m.note(matrixRow{name: "read-only disk (refuses to start)", times: 1})
}
