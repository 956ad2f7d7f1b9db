package message_test

import (
	"slices"
	"testing"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/message"
	"github.com/dulyhq/duly/internal/money"
)

func TestSecrets(t *testing.T) {
	t.Parallel()
	for words, want := range map[string][]string{
		"您好，{{borrower_name}}，这里是{{lender}}。": nil,
		"共{{total}}，{{due_date}}到期":           {"{{due_date}}", "{{total}}"},
		"您有一笔还款":                              {"还款"},
		"Your loan is overdue":                {"loan", "overdue"},
		"Call us on {{service_phone}}.":       nil,
	} {
		if got := message.Secrets(words); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", words, got, want)
		}
	}
}

// Known holds what has a value, as it is written, and nothing else.
func TestKnown(t *testing.T) {
	t.Parallel()
	today := civil.On(2026, 3, 2)
	got := message.Known("en", &message.Values{
		Lender: "Example", Today: today, Items: []duly.Item{{LoanID: "L", No: 1, DueOn: today.Add(-1), Outstanding: money.New(123450, "CNY")}},
	})
	if got["total"] != "CNY 1,234.50" || got["lender"] != "Example" || got["days_past_due"] != "1 day" {
		t.Errorf("got %v", got)
	}
	for _, none := range []string{"borrower_name", "days_to_due", "contract_tail", "debit_reason"} {
		if v, ok := got[none]; ok {
			t.Errorf("%s is %q, and has no value", none, v)
		}
	}
}
