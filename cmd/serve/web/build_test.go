package web

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fixture copies the small repository of testdata to a folder of its own, with a package that its page imports.
func fixture(t *testing.T) *sources {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS(filepath.Join("testdata", "repo"))); err != nil {
		t.Fatal(err)
	}
	exec := filepath.Join(root, "wasm_exec.js")
	edit(t, exec, func(string) string { return "globalThis.Go = class Go {};" })
	return &sources{root: root, wasm: []byte("\x00asm\x01\x00\x00\x00"), wasmExec: exec, driver: filepath.Join(root, "gpu", "driver.js"), opticks: []byte("OPTICKS"), version: "v1.2-3"}
}

// edit changes a file of a fixture, or makes it.
func edit(t *testing.T, file string, f func(string) string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(f(string(b))), 0o644); err != nil {
		t.Fatal(err)
	}
}

func assembled(t *testing.T, src *sources) *Site {
	t.Helper()
	s, err := src.assemble()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// named finds the one asset of that name and end, without its hash.
func named(t *testing.T, s *Site, name, ext string) (string, string) {
	t.Helper()
	found := slices.DeleteFunc(s.Paths(), func(p string) bool {
		ok, err := path.Match(folder+name+"-*"+ext, p)
		return err != nil || !ok
	})
	if len(found) != 1 {
		t.Fatalf("%s*%s: found %q of %q", name, ext, found, s.Paths())
	}
	return found[0], string(s.Assets[found[0]].Data)
}

// The version is git's where there is a repository, and never empty.
func TestVersion(t *testing.T) {
	dir := t.TempDir()
	if v := version(t.Context(), dir); v == "" {
		t.Error("no version outside a repository")
	}
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	edit(t, filepath.Join(dir, "a"), func(string) string { return "1" })
	for _, args := range [][]string{{"init", "-q"}, {"add", "a"}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "a"}, {"tag", "v1.2"}} {
		if _, err := command(t.Context(), dir, nil, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	if v := version(t.Context(), dir); v != "v1.2" {
		t.Errorf("version %q, want v1.2", v)
	}
	edit(t, filepath.Join(dir, "a"), func(string) string { return "2" })
	if v := version(t.Context(), dir); v != "v1.2-dirty" {
		t.Errorf("version %q, want v1.2-dirty", v)
	}
}

func TestAssemble(t *testing.T) {
	s := assembled(t, fixture(t))
	mainJS, mainText := named(t, s, "main", ".js")
	worker, workerText := named(t, s, "worker", ".js")
	late, _ := named(t, s, "late", ".js")
	style, styleText := named(t, s, "style", ".css")
	wasm, _ := named(t, s, "innerloop", ".wasm")
	text, opticks := named(t, s, "opticks", ".txt")
	page := string(s.Assets[index].Data)

	for _, want := range []string{
		`<script type="module" src="./` + mainJS + `"></script>`, `<link rel='stylesheet' href="./` + style + `">`,
		`<a href="https://arxiv.org/abs/2407.04620">`, `<a href="#top">`, `<img src="data:," alt="a > b">`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %s:\n%s", want, page)
		}
	}
	if strings.Contains(page, "<!--") {
		t.Error("the page keeps its comments")
	}
	icon := regexp.MustCompile(`<link rel="icon" href="\./(assets/mark-[0-9a-f]{10}\.svg)">`).FindStringSubmatch(page)
	if icon == nil || s.Assets[icon[1]] == nil {
		t.Errorf("the icon is not in the site:\n%s", page)
	}
	beside := func(name string) string { return `"./` + path.Base(name) + `"` }
	for _, want := range []string{
		"new URL(" + beside(worker) + ",import.meta.url).href", "new URL(" + beside(wasm) + ",import.meta.url).href",
		"new URL(" + beside(text) + ",import.meta.url).href", "import(" + beside(late) + ")", "wasmBytes:8", `version:"v1.2-3"`,
	} {
		if !strings.Contains(mainText, want) {
			t.Errorf("main.js lacks %s:\n%s", want, mainText)
		}
	}
	for _, want := range []string{"in flight", "globalThis.Go=class", beside(wasm), `worker:""`, `version:"v1.2-3"`} {
		if !strings.Contains(workerText, want) {
			t.Errorf("worker.js lacks %s:\n%s", want, workerText)
		}
	}
	ref := regexp.MustCompile(`url\("\./(mark-\w+\.svg)"\)`).FindStringSubmatch(styleText)
	if ref == nil || s.Assets[folder+ref[1]] == nil || !strings.Contains(styleText, "#010203") {
		t.Errorf("style.css: %s", styleText)
	}
	if opticks != "OPTICKS" {
		t.Errorf("opticks.txt: %q", opticks)
	}
	for name, a := range s.Assets {
		if name != index && !regexp.MustCompile(`^assets/[a-z]+-[A-Z0-9]{8}\.(js|css|svg)$|^assets/[a-z]+-[0-9a-f]{10}\.(wasm|txt|svg)$`).MatchString(name) {
			t.Errorf("%s: is not named by its content", name)
		}
		if abs := regexp.MustCompile(`["'(=](/[a-z]|https?://localhost|file:)`).FindString(string(a.Data)); abs != "" {
			t.Errorf("%s: holds an absolute address: %s", name, abs)
		}
	}
}

// The bench page is another page, with a program, a worker and a script of its own, which the first one does not load.
func TestAssembleBench(t *testing.T) {
	alone := assembled(t, fixture(t))
	src := fixture(t)
	src.bench = append(slices.Clone(src.wasm), 1)
	s := assembled(t, src)
	wasm, _ := named(t, s, "benchmark", ".wasm")
	worker, workerText := named(t, s, "benchworker", ".js")
	script, scriptText := named(t, s, "bench", ".js")
	style, styleText := named(t, s, "bench", ".css")
	page := string(s.Assets[bench].Data)
	for _, want := range []string{`src="./` + script + `"`, `href="./` + style + `"`, `<a href="./index.html">`, `href="./assets/mark-`} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %s:\n%s", want, page)
		}
	}
	if !strings.Contains(scriptText, `"./`+path.Base(worker)+`"`) || !strings.Contains(workerText, `"./`+path.Base(wasm)+`"`) || !strings.Contains(styleText, "#010203") {
		t.Errorf("script %s\nworker %s\nstyle %s", scriptText, workerText, styleText)
	}
	if !s.Assets[wasm].rare || s.Assets[worker].rare {
		t.Error("the program is what few fetch")
	}
	for name, a := range alone.Assets {
		if b := s.Assets[name]; b == nil || string(b.Data) != string(a.Data) {
			t.Errorf("%s: is not as without the bench page", name)
		}
	}
	if n := len(s.Assets) - len(alone.Assets); n != 5 {
		t.Errorf("%d more files, want 5", n)
	}
	out := filepath.Join(t.TempDir(), "site")
	if err := s.Export(context.Background(), out); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(out, bench)); err != nil || !strings.Contains(string(b), `http-equiv="Content-Security-Policy"`) {
		t.Errorf("the exported page has no policy: %.300s, %v", b, err)
	}
	edit(t, filepath.Join(src.ui(), "bench", index), func(s string) string { return strings.Replace(s, "./bench.js", "./none.js", 1) })
	if _, err := src.assemble(); err == nil || !strings.Contains(err.Error(), "ui/bench/index.html: <script> refers to ./none.js") {
		t.Errorf("%v, want the place", err)
	}
}

