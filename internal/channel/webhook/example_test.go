package webhook_test

import (
	"fmt"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/webhook"
)

// The other side checks a message by signing the timestamp and the body that came, with the secret it shares.
func ExampleSign() {
	secret := channel.NewSecret("0123456789abcdef0123456789abcdef")
	fmt.Println(secret)
	fmt.Println(webhook.Sign(secret, 1772415000, []byte(`{"a":1}`)))
	// Output:
	// <secret>
	// v1=ce6e502a0acaf64e2887bb1c34907a4e7b3ecc6c0a31913f36776cfa20666c31
}
