// Package stream carries facts and receipts to the cells that their people are in, by a replicated log of commands: NATS
// JetStream.
//
// The log is cut into parts, each of some of the 1,024 buckets. A part has one durable consumer with one command on its way at a
// time, so its commands take effect in the order in which they were published. A command takes effect once: its number is compared
// and advanced in the transaction of its effects (engine.ApplyOnce), so that one which is delivered again changes nothing and is
// answered as it was. The truth is in the cells; the log holds what they have not taken yet, and nothing after.
//
//	l, err := stream.Open(ctx, config)
//	applied, err := stream.NewPublisher(l, cells).Apply(ctx, now, "api", facts)   // returns when it is applied
//	l.Work(ctx, engine, parts, wake)                                              // in every process, for every cell
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
)

// Config is where the log is and how it is made.
type Config struct {
	URLs        []string
	Name        string // of the stream, and of its subjects
	Parts       int    // a divisor of 1,024; for good
	Replicas    int    // servers that keep each command
	Credentials string // a file; "" for none
	Log         *slog.Logger
}

// Log is an open log. It is safe for concurrent use.
type Log struct {
	Config
	conn *nats.Conn
	js   jetstream.JetStream
	s    jetstream.Stream
	made int64 // when the log was made, in microseconds: numbers of another one are not of this
}

// Waits for the servers.
const (
	connectLimit = 2 * time.Second
	reconnect    = 250 * time.Millisecond
	pingEvery    = 2 * time.Second // a server that is silent for two of them is left for another
	askLimit     = 5 * time.Second // one request
	tryLimit     = 2 * time.Second // one try to publish, or to find a consumer: where a leader has died it is not answered
)

// waitingMax is how many commands of a part the log holds: those of a cell that is away for long must not fill the disk, which would
// keep out what is of others.
const waitingMax = 20_000

// partFull is the server's number for a part that holds as many.
const partFull = 10077

// partsKey is where a stream notes how many parts it has.
const partsKey = "duly-parts"

// Open connects to the log, and makes it if it is not there. It fails where no server answers.
func Open(ctx context.Context, c Config) (*Log, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{Config: c}
	opts := []nats.Option{
		nats.Name("duly"), nats.Timeout(connectLimit), nats.ReconnectWait(reconnect), nats.MaxReconnects(-1),
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			c.Log.Warn("the log's server is gone; another is looked for", "error", err)
		}),
		nats.ReconnectHandler(func(*nats.Conn) { c.Log.Info("connected to a server of the log again") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.Log.Debug("log", "error", err) }),
	}
	if c.Credentials != "" {
		opts = append(opts, nats.UserCredentials(c.Credentials))
	}
	var err error
	servers := ""
	for i, u := range c.URLs {
		if i > 0 {
			servers += ","
		}
		servers += u
	}
	if l.conn, err = nats.Connect(servers, opts...); err != nil {
		return nil, unreachable(err)
	}
	if l.js, err = jetstream.New(l.conn); err == nil {
		err = l.open(ctx)
	}
	if err != nil {
		l.conn.Close()
		return nil, err
	}
	return l, nil
}

// open finds the stream or makes it.
func (l *Log) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var err error
	l.s, err = l.js.Stream(ctx, l.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		l.s, err = l.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: l.Name, Subjects: []string{l.Name + ".in.*"}, Storage: jetstream.FileStorage, Replicas: l.Replicas,
			// A command stays until it has taken effect, however long a cell is away, and goes then.
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, Duplicates: 2 * time.Minute,
			MaxMsgsPerSubject: waitingMax, DiscardNewPerSubject: true,
			Metadata: map[string]string{partsKey: strconv.Itoa(l.Parts)},
		})
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			l.s, err = l.js.Stream(ctx, l.Name)
		}
	}
	if err != nil {
		return unreachable(err)
	}
	info := l.s.CachedInfo()
	if has := info.Config.Metadata[partsKey]; has != strconv.Itoa(l.Parts) {
		return duly.Errorf(duly.Refused, "the log has %q parts, and the configuration says %d", has, l.Parts).At(duly.Place{Field: "stream.parts"}).
			WithHint("the number is for good: set it back, or name another stream and let the old one run empty first")
	}
	l.made = info.Created.UnixMicro()
	return nil
}

func unreachable(err error) error {
	return duly.Errorf(duly.Unavailable, "the log does not answer: %s", cause(err)).
		WithHint("are the servers of stream.urls up, a majority of them, with JetStream on?")
}

// cause is the library's word for what went wrong, which names no data.
func cause(err error) string {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		if api.ErrorCode == partFull {
			return "as many commands as it holds wait for the cell already"
		}
		return fmt.Sprintf("error %d of the server", api.ErrorCode)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return "no answer in time"
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return "no server takes it"
	}
	return "the connection failed"
}

// Close closes the connection, after what was told on it has left.
func (l *Log) Close() error {
	l.conn.FlushTimeout(connectLimit)
	l.conn.Close()
	return nil
}

// PartOf returns the part that a bucket belongs to.
func (l *Log) PartOf(bucket int) int { return bucket / (duly.Buckets / l.Parts) }

func (l *Log) buckets(part int) []int {
	size := duly.Buckets / l.Parts
	out := make([]int, size)
	for i := range out {
		out[i] = part*size + i
	}
	return out
}

// NoShare is that of a cell that begins with nothing.
func NoShare(parts int) engine.Share {
	return engine.Share{From: duly.Buckets, To: duly.Buckets, Group: duly.Buckets / parts}
}

// ShareOf is which buckets the parts from one to another, both included, are.
func ShareOf(parts, from, to int) engine.Share {
	size := duly.Buckets / parts
	return engine.Share{From: from * size, To: (to + 1) * size, Group: size}
}

// WaitingBy is [Log.Waiting] by part; parts for which nothing waits are left out.
func (l *Log) WaitingBy(ctx context.Context) (map[int]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	info, err := l.s.Info(ctx, jetstream.WithSubjectFilter(l.Name+".in.*"))
	if err != nil {
		return nil, unreachable(err)
	}
	out := map[int]uint64{}
	for part := range l.Parts {
		if n := info.State.Subjects[l.subject(part)]; n > 0 {
			out[part] = n
		}
	}
	return out, nil
}

func (l *Log) subject(part int) string { return fmt.Sprintf("%s.in.%03d", l.Name, part) }

// Waiting returns how many commands have not taken effect yet.
func (l *Log) Waiting(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	info, err := l.s.Info(ctx)
	if err != nil {
		return 0, unreachable(err)
	}
	return info.State.Msgs, nil
}
