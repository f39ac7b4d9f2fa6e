package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal opens a pseudo-terminal of so many columns: the end that a person sees, and the program's.
func openTerminal(t *testing.T, columns int) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { person.Close() }) //nolint:errcheck // nothing was written
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	resize(t, person, columns)
	return person, program
}

func resize(t *testing.T, person *os.File, columns int) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}); err != nil {
		t.Error(err)
	}
}

// onTerminal runs innerloop on a terminal and returns what it wrote there; each is called after each piece of it.
func onTerminal(t *testing.T, columns int, env []string, each func(person *os.File), args ...string) string {
	t.Helper()
	person, program := openTerminal(t, columns)
	c := exec.Command("innerloop", args...) // testscript.Main put it on the PATH
	c.Stdin, c.Stdout, c.Stderr = program, program, program
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !strings.HasPrefix(name, "LC_") && name != "LANG" && name != "TERM" && name != "CI" && name != "NO_COLOR" {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, env...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	b := make([]byte, 1<<12)
	for {
		n, err := person.Read(b)
		all.Write(b[:n])
		if each != nil {
			each(person)
		}
		if err != nil { // the program's end is closed
			break
		}
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("%v:\n%s", err, &all)
	}
	return all.String()
}

// screen is what a terminal of so many columns shows in the end, and how often a line went on on the next one because it
// was too long and had a bar in it.
func screen(text string, columns int) (lines []string, broken int) {
	var line []rune
	at := 0
	for _, r := range text {
		switch r {
		case '\r':
			at = 0
		case '\n':
			lines, line, at = append(lines, strings.TrimRight(string(line), " ")), nil, 0
		default:
			if at >= columns {
				if barLine.MatchString(string(line)) {
					broken++
				}
				lines, line, at = append(lines, string(line)), nil, 0
			}
			for len(line) <= at {
				line = append(line, ' ')
			}
			line[at] = r
			at++
		}
	}
	return append(lines, strings.TrimRight(string(line), " ")), broken
}

var barLine = regexp.MustCompile(`^ *[0-9]+% `)

// smallRun are the arguments of a short run.
func smallRun(dir string, steps int) []string {
	args := []string{"train", "--device", "cpu", "--threads", "1", "--no-sample", "--out", dir, "--steps", strconv.Itoa(steps)}
	for _, s := range []string{"model.hidden_size=32", "model.num_hidden_layers=1", "train.batch_size=2", "train.seq_len=32", "train.log_every=1", "train.eval_every=20", "data.story_bytes=20000"} {
		args = append(args, "--set", s)
	}
	return args
}

// A bar is drawn within the terminal's width by carriage returns alone, in characters that the terminal has, and is gone
// in the end; where a line cannot be drawn over, there are lines.
func TestBarOnTerminals(t *testing.T) {
	utf8 := "LANG=C.UTF-8"
	for _, c := range []struct {
		name    string
		columns int
		env     []string
		bar     string // a character of it; empty: none
	}{
		{"a terminal", 80, []string{"TERM=xterm-256color", utf8}, "░"},
		{"no colour", 80, []string{"TERM=xterm-256color", utf8, "NO_COLOR=1"}, "░"},
		{"no UTF-8", 80, []string{"TERM=xterm-256color", utf8, "LC_ALL=C"}, "."},
		{"no locale", 80, []string{"TERM=vt100"}, "."},
		{"40 columns", 40, []string{"TERM=xterm", utf8}, "░"},
		{"20 columns", 20, []string{"TERM=xterm", utf8}, "░"},
		{"5 columns", 5, []string{"TERM=xterm", utf8}, "%"},
		{"1 column", 1, []string{"TERM=xterm", utf8}, ""},
		{"dumb", 80, []string{"TERM=dumb", utf8}, ""},
		{"no kind", 80, []string{utf8}, ""},
		{"continuous integration", 80, []string{"TERM=xterm", utf8, "CI=true"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "run")
			out := onTerminal(t, c.columns, c.env, nil, smallRun(dir, 40)...)
			if strings.Contains(out, "\x1b") {
				t.Errorf("there are escapes in %q", out)
			}
			drawn := strings.Contains(strings.ReplaceAll(out, "\r\n", "\n"), "\r")
			if c.columns > 1 && drawn != (c.bar != "") || !strings.Contains(out, c.bar) {
				t.Errorf("a bar is drawn: %v, want one of %q:\n%q", drawn, c.bar, out)
			}
			if plain := c.bar != "░"; plain && strings.ContainsFunc(out, func(r rune) bool { return r > '~' }) {
				t.Errorf("characters that are not ASCII in %q", out)
			}
			if c.bar == "" && c.columns > 1 && strings.Count(out, "tokens/s\r\n") < 40 {
				t.Errorf("no lines of steps in %q", out)
			}
			if c.columns < 5 {
				return
			}
			lines, broken := screen(out, c.columns)
			for _, l := range lines {
				if barLine.MatchString(l) {
					t.Errorf("the bar stays: %q", l)
				}
			}
			if broken > 0 {
				t.Errorf("the bar is longer than a line %d times", broken)
			}
			if s := strings.Join(lines, ""); strings.Count(s, "validation loss ") != 3 { // of steps 20 and 40, and in the end
				t.Errorf("the screen shows\n%s", strings.Join(lines, "\n"))
			}
		})
	}
}

