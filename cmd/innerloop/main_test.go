package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"innerloop/gpu"
	"innerloop/internal/memlimit"
	"innerloop/model"
	"innerloop/prog"
	"innerloop/train"
)

func TestExitCode(t *testing.T) {
	diverged := &train.NonFiniteError{Step: 3}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{fail(exitUsage, errors.New("x")), 2},
		{fail(exitUsage, fail(exitDevice, errors.New("x"))), 4}, // the first code stays
		{fmt.Errorf("more: %w", failf(exitData, "x")), 3},
		{errors.Join(diverged, failf(exitOutput, "x")), 6},
		{fmt.Errorf("more: %w", context.Canceled), 7},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
	if fail(exitUsage, nil) != nil {
		t.Error("no error became one")
	}
	// The topic documents every code.
	for code := exitOK; code <= exitInterrupted; code++ {
		if !strings.Contains(exitCodesTopic, fmt.Sprintf("\n  %d  ", code)) {
			t.Errorf("exit code %d is not documented", code)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got := oneLine(errors.New("a\n\nb\r\n\tc\x1b[31m")); got != "a; b;  c [31m" {
		t.Errorf("%q", got)
	}
}

func TestText(t *testing.T) {
	for got, want := range map[string]string{
		count(0): "0", count(999): "999", count(1000): "1,000", count(-1234567): "-1,234,567", count(1999.6): "2,000",
		byteCount(1): "1 byte", byteCount(1536): "1.5 KiB", byteCount(3 << 30): "3.0 GiB",
		clock(0.84): "0.8 s", clock(59.4): "59 s", clock(185): "3m05s", clock(7440): "2h04m",
		plural(1, "layer"): "1 layer", plural(2, "micro-batch"): "2 micro-batches",
		fit([]string{"abc", "de", "f"}, 7): "abc  de", fit([]string{"abc"}, 1): "abc",
		textName("/a/My Book.v2.txt"): "My-Book.v2", textName(""): "stories", textName("..."): "run",
		table([][]string{{"k", "n"}, {"long", "12"}, {"x", ""}}): "  k      n\n  long  12\n  x\n",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// auto takes hardware, and pure Go over an adapter that is software.
// Columns of a table are those of a terminal, where some characters take two and others none.
func TestTable(t *testing.T) {
	got := table([][]string{{"run", "val"}, {"book", "1.5"}, {"runs/漢字", "2"}, {"e\u0301te\u0301", "3"}, {"👍🏽", "ダ"}, {"née", "－"}})
	want := "" +
		"  run        val\n" +
		"  book       1.5\n" +
		"  runs/漢字    2\n" +
		"  e\u0301te\u0301          3\n" +
		"  👍🏽          ダ\n" +
		"  née         －\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestChooseAuto(t *testing.T) {
	soft, hard := gpu.Adapter{Name: "llvmpipe", Software: true}, gpu.Adapter{Name: "Iris"}
	for _, c := range []struct {
		as       []gpu.Adapter
		err      error
		hardware bool
		why      string
	}{
		{[]gpu.Adapter{soft, hard}, nil, true, ""},
		{[]gpu.Adapter{soft}, nil, false, "the only adapter is software, and slower"},
		{nil, nil, false, "there is no GPU"},
		{nil, gpu.ErrNoAdapter, false, "there is no GPU"},
		{nil, errors.New("gpu: broken"), false, "gpu: broken"},
	} {
		if hardware, why := chooseAuto(c.as, c.err); hardware != c.hardware || why != c.why {
			t.Errorf("%v, %v: got %v, %q", c.as, c.err, hardware, why)
		}
	}
}

// A guarded executor counts what is loaded, and lets go what is closed and freed.
func TestGuard(t *testing.T) {
	cfg := doctorConfig()
	m, err := model.New(cfg.Model, model.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := model.NewEvalStep(m, 2, 16, model.EvalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cpu := prog.NewCPU[float32](1)
	defer cpu.Close()
	st := s.Program.Stats()
	g := guard(cpu, memlimit.Limit{Bytes: st.ArenaBytes + 2*st.TempBytes, From: "a test"}, true)
	var runs []prog.Runner
	for range 2 { // the arenas count once
		r, err := g.Load(s.Program)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	_, err = g.Load(s.Program)
	if exitCode(err) != exitDevice || !strings.Contains(err.Error(), "out of memory: eval step needs ") || !strings.Contains(err.Error(), " from a test: lower batch_size") {
		t.Errorf("a third program: %v", err)
	}
	runs[0].Close()
	runs[0].Close() // once is enough
	if _, err := g.Load(s.Program); err != nil {
		t.Errorf("after one was closed: %v", err)
	}
	if _, err := guard(cpu, memlimit.Limit{}, true).Load(s.Program); err != nil {
		t.Errorf("without a limit: %v", err)
	}
	if _, err := guard(cpu, memlimit.Limit{Bytes: 1, From: "a test"}, true).Load(s.Program); err == nil {
		t.Error("1 byte of memory is enough")
	}
}

func TestDeviation(t *testing.T) {
	want := []stepSeen{{Loss: 2, GradNorm: 4}, {Loss: 1, GradNorm: 1}}
	for _, c := range []struct {
		got  []stepSeen
		want float64
	}{
		{want, 0},
		{[]stepSeen{{Loss: 2, GradNorm: 4}, {Loss: 1, GradNorm: 1.5}}, 0.5},
		{[]stepSeen{{Loss: 3, GradNorm: 4}, {Loss: 1, GradNorm: 1}}, 0.5},
		{[]stepSeen{{Loss: math.NaN(), GradNorm: 4}, {Loss: 1, GradNorm: 1}}, math.Inf(1)},
		{want[:1], math.Inf(1)},
	} {
		if got := deviation(c.got, want); got != c.want {
			t.Errorf("%v: %g, want %g", c.got, got, c.want)
		}
	}
}

// skewed is an executor that computes wrong losses.
type skewed struct{ prog.Executor }

func (s skewed) Read(t *prog.Tensor, dst []float32) error {
	err := s.Executor.Read(t, dst)
	for i := range dst {
		dst[i] *= 1.001
	}
	return err
}

// dead is an executor that takes no program.
type dead struct{ prog.Executor }

func (dead) Load(*prog.Program) (prog.Runner, error) { return nil, errors.New("lost\nfor good") }

// doctor tells devices that compute wrong and devices that fail from good ones.
func TestExamine(t *testing.T) {
	cpu := prog.NewCPU[float32](2)
	defer cpu.Close()
	want, _, err := tryDevice(cpu)
	if err != nil {
		t.Fatal(err)
	}
	var good, bad, broken checkup
	good.examine(cpu, want)
	bad.examine(skewed{cpu}, want)
	broken.examine(dead{cpu}, want)
	if !good.OK || good.Error != "" || good.Deviation == nil || *good.Deviation != 0 {
		t.Errorf("good: %+v", good)
	}
	if bad.OK || bad.Error != "deviates from the reference by 1.0e-03, want at most 1e-04" {
		t.Errorf("bad: %+v", bad)
	}
	if broken.OK || broken.Error != "lost; for good" {
		t.Errorf("broken: %+v", broken)
	}
	nan := checkup{}
	nan.examine(cpu, want[:1])
	if b, err := json.Marshal(nan); err != nil || nan.OK || !strings.Contains(string(b), `"deviation":null`) {
		t.Errorf("%s: %v", b, err)
	}
}

// Of two adapters that a name means the other can be found and chosen.
func TestEquals(t *testing.T) {
	as := []gpu.Adapter{{Index: 0, Name: "GeForce"}, {Index: 1, Name: "GeForce"}, {Index: 3, Name: "GeForce"}}
	for want, got := range map[string]string{
		`gpu:0; "geforce" is gpu:1 and gpu:3 too: --device gpu:1 takes that`: equals("geforce", as[0], as[1:]),
		`gpu:0; "geforce" is gpu:1 too: --device gpu:1 takes that`:           equals("geforce", as[0], as[1:2]),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := equals("", as[0], as[1:]) + equals("geforce", as[0], nil); got != "" {
		t.Errorf("got %s", got)
	}
}

// A folder's name without --out is the text's, with the time; that it is new, rundir sees to.
func TestNewName(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if got, want := newName("x/book.txt", at), filepath.FromSlash("runs/book-20260102-030405"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A vocabulary larger than 256 is trained and sampled as bytes.
func TestLargeVocabulary(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	_, errs, code := innerloop("train", "--device", "cpu", "--steps", "3", "--out", dir, "--quiet", "--set", "model.vocab_size=300", "--set", "model.hidden_size=32",
		"--set", "model.num_hidden_layers=1", "--set", "train.batch_size=1", "--set", "train.seq_len=32", "--set", "data.story_bytes=2000")
	if code != 0 {
		t.Fatal(errs)
	}
	// At this temperature each token is as likely as any other: 100 draws would have one above 255.
	out, errs, code := innerloop("generate", "--model", dir, "--device", "cpu", "--prompt", "ab", "--tokens", "100", "--temperature", "100", "--top-k", "0")
	if code != 0 || !strings.HasPrefix(out, "ab") {
		t.Fatalf("exit code %d, %q, %s", code, out, errs)
	}
}
