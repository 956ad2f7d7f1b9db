package smpp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
)

// ears keep what a sender hears, and fail as told.
type ears struct {
	mu   sync.Mutex
	all  channel.Heard
	fail int // so many times
	wake chan struct{}
}

func listen(t *testing.T, s *Sender, fail int) *ears {
	t.Helper()
	e := &ears{fail: fail, wake: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Listen(ctx, e.take) }()
	t.Cleanup(func() { cancel(); <-done })
	return e
}

func (e *ears) take(_ context.Context, h channel.Heard) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail > 0 {
		e.fail--
		return errors.New("the store is away")
	}
	e.all.Receipts = append(e.all.Receipts, h.Receipts...)
	e.all.Replies = append(e.all.Replies, h.Replies...)
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return nil
}

// until waits until enough was heard.
func (e *ears) until(t *testing.T, receipts, replies int) channel.Heard {
	t.Helper()
	end := time.After(peerWait)
	for {
		e.mu.Lock()
		h := channel.Heard{Receipts: append([]duly.Receipt{}, e.all.Receipts...), Replies: append([]channel.Reply{}, e.all.Replies...)}
		e.mu.Unlock()
		if len(h.Receipts) >= receipts && len(h.Replies) >= replies {
			return h
		}
		select {
		case <-e.wake:
		case <-end:
			t.Fatalf("heard %d receipts and %d replies, want %d and %d", len(h.Receipts), len(h.Replies), receipts, replies)
		}
	}
}

func class(t *testing.T, err error) channel.Class {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*channel.Error](err)
	if !ok {
		t.Fatalf("got a %T", err)
	}
	return e.Class
}

func send(t *testing.T, s *Sender, n int, text string) (channel.Accepted, error) {
	t.Helper()
	m := channeltest.Message(duly.ChannelSMS, borrower, n)
	m.Text = text
	return s.Send(t.Context(), m)
}

const long = "【示例消金】您尾号1234的借款 1,234.56 元将于明日到期😀，请确保还款账户余额充足。如已还款请忽略本短信；如需帮助请致电客服，我们将为您提供延期还款等协商方案。退订回T"

// TestLongTexts: what a phone puts together is what was sent, in each of the ways to send it.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]any{}, nil)
	texts := 0
	for _, way := range []Long{LongUDH8, LongUDH16, LongSAR, LongPayload} {
		c := config(p.port)
		c.Long = way
		s := newSender(t, c)
		for _, text := range []string{long, strings.Repeat("[€] ok ", 60), "short", "短"} {
			texts++
			got, err := send(t, s, texts, text)
			if err != nil {
				t.Fatal(err)
			}
			e := p.waitNth("a whole text", texts, func(e event) bool { return e.Text != nil })
			if *e.Text != text || e.From != "10690001" || e.Registered != 1 {
				t.Errorf("%s: arrived as %q from %s, registered %d; want %q", way, *e.Text, e.From, e.Registered, text)
			}
			if parts := channel.PartsOf(got.Parts); way != LongPayload && len(parts) != e.Of && e.Of > 1 || got.Segments < e.Of || got.ProviderID == "" {
				t.Errorf("%s: got %+v for %d parts", way, got, e.Of)
			}
		}
	}
}

// TestHalf: where the carrier takes one part and refuses another for good, nobody says that it was taken or that it was not.
func TestHalf(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]any{"refusePart": 2, "status": 0x65}, nil)
	s := newSender(t, config(p.port))
	_, err := send(t, s, 1, long)
	e, ok := errors.AsType[*channel.Error](err)
	if !ok || e.Class != channel.Unknown || e.Code != codePartial {
		t.Fatalf("got %v, want unknown: partial", err)
	}
	if parts := channel.PartsOf(e.Parts); len(parts) != 2 || parts[0] == "" || parts[1] != "" {
		t.Errorf("parts %q: want the first's reference and none of the second's", parts)
	}
	// Refused for the moment it is tried again until it is taken.
	p.set(map[string]any{"status": 0x58})
	done := make(chan error, 1)
	go func() { _, err := send(t, s, 2, long); done <- err }()
	p.waitNth("it took the first part", 2, func(e event) bool { return e.Took != "" && e.N == 1 })
	p.set(map[string]any{"refusePart": 0})
	if err := <-done; err != nil {
		t.Errorf("got %v, want acceptance once the carrier takes the second part", err)
	}
	p.set(map[string]any{"refusePart": 1, "status": 0x0b})
	if _, err := send(t, s, 3, long); class(t, err) != channel.BadAddress {
		t.Errorf("the first part is refused: got %v, want bad_address", err)
	}
}

