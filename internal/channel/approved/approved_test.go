package approved_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/approved"
	"github.com/dulyhq/duly/internal/channel/channeltest"
)

func list(t *testing.T, text string) approved.Templates {
	t.Helper()
	var out approved.Templates
	if err := yaml.UnmarshalWithOptions([]byte(text), &out, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return out
}

const good = `
due-tomorrow: {template_id: SMS_1, sign: 示例消金, approved_at: 2026-03-02, variables: {"10": total, "2": due_when, "1": lender}}
due-tomorrow/en: {template_id: SMS_2, approved_at: 2026-03-02}
due-today: {template_id: SMS_3, approved_at: 2026-03-09}
debit: {template_id: SMS_4, approved_at: 2026-03-01, variables: {why: debit_reason}}
`

func TestFill(t *testing.T) {
	t.Parallel()
	templates := list(t, good)
	p := channel.ProblemsAt("x")
	if templates.Check(p, "templates"); p.Err() != nil {
		t.Fatalf("a good list: %v", p.Err())
	}
	tests := []struct {
		template, language string
		runes              int
		id                 string
		values             []string
		code               string
	}{
		{"due-tomorrow", "zh-CN", 20, "SMS_1", []string{"示例消金", "明天（2026年3月3日）", "1234.56元"}, ""},
		{"due-tomorrow", "zh-CN", 0, "SMS_1", []string{"示例消金", "明天（2026年3月3日）", "1234.56元"}, ""},
		{"due-tomorrow", "en", 20, "SMS_2", []string{}, ""},
		{"due-tomorrow", "zh-CN", 8, "", nil, "variable_too_long"},
		{"due-today", "zh-CN", 20, "", nil, "template_not_approved"},
		{"debit", "zh-CN", 20, "", nil, "variable_missing"},
		{"overdue-firm", "zh-CN", 20, "", nil, "template_missing"},
	}
	for _, tt := range tests {
		m := channeltest.Message(duly.ChannelSMS, "+8613800138000", 1)
		m.Template, m.Language = tt.template, tt.language
		got, err := templates.Fill(m, tt.runes)
		if tt.code != "" {
			if err == nil || err.Code != tt.code || err.Class != channel.Permanent {
				t.Errorf("%s: got %v, want a permanent %s", tt.template, err, tt.code)
			}
			continue
		}
		if err != nil || got.ID != tt.id {
			t.Errorf("%s: got template %q, %v; want %s", tt.template, got.ID, err, tt.id)
		}
		if diff := cmp.Diff(tt.values, got.List()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.template, diff)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for field, text := range map[string]string{
		"templates":               `{}`,
		"templates.a.template_id": `a: {approved_at: 2026-03-02}`,
		"templates.a.approved_at": `a: {template_id: x}`,
		"templates.a.sign":        `a: {template_id: x, approved_at: 2026-03-02, sign: ` + strings.Repeat("长", 30) + `}`,
		"templates.a.variables":   `a: {template_id: x, approved_at: 2026-03-02, variables: {code: ""}}`,
	} {
		p := channel.ProblemsAt("carriers.sms")
		list(t, text).Check(p, "templates")
		e, ok := errors.AsType[*duly.Error](p.Err())
		if !ok || e.Place.Field != "carriers.sms."+field || e.Hint == "" {
			t.Errorf("got %v, want a problem at %s", p.Err(), field)
		}
	}
}
