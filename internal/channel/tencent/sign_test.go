package tencent

import (
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// TestVector is the example that Tencent Cloud publishes for TC3-HMAC-SHA256: DescribeInstances, with the key that its page
// shows half hidden, and so signs with, stars and all.
func TestVector(t *testing.T) {
	t.Parallel()
	body := []byte(`{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`)
	secret := channel.NewSecret("Gu5t9xGARNpq86cd98joQYCN3*******")
	headers := map[string]string{"content-type": "application/json; charset=utf-8", "host": "cvm.tencentcloudapi.com", "x-tc-action": "DescribeInstances"}
	const want = "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******/2019-02-25/cvm/tc3_request, " +
		"SignedHeaders=content-type;host;x-tc-action, Signature=be4f67d323c78ab9acb7395e43c0dbcf822a9cfac32fea2449a7bc7726b770a3"
	got := authorize("AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", secret, "cvm", time.Unix(1551113065, 0), headers, body)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