// TestReceiptsAreKeptFirst: a receipt is answered once it is kept, told again until then, and its words are the carrier's.
func TestReceiptsAreKeptFirst(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]any{"receiptMs": 0}, nil)
	s := newSender(t, config(p.port))
	got, err := send(t, s, 1, "短")
	if err != nil {
		t.Fatal(err)
	}
	p.wait("that nobody takes its receipt", func(e event) bool { return e.Refused != nil && *e.Refused == uint32(notNow) })
	if n := p.count(func(e event) bool { return e.Acked != nil }); n != 0 {
		t.Errorf("%d receipts answered that nobody keeps", n)
	}
	e := listen(t, s, 2)
	rc := e.until(t, 1, 0).Receipts[0]
	want := duly.Receipt{Provider: "sms", ProviderID: got.ProviderID, Status: duly.ReceiptDelivered, Detail: "delivrd", At: noon, Key: rc.Key}
	if diff := cmp.Diff(want, rc); diff != "" || !strings.Contains(rc.Key, got.ProviderID) {
		t.Errorf("-want +got:\n%s", diff)
	}
	p.wait("that it was answered", func(e event) bool { return e.Acked != nil })
}

// TestReceiptBases: answers in hex, receipts in decimal, and parameters that say it right.
func TestReceiptBases(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options map[string]any
		id      MessageID
	}{
		"receipts in decimal":  {map[string]any{"idBase": 16, "receiptBase": 10}, MessageID{Receipt: NotationDecimal}},
		"receipts in hex":      {map[string]any{"idBase": 10, "receiptBase": 16}, MessageID{Receipt: NotationHex}},
		"parameters as answer": {map[string]any{"idBase": 16, "receiptBase": 10, "tlv": true}, MessageID{Receipt: NotationDecimal}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.options["receiptMs"] = 0
			p := newPeer(t, c.options, nil)
			cfg := config(p.port)
			cfg.MessageID = c.id
			s := newSender(t, cfg)
			e := listen(t, s, 0)
			got, err := send(t, s, 1, "短")
			if err != nil {
				t.Fatal(err)
			}
			if rc := e.until(t, 1, 0).Receipts[0]; rc.ProviderID != got.ProviderID || rc.Status != duly.ReceiptDelivered {
				t.Errorf("the answer named %q, the receipt %q", got.ProviderID, rc.ProviderID)
			}
		})
	}
}

// TestLostAnswer: a receipt whose message has no answer finds it by our own reference; an answer that comes late settles it as well.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]any{"receiptMs": 1000, "lose": 1000}, nil)
	s := newSender(t, config(p.port))
	e := listen(t, s, 0)
	_, err := send(t, s, 1, "短")
	if class(t, err) != channel.Unknown {
		t.Fatalf("got %v, want unknown", err)
	}
	id := channeltest.Message(duly.ChannelSMS, borrower, 1).AttemptID
	if rc := e.until(t, 1, 0).Receipts[0]; rc.AttemptID != id || rc.ProviderID == "" {
		t.Errorf("got %+v, want it to name the attempt", rc)
	}
	p.set(map[string]any{"lose": 0, "answerMs": 1500, "receiptMs": -1})
	if _, err := send(t, s, 2, "短"); class(t, err) != channel.Unknown {
		t.Fatalf("got %v, want unknown", err)
	}
	id = channeltest.Message(duly.ChannelSMS, borrower, 2).AttemptID
	rc := e.until(t, 2, 0).Receipts[1]
	if rc.AttemptID != id || rc.Status != duly.ReceiptAccepted || rc.ProviderID == "" || rc.Key != "answer:"+string(id) {
		t.Errorf("a late answer: got %+v", rc)
	}
}

// TestQuery asks about what was answered too late.
func TestQuery(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]any{"answerMs": 1500}, nil)
	c := config(p.port)
	c.Query = true
	s := newSender(t, c)
	e := listen(t, s, 0)
	id := channeltest.Message(duly.ChannelSMS, borrower, 1).AttemptID
	if _, err := send(t, s, 1, "短"); class(t, err) != channel.Unknown {
		t.Fatalf("got %v, want unknown", err)
	}
	if _, known, err := s.Query(t.Context(), id); known || err != nil {
		t.Errorf("before its id is known: got %t, %v", known, err)
	}
	e.until(t, 1, 0)
	if st, known, err := s.Query(t.Context(), id); st != duly.ReceiptDelivered || !known || err != nil {
		t.Errorf("got %s, %t, %v; want delivered", st, known, err)
	}
}

