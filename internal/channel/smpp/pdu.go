package smpp

import (
	"encoding/binary"
	"errors"
	"io"
)

// command is the operation that a PDU asks for or answers.
type command uint32

// The operations of SMPP 3.4, section 5.1.2.1, that are spoken here.
const (
	bindReceiver      command = 0x01
	bindTransmitter   command = 0x02
	querySM           command = 0x03
	submitSM          command = 0x04
	deliverSM         command = 0x05
	unbind            command = 0x06
	bindTransceiver   command = 0x09
	outbind           command = 0x0b
	enquireLink       command = 0x15
	alertNotification command = 0x102
	dataSM            command = 0x103

	answerBit   command = 0x80000000
	genericNack         = answerBit
)

// Tags of optional parameters, section 5.3.2.
const (
	tagReference   uint16 = 0x0204 // user_message_reference
	tagSarRef      uint16 = 0x020c
	tagSarTotal    uint16 = 0x020e
	tagSarNo       uint16 = 0x020f
	tagReceiptedID uint16 = 0x001e
	tagErrorCode   uint16 = 0x0423 // network_error_code
	tagPayload     uint16 = 0x0424
	tagState       uint16 = 0x0427
	tagTransaction uint16 = 0x0030
)

// Limits of a PDU.
const (
	headerLen  = 16
	pduMax     = 80 << 10 // a message_payload of 64 KiB and what goes with it
	optionsMax = 64
	textMax    = 254 // of short_message; longer ones go as message_payload
	fieldMax   = 256 // of a text that ends with a zero; the standard's longest has 65 octets
)

// What a PDU can be that is none.
var (
	errLength = errors.New("command_length")     // shorter than its header or longer than any PDU
	errBody   = errors.New("malformed_pdu")      // a field does not end, or ends after the PDU
	errOption = errors.New("malformed_optional") // the same of an optional parameter
)

// pdu is one PDU with its body as it came.
type pdu struct {
	command command
	status  status
	seq     uint32
	body    []byte
}

// readPDU reads the next PDU. It judges the length before it reads on, and makes no room for more than pduMax.
func readPDU(r io.Reader) (pdu, error) {
	var h [headerLen]byte
	if _, err := io.ReadFull(r, h[:4]); err != nil {
		return pdu{}, err
	}
	n := binary.BigEndian.Uint32(h[:])
	if n < headerLen || n > pduMax {
		return pdu{}, errLength
	}
	if _, err := io.ReadFull(r, h[4:]); err != nil {
		return pdu{}, err
	}
	p := pdu{
		command: command(binary.BigEndian.Uint32(h[4:])), status: status(binary.BigEndian.Uint32(h[8:])), seq: binary.BigEndian.Uint32(h[12:]),
		body: make([]byte, n-headerLen),
	}
	if _, err := io.ReadFull(r, p.body); err != nil {
		return pdu{}, err
	}
	return p, nil
}

// bytes returns the PDU as it goes over the wire.
func (p pdu) bytes() []byte {
	b := make([]byte, 0, headerLen+len(p.body))
	b = binary.BigEndian.AppendUint32(b, uint32(headerLen+len(p.body)))
	b = binary.BigEndian.AppendUint32(b, uint32(p.command))
	b = binary.BigEndian.AppendUint32(b, uint32(p.status))
	b = binary.BigEndian.AppendUint32(b, p.seq)
	return append(b, p.body...)
}

// address is a number or name with its kind.
type address struct {
	ton, npi byte
	text     string
}

// option is an optional parameter.
type option struct {
	tag   uint16
	value []byte
}

// shortMessage is the body of submit_sm and deliver_sm, and as much of it as data_sm has.
type shortMessage struct {
	service            string
	from, to           address
	class              byte // esm_class
	schedule, validity string
	registered         byte
	coding             byte // data_coding
	text               []byte
	options            []option
}

// appendTo writes m as the body of a submit_sm.
func (m *shortMessage) appendTo(b []byte) []byte {
	b = appendText(b, m.service)
	b = appendAddress(b, m.from)
	b = appendAddress(b, m.to)
	b = append(b, m.class, 0, 0) // protocol_id, priority_flag
	b = appendText(b, m.schedule)
	b = appendText(b, m.validity)
	b = append(b, m.registered, 0, m.coding, 0, byte(len(m.text))) // replace_if_present_flag, sm_default_msg_id
	b = append(b, m.text...)
	return appendOptions(b, m.options)
}

func appendText(b []byte, s string) []byte { return append(append(b, s...), 0) }

func appendAddress(b []byte, a address) []byte { return appendText(append(b, a.ton, a.npi), a.text) }

func appendOptions(b []byte, options []option) []byte {
	for _, o := range options {
		b = binary.BigEndian.AppendUint16(b, o.tag)
		b = binary.BigEndian.AppendUint16(b, uint16(len(o.value)))
		b = append(b, o.value...)
	}
	return b
}

// option returns the value of the first parameter of a tag, or nil.
func (m *shortMessage) option(tag uint16) []byte {
	for _, o := range m.options {
		if o.tag == tag {
			return o.value
		}
	}
	return nil
}

// words returns what the message says: its short_message, or its payload.
func (m *shortMessage) words() []byte {
	if p := m.option(tagPayload); p != nil && len(m.text) == 0 {
		return p
	}
	return m.text
}

// readMessage reads the body of a deliver_sm or data_sm.
func readMessage(c command, body []byte) (shortMessage, error) {
	r := reader{b: body}
	var m shortMessage
	m.service = r.text()
	m.from, m.to = r.address(), r.address()
	m.class = r.octet()
	if c == dataSM {
		m.registered, m.coding = r.octet(), r.octet()
	} else {
		r.octet() // protocol_id
		r.octet() // priority_flag
		m.schedule, m.validity = r.text(), r.text()
		m.registered = r.octet()
		r.octet() // replace_if_present_flag
		m.coding = r.octet()
		r.octet() // sm_default_msg_id
		m.text = r.take(int(r.octet()))
	}
	if r.err != nil {
		return shortMessage{}, r.err
	}
	m.options, r.err = readOptions(r.b)
	return m, r.err
}

func readOptions(b []byte) ([]option, error) {
	var out []option
	for len(b) > 0 {
		if len(b) < 4 || len(out) == optionsMax {
			return nil, errOption
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			return nil, errOption
		}
		out = append(out, option{binary.BigEndian.Uint16(b), b[4 : 4+n]})
		b = b[4+n:]
	}
	return out, nil
}

// reader reads the fields of a body; after the first error it reads nothing more.
type reader struct {
	b   []byte
	err error
}

func (r *reader) octet() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n > len(r.b) {
		r.err = errBody
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) text() string {
	for i, c := range r.b {
		if i == fieldMax {
			break
		}
		if c == 0 {
			return string(r.take(i + 1)[:i])
		}
	}
	r.err = errBody
	return ""
}

func (r *reader) address() address { return address{r.octet(), r.octet(), r.text()} }

// readID reads the message_id of an answer; some carriers leave it out, or out its end.
func readID(body []byte) string {
	for i, c := range body {
		if c == 0 {
			return clean(string(body[:i]))
		}
	}
	return clean(string(body))
}

// clean makes a carrier's reference fit to be kept: printable, and no longer than any.
func clean(id string) string {
	out := make([]byte, 0, len(id))
	for i := range len(id) {
		if c := id[i]; c > ' ' && c < 0x7f && len(out) < idMax {
			out = append(out, c)
		}
	}
	return string(out)
}

// idMax is the longest message_id, section 5.2.23.
const idMax = 65
