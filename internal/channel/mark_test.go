package channel_test

import (
	"strings"
	"testing"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
)

func TestMarks(t *testing.T) {
	t.Parallel()
	contact := duly.NewContactID("b-1", "s", "step", civil.On(2026, 3, 2), 0)
	id, other := duly.NewAttemptID(contact, 1), duly.NewAttemptID(contact, 12)
	now, before := channel.NewSecret("0123456789abcdef"), channel.NewSecret("fedcba9876543210")
	m := channel.Marks{Use: "bounce", Secrets: []channel.Secret{now, before}}
	mark := m.Make(id)
	if len("bounce+"+mark) > 64 {
		t.Errorf("%d characters do not fit the name of a mail address", len("bounce+"+mark))
	}
	for name, tt := range map[string]struct {
		marks channel.Marks
		mark  string
		ok    bool
	}{
		"ours":               {m, mark, true},
		"in capitals":        {m, strings.ToUpper(mark), true},
		"of the last secret": {m, channel.Marks{Use: "bounce", Secrets: []channel.Secret{before}}.Make(id), true},
		"of another secret":  {m, channel.Marks{Use: "bounce", Secrets: []channel.Secret{channel.NewSecret("x")}}.Make(id), false},
		"of another use":     {m, channel.Marks{Use: "unsubscribe", Secrets: m.Secrets}.Make(id), false},
		"of another attempt": {m, string(other) + mark[strings.IndexByte(mark, '.'):], false},
		"no code":            {m, string(id), false},
		"empty code":         {m, string(id) + ".", false},
		"cut":                {m, mark[:len(mark)-1], false},
		"longer":             {m, mark + "0", false},
		"no attempt":         {m, "nobody" + mark[strings.IndexByte(mark, '.'):], false},
		"empty":              {m, "", false},
		"long":               {m, strings.Repeat("a", 1000) + mark, false},
		"no secrets":         {channel.Marks{Use: "bounce"}, mark, false},
	} {
		got, ok := tt.marks.Read(tt.mark)
		if ok != tt.ok || ok && got != id {
			t.Errorf("%s: got %q, %t; want %t", name, got, ok, tt.ok)
		}
	}
}
