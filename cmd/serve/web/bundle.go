package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// sources are what a site is assembled from.
type sources struct {
	root     string // of the repository
	wasm     []byte
	bench    []byte // the bench page's program; nil: there is no bench page
	wasmExec string // a file: Go's wasm_exec.js
	driver   string // a file: gpu/driver.js
	opticks  []byte // nil: there is none
	version  string // of innerloop
}

func (src *sources) ui() string { return filepath.Join(src.root, "ui") }

// modules is the text of the modules that only a bundle has, by name.
type modules map[string]string

// assemble makes the site, without compressing it.
func (src *sources) assemble() (*Site, error) {
	s := &Site{Assets: map[string]*Asset{}}
	var err error
	if src.root, err = filepath.EvalSymlinks(src.root); err != nil { // as esbuild names files
		return nil, err
	}
	m := modules{}
	for name, file := range map[string]string{"innerloop:gpu": src.driver, "innerloop:wasm_exec": src.wasmExec} {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m[name] = string(text)
	}
	m["innerloop:gpu"] = "export default (\n" + m["innerloop:gpu"] + "\n);\n" // the file is an expression

	as := assetsModule{Version: src.version}
	if as.Wasm, err = s.addHashed("innerloop.wasm", src.wasm); err != nil {
		return nil, err
	}
	as.WasmBytes = len(src.wasm)
	if src.opticks != nil {
		if as.Opticks, err = s.addHashed("opticks.txt", src.opticks); err != nil {
			return nil, err
		}
	}
	// One after another: the page's script knows the worker's name.
	names := map[string]string{}
	for _, entry := range []string{"worker.js", "main.js", "style.css"} {
		as.Worker = names["worker.js"]
		m["innerloop:assets"] = as.module()
		if names[entry], err = s.bundle(src, entry, m); err != nil {
			return nil, err
		}
	}
	names[index], names["bench/"+index] = index, bench // for links from one to the other
	if err := s.addPage(src.ui(), index, index, names, "main.js", "style.css"); err != nil {
		return nil, err
	}
	if src.bench == nil {
		return s, nil
	}
	return s, s.addBench(src, m, names)
}

// addBench adds the bench page: a program, a worker and a script of its own, which the other page does not load.
func (s *Site) addBench(src *sources, m modules, names map[string]string) error {
	as := assetsModule{WasmBytes: len(src.bench)}
	var err error
	if as.Wasm, err = s.addHashed("benchmark.wasm", src.bench); err != nil {
		return err
	}
	s.Assets[as.Wasm].rare = true
	for _, entry := range []string{"bench/benchworker.js", "bench/bench.js", "bench/bench.css"} {
		as.Worker = names["bench/benchworker.js"]
		m["innerloop:assets"] = as.module()
		if names[entry], err = s.bundle(src, entry, m); err != nil {
			return err
		}
	}
	return s.addPage(src.ui(), "bench/"+index, bench, names, "bench/bench.js", "bench/bench.css")
}

// assetsModule is what innerloop:assets tells, as paths from the site's root.
type assetsModule struct {
	Worker, Wasm, Opticks string
	WasmBytes             int
	Version               string // of innerloop
}

// module is the text. All scripts lie beside what it names, so that import.meta.url finds it wherever the site lies.
func (a assetsModule) module() string {
	at := func(p string) string {
		if p == "" {
			return `""`
		}
		return fmt.Sprintf("new URL(%s, import.meta.url).href", quote("./"+path.Base(p)))
	}
	return fmt.Sprintf("export default { worker: %s, wasm: %s, wasmBytes: %d, version: %s, texts: { opticks: %s } };\n",
		at(a.Worker), at(a.Wasm), a.WasmBytes, quote(a.Version), at(a.Opticks))
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always can be
	return string(b)
}

// bundle adds ui/entry with all that it imports and returns the name that it got.
func (s *Site) bundle(src *sources, entry string, m modules) (string, error) {
	out := filepath.Join(src.root, "site") // nothing is written there
	const name = folder + "[name]-[hash]"
	r := api.Build(api.BuildOptions{
		EntryPoints:   []string{filepath.Join(src.ui(), entry)},
		AbsWorkingDir: src.root,
		Outdir:        out,
		EntryNames:    name, ChunkNames: name, AssetNames: name,
		Bundle: true, Splitting: true, TreeShaking: api.TreeShakingTrue, Metafile: true,
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true,
		LegalComments: api.LegalCommentsEndOfFile,
		Charset:       api.CharsetUTF8,
		Format:        api.FormatESModule,
		Platform:      api.PlatformBrowser,
		Target:        api.ES2022,
		Loader: map[string]api.Loader{
			".svg": api.LoaderFile, ".png": api.LoaderFile, ".woff2": api.LoaderFile, ".txt": api.LoaderText,
		},
		TsconfigRaw: "{}", // the file is for tsc
		Plugins:     []api.Plugin{m.plugin(src.ui())},
		LogLevel:    api.LogLevelSilent,
	})
	if err := bundleError(r.Errors); err != nil {
		return "", err
	}
	var meta struct {
		Outputs map[string]struct{ EntryPoint, CSSBundle string }
	}
	if err := json.Unmarshal([]byte(r.Metafile), &meta); err != nil {
		return "", fmt.Errorf("esbuild: %w", err)
	}
	got := ""
	for _, f := range r.OutputFiles {
		rel, err := filepath.Rel(out, f.Path)
		if err != nil {
			return "", err
		}
		rel = filepath.ToSlash(rel)
		if err := s.add(rel, f.Contents); err != nil {
			return "", err
		}
		made := meta.Outputs["site/"+rel]
		if made.CSSBundle != "" {
			return "", fmt.Errorf("ui/%s: imports a style; the page's come from ui/style.css, which may @import others", entry)
		}
		if made.EntryPoint == "ui/"+entry {
			got = rel
		}
	}
	if got == "" {
		return "", fmt.Errorf("ui/%s: esbuild made no file of it", entry)
	}
	return got, nil
}

// plugin resolves the modules of m; they may import what files of dir may.
func (m modules) plugin(dir string) api.Plugin {
	return api.Plugin{Name: "innerloop", Setup: func(b api.PluginBuild) {
		b.OnResolve(api.OnResolveOptions{Filter: `^innerloop:`}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
			if _, ok := m[a.Path]; !ok {
				return api.OnResolveResult{}, fmt.Errorf("there is no module %s", a.Path)
			}
			return api.OnResolveResult{Path: a.Path, Namespace: "innerloop"}, nil
		})
		b.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "innerloop"}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
			text := m[a.Path]
			return api.OnLoadResult{Contents: &text, ResolveDir: dir, Loader: api.LoaderJS}, nil
		})
	}}
}

// bundleError turns esbuild's messages into one error, the first with its line.
func bundleError(ms []api.Message) error {
	const most = 5
	var said []string
	for i, m := range ms {
		if i == most {
			said = append(said, fmt.Sprintf("and %d more", len(ms)-most))
			break
		}
		text := m.Text
		if l := m.Location; l != nil {
			text = fmt.Sprintf("%s:%d:%d: %s", l.File, l.Line, l.Column+1, text)
			if i == 0 && len(l.LineText) < 200 {
				text += "\n\t" + strings.TrimSpace(l.LineText)
			}
		}
		said = append(said, text)
	}
	if said == nil {
		return nil
	}
	return errors.New(strings.Join(said, "\n"))
}
