package voice

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"time"
)

// Limits of a speaker.
const (
	speakLimit = 15 * time.Second
	soundMax   = 4 << 20 // bytes of an answer
	atOnceMax  = 2       // programs that run at one time
)

// Espeak is the program espeak-ng, which is robotic and everywhere.
type Espeak struct {
	path string
	busy chan struct{}
}

var (
	_ Speaker = (*Espeak)(nil)
	_ Speaker = (*Service)(nil)
)

// NewEspeak finds the program; false where it is not installed.
func NewEspeak() (*Espeak, bool) {
	path, err := exec.LookPath("espeak-ng")
	if err != nil {
		return nil, false
	}
	return &Espeak{path: path, busy: make(chan struct{}, atOnceMax)}, true
}

// Name names the voices.
func (e *Espeak) Name() string { return "espeak-ng/cmn-latn-pinyin/en-gb" }

// MandarinLexicon is how espeak-ng is to be told words that it reads wrongly: it says hai2 kuan3 for 还款 and xing2 for 银行.
func MandarinLexicon() map[string]string {
	return map[string]string{
		"还款": "huan2 kuan3", "还清": "huan2 qing1", "偿还": "chang2 huan2", "未还": "wei4 huan2", "应还": "ying1 huan2", "还了": "huan2 le5",
		"哪天还": "na3 tian1 huan2", "银行": "yin2 hang2", "重听": "chong2 ting1", "一笔": "yi4 bi3", "一期": "yi4 qi1",
	}
}

// Speak runs the program. Words go in by its standard input, so that none is taken for an option.
func (e *Espeak) Speak(ctx context.Context, language, words string) ([]int16, error) {
	ctx, cancel := context.WithTimeout(ctx, speakLimit)
	defer cancel()
	select {
	case e.busy <- struct{}{}:
		defer func() { <-e.busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	voice, speed := "en-gb", "150"
	if strings.HasPrefix(language, "zh") {
		voice, speed = "cmn-latn-pinyin", "165"
	}
	cmd := exec.CommandContext(ctx, e.path, "-v", voice, "-s", speed, "--stdin", "--stdout")
	cmd.Stdin = strings.NewReader(words)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("espeak-ng: %w", err)
	}
	return ReadWAV(out)
}

// Service is a speech service that is asked by HTTP, of whichever vendor: the request is a template.
type Service struct {
	URL     string            // of the service
	Headers map[string]string // such as Authorization; their values are secret
	Body    string            // the request; {{text}} and {{language}} stand for JSON strings without their quotes
	Version string            // of the voice: part of its name
	Client  *http.Client      // nil: one with a time-out
}

// Name names the voice.
func (s *Service) Name() string { return "http/" + s.URL + "/" + s.Body + "/" + s.Version }

var errSound = errors.New("the speech service did not answer with sound")

// Speak posts the words. The answer is WAV, or bare samples of 16 bits where its type is audio/l16 or audio/pcm, at a rate of 8,000, or
// the one that the type names.
func (s *Service) Speak(ctx context.Context, language, words string) ([]int16, error) {
	ctx, cancel := context.WithTimeout(ctx, speakLimit)
	defer cancel()
	body := strings.NewReplacer("{{text}}", inJSON(words), "{{language}}", inJSON(language)).Replace(s.Body)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range s.Headers {
		req.Header.Set(k, v)
	}
	client := s.Client
	if client == nil {
		client = &http.Client{Timeout: speakLimit}
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, errors.New("the speech service does not answer") // the error would hold its address with what is in it
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, soundMax+1))
	if err != nil || len(b) > soundMax || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d, %d bytes", errSound, resp.StatusCode, len(b))
	}
	return soundOf(resp.Header.Get("Content-Type"), b)
}

// inJSON writes text as it stands inside the quotes of JSON.
func inJSON(s string) string {
	b, _ := json.Marshal(s)
	return string(b[1 : len(b)-1])
}

func soundOf(kind string, b []byte) ([]int16, error) {
	if bytes.HasPrefix(b, []byte("RIFF")) {
		return ReadWAV(b)
	}
	kind, params, _ := strings.Cut(strings.ToLower(kind), ";")
	if kind != "audio/l16" && kind != "audio/pcm" || len(b) < 2 {
		return nil, errSound
	}
	rate := Rate
	if _, r, ok := strings.Cut(params, "rate="); ok {
		if _, err := fmt.Sscan(strings.TrimRight(r, "; "), &rate); err != nil || rate < Rate || rate > 48000 {
			return nil, errSound
		}
	}
	pcm := make([]int16, len(b)/2)
	for i := range pcm {
		if kind == "audio/l16" { // RFC 2586: the network's order
			pcm[i] = int16(binary.BigEndian.Uint16(b[2*i:]))
		} else {
			pcm[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
		}
	}
	return Resample(pcm, rate), nil
}