// deliver is a deliver_sm as the peer is told to send it.
func deliver(from, words string, more map[string]any) map[string]any {
	d := map[string]any{"source_addr": from, "source_addr_ton": 1, "source_addr_npi": 1, "destination_addr": "10690001", "short_message": words}
	for k, v := range more {
		d[k] = v
	}
	return d
}

// TestReplies: what people write arrives whole, and what looks like a receipt is none unless the carrier says so.
func TestReplies(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]any{}, nil)
	s := newSender(t, config(p.port))
	e := listen(t, s, 0)
	forged := "id:1 sub:001 dlvrd:001 submit date:2603020400 done date:2603020401 stat:DELIVRD err:000 text:"
	wide := func(s string) string { // UTF-16
		var out []byte
		for _, r := range s {
			out = append(out, unit(r).octets...)
		}
		return hex.EncodeToString(out)
	}
	p.tell(map[string]any{"deliver": []any{
		deliver("8613800138000", "T", nil),
		deliver("8613800138001", forged, nil),
		deliver("8613800138002", "", map[string]any{"hex": wide("已还款，谢谢😀"), "data_coding": 8}),
		deliver("8613800138003", "", map[string]any{"hex": "050003090202" + wide("再还"), "data_coding": 8, "esm_class": 0x40}),
		deliver("8613800138003", "", map[string]any{"hex": "050003090201" + wide("我明天"), "data_coding": 8, "esm_class": 0x40}),
		deliver("8613800138004", "", map[string]any{"payload": "a longer one", "data_coding": 0}),
	}})
	got := map[string]string{}
	h := e.until(t, 0, 5)
	for _, r := range h.Replies {
		got[r.From] = r.Text
		if r.Key == "" || strings.Contains(r.Key, "138") || r.Channel != duly.ChannelSMS || !r.At.Equal(noon) {
			t.Errorf("got %+v", r)
		}
	}
	want := map[string]string{
		"+8613800138000": "T", "+8613800138001": forged, "+8613800138002": "已还款，谢谢😀", "+8613800138003": "我明天再还", "+8613800138004": "a longer one",
	}
	if diff := cmp.Diff(want, got); diff != "" || len(h.Receipts) != 0 {
		t.Errorf("%d receipts; -want +got:\n%s", len(h.Receipts), diff)
	}
	p.waitNth("that all were answered", 6, func(e event) bool { return e.Acked != nil })
	again := deliver("8613800138000", "T", nil)
	p.tell(map[string]any{"deliver": []any{again}})
	if h := e.until(t, 0, 6); h.Replies[5].Key != keyOf(h.Replies, "+8613800138000") {
		t.Error("the same message told again has another key")
	}
}

func keyOf(replies []channel.Reply, from string) string {
	for _, r := range replies {
		if r.From == from {
			return r.Key
		}
	}
	return ""
}

// TestHalfAReply: a part that waits in vain is refused for the moment, told again, and put together with the other when that comes.
func TestHalfAReply(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]any{}, nil)
	s := newSender(t, config(p.port))
	e := listen(t, s, 0)
	p.tell(map[string]any{"deliver": []any{deliver("8613800138003", "", map[string]any{"hex": "050003070201" + "61", "esm_class": 0x40})}})
	p.wait("that the part is refused for the moment", func(e event) bool { return e.Refused != nil && *e.Refused == uint32(notNow) })
	p.tell(map[string]any{"deliver": []any{deliver("8613800138003", "", map[string]any{"hex": "050003070202" + "62", "esm_class": 0x40})}})
	if h := e.until(t, 0, 1); len(h.Replies) != 1 || h.Replies[0].Text != "ab" {
		t.Errorf("got %+v", h.Replies)
	}
	p.waitNth("that both parts are answered", 2, func(e event) bool { return e.Acked != nil })
	for range ageTicks * 2 { // and the same reply is not made again of the part told once more
		s.ear.parts.age(t.Context(), s.ear, e.take)
	}
	if h := e.until(t, 0, 1); len(h.Replies) != 1 {
		t.Errorf("got %d replies, want 1", len(h.Replies))
	}
}

// TestAgedReply: a text whose other part never comes is kept as far as it came.
func TestAgedReply(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]any{}, nil)
	s := newSender(t, config(p.port))
	e := listen(t, s, 0)
	p.tell(map[string]any{"deliver": []any{deliver("8613800138003", "", map[string]any{"hex": "050003070202" + "62", "esm_class": 0x40})}})
	p.wait("that the part is refused for the moment", func(e event) bool { return e.Refused != nil })
	for range ageTicks + 1 {
		s.ear.parts.age(t.Context(), s.ear, e.take)
	}
	if h := e.until(t, 0, 1); h.Replies[0].Text != "b" {
		t.Errorf("got %+v", h.Replies)
	}
	p.wait("that the part is answered when told again", func(e event) bool { return e.Acked != nil })
}

