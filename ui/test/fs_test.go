//go:build !js

// Package uitest tests the worker's half of the page: its files in Chromium, its modules in Node.
package uitest

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"innerloop/gpu/gputest/chromium"
)

const fsprog = "./testdata/fsprog"

// result is what a run of fsprog says.
type result struct {
	Code     int
	Out, Err string
	Open     int      // descriptors
	Left     []string // in the root
}

// runFSProg runs fsprog in a new worker.
const runFSProg = `((job) => new Promise((resolve, reject) => {
  const worker = new Worker("/fsworker.js", { type: "module" });
  worker.onmessage = (e) => { worker.terminate(); resolve(e.data); };
  worker.onerror = (e) => reject(new Error(e.message));
  worker.postMessage(job);
}))`

// openFS opens a page that has the modules of ui/ and, built for the browser, fsprog.
func openFS(t testing.TB) *chromium.Page {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs WebAssembly")
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	wasm := filepath.Join(t.TempDir(), "fsprog.wasm")
	mux := http.NewServeMux()
	serve := func(path, kind, file string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			http.ServeFile(w, r, file)
		})
	}
	serve("/wasm_exec.js", "text/javascript", filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	serve("/fsprog.wasm", "application/wasm", wasm)
	serve("/fsworker.js", "text/javascript", "testdata/fsworker.js")
	serve("/lockworker.js", "text/javascript", "testdata/lockworker.js")
	for _, name := range []string{"fs.js", "handles.js", "memory.js", "nodefs.js"} {
		serve("/ui/"+name, "text/javascript", "../"+name)
	}
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>test</title>"))
	})
	page := chromium.Open(t, mux)
	build := exec.Command("go", "build", "-o", wasm, fsprog)
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}
	return page
}

