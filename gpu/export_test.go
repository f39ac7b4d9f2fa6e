package gpu

// WorkgroupOf is what a specialised shader asks of a workgroup: bytes of memory and invocations.
func WorkgroupOf(src string) (memory, invocations int, err error) {
	w, err := workgroupOf(src)
	return w.memory, w.size[0] * w.size[1] * w.size[2], err
}