// The same sources give the same names wherever they lie, and a change gives a new name to what it is in.
func TestNames(t *testing.T) {
	before := assembled(t, fixture(t)).Paths()
	if again := assembled(t, fixture(t)).Paths(); !slices.Equal(before, again) {
		t.Errorf("%q elsewhere, first %q", again, before)
	}
	for _, c := range []struct {
		change string
		do     func(src *sources)
		new    []string
	}{
		{"wasm", func(src *sources) { src.wasm = append(src.wasm, 0) }, []string{"innerloop", "main", "worker"}},
		{"opticks", func(src *sources) { src.opticks = []byte("other") }, []string{"main", "opticks", "worker"}},
		{"style", func(src *sources) {
			edit(t, filepath.Join(src.ui(), "colours.css"), func(s string) string { return s + "p { color: red; }" })
		}, []string{"style"}},
		{"late module", func(src *sources) {
			edit(t, filepath.Join(src.ui(), "late.js"), func(s string) string { return strings.Replace(s, "late.", "very late.", 1) + "\n;console.log(1);" })
		}, []string{"late", "main"}},
		{"driver", func(src *sources) {
			edit(t, src.driver, func(s string) string { return strings.Replace(s, "in flight", "flying", 1) })
		}, []string{"main", "worker"}},
		{"icon", func(src *sources) {
			edit(t, filepath.Join(src.ui(), "mark.svg"), func(s string) string { return s + " " })
		}, []string{"mark", "mark", "style"}},
	} {
		src := fixture(t)
		c.do(src)
		var changed []string
		for _, p := range assembled(t, src).Paths() {
			if !slices.Contains(before, p) {
				changed = append(changed, strings.Split(path.Base(p), "-")[0])
			}
		}
		slices.Sort(changed)
		if !slices.Equal(changed, c.new) {
			t.Errorf("%s changed: new names of %q, want %q", c.change, changed, c.new)
		}
	}
}

