package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/smtp"
)

// noon is when mail comes in; the mails below were written a minute before.
var noon = time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC)

const written = "Mon, 02 Mar 2026 11:59:00 +0800"

var inboundSecret = channel.NewSecret("pipe-pipe-pipe-pipe")

// hearing is a sender that takes mail, by POST and in a maildir.
func hearing(t testing.TB, inbox string) *smtp.Sender {
	t.Helper()
	s, err := smtp.New("mail", smtp.Config{
		Host: "127.0.0.1", From: "示例消金 <notice@lender.example>", EnvelopeFrom: "bounce+{attempt}@lender.example", Secrets: []channel.Secret{markSecret},
		InboundSecrets: []channel.Secret{inboundSecret}, Inbox: inbox, InboxEvery: time.Second,
	}, channel.Host{Clock: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func hear(t testing.TB, s *smtp.Sender, raw string) (channel.Heard, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v1/receipts/mail", strings.NewReader(raw))
	r.Header.Set("Authorization", "Bearer "+inboundSecret.Reveal())
	return s.Hear(r, []byte(raw))
}

// counted returns what was counted, without noughts.
func counted(s *smtp.Sender) map[string]int64 {
	out := map[string]int64{}
	for what, n := range s.Counts() {
		if n > 0 {
			out[what] = n
		}
	}
	return out
}

// bounce is a delivery report as Postfix writes it, to the envelope's address.
func bounce(to, action, status, diagnostic, kind string) string {
	return strings.ReplaceAll(`Return-Path: <>
Delivered-To: `+to+`
Date: `+written+`
From: MAILER-DAEMON@mx.lender.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: `+to+`
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B1"
Message-Id: <20260302035900.1@mx.lender.example>

This is a MIME-encapsulated message.

--B1
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--B1
Content-Description: Delivery report
Content-Type: message/`+kind+`

Reporting-MTA: dns; mx.lender.example
Arrival-Date: Mon,  2 Mar 2026 11:58:58 +0800 (CST)

Final-Recipient: rfc822; `+borrower+`
Original-Recipient: rfc822;`+borrower+`
Action: `+action+`
Status: `+status+`
Remote-MTA: dns; mx.borrower.example
Diagnostic-Code: `+diagnostic+`

--B1
Content-Type: message/rfc822

Return-Path: <`+to+`>
From: notice@lender.example
Subject: x

--B1--
`, "\n", "\r\n")
}

// informal is a report in a server's own words.
func informal(to, text string) string {
	return "Return-Path: <>\r\nFrom: PostMaster@isp.example\r\nTo: " + to + "\r\nDate: " + written + "\r\nMessage-ID: <7@isp.example>\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>" + text + "</p>"
}

func TestBounces(t *testing.T) {
	t.Parallel()
	id := message(1).AttemptID
	to := "bounce+" + mark(id) + "@lender.example"
	for name, tt := range map[string]struct {
		mail   string
		status duly.ReceiptStatus
		detail string
		count  string
	}{
		"no such user":                   {bounce(to, "failed", "5.1.1", "smtp; 550 5.1.1 <"+borrower+">: no", "delivery-status"), duly.ReceiptBadAddress, "dsn_5.1.1", "bounce"},
		"wide address":                   {bounce(to, "failed", "5.1.1", "smtp; 550 5.1.1 no", "global-delivery-status"), duly.ReceiptBadAddress, "dsn_5.1.1", "bounce"},
		"no such domain":                 {bounce(to, "failed", "5.1.2", "x", "delivery-status"), duly.ReceiptBadAddress, "dsn_5.1.2", "bounce"},
		"disabled":                       {bounce(to, "failed", "5.2.1", "x", "delivery-status"), duly.ReceiptBadAddress, "dsn_5.2.1", "bounce"},
		"full":                           {bounce(to, "failed", "5.2.2", "x", "delivery-status"), duly.ReceiptFailed, "dsn_5.2.2", "bounce"},
		"policy":                         {bounce(to, "failed", "5.7.1", "smtp; 550 5.7.1 spam", "delivery-status"), duly.ReceiptFailed, "dsn_5.7.1", "bounce"},
		"our address is wrong":           {bounce(to, "failed", "5.1.8", "x", "delivery-status"), duly.ReceiptFailed, "dsn_5.1.8", "bounce"},
		"too long in the queue":          {bounce(to, "failed", "4.4.1", "connect to mx: refused", "delivery-status"), duly.ReceiptFailed, "dsn_4.4.1", "bounce"},
		"vague, words say more":          {bounce(to, "failed", "5.0.0", "smtp; 550 5.1.1 unknown", "delivery-status"), duly.ReceiptBadAddress, "dsn_5.1.1", "bounce"},
		"vague":                          {bounce(to, "failed", "5.0.0", "smtp; 554 no", "delivery-status"), duly.ReceiptFailed, "dsn_5.0.0", "bounce"},
		"no status":                      {bounce(to, "failed", "", "", "delivery-status"), duly.ReceiptFailed, "dsn", "bounce"},
		"status of words":                {bounce(to, "Failed (user)", "5.1.1 ("+borrower+")", "", "delivery-status"), duly.ReceiptBadAddress, "dsn_5.1.1", "bounce"},
		"delivered":                      {bounce(to, "delivered", "2.0.0", "smtp; 250 ok", "delivery-status"), duly.ReceiptDelivered, "dsn_2.0.0", "bounce"},
		"in capitals":                    {bounce(strings.ToUpper(to), "failed", "5.1.1", "x", "delivery-status"), duly.ReceiptBadAddress, "dsn_5.1.1", "bounce"},
		"late":                           {bounce(to, "delayed", "4.4.1", "x", "delivery-status"), "", "", "delay"},
		"passed on":                      {bounce(to, "relayed", "2.0.0", "x", "delivery-status"), "", "", "delay"},
		"forged":                         {bounce("bounce+"+string(id)+".0000000000000000@lender.example", "failed", "5.1.1", "x", "delivery-status"), "", "", "unproven"},
		"no mark":                        {bounce("bounce@lender.example", "failed", "5.1.1", "x", "delivery-status"), "", "", "unproven"},
		"mark of refusal":                {bounce("bounce+"+channel.Marks{Use: "unsubscribe", Secrets: []channel.Secret{markSecret}}.Make(id)+"@lender.example", "failed", "5.1.1", "x", "delivery-status"), "", "", "unproven"},
		"in the server's words":          {informal(to, "你的邮件未能送达。\r\n原因：host mx said: 550 5.1.1 no such user\r\n"), duly.ReceiptBadAddress, "dsn_5.1.1", "bounce"},
		"in its words, full":             {informal(to, "552-5.2.2 The mailbox is full"), duly.ReceiptFailed, "dsn_5.2.2", "bounce"},
		"in its words, late":             {informal(to, "will be tried again: 451 4.3.0 busy"), "", "", "delay"},
		"in its words, without a status": {informal(to, "收件人邮箱不存在，编号 5.1.1 仅供参考"), "", "", "unread"},
		"in anybody's words":             {informal("bounce@lender.example", "550 5.1.1 no such user"), "", "", "unproven"},
		"cut in the report":              {bounce(to, "failed", "5.1.1", "x", "delivery-status")[:1110], duly.ReceiptBadAddress, "dsn_5.1.1", "bounce"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := hearing(t, "")
			got, err := hear(t, s, tt.mail)
			if err != nil {
				t.Fatal(err)
			}
			var want []duly.Receipt
			if tt.status != "" {
				want = []duly.Receipt{{Provider: "mail", AttemptID: id, Status: tt.status, Detail: tt.detail, At: noon.Add(-time.Minute)}}
			}
			for i := range got.Receipts {
				if !strings.HasPrefix(got.Receipts[i].Key, "mail:") {
					t.Errorf("key %q", got.Receipts[i].Key)
				}
				got.Receipts[i].Key = ""
			}
			if diff := cmp.Diff(channel.Heard{Receipts: want}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(map[string]int64{tt.count: 1}, counted(s)); diff != "" {
				t.Errorf("counted -want +got:\n%s", diff)
			}
		})
	}
	s := hearing(t, "")
	first, _ := hear(t, s, bounce(to, "failed", "5.1.1", "x", "delivery-status"))
	again, _ := hear(t, s, "Received: by another hop\r\n"+bounce(to, "failed", "5.1.1", "x", "delivery-status"))
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same report twice:\n%s", diff)
	}
}

// complaint is a feedback report as RFC 5965 shows it.
func complaint(kind, original string) string {
	return "From: <fbl@isp.example>\r\nDate: " + written + "\r\nSubject: FW: reminder\r\nTo: <abuse@lender.example>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=feedback-report; boundary=\"part\"\r\n\r\n--part\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse report.\r\n" +
		"--part\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: " + kind + "\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\n\r\n" +
		"--part\r\nContent-Type: message/rfc822\r\nContent-Disposition: inline\r\n\r\n" + original + "\r\n\r\nHello\r\n--part--\r\n"
}

func TestComplaints(t *testing.T) {
	t.Parallel()
	id := message(1).AttemptID
	token := channel.Marks{Use: "unsubscribe", Secrets: []channel.Secret{markSecret}}.Make(id)
	for name, tt := range map[string]struct {
		mail  string
		count string
	}{
		"by Message-ID":          {complaint("abuse", "From: notice@lender.example\r\nMessage-ID: <"+mark(id)+"@lender.example>"), "complaint"},
		"by Return-Path":         {complaint("fraud", "Return-Path: <bounce+"+mark(id)+"@lender.example>\r\nSubject: x"), "complaint"},
		"by the link of refusal": {complaint("opt-out", "List-Unsubscribe: <https://duly.lender.example/v1/unsubscribe/"+token+">"), "complaint"},
		"was no complaint":       {complaint("not-spam", "Message-ID: <"+mark(id)+"@lender.example>"), "delay"},
		"not ours":               {complaint("abuse", "Message-ID: <"+string(id)+"@lender.example>"), "unproven"},
		"empty":                  {strings.Replace(complaint("abuse", "X: y"), "Feedback-Type: abuse\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\n", "", 1), "unread"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := hearing(t, "")
			got, err := hear(t, s, tt.mail)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]int64{tt.count: 1}, counted(s)); diff != "" {
				t.Errorf("counted -want +got:\n%s", diff)
			}
			if tt.count != "complaint" {
				if len(got.Receipts) != 0 {
					t.Errorf("got %+v", got)
				}
				return
			}
			want := duly.Receipt{Provider: "mail", AttemptID: id, Status: duly.ReceiptOptedOut, Detail: "complaint", At: noon.Add(-time.Minute)}
			if len(got.Receipts) == 1 {
				got.Receipts[0].Key = ""
			}
			if diff := cmp.Diff([]duly.Receipt{want}, got.Receipts); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func answer(header, body string) string {
	return "From: 张三 <" + borrower + ">\r\nDate: " + written + "\r\nMessage-ID: <r1@borrower.example>\r\n" + header + "\r\n\r\n" + body
}

func TestRepliesHeard(t *testing.T) {
	t.Parallel()
	id := message(1).AttemptID
	to := "To: <reply+" + mark(id) + "@lender.example>\r\nSubject: Re: reminder"
	tests := []struct {
		name string
		mail string
		text string // "" is no reply
		by   duly.AttemptID
	}{
		{"plain", answer(to, "I will pay on Friday.\r\n"), "I will pay on Friday.", id},
		{"by In-Reply-To", answer("In-Reply-To: <"+mark(id)+"@lender.example>", "ok"), "ok", id},
		{"by References", answer("References: <x@y> <"+mark(id)+"@lender.example>", "ok"), "ok", id},
		{"forged", answer("In-Reply-To: <"+string(id)+".0000000000000000@lender.example>", "ok"), "ok", ""},
		{"by the sender alone", answer("To: notice@lender.example", "ok"), "ok", ""},
		{"Gmail", answer(to, "Stop.\r\n\r\nOn Mon, Mar 2, 2026 at 9:30 AM Lender <notice@lender.example> wrote:\r\n> your loan\r\n> is due\r\n"), "Stop.", id},
		{"Gmail, on two lines", answer(to, "Stop.\r\n\r\nOn Mon, Mar 2, 2026 at 9:30 AM A Lender With A Long Name\r\n<notice@lender.example> wrote:\r\n\r\n> your loan\r\n"), "Stop.", id},
		{"below the quote", answer(to, "On Mon, Mar 2, 2026 Lender wrote:\r\n> is due\r\n\r\nI have paid.\r\n"), "I have paid.", id},
		{"between the quotes", answer(to, "> is due\r\nPaid.\r\n> 100\r\nIt was 90.\r\n"), "Paid.\nIt was 90.", id},
		{"Outlook", answer(to, "Wrong person.\r\n\r\n________________________________\r\nFrom: Lender\r\nSent: Monday\r\nyour loan\r\n"), "Wrong person.", id},
		{"Outlook, no line", answer(to, "Wrong person.\r\n\r\nFrom: Lender <notice@lender.example>\r\nSent: Monday\r\nTo: z\r\nyour loan\r\n"), "Wrong person.", id},
		{"From: in one's own words", answer(to, "From: my heart, I cannot pay.\r\nPlease call.\r\n"), "From: my heart, I cannot pay.\nPlease call.", id},
		{"QQ", answer(to, "我不是本人\r\n\r\n\r\n------------------ 原始邮件 ------------------\r\n发件人: 示例消金\r\n您的借款\r\n"), "我不是本人", id},
		{"163", answer(to, "退订\r\n\r\n---- 回复的原邮件 ----\r\n您的借款\r\n"), "退订", id},
		{"Apple, Chinese", answer(to, "已还\r\n发自我的iPhone\r\n\r\n在 2026年3月2日，09:30，示例消金 <notice@lender.example> 写道：\r\n\r\n> 您的借款\r\n"), "已还", id},
		{"signature", answer(to, "Paid.\r\n-- \r\nZhang San\r\n"), "Paid.", id},
		{"GB 18030", answer(to+"\r\nContent-Type: text/plain; charset=gb18030\r\nContent-Transfer-Encoding: base64", "0tG7uQ=="), "已还", id},
		{"quoted-printable", answer(to+"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable", "=E5=B7=B2=\r\n=E8=BF=98"), "已还", id},
		{"unknown charset", answer(to+"\r\nContent-Type: text/plain; charset=x-none", "Paid."), "Paid.", id},
		{"HTML alone", answer(to+"\r\nContent-Type: text/html", "<html><head><title>t</title><style>p{}</style></head><body><p>Paid &amp; done</p><div>thanks</div><div class=\"gmail_quote\">your loan</div></body></html>"),
			"Paid & done\n\nthanks", id},
		{"HTML, quoted", answer(to+"\r\nContent-Type: text/html", "<div>Paid</div><blockquote>your loan</blockquote>"), "Paid", id},
		{"both", answer(to+"\r\nContent-Type: multipart/alternative; boundary=b", "--b\r\nContent-Type: text/plain\r\n\r\nPaid.\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>other</p>\r\n--b--\r\n"), "Paid.", id},
		{"an attachment is no text", answer(to+"\r\nContent-Type: multipart/mixed; boundary=b", "--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nfile\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Paid</p>\r\n--b--\r\n"), "Paid", id},
		{"in the subject", answer("To: <reply+"+mark(id)+"@lender.example>\r\nSubject: =?utf-8?b?6YCA6K6i?=", ""), "退订", id},
		{"nothing said", answer(to, "\r\n\r\n"), "", ""},
		{"quotes alone", answer(to, "> your loan\r\n"), "", ""},
		{"out of office", answer(to+"\r\nAuto-Submitted: auto-replied", "I am away."), "", ""},
		{"out of office, by its subject", answer("To: x@lender.example\r\nSubject: =?utf-8?b?6Ieq5Yqo5Zue5aSN77ya5L2g5aW9?=", "我在度假"), "", ""},
		{"a list", answer(to+"\r\nPrecedence: bulk", "News"), "", ""},
		{"a machine", "Return-Path: <>\r\n" + answer(to, "I am away."), "", ""},
		{"a person says no", answer(to+"\r\nAuto-Submitted: no", "Paid."), "Paid.", id},
		{"our own", strings.Replace(answer(to, "x"), borrower, "Notice@lender.example", 1), "", ""},
		{"what no store takes", answer(to, "Pa\x00id\x07.\xff\r\n"), "Paid.", id},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := hearing(t, "")
			got, err := hear(t, s, tt.mail)
			if err != nil {
				t.Fatal(err)
			}
			if tt.text == "" {
				if diff := cmp.Diff(channel.Heard{}, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				return
			}
			want := channel.Reply{Channel: duly.ChannelEmail, AttemptID: tt.by, From: borrower, Text: tt.text, At: noon.Add(-time.Minute)}
			if len(got.Replies) == 1 {
				got.Replies[0].Key = ""
			}
			if diff := cmp.Diff(channel.Heard{Replies: []channel.Reply{want}}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestReplyBounds(t *testing.T) {
	t.Parallel()
	s := hearing(t, "")
	long := answer("To: x@lender.example", strings.Repeat("长", 1<<20))
	got, err := hear(t, s, long)
	if err != nil || len(got.Replies) != 1 {
		t.Fatalf("got %d replies, %v", len(got.Replies), err)
	}
	if text := got.Replies[0].Text; len(text) > duly.ReplyTextMax || len(text) < duly.ReplyTextMax-3 || strings.Trim(text, "长") != "" {
		t.Errorf("got %d bytes", len(text))
	}
	nested := "Paid."
	for n := range 40 { // deeper than is looked at: no words
		nested = fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%s\r\n--b%d--\r\n", n, n, nested, n)
	}
	if got, err := hear(t, s, answer("To: x@lender.example\r\nSubject: Re: x\r\n"+nested[:strings.Index(nested, "\r\n")], nested[strings.Index(nested, "\r\n\r\n")+4:])); err != nil || len(got.Replies) != 0 {
		t.Errorf("40 deep: got %+v, %v", got, err)
	}
	for name, tt := range map[string]struct {
		header, value, body string
	}{
		"no secret":    {"", "", "From: a@b.example\r\n\r\nx"},
		"wrong secret": {"Authorization", "Bearer pipe-pipe-pipe-pipf", "From: a@b.example\r\n\r\nx"},
		"no scheme":    {"Authorization", inboundSecret.Reveal(), "From: a@b.example\r\n\r\nx"},
		"no mail":      {"Authorization", "Bearer " + inboundSecret.Reveal(), `{"a": 1}`},
		"HTML":         {"Authorization", "Bearer " + inboundSecret.Reveal(), "<html>"},
		"empty":        {"Authorization", "Bearer " + inboundSecret.Reveal(), ""},
		"all header":   {"Authorization", "Bearer " + inboundSecret.Reveal(), "From: " + strings.Repeat("x", 1<<20)},
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/receipts/mail", nil)
		r.Header.Set(tt.header, tt.value)
		got, err := s.Hear(r, []byte(tt.body))
		e, ok := errors.AsType[*duly.Error](err)
		if !ok || e.Hint == "" || len(got.Replies) > 0 || strings.Contains(err.Error(), "xx") {
			t.Errorf("%s: got %+v, %v; want an error with a hint", name, got, err)
		}
	}
	deaf, err := smtp.New("mail", smtp.Config{Host: "h", From: "a@lender.example"}, channel.Host{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hear(t, deaf, answer("To: x", "x")); duly.CodeOf(err) != duly.Refused {
		t.Errorf("without inbound_secrets: got %v, want refused", err)
	}
}

// maildir makes an empty one.
func maildir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"new", "cur", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// deliver puts a mail into a maildir as a mail server does.
func deliver(t *testing.T, dir, name, raw string) {
	t.Helper()
	tmp := filepath.Join(dir, "tmp", name)
	if err := os.WriteFile(tmp, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, "new", name)); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// TestMaildir: a mail is moved once what it says is kept, and not before; what nobody can read is flagged.
func TestMaildir(t *testing.T) {
	t.Parallel()
	dir := maildir(t)
	s := hearing(t, dir)
	id := message(1).AttemptID
	deliver(t, dir, "1", bounce("bounce+"+mark(id)+"@lender.example", "failed", "5.1.1", "x", "delivery-status"))
	deliver(t, dir, "2", answer("To: x@lender.example", "ok"))
	deliver(t, dir, "3", "no mail")
	deliver(t, dir, "4", answer("Auto-Submitted: auto-replied", "away"))
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var taken []channel.Heard
	refusals := 1 // the store does not answer at first
	take := func(_ context.Context, h channel.Heard) error {
		mu.Lock()
		defer mu.Unlock()
		if refusals--; refusals >= 0 {
			return errors.New("the store does not answer")
		}
		taken = append(taken, h)
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- s.Listen(ctx, take) }()
	want := []string{"1:2,S", "2:2,S", "3:2,FS", "4:2,S"}
	for end := time.Now().Add(time.Minute); len(names(t, filepath.Join(dir, "cur"))) < len(want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("cur has %v, new has %v", names(t, filepath.Join(dir, "cur")), names(t, filepath.Join(dir, "new")))
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Listen: %v", err)
	}
	if diff := cmp.Diff(want, names(t, filepath.Join(dir, "cur"))); diff != "" {
		t.Errorf("cur -want +got:\n%s", diff)
	}
	if len(taken) != 2 {
		t.Errorf("taken %d, want the bounce and the reply", len(taken))
	}
	if diff := cmp.Diff(map[string]int64{"bounce": 1, "reply": 1, "unread": 1, "auto_reply": 1}, counted(s)); diff != "" {
		t.Errorf("counted -want +got:\n%s", diff)
	}
}

// FuzzMail: whatever comes in as mail, reading it ends, and only what proves itself becomes a receipt.
func FuzzMail(f *testing.F) {
	id := message(1).AttemptID
	to := "bounce+" + mark(id) + "@lender.example"
	f.Add([]byte(bounce(to, "failed", "5.1.1", "smtp; 550 5.1.1 no", "delivery-status")))
	f.Add([]byte(bounce("bounce@lender.example", "delayed", "4.4.1", "x", "global-delivery-status")))
	f.Add([]byte(informal(to, "550 5.1.1 no such user")))
	f.Add([]byte(complaint("abuse", "Message-ID: <"+mark(id)+"@lender.example>")))
	f.Add([]byte(answer("To: <reply+"+mark(id)+"@lender.example>", "Stop.\r\n\r\nOn Monday\r\nLender wrote:\r\n> x\r\n")))
	f.Add([]byte(answer("Content-Type: text/html; charset=gb18030", "<div>Paid</div><blockquote>x")))
	f.Add([]byte(answer("Content-Type: multipart/mixed; boundary=b", "--b\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--")))
	s := hearing(f, "")
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := hear(t, s, string(raw))
		if err != nil {
			if _, ok := errors.AsType[*duly.Error](err); !ok {
				t.Fatalf("got a %T", err)
			}
			return
		}
		for _, r := range got.Receipts {
			if !strings.Contains(strings.ToLower(string(raw)), string(r.AttemptID)) || r.Key == "" || r.At.IsZero() || r.Status.State() == "" {
				t.Errorf("got %+v", r)
			}
		}
		for _, r := range got.Replies {
			if r.Text == "" || len(r.Text) > duly.ReplyTextMax || r.Text != strings.ToValidUTF8(r.Text, "?") || strings.ContainsRune(r.Text, 0) || r.At.IsZero() {
				t.Errorf("got %+v", r)
			}
		}
	})
}
