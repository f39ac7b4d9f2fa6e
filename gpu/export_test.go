package gpu

// WorkgroupOf is what a specialised shader asks of a workgroup: bytes of memory and invocations.
func WorkgroupOf(src string) (memory, invocations int, err error) {
	w, err := workgroupOf(src)
	return w.memory, w.size[0] * w.size[1] * w.size[2], err
}

// SetTraits makes d specialise programs as for other hardware: tuned as a GPU, or with little room for loops. The
// returned function undoes it.
func (d *Device) SetTraits(software bool, rounds int) (undo func()) {
	s, r := d.adapter.Software, d.rounds
	d.adapter.Software, d.rounds = software, rounds
	return func() { d.adapter.Software, d.rounds = s, r }
}

// WithSource makes d compile text for the kernel of that name.
func (d *Device) WithSource(name, text string) { d.withSource(name, text) }
