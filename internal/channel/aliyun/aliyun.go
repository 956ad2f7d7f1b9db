// Package aliyun is the carrier of Alibaba Cloud's Short Message Service (dysmsapi, 2017-05-25).
//
// What is sent is a template that they approved, with values, never free text. Each message carries its attempt's id as OutId,
// which receipts and QuerySendDetails give back: so a message whose answer was lost is found by number and day. Sending the
// same attempt twice is refused by the nonce of its signature for a while, which is no promise, and so not made use of.
//
// Receipts and replies are posted to us and carry no signature: see [Sender.Hear].
package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/alicloud"
	"github.com/dulyhq/duly/internal/channel/approved"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Config is the account, what was approved, and how callbacks are proved.
type Config struct {
	Account         alicloud.Account   `yaml:",inline"`
	Endpoint        string             `yaml:"endpoint"`         // https://dysmsapi.aliyuncs.com where it is not given
	Sign            string             `yaml:"sign"`             // the sign name of templates that name none
	Templates       approved.Templates `yaml:"templates"`        // theirs, by ours
	VariableMax     int                `yaml:"variable_max"`     // characters of a variable's value; 35 where it is not given
	CallbackSecrets []channel.Secret   `yaml:"callback_secrets"` // of the URL that receipts and replies are posted to; none takes none
	Link            post.Link          `yaml:",inline"`
}

const (
	endpointDefault    = "https://dysmsapi.aliyuncs.com"
	version            = "2017-05-25"
	variableMaxDefault = 35
	variableMaxMax     = 1000
	pageSize           = 50 // of QuerySendDetails: the most that it gives
	pagesMax           = 3
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	c.Account.Check(p)
	if c.Endpoint != "" {
		c.Link.CheckURL(p, "endpoint", c.Endpoint)
	}
	c.Templates.Check(p, "templates")
	for name, t := range c.Templates {
		if t.Sign == "" && c.Sign == "" {
			p.Add("templates."+name+".sign", "missing, and the carrier has none", "write the approved sign name, without its brackets")
		}
	}
	if c.VariableMax < 0 || c.VariableMax > variableMaxMax {
		p.Add("variable_max", "not from 1 to "+strconv.Itoa(variableMaxMax), "leave it out for "+strconv.Itoa(variableMaxDefault))
	}
	callback.CheckSecrets(p, "callback_secrets", c.CallbackSecrets)
	c.Link.Check(p)
	return p.Err()
}

// Sender hands messages to the service.
type Sender struct {
	name   string
	c      Config
	clock  func() time.Time
	client *alicloud.Client
}

var (
	_ channel.Sender  = (*Sender)(nil)
	_ channel.Inbound = (*Sender)(nil)
	_ channel.Finder  = (*Sender)(nil)
)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	if err := c.Check("carriers." + name + ".aliyun"); err != nil {
		return nil, err
	}
	if c.Endpoint == "" {
		c.Endpoint = endpointDefault
	}
	if c.VariableMax == 0 {
		c.VariableMax = variableMaxDefault
	}
	c.Link = c.Link.WithDefaults()
	client, err := alicloud.New(c.Account, c.Endpoint, version, c.Link)
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: "carriers." + name + ".aliyun.endpoint"})
	}
	return &Sender{name, c, h.Clock, client}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says what the service can do.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{
		Channels: []duly.Channel{duly.ChannelSMS}, Receipts: len(s.c.CallbackSecrets) > 0, Variables: true, Timeout: s.c.Link.Timeout,
	}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

var errTimeout = errors.New("the service did not answer in time")

