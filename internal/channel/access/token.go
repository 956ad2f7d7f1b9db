package access

import (
	"context"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// Token is what a carrier gave for a time.
type Token struct {
	Text  string
	Until time.Time // it is not used from here on
}

// Fetch gets a token, as of now.
type Fetch func(ctx context.Context, now time.Time) (Token, *channel.Error)

// Keeper keeps one token and has it fetched anew when it ended: by one caller at a time, while the others wait for it. It is
// safe for concurrent use.
type Keeper struct {
	fetch Fetch
	slot  chan Token // holds the one token, or nothing while it is fetched
}

// NewKeeper returns a Keeper that has no token yet.
func NewKeeper(fetch Fetch) *Keeper {
	k := &Keeper{fetch: fetch, slot: make(chan Token, 1)}
	k.slot <- Token{}
	return k
}

// Get returns a token that holds at now. Whatever goes wrong, the message that it is for has not left: an error is never
// Unknown.
func (k *Keeper) Get(ctx context.Context, now time.Time) (string, *channel.Error) {
	var t Token
	select {
	case <-ctx.Done():
		return "", &channel.Error{Class: channel.Temporary, Code: "cancelled", Detail: "token"}
	case t = <-k.slot:
	}
	defer func() { k.slot <- t }()
	if t.Text != "" && now.Before(t.Until) {
		return t.Text, nil
	}
	fresh, err := k.fetch(ctx, now)
	if err != nil {
		t = Token{}
		return "", unsent(err)
	}
	t = fresh
	return t.Text, nil
}

// unsent is why there is no token, as said of a message that was not sent for it: what became of the asking is not known,
// what became of the message is.
func unsent(err *channel.Error) *channel.Error {
	out := *err
	switch err.Class {
	case channel.Unknown:
		out.Class = channel.Temporary
	case channel.BadAddress, channel.OptedOut, channel.Permanent: // a refusal of the asking is about us
		out.Class = channel.Config
	case channel.Temporary, channel.Throttled, channel.Config:
	}
	if out.Detail == "" {
		out.Detail = "token"
	} else {
		out.Detail = "token, " + out.Detail
	}
	return &out
}

// Drop forgets a token that the carrier does not take any more, unless it was replaced meanwhile.
func (k *Keeper) Drop(text string) {
	t := <-k.slot
	if t.Text == text {
		t = Token{}
	}
	k.slot <- t
}
