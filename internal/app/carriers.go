package app

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/aliyun"
	"github.com/dulyhq/duly/internal/channel/aliyunvoice"
	"github.com/dulyhq/duly/internal/channel/apns"
	"github.com/dulyhq/duly/internal/channel/fcm"
	"github.com/dulyhq/duly/internal/channel/generic"
	"github.com/dulyhq/duly/internal/channel/inbox"
	"github.com/dulyhq/duly/internal/channel/jpush"
	"github.com/dulyhq/duly/internal/channel/letter"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/channel/sandbox"
	"github.com/dulyhq/duly/internal/channel/sip"
	"github.com/dulyhq/duly/internal/channel/smpp"
	"github.com/dulyhq/duly/internal/channel/smtp"
	"github.com/dulyhq/duly/internal/channel/tencent"
	"github.com/dulyhq/duly/internal/channel/twilio"
	"github.com/dulyhq/duly/internal/channel/twiliovoice"
	"github.com/dulyhq/duly/internal/channel/webhook"
	"github.com/dulyhq/duly/internal/channel/webpush"
	"github.com/dulyhq/duly/internal/channel/wechat"
	"github.com/dulyhq/duly/internal/channel/wecom"
	"github.com/dulyhq/duly/internal/channel/whatsapp"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/money"
)

