package message

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// one makes a set of one template in English whose instant message is the text; it declares the variables it finds.
func one(t *testing.T, text string) *Set {
	t.Helper()
	return setOf(t, map[string]string{"en/note.yaml": declare("note", "en", "im: "+fmt.Sprintf("%q", text)+"\n")})
}

func declare(name, language, texts string) string {
	var used []string
	for _, v := range Variables() {
		if strings.Contains(texts, "{{"+v.Name+"}}") {
			used = append(used, v.Name)
		}
	}
	return fmt.Sprintf("name: %s\nlanguage: %s\ntone: friendly\ntitle: A note\nvariables: [%s]\n%s", name, language, strings.Join(used, ", "), texts)
}

func setOf(t *testing.T, files map[string]string) *Set {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, src := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
	}
	s, err := LoadFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryVariable(t *testing.T) {
	t.Parallel()
	want := map[string][2]string{ // before the due day in English; after it in Chinese, several instalments
		"borrower_name": {"Wang Xiaoming", "王小明"},
		"lender":        {"Example Credit", "示例消金"},
		"service_phone": {"95000", "95000"},
		"today":         {"2 December 2026", "2026年12月6日"},
		"code":          {"k3m9qx", "k3m9qx"},
		"due_date":      {"3 December 2026", "2026年12月2日至2026年12月3日"},
		"due_when":      {"tomorrow, 3 December 2026", "2026年12月2日至2026年12月3日"},
		"days_to_due":   {"1 day", ""},
		"pay_hint":      {"In the app", "在App内"},
		"installments":  {"1 instalment", "3笔"},
		"total":         {"CNY 1,234.50", "¥11,235.49"},
		"days_past_due": {"", "4天"},
		"contract_tail": {"8812", "8812、9901"},
		"details": {"contract ending 8812: CNY 1,234.50 due 3 December 2026",
			"尾号8812 ¥1,234.50 2026年12月3日到期；尾号8812 ¥0.99 2026年12月3日到期；尾号9901 ¥10,000.00 2026年12月2日到期"},
		"debit_reason": {"not enough money in the account", "账户余额不足"},
	}
	for _, v := range Variables() {
		if v.English == "" || v.Chinese == "" || v.Example == "" {
			t.Errorf("%s is not told of in both languages with an example", v.Name)
		}
		set := setOf(t, map[string]string{
			"en/note.yaml":    declare("note", "en", "im: \"{{"+v.Name+"}}\"\n"),
			"zh-CN/note.yaml": declare("note", "zh-CN", "im: \"{{"+v.Name+"}}\"\n"),
		})
		before, after := sample("en", -1, false), sample("zh-CN", 3, true)
		before.PayHint, after.PayHint = "In the app", "在App内"
		for i, r := range []struct {
			language string
			v        *Values
		}{{"en", before}, {"zh-CN", after}} {
			w, err := set.Render("note", r.language, duly.ChannelIM, r.v)
			if want, ok := want[v.Name]; !ok || w.Text != want[i] {
				t.Errorf("%s in %s: got %q, %v, want %q", v.Name, r.language, w.Text, err, want[i])
			}
		}
	}
}

