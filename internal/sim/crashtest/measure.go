package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/dulyhq/duly/internal/fault"
)

// measured is how many contacts the store has whose outcomes are measured.
const measured = 200

// measure dies while outcomes are written, two months after what was sent, and measures them again: each once. It has a store of
// its own, on SQLite, where time can be told.
func (m *matrix) measure() error {
	dir := filepath.Join(m.dir, "measure")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	zone := noonZone(time.Now())
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"duly.yaml": fmt.Sprintf("lender: {name: Crash Test, service_phone: \"100\", timezone: %s}\nstrategies: [%s]\npacks: [policy-default]\ncarriers: {box: {sandbox: {}}}\n",
			zone, filepath.Join(dir, "strategy.yaml")),
		"strategy.yaml": strategyText,
		"book.jsonl":    book(measured, 0, zone, time.Now()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	duly := func(at time.Time, point string, args ...string) ([]byte, error) {
		cmd := exec.Command(m.bin, append([]string{"--config", filepath.Join(dir, "duly.yaml"), "--store", filepath.Join(dir, "duly.db"), "--now", at.In(loc).Format("2006-01-02 15:04")}, args...)...)
		cmd.Env = append(os.Environ(), "DULY_FAULT="+point)
		return cmd.CombinedOutput()
	}
	now := time.Now()
	for _, args := range [][]string{{"import", filepath.Join(dir, "book.jsonl"), "--mapping", "duly-jsonl"}, {"feed"}, {"step"}} {
		if out, err := duly(now, "", args...); err != nil {
			return fmt.Errorf("duly %s: %w\n%s", args[0], err, out)
		}
	}
	later := now.AddDate(0, 0, 60)
	if out, err := duly(later, fault.MeasureUncommitted+":2", "step"); !killed(err) {
		return fmt.Errorf("duly step did not come to %s: %v\n%s", fault.MeasureUncommitted, err, out)
	}
	out, err := duly(later, "", "step")
	if err != nil {
		return fmt.Errorf("duly step: %w\n%s", err, out)
	}
	if regexp.MustCompile(`measured +0 outcomes`).Match(out) {
		return errors.New("a death in the middle left nothing to measure")
	}
	again, err := duly(later, "", "step")
	if err != nil || !regexp.MustCompile(`measured +0 outcomes`).Match(again) {
		return fmt.Errorf("outcomes are measured twice: %v\n%s", err, again)
	}
	m.rows = append(m.rows, matrixRow{name: fault.MeasureUncommitted, times: 1})
	return nil
}
