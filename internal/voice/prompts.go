package voice

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/goccy/go-yaml"
)

// Speaker is a voice that says any words.
type Speaker interface {
	// Name is the voice with its version: sound of another name is another sound.
	Name() string
	// Speak says words of a language.
	Speak(ctx context.Context, language, words string) ([]int16, error)
}

// ErrNoVoice is words for which there is neither a recording nor a speaker.
var ErrNoVoice = errors.New("no recording of some words, and no voice to say them")

// Limits of prompts.
const (
	recordingsMax = 5000
	memoryMax     = 500       // texts that are kept in memory
	recordedMax   = 4 << 20   // bytes of one recording's file
	spokenMax     = 60 * Rate // samples of one text
)

// Prompts turns words into sound. Recordings come first: the longest that fits, then the next, so that a sentence with an amount in it
// is put together of what was recorded. What no recording covers the speaker says. It is safe for concurrent use.
type Prompts struct {
	speaker Speaker
	cache   string // a folder, "" for none
	lexicon map[string]string
	books   map[string]*book // by language

	mu   sync.Mutex
	kept map[string][]int16
	old  []string
}

// book is the recordings in a language.
type book struct {
	sounds  map[string][]int16 // by folded words
	lengths []int              // of those words in runes, the longest first
}

// PromptsOf are the settings of prompts.
type PromptsOf struct {
	Recordings string            // a folder with <language>/index.yaml: words, and the WAV file of each; "" for none
	Speaker    Speaker           // nil for none
	Cache      string            // a folder in which sound is kept that holds nothing personal; "" for none
	Lexicon    map[string]string // how the speaker is to be told words that it reads wrongly
}

// NewPrompts reads the recordings.
func NewPrompts(of PromptsOf) (*Prompts, error) {
	p := &Prompts{speaker: of.Speaker, cache: of.Cache, lexicon: of.Lexicon, books: map[string]*book{}, kept: map[string][]int16{}}
	if of.Cache != "" {
		if err := os.MkdirAll(of.Cache, 0o700); err != nil {
			return nil, fmt.Errorf("make the folder for sound: %w", err)
		}
	}
	if of.Recordings == "" {
		return p, nil
	}
	indexes, err := filepath.Glob(filepath.Join(of.Recordings, "*", "index.yaml"))
	if err != nil || len(indexes) == 0 {
		return nil, fmt.Errorf("there is no <language>/index.yaml in the folder of recordings")
	}
	for _, index := range indexes {
		b, err := readBook(index)
		if err != nil {
			return nil, fmt.Errorf("recordings: %w", err)
		}
		p.books[filepath.Base(filepath.Dir(index))] = b
	}
	return p, nil
}

func readBook(index string) (*book, error) {
	src, err := os.ReadFile(index)
	if err != nil {
		return nil, err
	}
	var files map[string]string
	if err := yaml.Unmarshal(src, &files); err != nil || len(files) > recordingsMax {
		return nil, fmt.Errorf("%s: want words and file names, at most %d", index, recordingsMax)
	}
	b := &book{sounds: map[string][]int16{}}
	for words, name := range files {
		path := filepath.Join(filepath.Dir(index), filepath.FromSlash(name))
		info, err := os.Stat(path)
		if err != nil || info.Size() > recordedMax {
			return nil, fmt.Errorf("%s: not there, or larger than %d MiB", path, recordedMax>>20)
		}
		wav, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		pcm, err := ReadWAV(wav)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		key := fold(words)
		if b.sounds[key] != nil || key == "" {
			return nil, fmt.Errorf("%s: words are empty, or given twice", index)
		}
		b.sounds[key] = pcm
		b.lengths = append(b.lengths, len([]rune(key)))
	}
	slices.Sort(b.lengths)
	slices.Reverse(b.lengths)
	b.lengths = slices.Compact(b.lengths)
	return b, nil
}

