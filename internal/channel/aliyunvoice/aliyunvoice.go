// Package aliyunvoice is the carrier of Alibaba Cloud's voice notices (dyvmsapi, SingleCallByTts): a call that speaks a text
// template which they approved, and may take a key.
//
// What it speaks are the words of a template's `call`, which ask for the person and name no debt: its variables are those of
// those words, so a provider's variable that is mapped to an amount has no value here, and nothing is sent.
//
// A call that was made and not answered counts as made: its receipt says accepted, with the reason in its detail, so that the
// contact is not tried again by itself and counts against the caps.
package aliyunvoice

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
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

// Config is the account, what was approved, and what keys mean.
type Config struct {
	Account         alicloud.Account   `yaml:",inline"`
	Endpoint        string             `yaml:"endpoint"`         // https://dyvmsapi.aliyuncs.com where it is not given
	From            string             `yaml:"from"`             // the number that is shown; of the public pool where it is not given
	Templates       approved.Templates `yaml:"templates"`        // theirs (TTS_…), by ours
	VariableMax     int                `yaml:"variable_max"`     // characters of a variable's value; 35 where it is not given
	PlayTimes       int                `yaml:"play_times"`       // how often the words are spoken, 1 to 3; 2 where it is not given
	Keys            map[string]string  `yaml:"keys"`             // what a key that was pressed says, in words that docs/replies.md reads
	CallbackSecrets []channel.Secret   `yaml:"callback_secrets"` // of the URL that reports are posted to; none takes none
	Link            post.Link          `yaml:",inline"`
}

const (
	endpointDefault    = "https://dyvmsapi.aliyuncs.com"
	version            = "2017-05-25"
	mainland           = "CN" // the country of numbers that are written without one
	variableMaxDefault = 35
	variableMaxMax     = 1000
	playTimesDefault   = 2
	playTimesMax       = 3
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	c.Account.Check(p)
	if c.Endpoint != "" {
		c.Link.CheckURL(p, "endpoint", c.Endpoint)
	}
	c.Templates.Check(p, "templates")
	if c.VariableMax < 0 || c.VariableMax > variableMaxMax {
		p.Add("variable_max", "not from 1 to "+strconv.Itoa(variableMaxMax), "leave it out for "+strconv.Itoa(variableMaxDefault))
	}
	if c.PlayTimes < 0 || c.PlayTimes > playTimesMax {
		p.Add("play_times", "not from 1 to "+strconv.Itoa(playTimesMax), "leave it out for "+strconv.Itoa(playTimesDefault))
	}
	callback.CheckKeys(p, "keys", c.Keys)
	callback.CheckSecrets(p, "callback_secrets", c.CallbackSecrets)
	c.Link.Check(p)
	return p.Err()
}

// Sender has the service call.
type Sender struct {
	name   string
	c      Config
	clock  func() time.Time
	client *alicloud.Client
}

var (
	_ channel.Sender  = (*Sender)(nil)
	_ channel.Inbound = (*Sender)(nil)
)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	if err := c.Check("carriers." + name + ".aliyun_voice"); err != nil {
		return nil, err
	}
	if c.Endpoint == "" {
		c.Endpoint = endpointDefault
	}
	if c.VariableMax == 0 {
		c.VariableMax = variableMaxDefault
	}
	if c.PlayTimes == 0 {
		c.PlayTimes = playTimesDefault
	}
	c.Link = c.Link.WithDefaults()
	client, err := alicloud.New(c.Account, c.Endpoint, version, c.Link)
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: "carriers." + name + ".aliyun_voice.endpoint"})
	}
	return &Sender{name, c, h.Clock, client}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says what the service can do.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{
		Channels: []duly.Channel{duly.ChannelPrerecorded}, Receipts: len(s.c.CallbackSecrets) > 0, Variables: true, Timeout: s.c.Link.Timeout,
	}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

var errTimeout = errors.New("the service did not answer in time")

// Send has the service call and speak.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Link.Timeout, errTimeout)
	defer cancel()
	filled, refused := s.c.Templates.Fill(m, s.c.VariableMax)
	to, malformed := channel.Number(m.To, mainland)
	switch {
	case refused != nil:
		return channel.Accepted{}, refused
	case malformed != nil:
		return channel.Accepted{}, malformed
	}
	values, err := json.Marshal(filled.Values)
	if err != nil {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	params := map[string]string{
		"CalledNumber": alicloud.Local(to), "TtsCode": filled.ID, "TtsParam": string(values), "PlayTimes": strconv.Itoa(s.c.PlayTimes),
		"OutId": string(m.AttemptID),
	}
	if s.c.From != "" {
		params["CalledShowNumber"] = s.c.From
	}
	now := m.Now
	if s.clock != nil {
		now = s.clock()
	}
	a, failed := s.client.Do(ctx, alicloud.Call{Action: "SingleCallByTts", Params: params, Nonce: alicloud.Nonce(string(m.AttemptID)), Now: now})
	if failed != nil {
		return channel.Accepted{}, failed
	}
	var got struct{ CallID string }
	if failed := codes.Read(a, &got, now); failed != nil {
		return channel.Accepted{}, failed
	}
	if !callback.Reference(got.CallID) {
		got.CallID = ""
	}
	return channel.Accepted{ProviderID: got.CallID}, nil
}

// addressWait is how long a number rests that has had as many calls as the service lets it have.
const addressWait = time.Hour

