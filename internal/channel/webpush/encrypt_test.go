package webpush

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"testing"
)

// TestPublished is the example of RFC 8291, appendix A.
func TestPublished(t *testing.T) {
	t.Parallel()
	ours, err := ecdh.P256().NewPrivateKey(must(t, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ecdh.P256().NewPublicKey(must(t, "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"))
	if err != nil {
		t.Fatal(err)
	}
	to := subscription{public: theirs, secret: must(t, "BTBZMqHH6r4Tts7J_aSIgg")}
	got, err := encrypt(to, ours, must(t, "DGv6ra1nlYgDCS1FRnbzlw"), []byte("When I grow up, I want to be a watermelon\x02"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
	if b := base64.RawURLEncoding.EncodeToString(got); b != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

// TestPad: lengths of texts that are alike are one length, and the longest text still fits.
func TestPad(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, padStep - 1, padStep, 3*padStep + 5, plainMax} {
		text := bytes.Repeat([]byte{'a'}, n)
		got := pad(text)
		if headerLen+len(got)+16 > recordSize {
			t.Errorf("%d bytes: the record is longer than %d", n, recordSize)
		}
		if end := bytes.LastIndexByte(got, 2); end != n || !bytes.Equal(got[:n], text) || len(bytes.Trim(got[n+1:], "\x00")) != 0 {
			t.Errorf("%d bytes: the text does not come back", n)
		}
		if len(got)%padStep != 0 && len(got) != plainMax+1 {
			t.Errorf("%d bytes: %d octets tell how long it is", n, len(got))
		}
	}
}

func FuzzSubscription(f *testing.F) {
	f.Add(`{"endpoint":"https://a.example/x","keys":{"p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4","auth":"BTBZMqHH6r4Tts7J_aSIgg"}}`)
	f.Add(`{"endpoint":"//","keys":{}}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := subscribed(text)
		if err != nil {
			if bytes.Contains([]byte(err.Error()), []byte(text)) && len(text) > 20 {
				t.Error("the error repeats the subscription")
			}
			return
		}
		if !json.Valid([]byte(text)) || s.url.Host == "" || s.public == nil || len(s.secret) != secretLen {
			t.Errorf("took %q", text)
		}
	})
}

func must(t *testing.T, s string) []byte {
	t.Helper()
	b, err := decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