// A value that is missing or unfit is refused, by name and without the value.
func TestRefusals(t *testing.T) {
	t.Parallel()
	due := civil.On(2026, time.December, 3)
	long := strings.Repeat("secret", 20)
	for name, c := range map[string]struct {
		text  string
		spoil func(*Values)
		want  string
	}{
		"no name":             {"{{borrower_name}}", func(v *Values) { v.Name = "" }, "borrower_name has no value"},
		"blank name":          {"{{borrower_name}}", func(v *Values) { v.Name = " \t\u200b\n" }, "borrower_name has no value"},
		"long name":           {"{{borrower_name}}", func(v *Values) { v.Name = long }, "borrower_name is longer than 64 characters"},
		"no lender":           {"{{lender}}", func(v *Values) { v.Lender = "" }, "lender has no value"},
		"no phone":            {"{{service_phone}}", func(v *Values) { v.ServicePhone = "" }, "service_phone has no value"},
		"no way to pay":       {"{{pay_hint}}", func(*Values) {}, "pay_hint has no value"},
		"no day":              {"{{today}}", func(v *Values) { v.Today = civil.Date{} }, "today has no value"},
		"no items":            {"{{total}} {{due_date}}", func(v *Values) { v.Items = nil }, "total has no value; due_date has no value"},
		"no items, counted":   {"{{installments}}", func(v *Values) { v.Items = nil }, "installments has no value"},
		"no items, listed":    {"{{details}}", func(v *Values) { v.Items = nil }, "details has no value"},
		"no items, contracts": {"{{contract_tail}}", func(v *Values) { v.Items = nil }, "contract_tail has no value"},
		"no items, when":      {"{{due_when}}", func(v *Values) { v.Items = nil }, "due_when has no value"},
		"no due day":          {"{{due_date}}", func(v *Values) { v.Items[0].DueOn = civil.Date{} }, "due_date has no value"},
		"nothing owed":        {"{{total}}", func(v *Values) { v.Items[0].Outstanding.Minor = 0 }, "total has an instalment on which nothing is owed"},
		"less than nothing":   {"{{details}}", func(v *Values) { v.Items[0].Outstanding.Minor = -1 }, "details has an instalment on which nothing is owed"},
		"no currency":         {"{{total}}", func(v *Values) { v.Items[0].Outstanding.Currency = "" }, "total has an instalment on which nothing is owed"},
		"too much": {"{{total}}", func(v *Values) {
			v.Items = append(v.Items, duly.Item{LoanID: "L1", DueOn: due, Outstanding: money.New(math.MaxInt64, "CNY")})
		}, "total is too large a sum"},
		"too many currencies": {"{{total}}", func(v *Values) {
			for _, c := range []money.Currency{"USD", "EUR", "GBP", "HKD"} {
				v.Items = append(v.Items, duly.Item{LoanID: "L1", DueOn: due, Outstanding: money.New(1, c)})
			}
		}, "total has too many currencies"},
		"days to a day that has passed":  {"{{days_to_due}}", func(v *Values) { v.Today = due.Add(1) }, "days_to_due has no value once the due day has passed"},
		"days since a day that is to be": {"{{days_past_due}}", func(v *Values) { v.Today = due }, "days_past_due has no value until the due day has passed"},
		"no contract":                    {"{{contract_tail}}", func(v *Values) { v.Contracts = nil }, "contract_tail has no value"},
		"no contract in a list":          {"{{details}}", func(v *Values) { v.Contracts = nil }, "details has no value"},
		"no failed debit":                {"{{debit_reason}}", func(v *Values) { v.DebitReason = "" }, "debit_reason has no value"},
		"all at once":                    {"{{lender}} {{code}} {{lender}}", func(v *Values) { v.Lender, v.Code = "", "" }, "lender has no value; code has no value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, v := one(t, c.text), sample("en", -1, false)
			c.spoil(v)
			w, err := set.Render("note", "en", duly.ChannelIM, v)
			e, ok := errors.AsType[*duly.Error](err)
			if !ok {
				t.Fatalf("got %q, %v, want a refusal", w.Text, err)
			}
			if want := "template note (en, im): " + c.want; e.Code != duly.Refused || e.Message != want || e.Hint == "" {
				t.Errorf("got %s %q (%s), want refused %q", e.Code, e.Message, e.Hint, want)
			}
			if w != (Words{}) {
				t.Errorf("words came with the refusal: %q", w.Text)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "1234") {
				t.Errorf("the error holds the value: %v", err)
			}
		})
	}
}

func TestSignature(t *testing.T) {
	t.Parallel()
	set := shipped(t)
	for lender, want := range map[string]string{
		"示":                           "lender must have 2 to 16 characters to sign an SMS",
		strings.Repeat("示", 17):       "lender must have 2 to 16 characters to sign an SMS",
		"示例】【公安":                      "lender must not hold 【 or 】, which close the signature",
		"示例":                          "",
		strings.Repeat("示", 16):       "",
		"示例\n消金\u202e\u0000":          "",
		"\u200b示例\u200b消金" + "\u2028": "",
	} {
		v := sample("zh-CN", -1, false)
		v.Lender = lender
		w, err := set.Render("due-tomorrow", "zh-CN", duly.ChannelSMS, v)
		switch {
		case want == "" && (err != nil || !strings.HasPrefix(w.Text, "【示")):
			t.Errorf("%q: got %q, %v", lender, w.Text, err)
		case want != "" && (err == nil || !strings.HasSuffix(err.(*duly.Error).Message, want)):
			t.Errorf("%q: got %v, want %s", lender, err, want)
		}
		if _, err := set.Render("due-tomorrow", "zh-CN", duly.ChannelIM, v); err != nil {
			t.Errorf("%q signs nothing but an SMS: %v", lender, err)
		}
	}
}

