package memlimit

import (
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// AddressSpace is the process's own limit of its addresses, ulimit -v.
func AddressSpace() Limit { return resource(unix.RLIMIT_AS, "ulimit -v (RLIMIT_AS)") }

func dataSegment() Limit { return resource(unix.RLIMIT_DATA, "ulimit -d (RLIMIT_DATA)") }

func resource(which int, from string) Limit {
	var r unix.Rlimit
	if err := unix.Getrlimit(which, &r); err != nil || r.Cur >= math.MaxInt64 {
		return Limit{}
	}
	return Limit{max(1, int64(r.Cur)), from}
}

// Used is how many addresses the process has taken; 0: not known.
func Used() int64 {
	b, _ := os.ReadFile("/proc/self/statm") // without it nothing is known
	pages, _, _ := strings.Cut(string(b), " ")
	n, _ := strconv.ParseInt(pages, 10, 64)
	return n * int64(os.Getpagesize())
}

// Room is the limit that keeps the process from taking n more bytes, or none. It asks the system for them, and gives them
// back untouched: Go's own allocator ends the process where it gets none.
func Room(n int64) Limit {
	if n <= 0 {
		return Limit{}
	}
	if n > math.MaxInt {
		n = math.MaxInt
	}
	mem, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err == nil {
		_ = unix.Munmap(mem) // it was never touched
		return Limit{}
	}
	if !errors.Is(err, syscall.ENOMEM) {
		return Limit{} // it says nothing about memory
	}
	as, data := AddressSpace(), dataSegment()
	switch used := Used(); {
	case as.Bytes > 0 && used+n > as.Bytes:
		return as
	case data.Bytes > 0:
		return data
	case as.Bytes > 0:
		return as
	}
	return Limit{1, "the system, which promises no more memory (vm.overcommit_memory)"}
}
