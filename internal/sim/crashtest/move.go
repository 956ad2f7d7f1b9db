package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// killWithin is how soon after its start a move is killed: at any of its steps.
const killWithin = 2 * time.Second

// movePart moves a part of a cell to the other while both work, and back. The first move is killed with kill -9 and run again.
func (f *streamRun) movePart(cell int) error {
	part := strconv.Itoa(cell*logParts/cellsMax + rand.New(rand.NewPCG(f.seed, uint64(len(f.heals[movedPart])))).IntN(logParts/cellsMax))
	began := time.Now()
	first := f.move(part, 1-cell)
	if err := first.Start(); err != nil {
		return err
	}
	time.Sleep(time.Duration(f.rand.Int64N(int64(killWithin))))
	if err := first.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := ignoreKilled(first.Wait()); err != nil {
		return fmt.Errorf("the first move of part %s: %w", part, err)
	}
	for _, to := range []int{1 - cell, cell} {
		at := time.Now()
		out, err := f.move(part, to).CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == movedAlready && to != cell { // the first had done all before it was killed
			err = nil
		}
		if err != nil {
			return fmt.Errorf("duly cells move %s to %s: %w\n%s", part, cellName(to), err, out)
		}
		fmt.Fprintf(f.out, "%6.1f s  part %s moved to cell %s in %.1f s\n%s", time.Since(f.began).Seconds(), part, cellName(to), time.Since(at).Seconds(), out)
		if err := f.newcomers(0, 1); err != nil {
			return fmt.Errorf("part %s in cell %s: %w", part, cellName(to), err)
		}
	}
	return f.healed(movedPart, began, 0, 1)
}

// movedAlready is the exit status of a move of what is there already.
const movedAlready = 6

func (f *streamRun) move(part string, to int) *exec.Cmd {
	return f.command("cells", "move", part, "--to", cellName(to))
}
