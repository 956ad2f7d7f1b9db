package ingest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/ingest"
)

var east = time.FixedZone("", 8*3600)

func TestReadLog(t *testing.T) {
	t.Parallel()
	src := "\ufeffMsg,Ref,State,Parts,Price,When,Body\n" +
		"7,a1-1,DELIVRD,2,-0.0079,2026-03-10 09:00:07,x\n" +
		" 8 ,,,,,,\n" +
		"9,,sent,1,12,1773104400,\"two\nlines\"\n" +
		"10,,sent,0,0.12345678,\"Tue, 10 Mar 2026 01:00:00 +0000\",\n"
	got, err := ingest.ReadLog(strings.NewReader(src), "log.csv", ingest.LogFormat{Location: east,
		Columns: map[string]string{"provider_id": "Msg", "attempt": "Ref", "status": "State", "segments": "Parts", "price": "Price", "time": "When"}})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 10, 1, 0, 0, 0, time.UTC)
	want := []ingest.LogLine{
		{Line: 2, Attempt: "a1-1", ProviderID: "7", Status: "DELIVRD", Segments: 2, Micros: 7_900, At: at.Add(7 * time.Second)},
		{Line: 3, ProviderID: "8", Micros: -1},
		{Line: 4, ProviderID: "9", Status: "sent", Segments: 1, Micros: 12_000_000, At: at},
		{Line: 6, ProviderID: "10", Status: "sent", Micros: 123_456, At: at},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadLogRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		src     string
		columns map[string]string
		line    int
		say     string
	}{
		{"", nil, 1, "empty"},
		{"status\nx\n", nil, 1, "which message"},
		{"id\nx\n", map[string]string{"attempt": "ref"}, 1, `no column "ref"`},
		{"id\nx\n", map[string]string{"colour": "ref"}, 0, `no column "colour"`},
		{"attempt,price\nx,1\ny,free\n", nil, 3, "price is not readable"},
		{"attempt,price\nx,1.2.3\n", nil, 2, "price is not readable"},
		{"attempt,segments\nx,-1\n", nil, 2, "segments is not readable"},
		{"attempt,time\nx,soon\n", nil, 2, "time is not readable"},
		{"attempt,time\nx\n", nil, 2, "2 columns"},
		{"attempt,time\n\"x\n", nil, 2, "2 columns"},
	} {
		_, err := ingest.ReadLog(strings.NewReader(c.src), "log.csv", ingest.LogFormat{Columns: c.columns, Location: east})
		if err == nil || !strings.Contains(err.Error(), c.say) || duly.CodeOf(err) == duly.Internal || !strings.Contains(err.Error(), "log.csv") != (c.line == 0) {
			t.Errorf("%q: got %v, want it to say %q at line %d", c.src, err, c.say, c.line)
		}
	}
}

// Whatever a provider sends is read or refused, and a line is about something.
func FuzzReadLog(f *testing.F) {
	f.Add("attempt,provider_id,status,segments,price,time\na1-1,7,DELIVRD,2,-0.0079,2026-03-10 09:00:07\n")
	f.Add("provider_id,price\n\"x\ny\",+00001.5\n")
	f.Add("<html>")
	f.Fuzz(func(t *testing.T, src string) {
		lines, err := ingest.ReadLog(strings.NewReader(src), "log.csv", ingest.LogFormat{Location: east})
		if err != nil && duly.CodeOf(err) == duly.Internal {
			t.Errorf("got %v, want an error for a person", err)
		}
		for _, l := range lines {
			if l.Micros < -1 || l.Segments < 0 {
				t.Errorf("got %+v", l)
			}
		}
	})
}