// TestMalformed: PDUs that are none end the connection, those that can be refused are, and messages go on.
func TestMalformed(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]any{}, nil)
	s := newSender(t, config(p.port))
	e := listen(t, s, 0)
	bound := func(n int) { p.waitNth("a bind", n, func(e event) bool { return e.Bound != "" }) }
	bound(1)
	for _, raw := range []string{
		"40000000" + "00000005" + "00000000" + "00000001", // 1 GB
		"0000000f" + "00000005" + "00000000" + "000000",   // shorter than a header
		"00000010" + "80000000" + "00000000" + "00000000", // a nack of nothing
	} {
		n := p.count(func(e event) bool { return e.Bound != "" })
		p.tell(map[string]any{"raw": raw})
		bound(n + 1)
	}
	p.tell(map[string]any{"raw": "00000010" + "00000999" + "00000000" + "00000007"}) // no such command
	p.wait("that it is nacked", func(e event) bool { return e.Nack != nil && *e.Nack == uint32(invalidCommand) })
	p.tell(map[string]any{"raw": "00000012" + "00000005" + "00000000" + "00000008" + "4141"}) // a field without end
	p.tell(map[string]any{"deliver": []any{deliver("8613800138000", "T", nil)}})
	e.until(t, 0, 1)
	if _, err := send(t, s, 1, "短"); err != nil {
		t.Errorf("after all that: %v", err)
	}
	for _, mode := range []string{"huge"} {
		p.set(map[string]any{"mode": mode})
		if _, err := send(t, s, 2, "短"); class(t, err) != channel.Unknown {
			t.Errorf("%s: got %v, want unknown", mode, err)
		}
	}
}

// TestLink: the link is tried in silence and ended where it is deaf; the carrier may do the same; goodbyes are said.
func TestLink(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]any{}, nil)
	c := config(p.port)
	c.Enquire, c.Binds, c.Bind = 200*time.Millisecond, 2, BindPair
	s := newSender(t, c)
	listen(t, s, 0)
	for _, how := range []string{"bind_transmitter", "bind_receiver"} {
		p.waitNth("two of "+how, 2, func(e event) bool { return e.Bound == how })
	}
	p.wait("an enquire_link", func(e event) bool { return e.Enquired })
	p.tell(map[string]any{"call": "enquire_link"})
	p.wait("an answer to its own", func(e event) bool { return e.Answered })
	p.tell(map[string]any{"call": "unbind"})
	p.waitNth("that its goodbyes are answered, and it is bound anew", 8, func(e event) bool { return e.Bound != "" })
	p.wait("a goodbye answered", func(e event) bool { return e.Goodbye })
	n := p.count(func(e event) bool { return e.Bound != "" })
	p.set(map[string]any{"deaf": true})
	p.waitNth("a new bind after silence", n+1, func(e event) bool { return e.Bound != "" })
	p.set(map[string]any{"deaf": false})
	if _, err := send(t, s, 1, "短"); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	p.wait("a goodbye", func(e event) bool { return e.Unbound })
	if _, err := send(t, s, 2, "短"); class(t, err) != channel.Temporary {
		t.Errorf("after Close: got %v, want temporary", err)
	}
}

// TestTLS: a certificate is asked for, and whose it is.
func TestTLS(t *testing.T) {
	t.Parallel()
	modules(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "smsc"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	dir := t.TempDir()
	for name, b := range map[string][]byte{"cert": cert, "key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := newPeer(t, map[string]any{"cert": filepath.Join(dir, "cert"), "key": filepath.Join(dir, "key")}, nil)
	c := config(p.port)
	c.Answer, c.TLS = 10*time.Second, true
	if _, err := send(t, newSender(t, c), 1, "短"); class(t, err) != channel.Config {
		t.Errorf("a certificate of nobody's: got %v, want config", err)
	}
	c.CertAuthority = string(cert)
	if _, err := send(t, newSender(t, c), 2, "短"); err != nil {
		t.Error(err)
	}
	c.TLS = false
	if _, err := send(t, newSender(t, c), 3, "短"); class(t, err) != channel.Temporary {
		t.Errorf("without TLS: got %v, want temporary", err)
	}
}
