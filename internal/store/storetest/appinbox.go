package storetest

import (
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

func inboxEntry(c *duly.Contact, id duly.AttemptID) store.InboxEntry {
	return store.InboxEntry{
		BorrowerID: c.BorrowerID, AttemptID: id, Carrier: "app", Title: "还款提醒", Text: "您好", Language: "zh-CN", Items: c.Items, At: Noon, ExpiresAt: Noon.Add(time.Hour),
	}
}

// testAppInbox keeps messages for an app: once each, newest first, until they expire, are dismissed, or go with the words.
func testAppInbox(t *testing.T, w *world) {
	const bucket = 23
	ctx, ids := t.Context(), InBucket(bucket, 2)
	c := Contact(ids[0], "d-3", today, 0)
	var entries []store.InboxEntry
	for n := range 3 {
		e := inboxEntry(&c, duly.NewAttemptID(c.ID, n+1))
		e.At = Noon.Add(time.Duration(n) * time.Minute)
		entries = append(entries, e)
	}
	entries[1].ExpiresAt = Noon.Add(30 * time.Minute)
	for range 2 {
		for _, e := range entries {
			if err := w.db.KeepInbox(ctx, w.now, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	inbox := func(id duly.BorrowerID, after time.Duration) (out []store.InboxEntry) {
		t.Helper()
		w.view(func(tx *store.Tx) (err error) { out, err = tx.Inbox(id, Noon.Add(after), 10); return err })
		return out
	}
	w.same("newest first", inbox(ids[0], 0), []store.InboxEntry{entries[2], entries[1], entries[0]})
	w.same("of somebody else", inbox(ids[1], 0), []store.InboxEntry(nil))
	w.same("what has expired is left out", len(inbox(ids[0], 30*time.Minute)), 2)
	for i, m := range []store.InboxMark{store.InboxFetched, store.InboxRead, store.InboxFetched} {
		if err := w.db.MarkInbox(ctx, Noon.Add(time.Duration(i+1)*time.Second), ids[0], []duly.AttemptID{entries[0].AttemptID}, m); err != nil {
			t.Fatal(err)
		}
	}
	entries[0].FetchedAt, entries[0].ReadAt = Noon.Add(time.Second), Noon.Add(2*time.Second)
	w.same("marks stay as they were made first", inbox(ids[0], 0)[2], entries[0])
	if err := w.db.MarkInbox(ctx, Noon, ids[1], []duly.AttemptID{entries[2].AttemptID}, store.InboxDismissed); err != nil {
		t.Fatal(err)
	}
	w.same("nobody dismisses another's", len(inbox(ids[0], 0)), 3)
	if err := w.db.MarkInbox(ctx, Noon, ids[0], []duly.AttemptID{entries[2].AttemptID}, store.InboxDismissed); err != nil {
		t.Fatal(err)
	}
	w.same("dismissed", inbox(ids[0], 0), []store.InboxEntry{entries[1], entries[0]})
	if err := w.db.MarkInbox(ctx, Noon, ids[0], nil, "at"); err == nil {
		t.Error("a mark that is none was made")
	}
	has := func(id duly.AttemptID) bool {
		t.Helper()
		found, err := w.db.HasInbox(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	w.same("kept", []bool{has(entries[2].AttemptID), has("nonsense"), has(duly.NewAttemptID(c.ID, 9))}, []bool{true, false, false})
	carrier, found, err := w.db.FindInbox(ctx, ids[0], entries[0].AttemptID)
	if err != nil || !found || carrier != "app" {
		t.Errorf("find: got %q, %t, %v", carrier, found, err)
	}
	if _, found, err := w.db.FindInbox(ctx, ids[1], entries[0].AttemptID); err != nil || found {
		t.Errorf("find another's: got %t, %v", found, err)
	}
	w.update([]int{bucket}, func(tx *store.Tx) error { _, err := tx.Forget("words", bucket, []duly.ContactID{c.ID}); return err })
	w.same("gone with the words", has(entries[0].AttemptID), false)
}
