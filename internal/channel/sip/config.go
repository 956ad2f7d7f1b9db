package sip

import (
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/dialogues"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/dialogue"
	"github.com/dulyhq/duly/internal/voice"

	duly "github.com/dulyhq/duly"
)

// Config is the trunk that calls go out by, and what is said on them.
type Config struct {
	Trunk     string         `yaml:"trunk"`      // host:port of the trunk, by UDP; the port is 5060 where it is not given
	Domain    string         `yaml:"domain"`     // of addresses; the trunk's host where it is not given
	Username  string         `yaml:"username"`   // for digest authentication; "" is none
	Password  channel.Secret `yaml:"password"`   //
	Caller    string         `yaml:"caller"`     // the number that is shown: one of the lender's own
	Listen    string         `yaml:"listen"`     // host:port that signalling is heard on; any port of any address where it is not given
	Advertise string         `yaml:"advertise"`  // the address that the trunk reaches us at, where it is not the machine's own
	Peers     []string       `yaml:"peers"`      // further addresses or networks that signalling and sound may come from
	Ports     string         `yaml:"ports"`      // for sound: 20000-20999
	Strip     []string       `yaml:"strip"`      // what a number begins with and the trunk does not want; the first that fits
	Prefix    string         `yaml:"prefix"`     // what it wants before the rest
	Calls     int            `yaml:"calls"`      // at one time; 30 where it is not given
	PerSecond int            `yaml:"per_second"` // calls begun; 5 where it is not given
	Ring      time.Duration  `yaml:"ring"`       // how long it may ring; 30s where it is not given
	Setup     time.Duration  `yaml:"setup"`      // until it rings; 15s where it is not given
	CallMax   time.Duration  `yaml:"call_max"`   // of a whole call; 5m where it is not given
	Drain     time.Duration  `yaml:"drain"`      // how long calls may go on when the process stops; 20s where it is not given
	NoPing    bool           `yaml:"no_ping"`    // the trunk does not answer OPTIONS: then a dead one leaves calls in doubt
	Agent     string         `yaml:"agent"`      // sip: address, or an extension of the trunk, of whoever takes calls over; "" is nobody: they are called back
	AgentRing time.Duration  `yaml:"agent_ring"` // how long it may ring there; 20s where it is not given
	Dialogues string         `yaml:"dialogues"`  // a folder of dialogues of one's own; those that ship where it is not given
	Robot     string         `yaml:"robot"`      // the dialogue for call_ai; reminder where it is not given
	Notice    string         `yaml:"notice"`     // the dialogue for call_prerecorded; notice where it is not given
	Timezone  string         `yaml:"timezone"`   // of the days that people promise; Asia/Shanghai where it is not given
	Speech    Speech         `yaml:"speech"`
	Record    Record         `yaml:"record"`
}

// Speech is where words become sound.
type Speech struct {
	Recordings string            `yaml:"recordings"` // a folder with <language>/index.yaml: words, and the WAV file of each
	Engine     string            `yaml:"engine"`     // espeak, http or none; espeak where it is installed
	Cache      string            `yaml:"cache"`      // a folder for sound that holds nothing personal
	Lexicon    map[string]string `yaml:"lexicon"`    // words, and how the engine is to be told them
	URL        string            `yaml:"url"`        // of an engine by HTTP
	Header     string            `yaml:"header"`     // that carries its key; Authorization where it is not given
	Key        channel.Secret    `yaml:"key"`        //
	Body       string            `yaml:"body"`       // its request: JSON with {{text}} and {{language}}
	Version    string            `yaml:"version"`    // of the voice: a new one is not served from the cache of the old
}

// Record is whether calls are recorded. They are not, unless a folder is given.
type Record struct {
	Folder   string            `yaml:"folder"`
	Days     int               `yaml:"days"`     // how long they are kept
	Announce map[string]string `yaml:"announce"` // by language: the words that say so, before anything else; without them a call in that language is not recorded
}

