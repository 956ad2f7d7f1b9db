package tencent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
)

// Limits of a callback.
const (
	window     = 72 * time.Hour // an operator keeps trying a phone that is off for up to two days, and tells when it got through
	confirmMax = 20             // receipts of one callback that are asked after
)

// receipt is one message's status as it is posted, in an array.
type receipt struct {
	Time   string `json:"user_receive_time"`
	Nation string `json:"nationcode"`
	Mobile string `json:"mobile"`
	Status string `json:"report_status"` // SUCCESS or FAIL
	Code   string `json:"errmsg"`        // the operator's
	SID    string `json:"sid"`           // SerialNo of the answer to SendSms
}

// reply is what somebody wrote back, posted alone.
type reply struct {
	Nation string      `json:"nationcode"`
	Mobile string      `json:"mobile"`
	Sign   string      `json:"sign"`
	Text   string      `json:"text"`
	Time   json.Number `json:"time"` // Unix seconds
}

// Hear reads receipts and replies. They are unsigned: the secret in the URL proves them, and what would mark an address, or
// write down a refusal, is believed only once PullSmsSendStatusByPhoneNumber says of the same SerialNo that it failed. Where it
// does not, or the account may not ask, the message counts as failed and no more; where it does not answer, nothing is taken
// and the service will call again.
func (s *Sender) Hear(r *http.Request, body []byte) (channel.Heard, error) {
	if err := callback.ByKey(r, s.c.CallbackSecrets); err != nil {
		return channel.Heard{}, err
	}
	if s.clock == nil {
		return channel.Heard{}, errors.New("tencent: callbacks need Host.Clock")
	}
	if err := callback.Fits(body); err != nil {
		return channel.Heard{}, err
	}
	now := s.clock()
	heard, err := s.parse(r.Context(), bytes.TrimSpace(body), now)
	if err != nil {
		return channel.Heard{}, err
	}
	heard.Answer = &channel.Answer{Type: "application/json", Body: []byte(`{"result":0,"errmsg":"OK"}`)}
	return heard, nil
}

func (s *Sender) parse(ctx context.Context, body []byte, now time.Time) (channel.Heard, error) {
	if len(body) > 0 && body[0] == '{' {
		one, err := parseReply(body, now)
		if err != nil {
			return channel.Heard{}, err
		}
		return channel.Heard{Replies: []channel.Reply{one}}, nil
	}
	receipts, posted, err := parseReceipts(s.name, body, now)
	if err != nil {
		return channel.Heard{}, err
	}
	if err := s.confirm(ctx, receipts, posted, now); err != nil {
		return channel.Heard{}, err
	}
	return channel.Heard{Receipts: receipts}, nil
}

func parseReceipts(provider string, body []byte, now time.Time) ([]duly.Receipt, []receipt, error) {
	var posted []receipt
	if err := callback.Decode(body, &posted); err != nil {
		return nil, nil, err
	}
	if err := callback.Count(len(posted)); err != nil {
		return nil, nil, err
	}
	out := make([]duly.Receipt, len(posted))
	for i, p := range posted {
		at, err := time.ParseInLocation("2006-01-02 15:04:05", p.Time, beijing)
		switch {
		case err != nil:
			return nil, nil, callback.Wrong(i, "user_receive_time", "not a time")
		case !callback.Reference(p.SID):
			return nil, nil, callback.Wrong(i, "sid", "not 1 to 128 printable characters")
		case p.Status != "SUCCESS" && p.Status != "FAIL":
			return nil, nil, callback.Wrong(i, "report_status", "not SUCCESS or FAIL")
		}
		if err := callback.Fresh(at, now, window); err != nil {
			return nil, nil, err
		}
		out[i] = duly.Receipt{
			Provider: provider, Key: p.SID + ":" + p.Status, ProviderID: p.SID, Status: statusOf(p.Status, p.Code),
			Detail: callback.Word(p.Code), At: at.UTC(),
		}
	}
	return out, posted, nil
}

