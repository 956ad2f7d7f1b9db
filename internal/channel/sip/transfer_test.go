package sip_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/sip"
	"github.com/dulyhq/duly/internal/voice"
)

// Who presses 0 is joined with an agent: each hears the other.
func TestTransfer(t *testing.T) {
	t.Parallel()
	quiet := newEar(t, func(n int) []int16 { // silent until it is joined, then a tone
		if n < 50*6 {
			return voice.Silence(voice.FrameEvery)
		}
		return tone(1030, voice.FrameEvery)
	})
	agent := newEar(t, func(int) []int16 { return tone(450, voice.FrameEvery) })
	agents := sipp(t, invited+answer(180, "Ringing", "")+hangsUp(agent.port, 3000))
	steps := invited + answer(180, "Ringing", "") + pickUp(quiet.port) + wait(robotWaits+1300) + press("0") + hungUp
	w := call(t, relay(t, sipp(t, steps), agents), func(c *sip.Config) { c.Agent = "7001" })
	if err := w.send(t, message(1)); err != nil {
		t.Fatal(err)
	}
	h := w.told(t)
	if d := h.Receipts[0].Detail; !strings.HasPrefix(d, "outcome=agent ") || len(h.Replies) != 0 {
		t.Errorf("told %s, %d replies", d, len(h.Replies))
	}
	if how, _ := quiet.lasted(450); how < time.Second {
		t.Errorf("the borrower heard the agent for %s", how)
	}
	if how, _ := agent.lasted(1030); how < 500*time.Millisecond {
		t.Errorf("the agent heard the borrower for %s", how)
	}
}

// An agent calls somebody: both are called, and joined.
func TestConnect(t *testing.T) {
	t.Parallel()
	person, agent := newEar(t, func(int) []int16 { return tone(1030, voice.FrameEvery) }), newEar(t, func(int) []int16 { return tone(450, voice.FrameEvery) })
	w := call(t, relay(t, sipp(t, invited+answer(180, "Ringing", "")+hangsUp(person.port, 2000)), sipp(t, invited+pickUp(agent.port)+hungUp)), nil)
	err := w.s.Connect(t.Context(), "7001", "+8613800138000")
	if err != nil {
		t.Fatal(err)
	}
	heard := func() bool {
		one, _ := person.lasted(450)
		two, _ := agent.lasted(1030)
		return one >= time.Second && two >= time.Second
	}
	for deadline := time.Now().Add(30 * time.Second); !heard(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the two do not hear each other")
		}
	}
	// An agent who does not answer leaves the number alone.
	away := call(t, relay(t, freePort(t), sipp(t, invited+answer(480, "Away", "")+acked)), nil)
	err = away.s.Connect(t.Context(), "7001", "+8613800138000")
	if e, ok := err.(*channel.Error); !ok || e.Class != channel.Temporary || e.Code != "agent_away" {
		t.Errorf("got %v", err)
	}
}

// A recording begins once it was said that there is one, holds both sides, has a name that tells nothing, and goes when its term is over.
func TestRecording(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := filepath.Join(dir, "2020-01-01")
	if err := os.MkdirAll(old, 0o700); err != nil {
		t.Fatal(err)
	}
	e := newEar(t, nil)
	w := call(t, sipp(t, invited+answer(180, "Ringing", "")+pickUp(e.port)+wait(robotWaits+1300)+press("2")+hungUp), func(c *sip.Config) {
		c.Record = sip.Record{Folder: dir, Days: 30, Announce: map[string]string{"zh-CN": "本次通话将被录音。"}}
	})
	m := message(1)
	if err := w.send(t, m); err != nil {
		t.Fatal(err)
	}
	w.told(t)
	w.stop()
	<-w.done
	if _, err := os.Stat(old); err == nil {
		t.Error("a recording past its term is still there")
	}
	found, err := filepath.Glob(filepath.Join(dir, "*", sip.RecordingName(string(m.AttemptID))))
	if err != nil || len(found) != 1 {
		t.Fatalf("recordings: %v, %v", found, err)
	}
	b, err := os.ReadFile(found[0])
	if err != nil || len(b) < voice.Rate*2 {
		t.Fatalf("the recording has %d bytes, %v", len(b), err)
	}
	said := 0
	for i := 44; i+4 <= len(b); i += 4 { // the right channel is ours
		if v := int16(uint16(b[i+2]) | uint16(b[i+3])<<8); v > 4000 || v < -4000 {
			said++
		}
	}
	if said < voice.Rate/10 {
		t.Errorf("%d loud samples of ours were recorded", said)
	}
}

// A process that stops lets a call go on for a while, says goodbye, and tells what came of it before it is gone.
func TestStop(t *testing.T) {
	t.Parallel()
	e := newEar(t, nil)
	w := call(t, sipp(t, invited+answer(180, "Ringing", "")+pickUp(e.port)+hungUp), func(c *sip.Config) { c.Drain = 200 * time.Millisecond })
	if err := w.send(t, message(1)); err != nil {
		t.Fatal(err)
	}
	w.stop()
	<-w.done
	h := w.told(t)
	if d := h.Receipts[0].Detail; h.Receipts[0].Status != duly.ReceiptAccepted || !strings.HasPrefix(d, "outcome=cut ") {
		t.Errorf("told %s", d)
	}
	if err := w.send(t, message(2)); err == nil || err.Code != "stopping" {
		t.Errorf("a call was begun while the process stops: %v", err)
	}
}

// noted is the acknowledgement, with what a BYE of the peer's needs of it.
const noted = `<recv request="ACK"><action>
<ereg regexp=".*" search_in="hdr" header="To:" assign_to="1"/>
<ereg regexp=".*" search_in="hdr" header="From:" assign_to="2"/>
</action></recv>
`

// bye is the peer's hanging up.
const bye = `<send retrans="500"><![CDATA[
BYE sip:duly@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From:[$1]
To:[$2]
[last_Call-ID:]
CSeq: 1 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200"/>
`

// hangsUp has a peer that picked up hang up after a while.
func hangsUp(sound, ms int) string {
	return strings.Replace(pickUp(sound), acked, noted, 1) + wait(ms) + bye
}

// relay is a trunk with two peers behind it: calls to 7001 go to the second.
func relay(t *testing.T, person, agent int) int {
	t.Helper()
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Close() })
	var ours atomic.Pointer[net.UDPAddr]
	behind := func(port int) *net.UDPConn {
		c, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		go func() {
			b := make([]byte, 64<<10)
			for {
				n, err := c.Read(b)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					_, _ = front.WriteToUDP(b[:n], ours.Load())
				}
			}
		}()
		return c
	}
	one, two := behind(person), behind(agent)
	go func() {
		b := make([]byte, 64<<10)
		toAgent := map[string]bool{} // by Call-ID
		for {
			n, from, err := front.ReadFromUDP(b)
			if err != nil {
				return
			}
			ours.Store(from)
			_, id, _ := strings.Cut(string(b[:n]), "Call-ID: ")
			id, _, _ = strings.Cut(id, "\r\n")
			if strings.HasPrefix(string(b[:n]), "INVITE sip:7001@") {
				toAgent[id] = true
			}
			if toAgent[id] {
				_, _ = two.Write(b[:n])
			} else {
				_, _ = one.Write(b[:n])
			}
		}
	}()
	return front.LocalAddr().(*net.UDPAddr).Port
}
