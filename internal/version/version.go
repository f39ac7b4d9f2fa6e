// Package version says which innerloop a program is.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Info is what a binary knows of its own making.
type Info struct {
	Release string // v1.2.3, or devel for a commit that is no release
	Commit  string // the first letters of the revision; empty: not known
	Dirty   bool   // files were changed since that commit
	Go      string // the version of Go that built it
	OS      string
	Arch    string
}

// Of reads what the Go command wrote into this program.
func Of() Info {
	b, _ := debug.ReadBuildInfo() // none: nothing is known
	return of(b)
}

// commitLength is how much of a revision is shown: as much as Go shows.
const commitLength = 12

func of(b *debug.BuildInfo) Info {
	i := Info{Release: "devel", OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version()}
	if b == nil {
		return i
	}
	v, dirty := strings.CutSuffix(b.Main.Version, "+dirty")
	i.Dirty = dirty
	// A commit that is no release has a version as v0.0.0-20260102030405-0123456789ab, which ends with the commit.
	if parts := strings.Split(v, "-"); len(parts) >= 3 && isHex(parts[len(parts)-1], commitLength) {
		i.Commit = parts[len(parts)-1]
	} else if v != "" && v != "(devel)" {
		i.Release = v
	}
	for _, s := range b.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Commit = s.Value[:min(commitLength, len(s.Value))]
		case "vcs.modified":
			i.Dirty = s.Value == "true"
		}
	}
	return i
}

// isHex says whether s is n hexadecimal digits.
func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// String is what --version prints after the program's name.
func (i Info) String() string {
	commit := "unknown commit"
	if i.Commit != "" {
		commit = "commit " + i.Commit
		if i.Dirty {
			commit += "-dirty"
		}
	}
	return fmt.Sprintf("%s (%s, %s, %s/%s)", i.Release, commit, i.Go, i.OS, i.Arch)
}

// Short is one word, as git describe has it: the release, or 0123456789ab-dirty, or devel.
func (i Info) Short() string {
	v := i.Release
	if v == "devel" && i.Commit != "" {
		v = i.Commit
	}
	if i.Dirty {
		v += "-dirty"
	}
	return v
}
