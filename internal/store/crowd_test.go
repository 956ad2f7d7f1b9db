package store

import (
	"strings"
	"testing"

	duly "github.com/dulyhq/duly"
)

// Every query for people of one bucket has a form for those of many.
func TestAcross(t *testing.T) {
	t.Parallel()
	texts := []string{
		borrowerQuery, pointQuery, loanQuery, installmentQuery, debitQuery, consentQuery, optOutQuery, holdQuery, noticeQuery, preferenceQuery, touchQuery, contactPersonQuery,
		loanTable.known, installmentTable.known,
	}
	for _, t := range factTables {
		texts = append(texts, t.known)
	}
	for _, text := range texts {
		if got := postgresAcross(text); !strings.Contains(got, "t.bucket = k.bucket") || strings.Contains(got, "@ids") {
			t.Errorf("%s: got %s", text, got)
		}
	}
}

func TestCrowd(t *testing.T) {
	t.Parallel()
	bucket := func(id string) int { return int(id[0] - 'a') }
	c := crowdOf([]string{"b2", "a1", "c1", "b1", "b2", "a2"}, bucket)
	ids := func(c crowd) string {
		var out []string
		for _, m := range c.members {
			out = append(out, m.id)
		}
		return strings.Join(out, " ")
	}
	for _, x := range []struct {
		name, want string
		crowd      crowd
		buckets    int
	}{
		{name: "all", crowd: c, want: "a1 a2 b1 b2 c1", buckets: 3},
		{name: "some buckets", crowd: c.in(func(b int) bool { return b != 0 }), want: "b1 b2 c1", buckets: 2},
		{name: "one bucket between", crowd: c.in(func(b int) bool { return b == 1 }), want: "b1 b2", buckets: 1},
		{name: "no bucket", crowd: c.in(func(int) bool { return false })},
		{name: "some ids", crowd: c.whose(func(id string) bool { return id[1] == '1' }), want: "a1 b1 c1", buckets: 3},
		{name: "nobody", crowd: borrowers([]duly.BorrowerID{})},
	} {
		if got := ids(x.crowd); got != x.want || x.crowd.buckets != x.buckets || len(x.crowd.numbers()) != x.buckets {
			t.Errorf("%s: got %q in %d buckets, want %q in %d", x.name, got, x.crowd.buckets, x.want, x.buckets)
		}
	}
}