// Where the terminal becomes narrower, so does the bar.
func TestBarResized(t *testing.T) {
	width := 80
	out := onTerminal(t, width, []string{"TERM=xterm", "LANG=C.UTF-8"}, func(person *os.File) {
		if width == 80 {
			width = 30
			resize(t, person, width)
		}
	}, smallRun(filepath.Join(t.TempDir(), "run"), 200)...)
	// The last drawings are of the new width.
	drawings := regexp.MustCompile(`\r *[0-9]+% [^\r\n]*`).FindAllString(out, -1)
	if len(drawings) < 50 {
		t.Fatalf("%d drawings in %q", len(drawings), out)
	}
	for _, d := range drawings[len(drawings)-20:] {
		if n := len([]rune(d)) - 1; n > 29 {
			t.Errorf("%d columns, want at most 29: %q", n, d)
		}
	}
}

// Whatever the width, the bar stays within it.
func TestBarLine(t *testing.T) {
	texts := []string{"step 20/300", "loss 4.321", "val 4.500", "1m23s left", "12,345 tokens/s"}
	for _, blocks := range []bool{false, true} {
		b := bar{blocks: blocks}
		for width := range 200 {
			for _, part := range []float64{0, 0.07, 1} {
				if l := b.line(width, part, texts); len([]rune(l)) > width {
					t.Errorf("%q has more than %d columns", l, width)
				}
			}
		}
	}
	b := bar{blocks: true}
	for want, got := range map[string]string{
		" 50% ████████████░░░░░░░░░░░░ step 20/300  loss 4.321  val 4.500": b.line(72, 0.5, texts),
		"100% ████ step 20/300": b.line(21, 1, texts),
		" 50% step 20/300":      b.line(19, 0.5, texts),
		" 50%":                  b.line(12, 0.5, texts),
	} {
		if got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

// What an environment says of its terminal.
func TestTerminalKinds(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for _, p := range pairs {
				if v, ok := strings.CutPrefix(p, name+"="); ok {
					return v
				}
			}
			return ""
		}
	}
	for _, c := range []struct {
		env          []string
		bars, blocks bool
	}{
		{[]string{"TERM=xterm", "LANG=en_GB.UTF-8"}, true, true},
		{[]string{"TERM=xterm", "LANG=en_GB.utf8", "CI=false"}, true, true},
		{[]string{"TERM=xterm", "LANG=en_GB.UTF-8", "LC_CTYPE=C"}, true, false},
		{[]string{"TERM=xterm", "LANG=C", "LC_ALL=C.UTF-8"}, true, true},
		{[]string{"TERM=xterm"}, true, false},
		{[]string{"TERM=dumb", "LANG=en_GB.ISO-8859-1"}, false, false},
		{[]string{"LANG=en_GB.UTF-8"}, false, true},
		{[]string{"TERM=xterm", "CI=1"}, false, false},
	} {
		if bars, blocks := drawsBars(env(c.env...)), drawsBlocks(env(c.env...)); bars != c.bars || blocks != c.blocks {
			t.Errorf("%q: bars %v, blocks %v, want %v and %v", c.env, bars, blocks, c.bars, c.blocks)
		}
	}
}
