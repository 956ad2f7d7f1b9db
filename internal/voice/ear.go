package voice

import (
	"math"
	"time"
)

// Answer is who answered, as far as it can be heard.
type Answer int

// The answers.
const (
	Nobody  Answer = iota // not known yet
	Person                // speech, and then quiet: somebody waits for an answer
	Machine               // speech that goes on, or a beep
)

// Rules of the ear. A person says a word or two and waits; a machine has a sentence to say.
const (
	speechLevel = 500 // of a frame's mean amplitude: speech, not the line's noise
	speechMax   = 2400 * time.Millisecond
	quietMin    = 700 * time.Millisecond
	speechMin   = 100 * time.Millisecond // less is a click
	beepMin     = 160 * time.Millisecond // so long a pure tone is a beep
	beepShare   = 0.8                    // of a frame's energy in one tone
)

// Ear hears who answered. The zero Ear has heard nothing; it keeps no sound.
type Ear struct {
	speech, quiet, beep time.Duration
	tone                int
	answer              Answer
}

// Hear takes a frame and returns what is known by now. A beep is heard at any time; the rest is decided once.
func (e *Ear) Hear(pcm []int16) Answer {
	if len(pcm) == 0 {
		return e.answer
	}
	d := Length(pcm)
	level := Level(pcm)
	if level > speechLevel {
		if e.quiet < quietMin || e.speech < speechMin {
			e.speech += d
		}
		e.quiet = 0
	} else {
		e.quiet += d
		if e.speech < speechMin && e.quiet >= quietMin {
			e.speech = 0
		}
	}
	if t := pureTone(pcm); level > speechLevel && t != 0 && (t == e.tone || e.beep == 0) {
		e.tone, e.beep = t, e.beep+d
	} else {
		e.tone, e.beep = 0, 0
	}
	switch {
	case e.beep >= beepMin:
		e.answer = Machine
	case e.answer != Nobody:
	case e.speech >= speechMax:
		e.answer = Machine
	case e.speech >= speechMin && e.quiet >= quietMin:
		e.answer = Person
	}
	return e.answer
}

// Speaking reports whether somebody speaks right now.
func (e *Ear) Speaking() bool { return e.quiet == 0 && e.speech >= speechMin }

// Level is the mean amplitude of samples.
func Level(pcm []int16) int {
	if len(pcm) == 0 {
		return 0
	}
	sum := 0
	for _, s := range pcm {
		sum += max(int(s), -int(s))
	}
	return sum / len(pcm)
}

// beepTones are those that machines beep with, in hertz.
var beepTones = []int{400, 425, 440, 480, 500, 620, 700, 800, 850, 900, 950, 1000, 1100, 1200, 1400, 1600, 2000}

// pureTone returns the tone that nearly all of a frame's energy is in, or 0.
func pureTone(pcm []int16) int {
	total := 0.0
	for _, s := range pcm {
		total += float64(s) * float64(s)
	}
	if total == 0 {
		return 0
	}
	for _, hz := range beepTones {
		if goertzel(pcm, hz)*2/(total*float64(len(pcm))) > beepShare {
			return hz
		}
	}
	return 0
}

// goertzel returns the power of a tone in samples.
func goertzel(pcm []int16, hz int) float64 {
	c := 2 * math.Cos(2*math.Pi*float64(hz)/Rate)
	var a, b float64
	for _, s := range pcm {
		a, b = float64(s)+c*a-b, a
	}
	return a*a + b*b - c*a*b
}
