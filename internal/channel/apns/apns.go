// Package apns is the carrier that pushes to Apple's devices: one request of HTTP/2 for each message, proved by a statement
// that the lender's key signs.
//
// A contact point's value is the device token of the lender's app, in hex. Accepted means that Apple has the message, not
// that anybody saw it. A message takes the place of an earlier one about the same loan and due day, and is not shown after
// its words have ceased to be true.
package apns

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/access"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Sender pushes through APNs.
type Sender struct {
	name   string
	c      Config
	clock  func() time.Time
	url    *url.URL
	key    *ecdsa.PrivateKey
	keeper *access.Keeper
	client *post.Client
}

var (
	_ channel.Sender  = (*Sender)(nil)
	_ channel.Reacher = (*Sender)(nil)
)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	at := "carriers." + name + ".apns"
	if err := c.Check(at); err != nil {
		return nil, err
	}
	key, err := access.ParseKey[*ecdsa.PrivateKey](c.Key.Reveal())
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a signing key of Apple's").At(duly.Place{Field: at + ".key"})
	}
	u, err := url.Parse(strings.TrimRight(c.url(), "/") + "/3/device/")
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: at + ".url"})
	}
	c.Link = c.Link.WithDefaults()
	s := &Sender{name: name, c: c, clock: h.Clock, url: u, key: key, client: post.NewHTTP2(c.Link)}
	s.keeper = access.NewKeeper(s.sign)
	return s, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that APNs takes no message twice as one, and tells nothing later.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelPush}, Timeout: s.c.Link.Timeout}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

// Lengths of a device token, in hex digits.
const (
	tokenMin = 64
	tokenMax = 200
)

// Reaches reports whether an address has the form of a device token.
func (s *Sender) Reaches(to string) bool {
	if len(to) < tokenMin || len(to) > tokenMax {
		return false
	}
	_, err := hex.DecodeString(to)
	return err == nil
}

// Limits of a message.
const (
	lifeMax    = 28 * 24 * time.Hour
	payloadMax = 4096
	statedFor  = 40 * time.Minute // Apple takes a statement for an hour, and a new one every 20 minutes at most
)

type payload struct {
	APS struct {
		Alert struct {
			Title string `json:"title,omitempty"`
			Body  string `json:"body"`
		} `json:"alert"`
		Thread string `json:"thread-id"`
	} `json:"aps"`
	Attempt duly.AttemptID `json:"duly_attempt"`
}

// Send pushes the message. A statement that Apple calls too old is made anew, once: what it refuses it has not taken.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Link.Timeout)
	defer cancel()
	if !s.Reaches(m.To) {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: channel.NotItsAddress}
	}
	body, err := encode(m)
	if err != nil {
		return channel.Accepted{}, err
	}
	now := m.Now
	if s.clock != nil {
		now = s.clock()
	}
	got, err := s.post(ctx, now, m, body)
	if err != nil && err.Code == codeStale {
		got, err = s.post(ctx, now, m, body)
	}
	if err != nil {
		return channel.Accepted{}, err
	}
	return got, nil
}

