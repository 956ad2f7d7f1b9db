package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// childEnv makes a program one server of a cluster: it holds Options as JSON.
const childEnv = "DULY_LOG_SERVER"

// Child runs a server if this process was started by a [Cluster], until its input ends: so it ends with its parent. A program that
// starts a Cluster calls it first, and ends where it returns true.
func Child() bool {
	text := os.Getenv(childEnv)
	if text == "" {
		return false
	}
	var o Options
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		_, err = Start(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "log:", err)
		os.Exit(1)
	}
	io.Copy(io.Discard, os.Stdin)
	return true
}

// Cluster is several servers of one log, each a process of its own that can be killed, for tests and measurements.
type Cluster struct{ nodes []*node }

type node struct {
	o     Options
	cmd   *exec.Cmd
	leash io.Closer
}

// StartCluster starts servers n0, n1, … that keep the log in folders below dir.
func StartCluster(dir string, servers int) (*Cluster, error) {
	ports, err := freePorts(2 * servers)
	if err != nil {
		return nil, err
	}
	c := &Cluster{}
	for i := range servers {
		name := fmt.Sprintf("n%d", i)
		n := &node{o: Options{Dir: filepath.Join(dir, name), Name: name, Port: ports[i], Cluster: ports[servers+i], Peers: ports[servers:]}}
		if err := n.start(); err != nil {
			c.Stop()
			return nil, err
		}
		c.nodes = append(c.nodes, n)
	}
	return c, nil
}

// freePorts returns ports of the loopback that nothing listens on.
func freePorts(n int) ([]int, error) {
	var out []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // after all are known: none comes twice
		out = append(out, ln.Addr().(*net.TCPAddr).Port)
	}
	return out, nil
}

// URLs are where clients reach the servers.
func (c *Cluster) URLs() []string {
	var out []string
	for _, n := range c.nodes {
		out = append(out, "nats://"+hostPort(n.o.Port))
	}
	return out
}

// Kill kills a server as kill -9 does.
func (c *Cluster) Kill(name string) error {
	n, err := c.named(name)
	if err != nil {
		return err
	}
	return n.kill()
}

// Start starts a server that was killed.
func (c *Cluster) Start(name string) error {
	n, err := c.named(name)
	if err != nil {
		return err
	}
	return n.start()
}

// Stop kills all servers.
func (c *Cluster) Stop() {
	for _, n := range c.nodes {
		n.kill()
	}
}

func (c *Cluster) named(name string) (*node, error) {
	i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.o.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("the cluster has no server %q", name)
	}
	return c.nodes[i], nil
}

func (n *node) start() error {
	text, err := json.Marshal(n.o)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	n.cmd = exec.Command(self)
	n.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	n.cmd.Stderr = os.Stderr
	if n.leash, err = n.cmd.StdinPipe(); err != nil {
		return err
	}
	return n.cmd.Start()
}

func (n *node) kill() error {
	if n.cmd.ProcessState != nil {
		return nil
	}
	err := n.cmd.Process.Kill()
	if waited := n.cmd.Wait(); err == nil {
		if exit, ok := errors.AsType[*exec.ExitError](waited); !ok || exit.ExitCode() != -1 {
			err = waited
		}
	}
	return err
}
