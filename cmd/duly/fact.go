package main

import (
	"fmt"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/store"
)

func (c *command) payCommand() *cobra.Command {
	var borrower, loan, id, amount, currency, at, reverses string
	cmd := &cobra.Command{
		Use: "pay", Short: "Record one payment, or the reversal of one",
		Long:    "Applies the payment to the ledger and cancels every contact that waits for what it settles, before it returns.",
		Example: "  duly pay --loan L000001-1 --id P-2026-1 --amount 1234.50\n  duly pay --borrower D000001 --id P-2026-2 --amount 1234.50 --reverses P-2026-1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				if borrower == "" && loan == "" {
					return duly.Errorf(duly.Usage, "say whose payment it is").WithHint("give --loan or --borrower")
				}
				if !money.Currency(currency).Known() {
					return duly.Errorf(duly.Usage, "--currency is not a currency that Duly knows").WithHint("write the ISO 4217 code in capitals: CNY")
				}
				m, err := money.Parse(amount, money.Currency(currency))
				if err != nil || !m.IsPositive() {
					return duly.Errorf(duly.Usage, "--amount is not an amount above zero in %s", currency).
						WithHint("write 1234.50, without grouping and with no more decimals than the currency has")
				}
				value, err := parseTime(at, "at", a.Location)
				if err != nil {
					return err
				}
				now := c.now().UTC()
				if value.After(now) {
					return duly.Errorf(duly.Usage, "--at is a time that has not come").WithHint("record the payment when the money is in")
				}
				if value.IsZero() {
					value = now
				}
				return c.applyFact(cmd, a, now, &duly.Payment{
					BorrowerID: duly.BorrowerID(borrower), ID: duly.PaymentID(id), LoanID: duly.LoanID(loan), Amount: m, ValueAt: value,
					ArrivedAt: now, Reverses: duly.PaymentID(reverses), Method: "manual",
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&borrower, "borrower", "", "whose `id`; found by the loan if left out")
	f.StringVar(&loan, "loan", "", "which loan `id`; the borrower's oldest dues if left out")
	f.StringVar(&id, "id", "", "the payment's own reference: the same one twice changes nothing")
	f.StringVar(&amount, "amount", "", "how much, in the currency's main unit")
	f.StringVar(&currency, "currency", "CNY", "ISO 4217 code")
	f.StringVar(&at, "at", "", "the value `time`; now if left out")
	f.StringVar(&reverses, "reverses", "", "the `id` of the payment that this one undoes")
	cmd.MarkFlagRequired("id")
	cmd.MarkFlagRequired("amount")
	return cmd
}

func (c *command) holdCommand() *cobra.Command {
	var loan, point, kind, reason, until, review, id string
	cmd := &cobra.Command{
		Use: "hold BORROWER", Short: "Stop contact with a borrower, about a loan, or by one address",
		Example: "  duly hold D000001 --kind dispute --reason 'contests the amount' --loan L000001-1 --review 2026-12-01",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				end, err := parseTime(until, "until", a.Location)
				if err != nil {
					return err
				}
				day, err := parseDay(review, "review")
				if err != nil {
					return err
				}
				now := c.now().UTC()
				h := &duly.Hold{
					BorrowerID: duly.BorrowerID(args[0]), ID: duly.HoldID(id), Kind: kind, Scope: duly.HoldPerson, LoanID: duly.LoanID(loan),
					PointID: duly.PointID(point), Reason: reason, Author: author(), From: now, Until: end, ReviewOn: day,
				}
				switch {
				case loan != "" && point != "":
					return duly.Errorf(duly.Usage, "a hold is on a loan or on an address, not both").WithHint("record two holds")
				case loan != "":
					h.Scope = duly.HoldLoan
				case point != "":
					h.Scope = duly.HoldAddress
				}
				if h.ID == "" {
					h.ID = duly.HoldID(fmt.Sprintf("%s-%d", kind, now.UnixMicro()))
				}
				if !end.IsZero() && !end.After(now) {
					return duly.Errorf(duly.Usage, "--until is past: the hold would stop nothing").WithHint("leave it out to hold until released")
				}
				if err := c.applyFact(cmd, a, now, h); err != nil {
					return err
				}
				c.printf("to end it: duly release %s %s\n", h.BorrowerID, h.ID)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "kind", "manual", "why, by the `type` that rules name: dispute, hardship, promise_to_pay, wrong_party, manual, …")
	f.StringVar(&reason, "reason", "", "in words, for whoever reads it later")
	f.StringVar(&loan, "loan", "", "only about this loan `id`")
	f.StringVar(&point, "point", "", "only by this contact point `id`")
	f.StringVar(&until, "until", "", "ends at this `time`; until released if left out")
	f.StringVar(&review, "review", "", "the `day` a person looks at it again")
	f.StringVar(&id, "id", "", "its own `id`; made if left out")
	cmd.MarkFlagRequired("reason")
	return cmd
}

func (c *command) releaseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "release BORROWER HOLD", Short: "End a hold", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				h, err := a.Engine.FindHold(cmd.Context(), duly.BorrowerID(args[0]), duly.HoldID(args[1]))
				if err != nil {
					return err
				}
				if !h.ReleasedAt.IsZero() { // a second release would move the end of the first
					c.printf("the hold was ended at %s; nothing changed\n", local(h.ReleasedAt, a.Location))
					return nil
				}
				h.ReleasedAt, h.Version = now, 0
				return c.applyFact(cmd, a, now, &h)
			})
		},
	}
}

