package voice_test

import (
	"bytes"
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/voice"
)

// The laws by values of ITU-T G.711, and there and back again within a step.
func TestG711(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		codec voice.Codec
		pcm   int16
		b     byte
	}{
		{voice.PCMA, 0, 0xD5}, {voice.PCMA, -1, 0x55}, {voice.PCMA, 32767, 0xAA}, {voice.PCMA, -32768, 0x2A}, {voice.PCMA, 1000, 0xFA},
		{voice.PCMU, 0, 0xFF}, {voice.PCMU, 32767, 0x80}, {voice.PCMU, -32768, 0x00}, {voice.PCMU, 1000, 0xCE},
	} {
		if got := c.codec.Encode(nil, []int16{c.pcm})[0]; got != c.b {
			t.Errorf("%s of %d: got %#x, want %#x", c.codec, c.pcm, got, c.b)
		}
	}
	for _, codec := range []voice.Codec{voice.PCMA, voice.PCMU} {
		for s := -32768; s <= 32767; s += 7 {
			back := int(codec.Decode(nil, codec.Encode(nil, []int16{int16(s)}))[0])
			if d := back - s; d > 8+abs(s)/16 || -d > 8+abs(s)/16 {
				t.Fatalf("%s: %d comes back as %d", codec, s, back)
			}
		}
		for i := range 256 { // each byte is its own value's, but for mu's two zeros
			if b := codec.Encode(nil, codec.Decode(nil, []byte{byte(i)}))[0]; b != byte(i) && !(codec == voice.PCMU && i == 0x7F) {
				t.Errorf("%s: byte %#x comes back as %#x", codec, i, b)
			}
		}
	}
}

func abs(n int) int { return max(n, -n) }

func tone(hz float64, d time.Duration, rate int) []int16 {
	out := make([]int16, int(d*time.Duration(rate)/time.Second))
	for i := range out {
		out[i] = int16(8000 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate)))
	}
	return out
}

