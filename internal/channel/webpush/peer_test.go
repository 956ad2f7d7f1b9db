package webpush_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
)

// peerServer is a push service and a browser that we did not write: npm's web-push-testing, put there by scripts/setup-test.
const peerServer = ".cache/npm/node_modules/web-push-testing/src/bin/server.js"

// startPeer starts it and returns where it is.
func startPeer(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	server := filepath.Join("..", "..", "..", peerServer)
	if _, statErr := os.Stat(server); err != nil || statErr != nil {
		t.Skip("web-push-testing is not installed: scripts/setup-test installs it where there is npm")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	cmd := exec.Command(node, server, strconv.Itoa(port))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	at := fmt.Sprintf("http://localhost:%d", port)
	for range 600 {
		resp, err := http.Post(at+"/status", "application/json", nil)
		if err == nil {
			_ = resp.Body.Close()
			return at
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("web-push-testing did not start: %s", out.String())
	return ""
}

// ask posts JSON to the peer's own calls.
func ask(t *testing.T, url string, in any, data any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if data == nil {
		return
	}
	if err := json.NewDecoder(resp.Body).Decode(&struct{ Data any }{data}); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
}

// TestPeer pushes to a browser that decrypts and checks who we are, until it unsubscribes.
func TestPeer(t *testing.T) {
	t.Parallel()
	at := startPeer(t)
	const public = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4" // of vapid
	var sub struct {
		Endpoint   string            `json:"endpoint"`
		Keys       map[string]string `json:"keys"`
		ClientHash string            `json:"clientHash"`
	}
	ask(t, at+"/subscribe", map[string]string{"userVisibleOnly": "true", "applicationServerKey": public}, &sub)
	to, err := json.Marshal(sub)
	if err != nil {
		t.Fatal(err)
	}
	s, n := sender(t, config()), 20
	for i := range n {
		m := channeltest.Message(duly.ChannelPush, string(to), i)
		m.Now = time.Now() // the peer compares it with its own clock
		m.ExpiresAt = m.Now.Add(time.Hour)
		if _, err := s.Send(t.Context(), m); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	var got struct{ Messages []string }
	ask(t, at+"/get-notifications", map[string]string{"clientHash": sub.ClientHash}, &got)
	if len(got.Messages) != n {
		t.Fatalf("the browser got %d messages, want %d", len(got.Messages), n)
	}
	for i, text := range got.Messages {
		m := channeltest.Message(duly.ChannelPush, "", i)
		var note map[string]string
		if err := json.Unmarshal([]byte(strings.TrimRight(text, "\x00")), &note); err != nil || note["body"] != m.Text || note["title"] != m.Subject || note["id"] != string(m.AttemptID) {
			t.Errorf("message %d: the browser decrypted %q, %v", i, text, err)
		}
	}
	ask(t, at+"/expire-subscription/"+sub.ClientHash, map[string]string{}, nil)
	m := channeltest.Message(duly.ChannelPush, string(to), n)
	m.Now = time.Now()
	_, serr := s.Send(t.Context(), m)
	if e, ok := errors.AsType[*channel.Error](serr); !ok || e.Class != channel.BadAddress || e.Code != "http_410" {
		t.Errorf("after it unsubscribed: got %v, want a bad address", serr)
	}
	// Another key than the one it subscribed with.
	other := config()
	other.PrivateKey = channel.NewSecret("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
	ask(t, at+"/subscribe", map[string]string{"userVisibleOnly": "true", "applicationServerKey": public}, &sub)
	to, err = json.Marshal(sub)
	if err != nil {
		t.Fatal(err)
	}
	m = channeltest.Message(duly.ChannelPush, string(to), n+1)
	m.Now = time.Now()
	if _, err := sender(t, other).Send(t.Context(), m); err == nil {
		t.Error("a push with another key was taken")
	}
}
