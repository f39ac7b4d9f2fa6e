//go:build !js && !cgo

package gpu

import "errors"

var errNoCgo = errors.New("this program was built without cgo, which wgpu needs")

func adapters() ([]Adapter, error) { return nil, errNoCgo }

func openAdapter(func([]Adapter) (int, error), func(done, total int)) (driver, Adapter, error) {
	return nil, Adapter{}, errNoCgo
}
