package reply

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/width"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// came is the day on which everything in testdata came: a Tuesday.
var came = civil.On(2026, time.January, 13)

// utterance is one row of testdata: what was written and what it means.
type utterance struct {
	line   int
	intent Intent
	scope  []string
	day    string
	text   string
}

func (u utterance) message() Message {
	return Message{Text: strings.NewReplacer(`\n`, "\n").Replace(u.text), On: came}
}

func load(t testing.TB, name string) []utterance {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []utterance
	seen := map[string]bool{}
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		cells := strings.SplitN(sc.Text(), "\t", 4)
		if len(cells) != 4 || !Intent(cells[0]).Known() || seen[cells[3]] {
			t.Fatalf("%s:%d: not intent, scope, day and a text that is new", name, n)
		}
		seen[cells[3]] = true
		u := utterance{n, Intent(cells[0]), nil, cells[2], cells[3]}
		if cells[1] != "" {
			u.scope = strings.Split(cells[1], ",")
		} else {
			u.scope = meanings[rank(u.intent)].scope
		}
		out = append(out, u)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// wrong says what is wrong with a result, "" if nothing is.
func wrong(u utterance, r Result) string {
	day := ""
	if !r.PromiseOn.IsZero() && r.Intent == Promise {
		day = r.PromiseOn.String()
	}
	switch {
	case r.Intent != u.intent:
		return "intent " + string(r.Intent)
	case !slices.Equal(r.Scope, u.scope):
		return "scope " + strings.Join(r.Scope, ",")
	case day != u.day:
		return "day " + day
	case r.Auto == slices.Contains(r.Scope, scopeHuman):
		return "auto"
	}
	return ""
}

// corpora are the files of utterances: those the rules were written with, and those written after them.
var corpora = []string{"utterances.tsv", "holdout.tsv"}

func TestUtterances(t *testing.T) {
	t.Parallel()
	for _, name := range corpora {
		for _, u := range load(t, name) {
			r := Classify(u.message())
			if w := wrong(u, r); w != "" {
				t.Errorf("%s:%d: %q: got %s by %s, want %s %v %s", name, u.line, u.text, w, r.Matched, u.intent, u.scope, u.day)
			}
		}
	}
}

// The corpora are large enough to mean something.
func TestCorpora(t *testing.T) {
	t.Parallel()
	for name, least := range map[string]struct{ all, each int }{"utterances.tsv": {450, 20}, "holdout.tsv": {120, 3}} {
		rows := load(t, name)
		if len(rows) < least.all {
			t.Errorf("%s: %d rows, want %d", name, len(rows), least.all)
		}
		for _, intent := range Intents() {
			n := 0
			for _, u := range rows {
				if u.intent == intent {
					n++
				}
			}
			if n < least.each {
				t.Errorf("%s: %d rows of %s, want %d", name, n, intent, least.each)
			}
		}
	}
}

// No refusal is missed, however it is dressed; nothing promised or asked is taken for one.
func TestNoRefusalMissed(t *testing.T) {
	t.Parallel()
	dress := map[string]func(string) string{
		"as it is":     func(s string) string { return s },
		"upper case":   strings.ToUpper,
		"full width":   width.Widen.String,
		"invisible":    func(s string) string { return "\u200b" + strings.Join(strings.Split(s, ""), "\u200b") },
		"emoji":        func(s string) string { return "😡 " + s + " 🙏" },
		"loud":         func(s string) string { return s + "!!!" },
		"space":        func(s string) string { return "  \t" + s + "\n\n" },
		"mail program": func(s string) string { return s + "\nSent from my iPhone" },
	}
	for _, name := range corpora {
		for _, u := range load(t, name) {
			for how, put := range dress {
				m := u.message()
				m.Text = put(m.Text)
				r := Classify(m)
				refused := r.Intent == OptOut
				switch {
				case u.intent == OptOut && !refused:
					t.Errorf("%s:%d: %q (%s): a refusal taken for %s by %s", name, u.line, u.text, how, r.Intent, r.Matched)
				case (u.intent == Promise || u.intent == Question) && refused:
					t.Errorf("%s:%d: %q (%s): %s taken for a refusal by %s", name, u.line, u.text, how, u.intent, r.Matched)
				}
			}
		}
	}
}

// The bare words of carriers refuse the channel they came by.
func TestChannels(t *testing.T) {
	t.Parallel()
	for channel, want := range map[duly.Channel]string{
		"": "sms", duly.ChannelSMS: "sms", duly.ChannelEmail: "email", duly.ChannelIM: "im", duly.ChannelPush: "push", duly.ChannelInApp: "in_app",
		duly.ChannelAgent: "calls", duly.ChannelRobot: "calls", duly.ChannelPrerecorded: "calls", duly.ChannelLetter: "letter", "pigeon": "all",
	} {
		for _, text := range []string{"STOP", "退订", "please stop", "别再发了"} {
			r := Classify(Message{Text: text, Channel: channel})
			if r.Intent != OptOut || !slices.Equal(r.Scope, []string{want}) || !r.Auto {
				t.Errorf("%q by %q: got %s %v auto %v, want %s", text, channel, r.Intent, r.Scope, r.Auto, want)
			}
		}
	}
}

// What stands with the strongest intent is told too, and what it stops is not lost.
func TestAlso(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text   string
		intent Intent
		also   []Intent
		person bool
		stops  []string
	}{
		{"STOP", OptOut, nil, false, []string{"sms"}},
		{"STOP. I will file a complaint with the CFPB", OptOut, []Intent{Complaint}, true, []string{"sms"}},
		{"wrong number, stop texting me", OptOut, []Intent{WrongParty}, true, []string{"address", "sms"}},
		{"Stop calling me. Talk to my attorney.", OptOut, []Intent{Attorney}, true, []string{"all"}},
		{"别再给我和家人打电话了", OptOut, []Intent{ThirdParty}, false, []string{"calls", "third_party"}},
		{"STOP or I will kill myself", Crisis, []Intent{OptOut}, true, []string{"sms", "stop_automation", "urgent_human"}},
		{"我已经还了，还发？我要投诉", Complaint, []Intent{Claim, Question}, true, nil},
		{"don't call me at work, I'll pay tomorrow", Place, []Intent{Promise}, true, []string{"work"}},
		{"How much do I owe?", Question, nil, true, nil},
	} {
		r := Classify(Message{Text: c.text, On: came})
		if r.Intent != c.intent || !slices.Equal(r.Also, c.also) || r.Person != c.person || !slices.Equal(r.Stops, c.stops) {
			t.Errorf("%q: got %s also %v person %v stops %v", c.text, r.Intent, r.Also, r.Person, r.Stops)
		}
	}
}

