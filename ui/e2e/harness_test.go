//go:build !js

// Package e2e holds the end-to-end tests of the page: in a real browser, on WebGPU, as a person would use it.
package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"innerloop/cmd/serve/web"
	"innerloop/gpu/gputest/chromium"
)

// site is the page, built once. What is compressed best is kept where go run ./cmd/serve keeps it.
var site = sync.OnceValues(func() (*web.Site, error) {
	var o web.Options
	if dir, err := os.UserCacheDir(); err == nil {
		o.Cache = filepath.Join(dir, "innerloop", "compressed")
	}
	return web.Build(context.Background(), o)
})

// packed is the page as it is served when all is compressed best, which takes half a minute.
var packed = sync.OnceValues(func() (*web.Site, error) {
	s, err := site()
	if err != nil {
		return nil, err
	}
	return s, s.Compress(context.Background())
})

// TestMain has one processor compress the page while the first of all tests wait for their browsers.
func TestMain(m *testing.M) {
	flag.Parse()
	if _, err := os.Stat("../node_modules/uplot"); err == nil && !testing.Short() && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.list").Value.String() == "" {
		go func() { _, _ = packed() }() // who asks for it gets the error
	}
	os.Exit(m.Run())
}

// schema is that of the messages.
var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler().Compile("../../wasm/messages.schema.json")
})

// record keeps what crosses between the page and its worker in globalThis.crossed, the newest 5,000. For infinities, which a
// column may have and JSON has no word for, there are the largest numbers.
const record = `{
  const Real = globalThis.Worker;
  globalThis.crossed = [];
  const keep = (m) => { crossed.push(JSON.parse(JSON.stringify(m, (k, v) => ArrayBuffer.isView(v) ? Array.from(v, (x) => Math.abs(x) === Infinity ? Math.sign(x) * Number.MAX_VALUE : x) : v))); if (crossed.length > 5000) crossed.shift(); };
  globalThis.Worker = class extends Real {
    constructor(...a) {
      super(...a);
      globalThis.realWorker = this;
      this.addEventListener("message", (e) => keep(e.data));
    }
    postMessage(m, ...rest) { keep(m); super.postMessage(m, ...rest); }
  };
}`

// tiny is a configuration that a software GPU trains fast, as a link has it.
const tiny = "#model.hidden_size=16&model.intermediate_size=24&model.num_hidden_layers=1&model.num_attention_heads=2&model.mini_batch_size=4" +
	"&train.batch_size=2&train.seq_len=32&train.warmup_steps=5&data.story_bytes=20000&sample.tokens=12"

// small is one that takes some tens of milliseconds a step there.
const small = "#model.hidden_size=32&model.intermediate_size=64&model.num_hidden_layers=2&model.num_attention_heads=2&model.mini_batch_size=8" +
	"&train.batch_size=4&train.seq_len=64&train.warmup_steps=5&data.story_bytes=50000&sample.tokens=20"

// page is a tab with the page in it.
type page struct {
	*chromium.Tab
	t     *testing.T
	noisy bool // errors on the console are expected
}

// options say what the page meets.
type options struct {
	worker  string   // JavaScript that runs in the worker before its own
	script  string   // JavaScript that runs in the page before its own
	without []string // flags of the browser
	noisy   bool     // errors on the console are expected
}

// needsPage skips a test where the page cannot be built, or should not be.
func needsPage(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the page and drives a browser")
	}
	if _, err := os.Stat("../node_modules/uplot"); err != nil && os.Getenv("INNERLOOP_REQUIRE_BROWSER") != "1" {
		t.Skip("the page's packages are not installed: npm ci in ui/, or go run ./cmd/serve")
	}
}

// browse starts a browser over the site.
func browse(t *testing.T, o options) *chromium.Browser {
	t.Helper()
	needsPage(t)
	s, err := site()
	if err != nil {
		t.Fatal(err)
	}
	return chromium.Start(t, before(s.Handler(), o.worker), o.without...)
}

// before serves h with script put before the worker's own.
func before(h http.Handler, script string) http.Handler {
	if script == "" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/worker-") {
			h.ServeHTTP(w, r)
			return
		}
		r.Header.Del("Accept-Encoding")
		r.Header.Del("If-None-Match")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(rec.Code)
		_, _ = io.WriteString(w, script+"\n"+rec.Body.String())
	})
}

// onGPU has a page train on the browser's software adapter, which nothing but a person's choice takes: the address says it as
// the page's own control does.
func onGPU(path string) string {
	if strings.Contains(path, "device=") || strings.HasPrefix(path, "/bench") {
		return path
	}
	page, link, linked := strings.Cut(path, "#")
	sep := "?"
	if strings.Contains(page, "?") {
		sep = "&"
	}
	if page += sep + "device=gpu"; linked {
		page += "#" + link
	}
	return page
}

// open opens the page in a new tab, on the software adapter where the path names no device.
func open(t *testing.T, b *chromium.Browser, path string, o options) *page {
	t.Helper()
	p := &page{Tab: b.Tab(record + o.script), t: t, noisy: o.noisy}
	p.Go(onGPU(path))
	t.Cleanup(func() { p.check() })
	return p
}

