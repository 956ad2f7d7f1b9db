package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
)

func (c *command) fenceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "fence", Short: "Whether anything was sent after a payment, and the certificate of each attempt"}
	cmd.AddCommand(c.fenceReport(), c.fenceShow())
	return cmd
}

func (c *command) fenceReport() *cobra.Command {
	var from, to string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "report", Short: "Every contact at or after a payment's value time, and whose fault it was",
		Long: "Classes: rest (the payment was known, and what was left was asked for), feed_late (the payment was told after the try was over),\n" +
			"handed_over (the message was on its way to the provider when the payment was applied), unproved (what would tell is not on\n" +
			"record), our_fault: with one of these the exit status is 5.",
		Example: "  duly fence report --from 2026-03-01 --to 2026-03-31",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			first, err := parseDay(from, "from")
			if err != nil {
				return err
			}
			last, err := parseDay(to, "to")
			if err != nil {
				return err
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				r, err := a.Engine.Fence(cmd.Context(), c.now().UTC(), first, last)
				if err != nil {
					return err
				}
				if asJSON {
					err = c.json(r)
				} else {
					err = c.printFence(&r, limit, a.Location)
				}
				if err == nil && r.Faults() > 0 {
					err = duly.Errorf(duly.Conflict, "%s made after a payment by our fault", count(r.Faults(), "contact")).
						WithHint("that must not happen: keep the store as it is, and see the attempts with `duly fence show`")
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the first `day` on which they were claimed; the last if left out")
	cmd.Flags().StringVar(&to, "to", "", "the last `day`; today if left out")
	cmd.Flags().IntVar(&limit, "limit", 50, "show at most this many contacts")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with all of them")
	return cmd
}

func (c *command) printFence(r *engine.FenceReport, limit int, loc *time.Location) error {
	after := 0
	for _, n := range r.Classes {
		after += n
	}
	c.printf("%s to %s: %d attempts = %d not sent + %d before any payment + %d at or after one\n", r.From, r.To, r.Attempts, r.NotSent, r.Before, after)
	var parts []string
	for _, class := range engine.FenceClasses() {
		parts = append(parts, fmt.Sprintf("%d %s", r.Classes[class], class))
	}
	c.printf("%d at or after a payment = %s\n", after, strings.Join(parts, " + "))
	if len(r.Findings) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "class\tattempt\tborrower\towed\tpayment\tvalue time\tapplied\tclaimed\tPOST began\tseal")
	for i := range r.Findings[:min(limit, len(r.Findings))] {
		f := &r.Findings[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Class, f.Attempt, f.Borrower.Masked(), f.Owed, f.Payment,
			exactly(f.ValueAt, loc), exactly(f.KnownAt, loc), exactly(f.Claimed, loc), exactly(f.Begun, loc), f.Seal)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if more := len(r.Findings) - limit; more > 0 {
		c.printf("and %d more: --limit, or --json\n", more)
	}
	return nil
}

// exactly writes an instant to the millisecond: a contact and a payment may be that close.
func exactly(t time.Time, loc *time.Location) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(loc).Format("2006-01-02 15:04:05.000")
}

func (c *command) fenceShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show ATTEMPT", Short: "Show the certificate of an attempt: what was known of the payments when it was claimed",
		Long: "With --json it is written with its salt, so that it can be checked against an export without the store:\n" +
			"duly audit verify FILE --certificate CERTIFICATE.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				p, err := a.Engine.Certificate(cmd.Context(), duly.AttemptID(args[0]))
				if err != nil {
					return err
				}
				if asJSON {
					err = c.json(p)
				} else {
					c.printf("attempt %s by %s, claimed at %s\n", p.Attempt, p.Carrier, exactly(p.ClaimedAt, a.Location))
					for _, it := range p.Known.Items {
						c.printf("about loan %s no. %d, due %s, owed %s\n", it.LoanID, it.No, it.DueOn, it.Outstanding)
					}
					c.printCertificate("", &p, a.Location)
				}
				if err == nil && p.Seal == engine.SealBroken {
					err = duly.Errorf(duly.Conflict, "the certificate is not the one that the audit sealed").WithHint("see `duly audit verify`")
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the salt: personal data can be tried with it")
	return cmd
}

// printCertificate writes what a certificate says, each line after an indent.
func (c *command) printCertificate(indent string, p *engine.Proof, loc *time.Location) {
	k := &p.Known
	if p.Seal == engine.SealErased {
		c.printf("%scertificate: erased\n", indent)
		return
	}
	var owed []string
	for _, a := range k.Outstanding {
		owed = append(owed, a.String())
	}
	c.printf("%sknown then: ledger version %d, payments up to %s (%d s before)%s, packs %s\n", indent, k.LedgerVersion, local(k.FeedAt, loc), k.FeedAge,
		orNothing(", owed ", strings.Join(owed, " and ")), strings.Join(k.Packs, ", "))
	if p.Seal == engine.SealNone {
		c.printf("%scertificate: none, the attempt is older than they are\n", indent)
		return
	}
	c.printf("%sdecision %s; certificate in entry %d of bucket %d of the audit: %s\n", indent, k.Decision, k.Entry, p.Bucket, p.Seal)
}
