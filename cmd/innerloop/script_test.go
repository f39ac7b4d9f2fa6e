package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"innerloop/gpu"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"innerloop": main}) }

func TestScript(t *testing.T) {
	adapters, _ := gpu.Adapters() // an error is as good as none
	if len(adapters) == 0 && os.Getenv("INNERLOOP_REQUIRE_GPU") == "1" {
		t.Fatal("no adapter, but INNERLOOP_REQUIRE_GPU=1")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Values["files"] = listing(e.WorkDir)
			for _, v := range []string{"VK_DRIVER_FILES", "XDG_RUNTIME_DIR"} { // the adapters that this process sees
				if value, ok := os.LookupEnv(v); ok {
					e.Setenv(v, value)
				}
			}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "gpu" {
				return len(adapters) > 0, nil
			}
			return false, errors.New("unknown condition " + cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"unchanged": unchanged,
			"jsonlines": jsonLines,
			"truncate":  truncate,
			"patch":     patch,
			"flip":      flip,
			"hostile":   hostile,
			"retype":    retype,
			"shard":     shard,
			"mksound":   mkSound,
			"wav":       wav,
		},
	})
}

// listing lists the files and folders of a script's directory, its own temporary ones left out.
func listing(dir string) []string {
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == ".tmp" {
			return fs.SkipDir
		}
		names = append(names, path)
		return err
	})
	if err != nil {
		names = append(names, err.Error())
	}
	return names
}

// exits CODE PROGRAM ARGS...: the program must end with that code, and with one line on standard error if that is
// not 0.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGS...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var e *exec.ExitError
	if errors.As(err, &e) {
		got = e.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	stderr := ts.ReadFile("stderr")
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if oneLine := strings.Count(stderr, "\n") == 1 && strings.HasPrefix(stderr, "innerloop: ") && strings.HasSuffix(stderr, "\n"); want != 0 && !oneLine {
		ts.Fatalf("standard error %q, want one line that begins with innerloop:", stderr)
	}
	if want == 0 && stderr != "" {
		ts.Fatalf("standard error %q, want none", stderr)
	}
}

// unchanged: the script's directory holds what it held at the start.
func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	was, now := ts.Value("files").([]string), listing(ts.Getenv("WORK"))
	if neg || len(args) > 0 {
		ts.Fatalf("usage: unchanged")
	}
	if !slices.Equal(was, now) {
		ts.Fatalf("the directory holds\n%s\nwant\n%s", strings.Join(now, "\n"), strings.Join(was, "\n"))
	}
}

// jsonlines FILE N: the file is N whole lines, each a JSON object, or at least one where N is +.
func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: jsonlines FILE N")
	}
	text, whole := strings.CutSuffix(ts.ReadFile(args[0]), "\n")
	lines := strings.Split(text, "\n")
	for _, l := range lines {
		var v map[string]any
		if err := json.Unmarshal([]byte(l), &v); err != nil {
			ts.Fatalf("%s: line %q: %v", args[0], l, err)
		}
	}
	if n := strconv.Itoa(len(lines)); !whole || args[1] != "+" && args[1] != n {
		ts.Fatalf("%s: %s lines, whole: %v", args[0], n, whole)
	}
}

// truncate FILE N: cuts the file to N bytes.
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), int64(n)))
}

// patch FILE HEX: overwrites the start of the file.
func patch(ts *testscript.TestScript, _ bool, args []string) {
	b, err := hex.DecodeString(args[1])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.Write(b)
	ts.Check(errors.Join(err, f.Close()))
}

// flip FILE N: changes the lowest bit of byte N of the file.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	b := []byte(ts.ReadFile(args[0]))
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b[n] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// innerloop runs the program in this process and returns what it printed.
func innerloop(args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), code
}
