package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/dulyhq/duly/internal/store/storetest"
)

// TestMain lets this program be the sink of its own tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sink" {
		if err := serveSink(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Every system does the whole job, at a size that measures nothing, against the sink that behaves worst.
func TestSystems(t *testing.T) {
	for _, s := range systems {
		t.Run(s.name, func(t *testing.T) {
			sink, err := startSink()
			if err != nil {
				t.Fatal(err)
			}
			defer sink.stop()
			r := result{options: options{System: s.name, Sink: sinks[2].name, Contacts: 300, Workers: 32, Conns: 8}}
			if s.name == "river" {
				err = riverCase(context.Background(), &r, sink)
			} else {
				err = dulyCase(context.Background(), &r, sink, t.TempDir())
			}
			if storetest.Absent(err) {
				t.Skip("there is no PostgreSQL on this machine")
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Sent.Asked != 300 || r.Sent.lost() != 0 || s.name != "river" && r.Sent.Twice != 0 {
				t.Errorf("got %+v, want 300 contacts, none lost and none twice", r.Sent)
			}
			for _, step := range r.Steps {
				if step.Count == 0 || step.Wall <= 0 {
					t.Errorf("step %s measured %d %s in %.3f s", step.Name, step.Count, step.Unit, step.Wall)
				}
			}
			t.Log(r)
		})
	}
}
