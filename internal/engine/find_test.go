package engine_test

import (
	"context"
	"errors"
	"testing"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// Find lets the carrier be asked by address and time; without an answer to give it knows nothing.
func (c *carrier) Find(_ context.Context, q channel.Question) (duly.ReceiptStatus, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.find == nil {
		return "", false, nil
	}
	return c.find(q)
}

// What a carrier's answer left in doubt is settled by asking it for the address, once the doubt is ten minutes old; a carrier
// that knows nothing, or does not answer, settles nothing.
func TestDoubtIsAskedForByAddress(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.car.fate = refuse(channel.Unknown)
		w.step(w.at(0, "12:00"))
		w.want(who, "today sms in_doubt told_so")
		var asked []channel.Question
		answer := func(s duly.ReceiptStatus, ok bool, err error) {
			w.car.find = func(q channel.Question) (duly.ReceiptStatus, bool, error) {
				asked = append(asked, q)
				return s, ok, err
			}
		}
		answer("", false, nil)
		w.step(w.at(0, "12:05"))
		if len(asked) != 0 {
			t.Errorf("asked %d times before the doubt is ten minutes old", len(asked))
		}
		w.step(w.at(0, "12:20"))
		answer("", false, errors.New("no connection"))
		w.step(w.at(0, "12:30"))
		w.want(who, "today sms in_doubt told_so")
		answer(duly.ReceiptDelivered, true, nil)
		w.step(w.at(0, "12:40"))
		w.want(who, "today sms delivered")
		if len(asked) != 3 {
			t.Fatalf("asked %d times, want 3", len(asked))
		}
		q := asked[2]
		if q.To != "+8610000000001" || q.AttemptID != w.car.sent[0].AttemptID || q.SentAt.Before(w.at(0, "11:59")) || q.SentAt.After(w.at(0, "12:01")) {
			t.Errorf("asked for %+v", q)
		}
		w.step(w.at(0, "12:50"))
		if len(asked) != 3 {
			t.Error("asked again for what is settled")
		}
	})
}
