package rule

import (
	"slices"
	"time"

	"github.com/dulyhq/duly"
)

// optOut stops contacts that the borrower refused by one of its keys; with by_channel, by the key of the contact's own
// channel too: sms, email, push, im, in_app, letter, calls, and robocall for calls that no person makes.
//
//	params: {keys: [all], by_channel: true}
type optOut struct {
	keys      []string
	byChannel bool
}

func (x *optOut) check(v *View, at time.Time) finding {
	for i := range v.Person.OptOuts {
		o := &v.Person.OptOuts[i]
		if o.ActiveAt(at) && v.about(o.LoanID) && x.refuses(o.Key, v.Contact.Channel) {
			return finding{seen: "refused by key " + o.Key + " on " + o.At.UTC().Format(time.DateOnly)}
		}
	}
	return pass()
}

func (x *optOut) refuses(key string, c duly.Channel) bool {
	if slices.Contains(x.keys, key) {
		return true
	}
	if !x.byChannel {
		return false
	}
	switch key {
	case "calls":
		return c.Call()
	case "robocall":
		return c == duly.ChannelRobot || c == duly.ChannelPrerecorded
	}
	return key == string(c)
}

func parseOptOut(o *object) checker {
	o.need("keys")
	return &optOut{keys: o.strs("keys"), byChannel: o.yes("by_channel")}
}
