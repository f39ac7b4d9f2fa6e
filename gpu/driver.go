package gpu

// handle is an object of a driver: a buffer, a pipeline or a tape. Zero is none.
type handle uintptr

// bind is a range of a buffer, in bytes.
type bind struct {
	buf    handle
	off, n int64
}

// driver is one device of one implementation of WebGPU. A tape is a list of steps that submit replays with one call
// into the implementation. A pipeline that does not compile is a *ShaderError without a kernel, other failures are a
// *driverError. No method is called after close, and none with a handle that was freed.
type driver interface {
	limits() Limits
	// newBuffer, newPipeline and tapeDispatch may only begin what they do: settle then tells how it ended.

	// newBuffer allocates a zeroed storage buffer.
	newBuffer(label string, bytes int64) (handle, error)
	freeBuffer(handle)
	// newPipeline compiles wgsl's entry point main; binding i is a read-only storage buffer where readOnly[i].
	newPipeline(label, wgsl string, readOnly []bool) (handle, error)
	freePipeline(handle)
	newTape() handle
	tapeDispatch(tape, pipeline handle, binds []bind, grid [3]uint32) error
	tapeClear(tape handle, b bind) error
	freeTape(tape handle)
	// settle waits for what was begun since the last settle. On an error it says of which call it is, counted from 0
	// over those that returned no error; -1: of none of them, but of the device.
	settle() (int, error)
	// cancel has a settle that waits end with ErrCancelled.
	cancel()
	// submit replays count steps of tape from first on, repeat times over, in one submission, once few enough
	// earlier submissions are in flight.
	submit(tape handle, first, count, repeat int) error
	write(buf handle, off int64, data []byte) error
	read(buf handle, off int64, dst []byte) error
	// stagingBytes is the device memory that the driver holds for itself.
	stagingBytes() int64
	// wait returns once every submission has ended.
	wait() error
	// poll lets the implementation free what it no longer needs.
	poll()
	close()
}

// maxInFlight bounds the submissions that have not ended, so that a fast host does not queue without bound.
const maxInFlight = 4
