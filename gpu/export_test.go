package gpu

// WorkgroupOf is what a specialised shader asks of a workgroup: bytes of memory and invocations.
func WorkgroupOf(src string) (memory, invocations int, err error) {
	w, err := workgroupOf(src)
	return w.memory, w.size[0] * w.size[1] * w.size[2], err
}

// SetVariant makes d take the n-th variant of every kernel, counted from 0 and around. The returned function undoes it.
func (d *Device) SetVariant(n int) (undo func()) {
	d.tune.force = n + 1
	return func() { d.tune.force = 0 }
}

// SetShortLoops makes d specialise programs as for an adapter that likes short loops, or not. The returned function undoes it.
func (d *Device) SetShortLoops(short bool) (undo func()) {
	s := d.shorts
	d.shorts = short
	return func() { d.shorts = s }
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