// fold writes words as recordings are looked for: without spaces and marks, in small letters.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// Speak returns the sound of words, spelled out first. With keep it may be kept for the next call: words that hold nothing personal.
func (p *Prompts) Speak(ctx context.Context, language, words string, keep bool) ([]int16, error) {
	words = Spell(language, words)
	key := p.key(language, words)
	if pcm := p.remembered(key, keep); pcm != nil {
		return pcm, nil
	}
	pcm, err := p.put(ctx, language, words)
	if err != nil {
		return nil, err
	}
	if len(pcm) > spokenMax {
		return nil, fmt.Errorf("words last longer than %d s", spokenMax/Rate)
	}
	if keep {
		p.remember(key, pcm)
	}
	return pcm, nil
}

// put puts words together of recordings and speech.
func (p *Prompts) put(ctx context.Context, language, words string) ([]int16, error) {
	b := p.books[language]
	if b == nil {
		return p.say(ctx, language, words)
	}
	var out []int16
	var gap []rune
	fill := func() error {
		if fold(string(gap)) == "" {
			gap = nil
			return nil
		}
		pcm, err := p.say(ctx, language, string(gap))
		out, gap = append(out, pcm...), nil
		return err
	}
	for rest := []rune(words); len(rest) > 0; {
		n, pcm := b.longest(rest)
		if pcm == nil {
			gap, rest = append(gap, rest[0]), rest[1:]
			continue
		}
		if err := fill(); err != nil {
			return nil, err
		}
		out, rest = append(out, pcm...), rest[n:]
	}
	return out, fill()
}

// longest returns the longest recording that words begin with, and how many runes of them it covers; marks and spaces between are
// covered with it.
func (b *book) longest(words []rune) (int, []int16) {
	limit := 0
	if len(b.lengths) > 0 {
		limit = b.lengths[0]
	}
	var best []int16
	covered := 0
	var key []rune
	for i, r := range words {
		if f := fold(string(r)); f != "" {
			key = append(key, []rune(f)...)
		} else if len(key) == 0 {
			return 0, nil
		}
		if len(key) > limit {
			break
		}
		if pcm := b.sounds[string(key)]; pcm != nil {
			best, covered = pcm, i+1
		}
	}
	return covered, best
}

// say has the speaker say words.
func (p *Prompts) say(ctx context.Context, language, words string) ([]int16, error) {
	if p.speaker == nil {
		return nil, ErrNoVoice
	}
	for _, from := range sortedKeys(p.lexicon) {
		words = strings.ReplaceAll(words, from, " "+p.lexicon[from]+" ")
	}
	return p.speaker.Speak(ctx, language, words)
}

// sortedKeys returns the keys, the longest first: a word goes before what is a part of it.
func sortedKeys(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return out
}

// key is a hash of all that the sound depends on.
func (p *Prompts) key(language, words string) string {
	h := sha256.New()
	name := ""
	if p.speaker != nil {
		name = p.speaker.Name()
	}
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00", name, language, words)
	for _, k := range sortedKeys(p.lexicon) {
		fmt.Fprintf(h, "%s\x00%s\x00", k, p.lexicon[k])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (p *Prompts) remembered(key string, keep bool) []int16 {
	p.mu.Lock()
	pcm := p.kept[key]
	p.mu.Unlock()
	if pcm != nil || !keep || p.cache == "" {
		return pcm
	}
	b, err := os.ReadFile(filepath.Join(p.cache, key+".pcm"))
	if err != nil || len(b) < 2 || len(b) > 2*spokenMax {
		return nil
	}
	pcm = make([]int16, len(b)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	p.inMemory(key, pcm)
	return pcm
}

func (p *Prompts) inMemory(key string, pcm []int16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept[key] == nil {
		p.old = append(p.old, key)
	}
	p.kept[key] = pcm
	if len(p.old) > memoryMax {
		delete(p.kept, p.old[0])
		p.old = p.old[1:]
	}
}

// remember keeps sound. A cache that cannot be written is none: the sound is made again.
func (p *Prompts) remember(key string, pcm []int16) {
	p.inMemory(key, pcm)
	if p.cache == "" {
		return
	}
	b := make([]byte, 0, 2*len(pcm))
	for _, s := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	f, err := os.CreateTemp(p.cache, "new-")
	if err != nil {
		return
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err != nil || cerr != nil || os.Rename(f.Name(), filepath.Join(p.cache, key+".pcm")) != nil {
		_ = os.Remove(f.Name())
	}
}