// codes are those of SingleCallByTts, as documented.
var codes = alicloud.Table{
	"isv.BUSINESS_LIMIT_CONTROL":      {Class: channel.Throttled, Code: "address_limit", RetryAfter: addressWait}, // 1 a minute, 5 an hour, 20 a day
	"isv.MOBILE_NUMBER_ILLEGAL":       {Class: channel.BadAddress, Code: "number"},
	"isv.CALLED_NUMBER_ILLEGAL":       {Class: channel.BadAddress, Code: "number"},
	"isv.TTS_TEMPLATE_ILLEGAL":        {Class: channel.Permanent, Code: "template"},
	"isv.TEMPLATE_MISSING_PARAMETERS": {Class: channel.Permanent, Code: "variables"},
	"isv.PARAM_LENGTH_LIMIT":          {Class: channel.Permanent, Code: "variables"},
	"isv.BLACK_KEY_CONTROL_LIMIT":     {Class: channel.Permanent, Code: "content"},
	"isv.DISPLAY_NUMBER_ILLEGAL":      {Class: channel.Config, Code: "sender"},
	"isv.DISPLAY_NUMBER_NOT_BIND":     {Class: channel.Config, Code: "sender"},
	"isv.BLACKLISTED_NUMBER":          {Class: channel.OptedOut, Code: "blacklist"},
}

// outcomes are the codes of reports, as documented. A call that reached a phone counts as made, whoever did not answer it.
var outcomes = map[string]duly.ReceiptStatus{
	"200000": duly.ReceiptDelivered, // heard to the end
	"200001": duly.ReceiptDelivered, // answered, hung up before the end
	"200008": duly.ReceiptDelivered, // heard, no key
	"200002": duly.ReceiptAccepted,  // busy
	"200003": duly.ReceiptAccepted,  // not answered
	"200005": duly.ReceiptAccepted,  // not reached, or rejected
	"200007": duly.ReceiptAccepted,  // out of reach
	"200010": duly.ReceiptAccepted,  // switched off
	"200004": duly.ReceiptFailed,    // not a number
	"200006": duly.ReceiptFailed,    // the words cannot be played
	"200011": duly.ReceiptFailed,    // out of service
	"200104": duly.ReceiptFailed,    // the calling number is barred
	"200105": duly.ReceiptFailed,    // the called number is barred
	"200117": duly.ReceiptFailed,    // the shown number is not allowed
	"200118": duly.ReceiptFailed,    // not at this hour
	"200121": duly.ReceiptFailed,    // too many calls at once
}

// window is how old a report may be: the service repeats one for a quarter of an hour, and not again.
const window = 24 * time.Hour

var beijing = time.FixedZone("", 8*60*60)

// report is one call as it is posted (VoiceReport), in an array.
type report struct {
	CallID  string `json:"call_id"`
	Callee  string `json:"callee"`
	EndTime string `json:"end_time"`
	Status  string `json:"status_code"`
	OutID   string `json:"out_id"`
	DTMF    string `json:"dtmf"`
}

// Hear reads reports, and the keys that were pressed. They are unsigned: the secret in the URL proves them, and nothing in
// them marks an address.
func (s *Sender) Hear(r *http.Request, body []byte) (channel.Heard, error) {
	if err := callback.ByKey(r, s.c.CallbackSecrets); err != nil {
		return channel.Heard{}, err
	}
	if s.clock == nil {
		return channel.Heard{}, errors.New("aliyun_voice: callbacks need Host.Clock")
	}
	if err := callback.Fits(body); err != nil {
		return channel.Heard{}, err
	}
	var all []report
	if err := callback.Decode(body, &all); err != nil {
		return channel.Heard{}, err
	}
	if err := callback.Count(len(all)); err != nil {
		return channel.Heard{}, err
	}
	var heard channel.Heard
	for i, e := range all {
		if e.OutID != "" && !callback.Attempt(duly.AttemptID(e.OutID)) {
			continue // of another program that calls by this account
		}
		if err := s.report(&heard, i, e); err != nil {
			return channel.Heard{}, err
		}
	}
	heard.Answer = &channel.Answer{Type: "application/json", Body: []byte(`{"code":0,"msg":"ok"}`)}
	return heard, nil
}

func (s *Sender) report(heard *channel.Heard, i int, e report) error {
	at, err := time.ParseInLocation("2006-01-02 15:04:05", e.EndTime, beijing)
	switch {
	case err != nil:
		return callback.Wrong(i, "end_time", "not a time")
	case !callback.Reference(e.CallID):
		return callback.Wrong(i, "call_id", "not 1 to 128 printable characters")
	}
	if err := callback.Fresh(at, s.clock(), window); err != nil {
		return err
	}
	status, ok := outcomes[e.Status]
	if !ok {
		status = duly.ReceiptAccepted
	}
	heard.Receipts = append(heard.Receipts, duly.Receipt{
		Provider: s.name, Key: e.CallID + ":" + string(status), AttemptID: duly.AttemptID(e.OutID), ProviderID: e.CallID, Status: status,
		Detail: callback.Word(e.Status), At: at.UTC(),
	})
	if words := s.c.Keys[strings.Trim(e.DTMF, "#")]; words != "" && e.OutID != "" {
		from := alicloud.International(e.Callee)
		if !channel.E164(from) {
			from = "" // the attempt says who it is
		}
		heard.Replies = append(heard.Replies, channel.Reply{
			Key: "key:" + e.CallID, Channel: duly.ChannelPrerecorded, AttemptID: duly.AttemptID(e.OutID), From: from,
			Text: words, At: at.UTC(),
		})
	}
	return nil
}
