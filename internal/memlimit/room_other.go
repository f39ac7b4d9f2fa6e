//go:build !linux

package memlimit

// AddressSpace is the process's own limit of its addresses: here none is known.
func AddressSpace() Limit { return Limit{} }

// Used is how many addresses the process has taken: here it is not known.
func Used() int64 { return 0 }

// Room is the limit that keeps the process from taking n more bytes: here none is known.
func Room(int64) Limit { return Limit{} }