func encode(m channel.Message) ([]byte, *channel.Error) {
	if !utf8.ValidString(m.Subject) || !utf8.ValidString(m.Text) {
		return nil, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	p := payload{Attempt: m.AttemptID}
	p.APS.Alert.Title, p.APS.Alert.Body, p.APS.Thread = m.Subject, m.Text, "duly"
	body, err := json.Marshal(p)
	if err != nil {
		return nil, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	if len(body) > payloadMax {
		return nil, &channel.Error{Class: channel.Permanent, Code: "too_long"}
	}
	return body, nil
}

func (s *Sender) post(ctx context.Context, now time.Time, m channel.Message, body []byte) (channel.Accepted, *channel.Error) {
	token, err := s.keeper.Get(ctx, now)
	if err != nil {
		return channel.Accepted{}, err
	}
	u := *s.url
	u.Path += strings.ToLower(m.To)
	got, err := s.client.Do(ctx, post.Request{URL: &u, Body: body, Header: http.Header{
		"Authorization": {"bearer " + token}, "Apns-Topic": {s.c.Topic}, "Apns-Push-Type": {"alert"}, "Apns-Priority": {"10"},
		"Apns-Expiration": {strconv.FormatInt(m.Now.Add(m.Life(lifeMax)).Unix(), 10)}, "Apns-Collapse-Id": {m.Collapse()},
		"Apns-Id": {uuid(m.AttemptID)}, "Content-Type": {"application/json"}, "User-Agent": {"duly"},
	}})
	if err != nil {
		return channel.Accepted{}, err
	}
	acc, err := read(got, now)
	if err != nil && err.Code == codeStale {
		s.keeper.Drop(token)
	}
	return acc, err
}

// sign makes a statement of who we are.
func (s *Sender) sign(_ context.Context, now time.Time) (access.Token, *channel.Error) {
	t, err := access.SignES256(s.key, s.c.KeyID, map[string]any{"iss": s.c.TeamID, "iat": now.Unix()})
	if err != nil {
		return access.Token{}, &channel.Error{Class: channel.Config, Code: "signature"}
	}
	return access.Token{Text: t, Until: now.Add(statedFor)}, nil
}

// uuid names an attempt as Apple wants requests named.
func uuid(id duly.AttemptID) string {
	sum := sha256.Sum256([]byte(id))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // version 8: of our own making
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// codeStale is a statement that is too old.
const codeStale = "apns_expiredprovidertoken"

// refusals are Apple's reasons. A token that is of another app is not retired: a wrong topic would retire them all.
var refusals = map[string]channel.Class{
	"BadDeviceToken":              channel.BadAddress,
	"Unregistered":                channel.BadAddress,
	"ExpiredToken":                channel.BadAddress,
	"DeviceTokenNotForTopic":      channel.Permanent,
	"PayloadTooLarge":             channel.Permanent,
	"PayloadEmpty":                channel.Permanent,
	"BadCollapseId":               channel.Permanent,
	"BadExpirationDate":           channel.Permanent,
	"BadMessageId":                channel.Permanent,
	"BadPriority":                 channel.Permanent,
	"InvalidPushType":             channel.Permanent,
	"DuplicateHeaders":            channel.Permanent,
	"MissingDeviceToken":          channel.Permanent,
	"BadTopic":                    channel.Config,
	"MissingTopic":                channel.Config,
	"TopicDisallowed":             channel.Config,
	"BadCertificate":              channel.Config,
	"BadCertificateEnvironment":   channel.Config,
	"ExpiredProviderToken":        channel.Config,
	"Forbidden":                   channel.Config,
	"InvalidProviderToken":        channel.Config,
	"MissingProviderToken":        channel.Config,
	"UnrelatedKeyIdInToken":       channel.Config,
	"BadEnvironmentKeyIdInToken":  channel.Config,
	"BadPath":                     channel.Config,
	"MethodNotAllowed":            channel.Config,
	"IdleTimeout":                 channel.Temporary,
	"ServiceUnavailable":          channel.Temporary,
	"Shutdown":                    channel.Temporary,
	"TooManyRequests":             channel.Throttled,
	"TooManyProviderTokenUpdates": channel.Throttled,
}

// read says what an answer means. Acceptance carries an apns-id: another 200 is not Apple's, so not known.
func read(got post.Answer, now time.Time) (channel.Accepted, *channel.Error) {
	if got.Status == http.StatusOK {
		id := got.Header.Get("Apns-Id")
		if !callback.Reference(id) {
			return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: "not_apns", Detail: "http_200"}
		}
		return channel.Accepted{ProviderID: id}, nil
	}
	e := got.Refusal(now)
	var v struct {
		Reason string `json:"reason"`
	}
	broken := json.Unmarshal(got.Body, &v) != nil
	if class, known := refusals[v.Reason]; !broken && known && (got.Status/100 == 4 || got.Status == http.StatusServiceUnavailable) {
		e = &channel.Error{Class: class, Code: "apns_" + strings.ToLower(v.Reason), Detail: "http_" + strconv.Itoa(got.Status)}
		got.Wait(e, now)
	}
	return channel.Accepted{}, e
}