func TestWithoutOpticks(t *testing.T) {
	src := fixture(t)
	src.opticks = nil
	s := assembled(t, src)
	if _, text := named(t, s, "main", ".js"); !strings.Contains(text, `opticks:""`) {
		t.Errorf("main.js: %s", text)
	}
}

func TestFontsAreAllowedWhereUsed(t *testing.T) {
	src := fixture(t)
	s := assembled(t, src)
	if strings.Contains(s.policy(), "font-src") {
		t.Error("fonts are allowed without any")
	}
	edit(t, filepath.Join(src.ui(), "f.woff2"), func(string) string { return "wOF2" })
	edit(t, filepath.Join(src.ui(), "style.css"), func(s string) string {
		return s + `@font-face { font-family: f; src: url("./f.woff2"); }`
	})
	if p := assembled(t, src).policy(); !strings.HasSuffix(p, "; font-src 'self'") {
		t.Errorf("policy %s", p)
	}
}

// What is wrong with the page is told with its place.
func TestAssembleRefuses(t *testing.T) {
	page := func(old, to string) func(src *sources) {
		return func(src *sources) {
			edit(t, filepath.Join(src.ui(), index), func(s string) string {
				if !strings.Contains(s, old) {
					t.Fatalf("no %q in the page", old)
				}
				return strings.Replace(s, old, to, 1)
			})
		}
	}
	script := func(file, text string) func(src *sources) {
		return func(src *sources) {
			edit(t, filepath.Join(src.ui(), file), func(s string) string { return s + text })
		}
	}
	gone := func(file string) func(src *sources) {
		return func(src *sources) {
			if err := os.Remove(filepath.Join(src.root, filepath.FromSlash(file))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		do   func(src *sources)
		want string
	}{
		"syntax":          {script("main.js", "\nlet 1;\n"), "ui/main.js:19:5: Expected \";\" but found \"1\"\n\tlet 1;"},
		"missing import":  {script("worker.js", "import \"./none.js\";\n"), `ui/worker.js:9:8: Could not resolve "./none.js"`},
		"missing package": {script("main.js", "import \"uplot\";\n"), `ui/main.js:18:8: Could not resolve "uplot"`},
		"unknown module":  {script("main.js", "import \"innerloop:none\";\n"), "there is no module innerloop:none"},
		"wrong export":    {script("main.js", "import { none } from \"innerloop:assets\"; none();\n"), `No matching export in`},
		"style by script": {script("main.js", "import \"./style.css\";\n"), "ui/main.js: imports a style"},
		"missing url":     {script("style.css", "p { background: url(./none.png); }\n"), `ui/style.css:3:17: Could not resolve "./none.png"`},
		"no driver":       {gone("gpu/driver.js"), "driver.js: no such file"},
		"no page":         {gone("ui/index.html"), "index.html: no such file"},
		"no worker":       {gone("ui/worker.js"), "ui/worker.js"},
		"inline script":   {page("</head>", "<script>go()</script></head>"), "ui/index.html: <script>: the page's policy forbids inline"},
		"inline style":    {page("</head>", "<style>p{}</style></head>"), "ui/index.html: <style>: the page's policy forbids inline"},
		"style attribute": {page("<img", `<img style="color: red"`), "ui/index.html: <img style=...>: the page's policy forbids inline"},
		"handler":         {page("<body>", "<BODY OnLoad='go()'>"), "ui/index.html: <body onload=...>: the page's policy forbids inline"},
		"foreign script":  {page("./main.js", "https://cdn.example/main.js"), "ui/index.html: <script> refers to https://cdn.example/main.js: the page loads from its own server only"},
		"foreign style":   {page("style.css", "//cdn.example/style.css"), "ui/index.html: <link> refers to //cdn.example/style.css"},
		"absolute":        {page("./main.js", "/main.js"), "ui/index.html: <script> refers to /main.js: write it relative"},
		"outside":         {page("./mark.svg", "../gpu/driver.js"), "ui/index.html: <link> refers to ../gpu/driver.js, outside ui"},
		"missing file":    {page("./mark.svg", "./none.svg"), "ui/index.html: <link> refers to ./none.svg: open"},
		"strange file": {func(src *sources) {
			edit(t, filepath.Join(src.ui(), "mark.xyz"), func(string) string { return "x" })
			page("./mark.svg", "./mark.xyz")(src)
		}, "ui/index.html: <link> refers to assets/mark-2d711642b7.xyz: no kind of file that a page may have: want one of .css .html"},
		"main not used":    {page("./main.js", "./late.js"), "ui/index.html: no reference to ./main.js"},
		"stylesheet twice": {page("style.css", "colours.css"), "ui/index.html: no reference to ./style.css"},
	} {
		src := fixture(t)
		c.do(src)
		if _, err := src.assemble(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant ...%s...", name, err, c.want)
		}
	}
}

func TestManyErrorsAreCut(t *testing.T) {
	src := fixture(t)
	edit(t, filepath.Join(src.ui(), "main.js"), func(s string) string {
		lines := []string{s}
		for i := range 9 {
			lines = append(lines, fmt.Sprintf("import \"./none%d.js\";\n", i))
		}
		return strings.Join(lines, "")
	})
	_, err := src.assemble()
	if err == nil || strings.Count(err.Error(), "Could not resolve") != 5 || !strings.HasSuffix(err.Error(), "and 4 more") {
		t.Errorf("%v", err)
	}
}

func TestWithPolicy(t *testing.T) {
	for html, want := range map[string]string{
		"<html><head>\n<meta charset=\"utf-8\" />\n<title>": "<html><head>\n<meta charset=\"utf-8\" />\n<meta http-equiv=\"Content-Security-Policy\" content=\"p\">\n<title>",
		"<HEAD lang=en><title>":                             "<HEAD lang=en>\n<meta http-equiv=\"Content-Security-Policy\" content=\"p\"><title>",
		"<header><p>":                                       "",
	} {
		got, err := withPolicy(index, []byte(html), "p")
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", html, got, err, want)
		}
		if again, err := withPolicy(index, got, "p"); want != "" && (err != nil || string(again) != want) {
			t.Errorf("%q: twice: %q, %v", html, again, err)
		}
	}
}

// Build compiles a repository that has all the parts.
func TestBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles WebAssembly")
	}
	src := fixture(t)
	var said []string
	s, err := Build(context.Background(), Options{Root: src.root, Cache: t.TempDir(), Log: func(format string, a ...any) {
		said = append(said, fmt.Sprintf(format, a...))
	}})
	if err != nil {
		t.Fatal(err)
	}
	name, wasm := named(t, s, "innerloop", ".wasm")
	if !strings.HasPrefix(wasm, "\x00asm") || len(wasm) < 500_000 {
		t.Errorf("%s: %d bytes, %.8q", name, len(wasm), wasm)
	}
	if _, text := named(t, s, "worker", ".js"); !strings.Contains(text, "runtime.wasmExit") {
		t.Error("worker.js: Go's wasm_exec.js is not in it")
	}
	for p, a := range s.Assets {
		if len(a.Data) > 1000 && (a.Brotli() == nil || a.Gzip() == nil) {
			t.Errorf("%s: is not compressed", p)
		}
	}
	if len(said) != 2 || !strings.HasPrefix(said[0], "wasm ") || !strings.HasPrefix(said[1], "page ") {
		t.Errorf("said %q", said)
	}
	again, err := Build(context.Background(), Options{Root: filepath.Join(src.root, "ui")}) // any folder of the repository
	if err != nil || !slices.Equal(again.Paths(), s.Paths()) {
		t.Errorf("again: %v, %v", again.Paths(), err)
	}

	edit(t, filepath.Join(src.root, "wasm", "main.go"), func(s string) string { return s + "func broken() int {}\n" })
	if _, err := Build(context.Background(), Options{Root: src.root}); err == nil || !strings.Contains(err.Error(), "wasm/main.go:9:20: missing return") {
		t.Errorf("%v, want the place of the compiler", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Build(ctx, Options{Root: src.root}); err != context.Canceled { //nolint:errorlint // itself
		t.Errorf("%v, want that it was cancelled", err)
	}
}

func TestBuildOutside(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		_, err := Build(context.Background(), Options{Root: dir})
		if err == nil || !strings.Contains(err.Error(), "is not inside the repository of innerloop") {
			t.Errorf("%v", err)
		}
		edit(t, filepath.Join(dir, "go.mod"), func(string) string { return "module other\n\ngo 1.26\n" })
	}
}

// The lock of the page names the registry of npm itself for every package.
func TestLock(t *testing.T) {
	packages, err := runtimePackages(filepath.Join("..", "..", "..", "ui"))
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(packages)); !slices.Equal(got, []string{"node_modules/fflate", "node_modules/uplot"}) {
		t.Errorf("packages of the page: %q", got)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "ui", lockName))
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`"resolved": "([^"]*)"`).FindAllStringSubmatch(string(text), -1)
	if n := strings.Count(string(text), `"integrity": "sha512-`); n != len(all) || n < 2 {
		t.Errorf("%d packages have addresses and %d a sha512", len(all), n)
	}
	for _, m := range all {
		if !strings.HasPrefix(m[1], registry) {
			t.Errorf("%s: want %s...", m[1], registry)
		}
	}
}