// Send sends a template's id with its values.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Link.Timeout, errTimeout)
	defer cancel()
	filled, refused := s.c.Templates.Fill(m, s.c.VariableMax)
	switch {
	case refused != nil:
		return channel.Accepted{}, refused
	case !channel.E164(m.To):
		return channel.Accepted{}, &channel.Error{Class: channel.BadAddress, Code: "number"}
	}
	values, err := json.Marshal(filled.Values)
	if err != nil {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	sign := filled.Sign
	if sign == "" {
		sign = s.c.Sign
	}
	params := map[string]string{
		"PhoneNumbers": local(m.To), "SignName": sign, "TemplateCode": filled.ID, "TemplateParam": string(values), "OutId": string(m.AttemptID),
	}
	now := s.now(m.Now)
	a, failed := s.client.Do(ctx, alicloud.Call{Action: "SendSms", Params: params, Nonce: alicloud.Nonce(string(m.AttemptID)), Now: now})
	if failed != nil {
		return channel.Accepted{}, failed
	}
	var got struct{ BizID string }
	if failed := sendCodes.Read(a, &got, now); failed != nil {
		return channel.Accepted{}, failed
	}
	if !callback.Reference(got.BizID) {
		got.BizID = ""
	}
	return channel.Accepted{ProviderID: got.BizID}, nil
}

func (s *Sender) now(still time.Time) time.Time {
	if s.clock == nil {
		return still
	}
	return s.clock()
}

// local writes a number as the service wants it: of the mainland without a prefix, of elsewhere with its country code only.
func local(e164 string) string {
	if n, ok := strings.CutPrefix(e164, "+86"); ok {
		return n
	}
	return e164[1:]
}

// addressWait is how long a number rests that has had as many messages as the service lets it have. It does not say itself.
const addressWait = time.Hour

// sendCodes are the codes of SendSms, as documented.
var sendCodes = alicloud.Table{
	"isv.BUSINESS_LIMIT_CONTROL":           {Class: channel.Throttled, Code: "address_limit", RetryAfter: addressWait}, // of this number
	"isv.DAY_LIMIT_CONTROL":                {Class: channel.Throttled, Code: "day_limit", RetryAfter: addressWait},     // of the account
	"isv.MONTH_LIMIT_CONTROL":              {Class: channel.Config, Code: "month_limit"},
	"isv.MOBILE_NUMBER_ILLEGAL":            {Class: channel.BadAddress, Code: "number"},
	"isv.BLACKLISTED_NUMBER":               {Class: channel.OptedOut, Code: "blacklist"},
	"isv.MOBILE_IN_BLACK":                  {Class: channel.OptedOut, Code: "blacklist"},
	"isv.SMS_TEMPLATE_ILLEGAL":             {Class: channel.Permanent, Code: "template"},
	"isv.TEMPLATE_MISSING_PARAMETERS":      {Class: channel.Permanent, Code: "variables"},
	"isv.TEMPLATE_PARAMS_ILLEGAL":          {Class: channel.Permanent, Code: "variables"},
	"isv.PARAM_LENGTH_LIMIT":               {Class: channel.Permanent, Code: "variables"},
	"isv.PARAM_NOT_SUPPORT_URL":            {Class: channel.Permanent, Code: "variables"},
	"isv.BLACK_KEY_CONTROL_LIMIT":          {Class: channel.Permanent, Code: "content"}, // a word in a value
	"isv.SMS_CONTENT_ILLEGAL":              {Class: channel.Permanent, Code: "content"},
	"isv.DOMESTIC_NUMBER_NOT_SUPPORTED":    {Class: channel.Permanent, Code: "region"},
	"isv.SMS_SIGNATURE_ILLEGAL":            {Class: channel.Config, Code: "sign"},
	"isv.SMS_SIGN_ILLEGAL":                 {Class: channel.Config, Code: "sign"},
	"isv.SMS_SIGNATURE_SCENE_ILLEGAL":      {Class: channel.Config, Code: "sign"},
	"isv.SMS_TEST_NUMBER_LIMIT":            {Class: channel.Config, Code: "test_account"},
	"isv.SMS_TEST_SIGN_TEMPLATE_LIMIT":     {Class: channel.Config, Code: "test_account"},
	"isv.EXTEND_CODE_ERROR":                {Class: channel.Config, Code: "extend_code"},
	"isv.SMS_TEST_TEMPLATE_PARAMS_ILLEGAL": {Class: channel.Config, Code: "test_account"},
}

