package smpp

import (
	"fmt"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// status is the command_status of an answer.
type status uint32

// Statuses that are spoken of by name.
const (
	ok              status = 0x00
	invalidLength   status = 0x02 // ESME_RINVCMDLEN
	invalidCommand  status = 0x03 // ESME_RINVCMDID
	wrongBindState  status = 0x04 // ESME_RINVBNDSTS
	alreadyBound    status = 0x05 // ESME_RALYBND
	systemError     status = 0x08 // ESME_RSYSERR
	queueFull       status = 0x14 // ESME_RMSGQFUL
	throttled       status = 0x58 // ESME_RTHROTTLED
	notNow          status = 0x64 // ESME_RX_T_APPN
	invalidOptional status = 0xc0 // ESME_RINVOPTPARSTREAM
)

// classes is the one table of what a refused submit_sm means; section 5.1.3 of the standard. An answer with a status is a refusal: the
// carrier did not take the message. What is not in the table, the carriers' own codes above all, is permanent unless the
// configuration's statuses says otherwise.
var classes = map[status]channel.Class{
	0x01: channel.Permanent, // ESME_RINVMSGLEN

	invalidLength:  channel.Config, // it does not read our PDUs
	invalidCommand: channel.Config,
	wrongBindState: channel.Temporary,
	alreadyBound:   channel.Temporary,
	0x06:           channel.Config, // ESME_RINVPRTFLG
	0x07:           channel.Config, // ESME_RINVREGDLVFLG
	systemError:    channel.Temporary,
	0x0a:           channel.Config, // ESME_RINVSRCADR: our own address is not ours
	0x0b:           channel.BadAddress,
	0x0d:           channel.Config, // ESME_RBINDFAIL
	0x0e:           channel.Config, // ESME_RINVPASWD
	0x0f:           channel.Config, // ESME_RINVSYSID
	queueFull:      channel.Throttled,
	0x15:           channel.Config,    // ESME_RINVSERTYP
	0x43:           channel.Config,    // ESME_RINVESMCLASS
	0x45:           channel.Temporary, // ESME_RSUBMITFAIL
	0x48:           channel.Config,    // ESME_RINVSRCTON
	0x49:           channel.Config,    // ESME_RINVSRCNPI
	0x50:           channel.Config,    // ESME_RINVDSTTON
	0x51:           channel.Config,    // ESME_RINVDSTNPI
	0x53:           channel.Config,    // ESME_RINVSYSTYP
	throttled:      channel.Throttled,
	0x61:           channel.Config, // ESME_RINVSCHED
	0x62:           channel.Config, // ESME_RINVEXPIRY: see validity
	notNow:         channel.Temporary,
	0x65:           channel.Permanent, // ESME_RX_P_APPN
	0x66:           channel.Permanent, // ESME_RX_R_APPN

	invalidOptional: channel.Config,
	0xc1:            channel.Config,  // ESME_ROPTPARNOTALLWD
	0xc2:            channel.Config,  // ESME_RINVPARLEN
	0xc3:            channel.Config,  // ESME_RMISSINGOPTPARAM
	0xc4:            channel.Config,  // ESME_RINVOPTPARAMVAL
	0xff:            channel.Unknown, // ESME_RUNKNOWNERR: not even the carrier knows
}

// throttledRest is how long a carrier that said "too many" is left alone by the same message.
const throttledRest = time.Second

// refusal is the error of an answer with a status.
func (c *Config) refusal(st status, where string) *channel.Error {
	class, known := c.statuses[st]
	if !known {
		class, known = classes[st]
	}
	if !known {
		class = channel.Permanent
	}
	e := &channel.Error{Class: class, Code: code(st), Detail: where}
	if class == channel.Throttled {
		e.RetryAfter = throttledRest
	}
	return e
}

// bindRefusal is the error of a bind that was refused. That somebody is bound already, or that the carrier is busy, passes; all else is for
// a person.
func bindRefusal(st status) *channel.Error {
	e := &channel.Error{Class: channel.Config, Code: code(st), Detail: "bind"}
	switch st {
	case alreadyBound, systemError, queueFull, throttled, notNow, wrongBindState:
		e.Class = channel.Temporary
	}
	return e
}

func code(st status) string {
	if st > 0xffff {
		return "smpp_other" // a label must be of a closed list
	}
	return fmt.Sprintf("smpp_0x%02x", uint32(st))
}

// fail is the error of a request that had no usable answer.
func (f *failure) fail(where string) *channel.Error {
	e := &channel.Error{Class: channel.Temporary, Code: f.code, Detail: where}
	if f.written {
		e.Class = channel.Unknown
	}
	return e
}
