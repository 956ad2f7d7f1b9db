package letter_test

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/letter"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/message"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/templates"
)

// The fonts of Debian's packages fonts-dejavu-core and fonts-droid-fallback.
const (
	latin = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
	han   = "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf"
)

// noon is when letters are handed over: 12:00 in Shanghai.
var noon = time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC)

const postal = "北京市朝阳区建国路 88 号院 3 号楼 1201 室\n100022"

func config(t *testing.T) letter.Config {
	t.Helper()
	for _, font := range []string{latin, han} {
		if _, err := os.Stat(font); err != nil {
			t.Skip("no letters: fonts-dejavu-core and fonts-droid-fallback are not installed")
		}
	}
	return letter.Config{Folder: t.TempDir(), Timezone: "Asia/Shanghai", CloseAt: "17:00", Header: []string{"示例消金", "上海市浦东新区世纪大道 1 号", "电话 95000"},
		Sender: "示例消金，上海市浦东新区世纪大道 1 号，200120"}
}

func newSender(t *testing.T, c letter.Config) *letter.Sender {
	t.Helper()
	s, err := letter.New("print", c, channel.Host{Clock: func() time.Time { return noon.Add(time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func msg(n int) channel.Message {
	m := channeltest.Message(duly.ChannelLetter, postal, n)
	m.Now, m.ExpiresAt = noon, noon.Add(48*time.Hour)
	m.Variables = map[string]string{"borrower_name": "欧阳测试"}
	return m
}

func send(t *testing.T, s *letter.Sender, m channel.Message) (channel.Accepted, *channel.Error) {
	t.Helper()
	got, err := s.Send(t.Context(), m)
	if err == nil {
		return got, nil
	}
	e, ok := errors.AsType[*channel.Error](err)
	if !ok {
		t.Fatalf("got a %T, want a *channel.Error", err)
	}
	return got, e
}

// written is a message in the words of a shipped template, with many instalments so that it has several pages.
func written(t *testing.T, name, language string, items int) channel.Message {
	t.Helper()
	set, err := message.LoadFS(templates.FS)
	if err != nil {
		t.Fatal(err)
	}
	amount, err := money.Parse("1234.56", "CNY")
	if err != nil {
		t.Fatal(err)
	}
	v := &message.Values{Name: "欧阳测试", Lender: "示例消金", ServicePhone: "95000", Code: "K7Q2M", Today: civil.On(2026, 3, 2), Contracts: map[duly.LoanID]string{"L1": "HT-2026-0001"}}
	if language == "en" {
		v.Name, v.Lender = "Alex Morgan", "Example Finance"
	}
	for i := range items {
		v.Items = append(v.Items, duly.Item{LoanID: "L1", No: i + 1, DueOn: civil.On(2026, 2, 1).Add(i), Outstanding: amount})
	}
	words, err := set.Render(name, language, duly.ChannelLetter, v)
	if err != nil {
		t.Fatal(err)
	}
	m := msg(1)
	m.Language, m.Subject, m.Text = words.Language, words.Subject, words.Text
	m.Variables = map[string]string{"borrower_name": v.Name}
	if language == "en" {
		m.To = "Flat 12B\n88 Long Example Street\nManchester M1 1AE\nUnited Kingdom"
	}
	return m
}

func TestSuite(t *testing.T) {
	t.Parallel()
	config(t) // or skip
	network := "a folder is not a connection"
	channeltest.Run(t, channeltest.Case{
		New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
			c := config(t)
			carrier := channeltest.Carrier{Channel: duly.ChannelLetter, To: postal, Log: &channeltest.Log{}}
			switch b {
			case channeltest.BadAddress:
				carrier.To = "北京市\n" + strings.Repeat("朝阳区建国路 88 号院 3 号楼 1201 室", 30)
			case channeltest.Rejects:
				c.Fonts, c.Header, c.Sender = []string{latin}, nil, "" // the letter's words are Chinese
			case channeltest.Refuses: // a share that is not mounted yet
				folder := c.Folder
				c.Folder = filepath.Join(folder, "share")
				carrier.Heal = func() {
					if err := os.Mkdir(c.Folder, 0o755); err != nil {
						t.Error(err)
					}
				}
			case channeltest.Unready: // something else is in the way
				block := filepath.Join(c.Folder, ".open")
				if err := os.WriteFile(block, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				carrier.Heal = func() { _ = os.Remove(block) }
			}
			c.Header, c.Sender = nil, ""
			carrier.Sender = logged{newSender(t, c), c.Folder, carrier.Log}
			return carrier
		},
		Skip: map[channeltest.Behaviour]string{
			channeltest.OptsOut: "a print house keeps no list of refusals", channeltest.Unauthorized: "tests run as root, whom no folder refuses",
			channeltest.Throttles: "a folder has no rate", channeltest.DropsEarly: network, channeltest.Silent: network, channeltest.Drops: network,
			channeltest.Cuts: network, channeltest.Babbles: network, channeltest.Floods: network, channeltest.Drips: network,
		},
	})
}

// logged tells the suite what the folder has, as the print house would find it.
type logged struct {
	*letter.Sender
	folder string
	log    *channeltest.Log
}

func (l logged) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	got, err := l.Sender.Send(ctx, m)
	for _, file := range letters(l.folder) {
		if strings.Contains(file, string(m.AttemptID)) {
			l.log.Took(m.AttemptID)
		}
	}
	return got, err
}

// letters lists the letters of all batches, the open one too.
func letters(folder string) []string {
	open, _ := filepath.Glob(filepath.Join(folder, ".open", "*.pdf"))
	closed, _ := filepath.Glob(filepath.Join(folder, "batches", "*", "*.pdf"))
	return append(open, closed...)
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("not looked at: %s is not installed (poppler-utils)", program)
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return string(out)
}

// spaceless is text without spaces and lines, which a page breaks as it likes.
func spaceless(s string) string { return strings.Join(strings.Fields(s), "") }

// TestPages: what stands on paper is what the template says, to the word; with fonts of its own; and the address in the window.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, language := range []string{"en", "zh-CN"} {
		for _, window := range []letter.Window{letter.WindowDINA, letter.WindowDINB} {
			t.Run(fmt.Sprint(language, " ", window), func(t *testing.T) {
				t.Parallel()
				c := config(t)
				c.Window = window
				m := written(t, "overdue-firm", language, 4)
				once := m.Text
				m.Text = strings.Repeat(once+"\n\n", 3)
				got, cerr := send(t, newSender(t, c), m)
				if cerr != nil {
					t.Fatal(cerr)
				}
				file := letters(c.Folder)[0]
				if info := run(t, "pdfinfo", file); got.Segments < 2 || !strings.Contains(info, fmt.Sprintf("Pages:           %d\n", got.Segments)) || !strings.Contains(info, "A4") {
					t.Errorf("%d pages told of; pdfinfo says\n%s", got.Segments, info)
				}
				text := run(t, "pdftotext", "-layout", file, "-")
				id, all := string(m.AttemptID), spaceless(text)
				footers := []string{"第1页，共%d页", "第2页，共%d页"}
				if language == "en" {
					footers = []string{"Page1of%d", "Page2of%d"}
				}
				for _, f := range footers {
					foot := fmt.Sprintf(f, got.Segments)
					if !strings.Contains(all, id+foot) {
						t.Errorf("no footer %q", foot)
					}
					all = strings.Replace(all, id+foot, "", 1)
				}
				for _, f := range []string{"第3页，共%d页", "Page3of%d", "第4页，共%d页", "Page4of%d"} {
					all = strings.Replace(all, id+fmt.Sprintf(f, got.Segments), "", 1)
				}
				if !strings.Contains(all, spaceless(m.Subject+m.Text)) {
					t.Errorf("the words are not on the pages:\n%s", text)
				}
				fonts := run(t, "pdffonts", file)
				for _, line := range strings.Split(strings.TrimSpace(fonts), "\n")[2:] {
					if f := strings.Fields(line); len(f) < 8 || f[1] != "CID" || f[4] != "yes" || f[6] != "yes" {
						t.Errorf("a font is not embedded, or its text cannot be copied: %s", line)
					}
				}
				if info, err := os.Stat(file); err != nil || info.Size() > 200<<10 {
					t.Errorf("%d bytes: the fonts are embedded whole", info.Size())
				}
				top := map[letter.Window]int{letter.WindowDINA: 27, letter.WindowDINB: 45}[window]
				inWindow := spaceless(run(t, "pdftotext", "-r", "254", "-x", "200", "-y", fmt.Sprint(top*10), "-W", "850", "-H", "450", "-f", "1", "-l", "1", file, "-"))
				name, address := "欧阳测试（收）", postal
				want := spaceless(c.Sender + address + name)
				if language == "en" {
					want = spaceless(c.Sender + "Alex Morgan" + m.To)
				}
				if inWindow != want {
					t.Errorf("in the window: got %q, want %q", inWindow, want)
				}
			})
		}
	}
}

// TestWrap: no line begins with a mark that none may begin with, and none is wider than the page.
func TestWrap(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.PagesMax = 20
	m := msg(1)
	var b strings.Builder
	for n := range 400 { // marks at every place of a line
		b.WriteString(strings.Repeat("长", n%37+1) + "，“引文”（注）《书》。")
	}
	m.Text = b.String() + "\n" + strings.Repeat("x", 500) + "\n" + strings.Repeat("word ", 300)
	if _, err := send(t, newSender(t, c), m); err != nil {
		t.Fatal(err)
	}
	text := run(t, "pdftotext", "-raw", letters(c.Folder)[0], "-")
	lines := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		lines++
		r := []rune(line)
		if strings.ContainsRune("，。”）》", r[0]) || strings.ContainsRune("“（《", r[len(r)-1]) {
			t.Errorf("a line is broken wrongly: %s", line)
		}
	}
	if lines < 200 {
		t.Errorf("only %d lines: the test says nothing", lines)
	}
	page := run(t, "pdftotext", "-bbox", letters(c.Folder)[0], "-")
	for _, word := range strings.Split(page, "<word ")[1:] {
		var x0, y0, x1, y1 float64
		if _, err := fmt.Sscanf(word, `xMin="%f" yMin="%f" xMax="%f" yMax="%f"`, &x0, &y0, &x1, &y1); err != nil {
			t.Fatal(err)
		}
		if x1 > 192*72/25.4 || y1 > 297*72/25.4 || x0 < 0 || y0 < 0 {
			t.Errorf("words stand outside the page: %.60s", word)
		}
	}
}

func TestUnfit(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(*channel.Message)
		want  channel.Error
	}{
		"no address":       {func(m *channel.Message) { m.To = " \n\t\n" }, channel.Error{Class: channel.BadAddress, Code: "no_address"}},
		"nine lines":       {func(m *channel.Message) { m.To = strings.Repeat("line\n", 9) }, channel.Error{Class: channel.BadAddress, Code: "address_too_long"}},
		"rare character":   {func(m *channel.Message) { m.Variables["borrower_name"] = "李\U0002cc56" }, channel.Error{Class: channel.Permanent, Code: "no_glyph", Detail: "no font has a character of the letter"}},
		"picture":          {func(m *channel.Message) { m.Text += "\U0001f600" }, channel.Error{Class: channel.Permanent, Code: "no_glyph", Detail: "no font has a character of the letter"}},
		"five pages":       {func(m *channel.Message) { m.Text = strings.Repeat("长\n", 190) }, channel.Error{Class: channel.Permanent, Code: "too_long", Detail: "5 pages"}},
		"a thousand pages": {func(m *channel.Message) { m.Text = strings.Repeat("长\n", 50_000) }, channel.Error{Class: channel.Permanent, Code: "too_long", Detail: "21 pages"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			m := msg(1)
			tt.spoil(&m)
			_, got := send(t, newSender(t, c), m)
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if n := len(letters(c.Folder)); n != 0 {
				t.Errorf("%d letters are in the folder", n)
			}
		})
	}
}

