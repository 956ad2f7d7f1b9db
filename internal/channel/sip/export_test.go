package sip

// Describe, ReadPacket and Parse are what an outsider reaches.
func Describe(b []byte) error { _, err := describe(b); return err }

// ReadPacket reads RTP.
func ReadPacket(b []byte) ([]byte, bool) { p, ok := readPacket(b); return p.payload, ok }

// Parse reads a message of SIP.
func Parse(b []byte) bool { return parse(b) != nil }

// InfoKey reads a key that came as a message.
func InfoKey(s string) (byte, bool) { return infoKey(s) }

// Intents lists what outcomes become.
func Intents() (out []string) {
	for _, i := range intents {
		out = append(out, i)
	}
	return out
}
