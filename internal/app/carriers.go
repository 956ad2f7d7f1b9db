package app

import (
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/sandbox"
	"github.com/dulyhq/duly/internal/channel/sip"
	"github.com/dulyhq/duly/internal/channel/smtp"
	"github.com/dulyhq/duly/internal/channel/webhook"
)

// kinds is the one table of the kinds of carrier: a new one is its folder below internal/channel, and one line here.
func kinds() map[string]kind {
	return map[string]kind{
		"sandbox": kindOf(func(name string, c sandbox.Behaviour, h host) (channel.Sender, error) {
			return sandbox.New(name, c, outbox{h.app.DB, name})
		}),
		"sip":     kindOf(adapter(sip.New)),
		"smtp":    kindOf(adapter(smtp.New)),
		"webhook": kindOf(adapter(webhook.New)),
	}
}

// kind reads the settings of one kind of carrier, and makes it.
type kind struct {
	settings func() any // a pointer to settings that are all defaults
	sender   func(name string, settings any, h host) (channel.Sender, error)
}

// host is what a carrier is given besides its settings.
type host struct {
	channel.Host
	app *App
}

// kindOf is the kind that a function makes of settings of type C.
func kindOf[C any](make func(name string, c C, h host) (channel.Sender, error)) kind {
	return kind{
		settings: func() any { return new(C) },
		sender: func(name string, settings any, h host) (channel.Sender, error) {
			c, ok := settings.(*C)
			if !ok || c == nil {
				return nil, duly.Errorf(duly.Invalid, "its settings are of another kind").At(duly.Place{Field: "carriers." + name})
			}
			return make(name, *c, h)
		},
	}
}

// adapter is New of an adapter's package.
func adapter[C any, S channel.Sender](make func(name string, c C, h channel.Host) (S, error)) func(string, C, host) (channel.Sender, error) {
	return func(name string, c C, h host) (channel.Sender, error) { return make(name, c, h.Host) }
}

// CarrierConfig is one carrier: the channels it serves, and exactly one of the kinds with its settings.
type CarrierConfig struct {
	Channels []duly.Channel
	Kind     string // a name of the table of kinds
	Settings any    // a pointer to the settings of that kind

	found int // how many kinds a file gives, where it is not one
}

// UnmarshalYAML reads a carrier: `channels`, and one key that names its kind.
func (k *CarrierConfig) UnmarshalYAML(n ast.Node) error {
	at := n.GetToken().Position
	wrong := func(message string, args ...any) error {
		return duly.Errorf(duly.Invalid, message, args...).At(duly.Place{Line: at.Line, Column: at.Column}).WithHint("docs/channels.md lists the kinds of carrier")
	}
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		return wrong("a carrier is written as keys: channels, and one of %s", kindNames())
	}
	table, found := kinds(), 0
	for _, v := range values {
		at = v.Key.GetToken().Position
		key := v.Key.GetToken().Value
		if key == "channels" {
			if err := yaml.NodeToValue(v.Value, &k.Channels, yaml.Strict()); err != nil {
				return err
			}
			continue
		}
		of, ok := table[key]
		if !ok {
			return wrong("unknown key %q: a carrier has channels, and one of %s", key, kindNames())
		}
		found++
		k.Kind, k.Settings = key, of.settings()
		if _, empty := v.Value.(*ast.NullNode); empty {
			continue
		}
		if err := yaml.NodeToValue(v.Value, k.Settings, yaml.Strict()); err != nil {
			return err
		}
	}
	if found != 1 { // for check, which says it with all else that is wrong
		k.Kind, k.Settings, k.found = "", nil, found
	}
	return nil
}

// Sandbox reports whether the carrier keeps messages instead of sending them.
func (k CarrierConfig) Sandbox() bool { return k.Kind == "sandbox" }

func kindNames() string { return strings.Join(slices.Sorted(maps.Keys(kinds())), ", ") }

// carriers makes the configured carriers.
func (a *App) carriers() (map[duly.Channel]channel.Sender, error) {
	out := map[duly.Channel]channel.Sender{}
	for _, name := range slices.Sorted(maps.Keys(a.Config.Carriers)) {
		k := a.Config.Carriers[name]
		s, err := a.carrier(name, k)
		if err != nil {
			return nil, err
		}
		if in, ok := s.(channel.Inbound); ok {
			a.Inbound[name] = in
		}
		if closer, ok := s.(io.Closer); ok {
			a.closers = append(a.closers, closer)
		}
		channels, err := a.serves(name, k, s.Caps())
		if err != nil {
			return nil, err
		}
		for _, ch := range channels {
			if other := out[ch]; other != nil {
				return nil, duly.Errorf(duly.Invalid, "carriers %s and %s both serve channel %s", other.Name(), name, ch).
					At(duly.Place{Field: "carriers." + name + ".channels"})
			}
			out[ch] = s
		}
	}
	return out, nil
}

// serves returns the channels that a carrier is given, after checking that it can carry them and that a try still under
// way can never be taken for a lost one.
func (a *App) serves(name string, k CarrierConfig, caps channel.Caps) ([]duly.Channel, error) {
	if lease := time.Duration(a.Config.Lease); caps.Timeout >= lease {
		return nil, duly.Errorf(duly.Invalid, "the lease of %s is not longer than this carrier's time-out of %s", lease, caps.Timeout).
			At(duly.Place{Field: "carriers." + name}).WithHint("raise lease, or lower the carrier's timeout")
	}
	if len(k.Channels) == 0 {
		return caps.Channels, nil
	}
	for _, ch := range k.Channels {
		if !slices.Contains(caps.Channels, ch) {
			return nil, duly.Errorf(duly.Invalid, "this carrier cannot serve channel %s", ch).
				At(duly.Place{Field: "carriers." + name + ".channels"}).WithHint("it can serve: %s", joinChannels(caps.Channels))
		}
	}
	return k.Channels, nil
}

func joinChannels(channels []duly.Channel) string {
	out := make([]string, len(channels))
	for i, ch := range channels {
		out[i] = string(ch)
	}
	return strings.Join(out, ", ")
}

func (a *App) carrier(name string, k CarrierConfig) (channel.Sender, error) {
	of, ok := kinds()[k.Kind]
	if !ok {
		return nil, duly.Errorf(duly.Invalid, "no kind of carrier is given").At(duly.Place{Field: "carriers." + name})
	}
	h := host{channel.Host{Channels: k.Channels, Log: a.Log}, a}
	if !a.clock().IsZero() { // time that stands still signs with the step's
		h.Clock = a.clock
	}
	return of.sender(name, k.Settings, h)
}