// Whatever a value holds, it stands in the text as it is: no placeholder in it is filled, no line is broken.
func TestValuesAreData(t *testing.T) {
	t.Parallel()
	set := setOf(t, map[string]string{"en/note.yaml": declare("note", "en",
		"email:\n  subject: \"To {{borrower_name}}\"\n  text: |\n    {{borrower_name}}\n    {{total}}\n")})
	for name, want := range map[string]string{
		"{{total}}":                       "{{total}}",
		"{{.Items}} %s $1 <b>":            "{{.Items}} %s $1 <b>",
		"a\r\nBcc: x@example.org\r\n\r\n": "a Bcc: x@example.org",
		" \n a \t b\u2029":                "a b",
		"a\u0000\u0085\u009b31m\x1b[1mb":  "a31m[1mb",
		"a\u202egpj.exe\u2066":            "agpj.exe",
		"a\xff\xfeb":                      "ab",
		"کریم\u200cزاده":                  "کریم\u200cزاده", // a joiner that the name's spelling needs
	} {
		v := sample("en", -1, false)
		v.Name = name
		w, err := set.Render("note", "en", duly.ChannelEmail, v)
		if err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if w.Subject != "To "+want || w.Text != want+"\nCNY 1,234.50" {
			t.Errorf("%q: got %q and %q", name, w.Subject, w.Text)
		}
	}
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	text := func(name, language, im string) string { return declare(name, language, im) }
	set := setOf(t, map[string]string{
		"en/note.yaml":     text("note", "en", "im: hello\n"),
		"zh-CN/note.yaml":  text("note", "zh-CN", "im: 您好\npush: {title: 您好, text: 您好}\n"),
		"en/only.yaml":     text("only", "en", "im: only\n"),
		"zh-CN/other.yaml": text("other", "zh-CN", "im: 另外\n"),
	})
	for _, c := range []struct {
		name, language string
		channel        duly.Channel
		want           string // "" for none
	}{
		{"note", "en", duly.ChannelIM, "en"},
		{"note", "en-GB", duly.ChannelIM, "en"},
		{"note", "EN_us", duly.ChannelIM, "en"},
		{"note", "zh-CN", duly.ChannelIM, "zh-CN"},
		{"note", "zh", duly.ChannelIM, "zh-CN"},
		{"note", "zh-Hans-CN", duly.ChannelIM, "zh-CN"},
		{"note", "fr", duly.ChannelIM, "zh-CN"},
		{"note", "", duly.ChannelIM, "zh-CN"},
		{"note", "en", duly.ChannelPush, "zh-CN"}, // English has no words for it
		{"only", "en", duly.ChannelIM, "en"},
		{"only", "zh-CN", duly.ChannelIM, ""},
		{"other", "en", duly.ChannelIM, "zh-CN"},
		{"none", "en", duly.ChannelIM, ""},
		{"note", "en", duly.ChannelLetter, ""},
	} {
		w, err := set.Render(c.name, c.language, c.channel, &Values{})
		if w.Language != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s in %q for %s: got %q, %v, want %q", c.name, c.language, c.channel, w.Language, err, c.want)
		}
		if err != nil && duly.CodeOf(err) != duly.NotFound {
			t.Errorf("got code %s, want not_found", duly.CodeOf(err))
		}
	}
	if _, err := set.Render("note", "en", "pigeon", &Values{}); duly.CodeOf(err) != duly.Invalid {
		t.Errorf("unknown channel: got %v", err)
	}
	english := setOf(t, map[string]string{"en/note.yaml": text("note", "en", "im: hello\n")})
	if w, err := english.Render("note", "zh-CN", duly.ChannelIM, &Values{}); w.Language != "en" {
		t.Errorf("without the default language: got %q, %v, want en", w.Language, err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	firm := strings.Replace(declare("firm", "en", "im: hello\n"), "friendly", "firm", 1)
	set := setOf(t, map[string]string{
		"en/note.yaml": declare("note", "en", "im: hello\n"), "zh-CN/note.yaml": declare("note", "zh-CN", "text: 您好\n"),
		"en/only.yaml": declare("only", "en", "im: hello\n"), "en/firm.yaml": firm,
		"zh-CN/firm.yaml": declare("firm", "zh-CN", "im: 您好\n"),
	})
	for _, c := range []struct {
		name    string
		channel duly.Channel
		tone    duly.Tone
		want    []string
	}{
		{"note", duly.ChannelIM, duly.ToneFriendly, nil},
		{"note", duly.ChannelIM, duly.ToneFirm, nil}, // softer than asked
		{"note", duly.ChannelInApp, duly.ToneFirm, []string{"en/note.yaml: in_app the template has no words for channel in_app"}},
		{"note", duly.ChannelRobot, duly.ToneFriendly, []string{
			"en/note.yaml: call the template has no words for channel call_ai", "zh-CN/note.yaml: call the template has no words for channel call_ai",
		}},
		{"firm", duly.ChannelIM, duly.ToneFirm, nil},
		{"firm", duly.ChannelIM, duly.TonePlain, []string{"en/firm.yaml: tone the template's tone is firm and the step's is plain"}},
		{"only", duly.ChannelIM, duly.ToneFriendly, []string{" template only is not there in zh-CN"}},
		{"none", duly.ChannelIM, duly.ToneFriendly, []string{` there is no template "none"`}},
		{"note", "pigeon", duly.ToneFriendly, []string{` unknown channel "pigeon"`}},
		{"note", duly.ChannelIM, "", []string{` unknown tone ""`}},
	} {
		if diff := cmp.Diff(c.want, problems(set.Check(c.name, c.channel, c.tone))); diff != "" {
			t.Errorf("%s for %s, %s (-want +got):\n%s", c.name, c.channel, c.tone, diff)
		}
	}
}

// Firm words go out for what is past due only, whoever asked for them.
func TestFirmIsPastDue(t *testing.T) {
	t.Parallel()
	set := shipped(t)
	for offset, ok := range map[int]bool{-1: false, 0: false, 1: true} {
		_, err := set.Render("overdue-firm", "zh-CN", duly.ChannelPush, sample("zh-CN", offset, true))
		if (err == nil) != ok {
			t.Errorf("day %+d: got %v", offset, err)
		}
	}
}

// A text that comes out too long is refused.
func TestTooLong(t *testing.T) {
	t.Parallel()
	set := setOf(t, map[string]string{"en/note.yaml": declare("note", "en",
		"max_segments: 1\nsms: \"{{lender}} {{borrower_name}} {{service_phone}}\"\n"+
			"push: {title: \"{{lender}} {{borrower_name}}\", text: \"{{lender}} {{borrower_name}} {{service_phone}} "+strings.Repeat("x", 100)+"\"}\n")})
	v := &Values{Lender: strings.Repeat("l", 64), Name: strings.Repeat("n", 64), ServicePhone: "1"}
	if w, err := set.Render("note", "en", duly.ChannelSMS, v); err != nil || w.Segments != 1 || w.Encoding != GSM7 || w.Units != 131 {
		t.Errorf("got %+v, %v", w, err)
	}
	v.Name = "n" + strings.Repeat("名", 2)
	if _, err := set.Render("note", "en", duly.ChannelSMS, v); err != nil {
		t.Errorf("one segment of UCS-2: %v", err)
	}
	v.Name = "n" + strings.Repeat("名", 3)
	if _, err := set.Render("note", "en", duly.ChannelSMS, v); err == nil || !strings.Contains(err.Error(), "2 SMS segments in UCS2, more than 1") {
		t.Errorf("got %v", err)
	}
	v.Name = strings.Repeat("n", 64)
	if _, err := set.Render("note", "en", duly.ChannelPush, v); err == nil || !strings.Contains(err.Error(), "the title is too long") {
		t.Errorf("got %v", err)
	}
	v.Lender = "lender"
	if _, err := set.Render("note", "en", duly.ChannelPush, v); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestDetailsAreCutShort(t *testing.T) {
	t.Parallel()
	v := sample("en", -1, false)
	for n := range 7 {
		v.Items = append(v.Items, duly.Item{LoanID: "L2", No: n, DueOn: v.Today, Outstanding: money.New(100, "USD")})
	}
	w, err := one(t, "{{details}} | {{total}} | {{contract_tail}}").Render("note", "en", duly.ChannelIM, v)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(w.Text, "contract ending"); got != 5 || !strings.Contains(w.Text, "; 3 more | CNY 1,234.50 + USD 7.00 | 8812, 9901") {
		t.Errorf("got %q", w.Text)
	}
}

// Whatever the facts are, the shipped templates give whole words or a refusal: no gap, no control character, no
// placeholder, no SMS beyond its segments; and the same facts give the same words.
func TestRenderProperties(t *testing.T) {
	t.Parallel()
	const seed = 20261123
	r := rand.New(rand.NewPCG(seed, 2))
	set := shipped(t)
	names, words := set.Names(), 0
	for range 5000 {
		name, language, ch := names[r.IntN(len(names))], []string{"zh-CN", "en", "fr"}[r.IntN(3)], channels[r.IntN(len(channels))]
		v := anyValues(r)
		w, err := set.Render(name, language, ch, v)
		again, errAgain := set.Render(name, language, ch, v)
		if w != again || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Fatalf("seed %d: twice is not the same: %+v, %+v", seed, w, again)
		}
		if err != nil {
			if duly.CodeOf(err) != duly.Refused {
				t.Fatalf("seed %d: %v", seed, err)
			}
			continue
		}
		words++
		oneLine := w.Subject
		if ch == duly.ChannelSMS || ch == duly.ChannelPush {
			oneLine += w.Text
		}
		switch {
		case w.Text == "" || strings.Contains(w.Text+w.Subject, "{{"):
			t.Fatalf("seed %d: a gap in %q", seed, w.Text)
		case strings.ContainsFunc(oneLine, unicode.IsControl):
			t.Fatalf("seed %d: a control character in %q", seed, oneLine)
		case ch == duly.ChannelSMS && (w.Segments < 1 || w.Segments > 4):
			t.Fatalf("seed %d: %d segments", seed, w.Segments)
		case language == "zh-CN" && ch == duly.ChannelSMS && !strings.HasPrefix(w.Text, "【"):
			t.Fatalf("seed %d: no signature on %q", seed, w.Text)
		}
	}
	if words < 500 {
		t.Errorf("seed %d: only %d of 5000 gave words: the test looks away", seed, words)
	}
}

func anyValues(r *rand.Rand) *Values {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	today := civil.On(2026, time.March, 1).Add(r.IntN(400))
	v := &Values{
		Name: pick("王小明", "Zoë", "a\nb", "王小明", strings.Repeat("长", 70), ""), Lender: pick("示例消金", "示例消金", "Example", "x\r\ny", strings.Repeat("行", 30)),
		ServicePhone: pick("95000", "95000", "+86 400 000 0000", ""), Code: pick("abc123", "abc123", ""),
		DebitReason: pick("insufficient_funds", "never heard of", ""), Today: today,
		Contracts: map[duly.LoanID]string{"L1": "HT-1", "L2": pick("合同 号88-12", "x", "")},
	}
	for n := range r.IntN(8) {
		v.Items = append(v.Items, duly.Item{
			LoanID: duly.LoanID(pick("L1", "L1", "L2")), No: n + 1, DueOn: today.Add(r.IntN(12) - 8),
			Outstanding: money.New(r.Int64N(1<<uint(1+r.IntN(50))), money.Currency(pick("CNY", "CNY", "CNY", "USD", "JPY"))),
		})
	}
	return v
}

// BenchmarkRender fills an SMS of seven variables. The target is less than 2 µs.
func BenchmarkRender(b *testing.B) {
	set, v := shipped(b), sample("zh-CN", 3, false)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.Render("overdue-plain", "zh-CN", duly.ChannelSMS, v); err != nil {
			b.Fatal(err)
		}
	}
}

// What a template speaks of is, value by value, what stands in its words.
func TestVariablesAreInTheWords(t *testing.T) {
	t.Parallel()
	s, n := shipped(t), 0
	for _, name := range s.Names() {
		for _, language := range s.Languages() {
			for _, ch := range channels {
				v := sample(language, offsets[name], true)
				w, err := s.Render(name, language, ch, v)
				if err != nil {
					t.Fatalf("%s %s %s: %v", name, language, ch, err)
				}
				got, err := s.Variables(name, language, ch, v)
				if err != nil {
					t.Fatalf("%s %s %s: %v", name, language, ch, err)
				}
				for variable, value := range got {
					if n++; value == "" || !strings.Contains(w.Subject+w.Text, value) {
						t.Errorf("%s %s %s: %s is %q, which its words do not say", name, language, ch, variable, value)
					}
				}
			}
		}
	}
	if n < 100 {
		t.Errorf("looked at %d values only", n)
	}
}
