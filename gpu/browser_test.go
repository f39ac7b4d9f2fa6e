//go:build !js

package gpu_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"innerloop/gpu/gputest/chromium"
)

// runWasmJS runs /test.wasm as a command and resolves to its exit code and its output.
const runWasmJS = `(async (args, env) => {
  let out = "";
  const utf8 = new TextDecoder();
  globalThis.fs.writeSync = (fd, buf) => { out += utf8.decode(buf, { stream: true }); return buf.length; };
  const go = new Go();
  go.argv = ["test", ...args];
  go.env = env;
  let code = -1;
  go.exit = (c) => { code = c; };
  try {
    const { instance } = await WebAssembly.instantiateStreaming(fetch("/test.wasm"), go.importObject);
    await go.run(instance);
  } catch (e) {
    out += e.stack;
  }
  return { code, out };
})`

// TestBrowser builds this package's tests for the browser and runs them there, on the page's WebGPU device.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs WebAssembly")
	}
	dir := t.TempDir()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<!doctype html><title>test</title><script src="/wasm_exec.js"></script>`)
	})
	mux.HandleFunc("/wasm_exec.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	})
	mux.HandleFunc("/test.wasm", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/wasm")
		http.ServeFile(w, r, filepath.Join(dir, "test.wasm"))
	})
	page := chromium.Open(t, mux, 10*time.Minute)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", filepath.Join(dir, "test.wasm"), ".")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	args := []string{"-test.v", "-test.timeout=9m"}
	if run := os.Getenv("INNERLOOP_BROWSER_RUN"); run != "" {
		args = append(args, "-test.run="+run)
	}
	res, err := chromium.Eval[struct {
		Code int
		Out  string
	}](page, fmt.Sprintf("%s(%s, {INNERLOOP_REQUIRE_GPU: '1'})", runWasmJS, jsList(args)))
	if err != nil {
		t.Fatal(err)
	}
	passed := strings.Count(res.Out, "--- PASS: TestConformance/")
	t.Logf("%d conformance tests passed in the browser", passed)
	if res.Code != 0 || passed == 0 && os.Getenv("INNERLOOP_BROWSER_RUN") == "" {
		t.Errorf("exit code %d\n%s", res.Code, interesting(res.Out))
	}
	if testing.Verbose() {
		t.Log(res.Out)
	}
}

func jsList(args []string) string { return fmt.Sprintf("[%s]", strings.Join(quoted(args), ", ")) }

func quoted(args []string) []string {
	var q []string
	for _, a := range args {
		q = append(q, fmt.Sprintf("%q", a))
	}
	return q
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
