package channel_test

import (
	"fmt"

	"github.com/dulyhq/duly/internal/channel"
)

// The table of classes decides what follows from a failure.
func ExampleClass_Treatment() {
	for _, c := range channel.Classes() {
		t := c.Treatment()
		fmt.Printf("%-12s retry %-5t fallback %-5t counts %t\n", c, t.Retry, t.Fallback, t.CountsAsSent)
	}
	// Output:
	// temporary    retry true  fallback false counts false
	// throttled    retry true  fallback false counts false
	// config       retry true  fallback false counts false
	// bad_address  retry false fallback true  counts false
	// permanent    retry false fallback true  counts false
	// opted_out    retry false fallback false counts false
	// unknown      retry false fallback false counts true
}
