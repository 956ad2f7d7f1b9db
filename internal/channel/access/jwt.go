// Package access is how adapters prove who they are to carriers that want more than a password: statements that the adapter
// signs itself, and tokens that it fetches and keeps until they end.
//
//	token, err := access.SignES256(key, "kid", map[string]any{"iss": team, "iat": now.Unix()})
package access

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
)

// SignES256 returns a JSON web token (RFC 7519) of claims, signed with a P-256 key. keyID may be "".
func SignES256(key *ecdsa.PrivateKey, keyID string, claims map[string]any) (string, error) {
	return sign("ES256", keyID, claims, func(digest []byte) ([]byte, error) {
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out, nil
	})
}

// SignRS256 returns a JSON web token of claims, signed with an RSA key. keyID may be "".
func SignRS256(key *rsa.PrivateKey, keyID string, claims map[string]any) (string, error) {
	return sign("RS256", keyID, claims, func(digest []byte) ([]byte, error) {
		return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest)
	})
}

func sign(algorithm, keyID string, claims map[string]any, by func(digest []byte) ([]byte, error)) (string, error) {
	header := map[string]string{"alg": algorithm, "typ": "JWT"}
	if keyID != "" {
		header["kid"] = keyID
	}
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	out := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	digest := sha256.Sum256([]byte(out))
	s, err := by(digest[:])
	if err != nil {
		return "", err
	}
	return out + "." + base64.RawURLEncoding.EncodeToString(s), nil
}

var errNoKey = errors.New("no private key")

// ParseKey reads a private key of type K, *ecdsa.PrivateKey or *rsa.PrivateKey, from PEM text as the carriers hand it out
// (PKCS #8).
func ParseKey[K any](text string) (K, error) {
	var none K
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return none, errNoKey
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return none, errNoKey // the parser's own words say nothing that helps
	}
	k, ok := any.(K)
	if !ok {
		return none, errNoKey
	}
	return k, nil
}
