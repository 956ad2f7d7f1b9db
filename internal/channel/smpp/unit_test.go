package smpp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/warthog618/sms/encoding/gsm7"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/message"
)

// TestSplit: the segments are those that message.Segments counted when the text was made, and put together they are the text.
func TestSplit(t *testing.T) {
	t.Parallel()
	c := Config{}.withDefaults()
	wide, sar := c, c
	wide.Long, sar.Long = LongUDH16, LongSAR
	alphabets := [][]rune{[]rune("abc XYZ 019 @£€[]{}~^|\\\f\n"), []rune("您尾号的借款元将于明日到期😀𠮷a[€"), []rune("aé€😀")}
	r := rand.New(rand.NewPCG(6, 34))
	for range 3000 {
		letters := alphabets[r.IntN(len(alphabets))]
		text := make([]rune, 1+r.IntN(400))
		for i := range text {
			text[i] = letters[r.IntN(len(letters))]
		}
		want := message.Segments(string(text))
		for _, c := range []*Config{&c, &wide, &sar} {
			p := c.split(string(text), "a1-1")
			if len(p.list) != p.billed || c.Long != LongUDH16 && p.billed != want.Segments || p.billed < want.Segments {
				t.Fatalf("%s %q: got %d parts, %d billed; want %d", c.Long, string(text), len(p.list), p.billed, want.Segments)
			}
			var back strings.Builder
			for _, part := range p.list {
				octets := len(part.words)
				if p.coding == codingDefault {
					octets = (octets*7 + 7) / 8
				}
				if len(part.header)+octets > 140 {
					t.Fatalf("%s: a part of %d octets", c.Long, len(part.header)+octets)
				}
				back.WriteString(c.decode(p.coding, part.words)) // each by itself: nothing is cut in two
			}
			if back.String() != string(text) {
				t.Fatalf("%s: %q came back as %q", c.Long, string(text), back.String())
			}
		}
	}
}

// TestAlphabet holds the tables against another's.
func TestAlphabet(t *testing.T) {
	t.Parallel()
	for r := rune(0); r < 0x3000; r++ {
		want, err := gsm7.Encode([]byte(string(r)))
		got, ok := AlphabetGSM7.septet(r)
		if r == escape || !utf8.ValidRune(r) {
			continue
		}
		if ok != (err == nil) || ok && !bytes.Equal(got.octets, want) {
			t.Errorf("%U: got % x, %t; want % x, %v", r, got.octets, ok, want, err)
		}
	}
	if e, ok := AlphabetLatin1.septet('@'); !ok || !bytes.Equal(e.octets, []byte("@")) {
		t.Error("latin1 has @ where ASCII has it")
	}
	if _, ok := AlphabetLatin1.septet('€'); ok {
		t.Error("latin1 has no €")
	}
}

func TestReadFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want fields
	}{
		{"id:0123 sub:001 dlvrd:001 submit date:2603020400 done date:2603020401 stat:DELIVRD err:000 text:stat:REJECTD id:9", fields{"0123", "DELIVRD", "000", "2603020401"}},
		{"id:4F-A sub:1 dlvrd:1 submit date:260302040000 done date:260302040100 stat:UNDELIV err:00B Text:hello", fields{"4F-A", "UNDELIV", "00B", "260302040100"}},
		{"ID: 77 STAT: EXPIRED ERR: 5", fields{"77", "EXPIRED", "5", ""}},
		{"message_id=abc;status=DELIVERED;error=0;done_date=20260302040100", fields{"abc", "DELIVERED", "0", "20260302040100"}},
		{"id: sub:001 stat:DELIVRD", fields{"", "DELIVRD", "", ""}},
		{"id:1 done date:2026-03-02 04:00:00 stat:DELIVRD", fields{"1", "DELIVRD", "", "2026-03-0204:00:00"}},
		{"stat:DELIVRD id:1 id:2", fields{"1", "DELIVRD", "", ""}},
		{"hello", fields{}},
		{"", fields{}},
	} {
		if got := readFields(tt.text); got != tt.want {
			t.Errorf("%q: got %+v, want %+v", tt.text, got, tt.want)
		}
	}
}