func parseReply(body []byte, now time.Time) (channel.Reply, error) {
	var p reply
	if err := callback.Decode(body, &p); err != nil {
		return channel.Reply{}, err
	}
	unix, err := p.Time.Int64()
	from := "+" + p.Nation + p.Mobile
	switch {
	case err != nil:
		return channel.Reply{}, duly.Errorf(duly.Invalid, "not a time in Unix seconds").At(duly.Place{Field: "time"})
	case !channel.E164(from):
		return channel.Reply{}, duly.Errorf(duly.Invalid, "not a telephone number").At(duly.Place{Field: "mobile"})
	case !callback.Text(p.Text):
		return channel.Reply{}, duly.Errorf(duly.Invalid, "not 1 to 4096 bytes of text").At(duly.Place{Field: "text"})
	}
	at := time.Unix(unix, 0).UTC()
	if err := callback.Fresh(at, now, window); err != nil {
		return channel.Reply{}, err
	}
	key := "up:" + digest([]byte(from + "\x00" + p.Time.String() + "\x00" + p.Text))[:32] // the service gives it no id
	return channel.Reply{Key: key, Channel: duly.ChannelSMS, From: from, Text: p.Text, At: at}, nil
}

// beijing is the time zone of all that the service writes.
var beijing = time.FixedZone("", 8*60*60)

// confirm asks the service after receipts that say more than that a message failed.
func (s *Sender) confirm(ctx context.Context, receipts []duly.Receipt, posted []receipt, now time.Time) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Link.Timeout, errTimeout) // of all the questions together: the caller waits
	defer cancel()
	asked := 0
	for i := range receipts {
		r := &receipts[i]
		if r.Status != duly.ReceiptBadAddress && r.Status != duly.ReceiptOptedOut {
			continue
		}
		to := "+" + posted[i].Nation + posted[i].Mobile
		if asked++; asked > confirmMax || !channel.E164(to) {
			r.Status = duly.ReceiptFailed
			continue
		}
		status, ok, err := s.pull(ctx, to, r.ProviderID, now.Add(-pullDays), now)
		if err != nil && err.Class != channel.Config && err.Class != channel.Permanent {
			return duly.Errorf(duly.Unavailable, "the service was asked whether this is so, and did not answer").WithHint("call again")
		}
		if !ok || status != "FAIL" {
			r.Status = duly.ReceiptFailed
		}
	}
	return nil
}

// pull asks for the messages to a number, and looks for one by its SerialNo.
func (s *Sender) pull(ctx context.Context, to, serial string, from, until time.Time) (string, bool, *channel.Error) {
	request := struct {
		BeginTime, EndTime int64
		Offset, Limit      int
		PhoneNumber        string
		SmsSdkAppID        string `json:"SmsSdkAppId"`
	}{from.Unix(), until.Unix(), 0, pullMax, to, s.c.App}
	var got struct {
		PullSmsSendStatusSet []struct{ SerialNo, ReportStatus string }
	}
	if err := s.call(ctx, "PullSmsSendStatusByPhoneNumber", until, request, &got); err != nil {
		return "", false, err
	}
	for _, one := range got.PullSmsSendStatusSet {
		if one.SerialNo == serial && (one.ReportStatus == "SUCCESS" || one.ReportStatus == "FAIL") {
			return one.ReportStatus, true, nil
		}
	}
	return "", false, nil
}

// Find asks the service after a message whose SerialNo is known. Nothing that it tells of others names the attempt.
func (s *Sender) Find(ctx context.Context, q channel.Question) (duly.ReceiptStatus, bool, error) {
	if q.ProviderID == "" || !channel.E164(q.To) || s.clock == nil {
		return "", false, nil
	}
	now := s.clock()
	from := q.SentAt.Add(-time.Minute)
	if oldest := now.Add(-pullDays); from.Before(oldest) {
		from = oldest
	}
	status, ok, err := s.pull(ctx, q.To, q.ProviderID, from, now)
	if err != nil {
		return "", false, err
	}
	if !ok {
		return "", false, nil
	}
	return statusOf(status, ""), true, nil
}