func TestWAV(t *testing.T) {
	t.Parallel()
	pcm := tone(440, 100*time.Millisecond, voice.Rate)
	got, err := voice.ReadWAV(voice.WriteWAV(pcm))
	if err != nil || len(got) != len(pcm) || got[77] != pcm[77] {
		t.Fatalf("got %d samples, %v; want %d", len(got), err, len(pcm))
	}
	// What the telephone can carry of a higher rate stays as loud, the rest is gone.
	if l := voice.Level(voice.Resample(tone(440, time.Second, 22050), 22050)); l < 4800 || l > 5300 {
		t.Errorf("440 Hz has level %d, want about 5090", l)
	}
	if l := voice.Level(voice.Resample(tone(7000, time.Second, 22050), 22050)); l > 300 {
		t.Errorf("7 kHz is still there, level %d", l)
	}
	path := filepath.Join(t.TempDir(), "a.wav")
	r, err := voice.Record(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Write(pcm[:160], pcm[160:240]); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := voice.ReadWAV(b); err != nil || len(got) != 160 || got[9] != pcm[9] || len(b) != 44+640 {
		t.Errorf("the recording has %d samples in %d bytes, %v", len(got), len(b), err)
	}
	for _, bad := range [][]byte{nil, []byte("RIFF"), []byte("<html>"), append([]byte("RIFF\x00\x00\x00\x00WAVEfmt "), 255, 255, 255, 255)} {
		if _, err := voice.ReadWAV(bad); err == nil {
			t.Errorf("%q was read as sound", bad)
		}
	}
}

func TestEar(t *testing.T) {
	t.Parallel()
	speech := func(d time.Duration) []int16 { // sound without a pure tone
		out := tone(310, d, voice.Rate)
		for i, s := range tone(730, d, voice.Rate) {
			out[i] = out[i]/2 + s/2
		}
		return out
	}
	join := func(parts ...[]int16) (out []int16) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	for _, c := range []struct {
		name string
		pcm  []int16
		want voice.Answer
	}{
		{"hello, and then quiet", join(speech(600*time.Millisecond), voice.Silence(time.Second)), voice.Person},
		{"a pause within a greeting", join(speech(900*time.Millisecond), voice.Silence(400*time.Millisecond), speech(1700*time.Millisecond)), voice.Machine},
		{"a greeting that goes on", speech(3 * time.Second), voice.Machine},
		{"a beep", join(voice.Silence(time.Second), tone(1000, 400*time.Millisecond, voice.Rate)), voice.Machine},
		{"a beep after a person", join(speech(600*time.Millisecond), voice.Silence(time.Second), tone(1000, 400*time.Millisecond, voice.Rate)), voice.Machine},
		{"nothing", voice.Silence(5 * time.Second), voice.Nobody},
		{"a click", join(speech(40*time.Millisecond), voice.Silence(2*time.Second)), voice.Nobody},
	} {
		var e voice.Ear
		got := voice.Nobody
		for pcm := c.pcm; len(pcm) >= voice.FrameLen; pcm = pcm[voice.FrameLen:] {
			if a := e.Hear(pcm[:voice.FrameLen]); a != voice.Nobody {
				got = a
			}
		}
		if got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestSpell(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ language, text, want string }{
		{"zh-CN", "共¥1,234.50，到期日为2026年3月12日", "共一千二百三十四元五角，到期日为二零二六年三月十二日"},
		{"zh-CN", "¥10.05 和 ¥100,010.00", "十元零五分 和 十万零一十元"},
		{"zh-CN", "¥20,000,003.20", "二千万零三元二角"},
		{"zh-CN", "¥15.00，2笔，USD 3.07", "十五元，二笔，三美元七分"},
		{"zh-CN", "拨打95000，尾号0812", "拨打九五零零零，尾号零八一二"},
		{"zh-CN", "¥110.00", "一百一十元"},
		{"en", "CNY 1,234.50, due 12 March 2026", "one thousand two hundred thirty four yuan and fifty fen, due March twelfth twenty twenty six"},
		{"en", "USD 100.00 due 21 December 2009", "one hundred dollars due December twenty first two thousand nine"},
		{"en", "call 95000, press 1", "call nine five zero zero zero, press one"},
	} {
		if got := voice.Spell(c.language, c.text); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

// speaker says each word as so many samples as it has bytes, and counts.
type speaker struct{ said []string }

func (s *speaker) Name() string { return "test" }

func (s *speaker) Speak(_ context.Context, _, words string) ([]int16, error) {
	s.said = append(s.said, words)
	return make([]int16, len(words)), nil
}

// Recordings are put together, the longest first; what none covers is spoken; what may be kept is spoken once.
func TestPrompts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	index := "还款: repay.wav\n您有一笔还款: a.wav\n一: one.wav\n千: thousand.wav\n二: two.wav\n百: hundred.wav\n三: three.wav\n十: ten.wav\n四: four.wav\n元: yuan.wav\n"
	if err := os.MkdirAll(filepath.Join(dir, "zh-CN"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "zh-CN", "index.yaml"), []byte(index), 0o600); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(index) {
		_, name, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if err := os.WriteFile(filepath.Join(dir, "zh-CN", name), voice.WriteWAV(make([]int16, 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &speaker{}
	cache := filepath.Join(dir, "cache")
	p, err := voice.NewPrompts(voice.PromptsOf{Recordings: dir, Speaker: s, Cache: cache, Lexicon: map[string]string{"银行": "yin2 hang2"}})
	if err != nil {
		t.Fatal(err)
	}
	pcm, err := p.Speak(t.Context(), "zh-CN", "您有一笔还款，¥1,234.00。", false)
	if err != nil || len(pcm) != 9*1000 || len(s.said) != 0 { // the phrase and 一千二百三十四元
		t.Errorf("got %d samples, %v, spoken %q", len(pcm), err, s.said)
	}
	if _, err := p.Speak(t.Context(), "zh-CN", "您有一笔还款，王小明，银行", false); err != nil || len(s.said) != 1 || !strings.Contains(s.said[0], "王小明， yin2 hang2") {
		t.Errorf("spoken %q, %v", s.said, err)
	}
	if entries, _ := os.ReadDir(cache); len(entries) != 0 {
		t.Error("what may be personal was kept")
	}
	for range 2 {
		if _, err := p.Speak(t.Context(), "en", "Goodbye", true); err != nil {
			t.Fatal(err)
		}
	}
	again, err := voice.NewPrompts(voice.PromptsOf{Speaker: s, Cache: cache, Lexicon: map[string]string{"银行": "yin2 hang2"}})
	if err != nil {
		t.Fatal(err)
	}
	if pcm, err := again.Speak(t.Context(), "en", "Goodbye", true); err != nil || len(pcm) != 7 || len(s.said) != 2 {
		t.Errorf("kept sound was spoken again: %q, %v", s.said, err)
	}
	none, err := voice.NewPrompts(voice.PromptsOf{Recordings: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.Speak(t.Context(), "zh-CN", "王小明", false); err == nil {
		t.Error("words without a recording or a voice were said")
	}
}

// A speech service is asked as the template says, and what is no sound is refused.
func TestService(t *testing.T) {
	t.Parallel()
	var asked, key string
	answer, kind := voice.WriteWAV(tone(440, time.Second, voice.Rate)), "audio/wav"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		_, _ = b.ReadFrom(r.Body)
		asked, key = b.String(), r.Header.Get("Api-Key")
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(answer)
	}))
	defer server.Close()
	s := &voice.Service{URL: server.URL, Headers: map[string]string{"Api-Key": "k"}, Body: `{"input":"{{text}}","lang":"{{language}}"}`}
	pcm, err := s.Speak(t.Context(), "zh-CN", `说"好"`)
	if err != nil || len(pcm) != voice.Rate || asked != `{"input":"说\"好\"","lang":"zh-CN"}` || key != "k" {
		t.Errorf("got %d samples, %v; asked %s with key %q", len(pcm), err, asked, key)
	}
	for _, c := range []struct {
		answer []byte
		kind   string
		ok     bool
	}{
		{make([]byte, 32000), "audio/L16; rate=16000", true},
		{make([]byte, 16000), "audio/pcm", true},
		{[]byte("<html>sorry</html>"), "text/html", false},
		{make([]byte, 5<<20), "audio/pcm", false},
		{[]byte(`{"error":"quota"}`), "application/json", false},
	} {
		answer, kind = c.answer, c.kind
		pcm, err := s.Speak(t.Context(), "en", "x")
		if (err == nil) != c.ok || c.ok && len(pcm) != voice.Rate {
			t.Errorf("%s of %d bytes: got %d samples, %v", c.kind, len(c.answer), len(pcm), err)
		}
	}
}

// espeak-ng speaks both languages.
func TestEspeak(t *testing.T) {
	t.Parallel()
	e, ok := voice.NewEspeak()
	if !ok {
		t.Skip("espeak-ng is not installed: scripts/setup-test installs it")
	}
	for _, c := range []struct{ language, words string }{{"zh-CN", "您好，这是自动语音"}, {"en", "Hello, this is an automated call"}} {
		pcm, err := e.Speak(t.Context(), c.language, c.words)
		if err != nil || voice.Length(pcm) < time.Second || voice.Level(pcm) < 200 {
			t.Errorf("%s: %s of level %d, %v", c.language, voice.Length(pcm), voice.Level(pcm), err)
		}
	}
}

func FuzzReadWAV(f *testing.F) {
	f.Add(voice.WriteWAV(tone(440, 20*time.Millisecond, voice.Rate)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if pcm, err := voice.ReadWAV(b); err == nil && len(pcm) > len(b) {
			t.Errorf("%d bytes became %d samples", len(b), len(pcm))
		}
	})
}
