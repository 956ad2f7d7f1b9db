package sip

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"

	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/voice"
)

// pruneEvery is how often recordings past their term are looked for.
const pruneEvery = time.Hour

// recorder begins the recording of a call, where that is configured and the call's language has words to say so. Its name is a hash of
// the attempt's id: it tells nothing of whom was called.
func (s *Sender) recorder(a *attempt, at time.Time) *voice.Recorder {
	if s.c.Record.Folder == "" || a.sounds[announcing] == nil {
		return nil
	}
	dir := filepath.Join(s.c.Record.Folder, civil.In(at, s.zone).String())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.log.Error("calls cannot be recorded", "carrier", s.name, "error", err)
		return nil
	}
	rec, err := voice.Record(filepath.Join(dir, RecordingName(string(a.m.AttemptID))))
	if err != nil {
		s.log.Error("a call cannot be recorded", "carrier", s.name, "error", err)
		return nil
	}
	return rec
}

// RecordingName is the name of an attempt's recording, in the folder of its day.
func RecordingName(attempt string) string {
	sum := sha256.Sum256([]byte(attempt))
	return hex.EncodeToString(sum[:16]) + ".wav"
}

// prune deletes the folders of days whose term is over.
func (s *Sender) prune() {
	if s.c.Record.Folder == "" || s.clock == nil {
		return
	}
	entries, err := os.ReadDir(s.c.Record.Folder)
	if err != nil {
		return // nothing was recorded yet
	}
	last := civil.In(s.clock(), s.zone).Add(-s.c.Record.Days)
	for _, e := range entries {
		day, err := civil.Parse(e.Name())
		if err != nil || !e.IsDir() || !day.Before(last) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.c.Record.Folder, e.Name())); err != nil {
			s.log.Error("recordings past their term could not be deleted", "carrier", s.name, "error", err)
			continue
		}
		s.log.Info("recordings past their term are deleted", "carrier", s.name, "day", e.Name())
	}
}
