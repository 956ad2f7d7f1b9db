package callback_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
)

func TestProof(t *testing.T) {
	t.Parallel()
	old, next := channel.NewSecret("the old secret of callbacks"), channel.NewSecret("the next secret of callbacks")
	both := []channel.Secret{old, next}
	tests := []struct {
		name    string
		target  string
		user    string
		pass    string
		secrets []channel.Secret
		key     bool
		basic   bool
	}{
		{"key", "/?key=the+old+secret+of+callbacks", "", "", both, true, false},
		{"next key", "/?key=the+next+secret+of+callbacks", "", "", both, true, false},
		{"password", "/", "gateway", "the next secret of callbacks", both, false, true},
		{"another's name", "/", "other", "the next secret of callbacks", both, false, false},
		{"wrong", "/?key=something+else+altogether", "gateway", "something else", both, false, false},
		{"none given", "/", "", "", both, false, false},
		{"empty", "/?key=", "gateway", "", both, false, false},
		{"empty against an empty secret", "/?key=", "gateway", "", []channel.Secret{{}}, false, false},
		{"none configured", "/?key=the+old+secret+of+callbacks", "gateway", "the old secret of callbacks", nil, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, tt.target, nil)
			if tt.user != "" {
				r.SetBasicAuth(tt.user, tt.pass)
			}
			if err := callback.ByKey(r, tt.secrets); (err == nil) != tt.key || err != nil && duly.CodeOf(err) != duly.Refused {
				t.Errorf("by key: got %v, want proof %t", err, tt.key)
			}
			if err := callback.ByBasic(r, "gateway", tt.secrets); (err == nil) != tt.basic || err != nil && duly.CodeOf(err) != duly.Refused {
				t.Errorf("by password: got %v, want proof %t", err, tt.basic)
			}
		})
	}
}

func TestFresh(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		ago, window time.Duration
		ok          bool
	}{
		{0, time.Hour, true}, {time.Hour, time.Hour, true}, {time.Hour + 1, time.Hour, false}, {-10 * time.Minute, time.Hour, true},
		{-11 * time.Minute, time.Hour, false}, {-2 * time.Minute, time.Minute, false}, {10 * 365 * 24 * time.Hour, 30 * 24 * time.Hour, false},
	} {
		err := callback.Fresh(now.Add(-tt.ago), now, tt.window)
		if (err == nil) != tt.ok || err != nil && duly.CodeOf(err) != duly.Refused {
			t.Errorf("%s ago, window %s: got %v", tt.ago, tt.window, err)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct {
		ok    bool
		field string
	}{
		`{"a":"x","more":[1]}`:  {ok: true},
		`{"a":1}`:               {field: "a"},
		`{"a":"x"} {"a":"x"}`:   {},
		`{"a":"x"`:              {},
		`<html>`:                {},
		"{\"a\":\"\xff\"}":      {},
		``:                      {},
		strings.Repeat("[", 99): {},
	} {
		var v struct{ A string }
		err := callback.Decode([]byte(body), &v)
		e, _ := errors.AsType[*duly.Error](err)
		if (err == nil) != want.ok || err != nil && (e == nil || e.Code != duly.Invalid || !strings.EqualFold(e.Place.Field, want.field)) {
			t.Errorf("%q: got %v", body, err)
		}
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	for s, want := range map[string][2]bool{ // a reference, a word
		"isv.BUSINESS_LIMIT_CONTROL": {true, true}, "21610": {true, true}, "": {false, true}, "two words": {false, false},
		"13800138000": {true, false}, "+8613800138000": {true, false}, "x-13800138000": {true, false}, "余额不足": {false, false},
		strings.Repeat("x", 129): {false, false}, "a^b": {true, false},
	} {
		if got := callback.Reference(s); got != want[0] {
			t.Errorf("reference %q: got %t", s, got)
		}
		if got := callback.Word(s) == s; got != want[1] {
			t.Errorf("word %q: got %t", s, got)
		}
	}
	if callback.Attempt("x") || callback.Attempt("") || callback.Attempt("c0f3abcdefgh-1") {
		t.Error("an attempt's id that is none")
	}
	if err := callback.Fits(make([]byte, callback.BodyMax+1)); duly.CodeOf(err) != duly.Refused {
		t.Errorf("a body too large: got %v", err)
	}
	p := channel.ProblemsAt("x")
	callback.CheckSecrets(p, "callback_secrets", []channel.Secret{channel.NewSecret("short"), {}, {}})
	if err := p.Err(); err == nil || strings.Count(err.Error(), "\n") < 3 || strings.Contains(err.Error(), "short\n") {
		t.Errorf("got %v, want four problems", err)
	}
}
