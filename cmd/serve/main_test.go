//go:build !js

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"innerloop/cmd/serve/web"
	"innerloop/gpu/gputest/chromium"
)

func TestParse(t *testing.T) {
	for args, want := range map[string]options{
		"":                              {defaultAddr, false, true, ""},
		"-open=false":                   {defaultAddr, false, false, ""},
		"--addr :9000":                  {":9000", true, true, ""},
		"-addr=" + defaultAddr:          {defaultAddr, true, true, ""},
		"-export out/site":              {defaultAddr, false, true, "out/site"},
		"-addr [::1]:0 -open=0 -export": {},
		"-addr localhost":               {},
		"-addr":                         {},
		"-export=":                      {},
		"-open=maybe":                   {},
		"-port 80":                      {},
		"9000":                          {},
	} {
		got, err := parse(strings.Fields(args))
		if bad := want == (options{}); bad != (err != nil) || !bad && got != want {
			t.Errorf("%q: %+v, %v; want %+v", args, got, err, want)
		}
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]struct {
		code      int
		out, errs string
	}{
		"-h":              {exitOK, "usage: go run ./cmd/serve [-addr HOST:PORT]", ""},
		"-help":           {exitOK, "-export DIR", ""},
		"-addr localhost": {exitUsage, "", `serve: -addr "localhost": want HOST:PORT, as 127.0.0.1:8080`},
		"-prot 1":         {exitUsage, "", "serve: flag provided but not defined: -prot"},
		"x":               {exitUsage, "", `serve: unexpected argument "x"`},
	} {
		var out, errs bytes.Buffer
		code := run(context.Background(), strings.Fields(args), &out, &errs)
		if code != want.code || !strings.Contains(out.String(), want.out) || !strings.HasPrefix(errs.String(), want.errs) || (errs.Len() > 0) != (want.errs != "") {
			t.Errorf("%s: %d\n%s\n%s", args, code, &out, &errs)
		}
	}
}

func TestListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // a test
	addr := taken.Addr().String()

	if _, err := listen(options{addr: addr, given: true}, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "-addr "+addr+": ") || !strings.Contains(err.Error(), "in use") {
		t.Errorf("%v, want that the address is in use", err)
	}
	var out bytes.Buffer
	l, err := listen(options{addr: addr}, &out)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test
	if host, _, err := net.SplitHostPort(l.Addr().String()); err != nil || host != "127.0.0.1" || !strings.HasPrefix(out.String(), addr+": ") {
		t.Errorf("serves at %s; said %q", l.Addr(), &out)
	}
	for host, want := range map[string]string{"": "http://127.0.0.1:", "::": "http://127.0.0.1:", "0.0.0.0": "http://127.0.0.1:", "localhost": "http://localhost:", "::1": "http://[::1]:"} {
		if got := address(host, l); !regexp.MustCompile("^" + regexp.QuoteMeta(want) + `\d+/$`).MatchString(got) {
			t.Errorf("address of %q: %s, want %s...", host, got, want)
		}
	}
	if names := answersTo("box"); len(names) != 1 || names[0] != "box" {
		t.Errorf("box answers to %q", names)
	}
	if names := answersTo(""); names[0] != "0.0.0.0" {
		t.Errorf("all interfaces answer to %q", names)
	}
}

// inRepo changes to a small repository and keeps what is compressed away from the user's folders.
func inRepo(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles WebAssembly")
	}
	goCache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("web", "testdata", "repo"))); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(goCache)))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Chdir(dir)
	return dir
}

// lines passes what is written on, line by line.
type lines struct {
	w    *io.PipeWriter
	read chan string
}

func newLines() *lines {
	r, w := io.Pipe()
	l := &lines{w, make(chan string, 100)}
	go func() {
		for s := bufio.NewScanner(r); s.Scan(); {
			l.read <- s.Text()
		}
		close(l.read)
	}()
	return l
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) { return l.w.Write(b) }

// address waits for the line that has it.
func (l *lines) address(t *testing.T) string {
	t.Helper()
	limit := time.After(15 * time.Minute)
	for {
		select {
		case line, ok := <-l.read:
			if strings.HasPrefix(line, "  http://") {
				return strings.TrimSpace(line)
			}
			if !ok {
				t.Fatal("it ended without an address")
			}
		case <-limit:
			t.Fatal("no address came")
		}
	}
}

