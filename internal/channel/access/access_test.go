package access_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/access"
)

// split takes a token apart: its header, its claims, what was signed and the signature.
func split(t *testing.T, token string) (header, claims map[string]any, digest [32]byte, signature []byte) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("got %d parts, want 3", len(parts))
	}
	for i, into := range []*map[string]any{&header, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(b, into) != nil {
			t.Fatalf("part %d is not JSON in base64url: %v", i, err)
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	return header, claims, sha256.Sum256([]byte(parts[0] + "." + parts[1])), signature
}

func TestSign(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 { // a short r or s is padded
		token, err := access.SignES256(ec, "K1", map[string]any{"iss": "team"})
		if err != nil {
			t.Fatal(err)
		}
		header, claims, digest, signature := split(t, token)
		if header["alg"] != "ES256" || header["kid"] != "K1" || claims["iss"] != "team" || len(signature) != 64 ||
			!ecdsa.Verify(&ec.PublicKey, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			t.Fatalf("ES256: header %v, claims %v, signature of %d bytes that does not verify", header, claims, len(signature))
		}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	token, err := access.SignRS256(key, "", map[string]any{"iss": "robot"})
	if err != nil {
		t.Fatal(err)
	}
	header, _, digest, signature := split(t, token)
	if _, has := header["kid"]; has || header["alg"] != "RS256" {
		t.Errorf("RS256: got header %v", header)
	}
	if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		t.Errorf("RS256: %v", err)
	}
	text := func(k any) string {
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	if got, err := access.ParseKey[*ecdsa.PrivateKey](text(ec)); err != nil || !got.Equal(ec) {
		t.Errorf("ParseKey: %v", err)
	}
	for _, bad := range []string{"", "no", text(key), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := access.ParseKey[*ecdsa.PrivateKey](bad); err == nil {
			t.Error("ParseKey took what is no P-256 key")
		}
	}
}

var start = time.Date(2026, time.March, 2, 1, 30, 0, 0, time.UTC)

// TestKeeper: one fetch serves all, until the token ends or is dropped.
func TestKeeper(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int64
	k := access.NewKeeper(func(_ context.Context, now time.Time) (access.Token, *channel.Error) {
		n := fetched.Add(1)
		return access.Token{Text: strings.Repeat("t", int(n)), Until: now.Add(time.Hour)}, nil
	})
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if got, err := k.Get(t.Context(), start); err != nil || got != "t" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	wg.Wait()
	for _, step := range []struct {
		drop string
		at   time.Duration
		want string
	}{{"", time.Minute, "t"}, {"", time.Hour, "tt"}, {"t", time.Hour, "tt"}, {"tt", time.Hour, "ttt"}} {
		k.Drop(step.drop)
		if got, err := k.Get(t.Context(), start.Add(step.at)); err != nil || got != step.want {
			t.Errorf("after %s, having dropped %q: got %q, %v; want %q", step.at, step.drop, got, err, step.want)
		}
	}
}

// TestKeeperFails: a token that cannot be had is never a message that may have been sent, and is asked for again.
func TestKeeperFails(t *testing.T) {
	t.Parallel()
	want := map[channel.Class]channel.Class{
		channel.Unknown: channel.Temporary, channel.Temporary: channel.Temporary, channel.Throttled: channel.Throttled,
		channel.Permanent: channel.Config, channel.BadAddress: channel.Config, channel.OptedOut: channel.Config, channel.Config: channel.Config,
	}
	for _, class := range channel.Classes() {
		fail := true
		k := access.NewKeeper(func(context.Context, time.Time) (access.Token, *channel.Error) {
			if fail {
				return access.Token{}, &channel.Error{Class: class, Code: "x"}
			}
			return access.Token{Text: "t", Until: start.Add(time.Hour)}, nil
		})
		if _, err := k.Get(t.Context(), start); err == nil || err.Class != want[class] {
			t.Errorf("%s: got %v, want %s", class, err, want[class])
		}
		fail = false
		if got, err := k.Get(t.Context(), start); err != nil || got != "t" {
			t.Errorf("%s: got %q, %v the next time", class, got, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	in := make(chan struct{})
	k := access.NewKeeper(func(ctx context.Context, _ time.Time) (access.Token, *channel.Error) {
		close(in)
		<-ctx.Done()
		return access.Token{}, &channel.Error{Class: channel.Unknown, Code: "cancelled"}
	})
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = k.Get(ctx, start) })
	<-in
	waiting, stop := context.WithCancel(t.Context())
	stop()
	if _, err := k.Get(waiting, start); err == nil || err.Class != channel.Temporary {
		t.Errorf("got %v of a wait that was called off", err)
	}
	cancel()
	wg.Wait()
}