// manifest reads the manifest of the only closed batch, and holds it to the files beside it.
func manifest(t *testing.T, folder string) [][]string {
	t.Helper()
	batches, err := filepath.Glob(filepath.Join(folder, "batches", "*"))
	if err != nil || len(batches) != 1 {
		t.Fatalf("batches %v, %v; want one", batches, err)
	}
	f, err := os.Open(filepath.Join(batches[0], "manifest.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"manifest.csv"}
	for _, row := range rows[1:] {
		pdf, err := os.ReadFile(filepath.Join(batches[0], row[1]))
		if sum := sha256.Sum256(pdf); err != nil || hex.EncodeToString(sum[:]) != row[3] {
			t.Errorf("%s: digest %s is not the file's", row[1], row[3])
		}
		files = append(files, row[1])
	}
	slices.Sort(files)
	var there []string
	_ = filepath.WalkDir(batches[0], func(path string, d fs.DirEntry, _ error) error {
		if !d.IsDir() {
			there = append(there, filepath.Base(path))
		}
		return nil
	})
	slices.Sort(there)
	if diff := cmp.Diff(files, there); diff != "" {
		t.Errorf("the batch holds other files than its manifest says: %s", diff)
	}
	return rows
}

// TestBatch: a batch appears whole, at its hour, and the same letter is in one batch once and is the same bytes.
func TestBatch(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.PostalClass = "registered"
	s := newSender(t, c)
	for _, n := range []int{1, 2, 1} {
		if _, err := send(t, s, msg(n)); err != nil {
			t.Fatal(err)
		}
	}
	first, err := os.ReadFile(filepath.Join(c.Folder, ".open", string(msg(1).AttemptID)+".pdf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{noon, noon.Add(5*time.Hour - time.Second)} {
		if got, err := s.Poll(t.Context(), at, 100); err != nil || got != nil {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	if n := len(letters(c.Folder)); n != 2 {
		t.Errorf("%d letters, want 2", n)
	}
	if status, ok, err := s.Query(t.Context(), msg(1).AttemptID); err != nil || !ok || status != duly.ReceiptAccepted {
		t.Errorf("in the open batch: got %s, %t, %v", status, ok, err)
	}
	stray := filepath.Join(c.Folder, ".open", "a000stray-1.pdf") // of a process that died ahead of the letter's entry
	if err := os.WriteFile(stray, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Poll(t.Context(), noon.Add(5*time.Hour), 100); err != nil { // 17:00 in Shanghai
		t.Fatal(err)
	}
	rows := manifest(t, c.Folder)
	want := []string{string(msg(1).AttemptID), string(msg(1).AttemptID) + ".pdf", "1", rows[1][3], "registered", "zh-CN", "北京市朝阳区建国路 88 号院 3 号楼 1201 室", "100022", "欧阳测试（收）"}
	i := slices.IndexFunc(rows, func(r []string) bool { return r[0] == want[0] })
	if len(rows) != 3 || i < 0 {
		t.Fatalf("the manifest has %v", rows)
	}
	want[3] = rows[i][3]
	if diff := cmp.Diff(want, rows[i]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	// After the batch is closed, and by another process: nothing is printed again.
	other := newSender(t, c)
	if _, err := send(t, other, msg(1)); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := other.Query(t.Context(), msg(2).AttemptID); !ok {
		t.Error("a letter of a closed batch is not known")
	}
	if _, ok, _ := other.Query(t.Context(), msg(3).AttemptID); ok {
		t.Error("a letter that was never handed over is known")
	}
	if n := len(letters(c.Folder)); n != 2 {
		t.Errorf("%d letters, want 2 still", n)
	}
	again := config(t)
	if _, err := send(t, newSender(t, again), msg(1)); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(letters(again.Folder)[0]); err != nil || string(second) != string(first) {
		t.Error("the same letter is not the same bytes")
	}
}

// TestFull: a batch that is full is closed at once; several processes share the folder and lose nothing.
func TestFull(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.BatchMax = 5
	const each = 8
	var wg sync.WaitGroup
	for p := range 3 {
		s := newSender(t, c)
		wg.Go(func() {
			for n := range each {
				if _, err := s.Send(t.Context(), msg(p*each/2+n)); err != nil { // each letter but for the ends is handed over by two of them
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	for _, file := range letters(c.Folder) {
		seen[filepath.Base(file)]++
	}
	batches, _ := filepath.Glob(filepath.Join(c.Folder, "batches", "*"))
	for _, n := range seen {
		if n != 1 {
			t.Errorf("a letter is there %d times", n)
		}
	}
	if len(seen) != 16 || len(batches) != 3 {
		t.Errorf("%d letters in %d closed batches, want 16 and 3", len(seen), len(batches))
	}
	if left, _ := os.ReadDir(filepath.Join(c.Folder, ".tmp")); len(left) != 0 {
		t.Errorf("%d files are left over", len(left))
	}
}

func TestClosingHour(t *testing.T) {
	t.Parallel()
	c := config(t)
	s := newSender(t, c)
	late := msg(1)
	late.Now = noon.Add(6 * time.Hour) // 18:00: the batch of tomorrow
	if _, err := send(t, s, late); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Duration{7 * time.Hour, 29*time.Hour - time.Second} {
		if _, err := s.Poll(t.Context(), noon.Add(at), 1); err != nil {
			t.Fatal(err)
		}
	}
	if batches, _ := filepath.Glob(filepath.Join(c.Folder, "batches", "*")); len(batches) != 0 {
		t.Errorf("closed early: %v", batches)
	}
	if _, err := s.Poll(t.Context(), noon.Add(29*time.Hour), 1); err != nil {
		t.Fatal(err)
	}
	batches, _ := filepath.Glob(filepath.Join(c.Folder, "batches", "*"))
	if len(batches) != 1 || !strings.HasPrefix(filepath.Base(batches[0]), "2026-03-03-1700-") {
		t.Errorf("got %v", batches)
	}
}

// TestCrash: wherever a process dies, the letter is in a batch once, or nowhere and handed over again.
func TestCrash(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]func(t *testing.T, folder string, id string){
		"ahead of the entry": func(t *testing.T, folder, id string) {
			if err := os.Remove(filepath.Join(folder, ".open", ".entries", id+".json")); err != nil {
				t.Fatal(err)
			}
		},
		"ahead of the first rename": func(t *testing.T, folder, id string) {
			for _, file := range []string{filepath.Join(".entries", id+".json"), id + ".pdf", ".opened"} {
				if err := os.Remove(filepath.Join(folder, ".open", file)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(folder, ".tmp", id+".123"), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"while the batch is closed": func(t *testing.T, folder, id string) {
			if err := os.MkdirAll(filepath.Join(folder, ".sent", "2026-03"), 0o700); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{filepath.Join(folder, ".sent", "2026-03", id), filepath.Join(folder, ".open", "manifest.csv")} {
				if err := os.WriteFile(file, []byte("half"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			if _, err := send(t, newSender(t, c), msg(1)); err != nil {
				t.Fatal(err)
			}
			die(t, c.Folder, string(msg(1).AttemptID))
			next := newSender(t, c)
			if _, err := send(t, next, msg(1)); err != nil {
				t.Fatal(err)
			}
			if _, err := next.Poll(t.Context(), noon.Add(5*time.Hour), 1); err != nil {
				t.Fatal(err)
			}
			if rows := manifest(t, c.Folder); len(rows) != 2 || rows[1][0] != string(msg(1).AttemptID) {
				t.Errorf("the manifest has %v", rows)
			}
			if n := len(letters(c.Folder)); n != 1 {
				t.Errorf("%d letters, want 1", n)
			}
		})
	}
}

// BenchmarkSend makes letters of one page in Chinese, and puts them on disk.
func BenchmarkSend(b *testing.B) {
	c := letter.Config{Folder: b.TempDir()}
	s, err := letter.New("print", c, channel.Host{})
	if err != nil {
		b.Skip(err)
	}
	for n := 0; b.Loop(); n++ {
		if _, err := s.Send(b.Context(), msg(n)); err != nil {
			b.Fatal(err)
		}
	}
}
