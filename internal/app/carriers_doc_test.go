package app

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/dulyhq/duly/internal/channel"
)

// TestCarrierPages: every configuration that the pages show is read, and makes its carrier.
func TestCarrierPages(t *testing.T) {
	t.Parallel()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	key, dir := strings.ReplaceAll(string(text), "\n", `\n`), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dkim-rsa.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(carriers:\n.*?)```")
	for _, page := range []string{"channels.md", filepath.Join("zh-CN", "channels.md")} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		given := os.Expand(strings.ReplaceAll(string(text), "/etc/duly/", dir+"/"), func(name string) string { // as the operator's environment would
			if strings.Contains(name, "DKIM") {
				return key
			}
			return "${" + name + "}"
		})
		for _, m := range block.FindAllStringSubmatch(given, -1) {
			var c struct {
				Carriers map[string]CarrierConfig `yaml:"carriers"`
			}
			if err := yaml.UnmarshalWithOptions([]byte(m[1]), &c, yaml.Strict()); err != nil {
				t.Errorf("%s: %v\n%s", page, err, m[1])
				continue
			}
			for name, k := range c.Carriers {
				if k.Sandbox() {
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
