package engine_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// A commit plans as many buckets as hold so many persons to be looked at: a few who changed, spread over all buckets, are planned in few commits
// however large the book is.
func TestPlanGroups(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		e := newWorld(t, db).engine(ladder, engine.Config{})
		all := make([]int, 1024)
		few, many := map[int]int64{}, map[int]int64{}
		for b := range all {
			all[b], few[b], many[b] = b, 1, 1500
		}
		most := len(db.Groups(all))
		if got := e.PlanGroups(all, few); len(got) != most {
			t.Errorf("1,024 persons in %d groups, want the store's %d", len(got), most)
		}
		got := e.PlanGroups(all, many)
		for _, g := range got {
			if len(g) > 2 {
				t.Fatalf("a group of %d buckets with 1,500 persons each", len(g))
			}
		}
		if diff := cmp.Diff(all, slices.Concat(got...)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := e.PlanGroups([]int{7}, map[int]int64{7: 1 << 40}); len(got) != 1 {
			t.Errorf("a bucket that is too large: got %v", got)
		}
	})
}
