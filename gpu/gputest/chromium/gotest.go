//go:build !js

package chromium

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

//go:embed worker.js
var workerJS []byte

// runWorker runs the worker once and resolves to what it says.
const runWorker = `((job) => new Promise((resolve, reject) => {
  const worker = new Worker("/worker.js");
  worker.onmessage = (e) => resolve(e.data);
  worker.onerror = (e) => reject(new Error(e.message));
  worker.postMessage(job);
}))`

// RunTests builds the tests of the package in folder dir for the browser and runs them in a worker, the way a page
// trains, with args beside -test.v. Their files are those of the module, only to read, and INNERLOOP_REQUIRE_GPU=1
// makes them fail where there is no WebGPU; INNERLOOP_TIMING is as it is here. It returns the names of what passed, subtests too, and fails t where
// anything failed or nothing passed. INNERLOOP_BROWSER_ARGS, if set, are arguments that replace args, to look at a
// single test or a benchmark: "-test.run=^TestInfo$", "-test.run=^$ -test.bench=Load".
func RunTests(t *testing.T, dir string, args ...string) (passed []string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs WebAssembly")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	env := func(name string) string {
		c := exec.Command("go", "env", name)
		c.Dir = dir
		out, err := c.Output()
		if err != nil {
			t.Fatalf("go env %s: %v", name, err)
		}
		return strings.TrimSpace(string(out))
	}
	// go test keeps a result for as long as the files are as they were that the test looked at.
	es, err := os.ReadDir(dir) // no pattern: the folder's name is somebody's
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		if filepath.Ext(e.Name()) != ".go" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	module := filepath.Dir(env("GOMOD"))
	folder, err := filepath.Rel(module, dir)
	if err != nil {
		t.Fatal(err)
	}
	wasm := filepath.Join(t.TempDir(), "test.wasm")
	page := Open(t, testServer(t, module, filepath.Join(env("GOROOT"), "lib", "wasm", "wasm_exec.js"), wasm))
	build := exec.CommandContext(page.ctx, "go", "test", "-c", "-o", wasm, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}
	own := strings.Fields(os.Getenv("INNERLOOP_BROWSER_ARGS"))
	if len(own) > 0 {
		args = own
	}
	args = append([]string{"-test.v", "-test.timeout=" + (hang - time.Minute).String()}, args...)
	job, err := json.Marshal(map[string]any{
		"folder": "/" + filepath.ToSlash(folder), "args": args, "env": map[string]string{"INNERLOOP_REQUIRE_GPU": "1", "INNERLOOP_TIMING": os.Getenv("INNERLOOP_TIMING")},
	})
	if err != nil {
		t.Fatal(err)
	}
	res, err := Eval[struct {
		Code int
		Out  string
	}](page, runWorker+"("+string(job)+")")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range passLine.FindAllStringSubmatch(res.Out, -1) {
		passed = append(passed, m[1])
	}
	if res.Code != 0 || len(passed) == 0 && len(own) == 0 {
		t.Errorf("%s: exit code %d, %d tests passed\n%s", folder, res.Code, len(passed), interesting(res.Out))
	}
	if testing.Verbose() {
		t.Log(res.Out)
	}
	if len(own) > 0 {
		t.Skip("INNERLOOP_BROWSER_ARGS chose what ran")
	}
	return passed
}

var passLine = regexp.MustCompile(`(?m)^\s*--- PASS: (\S+) \(`)

// testServer serves the worker, the binary, and under /files/ the module's folder.
func testServer(t *testing.T, module, exec, wasm string) http.Handler {
	root, err := os.OpenRoot(module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	mux := http.NewServeMux()
	serve := func(pattern, kind string, body func(http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			// An isolated page has a clock of 5 us instead of 100.
			w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
			w.Header().Set("Cross-Origin-Embedder-Policy", "require-corp")
			if kind != "" {
				w.Header().Set("Content-Type", kind)
			}
			body(w, r)
		})
	}
	serve("/{$}", "text/html", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<!doctype html><title>test</title>"))
	})
	serve("/worker.js", "text/javascript", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(workerJS) })
	serve("/wasm_exec.js", "text/javascript", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, exec) })
	serve("/test.wasm", "application/wasm", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, wasm) })
	serve("/files/{path...}", "", func(w http.ResponseWriter, r *http.Request) {
		if err := serveFile(w, root.FS(), cmp.Or(strings.Trim(r.PathValue("path"), "/"), ".")); errors.Is(err, fs.ErrNotExist) {
			http.NotFound(w, r)
		} else if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

// serveFile answers with a file, or with the list of a folder's names.
func serveFile(w http.ResponseWriter, files fs.FS, name string) error {
	st, err := fs.Stat(files, name)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, err = w.Write(b)
		return err
	}
	entries, err := fs.ReadDir(files, name)
	if err != nil {
		return err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	w.Header().Set("X-Kind", "folder")
	return json.NewEncoder(w).Encode(names)
}

// interesting leaves out what passed.
func interesting(out string) string {
	var keep []string
	for l := range strings.SplitSeq(out, "\n") {
		if s := strings.TrimSpace(l); !strings.HasPrefix(s, "=== ") && !strings.HasPrefix(s, "--- PASS") {
			keep = append(keep, l)
		}
	}
	return strings.Join(keep, "\n")
}