// kinds is the one table of the kinds of carrier: a new one is its folder below internal/channel, and one line here.
func kinds() map[string]kind {
	return map[string]kind{
		"aliyun":       kindOf(adapter(aliyun.New)),
		"aliyun_voice": kindOf(adapter(aliyunvoice.New)),
		"apns":         kindOf(adapter(apns.New)),
		"fcm":          kindOf(adapter(fcm.New)),
		"http":         kindOf(adapter(generic.New)),
		"inbox": kindOf(func(name string, c inbox.Config, h host) (channel.Sender, error) {
			return inbox.New(name, c, box{h.app.DB})
		}),
		"jpush":  kindOf(adapter(jpush.New)),
		"letter": kindOf(adapter(letter.New)),
		"sandbox": kindOf(func(name string, c sandbox.Behaviour, h host) (channel.Sender, error) {
			return sandbox.New(name, c, outbox{h.app.DB, name})
		}),
		"sip":          kindOf(adapter(sip.New)),
		"smpp":         kindOf(adapter(smpp.New)),
		"smtp":         kindOf(adapter(smtp.New)),
		"tencent":      kindOf(adapter(tencent.New)),
		"twilio":       kindOf(adapter(twilio.New)),
		"twilio_voice": kindOf(adapter(twiliovoice.New)),
		"webhook":      kindOf(adapter(webhook.New)),
		"webpush":      kindOf(adapter(webpush.New)),
		"wechat":       kindOf(adapter(wechat.New)),
		"wecom":        kindOf(adapter(wecom.New)),
		"whatsapp":     kindOf(adapter(whatsapp.New)),
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

// CarrierConfig is one carrier: the channels it serves, its limits and price, and exactly one of the kinds with its settings.
type CarrierConfig struct {
	Channels []duly.Channel
	Limits   route.Limits
	Kind     string // a name of the table of kinds
	Settings any    // a pointer to the settings of that kind

	found int // how many kinds a file gives, where it is not one
}

// part returns where a key goes that every carrier has, or nil.
func (k *CarrierConfig) part(key string) any {
	switch key {
	case "channels":
		return &k.Channels
	case "rate":
		return &k.Limits.Rate
	case "burst":
		return &k.Limits.Burst
	case "slow":
		return &k.Limits.Slow
	case "price":
		k.Limits.Price = &route.Price{}
		return k.Limits.Price
	}
	return nil
}

// UnmarshalYAML reads a carrier: `channels`, its limits, and one key that names its kind.
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
		if to := k.part(key); to != nil {
			if err := yaml.NodeToValue(v.Value, to, yaml.Strict()); err != nil {
				if duly.CodeOf(err) == duly.Invalid || errors.As(err, new(yaml.Error)) {
					return err
				}
				return duly.Errorf(duly.Invalid, "%s of a carrier is not readable", key).At(duly.Place{Line: at.Line, Column: at.Column}).WithHint("%s", partHints[key])
			}
			continue
		}
		of, ok := table[key]
		if !ok {
			return wrong("unknown key %q: a carrier has channels, rate, burst, slow, price, and one of %s", key, kindNames())
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

// partHints say how what every carrier has is written.
var partHints = map[string]string{
	"channels": "write them as [sms, push]", "rate": "write it as 200/s, 90/m or 5000/h", "burst": "write it as 400", "slow": "write it as 10m",
	"price": "write it as {currency: CNY, segment: 0.035}, with up to six places",
}

// RouteConfig is which carriers a channel has, in order, and how one is chosen.
type RouteConfig struct {
	Carriers []string `yaml:"carriers"`
	Prefer   string   `yaml:"prefer"`         // order, or price
	Spend    Spend    `yaml:"spend_per_hour"` // the most that the channel may cost within any hour
}

// UnmarshalYAML reads a route: a list of carriers, or keys.
func (r *RouteConfig) UnmarshalYAML(n ast.Node) error {
	if _, list := n.(*ast.SequenceNode); list {
		return yaml.NodeToValue(n, &r.Carriers, yaml.Strict())
	}
	type plain RouteConfig
	return yaml.NodeToValue(n, (*plain)(r), yaml.Strict())
}

// Spend is an amount of money in millionths, written 500 CNY.
type Spend route.Cap

// UnmarshalYAML reads an amount, and says where it is none.
func (s *Spend) UnmarshalYAML(n ast.Node) error {
	var text string
	err := yaml.NodeToValue(n, &text)
	amount, currency, _ := strings.Cut(strings.TrimSpace(text), " ")
	s.Currency = money.Currency(strings.TrimSpace(currency))
	if err == nil {
		err = s.Micros.UnmarshalText([]byte(amount))
	}
	if err != nil || !s.Currency.Known() || s.Micros <= 0 {
		at := n.GetToken().Position
		return duly.Errorf(duly.Invalid, "not an amount with its currency").At(duly.Place{Line: at.Line, Column: at.Column}).WithHint("write it as 500 CNY")
	}
	return nil
}

// The two ways to prefer one carrier over another.
const (
	preferOrder = "order"
	preferPrice = "price"
)

// Sandbox reports whether the carrier keeps messages instead of sending them.
func (k CarrierConfig) Sandbox() bool { return k.Kind == "sandbox" }

func kindNames() string { return strings.Join(slices.Sorted(maps.Keys(kinds())), ", ") }

// carriers makes the configured carriers and has the engine know them: of each channel those that its route names, in that order;
// of a channel without a route all that serve it, by name.
func (a *App) carriers(d *engine.Deps) error {
	d.Carriers = map[duly.Channel][]channel.Sender{}
	d.Routes = route.Config{Lanes: map[duly.Channel]route.Lane{}, Limits: map[string]route.Limits{}}
	for _, name := range slices.Sorted(maps.Keys(a.Config.Carriers)) {
		k := a.Config.Carriers[name]
		s, err := a.carrier(name, k)
		if err != nil {
			return err
		}
		if in, ok := s.(channel.Inbound); ok {
			a.Inbound[name] = in
		}
		if l, ok := s.(channel.Listener); ok {
			a.Listeners[name] = l
		}
		if closer, ok := s.(io.Closer); ok {
			a.closers = append(a.closers, closer)
		}
		channels, err := a.serves(name, k, s.Caps())
		if err != nil {
			return err
		}
		for _, ch := range channels {
			d.Carriers[ch] = append(d.Carriers[ch], s)
		}
		d.Routes.Limits[name] = k.Limits
	}
	for _, ch := range slices.Sorted(maps.Keys(a.Config.Routes)) {
		if err := a.route(ch, d); err != nil {
			return err
		}
	}
	for ch, list := range d.Carriers {
		if len(list) > route.CarriersMax {
			return duly.Errorf(duly.Invalid, "channel %s has %d carriers; up to %d are chosen from", ch, len(list), route.CarriersMax).
				At(duly.Place{Field: "routes." + string(ch)}).WithHint("name in routes those that are to serve it")
		}
	}
	return nil
}

// route puts the carriers of a channel in the order of its route.
func (a *App) route(ch duly.Channel, d *engine.Deps) error {
	r := a.Config.Routes[ch]
	place := duly.Place{File: "", Field: "routes." + string(ch)}
	if len(r.Carriers) > 0 {
		var list []channel.Sender
		for _, name := range r.Carriers {
			i := slices.IndexFunc(d.Carriers[ch], func(s channel.Sender) bool { return s.Name() == name })
			if i < 0 {
				return duly.Errorf(duly.Invalid, "no carrier %q serves channel %s", name, ch).At(place).WithHint("the carriers are those under carriers, each with its channels")
			}
			list = append(list, d.Carriers[ch][i])
		}
		d.Carriers[ch] = list
	}
	for _, s := range d.Carriers[ch] {
		p := a.Config.Carriers[s.Name()].Limits.Price
		switch {
		case p == nil && r.Prefer == preferPrice:
			return duly.Errorf(duly.Invalid, "carrier %s has no price that could be compared", s.Name()).At(place).WithHint("give carriers.%s.price, or prefer: order", s.Name())
		case p == nil && r.Spend.Micros > 0:
			return duly.Errorf(duly.Invalid, "what is spent is not known: carrier %s has no price", s.Name()).At(place).WithHint("give carriers.%s.price", s.Name())
		case p != nil && r.Spend.Micros > 0 && p.Currency != r.Spend.Currency, p != nil && r.Prefer == preferPrice && p.Currency != a.Config.Carriers[d.Carriers[ch][0].Name()].Limits.Price.Currency:
			return duly.Errorf(duly.Invalid, "carrier %s has its price in another currency", s.Name()).At(place).WithHint("give all of a channel in one")
		}
	}
	d.Routes.Lanes[ch] = route.Lane{Cheapest: r.Prefer == preferPrice, Spend: route.Cap(r.Spend)}
	return nil
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
