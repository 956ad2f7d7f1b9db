package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/gate"
)

func (c *command) gateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "gate", Short: "Whether one contact may go"}
	cmd.AddCommand(&cobra.Command{
		Use: "check", Short: "Read one case from standard input, as JSON or YAML, and answer with every rule that was asked", Args: cobra.NoArgs,
		Long: "Read one case from standard input, as JSON or YAML, and answer in JSON: the verdict, the first instant at which it may\n" +
			"go, every rule that was asked with its answer and its source, and the facts.\n\n" +
			"Packs that the case names are asked as its cases would: wherever the borrower is, and with the rules that are in\n" +
			"shadow because nobody has read their instrument. A case that names none is asked by the configured packs.",
		RunE: func(*cobra.Command, []string) error { return c.gateCheck() },
	})
	return cmd
}

func (c *command) gateCheck() error {
	src, err := io.ReadAll(io.LimitReader(c.in, gate.MaxCaseBytes+1))
	if err != nil {
		return duly.Errorf(duly.Usage, "standard input cannot be read")
	}
	one, err := gate.ReadCase("stdin", src)
	if err != nil {
		return err
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	packs, err := cfg.Law()
	if err != nil {
		return err
	}
	if len(one.Packs) > 0 {
		if packs, err = c.packs(nil); err != nil {
			return err
		}
	}
	cals, err := cfg.Holidays()
	if err != nil {
		return err
	}
	x, err := gate.Ask(one, packs, cals)
	if err != nil {
		return err
	}
	for _, n := range one.Notes {
		fmt.Fprintf(c.err, "duly: stdin: unknown key %s; it was passed over\n", n)
	}
	return c.json(x)
}
