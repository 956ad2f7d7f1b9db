package app_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel"
)

// talker is a carrier with a connection of its own, which breaks after each thing told.
type talker struct {
	mu    sync.Mutex
	tell  []channel.Heard
	kept  []error
	ended bool
	done  chan struct{} // closed once all was told
}

func (k *talker) Listen(ctx context.Context, take func(context.Context, channel.Heard) error) error {
	k.mu.Lock()
	n := len(k.kept)
	k.mu.Unlock()
	if n == len(k.tell) {
		<-ctx.Done()
		k.mu.Lock()
		k.ended = true
		k.mu.Unlock()
		return nil
	}
	err := take(ctx, k.tell[n])
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept = append(k.kept, err); len(k.kept) == len(k.tell) {
		close(k.done)
	}
	return errors.New("the connection broke")
}

// A carrier that speaks over its own connection is heard, again after it broke, and let go of when the process stops.
func TestServeListens(t *testing.T) {
	t.Parallel()
	c := config(t)
	a, err := app.New(t.Context(), c, app.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	at := time.Now().UTC().Add(-time.Minute)
	if _, err := a.Engine.Apply(t.Context(), at, "test", []duly.Fact{
		&duly.Borrower{ID: "B1", Language: "zh-CN", Country: "CN", Version: 1},
		&duly.ContactPoint{BorrowerID: "B1", ID: "m", Kind: duly.PointMobile, Value: "+8610000000001", State: duly.PointActive, Version: 1},
	}); err != nil {
		t.Fatal(err)
	}
	said := func(key, from string) channel.Heard {
		return channel.Heard{Replies: []channel.Reply{{Key: key, Channel: duly.ChannelSMS, From: from, Text: "TD", At: at}}}
	}
	k := &talker{tell: []channel.Heard{said("1", "8610000000001"), said("2", "8610000000002")}, done: make(chan struct{})}
	a.Listeners["smsc"] = k
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, nil) }()
	select {
	case <-k.done:
	case <-time.After(patience):
		t.Error("the carrier was not heard out")
	}
	stop()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := errors.Join(k.kept...); err != nil || !k.ended && len(k.kept) < len(k.tell) {
		t.Errorf("got %v, want everything kept", err)
	}
	if yes, err := a.DB.HasReply(t.Context(), "B1", duly.NewReplyID("smsc", "1")); err != nil || !yes {
		t.Errorf("the reply is not kept: %v", err)
	}
	if list, err := a.DB.Unmatched(t.Context(), 10); err != nil || len(list) != 1 {
		t.Errorf("got %d of nobody, %v, want 1", len(list), err)
	}
}
