package app

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/dulyhq/duly/internal/channel"
)

// TestCarrierPages: every configuration that the pages show is read, and makes its carrier.
func TestCarrierPages(t *testing.T) {
	t.Parallel()
	given, dir := pageSecrets(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dkim-rsa.pem"), []byte(given["DKIM_ED25519"]), 0o600); err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(carriers:\n.*?)```")
	for _, page := range []string{"channels.md", filepath.Join("zh-CN", "channels.md")} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		filled := os.Expand(strings.ReplaceAll(string(text), "/etc/duly/", dir+"/"), func(name string) string { // as the operator's environment would
			if v, ok := given[name]; ok {
				quoted := strconv.Quote(v)
				return quoted[1 : len(quoted)-1]
			}
			return "${" + name + "}"
		})
		for _, m := range block.FindAllStringSubmatch(filled, -1) {
			var c struct {
				Carriers map[string]CarrierConfig `yaml:"carriers"`
				Routes   map[string]any           `yaml:"routes"`
				PerDay   int                      `yaml:"attempts_per_day"`
			}
			if err := yaml.UnmarshalWithOptions([]byte(m[1]), &c, yaml.Strict()); err != nil {
				t.Errorf("%s: %v\n%s", page, err, m[1])
				continue
			}
			for name, k := range c.Carriers {
				if k.Sandbox() || k.Kind == "inbox" { // they keep messages in a store
					continue
				}
				h := host{Host: channel.Host{Channels: k.Channels, Log: slog.New(slog.DiscardHandler)}}
				if _, err := kinds()[k.Kind].sender(name, k.Settings, h); err != nil {
					t.Errorf("%s: carrier %s: %v", page, name, err)
				}
			}
		}
	}
}

// pageSecrets are what the environment variables of the pages hold, where any text will not do.
func pageSecrets(t *testing.T) map[string]string {
	t.Helper()
	pkcs8 := func(key any, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	_, dkim, err := ed25519.GenerateKey(rand.Reader)
	ec, ecErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	account, err2 := rsa.GenerateKey(rand.Reader, 2048)
	vapid, err3 := ec.Bytes()
	if err := errors.Join(ecErr, err3); err != nil {
		t.Fatal(err)
	}
	json, err4 := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "k", "private_key": pkcs8(account, err2),
		"client_email": "duly@p.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err4 != nil {
		t.Fatal(err4)
	}
	return map[string]string{
		"DKIM_ED25519": pkcs8(dkim, err), "DULY_WECHAT_AES": strings.Repeat("A", 43), "DULY_APNS_KEY": pkcs8(ec, nil), "DULY_FCM_ACCOUNT": string(json), "DULY_VAPID_KEY": base64.RawURLEncoding.EncodeToString(vapid),
	}
}
