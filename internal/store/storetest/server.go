package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Server is a Postgres of its own that can be killed and started again, for programs that crash one of several.
type Server struct {
	p   *postgres
	dsn string
}

// StartServer starts one. It writes as safely as in production: the tests' own server answers a commit before it is written, and
// would lose it when it is killed.
func StartServer() (*Server, error) {
	p := &postgres{safe: true}
	if os.Getenv("DULY_TEST_POSTGRES") != "" && findPostgres() == "" {
		return nil, errNoPostgres
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := p.launch(ctx); err != nil {
		return nil, err
	}
	s := &Server{p: p}
	if err := s.connect(ctx); err != nil {
		p.stop()
		return nil, err
	}
	if _, err := p.admin.ExecContext(ctx, "CREATE DATABASE duly_cell"); err != nil {
		p.stop()
		return nil, err
	}
	s.dsn = p.dsn("duly_cell")
	return s, nil
}

// Absent reports whether an error says that there is no Postgres on this machine.
func Absent(err error) bool { return errors.Is(err, errNoPostgres) }

// DSN is the address of a database of the server, which is without tables at first.
func (s *Server) DSN() string { return s.dsn }

// Kill kills the server as kill -9 does.
func (s *Server) Kill() error {
	b, err := os.ReadFile(filepath.Join(s.p.dir, "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return err
	}
	if err := s.p.cmd.Process.Kill(); err != nil { // the keeper first, or it would remove the folder
		return err
	}
	s.p.cmd.Wait()
	s.p.leash.Close()
	return syscall.Kill(pid, syscall.SIGKILL)
}

// Restart starts a server that was killed. What its predecessor left behind may keep it from starting for a moment.
func (s *Server) Restart() error {
	as, err := unprivileged(s.p.dir)
	if err != nil {
		return err
	}
	for range 10 {
		time.Sleep(300 * time.Millisecond)
		if err := s.p.keep(findPostgres(), as); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := s.connect(ctx)
		cancel()
		if err == nil {
			return nil
		}
		s.p.cmd.Process.Kill()
		s.p.cmd.Wait()
		s.p.leash.Close()
	}
	return fmt.Errorf("the server that was killed does not start again")
}

// Elsewhere starts a server that was killed again in another place, with the data that it left, as a fail-over to another machine
// with the same disk does. Its address is another then: see [Server.Socket].
func (s *Server) Elsewhere() error {
	to, err := os.MkdirTemp("", "dulypg")
	if err != nil {
		return err
	}
	if _, err := unprivileged(to); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(s.p.dir, "data"), filepath.Join(to, "data")); err != nil {
		return err
	}
	os.RemoveAll(s.p.dir)
	s.p.dir = to
	u := *s.p.base
	u.RawQuery = url.Values{"host": {to}}.Encode()
	s.p.base, s.dsn = &u, ""
	if err := s.Restart(); err != nil {
		return err
	}
	s.dsn = s.p.dsn("duly_cell")
	return nil
}

// Socket is the path of the socket at which the server answers.
func (s *Server) Socket() string { return filepath.Join(s.p.dir, ".s.PGSQL.5432") }

// connect waits until the server answers.
func (s *Server) connect(ctx context.Context) error {
	if s.p.admin != nil {
		s.p.admin.Close()
	}
	return s.p.connect(ctx)
}

// Stop stops the server and removes its folder.
func (s *Server) Stop() { s.p.stop() }
