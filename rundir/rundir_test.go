package rundir

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"innerloop/model"
	"innerloop/train"
)

func config(seed uint64) train.Config {
	c := train.Demo()
	c.Train.Seed = seed
	return c
}

// oldRun is a folder with a run, and what somebody else put there.
func oldRun(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	p, err := Reserve(dir, config(1), false)
	if err != nil {
		t.Fatal(err)
	}
	f, gone, err := p.Begin(config(1))
	if err != nil || len(gone) > 0 {
		t.Fatal(gone, err)
	}
	for _, name := range []string{"sample-1.wav", "events.out.tfevents.1700000000.innerloop.0"} {
		if err := f.Claim(name); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, model.WeightsFile, "w", model.ConfigFile, "c", train.MetricsFile, "m", "checkpoints/step-00000001/state.json", "s",
		"checkpoints/step-00000002/state.json", "s", "sample-1.wav", "s", "events.out.tfevents.1700000000.innerloop.0", "e",
		"checkpoints/mine", "mine", "norms.log", "mine", "sample-2.wav", "mine", "events.out.tfevents.1700000000.innerloop.1", "mine", ".config.toml7", "torn")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// mine is what of oldRun no run wrote.
const mine = "checkpoints/mine mine\nevents.out.tfevents.1700000000.innerloop.1 mine\nnorms.log mine\nsample-2.wav mine\n"

func begin(t *testing.T, dir string) error {
	t.Helper()
	p, err := Reserve(dir, config(2), true)
	if err != nil {
		return err
	}
	f, _, err := p.Begin(config(2))
	if err != nil {
		return err
	}
	return f.Close()
}

// newRun is what a run that took the place of oldRun's leaves.
func newRun(t *testing.T) string {
	dir := oldRun(t)
	if err := begin(t, dir); err != nil {
		t.Fatal(err)
	}
	return tree(t, dir)
}

func TestForce(t *testing.T) {
	got := newRun(t)
	for line := range strings.Lines(mine) {
		if !strings.Contains(got, line) {
			t.Errorf("lost %q", line)
		}
	}
	names := map[string]bool{}
	for line := range strings.Lines(got) {
		if name, _, _ := strings.Cut(line, " "); !strings.Contains(mine, line) && strings.ContainsAny(name, "./") {
			names[name] = true
		}
	}
	for _, old := range []string{model.WeightsFile, model.ConfigFile, train.MetricsFile, "sample-1.wav", "checkpoints/step-00000001/state.json", ".config.toml7"} {
		if names[old] {
			t.Errorf("%s is there still", old)
		}
	}
	if !strings.Contains(got, "seed = 2\n") || strings.Contains(got, "seed = 1\n") {
		t.Errorf("the configuration is not the new one:\n%s", got)
	}
}

// A run that is killed while it takes another's place leaves the one or the other.
func TestForceKilled(t *testing.T) {
	if dir := os.Getenv("FORCE_IN"); dir != "" {
		n, err := strconv.Atoi(os.Getenv("FORCE_KILL"))
		if err != nil {
			t.Fatal(err)
		}
		before = func(string) error {
			if n--; n < 0 {
				kill(t)
			}
			return nil
		}
		if err := begin(t, dir); err != nil {
			t.Fatal(err)
		}
		return
	}
	fresh := newRun(t)
	seen := map[bool]int{}
	for n := 0; ; n++ {
		dir := oldRun(t)
		if err := os.Remove(filepath.Join(dir, ".config.toml7")); err != nil { // which goes in any case
			t.Fatal(err)
		}
		old := tree(t, dir)
		c := exec.Command(os.Args[0], "-test.run=^TestForceKilled$")
		c.Env = append(os.Environ(), "FORCE_IN="+dir, "FORCE_KILL="+strconv.Itoa(n))
		out, err := c.CombinedOutput()
		if err == nil {
			break
		}
		if strings.Contains(string(out), "FAIL") {
			t.Fatalf("%v: %s", err, out)
		}
		if err := Repair(dir); err != nil {
			t.Fatal(err)
		}
		got := tree(t, dir)
		if got != old && got != fresh {
			t.Errorf("killed at operation %d: got\n%s", n, got)
		}
		seen[got == fresh]++
	}
	if seen[false] < 10 || seen[true] < 1 {
		t.Errorf("%d kills left the old run, %d the new one", seen[false], seen[true])
	}
}

// Whoever asks at once for a new folder gets one of its own.
func TestReserveNew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "a")
	const n = 20
	var wg sync.WaitGroup
	folders := make([]*Folder, n)
	for i := range n {
		wg.Go(func() {
			p := ReserveNew(dir, config(1))
			f, _, err := p.Begin(config(uint64(i)))
			if err != nil {
				t.Error(err)
				return
			}
			folders[i] = f
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for i, f := range folders {
		if f == nil {
			continue
		}
		c, err := train.LoadRun(f.Dir)
		if err != nil || c.Train.Seed != uint64(i) || seen[f.Dir] {
			t.Errorf("%s: seed %d, want %d: %v", f.Dir, c.Train.Seed, i, err)
		}
		seen[f.Dir] = true
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A place that was free when it was reserved is looked at again, under the lock.
func TestBeginLooksAgain(t *testing.T) {
	defer func(d time.Duration) { lockPatience = d }(lockPatience)
	lockPatience = 0
	dir := filepath.Join(t.TempDir(), "run")
	a, err := Reserve(dir, config(1), false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Reserve(dir, config(2), false)
	if err != nil {
		t.Fatal(err)
	}
	f, _, err := a.Begin(config(1))
	if err != nil {
		t.Fatal(err)
	}
	if held, known := Locked(dir); known && !held {
		t.Error("the folder is not locked")
	} else if known {
		if _, _, err := b.Begin(config(2)); !errors.Is(err, ErrLocked) {
			t.Errorf("%v, want that another process trains there", err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Begin(config(2)); !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "holds a run already (config.toml)") {
		t.Errorf("%v, want that a run is there", err)
	}
	if c, err := train.LoadRun(dir); err != nil || c.Train.Seed != 1 {
		t.Errorf("the first run was touched: seed %d, %v", c.Train.Seed, err)
	}
}

func TestCheck(t *testing.T) {
	dir := oldRun(t)
	f, err := Resume(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // of a test
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	away := dir + "-away"
	if err := os.Rename(dir, away); err != nil {
		t.Skip("the system does not let it be renamed: ", err)
	}
	if err := f.Check(); !errors.Is(err, ErrMoved) {
		t.Errorf("moved away: %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); !errors.Is(err, ErrMoved) {
		t.Errorf("another folder has its name: %v", err)
	}
	if err := f.Claim("sample-7.wav"); !errors.Is(err, ErrMoved) {
		t.Errorf("a name in another folder was claimed: %v", err)
	}
	for range 2 {
		to, err := f.Beside(config(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := train.LoadRun(to); err != nil || !strings.HasPrefix(to, dir+"-saved") {
			t.Errorf("%s: %v", to, err)
		}
	}
	if err := errors.Join(os.Remove(dir), os.Rename(away, dir)); err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); err != nil {
		t.Errorf("it is back: %v", err)
	}
}

// A name to which nothing more can be added gives way, by whole characters, to what is added.
func TestBesideLongName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("é", 127))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip("the file system does not take the name: ", err)
	}
	write(t, dir, train.RunConfigFile, "")
	f, err := Resume(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // was only read
	seen := map[string]bool{}
	for range 3 {
		to, err := f.Beside(config(1))
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(to)
		name, _, ok := strings.Cut(base, "-saved")
		if _, err := train.LoadRun(to); err != nil || !ok || seen[to] || len(base) < 250 || strings.Trim(name, "é") != "" {
			t.Errorf("%s: %v, want a folder with a name as long as it may be", to, err)
		}
		seen[to] = true
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string][2]bool{
		"events.out.tfevents.1700000000.innerloop.0": {true, false}, "events.out.tfevents.1700000000.myhost": {}, "events.out.tfevents.1.innerloop.x": {},
		"sample-1.wav": {false, true}, "sample-12-3.wav": {false, true}, "sample-.wav": {}, "sample-a.wav": {}, "sample-1-.wav": {}, "my-sample-1.wav": {},
	} {
		if got := [2]bool{isEvents(name), isSample(name)}; got != want {
			t.Errorf("%s: events, sample %v, want %v", name, got, want)
		}
	}
	dir := t.TempDir()
	write(t, dir, ManifestFile, `{"format": "`+manifestFormat+`", "files": ["../../thesis.txt"]}`)
	if _, err := readFiles(dir); !errors.Is(err, errManifest) {
		t.Errorf("a name that no run writes: %v", err)
	}
}
