package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// barWidth is the bar's own width, in columns.
const barWidth = 24

// newBar is the progress bar of a run, on the terminal f. All text beside it is draw's.
func newBar(f *os.File, steps int) *progressbar.ProgressBar {
	b := progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(f),
		progressbar.OptionSetWidth(barWidth),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░"}),
	)
	b.Describe(fmt.Sprintf("step 0/%d", steps)) // draws it
	return b
}

// draw moves the bar to the last step.
func (r *report) draw() {
	t := r.run.Config.Train
	all := t.Steps
	parts := []string{fmt.Sprintf("step %d/%d", r.last.Step, all), fmt.Sprintf("loss %.3f", r.last.Loss)}
	if r.eval != nil {
		parts = append(parts, fmt.Sprintf("val %.3f", r.eval.Loss))
	}
	left := time.Since(r.start).Seconds() / float64(max(1, r.last.Step-r.first.Step)) * float64(all-r.last.Step)
	validates := r.last.Step == all || t.EvalEvery > 0 && r.last.Step%t.EvalEvery == 0
	switch {
	case validates && r.run.Config.Data.ValFraction > 0 && (r.eval == nil || r.eval.Step != r.last.Step):
		parts = append(parts, "validating")
	case r.last.Step < all:
		parts = append(parts, clock(left)+" left", count(r.speed)+" tokens/s")
	}
	width, _, err := term.GetSize(int(r.tty.Fd()))
	if err != nil {
		width = 80
	}
	r.bar.Describe(fit(parts, width-barWidth-10))
	r.bar.Set(r.last.Step) //nolint:errcheck // a terminal
}

// fit joins as many of the first parts as n columns hold.
func fit(parts []string, n int) string {
	for len(parts) > 1 && len(strings.Join(parts, "  ")) > n {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, "  ")
}

// above prints a line that stays, above the bar where there is one.
func (r *report) above(format string, a ...any) {
	if r.bar == nil {
		r.app.out.printf(format, a...)
		return
	}
	r.bar.Clear() //nolint:errcheck // a terminal
	r.app.out.printf(format, a...)
	r.draw()
}

// stopBar takes the bar away: what the run came to is printed in its place.
func (r *report) stopBar() {
	if r.bar != nil {
		r.bar.Clear() //nolint:errcheck // a terminal
		r.bar = nil
	}
}