// Limits and defaults.
const (
	portDefault      = "5060"
	portsDefault     = "20000-20999"
	callsDefault     = 30
	callsMax         = 1000
	perSecondDefault = 5
	perSecondMax     = 100
	ringDefault      = 30 * time.Second
	ringMax          = 90 * time.Second
	setupDefault     = 15 * time.Second
	setupMax         = 60 * time.Second
	callMaxDefault   = 5 * time.Minute
	callMaxMax       = 30 * time.Minute
	drainDefault     = 20 * time.Second
	drainMax         = 5 * time.Minute
	agentRingDefault = 20 * time.Second
	daysMax          = 3660
	announceMax      = 200
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	if c.Trunk == "" || strings.ContainsAny(c.Trunk, " /@") {
		p.Add("trunk", "missing, or not host:port", "write it as sip.carrier.example:5060")
	}
	if !callerForm.MatchString(c.Caller) {
		p.Add("caller", "missing, or not a number", "write a number that is the lender's own, such as +8695000")
	}
	if (c.Username == "") != c.Password.IsZero() {
		p.Add("password", "user name and password belong together", "give both, or neither where the trunk knows our address")
	}
	for i, w := range []string{c.Username, c.Domain, c.Prefix, c.Agent} {
		if strings.ContainsAny(w, " \r\n<>\"") {
			p.Add([]string{"username", "domain", "prefix", "agent"}[i], "holds a character that no address has", "take it out")
		}
	}
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			p.Add("listen", "not host:port", "write it as 0.0.0.0:5060")
		}
	}
	if c.Advertise != "" && net.ParseIP(c.Advertise) == nil {
		p.Add("advertise", "not an IP address", "write the one that the trunk reaches us at")
	}
	for i, peer := range c.Peers {
		if _, err := network(peer); err != nil {
			p.Add("peers["+strconv.Itoa(i)+"]", "neither an address nor a network", "write it as 203.0.113.0/24")
		}
	}
	if _, _, err := portRange(c.Ports); c.Ports != "" && err != nil {
		p.Add("ports", "not a range of ports", "write it as "+portsDefault+": two for each call")
	}
	c.checkLimits(p)
	c.Speech.check(p)
	c.Record.check(p)
	return p.Err()
}

var callerForm = regexp.MustCompile(`^\+?[0-9]{2,20}$`)

func (c Config) checkLimits(p *channel.Problems) {
	for _, n := range []struct {
		key   string
		value int
		max   int
	}{{"calls", c.Calls, callsMax}, {"per_second", c.PerSecond, perSecondMax}} {
		if n.value < 0 || n.value > n.max {
			p.Add(n.key, "not from 1 to "+strconv.Itoa(n.max), "leave it out for the default")
		}
	}
	for _, d := range []struct {
		key   string
		value time.Duration
		max   time.Duration
	}{{"ring", c.Ring, ringMax}, {"setup", c.Setup, setupMax}, {"call_max", c.CallMax, callMaxMax}, {"drain", c.Drain, drainMax}, {"agent_ring", c.AgentRing, ringMax}} {
		if d.value < 0 || d.value > d.max {
			p.Add(d.key, "not from 0 to "+d.max.String(), "write it as 30s")
		}
	}
	if _, err := time.LoadLocation(c.Timezone); err != nil {
		p.Add("timezone", "not an IANA time zone", "write it as Asia/Shanghai")
	}
	if c.Dialogues != "" {
		if _, err := dialogue.LoadFS(os.DirFS(c.Dialogues)); err != nil {
			p.Add("dialogues", err.Error(), "`duly dialogue check FILE` says more")
		}
		return
	}
	for _, name := range []string{c.Robot, c.Notice} {
		if set, err := dialogue.LoadFS(dialogues.FS); name != "" && err == nil && set.Find("zh-CN", name) == nil && set.Find("en", name) == nil {
			p.Add("robot", "there is no dialogue of that name", "those that ship are reminder and notice; give dialogues: for those of your own")
		}
	}
}

func (s Speech) check(p *channel.Problems) {
	switch s.Engine {
	case "", "espeak", "none":
		if s.URL != "" {
			p.Add("speech.url", "is given, and the engine is not http", "set engine: http")
		}
	case "http":
		if !strings.HasPrefix(s.URL, "https://") && !strings.HasPrefix(s.URL, "http://127.0.0.1") && !strings.HasPrefix(s.URL, "http://localhost") {
			p.Add("speech.url", "not https", "names and amounts cross the network: write an https address")
		}
		if !strings.Contains(s.Body, "{{text}}") {
			p.Add("speech.body", "has no place for the words", `write it as {"input":"{{text}}","language":"{{language}}"}`)
		}
	default:
		p.Add("speech.engine", "unknown", "espeak, http or none")
	}
}

