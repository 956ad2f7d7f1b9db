// Command withpostgres starts a Postgres of its own in a temporary folder, runs a command with its address in DULY_STORE,
// and stops it: for trying Duly on PostgreSQL on a machine that has the programs but no server.
//
//	go run ./internal/store/storetest/withpostgres sh -c 'bin/duly --store "$DULY_STORE" migrate'
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/dulyhq/duly/internal/store/storetest"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "withpostgres: name a command")
		os.Exit(2)
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	dsn, stop, err := storetest.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
		return 1
	}
	defer stop()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "DULY_STORE="+dsn)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
		return 1
	}
	return 0
}
