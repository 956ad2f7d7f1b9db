package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/dulyhq/duly/internal/channel"
)

// TestCarrierPages: every configuration that the pages show is read, and makes its carrier.
func TestCarrierPages(t *testing.T) {
	t.Parallel()
	block := regexp.MustCompile("(?s)```yaml\n(carriers:\n.*?)```")
	for _, page := range []string{"channels.md", filepath.Join("zh-CN", "channels.md")} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
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
