//go:build !js

package uitest

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"

	"innerloop/gpu/gputest/chromium"
)

// bundleWorker is ui/worker.js with what only the bundler has, behind a line of JavaScript that goes before it.
func bundleWorker(t testing.TB, wasm string, before string) []byte {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	wasmExec, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]string{
		"innerloop:wasm_exec": string(wasmExec),
		"innerloop:gpu":       "export default () => ({})",
		"innerloop:assets":    fmt.Sprintf("export default { wasm: %q, wasmBytes: 1000 }", wasm),
	}
	r := api.Build(api.BuildOptions{
		EntryPoints: []string{"../worker.js"}, Bundle: true, Format: api.FormatESModule, Outdir: t.TempDir(), LogLevel: api.LogLevelSilent,
		Banner: map[string]string{"js": before},
		Plugins: []api.Plugin{{Name: "innerloop", Setup: func(b api.PluginBuild) {
			b.OnResolve(api.OnResolveOptions{Filter: `^innerloop:`}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
				return api.OnResolveResult{Path: a.Path, Namespace: "made"}, nil
			})
			b.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "made"}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
				text := modules[a.Path]
				return api.OnLoadResult{Contents: &text, Loader: api.LoaderJS}, nil
			})
		}}},
	})
	if len(r.Errors) > 0 {
		t.Fatalf("%+v", r.Errors)
	}
	return r.OutputFiles[0].Contents
}

// tellErrors has the page hear what goes to the worker's console as an error.
const tellErrors = `console.error = console.warn = (...a) => postMessage({ event: "console", data: a.join(" ") });`

// openWorker opens a page with ui/client.js and the worker, whose Go is hostprog, in several places.
func openWorker(t *testing.T) *chromium.Page {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs WebAssembly")
	}
	if _, err := os.Stat("../node_modules/fflate"); err != nil {
		const why = "the page's packages are not installed: npm ci in ui/, or go run ./cmd/serve"
		if os.Getenv("INNERLOOP_REQUIRE_BROWSER") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	wasm := filepath.Join(t.TempDir(), "hostprog.wasm")
	mux := http.NewServeMux()
	text := func(path, kind string, body []byte) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(body)
		})
	}
	binary := func(path, kind string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			http.ServeFile(w, r, wasm)
		})
	}
	const js = "text/javascript"
	text("/{$}", "text/html", []byte("<!doctype html><title>test</title>"))
	mux.HandleFunc("/client.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "../client.js") })
	binary("/good.wasm", "application/wasm")
	binary("/typeless.wasm", "application/octet-stream")
	text("/broken.wasm", "application/wasm", []byte("no program"))
	text("/good.js", js, bundleWorker(t, "/good.wasm", tellErrors))
	text("/typeless.js", js, bundleWorker(t, "/typeless.wasm", tellErrors))
	text("/missing.js", js, bundleWorker(t, "/missing.wasm", tellErrors))
	text("/broken.js", js, bundleWorker(t, "/broken.wasm", tellErrors))
	text("/refused.js", js, bundleWorker(t, "/good.wasm", tellErrors+
		`StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException("Storage directory access is denied.", "SecurityError"));`))
	text("/full.js", js, bundleWorker(t, "/good.wasm", tellErrors+
		`FileSystemSyncAccessHandle.prototype.write = () => { throw new DOMException("No space.", "QuotaExceededError"); };`))
	page := chromium.Open(t, mux)
	build := exec.Command("go", "build", "-o", wasm, "./testdata/hostprog")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}
	return page
}

// inPage runs the body of an asynchronous function in the page, which has start(name): a client of that worker, with
// what it was told.
func inPage[T any](t *testing.T, page *chromium.Page, body string) T {
	t.Helper()
	got, err := chromium.Eval[T](page, `(async () => {
		const { Client } = await import("/client.js");
		const start = (name) => {
			const events = [];
			const client = new Client({ url: "/" + name + ".js", onEvent: (event, data) => events.push({ event, data }) });
			const ask = (method, params = {}) => client.request(method, params).catch((e) => ({ code: e.code, message: e.message }));
			const of = (event) => events.filter((e) => e.event === event).map((e) => e.data);
			const crash = () => new Promise((f) => client.on("crash", f));
			return { client, ask, of, crash };
		};
		`+body+`
	})()`)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %v\nwant %v", what, got, want)
	}
}

type object = map[string]any