// A text beyond the limit is cut in its middle; a refusal at either end is still heard, and nothing else is acted on.
func TestLongText(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("blah 你好 ", 4*TextMax)
	for _, c := range []struct {
		text string
		want Intent
		auto bool
	}{
		{"STOP\n" + long, OptOut, true},
		{long + "\nSTOP", OptOut, true},
		{"别再联系我。" + long, OptOut, true},
		{"I will pay tomorrow. " + long, Promise, false},
		{long, Unknown, false},
	} {
		r := Classify(Message{Text: c.text, On: came})
		if r.Intent != c.want || r.Auto != c.auto || !r.Person {
			t.Errorf("%.20q…: got %s auto %v person %v, want %s auto %v and a person", c.text, r.Intent, r.Auto, r.Person, c.want, c.auto)
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, name := range corpora {
		for i, u := range load(f, name) {
			if i%20 == 0 {
				f.Add(u.message().Text, "zh-CN", int64(20260113), "sms")
			}
		}
	}
	f.Add("\xff\xfe\u202e", "en-US", int64(20000229), "")
	f.Add(strings.Repeat("ﷺ", TextMax), "", int64(0), "email")
	f.Add("99月99日还 2026-02-31 从99:99到88点", "zh", int64(21991231), "pigeon")
	f.Fuzz(func(t *testing.T, text, language string, day int64, channel string) {
		on, _ := civil.FromInt(day)
		m := Message{Text: text, Language: language, On: on, Channel: duly.Channel(channel)}
		r := Classify(m)
		if again := Classify(m); !reflect.DeepEqual(r, again) {
			t.Fatalf("not the same twice: %+v and %+v", r, again)
		}
		check(t, m, r)
		m.Text += "\nSTOP"
		if r := Classify(m); r.Intent != OptOut && r.Intent != Crisis {
			t.Errorf("a line STOP was taken for %s by %s", r.Intent, r.Matched)
		}
	})
}

// check holds what is true of every result.
func check(t *testing.T, m Message, r Result) {
	t.Helper()
	if !r.Intent.Known() || r.Matched == "" || len(r.Scope) == 0 || slices.Contains(r.Also, r.Intent) {
		t.Errorf("not a result: %+v", r)
	}
	if r.Auto == slices.Contains(r.Scope, scopeHuman) || !r.Auto && !r.Person {
		t.Errorf("what is not for a person must be for less contact, and the reverse: %+v", r)
	}
	if r.Auto && r.Intent == Promise && (r.PromiseOn.Before(m.On) || r.PromiseOn.Sub(m.On) > PromiseDaysMax) {
		t.Errorf("a promise recorded for %s on %s", r.PromiseOn, m.On)
	}
	if r.Hours.From < 0 || r.Hours.To > midnight || r.Hours.From > r.Hours.To {
		t.Errorf("not hours: %v", r.Hours)
	}
	if m.On.IsZero() && !r.PromiseOn.IsZero() {
		t.Errorf("a day %s without knowing today", r.PromiseOn)
	}
}

func TestIntents(t *testing.T) {
	t.Parallel()
	for _, name := range corpora {
		for _, u := range load(t, name) {
			check(t, u.message(), Classify(u.message()))
		}
	}
	if Intent("").Known() || Intent("stop").Known() {
		t.Error("an intent that is in no table is known")
	}
}

// Target: under 1 ms for a text of one line.
func BenchmarkClassify(b *testing.B) {
	for name, text := range map[string]string{
		"keyword": "STOP",
		"chinese": "别再给我打电话了，发短信就行",
		"english": "I can't stop by the branch today, I'll pay online Friday",
		"longest": strings.Repeat("I will see what I can do about it. 再说吧。", 30),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Classify(Message{Text: text, On: came})
			}
		})
	}
}

func ExampleClassify() {
	r := Classify(Message{Text: "别再给我打电话了，发短信就行", Channel: duly.ChannelSMS})
	fmt.Println(r.Intent, r.Scope, r.Auto)
	r = Classify(Message{Text: "Can't stop by today, will pay next Friday", On: civil.On(2026, time.January, 13)})
	fmt.Println(r.Intent, r.PromiseOn, r.Auto)
	// Output:
	// opt_out [calls] true
	// promise 2026-01-23 true
}