func run(t testing.TB, page *chromium.Page, store string, args ...string) result {
	t.Helper()
	job, err := json.Marshal(map[string]any{"store": store, "args": args})
	if err != nil {
		t.Fatal(err)
	}
	res, err := chromium.Eval[result](page, runFSProg+"("+string(job)+")")
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestFiles runs one program over this machine's files, whose system is what fs.js is to be like, over OPFS with and
// without move, and over memory.
func TestFiles(t *testing.T) {
	native := exec.Command("go", "run", fsprog, t.TempDir())
	out, err := native.CombinedOutput()
	if err != nil {
		t.Fatalf("on this machine: %v\n%s", err, out)
	}
	checks := strings.Count(string(out), "ok ")
	page := openFS(t)
	for _, store := range []string{"opfs", "copy", "memory"} {
		t.Run(store, func(t *testing.T) {
			res := run(t, page, store, "/")
			// One check is of a full disk, which this machine's is not.
			if n := strings.Count(res.Out, "ok "); res.Code != 0 || n != checks+1 {
				t.Fatalf("exit code %d, %d checks passed, want %d\n%s\n%s", res.Code, n, checks+1, res.Out, res.Err)
			}
			if res.Err != "a line of stderr" {
				t.Errorf("stderr %q", res.Err)
			}
			if res.Open > 0 || len(res.Left) > 0 {
				t.Errorf("%d descriptors are open, the root holds %q", res.Open, res.Left)
			}
		})
	}
}

// BenchmarkFiles measures what a checkpoint's files cost, in milliseconds.
func BenchmarkFiles(b *testing.B) {
	page := openFS(b)
	for _, store := range []string{"opfs", "memory"} {
		b.Run(store, func(b *testing.B) {
			sums := map[string]float64{}
			for b.Loop() {
				res := run(b, page, store, "/", "time")
				if res.Code != 0 {
					b.Fatalf("%s\n%s", res.Out, res.Err)
				}
				for _, m := range timeLine.FindAllStringSubmatch(res.Out, -1) {
					ms, err := strconv.ParseFloat(m[2], 64)
					if err != nil {
						b.Fatal(err)
					}
					sums[m[1]] += ms
				}
			}
			b.ReportMetric(0, "ns/op")
			for what, sum := range sums {
				b.ReportMetric(sum/float64(b.N), what+"/ms")
			}
		})
	}
}

var timeLine = regexp.MustCompile(`(?m)^time (\S+) +([0-9.]+) ms$`)

// tabs has workers of one origin, as tabs have, in the page.
const tabs = `
const tab = () => {
  const worker = new Worker("/lockworker.js", { type: "module" });
  const call = (method, ...args) => new Promise((resolve, reject) => {
    worker.onmessage = (e) => resolve(e.data.code ?? e.data.value ?? "");
    worker.onerror = (e) => reject(new Error(e.message));
    worker.postMessage({ method, args });
  });
  return { call, end: () => worker.terminate() };
};
const write = async (t, path, text) => {
  const fd = await t.call("open", path, 0o1101);
  if (typeof fd !== "number") return fd;
  await t.call("write", fd, new TextEncoder().encode(text), null);
  return t.call("close", fd);
};`

// TestOtherTab has two workers contend for files of OPFS.
func TestOtherTab(t *testing.T) {
	page := openFS(t)
	got, err := chromium.Eval[[]any](page, `(async () => {`+tabs+`
		const [a, b] = [tab(), tab()];
		const said = [];
		await write(a, "/free", "x");
		const fd = await a.call("open", "/f", 0o102);
		said.push(typeof fd);
		said.push(await b.call("open", "/f", 1), await b.call("unlink", "/f"), await b.call("rename", "/free", "/f"));
		const other = await b.call("open", "/f", 0);
		said.push(typeof other, await b.call("close", other), (await b.call("readdir", "/")).join());
		a.end(); // its locks go with it, a moment later
		said.push(await write(b, "/f", "mine"), await b.call("rename", "/free", "/f"), (await b.call("readdir", "/")).join());
		await b.call("unlink", "/f");
		b.end();
		return said;
	})()`)
	if err != nil {
		t.Fatal(err)
	}
	want := []any{"number", "EBUSY", "EBUSY", "EBUSY", "number", "", "f,free", "", "", "f"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestEndWhileRenaming ends workers while they rename a checkpoint's folder in OPFS.
func TestEndWhileRenaming(t *testing.T) {
	page := openFS(t)
	got, err := chromium.Eval[struct {
		Early, Half, Whole int
		Bad                []string
	}](page, `(async () => {`+tabs+`
		const names = [...Array(20).keys()].map((i) => "part-" + i);
		const watcher = tab();
		const said = { Early: 0, Half: 0, Whole: 0, Bad: [] };
		// A machine that is busy takes longer than the first one took: more of them until one ends half-way.
		for (let i = 0; i < 12 || (i < 200 && !said.Half); i++) {
			const t = tab();
			await t.call("mkdirAll", "/from");
			await write(t, "/from/state.json", "{}");
			for (const n of names) await write(t, "/from/" + n, "x");
			const began = performance.now();
			const moved = t.call("rename", "/from", "/to");
			if (i === 0) {
				await moved;
				said.took = performance.now() - began;
			} else {
				await new Promise((f) => setTimeout(f, said.took * (i % 12) / 11));
			}
			t.end();
			const there = await watcher.call("readdir", "/to");
			if (there === "ENOENT") said.Early++;
			else if (!there.includes("state.json")) said.Half++;
			else if (there.length === names.length + 1) said.Whole++;
			else said.Bad.push(there.join());
			await watcher.call("removeAll", "/from");
			await watcher.call("removeAll", "/to");
		}
		watcher.end();
		return said;
	})()`)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", got)
	if len(got.Bad) > 0 || got.Half == 0 || got.Whole == 0 {
		t.Errorf("%d renames had not begun, %d were half done, %d done, and state.json vouched for: %q", got.Early, got.Half, got.Whole, got.Bad)
	}
}