// receiptOf reads what a deliver_sm of a text and parameters says.
func receiptOf(t *testing.T, c Config, text string, options ...option) duly.Receipt {
	t.Helper()
	c.Host, c.SystemID = "smpp.example", "x"
	s, err := New("sms", c, channel.Host{Clock: stopped})
	if err != nil {
		t.Fatal(err)
	}
	return s.receipt(&shortMessage{class: classReceipt, from: address{1, 1, "8613800138000"}, text: []byte(text), options: options}, noon)
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	const text = "id:26 sub:001 dlvrd:001 submit date:2603021150 done date:2603021155 stat:DELIVRD err:000 text:"
	zone := Config{ReceiptZone: "Asia/Shanghai"}
	for _, tt := range []struct {
		name string
		c    Config
		text string
		with []option
		want duly.Receipt
	}{
		{"plain", Config{}, text, nil, duly.Receipt{ProviderID: "26", Status: duly.ReceiptDelivered, Detail: "delivrd", At: noon, Key: "dlr:26:DELIVRD:000:2603021155"}},
		{"by the carrier's clock", zone, text, nil,
			duly.Receipt{ProviderID: "26", Status: duly.ReceiptDelivered, Detail: "delivrd", At: noon.Add(-5 * time.Minute), Key: "dlr:26:DELIVRD:000:2603021155"}},
		{"a clock that is ahead", zone, strings.Replace(text, "done date:26", "done date:27", 1), nil,
			duly.Receipt{ProviderID: "26", Status: duly.ReceiptDelivered, Detail: "delivrd", At: noon, Key: "dlr:26:DELIVRD:000:2703021155"}},
		{"decimal for hex", Config{MessageID: MessageID{Receipt: NotationDecimal}}, text, nil,
			duly.Receipt{ProviderID: "26", Status: duly.ReceiptDelivered, Detail: "delivrd", At: noon, Key: "dlr:26:DELIVRD:000:2603021155"}},
		{"hex for decimal", Config{MessageID: MessageID{Receipt: NotationHex}}, strings.Replace(text, "id:26", "id:001A", 1), nil,
			duly.Receipt{ProviderID: "26", Status: duly.ReceiptDelivered, Detail: "delivrd", At: noon, Key: "dlr:26:DELIVRD:000:2603021155"}},
		{"parameters win", Config{}, text, []option{{tagReceiptedID, []byte("99\x00")}, {tagState, []byte{5}}, {tagErrorCode, []byte{3, 0, 11}}},
			duly.Receipt{ProviderID: "99", Status: duly.ReceiptFailed, Detail: "undeliv.net3-11", At: noon, Key: "dlr:99:UNDELIV:000:2603021155"}},
		{"a reason that is known", Config{ReceiptErrors: map[string]duly.ReceiptStatus{"001": duly.ReceiptBadAddress}}, "id:1 stat:UNDELIV err:001", nil,
			duly.Receipt{ProviderID: "1", Status: duly.ReceiptBadAddress, Detail: "undeliv.001", At: noon, Key: "dlr:1:UNDELIV:001:"}},
		{"the same reason of a delivery", Config{ReceiptErrors: map[string]duly.ReceiptStatus{"001": duly.ReceiptBadAddress}}, "id:1 stat:DELIVRD err:001", nil,
			duly.Receipt{ProviderID: "1", Status: duly.ReceiptDelivered, Detail: "delivrd.001", At: noon, Key: "dlr:1:DELIVRD:001:"}},
		{"unknown proves nothing", Config{}, "id:1 stat:UNKNOWN", nil,
			duly.Receipt{ProviderID: "1", Status: duly.ReceiptAccepted, Detail: "unknown", At: noon, Key: "dlr:1:UNKNOWN::"}},
		{"a state that is none", Config{}, "id:1 stat:HELLO", nil,
			duly.Receipt{ProviderID: "1", Status: duly.ReceiptAccepted, Detail: "unreadable", At: noon, Key: "dlr:1:unreadable::"}},
	} {
		tt.want.Provider = "sms"
		if diff := cmp.Diff(tt.want, receiptOf(t, tt.c, tt.text, tt.with...)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
	}
	if a, b := receiptOf(t, Config{}, "rubbish"), receiptOf(t, Config{}, "rubbish"); a.Key != b.Key || a.ProviderID != "" || strings.Contains(a.Key, "8613800138000") {
		t.Errorf("what cannot be read: got %+v", a)
	}
}

// What an answer gives as hex and a receipt as decimal is one id.
func TestNotation(t *testing.T) {
	t.Parallel()
	m := MessageID{Receipt: NotationDecimal, TLV: NotationSame}
	if got := []string{m.answered("0001A3"), m.heard("419", m.Receipt), m.heard("1A3", m.TLV)}; got[0] != "419" || got[1] != "419" || got[2] != "419" {
		t.Errorf("got %q, want 419 in all", got)
	}
	m = MessageID{Receipt: NotationHex, TLV: NotationSame}
	if a, b := m.answered("0000000419"), m.heard("1a3", m.Receipt); a != b {
		t.Errorf("got %q and %q", a, b)
	}
	if got := m.answered("not-a-number"); got != "not-a-number" {
		t.Errorf("got %q", got)
	}
}

// TestClasses: statuses are proof; those of the standard have a class that is known, the carriers' own are settable.
func TestClasses(t *testing.T) {
	t.Parallel()
	c := Config{Statuses: map[string]channel.Class{"0x0411": channel.OptedOut, "1107": channel.BadAddress}}.withDefaults()
	for st, want := range map[status]channel.Class{
		0x0b: channel.BadAddress, 0x14: channel.Throttled, 0x58: channel.Throttled, 0x08: channel.Temporary, 0x0a: channel.Config, 0x65: channel.Permanent,
		0xff: channel.Unknown, 0x411: channel.OptedOut, 1107: channel.BadAddress, 0x499: channel.Permanent, 0xdeadbeef: channel.Permanent,
	} {
		e := c.refusal(st, "submit_sm")
		if e.Class != want || (e.RetryAfter > 0) != (want == channel.Throttled) || len(e.Code) > 12 {
			t.Errorf("%#x: got %v, want class %s", st, e, want)
		}
	}
	for st, class := range classes {
		if !class.Known() {
			t.Errorf("%#x has class %q", st, class)
		}
	}
}

func TestValidity(t *testing.T) {
	t.Parallel()
	rel, abs, none := Config{}.withDefaults(), Config{Validity: ValidityAbsolute}.withDefaults(), Config{Validity: ValidityNone}.withDefaults()
	for _, tt := range []struct {
		c    Config
		left time.Duration
		want string
		live bool
	}{
		{rel, 26*time.Hour + 3*time.Minute + 4*time.Second, "000001020304000R", true},
		{rel, time.Second, "000000000100000R", true},
		{rel, 90 * 24 * time.Hour, "000030000000000R", true},
		{abs, time.Hour, "260302050000000+", true},
		{none, time.Hour, "", true},
		{rel, 0, "", false},
		{none, -time.Hour, "", false},
	} {
		if got, live := tt.c.validity(noon, noon.Add(tt.left)); got != tt.want || live != tt.live {
			t.Errorf("%s, %s: got %q, %t; want %q, %t", tt.c.Validity, tt.left, got, live, tt.want, tt.live)
		}
	}
	if got, live := rel.validity(noon, time.Time{}); got != "" || !live {
		t.Errorf("no end: got %q, %t", got, live)
	}
}

// TestPace: refusals slow down once a beat, and quiet beats bring the pace back.
func TestPace(t *testing.T) {
	t.Parallel()
	p := newPace(0)
	for range 200 {
		p.took()
	}
	for range 50 {
		p.throttled()
	}
	if got := p.limiter.Limit(); got != 180 {
		t.Errorf("after a burst of refusals at 200 a second: got %g, want 180", float64(got))
	}
	p.tick()
	p.throttled()
	if got := p.limiter.Limit(); got != 162 {
		t.Errorf("after another beat: got %g, want 162", float64(got))
	}
	for range 2 * beats { // an outage, and one refusal more
		p.tick()
	}
	p.throttled()
	if got := p.limiter.Limit(); got < 140 {
		t.Errorf("after an outage: got %g, want it to start from before", float64(got))
	}
	for range 1000 {
		p.tick()
	}
	if got := p.limiter.Limit(); got < 1000 {
		t.Errorf("after a long calm: got %g", float64(got))
	}
	limited := newPace(100)
	limited.throttled()
	for range 1000 {
		limited.tick()
	}
	if got := limited.limiter.Limit(); got != 100 {
		t.Errorf("with a rate of 100: got %g", float64(got))
	}
}

func TestRefusedBeforeSending(t *testing.T) {
	t.Parallel()
	s := newSender(t, config(1))
	for _, tt := range []struct {
		name, to, text string
		until          time.Time
		class          channel.Class
		code           string
	}{
		{"no number", "hello", "x", time.Time{}, channel.BadAddress, "malformed_number"},
		{"an impossible number", "+86123", "x", time.Time{}, channel.BadAddress, "invalid_number"},
		{"no words", borrower, "", time.Time{}, channel.Permanent, "malformed_message"},
		{"words that are none", borrower, "\xff", time.Time{}, channel.Permanent, "malformed_message"},
		{"words past their time", borrower, "x", noon, channel.Permanent, "expired"},
		{"too long", borrower, strings.Repeat("款", 671), time.Time{}, channel.Permanent, "too_long"},
	} {
		_, err := s.Send(t.Context(), channel.Message{AttemptID: "a", To: tt.to, Text: tt.text, ExpiresAt: tt.until, Now: noon})
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != tt.class || e.Code != tt.code {
			t.Errorf("%s: got %v, want %s: %s", tt.name, err, tt.class, tt.code)
		}
	}
	if s.started {
		t.Error("it connected for what it refused by itself")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	bad, ton := Config{
		Host: "smpp:2775", Port: 70000, CertAuthority: "x", SystemType: strings.Repeat("x", 13), Bind: "both", Binds: 99, Window: -1, Rate: -1,
		From: "twelve-chars", Region: "XX", Long: "x", PartsMax: 256, Alphabet: "x", Validity: "x", Receipts: "x", ReceiptZone: "Mars/Base",
		MessageID: MessageID{Receipt: "x", TLV: "x"}, ReceiptErrors: map[string]duly.ReceiptStatus{"1": "x"},
		Statuses: map[string]channel.Class{"0x": channel.Permanent}, Enquire: -1, Answer: time.Hour, Timeout: time.Hour,
	}, 9
	bad.FromTON = &ton
	err := bad.Check("carriers.sms.smpp")
	for _, key := range []string{"host", "port", "cert_authority", "system_id", "system_type", "bind", "binds", "window", "rate", "from", "from_ton", "region", "long",
		"parts_max", "alphabet", "validity", "receipts", "receipt_zone", "message_id.receipt", "message_id.tlv", "receipt_errors.1", "statuses.0x", "enquire",
		"answer", "timeout"} {
		if !strings.Contains(err.Error(), "carriers.sms.smpp."+key+":") {
			t.Errorf("%s is not complained of in:\n%v", key, err)
		}
	}
	if err := config(2775).Check("x"); err != nil {
		t.Error(err)
	}
}

func TestSenderAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]address{
		"+8610690001": {1, 1, "8610690001"}, "95588": {3, 0, "95588"}, "106900011": {0, 1, "106900011"}, "Lender": {5, 0, "Lender"}, "": {},
	} {
		if got := sender(text); got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
}

func FuzzPDU(f *testing.F) {
	m := shortMessage{from: address{1, 1, "1"}, to: address{1, 1, "2"}, text: []byte("hi"), options: []option{{tagState, []byte{2}}}}
	f.Add(pdu{command: deliverSM, seq: 7, body: m.appendTo(nil)}.bytes())
	f.Add([]byte{0x40, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add([]byte{0, 0, 0, 15, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := readPDU(bytes.NewReader(b))
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, p.bytes()) {
			t.Fatal("a PDU that was read is written otherwise")
		}
		for _, c := range []command{deliverSM, dataSM} {
			m, err := readMessage(c, p.body)
			if err != nil {
				continue
			}
			if back, err := readMessage(deliverSM, m.appendTo(nil)); err != nil || !bytes.Equal(back.text, m.text) || len(back.options) != len(m.options) {
				t.Fatalf("a message that was read is written otherwise: %v", err)
			}
			_, n, of, _ := splitPart(&m)
			if of > 1 && (n == 0 || n > of) {
				t.Fatalf("part %d of %d", n, of)
			}
		}
	})
}

func FuzzReceiptText(f *testing.F) {
	f.Add("id:1 sub:001 dlvrd:001 submit date:2603020400 done date:2603020401 stat:DELIVRD err:000 text:hello")
	f.Add("message_id=a;status=x")
	f.Fuzz(func(t *testing.T, text string) {
		rc := receiptOf(t, Config{ReceiptZone: "Asia/Shanghai", MessageID: MessageID{Receipt: NotationDecimal}}, text)
		if rc.Status.State() == "" || rc.Key == "" || rc.At.After(noon) || len(rc.ProviderID) > 2*idMax {
			t.Fatalf("got %+v", rc)
		}
	})
}

func FuzzHeader(f *testing.F) {
	for _, s := range []string{"05000302020168", "060804000102026869", "0000", "ff00", "0500030200", "050003020301"} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		_, n, of, words := readHeader(b)
		if n == 0 || of == 0 || n > of || len(words) > len(b) {
			t.Fatalf("part %d of %d, %d octets", n, of, len(words))
		}
	})
}