// TestWorker goes through what the worker does where all is well.
func TestWorker(t *testing.T) {
	page := openWorker(t)
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for name, content := range map[string]string{"run/model.safetensors": strings.Repeat("weights ", 5), "run/config.json": "{}", "__MACOSX/run/._x": "x"} {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	got := inPage[object](t, page, `
		const { client, ask, of } = start("good");
		const early = Promise.all([ask("hello", { device: "auto" }), ask("metrics", { run: "r" })]); // long before Go is there
		const [hello, metrics] = await early;
		const loading = of("progress");
		const said = {
			storage: hello.storage, gpu: hello.gpu, memory: hello.memory > 1 << 20,
			column: [metrics.loss instanceof Float64Array, ...metrics.loss],
			loading: loading.length > 0 && loading.at(-1).loaded === loading.at(-1).total && loading.every((d, i) => i === 0 || d.loaded >= loading[i - 1].loaded),
		};
		said.text = await ask("text", { file: new Blob(["To be, or not to be"]), name: "hamlet.txt" });
		said.read = await ask("set", { key: "read", value: "/texts/hamlet.txt" });
		said.binary = await ask("text", { file: new Blob(["a\0b"]), name: "cat.png" });
		const folder = [new File(["m"], "run/model.safetensors"), new File(["x"], "run/config.toml")];
		said.folder = await ask("import", { files: folder, name: "mine" });
		const bytes = Uint8Array.from(atob("`+base64.StdEncoding.EncodeToString(archive.Bytes())+`"), (c) => c.charCodeAt(0));
		said.archive = await ask("import", { files: [new File([bytes], "run.zip")], name: "" });
		said.hostile = await ask("import", { files: [new File([bytes.slice(0, 100)], "run.zip")], name: "" });
		said.left = await ask("import", { files: [new File(["x"], "cat.png")], name: "" });
		await ask("set", { key: "write", value: "/runs/r/config.toml=x = 1" });
		await ask("set", { key: "write", value: "/runs/r/checkpoints/state.json={}" });
		const { blob } = await ask("download", { run: "r" });
		said.blob = btoa(String.fromCharCode(...new Uint8Array(await blob.arrayBuffer())));
		const usage = await ask("usage");
		said.usage = usage.bytes >= 0 && usage.quota > 1e6;
		await ask("save"); // which logs
		said.console = of("console");
		said.crashes = of("crash").length;
		client.dispose();
		return said;
	`)
	encoded, _ := got["blob"].(string)
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var packed []string
	for _, f := range r.File {
		c, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		packed = append(packed, f.Name+"="+string(text))
	}
	equal(t, "the packed run", packed, []string{"My run/config.toml=x = 1", "My run/checkpoints/state.json={}"})
	delete(got, "blob")
	weights := "run/model.safetensors=" + strings.Repeat("weights ", 5)
	wanted := object{
		"storage": object{"kind": "opfs", "problem": ""}, "gpu": "function", "memory": true,
		"column": []any{true, 1.0, 2.5}, "loading": true,
		"text":    object{"path": "/texts/hamlet.txt", "kind": "text", "bytes": 19.0, "plain": true},
		"read":    object{"text": "To be, or not to be"},
		"binary":  object{"path": "/texts/cat.png", "kind": "text", "bytes": 3.0, "plain": false},
		"folder":  object{"files": []any{"run/config.toml=x", "run/model.safetensors=m"}, "name": "mine"},
		"archive": object{"files": []any{"run/config.json={}", weights}, "name": ""},
		"hostile": object{"code": "data", "message": "the archive is damaged: its end is missing"},
		"left":    object{"code": "data", "message": "cat.png is neither a .zip nor a file of a model: those are model.safetensors and config.json"},
		"usage":   true, "console": []any{}, "crashes": 0.0,
	}
	for what, want := range wanted {
		equal(t, what, got[what], want)
		delete(got, what)
	}
	equal(t, "what else was said", got, object{})
}

// TestWorkerEnds ends Go in every way, and begins anew.
func TestWorkerEnds(t *testing.T) {
	page := openWorker(t)
	for _, c := range []struct{ method, message, output string }{
		{"pause", "the trainer ended with code 2: panic: boom", "a line of the log"},
		{"resume", "the trainer ended with code -1: RuntimeError: memory access out of bounds", "a line of the log"},
		{"stop", "the trainer ended with code 0: a line of the log", "a line of the log"},
	} {
		got := inPage[struct {
			Refused, After, Crash object
			Console               []string
			Again                 object
			Crashes               int
		}](t, page, `
			const { client, ask, of, crash } = start("good");
			await ask("save");
			const crashed = crash();
			const said = { Refused: await ask("`+c.method+`"), Crash: await crashed };
			said.After = await ask("save");
			client.restart();
			said.Again = (await ask("hello", { device: "auto" })).storage;
			await new Promise((f) => setTimeout(f, 100));
			said.Console = of("console");
			said.Crashes = of("crash").length;
			client.dispose();
			return said;
		`)
		refused := object{"code": "internal", "message": c.message}
		equal(t, c.method+": the request", got.Refused, refused)
		equal(t, c.method+": the next request", got.After, refused)
		equal(t, c.method+": the crash", got.Crash["message"], c.message)
		if out, _ := got.Crash["output"].(string); !strings.Contains(out, c.output) || len(out) > 4000 {
			t.Errorf("%s: output %q", c.method, out)
		}
		// The console has the output once, of a program that failed.
		if n := len(got.Console); (n == 1) != (c.method != "stop") {
			t.Errorf("%s: the console got %q", c.method, got.Console)
		}
		equal(t, c.method+": after a restart", got.Again, object{"kind": "opfs", "problem": ""})
		equal(t, c.method+": crashes", got.Crashes, 1)
	}
}

// TestWorkerElsewhere has the worker where something is not as it should be.
func TestWorkerElsewhere(t *testing.T) {
	page := openWorker(t)
	t.Run("the program has the wrong type", func(t *testing.T) {
		got := inPage[[]any](t, page, `
			const { client, ask, of } = start("typeless");
			const hello = await ask("hello", { device: "auto" });
			const last = of("progress").at(-1);
			client.dispose();
			return [hello.storage.kind, last.loaded > 1e6 && last.loaded === last.total, of("console").length];
		`)
		equal(t, "said", got, []any{"opfs", true, 0.0})
	})
	for name, want := range map[string]string{
		"missing": "the trainer ended with code -1: Error: /missing.wasm: the server answers 404",
		"broken":  "the trainer ended with code -1: CompileError:",
		"nowhere": "the worker failed: /nowhere.js could not be loaded",
	} {
		t.Run(name, func(t *testing.T) {
			got := inPage[[]string](t, page, `
				const { client, ask, crash } = start("`+name+`");
				const crashed = crash();
				const asked = ask("hello", { device: "auto" });
				const said = [(await crashed).message, (await asked).message];
				client.dispose();
				return said;
			`)
			for _, m := range got {
				if !strings.HasPrefix(m, want) {
					t.Errorf("%q, want %q", m, want)
				}
			}
		})
	}
	t.Run("storage is refused", func(t *testing.T) {
		got := inPage[[]any](t, page, `
			const { client, ask, of } = start("refused");
			const { storage } = await ask("hello", { device: "auto" });
			const text = await ask("text", { file: new Blob(["abc"]), name: "a.txt" });
			const read = await ask("set", { key: "read", value: "/texts/a.txt" });
			const usage = await ask("usage");
			client.dispose();
			return [storage, text, read, usage, of("console").length];
		`)
		equal(t, "said", got, []any{
			object{"kind": "memory", "problem": "Runs are lost when this tab is closed: the browser keeps no files for it (Storage directory access is denied.)."},
			object{"path": "/texts/a.txt", "kind": "text", "bytes": 3.0, "plain": true}, object{"text": "abc"}, object{"bytes": 3.0, "quota": 0.0}, 0.0,
		})
	})
	t.Run("storage is full", func(t *testing.T) {
		got := inPage[[]any](t, page, `
			const before = start("good");
			await before.ask("set", { key: "write", value: "/runs/kept=kept" });
			before.client.dispose();
			const { client, ask, of } = start("full");
			const { storage } = await ask("hello", { device: "auto" });
			const said = [
				storage.kind, storage.problem.slice(0, 30), await ask("set", { key: "read", value: "/runs/kept" }),
				await ask("text", { file: new Blob(["abc"]), name: "a.txt" }), await ask("import", { files: [new File(["x"], "model.safetensors")], name: "" }),
				await ask("set", { key: "write", value: "/runs/new=x" }), of("console").length,
			];
			client.dispose();
			return said;
		`)
		full := object{"code": "storage", "message": "the browser's storage is full: delete runs, or make room on this device"}
		equal(t, "said", got, []any{
			"opfs", "The browser's storage is full:", object{"text": "kept"}, full, full,
			object{"code": "storage", "message": "write /runs/new: No space left on device"}, 0.0,
		})
	})
}

// TestWorkerLocks has two workers, as in two tabs, ask for one name.
func TestWorkerLocks(t *testing.T) {
	page := openWorker(t)
	got := inPage[[]any](t, page, `
		const [a, b] = [start("good"), start("good")];
		const lock = async (w, key = "lock") => (await w.ask("set", { key, value: "run-1" })).locked ?? null;
		const said = [await lock(a), await lock(b), await lock(a, "unlock"), await lock(b), await lock(a), await lock(b, "unlock"), await lock(b), await lock(a, "unlock")];
		b.client.restart(); // while it has the lock: the new worker gets it
		said.push(await lock(b));
		b.client.dispose();
		said.push(await lock(a));
		a.client.dispose();
		return said;
	`)
	equal(t, "said", got, []any{true, false, nil, true, false, nil, true, nil, true, true})
}
