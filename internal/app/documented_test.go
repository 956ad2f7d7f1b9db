package app_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel/letter"
	"github.com/dulyhq/duly/internal/channel/smtp"
)

// The settings of carriers that the documentation shows are read as they stand there, and are good but for the keys that only
// an operator has.
func TestDocumentedCarriers(t *testing.T) {
	reference := regexp.MustCompile(`\$\{([A-Z0-9_]+)\}`)
	for _, page := range []string{"docs/channels.md", "docs/zh-CN/channels.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"smtp", "letter"} {
			_, section, ok := strings.Cut(string(text), "\n## "+kind+"\n")
			if !ok {
				t.Errorf("%s has no section %s", page, kind)
				continue
			}
			_, block, _ := strings.Cut(section, "```yaml\n")
			block, _, _ = strings.Cut(block, "```")
			for _, ref := range reference.FindAllStringSubmatch(block, -1) {
				t.Setenv(ref[1], "0123456789abcdef")
			}
			c, err := app.LoadConfig(write(t, block))
			if err != nil {
				t.Errorf("%s, %s: %v", page, kind, err)
				continue
			}
			for _, carrier := range c.Carriers {
				switch s := carrier.Settings.(type) {
				case *smtp.Config:
					s.DKIM = s.DKIM[:1] // the other's key is no key here
					err = s.Check("carriers.mail.smtp")
				case *letter.Config:
					err = s.Check("carriers.print.letter")
				}
				if carrier.Kind != kind || err != nil {
					t.Errorf("%s, %s: got kind %s, %v", page, kind, carrier.Kind, err)
				}
			}
		}
	}
}
