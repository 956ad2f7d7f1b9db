package audit

import (
	"crypto/sha256"
	"encoding/hex"
)

// SaltLen is how many bytes a salt has at least. Without a salt, what is committed to could be found by trying: there are
// few amounts and few names.
const SaltLen = 16

// Commit returns the commitment to a value under a salt: SHA-256(salt ‖ value), each preceded by its length. It tells nothing
// of the value while the salt is unknown, and binds whoever shows both later.
func Commit(salt, value []byte) string {
	b := make([]byte, 0, 16+len(salt)+len(value))
	b = text(b, string(salt))
	b = text(b, string(value))
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Opening is what a commitment opens to. It is kept outside the record, and gone once it is erased.
type Opening struct {
	Hash  string `json:"hash"` // the commitment
	Salt  []byte `json:"salt"`
	Value string `json:"value"`
}

// Open commits to a value.
func Open(salt []byte, value string) Opening {
	return Opening{Hash: Commit(salt, []byte(value)), Salt: salt, Value: value}
}

// Holds reports whether salt and value are what was committed to.
func (o *Opening) Holds() bool {
	return len(o.Salt) >= SaltLen && Commit(o.Salt, []byte(o.Value)) == o.Hash
}
