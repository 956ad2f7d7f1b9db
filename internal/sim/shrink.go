package sim

import (
	"context"

	duly "github.com/dulyhq/duly"
)

// Shrink looks for a smaller trial that breaks the same promise: with fewer kinds of trouble, days and borrowers. It runs up to
// tries trials, and returns the smallest that it found with what it came to, its story told.
func Shrink(ctx context.Context, out Outcome, tries int) (Outcome, error) {
	best := out
	smaller := func(t Trial) (bool, error) {
		if tries--; tries < 0 {
			return false, nil
		}
		o, err := t.Run(ctx)
		if err != nil && duly.CodeOf(err) == duly.NotFound { // of the one who is left nobody is known in it
			return false, nil
		}
		if err != nil || o.Breach == nil || o.Breach.Promise != best.Breach.Promise {
			return false, err
		}
		best = o
		return true, nil
	}
	if who := best.Breach.Borrower; who != "" {
		if _, err := smaller(best.with(func(t *Trial) { t.Only = who })); err != nil {
			return best, err
		}
	}
	if d := best.daysTo(); d < best.Trial.Days { // what came after the breach had no part in it, though other days make another world
		if _, err := smaller(best.with(func(t *Trial) { t.Days = d })); err != nil {
			return best, err
		}
	}
	for changed := true; changed && tries > 0; {
		changed = false
		for k := Faults(1); k < faultEnd; k <<= 1 {
			if best.Trial.Faults.has(k) {
				ok, err := smaller(best.with(func(t *Trial) { t.Faults &^= k }))
				if err != nil {
					return best, err
				}
				changed = changed || ok
			}
		}
		for _, by := range []int{2, 3} {
			for _, cut := range []func(*Trial){func(t *Trial) { t.Borrowers -= t.Borrowers / by }, func(t *Trial) { t.Days -= t.Days / by }} {
				t := best.with(cut)
				if t == best.Trial || t.Borrowers < 1 || t.Days < 1 {
					continue
				}
				ok, err := smaller(t)
				if err != nil {
					return best, err
				}
				changed = changed || ok
			}
		}
	}
	return best.Tell(ctx)
}

// daysTo is how many days the run took to the breach.
func (o *Outcome) daysTo() int { return o.Count.Days + 1 }

func (o *Outcome) with(change func(*Trial)) Trial {
	t := o.Trial
	t.Tell = ""
	change(&t)
	return t
}

// Tell runs the trial of a breach again and keeps the story of its borrower. It is the same run.
func (o Outcome) Tell(ctx context.Context) (Outcome, error) {
	if o.Breach == nil || o.Breach.Borrower == "" && o.Breach.Contact == "" {
		t := o.with(func(t *Trial) { t.Tell = "-" }) // of the processes alone
		return t.Run(ctx)
	}
	t := o.with(func(t *Trial) { t.Tell = o.Breach.Borrower })
	return t.Run(ctx)
}
