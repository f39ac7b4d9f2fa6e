package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// newBar is the progress bar of a run.
func newBar(out *sink, steps int) *progressbar.ProgressBar {
	return progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(out),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetWidth(20),
		progressbar.OptionThrottle(50*time.Millisecond),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetTheme(progressbar.ThemeUnicode),
	)
}

// draw moves the bar to the last step.
func (r *report) draw(speed float64) {
	d := fmt.Sprintf("loss %.3f", r.last.Loss)
	if r.eval != nil {
		d += fmt.Sprintf("  val %.3f", r.eval.Loss)
	}
	d += fmt.Sprintf("  %s tokens/s", count(speed))
	r.bar.Describe(d)
	r.bar.Set(r.last.Step) //nolint:errcheck // the sink keeps the error
}

// above prints a line that stays, above the bar where there is one.
func (r *report) above(format string, a ...any) {
	if r.bar != nil {
		r.bar.Clear() //nolint:errcheck // the sink keeps the error
	}
	r.app.out.printf(format, a...)
	if r.bar != nil && !r.bar.IsFinished() {
		r.bar.RenderBlank() //nolint:errcheck // the sink keeps the error
	}
}

// stopBar takes the bar away: what the run came to is printed after it.
func (r *report) stopBar() {
	if r.bar != nil {
		r.bar.Clear() //nolint:errcheck // the sink keeps the error
		r.bar = nil
	}
}

var _ = term.GetSize
var _ = os.Stdout
