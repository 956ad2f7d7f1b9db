package main

import (
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/letter"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/message"
	"github.com/dulyhq/duly/internal/money"
)

func (c *command) letterCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "letter", Short: "Letters"}
	var carrier, language, out string
	preview := &cobra.Command{
		Use: "preview TEMPLATE", Short: "Make a PDF of a template's letter, with made-up values",
		Long: "The letter looks as the configured carrier of kind letter makes it, with a borrower and instalments that do not exist.\n" +
			"Nothing is sent and nothing is kept.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.letterPreview(args[0], carrier, language, out) },
	}
	preview.Flags().StringVar(&carrier, "carrier", "", "the carrier; left out, the only one of kind letter")
	preview.Flags().StringVar(&language, "language", message.DefaultLanguage, "the borrower's language")
	preview.Flags().StringVar(&out, "out", "letter.pdf", "the file to write")
	cmd.AddCommand(preview)
	return cmd
}

func (c *command) letterPreview(template, carrier, language, out string) error {
	config, err := c.load()
	if err != nil {
		return err
	}
	sender, err := letterCarrier(&config, carrier)
	if err != nil {
		return err
	}
	set, err := app.LoadTemplates(config.Templates)
	if err != nil {
		return err
	}
	loc, err := time.LoadLocation(config.Lender.Timezone)
	if err != nil {
		return err
	}
	today := civil.In(c.now(), loc)
	name, words, err := sampleWords(&config, set, today, template, language)
	if err != nil {
		return err
	}
	id := duly.NewAttemptID(duly.NewContactID("preview", "preview", template, today, 0), 1)
	address := "示例市示例区示例路 1 号\n100000"
	if words.Language == "en" {
		address = "1 Example Street\nExample Town EX1 1AA"
	}
	pdf, pages, err := sender.Preview(channel.Message{
		AttemptID: id, Channel: duly.ChannelLetter, To: address, Subject: words.Subject, Text: words.Text, Language: words.Language, Now: c.now(),
		Variables: map[string]string{"borrower_name": name},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, pdf, 0o644); err != nil {
		return duly.Errorf(duly.Usage, "the file cannot be written").At(duly.Place{File: out}).WithHint("give another one by --out")
	}
	c.printf("%s: %d pages of template %s in %s\n", out, pages, words.Template, words.Language)
	return nil
}

// letterCarrier makes the carrier of a name, or the only one of its kind.
func letterCarrier(config *app.Config, name string) (*letter.Sender, error) {
	var names []string
	for _, n := range slices.Sorted(maps.Keys(config.Carriers)) {
		if config.Carriers[n].Kind == "letter" && (name == "" || n == name) {
			names = append(names, n)
		}
	}
	if len(names) != 1 {
		return nil, duly.Errorf(duly.NotFound, "not one carrier of kind letter, but %d", len(names)).WithHint("name one of the configuration by --carrier; docs/channels.md shows how to configure one")
	}
	settings, _ := config.Carriers[names[0]].Settings.(*letter.Config)
	return letter.New(names[0], *settings, channel.Host{})
}

// sampleWords fills a template with a borrower who does not exist, and with instalments that fall due when its words say: in some
// days, or some days ago.
func sampleWords(config *app.Config, set *message.Set, today civil.Date, template, language string) (name string, words message.Words, err error) {
	amount, err := money.Parse("1234.56", "CNY")
	if err != nil {
		return "", words, err
	}
	if name = "示例借款人"; language == "en" {
		name = "Alex Sample"
	}
	for _, first := range []int{3, -10} {
		v := &message.Values{
			Name: name, Lender: config.Lender.Name, ServicePhone: config.Lender.ServicePhone, Code: "K7Q2M", DebitReason: "insufficient_funds", Today: today,
			Contracts: map[duly.LoanID]string{"sample": "HT-0001"},
		}
		for i := range 3 {
			v.Items = append(v.Items, duly.Item{LoanID: "sample", No: i + 1, DueOn: today.Add(first + i), Outstanding: amount})
		}
		if words, err = set.Render(template, language, duly.ChannelLetter, v); err == nil {
			break
		}
	}
	return name, words, err
}
