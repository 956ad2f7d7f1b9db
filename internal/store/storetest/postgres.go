package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx"

	"github.com/dulyhq/duly/internal/store"
)

const (
	startLimit   = 60 * time.Second
	templateName = "duly_template"
)

// server is the one Postgres of this test binary, started when the first test asks for it.
var server postgres

// postgres is a server that is started here, or one that was named.
type postgres struct {
	once  sync.Once
	err   error
	base  *url.URL // of the maintenance database
	admin *sql.DB
	cmd   *exec.Cmd // the keeper, see launch
	leash *os.File  // while it is open the server runs
	dir   string
	count atomic.Int64
	safe  bool         // against a crash of the machine, as in production; tests do without
	made  map[int]bool // templates, by their partitions
	mu    sync.Mutex   // of made; and CREATE DATABASE … TEMPLATE takes the template for itself
}

var errNoPostgres = errors.New("neither DULY_TEST_POSTGRES nor initdb is there")

// database makes a fresh database with the tables of a store and returns its address.
func (p *postgres) database(t testing.TB, partitions int) string {
	t.Helper()
	return p.fresh(t, func(name string) error { return p.copyTemplate(name, partitions) })
}

// bare makes a fresh database without tables and returns its address.
func (p *postgres) bare(t testing.TB) string {
	t.Helper()
	return p.fresh(t, func(name string) error { _, err := p.admin.Exec("CREATE DATABASE " + name); return err })
}

func (p *postgres) fresh(t testing.TB, create func(name string) error) string {
	t.Helper()
	p.once.Do(func() { p.err = p.start() })
	if p.err != nil {
		if errors.Is(p.err, errNoPostgres) && os.Getenv("DULY_TEST_POSTGRES_REQUIRED") != "1" {
			t.Skipf("no Postgres: %v", p.err)
		}
		t.Fatalf("start Postgres: %v", p.err)
	}
	name := fmt.Sprintf("duly_test_%d_%d", os.Getpid(), p.count.Add(1))
	if err := create(name); err != nil {
		t.Fatalf("create database: %v", err)
	}
	t.Cleanup(func() {
		if _, err := p.admin.Exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			t.Logf("drop database: %v", err)
		}
	})
	return p.dsn(name)
}

func (p *postgres) copyTemplate(name string, partitions int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.made[partitions] {
		if err := p.makeTemplate(partitions); err != nil {
			return err
		}
	}
	_, err := p.admin.Exec("CREATE DATABASE " + name + " TEMPLATE " + p.template(partitions))
	return err
}

func (p *postgres) template(partitions int) string {
	return fmt.Sprintf("%s_%d_%d", templateName, os.Getpid(), partitions)
}

func (p *postgres) dsn(database string) string {
	u := *p.base
	u.Path = "/" + database
	return u.String()
}

func (p *postgres) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	var err error
	if named := os.Getenv("DULY_TEST_POSTGRES"); named != "" {
		p.base, err = url.Parse(named)
	} else {
		err = p.launch(ctx)
	}
	if err != nil {
		return err
	}
	if err := p.connect(ctx); err != nil {
		p.stop()
		return err
	}
	p.made = map[int]bool{}
	return nil
}

// connect waits until the server answers.
func (p *postgres) connect(ctx context.Context) error {
	var err error
	if p.admin, err = sql.Open("pgx", p.base.String()); err != nil {
		return err
	}
	for p.admin.PingContext(ctx) != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("no answer in %s", startLimit)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// makeTemplate makes the database that the tests' are copied from, with its tables.
func (p *postgres) makeTemplate(partitions int) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if _, err := p.admin.ExecContext(ctx, "CREATE DATABASE "+p.template(partitions)); err != nil {
		return err
	}
	p.made[partitions] = true
	db, err := store.CreatePartitioned(ctx, p.dsn(p.template(partitions)), partitions)
	if err != nil {
		return err
	}
	return db.Close()
}

// Start starts a Postgres that writes as safely as in production, for programs that measure or crash Duly, and returns the
// address of a fresh database without tables. stop stops it and removes its folder.
func Start() (dsn string, stop func(), err error) {
	p := &postgres{safe: true}
	if err := p.start(); err != nil {
		return "", nil, err
	}
	name := fmt.Sprintf("duly_run_%d", os.Getpid())
	if _, err := p.admin.Exec("CREATE DATABASE " + name); err != nil {
		p.stop()
		return "", nil, err
	}
	return p.dsn(name), p.stop, nil
}

// launch makes a server in a folder of its own, reached through a socket there, and starts it. Postgres refuses to run as
// root, so root hands it to another user.
func (p *postgres) launch(ctx context.Context) error {
	bin := findPostgres()
	if bin == "" {
		return errNoPostgres
	}
	var err error
	// Not t.TempDir: the server outlives the test that asks for it first, and a socket's path must be short.
	if p.dir, err = os.MkdirTemp("", "dulypg"); err != nil {
		return err
	}
	as, err := unprivileged(p.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(p.dir, "data")
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = p.dir, as
		return cmd
	}
	initdb := run("initdb", "-D", data, "-U", "duly", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	p.base = &url.URL{Scheme: "postgres", User: url.User("duly"), Path: "/postgres", RawQuery: url.Values{"host": {p.dir}}.Encode()}
	return p.keep(bin, as)
}

// keep starts the server of the folder.
func (p *postgres) keep(bin string, as *syscall.SysProcAttr) error {
	// The keeper stops the server and removes its folder when its input ends: also when this process is killed.
	p.cmd = exec.Command("sh", "-c", `"$@" </dev/null >"$0/log" 2>&1 & p=$!; read -r _; kill -QUIT $p; wait $p; rm -rf "$0"`, p.dir,
		filepath.Join(bin, "postgres"), "-D", filepath.Join(p.dir, "data"), "-k", p.dir, "-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=128MB")
	if !p.safe {
		p.cmd.Args = append(p.cmd.Args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	p.cmd.Dir, p.cmd.SysProcAttr = "/", as
	input, leash, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	p.cmd.Stdin, p.leash = input, leash
	return p.cmd.Start()
}

// stop stops the server that was started here and removes its folder; of a server that was named, only the template.
func (p *postgres) stop() {
	if p.admin != nil {
		for partitions := range p.made {
			p.admin.Exec("DROP DATABASE IF EXISTS " + p.template(partitions) + " WITH (FORCE)")
		}
		p.admin.Close()
	}
	if p.cmd != nil {
		p.leash.Close()
		p.cmd.Wait()
		p.cmd = nil
	}
}

// findPostgres returns the folder of initdb and postgres, the newest version there is, or "".
func findPostgres() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(real)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return ""
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest)
}

// unprivileged returns how to run a program as somebody other than root, who then owns dir; nil if this is not root.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, fmt.Errorf("root cannot run Postgres, and there is no user postgres or nobody")
}
