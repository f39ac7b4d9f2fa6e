package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"

	"innerloop/internal/words"
)

// count prints 1,048,576.
func count[T int | int64 | float64](n T) string { return words.Count(n) }

// byteCount prints 12.5 MiB.
func byteCount(n int64) string {
	for i, u := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if d := int64(1) << (40 - 10*i); n >= d {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(d), u)
		}
	}
	return plural(int(n), "byte")
}

// shown is a name as it is printed for people: quoted where it holds what a terminal would act on.
func shown(name string) string {
	if utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return name
	}
	return strconv.QuoteToGraphic(name)
}

// named is a name alone on a line: as it is for programs that read it, as it is shown on a terminal.
func (a *app) named(name string) string {
	if a.tty != nil {
		return shown(name)
	}
	return name
}

// resumeCommand is the command, for a shell, that goes on with the run in a folder.
func resumeCommand(dir string) string {
	if strings.HasPrefix(dir, "-") || dir == "auto" { // not an option, nor a word of its own
		dir = "./" + dir
	}
	return "innerloop train --resume " + shellWord(dir)
}

// clock prints a time as people do: 0.8 s, 42 s, 3m05s, 2h04m.
func clock(seconds float64) string {
	switch d := time.Duration(seconds * float64(time.Second)); {
	case seconds < 10:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 60:
		return fmt.Sprintf("%.0f s", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}

// plural prints 1 layer, 2 layers.
func plural(n int, noun string) string { return words.Plural(n, noun) }

// table aligns rows in columns: the first to the left, the others to the right. The first row is the head.
func table(rows [][]string) string {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], displaywidth.String(c))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		var line strings.Builder
		for i, c := range r { // fmt pads by characters, of which some take two columns and some none
			space := strings.Repeat(" ", width[i]-displaywidth.String(c))
			if i == 0 {
				line.WriteString("  " + c + space)
			} else {
				line.WriteString("  " + space + c)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}
