// Package memlimit says how much memory this process may use, and who says so: the machine, the control groups that the
// process is in, or its own resource limits.
package memlimit

import (
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// Limit is a number of bytes and where it comes from. The zero value is no limit.
type Limit struct {
	Bytes int64
	From  string // completes "a limit from"
}

// least is the smaller of two limits, of which one may be none.
func least(a, b Limit) Limit {
	if a.Bytes == 0 || b.Bytes > 0 && b.Bytes < a.Bytes {
		return b
	}
	return a
}

// Physical is the memory that the process may fill: the machine's, or the least that a control group around the process
// allows. Of memory.high too, for a process above it is held back until it hardly runs.
func Physical() Limit { return physical(os.DirFS("/")) }

// physical is Physical where root has proc and sys. What is missing there, and what cannot be read, limits nothing.
func physical(root fs.FS) Limit {
	return least(machine(root), controlGroups(root))
}

// machine is the machine's own memory.
func machine(root fs.FS) Limit {
	for line := range strings.Lines(read(root, "proc/meminfo")) {
		rest, ok := strings.CutPrefix(line, "MemTotal:")
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64); err == nil && n > 0 && n < 1<<52 {
			return Limit{n << 10, "the machine's memory"}
		}
	}
	return Limit{}
}

// mount is where a hierarchy of control groups is seen: the group root, and what is below it, lies at point.
type mount struct {
	root, point string
	unified     bool // version 2
}

// controlGroups is the least limit of the groups that the process is in, in both versions of the interface, of which a
// machine may have both.
func controlGroups(root fs.FS) (l Limit) {
	mounts := memoryMounts(read(root, "proc/self/mountinfo"))
	for line := range strings.Lines(read(root, "proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3) // hierarchy:controllers:group
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") {
			continue
		}
		unified := parts[0] == "0" && parts[1] == ""
		if !unified && !hasWord(parts[1], "memory") {
			continue
		}
		for _, m := range mounts {
			if m.unified == unified {
				l = least(l, m.limit(root, parts[2]))
			}
		}
	}
	return l
}

// memoryMounts finds the hierarchies that limit memory in a mountinfo.
func memoryMounts(mountinfo string) (ms []mount) {
	for line := range strings.Lines(mountinfo) {
		// ID parent device root point options [optional ...] - type source options
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		if unified := g[0] == "cgroup2"; unified || g[0] == "cgroup" && hasWord(g[2], "memory") {
			ms = append(ms, mount{unescape(f[3]), unescape(f[4]), unified})
		}
	}
	return ms
}

// limit is the least limit of a group and of those around it, up to the mount's root, which is as far as can be seen.
func (m mount) limit(root fs.FS, group string) (l Limit) {
	// In a container the mount may begin at the container's own group, while the group's name begins at the machine's. A
	// group that is not below the mount's root, as /../other seen from a namespace, has only the root to be seen.
	below, ok := strings.CutPrefix(group, strings.TrimSuffix(m.root, "/"))
	if !ok || below != "" && below[0] != '/' || strings.HasPrefix(below, "/..") {
		below = "/"
	}
	for at := path.Clean("/" + below); ; at = path.Dir(at) {
		dir := strings.TrimPrefix(path.Join(m.point, at), "/")
		files := []string{"memory.max", "memory.high"}
		if !m.unified {
			files = []string{"memory.limit_in_bytes"}
		}
		for _, f := range files {
			// "max", and version 1's number near 2^63, are no limits.
			n, err := strconv.ParseInt(strings.TrimSpace(read(root, path.Join(dir, f))), 10, 64)
			if err == nil && n > 0 && n < 1<<62 {
				l = least(l, Limit{n, f + " of the control group " + path.Join("/", m.root, at)})
			}
		}
		if at == "/" {
			return l
		}
	}
}

// read is a file's text, or "" where it cannot be read.
func read(root fs.FS, name string) string {
	b, _ := fs.ReadFile(root, name)
	return string(b)
}

// hasWord says whether a list with commas has a word.
func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// unescape reads the \040 of a mountinfo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
