// Package local runs a server of the log in this process: alone for trying it out, or as one of several in tests.
package local

import (
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	duly "github.com/dulyhq/duly"
)

// Options say what server to run.
type Options struct {
	Dir     string // where it keeps the log
	Name    string // of the server, in its cluster
	Port    int    // on the loopback; 0: any
	Cluster int    // port for the other servers; 0: it is alone
	Peers   []int  // their ports
}

// Server is one that runs.
type Server struct{ s *server.Server }

const readyLimit = 20 * time.Second

// Start starts a server that has every command on disk before it answers.
func Start(o Options) (*Server, error) {
	opts := &server.Options{
		ServerName: o.Name, Host: "127.0.0.1", Port: o.Port, JetStream: true, StoreDir: o.Dir, SyncAlways: true, NoSigs: true, NoLog: true,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 64 << 30,
	}
	if o.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	if o.Cluster != 0 {
		opts.Cluster = server.ClusterOpts{Name: "duly", Host: "127.0.0.1", Port: o.Cluster}
		for _, p := range o.Peers {
			opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: hostPort(p)})
		}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, duly.Errorf(duly.Unavailable, "the log's own server does not start").At(duly.Place{File: o.Dir}).WithHint("may this user write the folder, and is no other process using it?")
	}
	s.Start()
	if !s.ReadyForConnections(readyLimit) {
		s.Shutdown()
		return nil, duly.Errorf(duly.Unavailable, "the log's own server is not ready in %s", readyLimit).At(duly.Place{File: o.Dir})
	}
	return &Server{s}, nil
}

// URL is where clients reach it.
func (s *Server) URL() string { return s.s.ClientURL() }

// Stop stops it and waits until it has.
func (s *Server) Stop() {
	s.s.Shutdown()
	s.s.WaitForShutdown()
}

func hostPort(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
