package aliyun

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
)

// Limits of a callback.
const (
	window     = 24 * time.Hour // the service repeats for a quarter of an hour, and not again
	confirmMax = 20             // receipts of one callback that are asked after
)

// event is a receipt (SmsReport) or a reply (SmsUp): the same array may hold either.
type event struct {
	Phone      string `json:"phone_number"`
	SendTime   string `json:"send_time"`
	ReportTime string `json:"report_time"`
	Success    bool   `json:"success"`
	ErrCode    string `json:"err_code"`
	BizID      string `json:"biz_id"`
	OutID      string `json:"out_id"`
	Content    string `json:"content"`
	DestCode   string `json:"dest_code"`
	Sequence   any    `json:"sequence_id"` // a number, or a text of one
}

// Hear reads receipts and replies. They are unsigned: the secret in the URL proves them, and what would mark an address, or
// write down a refusal, is believed only once QuerySendDetails says the same. Where it does not, the message counts as failed
// and no more; where it does not answer, nothing is taken and the service will call again.
func (s *Sender) Hear(r *http.Request, body []byte) (channel.Heard, error) {
	if err := callback.ByKey(r, s.c.CallbackSecrets); err != nil {
		return channel.Heard{}, err
	}
	if s.clock == nil {
		return channel.Heard{}, errors.New("aliyun: callbacks need Host.Clock")
	}
	heard, events, err := parse(s.name, body, s.clock())
	if err != nil {
		return channel.Heard{}, err
	}
	if err := s.confirm(r.Context(), heard.Receipts, events); err != nil {
		return channel.Heard{}, err
	}
	heard.Answer = &channel.Answer{Type: "application/json", Body: []byte(`{"code":0,"msg":"ok"}`)}
	return heard, nil
}

// parse reads a body. The events returned are those of the receipts, in their order.
func parse(provider string, body []byte, now time.Time) (channel.Heard, []event, error) {
	var heard channel.Heard
	var events, all []event
	if err := callback.Fits(body); err != nil {
		return heard, nil, err
	}
	if err := callback.Decode(body, &all); err != nil {
		return heard, nil, err
	}
	if err := callback.Count(len(all)); err != nil {
		return heard, nil, err
	}
	for i, e := range all {
		if e.Content != "" || e.DestCode != "" {
			reply, err := e.reply(i, now)
			if err != nil {
				return channel.Heard{}, nil, err
			}
			heard.Replies = append(heard.Replies, reply)
			continue
		}
		if e.OutID != "" && !callback.Attempt(duly.AttemptID(e.OutID)) {
			continue // of another program that sends by this account
		}
		receipt, err := e.receipt(i, provider, now)
		if err != nil {
			return channel.Heard{}, nil, err
		}
		heard.Receipts = append(heard.Receipts, receipt)
		events = append(events, e)
	}
	return heard, events, nil
}

func (e *event) receipt(i int, provider string, now time.Time) (duly.Receipt, error) {
	at, err := time.ParseInLocation(stampLayout, e.ReportTime, beijing)
	switch {
	case err != nil:
		return duly.Receipt{}, callback.Wrong(i, "report_time", "not a time")
	case !callback.Reference(e.BizID):
		return duly.Receipt{}, callback.Wrong(i, "biz_id", "not 1 to 128 printable characters")
	}
	if err := callback.Fresh(at, now, window); err != nil {
		return duly.Receipt{}, err
	}
	status := statusOf(e.Success, e.ErrCode)
	return duly.Receipt{
		Provider: provider, Key: e.BizID + ":" + strconv.FormatBool(e.Success), AttemptID: duly.AttemptID(e.OutID), ProviderID: e.BizID,
		Status: status, Detail: callback.Word(e.ErrCode), At: at.UTC(),
	}, nil
}

func (e *event) reply(i int, now time.Time) (channel.Reply, error) {
	at, err := time.ParseInLocation(stampLayout, e.SendTime, beijing)
	from := international(e.Phone)
	switch {
	case err != nil:
		return channel.Reply{}, callback.Wrong(i, "send_time", "not a time")
	case !callback.Text(e.Content):
		return channel.Reply{}, callback.Wrong(i, "content", "not 1 to 4096 bytes of text")
	case !channel.E164(from):
		return channel.Reply{}, callback.Wrong(i, "phone_number", "not a telephone number")
	case !callback.Reference(sequence(e.Sequence)):
		return channel.Reply{}, callback.Wrong(i, "sequence_id", "missing")
	}
	if err := callback.Fresh(at, now, window); err != nil {
		return channel.Reply{}, err
	}
	return channel.Reply{Key: "up:" + sequence(e.Sequence), Channel: duly.ChannelSMS, From: from, Text: e.Content, At: at.UTC()}, nil
}

func sequence(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case interface{ String() string }: // json.Number
		return v.String()
	}
	return ""
}

// international writes a number of the service's as E.164: those of the mainland come without a prefix.
func international(n string) string {
	n = strings.TrimPrefix(strings.TrimPrefix(n, "+"), "00")
	if len(n) == 11 && n[0] == '1' {
		return "+86" + n
	}
	return "+" + n
}

// confirm asks the service after receipts that say more than that a message failed.
func (s *Sender) confirm(ctx context.Context, receipts []duly.Receipt, events []event) error {
	asked := 0
	for i := range receipts {
		r, e := &receipts[i], events[i]
		if r.Status != duly.ReceiptBadAddress && r.Status != duly.ReceiptOptedOut {
			continue
		}
		sent, err := time.ParseInLocation(stampLayout, e.SendTime, beijing)
		to := international(e.Phone)
		if asked++; asked > confirmMax || err != nil || !channel.E164(to) || e.OutID == "" {
			r.Status = duly.ReceiptFailed
			continue
		}
		d, ok, err := s.detail(ctx, local(to), sent.Format("20060102"), r.AttemptID)
		if err != nil {
			return duly.Errorf(duly.Unavailable, "the service was asked whether this is so, and did not answer").WithHint("call again")
		}
		if !ok || d.SendStatus != 2 || d.ErrCode != e.ErrCode {
			r.Status = duly.ReceiptFailed
		}
	}
	return nil
}
