package webpush

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// Lengths of the encryption (RFC 8188, 8291): one record, and a message of 4,096 octets at most, which is what every push
// service must take.
const (
	saltLen    = 16
	secretLen  = 16
	recordSize = 4096
	headerLen  = saltLen + 4 + 1 + 65
	plainMax   = recordSize - headerLen - 1 - 16
	padStep    = 1024
)

// pad marks the end of a text and adds zeros, so that its length tells little of it.
func pad(plain []byte) []byte {
	n := min((len(plain)/padStep+1)*padStep, plainMax+1)
	out := make([]byte, n)
	out[copy(out, plain)] = 2 // the last record
	return out
}

// encrypt makes the body of a push for a browser, with a key and a salt that are used for it alone.
func encrypt(to subscription, ours *ecdh.PrivateKey, salt, padded []byte) ([]byte, error) {
	shared, err := ours.ECDH(to.public)
	if err != nil {
		return nil, err
	}
	public := ours.PublicKey().Bytes()
	info := "WebPush: info\x00" + string(to.public.Bytes()) + string(public)
	secret, err := hkdf.Key(sha256.New, shared, to.secret, info, sha256.Size)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, secret, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, err
	}
	nonce, err := hkdf.Key(sha256.New, secret, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, headerLen+len(padded)+gcm.Overhead()), salt...)
	out = binary.BigEndian.AppendUint32(out, recordSize)
	out = append(append(out, byte(len(public))), public...)
	return gcm.Seal(out, nonce, padded, nil), nil
}
