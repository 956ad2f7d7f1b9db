package storetest

import (
	"testing"

	"github.com/dulyhq/duly/internal/store"
)

// A command takes effect once, in the order of the log, and a newer log begins anew.
func testMarks(t *testing.T, w *world) {
	reach := func(bucket int, to store.Reached) (err error) {
		w.db.Update(t.Context(), w.now, []int{7}, func(tx *store.Tx) error { err = tx.Reach(map[int]store.Reached{bucket: to}); return err })
		return err
	}
	at := func(log, seq int64, answer string) store.Reached {
		return store.Reached{Mark: store.Mark{Log: log, Seq: seq}, Answer: answer}
	}
	for _, step := range []struct {
		name   string
		bucket int
		to     store.Reached
		ok     bool
	}{
		{"the first", 7, at(100, 5, "a"), true},
		{"the same again", 7, at(100, 5, "b"), false},
		{"an earlier one", 7, at(100, 4, "b"), false},
		{"the next", 7, at(100, 9, "c"), true},
		{"a newer log", 7, at(200, 1, "d"), true},
		{"the old log again", 7, at(100, 10, "e"), false},
		{"a bucket that is not held", 8, at(200, 2, "f"), false},
	} {
		if err := reach(step.bucket, step.to); (err == nil) != step.ok {
			t.Errorf("%s: got %v, want it taken: %t", step.name, err, step.ok)
		}
	}
	for bucket, want := range map[int]store.Reached{7: at(200, 1, "d"), 8: {}} {
		got, err := w.db.Reached(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		w.same("reached", got, want)
	}
	if m := (store.Mark{Log: 2, Seq: 1}); !m.After(store.Mark{Log: 1, Seq: 9}) || m.After(m) || m.After(store.Mark{Log: 3}) {
		t.Error("a newer log does not come after an older one")
	}
}
