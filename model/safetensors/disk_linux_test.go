package safetensors

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that refuses midway, played by a file size limit in a child process:
// one clear error, the old file stays, nothing else is left.
func TestDiskRefuses(t *testing.T) {
	const env = "INNERLOOP_SAFETENSORS_LIMITED"
	if path := os.Getenv(env); path != "" {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100_000, Max: 100_000}); err != nil {
			t.Fatal(err)
		}
		err := WriteFile(path, nil, []Tensor{Float32("x", []int{100_000}, make([]float32, 100_000))})
		if want := "safetensors: " + path + ": write: file too large"; err == nil || err.Error() != want {
			t.Fatalf("got  %v\nwant %s", err, want)
		}
		fmt.Println("refused as it should")
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "m.safetensors")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestDiskRefuses$", "-test.v")
	cmd.Env = append(os.Environ(), env+"="+path)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "refused as it should") {
		t.Fatalf("%v\n%s", err, out)
	}
	checkContent(t, path, "old")
	onlyFiles(t, dir, "m.safetensors")
}