func (r Record) check(p *channel.Problems) {
	if r.Folder == "" {
		return
	}
	if r.Days < 1 || r.Days > daysMax {
		p.Add("record.days", "missing, or not from 1 to "+strconv.Itoa(daysMax), "say after how many days recordings are deleted")
	}
	if len(r.Announce) == 0 {
		p.Add("record.announce", "nobody is told", "give the words by language, such as zh-CN: 为保证服务质量，本次通话将被录音。")
	}
	for l, w := range r.Announce {
		if n := len([]rune(w)); n == 0 || n > announceMax {
			p.Add("record.announce."+l, "empty, or longer than "+strconv.Itoa(announceMax)+" characters", "one sentence is enough")
		}
	}
}

func (c Config) withDefaults(h channel.Host) Config {
	if _, _, err := net.SplitHostPort(c.Trunk); err != nil {
		c.Trunk = net.JoinHostPort(c.Trunk, portDefault)
	}
	if c.Domain == "" {
		c.Domain, _, _ = net.SplitHostPort(c.Trunk)
	}
	if c.Listen == "" {
		c.Listen = ":0"
	}
	for _, d := range []struct {
		p   *time.Duration
		def time.Duration
	}{{&c.Ring, ringDefault}, {&c.Setup, setupDefault}, {&c.CallMax, callMaxDefault}, {&c.Drain, drainDefault}, {&c.AgentRing, agentRingDefault}} {
		if *d.p == 0 {
			*d.p = d.def
		}
	}
	for _, s := range []struct {
		p   *string
		def string
	}{{&c.Ports, portsDefault}, {&c.Robot, "reminder"}, {&c.Notice, "notice"}, {&c.Timezone, "Asia/Shanghai"}, {&c.Speech.Header, "Authorization"}} {
		if *s.p == "" {
			*s.p = s.def
		}
	}
	if c.Calls == 0 {
		c.Calls = callsDefault
	}
	if c.PerSecond == 0 {
		c.PerSecond = perSecondDefault
	}
	return c
}

func (c Config) prompts() (*voice.Prompts, error) {
	of := voice.PromptsOf{Recordings: c.Speech.Recordings, Cache: c.Speech.Cache, Lexicon: c.Speech.Lexicon}
	switch c.Speech.Engine {
	case "", "espeak":
		e, ok := voice.NewEspeak()
		if ok {
			of.Speaker = e
			if of.Lexicon == nil {
				of.Lexicon = voice.MandarinLexicon()
			}
		} else if c.Speech.Engine == "espeak" {
			return nil, duly.Errorf(duly.Invalid, "espeak-ng is not installed").WithHint("install the package espeak-ng, or give recordings or an engine by http")
		}
	case "http":
		of.Speaker = &voice.Service{URL: c.Speech.URL, Body: c.Speech.Body, Version: c.Speech.Version, Headers: map[string]string{c.Speech.Header: c.Speech.Key.Reveal()}}
	}
	return voice.NewPrompts(of)
}

func (c Config) dialogues() (*dialogue.Set, error) {
	if c.Dialogues != "" {
		return dialogue.LoadFS(os.DirFS(c.Dialogues))
	}
	return dialogue.LoadFS(dialogues.FS)
}

// network reads an address or a network.
func network(s string) (*net.IPNet, error) {
	if ip := net.ParseIP(s); ip != nil {
		bits := 8 * len(ip.To4())
		if bits == 0 {
			bits = 128
		}
		return &net.IPNet{IP: ip, Mask: net.CIDRMask(bits, bits)}, nil
	}
	_, n, err := net.ParseCIDR(s)
	return n, err
}

// portRange reads 20000-20999.
func portRange(s string) (from, to int, err error) {
	a, b, _ := strings.Cut(s, "-")
	from, err = strconv.Atoi(a)
	if err == nil {
		to, err = strconv.Atoi(b)
	}
	if err == nil && (from < 1024 || to > 65535 || to < from+1) {
		err = strconv.ErrRange
	}
	return from, to, err
}

var numberForm = regexp.MustCompile(`^\+?[0-9]{3,20}$`)

// dialled returns a number as the trunk wants it; false where it is none.
func (c Config) dialled(to string) (string, bool) {
	to = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(to)
	for _, s := range c.Strip {
		if rest, ok := strings.CutPrefix(to, s); ok && s != "" {
			to = rest
			break
		}
	}
	to = c.Prefix + to
	return to, numberForm.MatchString(to)
}
