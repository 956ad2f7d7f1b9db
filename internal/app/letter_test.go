package app_test

import (
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// TestLetters: an address of several lines comes in by file, a letter is made of a shipped template, the print house gets its
// batch, and a letter that comes back takes the address out of use.
func TestLetters(t *testing.T) {
	t.Parallel()
	for _, font := range []string{"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf"} {
		if _, err := os.Stat(font); err != nil {
			t.Skip("no letters: fonts-dejavu-core and fonts-droid-fallback are not installed")
		}
	}
	dir := t.TempDir()
	folder := filepath.Join(dir, "letters")
	files := map[string]string{
		"duly.yaml": `
store: ` + dir + `/duly.db
strategies: [` + dir + `/letter.yaml]
packs: [policy-default]
carriers:
  print:
    channels: [letter]
    letter: {folder: ` + folder + `, timezone: Asia/Shanghai, header: [示例消金, 电话 95000], sender: "示例消金，上海市", inbound_secrets: [print-print-print]}
`,
		"letter.yaml": `
name: by-letter
title: {zh: 信函, en: By letter}
steps:
  - id: d0
    at: due
    window: {from: "09:00", to: "20:00"}
    channels: [{channel: letter}]
    tone: plain
    template: due-today
    catch_up: expire
`,
		"book.csv": `borrower_id,name,language,country,tier,zone,mobile,loan_id,contract_no,product,schedule,currency,loan_principal,disbursed_on,auto_debit,no,due_on,principal,interest,fee
D1,王伟,zh-CN,CN,C,Asia/Shanghai,+8610000000001,L1,HT0001,single,bullet,CNY,1000.00,2026-01-05,false,1,2026-03-10,1000.00,12.34,0
D2,Alex Morgan,en,CN,C,Asia/Shanghai,+8610000000002,L2,HT0002,single,bullet,CNY,2000.00,2026-01-05,false,1,2026-03-10,2000.00,24.68,0
`,
		"points.csv": `borrower_id,point_id,kind,value,state,source,rank,verified_at,observed_at,version
D1,home,postal,"北京市朝阳区建国路 88 号
100022",active,debtor_provided,1,,2026-02-01,1
D2,home,postal,"88 Example Street
Manchester M1 1AE",active,debtor_provided,1,,2026-02-01,1
`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := app.LoadConfig(filepath.Join(dir, "duly.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC) // 08:00 in Shanghai
	a, err := app.New(t.Context(), c, app.Options{Create: true, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	importFile(t, a, now, filepath.Join(dir, "book.csv"), "duly-book")
	importFile(t, a, now, filepath.Join(dir, "points.csv"), "duly-contact_points")
	leave, err := a.Join(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	step := func(hour int) engine.Report {
		t.Helper()
		now = time.Date(2026, 3, 10, hour-8, 0, 0, 0, time.UTC)
		if err := a.Engine.FeedThrough(t.Context(), now, engine.FeedPayments, now); err != nil {
			t.Fatal(err)
		}
		r, err := a.Engine.Step(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}

	if r := step(10); r.Dispatched.Claimed != 2 || r.Dispatched.Retried != 2 {
		t.Fatalf("into a folder that is not there: %+v, want both letters to be tried again", r.Dispatched)
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if r := step(12); r.Dispatched.Accepted != 2 {
		t.Fatalf("got %+v, want 2 accepted", r.Dispatched)
	}
	if batches, _ := filepath.Glob(filepath.Join(folder, "batches", "*")); len(batches) != 0 {
		t.Errorf("closed early: %v", batches)
	}
	step(17)
	manifests, _ := filepath.Glob(filepath.Join(folder, "batches", "2026-03-10-1700-*", "manifest.csv"))
	if len(manifests) != 1 {
		t.Fatalf("got the manifests %v, want one of 17:00", manifests)
	}
	text, err := os.ReadFile(manifests[0])
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("the manifest: %v, %v", rows, err)
	}
	got := map[string][]string{}
	ids := map[string]string{}
	for _, row := range rows[1:] {
		got[row[5]], ids[row[5]] = row[6:], row[0]
	}
	want := map[string][]string{"zh-CN": {"北京市朝阳区建国路 88 号", "100022", "王伟（收）"}, "en": {"Alex Morgan", "88 Example Street", "Manchester M1 1AE"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the addresses -want +got:\n%s", diff)
	}

	// The print house: one was posted, one came back.
	r := httptest.NewRequest(http.MethodPost, "/v1/receipts/print", nil)
	r.Header.Set("Authorization", "Bearer print-print-print")
	heard, err := a.Inbound["print"].Hear(r, []byte("attempt,status,time,reason\n"+ids["en"]+",posted,2026-03-10 17:10,\n"+ids["zh-CN"]+",returned,2026-03-10 17:20,moved\n"))
	if err != nil {
		t.Fatal(err)
	}
	var rep engine.ReceiveReport
	if err := a.Engine.Accept(t.Context(), now, heard.Receipts, &rep); err != nil || rep.Receipts != 2 {
		t.Fatalf("got %+v, %v", rep, err)
	}
	step(18)
	for id, want := range map[duly.BorrowerID]duly.PointState{"D1": duly.PointBounced, "D2": duly.PointActive} {
		if got := pointState(t, a, id, "home"); got != want {
			t.Errorf("%s: the address is %s, want %s", id, got, want)
		}
	}
}

func importFile(t *testing.T, a *app.App, now time.Time, path, mapping string) {
	t.Helper()
	m, err := app.LoadMapping(mapping)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := a.Engine.Import(t.Context(), now, path, engine.ImportOptions{Mapping: m})
	if err != nil || rep.Bad != 0 {
		t.Fatalf("%s: %+v, %v", path, rep, err)
	}
}

func pointState(t *testing.T, a *app.App, id duly.BorrowerID, point duly.PointID) (state duly.PointState) {
	t.Helper()
	err := a.DB.View(t.Context(), func(tx *store.Tx) error {
		persons, err := tx.Persons(id.Bucket(), []duly.BorrowerID{id}, time.Time{})
		for _, p := range persons {
			for i := range p.Points {
				if p.Points[i].ID == point {
					state = p.Points[i].State
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}