func get(t *testing.T, address string) (int, string) {
	t.Helper()
	r, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close() //nolint:errcheck // was only read
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func TestServe(t *testing.T) {
	inRepo(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := newLines()
	var errs bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0", "-open=false"}, out, &errs)
		out.w.Close() //nolint:errcheck // never fails
	}()
	at := out.address(t)
	if code, page := get(t, at); code != 200 || !strings.Contains(page, "./assets/main-") {
		t.Errorf("GET %s: %d %s", at, code, page)
	}
	// A connection that says nothing, as browsers hold some open, does not hold up the end.
	idle, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(at, "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close() //nolint:errcheck // a test
	cancel()
	select {
	case code := <-ended:
		if code != exitOK || errs.Len() > 0 {
			t.Errorf("exit code %d, %s", code, &errs)
		}
	case <-time.After(15 * time.Minute): // a server that waits for the connection waits for ever
		t.Fatal("it does not end")
	}
	if _, err := http.Get(at); err == nil {
		t.Error("it serves on after its end")
	}
}

func TestRunFails(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	t.Chdir(t.TempDir())
	for _, args := range [][]string{{"-open=false", "-addr", "127.0.0.1:0"}, {"-export", "site"}} {
		var errs bytes.Buffer
		if code := run(context.Background(), args, io.Discard, &errs); code != exitFailed || !strings.HasPrefix(errs.String(), "serve: the working directory is not inside the repository of innerloop") {
			t.Errorf("%q outside the repository: %d, %s", args, code, &errs)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var errs bytes.Buffer
	if code := run(ctx, []string{"-export", "site"}, io.Discard, &errs); code != exitFailed || errs.String() != "serve: interrupted\n" {
		t.Errorf("interrupted: %d, %s", code, &errs)
	}
}

// exported is a folder with an export of the small repository, made once, since the best compression takes its time.
func exported(t *testing.T) string {
	t.Helper()
	shared.once.Do(func() {
		var err error
		if shared.dir, err = os.MkdirTemp("", "innerloop-export-*"); err != nil {
			t.Fatal(err)
		}
		back, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		inRepo(t)
		defer t.Chdir(back)
		var out, errs bytes.Buffer
		if code := run(context.Background(), []string{"-export", filepath.Join(shared.dir, "site")}, &out, &errs); code != exitOK {
			t.Fatalf("%d, %s", code, &errs)
		}
		shared.said = out.String()
	})
	if shared.said == "" {
		t.Skip("the export failed, or takes too long")
	}
	return filepath.Join(shared.dir, "site")
}

var shared struct {
	once      sync.Once
	dir, said string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.dir != "" {
		code = max(code, map[bool]int{true: 1}[os.RemoveAll(shared.dir) != nil])
	}
	os.Exit(code)
}

func TestExport(t *testing.T) {
	dir := exported(t)
	if !regexp.MustCompile(`wrote \S+site in [\d.]+ s: \d+ files, `).MatchString(shared.said) {
		t.Errorf("said %s", shared.said)
	}
	page, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil || !bytes.Contains(page, []byte("Content-Security-Policy")) {
		t.Errorf("%s, %v", page, err)
	}
}

// outcome is what the page of the small repository found, in main.js.
type outcome struct {
	Said, Violations []string
	WasmBytes, Text  int
	Isolated         bool
	Color            string
}

const wait = `(async () => {
  for (let i = 0; i < 6000 && !globalThis.outcome; i++) await new Promise((r) => setTimeout(r, 100));
  return globalThis.outcome ?? { said: ["nothing came"] };
})()`

func (o outcome) check(t *testing.T, isolated bool) {
	t.Helper()
	if got := strings.Join(o.Said, "; "); got != "Go runs, the driver takes 2 in flight; and what is loaded late" {
		t.Errorf("said %q", got)
	}
	if len(o.Violations) > 0 {
		t.Errorf("the policy forbids %q", o.Violations)
	}
	if o.WasmBytes < 500_000 || o.Isolated != isolated || o.Color != "rgb(1, 2, 3)" {
		t.Errorf("%+v, want isolated %v", o, isolated)
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(filepath.Join(strings.TrimSpace(string(root)), "src", "testdata", "Isaac.Newton-Opticks.txt"))
	if err == nil && o.Text < 500_000 {
		t.Errorf("the text has %d bytes", o.Text)
	}
}

// A browser takes the page under its policy, runs the worker, and Go in it.
func TestInBrowser(t *testing.T) {
	root := inRepo(t)
	s, err := web.Build(context.Background(), web.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	o, err := chromium.Eval[outcome](chromium.Open(t, s.Handler()), wait)
	if err != nil {
		t.Fatal(err)
	}
	o.check(t, true)
}

// So it does with what was exported, from a plain server and below another address.
func TestExportInBrowser(t *testing.T) {
	const at = "/some/where/"
	files := http.StripPrefix(at, http.FileServer(http.Dir(exported(t))))
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, at):
			files.ServeHTTP(w, r)
		case r.URL.Path == "/":
			http.Redirect(w, r, at, http.StatusFound)
		default:
			t.Errorf("asked for %s, outside the site", r.URL.Path)
			http.NotFound(w, r)
		}
	})
	o, err := chromium.Eval[outcome](chromium.Open(t, h), wait)
	if err != nil {
		t.Fatal(err)
	}
	o.check(t, false)
}

// One binary holds the page, and needs no Go.
func TestBundle(t *testing.T) {
	dir := exported(t)
	if runtime.GOOS == "windows" {
		t.Skip("signals")
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	err = filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		rel, relErr := filepath.Rel(dir, file)
		if err == nil && !d.IsDir() {
			overlay.Replace[filepath.Join(here, "site", rel)] = file
		}
		return errors.Join(err, relErr)
	})
	text, jsonErr := json.Marshal(overlay)
	list := filepath.Join(t.TempDir(), "overlay.json")
	if err := errors.Join(err, jsonErr, os.WriteFile(list, text, 0o644)); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "serve")
	if out, err := exec.Command("go", "build", "-tags", "bundle", "-overlay", list, "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	out := newLines()
	c := exec.Command(bin, "-addr", "127.0.0.1:0", "-open=false")
	c.Dir, c.Env, c.Stdout = t.TempDir(), []string{"PATH=/nonexistent"}, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill() //nolint:errcheck // it has ended
	at := out.address(t)
	_, page := get(t, at)
	script := regexp.MustCompile(`assets/main-\w+\.js`).FindString(page)
	if code, text := get(t, at+script); script == "" || code != 200 || !strings.Contains(text, "new Worker(") {
		t.Errorf("GET %q: %d", script, code)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("after a signal: %v", err)
	}
	hangUp(t, bin)
}
