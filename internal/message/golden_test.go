package message

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/templates"
)

var update = flag.Bool("update", false, "write the golden texts anew")

// channels has one channel of every form, and every call.
var channels = []duly.Channel{
	duly.ChannelSMS, duly.ChannelEmail, duly.ChannelPush, duly.ChannelIM, duly.ChannelInApp, duly.ChannelLetter,
	duly.ChannelPrerecorded, duly.ChannelRobot, duly.ChannelAgent,
}

func shipped(tb testing.TB) *Set {
	tb.Helper()
	s, err := LoadFS(templates.FS)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// offsets is the day on which each shipped template is sent, counted from the due day.
var offsets = map[string]int{
	"due-soon": -7, "due-tomorrow": -1, "due-today": 0, "due-today-debit-failed": 0, "overdue-friendly": 1,
	"overdue-plain": 3, "overdue-firm": 7, "late-due-soon": -2, "late-overdue": 4,
}

// sample is what a template is filled with: one instalment, or several of two contracts.
func sample(language string, offset int, several bool) *Values {
	due := civil.On(2026, time.December, 3)
	v := &Values{
		Name: "王小明", Lender: "示例消金", ServicePhone: "95000", Code: "k3m9qx", DebitReason: "insufficient_funds",
		Items:     []duly.Item{{LoanID: "L1", No: 4, DueOn: due, Outstanding: money.New(1234_50, "CNY")}},
		Contracts: map[duly.LoanID]string{"L1": "HT-2026-008812", "L2": "HT-2026-009901"},
		Today:     due.Add(offset),
	}
	if language == "en" {
		v.Name, v.Lender = "Wang Xiaoming", "Example Credit"
	}
	if several {
		v.Items = append(v.Items,
			duly.Item{LoanID: "L1", No: 5, DueOn: due, Outstanding: money.New(99, "CNY")},
			duly.Item{LoanID: "L2", No: 1, DueOn: due.Add(-1), Outstanding: money.New(10_000_00, "CNY")})
	}
	return v
}

func TestGolden(t *testing.T) {
	t.Parallel()
	set := shipped(t)
	for _, name := range set.Names() {
		for _, language := range set.Languages() {
			t.Run(language+"/"+name, func(t *testing.T) {
				t.Parallel()
				offset, ok := offsets[name]
				if !ok {
					t.Fatalf("give %s a day in offsets", name)
				}
				golden(t, filepath.Join("testdata", "golden", language, name+".txt"), renderAll(t, set, name, language, offset))
			})
		}
	}
}

func renderAll(t *testing.T, set *Set, name, language string, offset int) string {
	t.Helper()
	var b strings.Builder
	for _, several := range []bool{false, true} {
		for _, ch := range channels {
			w, err := set.Render(name, language, ch, sample(language, offset, several))
			if err != nil {
				t.Fatalf("%s: %v", ch, err)
			}
			if w.Language != language || w.Template != name || len(w.Hash) != 24 {
				t.Errorf("%s: made from %s in %s, hash %q", ch, w.Template, w.Language, w.Hash)
			}
			fmt.Fprintf(&b, "== %s, %d instalments: %d units", ch, len(sample(language, offset, several).Items), w.Units)
			if ch == duly.ChannelSMS {
				fmt.Fprintf(&b, " %s, %d segments", w.Encoding, w.Segments)
			}
			fmt.Fprintf(&b, "\n")
			if w.Subject != "" {
				fmt.Fprintf(&b, "Subject: %s\n", w.Subject)
			}
			fmt.Fprintf(&b, "%s\n\n", w.Text)
		}
	}
	return b.String()
}

// lockScreen is what must not show on a locked screen, in words of this test's own: money, and what is owed.
var lockScreen = regexp.MustCompile(`[0-9][0-9,.]*元|¥|￥|CNY|1,?234|99|10,?000|欠|逾期|债|催|贷|借款|还款|(?i)\b(debt|overdue|owe|owing|arrears|past due|loan|repay\w*|payment)\b`)

// TestLockScreen: whoever holds the phone of somebody else learns from no shipped push that there is a loan.
func TestLockScreen(t *testing.T) {
	t.Parallel()
	if !lockScreen.MatchString("共1234.50元") || !lockScreen.MatchString("Your loan is overdue") {
		t.Fatal("the test finds nothing")
	}
	set := shipped(t)
	for name, offset := range offsets {
		for _, language := range set.Languages() {
			for _, several := range []bool{false, true} {
				w, err := set.Render(name, language, duly.ChannelPush, sample(language, offset, several))
				if err != nil {
					t.Errorf("%s/%s: %v", language, name, err)
					continue
				}
				if found := lockScreen.FindString(w.Subject + "\n" + strings.ReplaceAll(w.Text, "95000", "")); found != "" {
					t.Errorf("%s/%s: a locked screen shows %q", language, name, found)
				}
			}
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; make it with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); if that is meant, run with -update:\n%s", file, diff)
	}
}

// Every shipped template is there for every channel in every language, and may be used at its own tone.
func TestShippedIsComplete(t *testing.T) {
	t.Parallel()
	set := shipped(t)
	if len(set.Names()) != len(offsets) {
		t.Errorf("got templates %v, want those of offsets", set.Names())
	}
	tones := map[string]duly.Tone{"overdue-plain": duly.TonePlain, "overdue-firm": duly.ToneFirm}
	for name := range offsets {
		tone := duly.ToneFriendly
		if own, ok := tones[name]; ok {
			tone = own
		}
		for _, ch := range channels {
			if err := set.Check(name, ch, tone); err != nil {
				t.Errorf("%s for %s: %v", name, ch, err)
			}
		}
	}
}

// What a locked screen shows gives no amount and no word of a debt away; what a stranger may hear gives nothing away.
// The words of the shipped templates are polite, offer help and name the lender, in every form.
func TestShippedManners(t *testing.T) {
	t.Parallel()
	harsh := regexp.MustCompile(`(?i)坐牢|抓捕|拘留|通缉|上门|曝光|老赖|失信|起诉|立即|马上|最后|否则|后果自负|单位|家人|亲友|公安|法院|` +
		`\bimmediately\b|\bfinal\b|\blast chance\b|\blegal action\b|\bcourt\b|\bpolice\b|\bemployer\b|\bfamily\b|\bmust\b|\bor else\b|!|！！`)
	amount := regexp.MustCompile(`¥|CNY|\d[.,]\d`)
	debt := regexp.MustCompile(`(?i)欠|逾期|债|催|debt|overdue|arrears|\bowe`)
	loan := regexp.MustCompile(`(?i)款|贷|期|利息|loan|pay|instal|credit bureau|due|2026`)
	set := shipped(t)
	for name, offset := range offsets {
		for _, language := range set.Languages() {
			for _, ch := range channels {
				v := sample(language, offset, true)
				v.Lender = "示例机构" // a name that itself says nothing of loans
				w, err := set.Render(name, language, ch, v)
				if err != nil {
					t.Fatalf("%s/%s for %s: %v", language, name, ch, err)
				}
				all := w.Subject + "\n" + w.Text
				if bad := harsh.FindString(strings.ReplaceAll(all, "您好！", "")); bad != "" {
					t.Errorf("%s/%s for %s says %q", language, name, ch, bad)
				}
				if !strings.Contains(all, "示例机构") {
					t.Errorf("%s/%s for %s does not say who writes", language, name, ch)
				}
				if ch != duly.ChannelPush && !strings.Contains(all, "95000") {
					t.Errorf("%s/%s for %s does not say where help is", language, name, ch)
				}
				if bad := debt.FindString(all); ch == duly.ChannelPush && (bad != "" || amount.MatchString(all)) {
					t.Errorf("%s/%s for a locked screen says %q", language, name, all)
				}
				if bad := loan.FindString(all); ch.Call() && bad != "" {
					t.Errorf("%s/%s tells %q before it is known who answers", language, name, bad)
				}
			}
		}
	}
}

// With one instalment the shipped SMS up to the due day cost one segment, the others at most two.
func TestShippedSegments(t *testing.T) {
	t.Parallel()
	set := shipped(t)
	for name, offset := range offsets {
		for _, language := range set.Languages() {
			w, err := set.Render(name, language, duly.ChannelSMS, sample(language, offset, false))
			if err != nil {
				t.Fatal(err)
			}
			most := 1
			if offset > 0 || name == "due-today-debit-failed" {
				most = 2
			}
			if w.Segments > most {
				t.Errorf("%s/%s takes %d segments (%d units)", language, name, w.Segments, w.Units)
			}
		}
	}
}
