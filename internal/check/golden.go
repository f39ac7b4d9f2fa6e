package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"innerloop/model/safetensors"
)

// Golden is a file of numbers from the official implementation.
type Golden struct {
	*safetensors.File
	Name string // the file's name without its extension
}

// Goldens opens the golden files whose names begin with prefix ("lm-", "train-", "norm-", "video-"), in the folder that
// the environment variable INNERLOOP_GOLDEN names, or else testdata/golden of the repository. None is a failure.
func Goldens(t *testing.T, prefix string) []Golden {
	t.Helper()
	dir := os.Getenv("INNERLOOP_GOLDEN")
	if dir == "" {
		dir = filepath.Join(root(t), "testdata", "golden")
	} else if !filepath.IsAbs(dir) {
		// go test runs a test in its package's folder; the variable is meant from where go test was called.
		if _, err := os.Stat(dir); err != nil {
			dir = filepath.Join(root(t), dir)
		}
	}
	es, err := os.ReadDir(dir) // no pattern: the folder's name is somebody's
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range es {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), ".safetensors") {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	if len(paths) == 0 {
		t.Skipf("no %s*.safetensors in %s", prefix, dir)
	}
	var out []Golden
	for _, p := range paths {
		f, err := safetensors.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		out = append(out, Golden{f, strings.TrimSuffix(filepath.Base(p), ".safetensors")})
	}
	return out
}

// Has says whether the file holds a tensor.
func (g Golden) Has(name string) bool { _, ok := g.Info(name); return ok }

// F64 returns a tensor's elements.
func (g Golden) F64(t testing.TB, name string) []float64 {
	t.Helper()
	return must(g.Float64(name))(t)
}

// F32 returns a tensor's elements.
func (g Golden) F32(t testing.TB, name string) []float32 {
	t.Helper()
	return must(g.Float32(name))(t)
}

// U32 returns a tensor's integers.
func (g Golden) U32(t testing.TB, name string) []uint32 {
	t.Helper()
	v := must(g.Int64s(name))(t)
	out := make([]uint32, len(v))
	for i, x := range v {
		out[i] = uint32(x)
	}
	return out
}

// Shape returns a tensor's extent.
func (g Golden) Shape(t testing.TB, name string) []int {
	t.Helper()
	in, ok := g.Info(name)
	if !ok {
		t.Fatalf("%s: no tensor %q", g.Name, name)
	}
	return in.Shape
}

// root is the folder of the module.
func root(t testing.TB) string {
	t.Helper()
	d, err := os.Getwd()
	for err == nil {
		if _, e := os.Stat(filepath.Join(d, "go.mod")); e == nil {
			return d
		}
		if filepath.Dir(d) == d {
			t.Fatal("no go.mod above the working folder")
		}
		d = filepath.Dir(d)
	}
	t.Fatal(err)
	return ""
}