func (c *command) optOutCommand() *cobra.Command {
	var key, loan, source string
	var revoke bool
	cmd := &cobra.Command{
		Use: "opt-out BORROWER", Short: "Record that a borrower refuses a channel, or all contact",
		Example: "  duly opt-out D000001 --key sms\n  duly opt-out D000001 --key all --source agent\n  duly opt-out D000001 --key sms --revoke",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(refusable(), key) {
				return duly.Errorf(duly.Usage, "--key is nothing that can be refused: the refusal would stop nothing").
					WithHint("one of %s", strings.Join(refusable(), ", "))
			}
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				o := &duly.OptOut{
					BorrowerID: duly.BorrowerID(args[0]), ID: duly.ConsentID("cli:" + key + ":" + loan), Key: key, LoanID: duly.LoanID(loan), At: now, Source: source,
				}
				if revoke {
					o.RevokedAt = now
				}
				return c.applyFact(cmd, a, now, o)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&key, "key", "all", "what is refused: all, calls, or a channel such as sms or email")
	f.StringVar(&loan, "loan", "", "only about this loan `id`")
	f.StringVar(&source, "source", "cli", "how it became known")
	f.BoolVar(&revoke, "revoke", false, "the borrower takes the refusal back")
	return cmd
}

func (c *command) feedCommand() *cobra.Command {
	var through string
	cmd := &cobra.Command{
		Use: "feed", Short: "Tell up to when payments are known, though none may have come in",
		Long: "Nothing is sent while payments are known only up to longer ago than feed_max_age. Imports of payments say it by\n" +
			"themselves; on a day without payments, say it here or by the API.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.look(cmd.Context(), func(a *app.App) error {
				now := c.now().UTC()
				t, err := parseTime(through, "through", a.Location)
				if err != nil {
					return err
				}
				if t.IsZero() {
					t = now
				}
				if err := a.Engine.FeedThrough(cmd.Context(), now, engine.FeedPayments, t); err != nil {
					return err
				}
				known, err := a.DB.FeedAt(cmd.Context(), engine.FeedPayments)
				if err != nil {
					return err
				}
				c.printf("payments: known up to %s\n", known.In(a.Location).Format(zoned))
				if known.After(t) {
					c.printf("this was known before; knowledge does not go back\n")
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&through, "through", "", "payments up to this `time` are known; now if left out")
	return cmd
}

// applyFact applies one fact and says what became of it.
func (c *command) applyFact(cmd *cobra.Command, a *app.App, now time.Time, f duly.Fact) error {
	applied, err := a.Engine.Apply(cmd.Context(), now, "cli:"+author(), engine.Versioned([]duly.Fact{f}, now))
	if err != nil {
		return err
	}
	switch applied.Results[0] {
	case store.Conflict:
		return duly.Errorf(duly.Conflict, "the %s is already known with different content", f.FactKind()).WithHint("use another id, or correct it by an import with a later --as-of")
	case store.UnknownBorrower:
		return duly.Errorf(duly.NotFound, "the borrower is not known").WithHint("import the loan book first")
	case store.WrongCurrency:
		return duly.Errorf(duly.Conflict, "the amount is in another currency than the loan").WithHint("give --currency")
	case store.UnknownLoan:
		return duly.Errorf(duly.NotFound, "the loan is not known").WithHint("import the loan book first")
	case store.Same:
		c.printf("%s known already; nothing changed\n", f.FactKind())
		return nil
	case store.Stale:
		c.printf("%s is older than what is known; nothing changed\n", f.FactKind())
		return nil
	case store.Added, store.Changed:
	}
	c.printf("%s %s", f.FactKind(), applied.Results[0])
	if applied.Settled > 0 || applied.Stopped > 0 || applied.Reopened > 0 {
		c.printf("; %s settled, %d open again, %s stopped", count(applied.Settled, "instalment"), applied.Reopened, count(applied.Stopped, "contact"))
	}
	c.printf("\n")
	return nil
}

// refusable lists what a refusal can be of and stop a contact: a mistyped key would stop none, and nobody would notice.
func refusable() []string {
	return []string{
		"all", "calls", "robocall", "sms_marketing", string(duly.ChannelSMS), string(duly.ChannelEmail), string(duly.ChannelPush),
		string(duly.ChannelIM), string(duly.ChannelInApp), string(duly.ChannelPrerecorded), string(duly.ChannelRobot),
		string(duly.ChannelAgent), string(duly.ChannelLetter),
	}
}

func parseDay(s, flag string) (civil.Date, error) {
	if s == "" {
		return civil.Date{}, nil
	}
	d, err := civil.Parse(s)
	if err != nil {
		return d, duly.Errorf(duly.Usage, "--%s: %v", flag, err)
	}
	return d, nil
}

// author is who ran the command, for holds and the audit.
func author() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
