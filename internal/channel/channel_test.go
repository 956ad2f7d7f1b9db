package channel_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

func TestTreatments(t *testing.T) {
	t.Parallel()
	for _, c := range channel.Classes() {
		tr := c.Treatment()
		if !c.Known() || tr.Class != c || tr.Doc == "" {
			t.Errorf("%s: not in the table: %+v", c, tr)
		}
		if tr.Retry && tr.CountsAsSent {
			t.Errorf("%s: what may have been sent is tried again", c)
		}
		if tr.CountsAsSent && tr.Fallback {
			t.Errorf("%s: what may have been sent is sent by another channel at once", c)
		}
		if tr.Retry && tr.Fallback {
			t.Errorf("%s: both tried again and replaced", c)
		}
	}
	if all := channel.Classes(); len(slices.Compact(slices.Sorted(slices.Values(all)))) != len(all) {
		t.Error("a class is listed twice")
	}
	if got := channel.Class("new").Treatment(); got != channel.Unknown.Treatment() || channel.Class("new").Known() {
		t.Errorf("a class that is not known: got %+v, want the treatment of unknown", got)
	}
	if !channel.Unknown.Treatment().CountsAsSent || channel.OptedOut.Treatment().Fallback {
		t.Error("unknown counts as sent, and a refusal is not answered by another channel")
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	e := &channel.Error{Class: channel.Throttled, RetryAfter: 30 * time.Second, Code: "http_429", Detail: "rcpt 4.7.1"}
	if got, want := e.Error(), "throttled: http_429 (rcpt 4.7.1), again after 30s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (&channel.Error{Class: channel.Unknown, Code: "timeout"}).Error(), "unknown: timeout"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestSecretStaysSecret prints a secret in every way that Go knows.
func TestSecretStaysSecret(t *testing.T) {
	t.Parallel()
	const text = "hunter2-hunter2"
	s := channel.NewSecret(text)
	type open struct {
		Password channel.Secret `json:"password" yaml:"password"`
		List     []channel.Secret
	}
	type hidden struct{ password channel.Secret }
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		if got := fmt.Sprintf(verb, s); got != "<secret>" {
			t.Errorf("%s: got %q, want <secret>", verb, got)
		}
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", open{s, []channel.Secret{s}})
		fmt.Fprintf(&out, verb+"\n", hidden{s})
	}
	fmt.Fprintln(&out, s, s.String(), errors.New(fmt.Sprint(s)))
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		b, err := marshal(open{s, []channel.Secret{s}})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	var back map[string]any
	if b, err := json.Marshal(open{Password: s}); err != nil || json.Unmarshal(b, &back) != nil || back["password"] != "<secret>" {
		t.Errorf("JSON: got %v, %v; want <secret>", back, err)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", s, "in", open{Password: s}, "hidden", hidden{s})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", s, "in", open{Password: s}, "hidden", hidden{s})
	for _, bad := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text)} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("the secret shows in:\n%s", out.String())
		}
	}
	if !strings.Contains(out.String(), "<secret>") {
		t.Error("no <secret> was printed at all")
	}
	if s.Reveal() != text {
		t.Errorf("Reveal: got %q", s.Reveal())
	}
}

func TestSecretRead(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"s: plain":         "plain",
		`s: "with: colon"`: "with: colon",
		"s: '00123'":       "00123",
		`s: ""`:            "",
		"other: 1":         "",
	} {
		var got struct {
			S     channel.Secret `yaml:"s"`
			Other int            `yaml:"other"`
		}
		if err := yaml.Unmarshal([]byte(src), &got); err != nil {
			t.Errorf("%s: %v", src, err)
		}
		if got.S.Reveal() != want || got.S.IsZero() != (want == "") {
			t.Errorf("%s: got %q, want %q", src, got.S.Reveal(), want)
		}
	}
	if a := channel.NewSecret("a"); !a.Equal(channel.NewSecret("a")) || a.Equal(channel.NewSecret("b")) || a.Equal(channel.Secret{}) {
		t.Error("Equal compares something else than the text")
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	p := channel.ProblemsAt("carriers.mail.smtp")
	if err := p.Err(); err != nil {
		t.Errorf("no problems: got %v", err)
	}
	p.Add("host", "missing", "give one")
	p.Add("port", "not a port", "leave it out")
	err := p.Err()
	first, ok := errors.AsType[*duly.Error](err)
	if !ok || first.Place.Field != "carriers.mail.smtp.host" || first.Hint != "give one" || duly.CodeOf(err) != duly.Invalid {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(err.Error(), "carriers.mail.smtp.port: not a port (leave it out)") {
		t.Errorf("the second problem is missing: %v", err)
	}
}
