package smpp

import "math/big"

// answered writes the id of a submit_sm_resp as it is kept: where receipts write it in another base, as a decimal number.
func (m MessageID) answered(id string) string {
	switch {
	case m.Receipt == NotationDecimal || m.TLV == NotationDecimal:
		return decimal(id, 16)
	case m.Receipt == NotationHex || m.TLV == NotationHex:
		return decimal(id, 10)
	}
	return id
}

// heard writes the id of a receipt as answered wrote it, given how the place it was found in writes it.
func (m MessageID) heard(id string, n Notation) string {
	switch n {
	case NotationDecimal:
		return decimal(id, 10)
	case NotationHex:
		return decimal(id, 16)
	case NotationSame:
	}
	return m.answered(id)
}

// decimal writes a number of a base as a decimal one without leading zeros; what is no such number stays.
func decimal(id string, base int) string {
	n, ok := new(big.Int).SetString(id, base)
	if !ok || n.Sign() < 0 {
		return id
	}
	return n.String()
}
