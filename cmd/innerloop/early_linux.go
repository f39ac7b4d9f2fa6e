//go:build linux && cgo

package main

/*
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

// The address space that the program needs to begin and to say more about it; see guard.go for what it needs to work.
#define LEAST (900ul << 20)

static struct rlimit given; // rlim_cur 0: it was left alone

// This runs before Go's runtime, which where it gets no addresses ends the process with a listing of its own and the
// exit code 2. It has to be done here: later is too late.
static void __attribute__((constructor)) early(void) {
	struct rlimit r;
	if (getrlimit(RLIMIT_AS, &r) != 0 || r.rlim_cur == RLIM_INFINITY) return;
	if (r.rlim_cur < LEAST) {
		char s[256];
		int n = snprintf(s, sizeof s, "innerloop: out of memory: the program needs %lu MiB of addresses to begin, limit %lu MiB from ulimit -v (RLIMIT_AS): raise it\n",
			LEAST >> 20, (unsigned long)(r.rlim_cur >> 20));
		if (write(2, s, n) != n) {} // who would be told?
		_exit(4); // exitDevice
	}
#ifdef __GLIBC__
	mallopt(M_ARENA_MAX, 1); // else every thread takes 64 MiB of addresses for itself
#endif
	// When it begins, Go takes twice 512 MiB of addresses where it gets them, of which it needs the first alone, and may
	// have none left for its heap. So there are fewer until it has begun.
	if (r.rlim_cur < 4ul << 30) {
		given = r;
		r.rlim_cur = LEAST;
		if (setrlimit(RLIMIT_AS, &r) != 0) given.rlim_cur = 0;
	}
}

static void begun(void) {
	if (given.rlim_cur != 0) setrlimit(RLIMIT_AS, &given);
}
*/
import "C"

func init() { C.begun() }
