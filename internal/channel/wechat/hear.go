package wechat

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
)

// event is what WeChat tells: a message of a borrower's, or what became of ours.
type event struct {
	From    string `xml:"FromUserName"`
	At      int64  `xml:"CreateTime"`
	Kind    string `xml:"MsgType"`
	Event   string `xml:"Event"`
	Text    string `xml:"Content"`
	TextID  string `xml:"MsgId"`
	SentID  string `xml:"MsgID"`
	Status  string `xml:"Status"`
	Outcome []sent `xml:"SubscribeMsgSentEvent>List"`
}

type sent struct {
	ID   string `xml:"MsgID"`
	Code string `xml:"ErrorCode"`
}

// Hear opens a callback: receipts of our messages, texts of borrowers. Consents given and withdrawn WeChat counts itself.
func (s *Sender) Hear(r *http.Request, body []byte) (channel.Heard, error) {
	if s.clock == nil {
		return channel.Heard{}, errors.New("wechat: callbacks need Host.Clock")
	}
	plain, err := s.seal.Open(r, body, s.clock())
	if err != nil {
		return channel.Heard{}, err
	}
	if r.Method == http.MethodGet {
		return channel.Heard{Answer: &channel.Answer{Type: "text/plain; charset=utf-8", Body: plain}}, nil
	}
	out, err := parse(s.name, plain)
	if err != nil {
		return channel.Heard{}, err
	}
	out.Answer = &channel.Answer{Type: "text/plain; charset=utf-8", Body: []byte("success")}
	return out, nil
}

func parse(name string, plain []byte) (channel.Heard, error) {
	var e event
	if err := xml.Unmarshal(plain, &e); err != nil {
		return channel.Heard{}, duly.Errorf(duly.Invalid, "what is sealed is no XML").WithHint("choose XML on WeChat's page of the callback")
	}
	at := time.Unix(e.At, 0).UTC()
	if e.At <= 0 || e.At > 1<<40 {
		return channel.Heard{}, duly.Errorf(duly.Invalid, "not a time in Unix seconds").At(duly.Place{Field: "CreateTime"})
	}
	var out channel.Heard
	receipt := func(id string, status duly.ReceiptStatus, detail string) {
		if callback.Reference(id) {
			out.Receipts = append(out.Receipts, duly.Receipt{Provider: name, Key: id + ":" + string(status), ProviderID: id, Status: status, Detail: detail, At: at})
		}
	}
	switch {
	case e.Kind == "text" && callback.Reference(e.TextID) && callback.Reference(e.From) && callback.Text(e.Text):
		out.Replies = []channel.Reply{{Key: e.TextID, Channel: duly.ChannelIM, From: e.From, Text: e.Text, At: at}}
	case e.Event == "TEMPLATESENDJOBFINISH":
		switch e.Status {
		case "success":
			receipt(e.SentID, duly.ReceiptDelivered, "")
		case "failed:user block":
			receipt(e.SentID, duly.ReceiptOptedOut, "user_block")
		default:
			receipt(e.SentID, duly.ReceiptFailed, "system")
		}
	case e.Event == "subscribe_msg_sent_event":
		for _, x := range e.Outcome[:min(len(e.Outcome), callback.EventsMax)] {
			if n, err := strconv.Atoi(x.Code); err == nil && n == 0 {
				receipt(x.ID, duly.ReceiptDelivered, "")
			} else {
				receipt(x.ID, duly.ReceiptFailed, callback.Word(x.Code))
			}
		}
	}
	return out, nil
}
