package stream

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
)

// A command comes out of the log as it went in, whatever kinds of facts it holds and whatever is in their texts.
func TestCommandRoundTrip(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)
	want := command{At: now, Actor: "api", Bulk: true}
	var facts []duly.Fact
	for _, k := range duly.FactKinds() {
		f := blank(k)
		if f == nil || f.FactKind() != k {
			t.Fatalf("a fact of kind %s cannot be read from the log", k)
		}
		// Every fact has a version and an owner; the rest of it is JSON by the same struct both ways.
		owner := "borrower_id"
		if k == duly.FactBorrower {
			owner = "id"
		}
		if err := json.Unmarshal(fmt.Appendf(nil, `{"%s":"B 1\n{}","version":7}`, owner), f); err != nil {
			t.Fatal(err)
		}
		facts = append(facts, f)
		l, err := encodeFact(f)
		if err != nil {
			t.Fatal(err)
		}
		want.facts = append(want.facts, l)
	}
	data, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	var got command
	decoded, err := got.decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(facts, decoded) || got.At != now || got.Actor != "api" || !got.Bulk {
		t.Errorf("got %+v with facts %+v, want %+v with %+v", got, decoded, want, facts)
	}
	for _, bad := range []string{"", "{", `{"at":"2026-03-02T04:00:00Z"}` + "\nnonsense {}", `{"at":"2026-03-02T04:00:00Z"}` + "\nborrower {"} {
		if _, err := new(command).decode([]byte(bad)); duly.CodeOf(err) != duly.Invalid || strings.Contains(err.Error(), "nonsense") {
			t.Errorf("%q: got %v, want it invalid", bad, err)
		}
	}
}
