package rule_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/rulepacks"
)

func shipped(t *testing.T) []*rule.Pack {
	t.Helper()
	packs, err := rule.LoadFS(rulepacks.FS)
	if err != nil {
		t.Fatal(err)
	}
	return packs
}

// A borrower is asked about by the packs of every part of the country path, and by no other.
func TestPacksOfAPlace(t *testing.T) {
	t.Parallel()
	s, err := rule.NewSet(shipped(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		country string
		want    string
	}{
		{"CN", "cn-mainland policy-default"},
		{"CN-31", "cn-mainland policy-default"},
		{"US", "policy-default us-regf us-tcpa"},
		{"US-MA", "policy-default us-ma us-regf us-tcpa"},
		{"US-MA-BOS", "policy-default us-ma us-regf us-tcpa"},
		{"US-MAX", "policy-default us-regf us-tcpa"},
		{"DE", "eu-core policy-default"},
		{"ES-CT", "eu-core policy-default"},
		{"EU", "eu-core policy-default"},
		{"GB", "policy-default uk-conc"},
		{"BR", "policy-default"},
		{"BR-SP", "br-sp policy-default"},
		{"CH", "policy-default"},
		{"CNX", "policy-default"},
		{"", "policy-default"},
	} {
		var got []string
		for _, id := range s.IDsFor(c.country) {
			name, _, _ := strings.Cut(id, "@")
			got = append(got, name)
		}
		if d := cmp.Diff(c.want, strings.Join(got, " ")); d != "" {
			t.Errorf("%q (-want +got):\n%s", c.country, d)
		}
	}
}

// Drafts and rules from memory are in shadow, but for the product's own policy; turning one on by name changes that one.
func TestShadow(t *testing.T) {
	t.Parallel()
	packs := shipped(t)
	shadows := func(packs []*rule.Pack) (out []string) {
		for _, p := range packs {
			for i := range p.Rules {
				if p.Rules[i].Shadow {
					out = append(out, p.ID+"/"+p.Rules[i].ID)
				}
			}
		}
		return out
	}
	want := []string{"eu-core/EU-01", "eu-core/EU-02", "eu-core/EU-03", "in-rbi/IN-02", "uk-conc/UK-06", "us-regf/US-06", "us-regf/US-07", "us-regf/US-10", "us-regf/US-11"}
	if d := cmp.Diff(want, shadows(packs)); d != "" {
		t.Errorf("in shadow (-want +got):\n%s", d)
	}
	on, err := rule.Enforce(packs, []string{"us-regf/US-06", "in-rbi/IN-02", "us-regf/US-10"})
	if err != nil {
		t.Fatal(err)
	}
	left := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s == "us-regf/US-06" || s == "in-rbi/IN-02" || s == "us-regf/US-10" })
	if d := cmp.Diff(left, shadows(on)); d != "" {
		t.Errorf("in shadow after turning three on (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, shadows(packs)); d != "" {
		t.Errorf("the packs that were given changed (-want +got):\n%s", d)
	}
	for _, name := range []string{"us-regf/US-99", "US-06", "nobody/US-06", ""} {
		if _, err := rule.Enforce(packs, []string{name}); duly.CodeOf(err) != duly.NotFound {
			t.Errorf("%q: got %v, want it refused", name, err)
		}
	}
}

// A hold that only a rule in shadow knows stops everything: nobody has said what it stops.
func TestHoldInShadow(t *testing.T) {
	t.Parallel()
	packs := shipped(t)
	on, err := rule.Enforce(packs, []string{"us-regf/US-06"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		packs []*rule.Pack
		want  bool
	}{{"in shadow", packs, true}, {"turned on", on, false}} {
		s, err := rule.NewSet(c.packs)
		if err != nil {
			t.Fatal(err)
		}
		v := s.View(&rule.Facts{
			Now:     time.Date(2026, 6, 10, 15, 0, 0, 0, time.UTC),
			Contact: &duly.Contact{Channel: duly.ChannelLetter, Purpose: duly.PurposeMandatory},
			Person: &duly.Person{
				Borrower: duly.Borrower{Country: "US", Zones: []duly.Zone{{Name: "America/New_York"}}},
				Holds:    []duly.Hold{{Kind: "cease_communication", Scope: duly.HoldPerson}},
			},
		})
		got := slices.ContainsFunc(v.Unknown(), func(r duly.Reason) bool { return r.Code == rule.CodeHoldKind })
		v.Release()
		if got != c.want {
			t.Errorf("%s: unknown kind of hold: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCalendarsNeeded(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff([]string{"BR", "CO", "ID", "MX", "TH"}, rule.Calendars(shipped(t))); d != "" {
		t.Errorf("calendars (-want +got):\n%s", d)
	}
}
