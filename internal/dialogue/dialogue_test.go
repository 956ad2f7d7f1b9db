package dialogue_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/dialogues"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/dialogue"
)

var today = civil.On(2026, time.March, 2)

func values() dialogue.Values {
	return dialogue.Values{Today: today, Variables: map[string]string{
		"lender": "示例消金", "borrower_name": "王小明", "service_phone": "95000", "total": "¥1,234.50", "installments": "2笔",
		"due_date": "2026年3月1日", "contract_tail": "8812", "code": "A10742",
	}}
}

func shipped(t *testing.T, file string) []byte {
	t.Helper()
	src, err := dialogues.FS.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func load(t *testing.T, file string) *dialogue.Dialogue {
	t.Helper()
	d, err := dialogue.Load(file, shipped(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var files = []string{"zh-CN/reminder.yaml", "zh-CN/notice.yaml", "en/reminder.yaml", "en/notice.yaml"}

// What ships is proved, and there in every language.
func TestShipped(t *testing.T) {
	t.Parallel()
	set, err := dialogue.LoadFS(dialogues.FS)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		for _, l := range dialogue.Languages() {
			if set.Find(l, name) == nil {
				t.Errorf("%s is not there in %s", name, l)
			}
		}
	}
	if set.Find("zh-Hans-CN", "reminder") == nil || set.Find("en-GB", "notice") == nil || set.Find("fr", "notice") != nil {
		t.Error("a form of a language does not find the language's dialogue, or another's is found")
	}
}

// play presses keys (- is silence, m a machine, . the end of words, s that nothing is owed, a an agent who takes it, n none) and returns the
// result and all that was said.
func play(t *testing.T, d *dialogue.Dialogue, keys string) (dialogue.Result, string) {
	t.Helper()
	c, err := d.Begin(values())
	if err != nil {
		t.Fatal(err)
	}
	said := ""
	step := c.Start()
	do := func(s dialogue.Step) {
		step = s
		if s.Say != "" {
			said += s.State + " "
		}
		if s.Debt {
			c.Naming()
		}
	}
	do(step)
	for _, k := range keys {
		for !step.Listen && !step.Hang && !step.Transfer && k != 's' && k != 'm' {
			do(c.Said())
		}
		switch k {
		case '-':
			do(c.Silent())
		case 'm':
			if s, ok := c.Machine(); ok {
				do(s)
			}
		case 's':
			do(c.Settled())
		case 'a', 'n':
			do(c.Transferred(k == 'a'))
		default:
			if s, ok := c.Key(byte(k)); ok {
				do(s)
			}
		}
	}
	if !step.Hang {
		said += "…"
	}
	return c.Result, strings.TrimSpace(said)
}

func TestPlay(t *testing.T) {
	t.Parallel()
	d := load(t, "zh-CN/reminder.yaml")
	for _, c := range []struct {
		keys    string
		outcome dialogue.Outcome
		on      civil.Date
		said    string
	}{
		{"112", dialogue.Promised, today.Add(1), "greet who owed menu day thanks"},
		{"117", dialogue.Promised, today.Add(7), "greet who owed menu day thanks"},
		{"12", dialogue.NeedsTime, civil.Date{}, "greet who owed menu time"},
		{"13", dialogue.SaysPaid, civil.Date{}, "greet who owed menu paid"},
		{"2", dialogue.WrongNumber, civil.Date{}, "greet who stranger"},
		{"9", dialogue.Refuses, civil.Date{}, "greet who refused"},
		{"0a", dialogue.Agent, civil.Date{}, "greet who person"},
		{"0n", dialogue.WantsPerson, civil.Date{}, "greet who person callback"},
		{"--", dialogue.NoOutcome, civil.Date{}, "greet who who unsure"},
		{"-1--", dialogue.NoOutcome, civil.Date{}, "greet who who owed menu menu goodbye"},
		{"777", dialogue.NoOutcome, civil.Date{}, "greet who who unsure"},
		{"1888", dialogue.NoOutcome, civil.Date{}, "greet who owed menu owed_again menu owed_again menu goodbye"},
		{"m", dialogue.NoOutcome, civil.Date{}, "greet"},
		{"1m", dialogue.NoOutcome, civil.Date{}, "greet who owed …"},
		{"1s", dialogue.NoOutcome, civil.Date{}, "greet who owed settled"},
	} {
		got, said := play(t, d, c.keys)
		said = strings.ReplaceAll(said, "…", " …")
		said = strings.Join(strings.Fields(said), " ")
		if got.Outcome != c.outcome || got.PromiseOn != c.on || said != c.said {
			t.Errorf("keys %s: got %q on %s, said %q; want %q on %s, %q", c.keys, got.Outcome, got.PromiseOn, said, c.outcome, c.on, c.said)
		}
	}
}

// Words that are understood stand for keys.
func TestHeard(t *testing.T) {
	t.Parallel()
	c, err := load(t, "zh-CN/reminder.yaml").Begin(values())
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	c.Said()
	if _, ok := c.Heard("今天天气不错"); ok {
		t.Error("words that mean nothing here were taken")
	}
	if s, ok := c.Heard("是的。"); !ok || s.State != "owed" || !c.Result.Confirmed {
		t.Errorf("got %+v, %v", s, ok)
	}
}

const digits = `
name: digits
language: en
title: Digits
states:
  - {id: greet, say: "This is an automated call from {{lender}}.", next: who}
  - {id: who, verify: "Key in the last four digits of your contract.", match: {variable: contract_tail, digits: 4, to: owed}, on: {"*": person}, silence: bye}
  - {id: owed, debt: "You owe {{total}}.", next: day, settled: bye}
  - {id: day, promise: "Key in month and day.", digits: 4, on: {"*": person}, next: bye, silence: bye}
  - {id: person, transfer: "Please hold.", otherwise: back}
  - {id: back, end: "Somebody will call you.", outcome: person}
  - {id: bye, end: "Goodbye."}
`

func TestDigits(t *testing.T) {
	t.Parallel()
	d, err := dialogue.Load("digits.yaml", []byte(digits))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		keys      string
		confirmed bool
		on        civil.Date
	}{
		{"88120305", true, civil.On(2026, time.March, 5)},
		{"8812040103 05", true, civil.On(2026, time.April, 1)},
		{"881213010305", true, civil.On(2026, time.March, 5)}, // no such month: asked again
		{"88120901", true, civil.Date{}},                      // too far ahead
		{"12348812", true, civil.Date{}},                      // the second try is right
		{"12341234", false, civil.Date{}},
	} {
		got, said := play(t, d, strings.ReplaceAll(c.keys, " ", ""))
		if got.Confirmed != c.confirmed || got.PromiseOn != c.on {
			t.Errorf("%s: got %+v, said %s", c.keys, got, said)
		}
	}
}

// A dialogue with one flaw, and the claim and the path that tell of it.
func TestFlaws(t *testing.T) {
	t.Parallel()
	base := string(shipped(t, "zh-CN/reminder.yaml"))
	for _, c := range []struct {
		name, from, to string
		claim          dialogue.Claim
		path           string
	}{
		{"the amount in the greeting", "我是自动语音助手，", "我是自动语音助手，您应还{{total}}，", dialogue.Discreet, "greet"},
		{"a word of debt to whoever answers", "请问您是{{borrower_name}}本人吗？", "请问您是借款人{{borrower_name}}吗？", dialogue.Discreet, "greet: said → who"},
		{"another key leads to the debt", `on: {"2": stranger, "9": refused, "0": person}`, `on: {"2": owed, "9": refused, "0": person}`, dialogue.Discreet, "greet: said → who: key 2 → owed"},
		{"silence leads to the debt", "silence: unsure", "silence: owed", dialogue.Discreet, "greet: said → who: silence → owed"},
		{"no question whether it is owed", "pass: {\"1\": owed}", "pass: {\"1\": day}", dialogue.Discreet, "greet: said → who: key 1 → day"},
		{"a round without end", "    visits: 2\n    then: goodbye\n", "", dialogue.Bounded, "menu: key 8 → owed_again: said → menu"},
		{"no key for a person", `"9": refused, "0": person}
    words: {"1": [可以还, 我会还], "2": [有困难, 没钱, 还不上], "3": [还了, 已经还了, 我还过了], "0": [转人工, 人工]}`, `"9": refused}`, dialogue.Reachable, ""},
		{"nobody calls back", "otherwise: callback", "otherwise: unsure", dialogue.Reachable, ""},
		{"not said to be automated", "我是自动语音助手，这通电话由机器自动拨打。", "请听我说。", dialogue.Honest, "greet: said → who"},
		{"not said who calls", "这里是{{lender}}。", "", dialogue.Honest, "greet: said → who"},
		{"a state that is not there", "settled: settled", "settled: gone", dialogue.Whole, ""},
		{"a state that nothing leads to", "  - id: unsure\n", "  - id: lost\n    end: 再见。\n  - id: unsure\n", dialogue.Whole, ""},
		{"a stranger's promise", "    outcome: wrong_number", "    outcome: needs_time", dialogue.Discreet, "greet: said → who: key 2 → stranger"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			src := strings.Replace(base, c.from, c.to, 1)
			if src == base {
				t.Fatal("the flaw was not put in")
			}
			d, err := dialogue.Read("flawed.yaml", []byte(src))
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range d.Prove() {
				if b.Claim == c.claim && strings.Join(b.Path, " → ") == c.path {
					if err := d.Check(); err == nil || !strings.Contains(err.Error(), b.State) {
						t.Errorf("Check says %v", err)
					}
					return
				}
			}
			t.Errorf("not found: %+v", d.Prove())
		})
	}
}

// Every way out of a state is led to every other state in turn. Whatever is proved then must hold when the dialogue is played, by keys at
// random: the prover and the player are two readings of the same file.
func TestProofHolds(t *testing.T) {
	t.Parallel()
	base := string(shipped(t, "zh-CN/reminder.yaml"))
	r := rand.New(rand.NewPCG(1, 2))
	states := load(t, "zh-CN/reminder.yaml").States()
	proved, refuted := 0, 0
	for _, line := range strings.Split(base, "\n") {
		for i := range states {
			for _, old := range states {
				for _, form := range []string{": %s\n", ": %s,", ": %s}"} {
					was := fmt.Sprintf(form, old.ID)
					if old.ID == states[i].ID || !strings.Contains(line+"\n", was) || strings.Contains(line, "- id") {
						continue
					}
					src := strings.Replace(base+"\n", line+"\n", strings.Replace(line+"\n", was, fmt.Sprintf(form, states[i].ID), 1), 1)
					d, err := dialogue.Load("mutant.yaml", []byte(src))
					if err != nil {
						refuted++
						continue
					}
					proved++
					for range 20 {
						wander(t, d, r, line+" → "+states[i].ID)
					}
				}
			}
		}
	}
	if proved < 50 || refuted < 50 {
		t.Errorf("%d proved and %d refuted: too few to tell", proved, refuted)
	}
}

// wander plays a call with keys at random and holds it to the claims.
func wander(t *testing.T, d *dialogue.Dialogue, r *rand.Rand, what string) {
	t.Helper()
	c, err := d.Begin(values())
	if err != nil {
		t.Fatal(err)
	}
	passed, asked, automated, path := false, false, false, ""
	step := c.Start()
	for n := 0; ; n++ {
		path += step.State + " "
		if n > 400 {
			t.Fatalf("%s: the call does not end: %s", what, path)
		}
		if strings.Contains(step.Say, "1,234.50") && !(passed && asked || step.Debt && passed) {
			t.Fatalf("%s: a stranger hears of the debt: %s", what, path)
		}
		automated = automated || strings.Contains(step.Say, "自动")
		if step.Listen && !automated {
			t.Fatalf("%s: it asks before it says what it is: %s", what, path)
		}
		asked = asked || step.Debt
		switch {
		case step.Hang:
			return
		case step.Transfer:
			step = c.Transferred(false)
		case !step.Listen && step.Debt && r.IntN(5) == 0:
			step = c.Settled()
		case !step.Listen:
			step = c.Said()
		case r.IntN(6) == 0:
			step = c.Silent()
		default:
			k := "0123456789*#"[r.IntN(12)]
			if s, ok := c.Key(k); ok {
				passed = c.Result.Confirmed
				if passed && k != '1' && step.State == "who" {
					t.Fatalf("%s: key %c confirmed", what, k)
				}
				step = s
			}
		}
	}
}

// What is wrong with a file is told with its place.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, src, want string }{
		{"not YAML", "states: [", "bad.yaml:1:9"},
		{"unknown key", strings.Replace(digits, "title:", "titel:", 1), "titel"},
		{"two things in a state", strings.Replace(digits, `{id: bye, end:`, `{id: bye, say: "x", end:`, 1), "exactly one thing"},
		{"a key of another kind", strings.Replace(digits, `{id: bye, end: "Goodbye."}`, `{id: bye, end: "Goodbye.", next: who}`, 1), "has no next"},
		{"an unknown variable", strings.Replace(digits, "{{total}}", "{{amount}}", 1), "no variable"},
		{"a placeholder that is open", strings.Replace(digits, "{{total}}", "{{total", 1), "placeholder"},
		{"a digit beside digits", strings.Replace(digits, `on: {"*": person}, silence`, `on: {"0": person}, silence`, 1), "digit of the answer"},
		{"no such language", strings.Replace(digits, "language: en", "language: fr", 1), "language"},
		{"no such outcome", strings.Replace(digits, "outcome: person", "outcome: rich", 1), "outcome"},
		{"a key that is none", strings.Replace(digits, `on: {"*": person}, next`, `on: {"A": person}, next`, 1), "not a key"},
		{"the same id twice", strings.Replace(digits, "id: back", "id: bye", 1), "two states"},
		{"too far ahead", strings.Replace(digits, "digits: 4, on: {\"*\": person}, next: bye", "days: {\"1\": 90}, on: {\"*\": person}, next: bye", 1), "0 to 31 days"},
		{"nothing confirms", strings.Replace(digits, "match: {variable: contract_tail, digits: 4, to: owed}, ", "", 1), "nothing confirms"},
		{"empty", "", "1 to"},
	} {
		if _, err := dialogue.Load("bad.yaml", []byte(c.src)); err == nil || !strings.Contains(fmt.Sprintf("%+v", err), c.want) && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want something of %q", c.name, err, c.want)
		}
	}
	for _, file := range files {
		d := load(t, file)
		v := values()
		delete(v.Variables, "total")
		if _, err := d.Begin(v); err == nil || !strings.Contains(err.Error(), "total") {
			t.Errorf("%s: a call begins without the amount: %v", file, err)
		}
	}
}

// Whatever a file holds, reading it ends, and a dialogue that is proved can be played to its end.
func FuzzLoad(f *testing.F) {
	f.Add(digits)
	for _, file := range files {
		src, err := dialogues.FS.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Fuzz(func(t *testing.T, src string) {
		d, err := dialogue.Load("fuzz.yaml", []byte(src))
		if err != nil {
			return
		}
		c, err := d.Begin(values())
		if err != nil {
			return
		}
		step := c.Start()
		for n := 0; !step.Hang; n++ {
			if n > 5000 {
				t.Fatal("a call of a proved dialogue does not end")
			}
			switch {
			case step.Transfer:
				step = c.Transferred(false)
			case step.Listen && n%3 == 0:
				step = c.Silent()
			case step.Listen:
				if s, ok := c.Key("0123456789*#"[n%12]); ok {
					step = s
				}
			default:
				step = c.Said()
			}
		}
	})
}
