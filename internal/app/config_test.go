package app_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/channel/smtp"
)

// write makes a configuration file and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "duly.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// all returns the errors of a tree that are for a person.
func all(err error) []*duly.Error {
	if e, ok := err.(*duly.Error); ok {
		return []*duly.Error{e}
	}
	var out []*duly.Error
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			out = append(out, all(e)...)
		}
	} else if e := errors.Unwrap(err); e != nil {
		out = all(e)
	}
	return out
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2-hunter2"
	tests := []struct {
		name, text string
		line       int
		fields     []string // of every error, in order; nil does not look
		message    string
	}{
		{"unknown key", "store: x.db\nlease: 1m\nworker: 3\n", 3, nil, "worker"},
		{"unknown key within", "lender:\n  nam: x\n", 2, nil, "nam"},
		{"unknown key of a carrier", "carriers:\n  a:\n    smtp: {hots: x}\n", 3, nil, "hots"},
		{"missing variable", "store: x.db\napi_token: ${DULY_TEST_MISSING}\n", 2, nil, "DULY_TEST_MISSING"},
		{"two missing variables", "store: ${DULY_TEST_MISSING}\napi_token: \"${DULY_TEST_LOST}\"\n", 1, nil, "DULY_TEST_MISSING, DULY_TEST_LOST"},
		{"bad duration", "lease: 1m\ntick: soon\n", 2, nil, "duration"},
		{"bad duration of a carrier", "carriers:\n  a:\n    smtp: {host: h, timeout: soon}\n", 3, nil, ""},
		{"a list for a duration", "tick: [1s]\n", 1, nil, "duration"},
		{"missing variable in a flow", "carriers: {a: {smtp: {password: \"${DULY_TEST_MISSING}\"}}}\n", 1, nil, "DULY_TEST_MISSING"},
		{"no duration", "tick: 0s\n", 0, []string{"tick"}, "above zero"},
		{"not YAML", "store: [\n", 1, nil, ""},
		{"two documents", "store: x.db\n---\nstore: y.db\n", 0, nil, "more than one"},
		{"wrong sort of value", "workers: " + secret + "\n", 1, nil, ""},
		{"wrong sort of list", "strategies: {" + secret + ": 1}\n", 1, nil, ""},
		{"no kind", "carriers:\n  a: {channels: [sms]}\n", 0, []string{"carriers.a"}, "exactly one"},
		{"two kinds", "carriers:\n  a: {sandbox: {}, smtp: {host: x}}\n", 0, []string{"carriers.a"}, "it has 2"},
		{"unknown channel", "carriers:\n  a: {channels: [pigeon], sandbox: {}}\n", 0, []string{"carriers.a.channels"}, "pigeon"},
		{"a sender of an unknown channel", "senders: {pigeon: {number: \"1\"}}\n", 0, []string{"senders.pigeon"}, "unknown channel"},
		{"an unknown key of rules", "rules: {enforced: [a]}\n", 1, nil, "enforced"},
		{"open without a token", "listen: 0.0.0.0:8383\n", 0, []string{"api_token"}, "loopback"},
		{"open on all without a token", "listen: :8383\n", 0, []string{"api_token"}, "loopback"},
		{"no time zone", "lender: {timezone: Shanghai}\n", 0, []string{"lender.timezone"}, "IANA"},
		{"no workers", "workers: 0\n", 0, []string{"workers"}, "4096"},
		{"no sort of lender", "lender: {kind: pawnbroker}\n", 0, []string{"lender.kind"}, "consumer_finance"},
		{"a kind of record that is none", "keep: {audit: P5Y}\n", 0, []string{"keep.audit"}, "outcomes contacts"},
		{"a term that is none", "keep: {contacts: 5 years}\n", 1, nil, "not a term"},
		{"a rate that is none", "carriers:\n  a: {sandbox: {}, rate: fast}\n", 2, nil, "200/s"},
		{"a price that is none", "carriers:\n  a:\n    sandbox: {}\n    price: {currency: CNY, segment: -1}\n", 4, nil, "six places"},
		{"a price in no currency", "carriers:\n  a: {sandbox: {}, price: {currency: Y, segment: 1}}\n", 0, []string{"carriers.a.price.currency"}, "ISO 4217"},
		{"a limit without its currency", "routes: {sms: {spend_per_hour: 500}}\n", 1, nil, "500 CNY"},
		{"a route of an unknown channel", "routes: {pigeon: [a]}\n", 0, []string{"routes.pigeon"}, "unknown channel"},
		{"a route by a carrier twice", "routes: {sms: [a, a]}\n", 0, []string{"routes.sms"}, "twice"},
		{"a route that prefers what is not known", "routes: {sms: {carriers: [a], prefer: luck}}\n", 0, []string{"routes.sms.prefer"}, "order"},
		{"a route with an unknown key", "routes: {sms: {carrier: [a]}}\n", 1, nil, "carrier"},
		{"all at once", "workers: 5000\nlease: -1s\nlender: {name: \"\", timezone: \"\"}\ncarriers:\n  b: {}\n  a: {}\n", 0,
			[]string{"lender.timezone", "lender.name", "workers", "lease", "carriers.a", "carriers.b"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := write(t, tt.text)
			_, err := app.LoadConfig(path)
			found := all(err)
			if len(found) == 0 || found[0].Code != duly.Invalid || found[0].Place.File != path {
				t.Fatalf("got %v, want an invalid configuration at its file", err)
			}
			if !strings.Contains(err.Error(), tt.message) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %q, want it to say %q and no value", err, tt.message)
			}
			if tt.line != found[0].Place.Line || tt.line > 0 && found[0].Place.Column == 0 {
				t.Errorf("got place %s, want line %d with a column", found[0].Place, tt.line)
			}
			if tt.fields == nil {
				return
			}
			var fields []string
			for _, e := range found {
				fields = append(fields, e.Place.Field)
			}
			if diff := cmp.Diff(tt.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfigFile(t *testing.T) {
	t.Parallel()
	if _, err := app.LoadConfig(filepath.Join(t.TempDir(), "none.yaml")); duly.CodeOf(err) != duly.Usage {
		t.Errorf("a file that is not there: got %v, want usage", err)
	}
	if _, err := app.LoadConfig(write(t, "# "+strings.Repeat("x", 1<<20))); duly.CodeOf(err) != duly.Invalid {
		t.Errorf("a file that is too large: got %v, want invalid", err)
	}
	for _, text := range []string{"", "\n", "# nothing\n", "---\n"} {
		c, err := app.LoadConfig(write(t, text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(app.Default(), c, cmp.AllowUnexported(app.CarrierConfig{})); diff != "" {
			t.Errorf("%q is not the default (-want +got):\n%s", text, diff)
		}
	}
}

func TestConfigOverDefault(t *testing.T) {
	t.Parallel()
	c, err := app.LoadConfig(write(t, "strategies: [own.yaml]\nlender: {name: 某某消金}\ntick: 2s\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := app.Default()
	want.Strategies, want.Lender.Name, want.Tick = []string{"own.yaml"}, "某某消金", app.Duration(2*time.Second)
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(app.CarrierConfig{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A file that names carriers names all of them, however it is written.
	for _, text := range []string{"carriers:\n  own: {sandbox: {}}\n", "{store: x.db, carriers: {own: {sandbox: {}}}}\n", "store: x.db\n\"carriers\": {own: {sandbox: {}}}\n"} {
		c, err := app.LoadConfig(write(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Carriers["own"]; !ok || len(c.Carriers) != 1 {
			t.Errorf("%q: got carriers %v, want own alone", text, c.Carriers)
		}
	}
}

// Secrets come out of the environment as they are, whatever is in them.
func TestConfigSecrets(t *testing.T) {
	const odd = `p$a"s's: ${HOME} #1`
	t.Setenv("DULY_TEST_ODD", odd)
	t.Setenv("DULY_TEST_WORKERS", "7")
	t.Setenv("DULY_TEST_HOST", "db.internal")
	c, err := app.LoadConfig(write(t, `# ${DULY_TEST_NOT_SET} in a comment is no reference
store: postgres://duly@${DULY_TEST_HOST}/db
workers: ${DULY_TEST_WORKERS}
api_token: ${DULY_TEST_ODD}
carriers:
  mail:
    smtp:
      cert_authority: |
        BEGIN ${DULY_TEST_HOST}
        END
      reply_to: '${DULY_TEST_HOST}' # ${NOT_SET}
      host: h
      auth: ${DULY_TEST_HOST}
      from: x
  mail2:
    smtp: {host: h, from: "a@b.example", username: $user, password: "${DULY_TEST_ODD}"}
`))
	if err != nil {
		t.Fatal(err)
	}
	m, n := c.Carriers["mail2"].Settings.(*smtp.Config), c.Carriers["mail"].Settings.(*smtp.Config)
	got := []string{c.Store, c.APIToken, m.Username, m.Password.Reveal(), n.CertAuthority, n.ReplyTo, string(n.Auth)}
	if diff := cmp.Diff([]string{"postgres://duly@db.internal/db", odd, "$user", odd, "BEGIN db.internal\nEND\n", "db.internal", "db.internal"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c.Workers != 7 {
		t.Errorf("got %d workers, want 7", c.Workers)
	}
}

// What a carrier asks and can do, and which goes first.
func TestConfigRoutes(t *testing.T) {
	t.Parallel()
	c, err := app.LoadConfig(write(t, `carriers:
  alpha: {channels: [sms], sandbox: {}, rate: 200/s, burst: 400, slow: 10m, price: {currency: USD, segment: 0.0079, prefixes: {"+86": {segment: 0.035}}}}
  beta: {channels: [sms], sandbox: {}, rate: 90/m, price: {currency: USD, message: 1}}
routes:
  sms: {carriers: [beta, alpha], prefer: price, spend_per_hour: 500 USD}
  email: [alpha]
attempts_per_day: 6
`))
	if err != nil {
		t.Fatal(err)
	}
	want := route.Limits{Rate: route.Rate{N: 200, Per: time.Second}, Burst: 400, Slow: 10 * time.Minute,
		Price: &route.Price{Currency: "USD", Segment: 7_900, Prefixes: map[string]route.Tariff{"+86": {Segment: 35_000}}}}
	if diff := cmp.Diff(want, c.Carriers["alpha"].Limits); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	routes := map[duly.Channel]app.RouteConfig{
		duly.ChannelSMS:   {Carriers: []string{"beta", "alpha"}, Prefer: "price", Spend: app.Spend{Micros: 500_000_000, Currency: "USD"}},
		duly.ChannelEmail: {Carriers: []string{"alpha"}},
	}
	if diff := cmp.Diff(routes, c.Routes); diff != "" || c.FanOut != 6 {
		t.Errorf("attempts_per_day %d, want 6; (-want +got):\n%s", c.FanOut, diff)
	}
}

// The routes that docs/channels.md shows can be loaded, and mean the same in both languages.
func TestRoutesOfTheManual(t *testing.T) {
	t.Setenv("DULY_WEBHOOK_SECRET", "0123456789abcdef0123456789abcdef")
	var was app.Config
	for i, file := range []string{"../../docs/channels.md", "../../docs/zh-CN/channels.md"} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(string(src), "\ncarriers:\n  alpha:")
		if at < 0 {
			t.Fatalf("%s shows no routes", file)
		}
		text, _, _ := strings.Cut(string(src)[at:], "```")
		c, err := app.LoadConfig(write(t, text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if i > 0 {
			if diff := cmp.Diff(was.Routes, c.Routes); diff != "" || !cmp.Equal(was.Carriers["alpha"].Limits, c.Carriers["alpha"].Limits) {
				t.Errorf("%s is another: %s", file, diff)
			}
		}
		if was = c; c.Routes[duly.ChannelSMS].Spend.Micros == 0 || c.Carriers["alpha"].Limits.Slow == 0 {
			t.Errorf("%s: got %+v", file, c.Routes)
		}
	}
}

// The configuration that docs/operating.md shows can be loaded.
func TestConfigOfTheManual(t *testing.T) {
	for _, file := range []string{"../../docs/operating.md", "../../docs/zh-CN/operating.md"} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, text, ok := strings.Cut(string(src), "```yaml\n")
		text, _, end := strings.Cut(text, "```")
		if !ok || !end {
			t.Fatalf("%s shows no configuration", file)
		}
		for _, name := range []string{"DULY_API_TOKEN", "DULY_WEBHOOK_SECRET", "SMTP_PASSWORD"} {
			t.Setenv(name, "0123456789abcdef0123456789abcdef")
		}
		c, err := app.LoadConfig(write(t, text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		c.Store = filepath.Join(t.TempDir(), "duly.db")
		a, err := app.New(t.Context(), c, app.Options{Create: true})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}