// start is browse and open.
func start(t *testing.T, path string, o options) *page {
	t.Helper()
	return open(t, browse(t, o), path, o)
}

// check looks at what the console says, and at the messages that crossed.
func (p *page) check() {
	if p.t.Failed() {
		p.t.Logf("console: %s", strings.Join(p.Console(), "\n"))
		return
	}
	if said := p.Console(); !p.noisy && len(said) > 0 {
		p.t.Errorf("the console is not empty:\n%s", strings.Join(said, "\n"))
	}
	p.valid()
}

// own are the messages that the worker handles beside those of the schema.
var own = map[string]bool{"text": true, "texts": true, "deleteText": true, "usage": true, "import": true, "download": true, "loading": true, "exit": true}

// valid holds the messages that crossed against the schema.
func (p *page) valid() {
	p.t.Helper()
	s, err := schema()
	if err != nil {
		p.t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal([]byte(chromium.JS[string](p.Tab, "JSON.stringify(globalThis.crossed ?? [])")), &list); err != nil {
		p.t.Fatal(err)
	}
	kinds := map[string]int{}
	skip := map[any]bool{}
	for _, m := range list {
		name, _ := m["method"].(string)
		if name == "" {
			name, _ = m["event"].(string)
		}
		if own[name] {
			skip[m["id"]] = m["id"] != nil
			continue
		}
		if m["id"] != nil && name == "" && skip[m["id"]] {
			continue
		}
		kinds[name]++
		if err := s.Validate(m); err != nil {
			b, _ := json.Marshal(m)
			p.t.Errorf("the schema refuses what crossed: %.400s\n%v", b, err)
		}
	}
	if len(kinds) == 0 && !p.noisy {
		p.t.Error("no messages crossed")
	}
}

// ready waits until the page can start a run.
func (p *page) ready() {
	p.t.Helper()
	p.Until(`document.querySelector("#start") && !document.querySelector("#start").disabled`)
}

// phase waits for a phase of the page.
func (p *page) phase(phase string) {
	p.t.Helper()
	p.Until(fmt.Sprintf("document.body.dataset.phase === %q", phase))
}

// step is the step that the page shows.
func (p *page) step() int {
	p.t.Helper()
	var n int
	text := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.SplitN(p.Text("#status-step"), "/", 2)[0])
	if _, err := fmt.Sscan(text, &n); err != nil {
		return 0
	}
	return n
}

// after waits until the page shows at least a step.
func (p *page) after(step int) {
	p.t.Helper()
	p.Until(fmt.Sprintf(`Number(document.querySelector("#status-step").innerText.split("/")[0].replace(/\D/g, "")) >= %d`, step))
}

// ask sends the worker a request of the page's own client and returns its result.
func ask[T any](p *page, method string, params any) T {
	p.t.Helper()
	b, err := json.Marshal(params)
	if err != nil {
		p.t.Fatal(err)
	}
	return chromium.JS[T](p.Tab, fmt.Sprintf(`innerloopPage.client.request(%q, %s).then((r) => JSON.parse(JSON.stringify(r, (k, v) => ArrayBuffer.isView(v) ? Array.from(v) : v)))`, method, b))
}

// curves are a run's metrics.
type curves struct {
	Step, Loss []float64
}

// runID is the open run's.
func (p *page) runID() string {
	p.t.Helper()
	return chromium.JS[string](p.Tab, `crossed.findLast((m) => m.event === "state" && m.data.run)?.data.run.id ?? ""`)
}

// downloaded waits for the file that the page downloads and unpacks it; it is a .zip.
func downloaded(t *testing.T, folder string) string {
	t.Helper()
	for end := time.Now().Add(chromium.Patience); ; time.Sleep(100 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(folder, "*.zip"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 1 {
			if b, err := os.ReadFile(files[0]); err == nil {
				if z, err := zip.NewReader(bytes.NewReader(b), int64(len(b))); err == nil {
					dir := t.TempDir()
					if err := os.CopyFS(dir, z); err != nil {
						t.Fatal(err)
					}
					es, err := os.ReadDir(dir)
					if err != nil || len(es) != 1 {
						t.Fatalf("the .zip holds %v (%v), want one folder", es, err)
					}
					return filepath.Join(dir, es[0].Name())
				}
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no .zip in the downloads: %v", files)
		}
	}
}

// cli builds the command line, once.
var cli = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "innerloop")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "innerloop")
	out, err := exec.Command("go", "build", "-o", bin, "innerloop/cmd/innerloop").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
})

// innerloop runs the command line.
func innerloop(t *testing.T, args ...string) string {
	t.Helper()
	return innerloopWith(t, nil, args...)
}

// innerloopWith runs the command line with more in its environment.
func innerloopWith(t *testing.T, env []string, args ...string) string {
	t.Helper()
	bin, err := cli()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(bin, args...)
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("innerloop %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
