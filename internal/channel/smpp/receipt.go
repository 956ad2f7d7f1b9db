package smpp

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
)

// receiptField finds the keys of a receipt's text, as carriers write them: `id:0001 sub:001 dlvrd:001 submit date:… done date:… stat:DELIVRD err:000 text:…`.
var receiptField = regexp.MustCompile(`(?i)\b(message[_ ]?id|msg[_ ]?id|id|sub|dlvrd|submit[_ ]?date|done[_ ]?date|stat(?:us)?|err(?:or)?|te?xt)\s*[:=]`)

// receiptMax bounds how much of a text is read as a receipt.
const receiptMax = 1024

// fields is what a receipt's text says.
type fields struct{ id, stat, err, done string }

// readFields reads the text of a receipt. What follows the key text is the borrower's message, and is not looked at.
func readFields(text string) fields {
	text = text[:min(len(text), receiptMax)]
	var f fields
	found := receiptField.FindAllStringSubmatchIndex(text, -1)
	for n, at := range found {
		key := strings.ToLower(strings.NewReplacer("_", "", " ", "").Replace(text[at[2]:at[3]]))
		if key == "text" || key == "txt" {
			break
		}
		end := len(text)
		if n+1 < len(found) {
			end = found[n+1][0]
		}
		value := strings.Trim(text[at[1]:end], " \t\r\n,;\"'\x00")
		f.set(key, value)
	}
	return f
}

// set keeps the first value of a key.
func (f *fields) set(key, value string) {
	into := map[string]*string{"messageid": &f.id, "msgid": &f.id, "id": &f.id, "stat": &f.stat, "status": &f.stat, "err": &f.err, "error": &f.err,
		"donedate": &f.done}[key]
	if into == nil || *into != "" {
		return
	}
	if key != "donedate" {
		value, _, _ = strings.Cut(value, " ")
	}
	*into = clean(value)
}

// states is the one table of message states: as receipts write them, and as TLVs and query_sm number them; section 5.2.28.
var states = []struct {
	name   string
	number byte
	status duly.ReceiptStatus
}{
	{"SCHEDULED", 0, duly.ReceiptAccepted}, // SMPP 5
	{"ENROUTE", 1, duly.ReceiptAccepted},
	{"DELIVRD", 2, duly.ReceiptDelivered},
	{"DELIVERED", 2, duly.ReceiptDelivered},
	{"EXPIRED", 3, duly.ReceiptFailed},
	{"DELETED", 4, duly.ReceiptFailed},
	{"UNDELIV", 5, duly.ReceiptFailed},
	{"UNDELIVERABLE", 5, duly.ReceiptFailed},
	{"ACCEPTD", 6, duly.ReceiptAccepted},
	{"ACCEPTED", 6, duly.ReceiptAccepted},
	{"UNKNOWN", 7, duly.ReceiptAccepted}, // the carrier has lost sight of it, which proves nothing
	{"REJECTD", 8, duly.ReceiptFailed},
	{"REJECTED", 8, duly.ReceiptFailed},
	{"SKIPPED", 9, duly.ReceiptFailed}, // SMPP 5
	{"BUFFERED", 1, duly.ReceiptAccepted},
	{"BUFFRED", 1, duly.ReceiptAccepted},
	{"FAILED", 5, duly.ReceiptFailed},
}

// stated returns the status of a state's name, or number in decimal.
func stated(name string) (duly.ReceiptStatus, string, bool) {
	name = strings.ToUpper(name)
	n, err := strconv.Atoi(name)
	for _, s := range states {
		if s.name == name || err == nil && int(s.number) == n {
			return s.status, s.name, true
		}
	}
	return "", "", false
}

// isReceipt reports whether what came is a receipt. The carrier says so by esm_class, or by naming the message that it is about; words
// never do, for a borrower writes those.
func isReceipt(m *shortMessage) bool {
	kind := m.class & classKind
	return kind == classReceipt || kind == classIntermediate || m.option(tagReceiptedID) != nil && m.option(tagState) != nil
}

// receipt reads a receipt that came at an instant.
func (s *Sender) receipt(m *shortMessage, now time.Time) duly.Receipt {
	f := readFields(s.c.decode(m.coding, m.words()))
	rc := duly.Receipt{Provider: s.name, At: now}
	rc.ProviderID = s.c.MessageID.heard(f.id, s.c.MessageID.Receipt)
	if v := m.option(tagReceiptedID); len(v) > 0 {
		rc.ProviderID = s.c.MessageID.heard(readID(v), s.c.MessageID.TLV)
	}
	status, name, known := stated(f.stat)
	if v := m.option(tagState); len(v) == 1 {
		if st, n, ok := stated(strconv.Itoa(int(v[0]))); ok {
			status, name, known = st, n, true
		}
	}
	if !known {
		status, name = duly.ReceiptAccepted, "unreadable"
	}
	rc.Status, rc.Detail = s.meaning(status, f.err), detail(name, f.err, m.option(tagErrorCode))
	if at, ok := s.c.doneAt(f.done); ok && !at.After(now) {
		rc.At = at
	}
	if v := m.option(tagReference); s.c.Reference && len(v) == 2 {
		rc.AttemptID = s.doubts.find(uint16(v[0])<<8|uint16(v[1]), m.from.text)
	}
	rc.Key = "dlr:" + rc.ProviderID + ":" + name + ":" + f.err + ":" + f.done
	if rc.ProviderID == "" {
		sum := sha256.Sum256(append([]byte(m.from.text+"\x00"+m.to.text+"\x00"), m.words()...))
		rc.Key = "dlr:#" + hex.EncodeToString(sum[:12])
	}
	return rc
}

// meaning is a failure's status, where the configuration knows the carrier's reasons.
func (s *Sender) meaning(status duly.ReceiptStatus, reason string) duly.ReceiptStatus {
	if st, known := s.c.ReceiptErrors[reason]; known && status == duly.ReceiptFailed {
		return st
	}
	return status
}

// detail is what an operator sees: the state, the carrier's reason and that of the network.
func detail(name, reason string, network []byte) string {
	d := strings.ToLower(name)
	if reason != "" && strings.Trim(reason, "0") != "" && len(reason) <= 16 {
		d += "." + reason
	}
	if len(network) == 3 {
		d += ".net" + strconv.Itoa(int(network[0])) + "-" + strconv.Itoa(int(network[1])<<8|int(network[2]))
	}
	return d
}

// yearMax tells twelve digits that begin with a year of four from those that begin with one of two.
const yearMax = 2100

// doneAt reads when it happened, by the carrier's clock; false where its zone is not known or it is written otherwise.
func (c *Config) doneAt(s string) (time.Time, bool) {
	if c.zone == nil {
		return time.Time{}, false
	}
	for _, layout := range []string{"0601021504", "200601021504", "060102150405", "20060102150405", "2006-01-0215:04:05"} {
		if len(s) == len(layout) {
			if t, err := time.ParseInLocation(layout, s, c.zone); err == nil && t.Year() < yearMax {
				return t.UTC(), true
			}
		}
	}
	return time.Time{}, false
}