// receiptCodes are the codes of receipts that say more than that a message failed.
var receiptCodes = map[string]duly.ReceiptStatus{
	"MOBILE_IN_BLACK": duly.ReceiptOptedOut, // on the service's or the operator's list
	"MBBLACK":         duly.ReceiptOptedOut,
	"USER_REJECT":     duly.ReceiptOptedOut, // the recipient refused
	"UNSUBSCRIBE":     duly.ReceiptOptedOut,
	"MK:0001":         duly.ReceiptBadAddress, // no such subscriber
	"EMPTY_NUMBER":    duly.ReceiptBadAddress,
	"MOBILE_EMPTY":    duly.ReceiptBadAddress,
}

func statusOf(success bool, code string) duly.ReceiptStatus {
	if success {
		return duly.ReceiptDelivered
	}
	if s, ok := receiptCodes[code]; ok {
		return s
	}
	return duly.ReceiptFailed
}

// beijing is the time zone of all that the service writes.
var beijing = time.FixedZone("", 8*60*60)

const stampLayout = "2006-01-02 15:04:05"

// detail is one message as QuerySendDetails tells of it.
type detail struct {
	OutID      string
	SendStatus int // 1 no receipt yet, 2 failed, 3 delivered
	ErrCode    string
}

func (d detail) status() (duly.ReceiptStatus, bool) {
	switch d.SendStatus {
	case 1:
		return duly.ReceiptAccepted, true
	case 2:
		return statusOf(false, d.ErrCode), true
	case 3:
		return duly.ReceiptDelivered, true
	}
	return "", false
}

// Find asks the service what it sent to a number on a day, and looks for the attempt.
func (s *Sender) Find(ctx context.Context, q channel.Question) (duly.ReceiptStatus, bool, error) {
	if !channel.E164(q.To) {
		return "", false, nil
	}
	days := []string{q.SentAt.In(beijing).Format("20060102")}
	if next := q.SentAt.Add(s.c.Link.Timeout).In(beijing).Format("20060102"); next != days[0] {
		days = append(days, next)
	}
	for _, day := range days {
		d, ok, err := s.detail(ctx, local(q.To), day, q.AttemptID)
		if err != nil {
			return "", false, err
		}
		if ok {
			status, known := d.status()
			return status, known, nil
		}
	}
	return "", false, nil
}

func (s *Sender) detail(ctx context.Context, number, day string, id duly.AttemptID) (detail, bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Link.Timeout, errTimeout)
	defer cancel()
	for page := 1; page <= pagesMax; page++ {
		if s.clock == nil {
			return detail{}, false, nil // time stands still: nobody is asked
		}
		now := s.clock()
		a, failed := s.client.Do(ctx, alicloud.Call{Action: "QuerySendDetails", Now: now,
			Nonce: alicloud.Nonce(string(id) + "?" + strconv.Itoa(page) + "?" + now.Format(time.RFC3339Nano)),
			Params: map[string]string{
				"PhoneNumber": number, "SendDate": day, "PageSize": strconv.Itoa(pageSize), "CurrentPage": strconv.Itoa(page),
			}})
		if failed != nil {
			return detail{}, false, failed
		}
		var got struct {
			SmsSendDetailDTOs struct {
				SmsSendDetailDTO []detail
			}
		}
		if failed := sendCodes.Read(a, &got, now); failed != nil {
			return detail{}, false, failed
		}
		list := got.SmsSendDetailDTOs.SmsSendDetailDTO
		for _, d := range list {
			if d.OutID == string(id) {
				return d, true, nil
			}
		}
		if len(list) < pageSize {
			break
		}
	}
	return detail{}, false, nil
}
