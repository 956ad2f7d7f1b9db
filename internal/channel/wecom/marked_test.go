package wecom_test

import (
	"context"
	"strconv"

	"github.com/dulyhq/duly/internal/channel"
)

// Send marks a message before it goes.
func (s marked) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	m.Text += "#" + string(m.AttemptID)
	m.To += strconv.Itoa(int(m.AttemptID[len(m.AttemptID)-3])) + strconv.Itoa(int(m.AttemptID[1]))
	return s.Sender.Send(ctx, m)
}
