// Package fault names the points at which a crash is tested. In the program that is shipped a point is nothing at all: only a
// build with the tag fault looks at them, and dies at the one that the environment names.
//
//	go build -tags fault ./cmd/duly
//	DULY_FAULT=claim.uncommitted:3 duly serve    # dies as of kill -9 when it comes there for the third time
package fault

// The points.
const (
	ClaimUncommitted   = "claim.uncommitted"   // a claim is made and not committed
	ClaimCommitted     = "claim.committed"     // a claim is committed, and none of it is sent
	PostBefore         = "post.before"         // the fence let a message pass, and the carrier has not been called
	PostAfter          = "post.after"          // the carrier has answered, and nobody knows yet
	FinishUncommitted  = "finish.uncommitted"  // answers are written and not committed
	FinishCommitted    = "finish.committed"    // answers are committed
	PlanUncommitted    = "plan.uncommitted"    // a plan is written and not committed
	PlanCommitted      = "plan.committed"      // a group of buckets is planned
	ReceiveUncommitted = "receive.uncommitted" // receipts are applied and not committed
	MeasureUncommitted = "measure.uncommitted" // outcomes are written and not committed
	ImportUncommitted  = "import.uncommitted"  // a chunk of a file is applied and not committed
	ImportCommitted    = "import.committed"    // a chunk of a file is committed
	MigrateUncommitted = "migrate.uncommitted" // a migration is applied and not committed
)

// Points lists them all.
func Points() []string {
	return []string{ClaimUncommitted, ClaimCommitted, PostBefore, PostAfter, FinishUncommitted, FinishCommitted, PlanUncommitted, PlanCommitted,
		ReceiveUncommitted, MeasureUncommitted, ImportUncommitted, ImportCommitted, MigrateUncommitted}
}
