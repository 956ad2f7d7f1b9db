package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel/smtp"
)

func (c *command) mailCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "mail", Short: "E-mail"}
	cmd.AddCommand(&cobra.Command{
		Use: "dns [CARRIER…]", Short: "Show what has to stand in the DNS for e-mail to be believed",
		Long: "The records hold the public halves of the DKIM keys of the configuration, in the form of a zone file. Publish them before\n" +
			"the first mail is signed: receivers take a signature without its record for a forgery.",
		RunE: func(_ *cobra.Command, names []string) error { return c.mailDNS(names) },
	})
	return cmd
}

func (c *command) mailDNS(names []string) error {
	config, err := c.load()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		for _, name := range slices.Sorted(maps.Keys(config.Carriers)) {
			if config.Carriers[name].Kind == "smtp" {
				names = append(names, name)
			}
		}
	}
	shown := 0
	for _, name := range names {
		mail, ok := config.Carriers[name].Settings.(*smtp.Config)
		if !ok {
			return duly.Errorf(duly.NotFound, "no carrier of kind smtp has the name %q", name).WithHint("carriers are named in the configuration")
		}
		records, err := mail.Records("carriers." + name + ".smtp")
		if err != nil {
			return err
		}
		for _, r := range records {
			c.printf("%s. IN TXT %s\n", r.Name, zoneText(r.Text))
			shown++
		}
	}
	if shown == 0 {
		return duly.Errorf(duly.NotFound, "no carrier signs its mail").WithHint("give dkim to a carrier of kind smtp: docs/channels.md")
	}
	return nil
}

// zoneMax is the longest string of a TXT record.
const zoneMax = 255

// zoneText writes the text of a record as a zone file has it: in strings of at most 255 bytes.
func zoneText(text string) string {
	var parts []string
	for len(text) > zoneMax {
		parts, text = append(parts, `"`+text[:zoneMax]+`"`), text[zoneMax:]
	}
	parts = append(parts, `"`+text+`"`)
	if len(parts) == 1 {
		return parts[0]
	}
	return "( " + strings.Join(parts, " ") + " )"
}
