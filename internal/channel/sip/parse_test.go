package sip_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/sip"
	"github.com/dulyhq/duly/internal/reply"
)

const sdp = "v=0\r\no=- 1 1 IN IP4 203.0.113.9\r\ns=-\r\nc=IN IP4 203.0.113.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"

func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sdp string
		ok  bool
	}{
		{sdp, true}, {strings.Replace(sdp, " 0 101", " 18 101", 1), false}, {strings.Replace(sdp, "4000", "0", 1), false},
		{strings.Replace(sdp, "4000", "99999", 1), false}, {strings.Replace(sdp, "c=IN IP4 203.0.113.9", "c=IN IP4 host.example", 1), false}, {"<html>", false}, {"", false},
	} {
		if err := sip.Describe([]byte(c.sdp)); (err == nil) != c.ok {
			t.Errorf("%q: %v", c.sdp, err)
		}
	}
}

func TestInfoKey(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]byte{"Signal=5\r\nDuration=160\r\n": '5', "#": '#', "Signal= 1\r\n": '1'} {
		if k, ok := sip.InfoKey(body); !ok || k != want {
			t.Errorf("%q: got %c, %v", body, k, ok)
		}
	}
	if _, ok := sip.InfoKey("Duration=160"); ok {
		t.Error("a key was read where there is none")
	}
}

// What outcomes become are intents that the engine knows.
func TestIntents(t *testing.T) {
	t.Parallel()
	for _, i := range sip.Intents() {
		if !reply.Intent(i).Known() {
			t.Errorf("%s is no intent of package reply", i)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := sip.Config{Trunk: "sip.carrier.example", Caller: "+8695000"}
	if err := good.Check("carriers.trunk.sip"); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*sip.Config){
		"sip.trunk": func(c *sip.Config) { c.Trunk = "" }, "sip.caller": func(c *sip.Config) { c.Caller = "Lender" },
		"sip.password": func(c *sip.Config) { c.Username = "u" }, "sip.ports": func(c *sip.Config) { c.Ports = "9-1" },
		"sip.ring": func(c *sip.Config) { c.Ring = time.Hour }, "sip.calls": func(c *sip.Config) { c.Calls = -1 },
		"sip.peers[0]": func(c *sip.Config) { c.Peers = []string{"here"} }, "sip.advertise": func(c *sip.Config) { c.Advertise = "here" },
		"sip.speech.engine": func(c *sip.Config) { c.Speech.Engine = "parrot" }, "sip.speech.url": func(c *sip.Config) {
			c.Speech = sip.Speech{Engine: "http", URL: "http://tts.example", Body: "{{text}}"}
		},
		"sip.record.days": func(c *sip.Config) {
			c.Record = sip.Record{Folder: "x", Announce: map[string]string{"en": "Recorded."}}
		},
		"sip.record.announce": func(c *sip.Config) { c.Record = sip.Record{Folder: "x", Days: 1} }, "sip.robot": func(c *sip.Config) { c.Robot = "opera" },
		"sip.timezone": func(c *sip.Config) { c.Timezone = "Moon/Base" }, "sip.listen": func(c *sip.Config) { c.Listen = "5060x" }, "sip.agent": func(c *sip.Config) { c.Agent = "a <b>" },
	} {
		c := good
		change(&c)
		if err := c.Check("carriers.trunk.sip"); err == nil || !strings.Contains(err.Error(), "carriers.trunk."+want+":") {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if _, err := sip.New("trunk", good, channel.Host{}); err != nil {
		t.Errorf("time that stands still: %v", err)
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add([]byte(sdp))
	f.Fuzz(func(_ *testing.T, b []byte) { _ = sip.Describe(b) })
}

func FuzzPacket(f *testing.F) {
	f.Add([]byte("\x80\x08\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00sound"))
	f.Add([]byte("\xb1\x08\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x09"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := sip.ReadPacket(b); ok && len(p) > len(b)-12 {
			t.Errorf("%d bytes of sound in a packet of %d", len(p), len(b))
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"))
	f.Fuzz(func(_ *testing.T, b []byte) { _ = sip.Parse(b) })
}
