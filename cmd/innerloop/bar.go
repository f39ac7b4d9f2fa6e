package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/term"
)

// barWidth is how many columns the bar has where there is room.
const barWidth = 24

// bar is the progress bar of a run, the last line on a terminal. It is drawn by carriage returns and spaces alone: there
// is no escape that every terminal takes.
type bar struct {
	f       *os.File
	blocks  bool // of Unicode; else ASCII
	columns int  // that the last drawing has
}

// drawsBars says whether a terminal of the environment env can draw a line over. On a dumb one, and in the logs of
// continuous integration, each drawing would be a line of its own.
func drawsBars(env func(string) string) bool {
	kind := env("TERM")
	dumb := kind == "dumb" || kind == "" && runtime.GOOS != "windows"
	ci := env("CI")
	return !dumb && (ci == "" || ci == "false" || ci == "0")
}

// drawsBlocks says whether the terminal takes UTF-8, as POSIX has it: by the first of these that is set.
func drawsBlocks(env func(string) string) bool {
	for _, v := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if s := strings.ToLower(env(v)); s != "" {
			return strings.Contains(s, "utf-8") || strings.Contains(s, "utf8")
		}
	}
	return runtime.GOOS == "windows"
}

// newBar is the bar on the terminal f, not yet drawn.
func newBar(f *os.File) *bar { return &bar{f: f, blocks: drawsBlocks(os.Getenv)} }

// width is how many columns may be used: all but the last, after which some terminals begin a line.
func (b *bar) width() int {
	width, _, err := term.GetSize(int(b.f.Fd()))
	if err != nil || width < 1 {
		width = 80
	}
	return width - 1
}

// line is the bar at a part of the whole, with as many of the first texts beside it as width columns hold.
func (b *bar) line(width int, part float64, texts []string) string {
	percent := fmt.Sprintf("%3.0f%%", 100*part)
	text := fit(texts, width-len(percent)-2-min(barWidth, width/3))
	n := min(barWidth, width-len(percent)-2-len(text))
	switch {
	case n >= 3:
		full, empty := "#", "."
		if b.blocks {
			full, empty = "█", "░"
		}
		done := int(part * float64(n))
		return percent + " " + strings.Repeat(full, done) + strings.Repeat(empty, n-done) + " " + text
	case len(percent)+1+len(text) <= width:
		return percent + " " + text
	}
	return percent[:max(0, min(len(percent), width))]
}

// draw draws the bar over itself.
func (b *bar) draw(part float64, texts []string) {
	width := b.width()
	line := b.line(width, part, texts)
	n := len([]rune(line))
	fmt.Fprintf(b.f, "\r%s%s", line, strings.Repeat(" ", max(0, min(b.columns, width)-n)))
	b.columns = n
}

// clear takes the bar away.
func (b *bar) clear() {
	fmt.Fprintf(b.f, "\r%s\r", strings.Repeat(" ", max(0, min(b.columns, b.width()))))
	b.columns = 0
}

// draw moves the bar to the last step.
func (r *report) draw() {
	t := r.run.Config.Train
	all := t.Steps
	parts := []string{fmt.Sprintf("step %d/%d", r.last.Step, all)}
	if r.last.Loss != 0 { // else it is not known
		parts = append(parts, fmt.Sprintf("loss %.3f", r.last.Loss))
	}
	if r.eval != nil {
		parts = append(parts, fmt.Sprintf("val %.3f", r.eval.Loss))
	}
	left := time.Since(r.start).Seconds() / float64(max(1, r.last.Step-r.first.Step)) * float64(all-r.last.Step)
	validates := r.last.Step == all || t.EvalEvery > 0 && r.last.Step%t.EvalEvery == 0
	switch {
	case r.last.Step == r.first.Step: // nothing is known yet
	case validates && r.run.Config.Data.ValFraction > 0 && (r.eval == nil || r.eval.Step != r.last.Step):
		parts = append(parts, "validating")
	case r.last.Step < all:
		parts = append(parts, clock(left)+" left", count(r.speed)+" tokens/s")
	}
	r.bar.draw(float64(r.last.Step)/float64(all), parts)
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
	r.bar.clear()
	r.app.out.printf(format, a...)
	r.draw()
}

// stopBar takes the bar away: what the run came to is printed in its place.
func (r *report) stopBar() {
	if r.bar != nil {
		r.bar.clear()
		r.bar = nil
	}
}
