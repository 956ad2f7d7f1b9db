package smpp

import (
	"context"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
)

const borrower = "+8613800138000"

var noon = time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC)

func stopped() time.Time { return noon }

func config(port int) Config {
	return Config{
		Host: "127.0.0.1", Port: port, SystemID: "lender", Password: channel.NewSecret("secret08"), From: "10690001", Reference: true,
		Answer: 500 * time.Millisecond, Timeout: 10 * time.Second, ReconnectMin: 10 * time.Millisecond, ReconnectMax: 50 * time.Millisecond, Window: 50,
	}
}

func newSender(t *testing.T, c Config) *Sender {
	t.Helper()
	s, err := New("sms", c, channel.Host{Clock: stopped})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestSuite is the contract's suite, against node-smpp.
func TestSuite(t *testing.T) {
	t.Parallel()
	modules(t)
	channeltest.Run(t, channeltest.Case{New: newCarrier})
}

// newCarrier makes the peer behave in a way. The peer knows messages by their user_message_reference.
func newCarrier(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
	options, healed := map[string]any{}, map[string]any{"mode": "accept", "bindStatus": 0}
	switch b {
	case channeltest.BadAddress:
		options = map[string]any{"mode": "status", "status": 0x0b}
	case channeltest.OptsOut:
		options = map[string]any{"mode": "status", "status": 0x411}
	case channeltest.Rejects:
		options = map[string]any{"mode": "status", "status": 0x65}
	case channeltest.Unauthorized:
		options = map[string]any{"bindStatus": 0x0e}
	case channeltest.Throttles:
		options = map[string]any{"mode": "status", "status": 0x58}
	case channeltest.Unready:
		options = map[string]any{"mode": "status", "status": 0x08}
	case channeltest.DropsEarly:
		options = map[string]any{"mode": "early"}
	case channeltest.Silent:
		options = map[string]any{"mode": "silent"}
	case channeltest.Drops:
		options = map[string]any{"mode": "drop"}
	case channeltest.Cuts:
		options = map[string]any{"mode": "cut"}
	case channeltest.Babbles:
		options = map[string]any{"mode": "babble"}
	case channeltest.Floods:
		options = map[string]any{"mode": "flood"}
	case channeltest.Drips:
		options = map[string]any{"mode": "drip"}
	case channeltest.Accepts, channeltest.Refuses:
	}
	log := &channeltest.Log{}
	p := newPeer(t, options, logTo(log))
	c := config(p.port)
	c.Statuses = map[string]channel.Class{"0x0411": channel.OptedOut}
	if b == channeltest.Drips { // a PDU of this one takes a tenth of a second at least
		c.Answer = 20 * time.Second
	}
	if b == channeltest.Refuses {
		c.Port = 1 // nobody listens there
	}
	out := channeltest.Carrier{Sender: synced{newSender(t, c), p}, Channel: duly.ChannelSMS, To: borrower, Log: log, Heal: func() { p.set(healed); p.report() }}
	if b == channeltest.Refuses {
		out.Heal = nil
	}
	return out
}

// synced returns from Send when all is read that the peer had said of the message.
type synced struct {
	*Sender
	p *peer
}

func (s synced) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	got, err := s.Sender.Send(ctx, m)
	s.p.report()
	return got, err
}

// logTo notes in a log what the peer takes.
func logTo(log *channeltest.Log) func(event) {
	var once sync.Once
	byRef := map[uint16]duly.AttemptID{}
	return func(e event) {
		once.Do(func() {
			for n := range 100 {
				id := channeltest.Message(duly.ChannelSMS, borrower, n).AttemptID
				byRef[reference(id, 1)] = id
			}
		})
		if e.Took != "" {
			log.Took(byRef[uint16(e.Ref)])
		}
	}
}
