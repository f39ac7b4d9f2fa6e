package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	programs "innerloop/internal/version"
)

// Options say what Build builds. The zero value builds the page of the repository around the working directory.
type Options struct {
	Root  string                        // the folder of innerloop's go.mod; empty: found from the working directory
	Cache string                        // a folder, made when needed, that keeps what compresses slowly; empty: nothing is kept
	Log   func(format string, a ...any) // is told what was done and how long it took, a line each; nil: nobody is
}

// module is the path of the module that Root holds.
const module = "innerloop"

// Build compiles ./wasm for the browser, bundles ui/main.js, ui/worker.js and ui/style.css, and gathers what
// ui/index.html refers to; and the same, of ./wasm/benchmark and ui/bench, for the page bench.html. It needs the go
// command. Packages from npm that ui/ lacks are installed first, by npm or without it.
//
// Scripts of the page may import, beside npm's packages:
//
//	innerloop:assets     { worker, wasm, texts: { opticks } }, addresses, "" for what there is not; wasmBytes, a size; version
//	innerloop:gpu        the function of gpu/driver.js
//	innerloop:wasm_exec  for its effect: Go's globalThis.Go
func Build(ctx context.Context, o Options) (*Site, error) {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	env, err := goEnv(ctx, o.Root)
	if err != nil {
		return nil, err
	}
	src := sources{
		root:     env.root,
		wasmExec: filepath.Join(env.GOROOT, "lib", "wasm", "wasm_exec.js"),
		driver:   filepath.Join(env.root, "gpu", "driver.js"),
		version:  version(ctx, env.root),
	}
	if err := installPackages(ctx, src.ui(), o.Log); err != nil {
		return nil, err
	}

	start := time.Now()
	if src.wasm, err = buildWasm(ctx, src.root, "./wasm"); err != nil {
		return nil, err
	}
	if src.bench, err = buildWasm(ctx, src.root, "./wasm/benchmark"); err != nil {
		return nil, err
	}
	built := time.Since(start)
	if src.opticks, err = opticks(env.GOROOT); err != nil {
		return nil, err
	}
	start = time.Now()
	s, err := src.assemble()
	if err != nil {
		return nil, err
	}
	s.cache, s.log = cache{o.Cache, cacheLimit}, o.Log
	if err := s.quick(ctx); err != nil {
		return nil, err
	}
	s.report(o.Log, env.GOVERSION, built, time.Since(start))
	return s, nil
}

// report tells the sizes of what was built.
func (s *Site) report(log func(string, ...any), version string, wasm, page time.Duration) {
	var scripts, scriptsPacked, wasmSize, wasmPacked int
	for name, a := range s.Assets {
		switch {
		case a.rare:
		case strings.HasSuffix(name, ".wasm"):
			wasmSize, wasmPacked = len(a.Data), smallest(a)
		case !strings.HasSuffix(name, ".txt"):
			scripts += len(a.Data)
			scriptsPacked += smallest(a)
		}
	}
	log("wasm  %9s, %s compressed: compiled by %s in %.1f s", size(wasmSize), size(wasmPacked), version, wasm.Seconds())
	log("page  %9s, %s compressed: bundled in %.1f s", size(scripts), size(scriptsPacked), page.Seconds())
}

func smallest(a *Asset) int {
	n := len(a.Data)
	for _, b := range [][]byte{a.Brotli(), a.Gzip()} {
		if b != nil {
			n = min(n, len(b))
		}
	}
	return n
}

func size(n int) string {
	if n < 1e6 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.2f MB", float64(n)/1e6)
}

type environment struct {
	GOROOT, GOVERSION, GOMOD string
	root                     string
}

// goEnv asks the go command where it is and, unless root names it, where the repository is.
func goEnv(ctx context.Context, root string) (environment, error) {
	var e environment
	out, err := command(ctx, root, nil, "go", "env", "-json", "GOROOT", "GOVERSION", "GOMOD")
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(out, &e); err != nil {
		return e, fmt.Errorf("go env: %w", err)
	}
	e.root = filepath.Dir(e.GOMOD)
	mod, err := os.ReadFile(e.GOMOD)
	if first, _, _ := strings.Cut(string(mod), "\n"); err != nil || strings.TrimSpace(first) != "module "+module {
		if root == "" {
			root = "the working directory"
		}
		return e, fmt.Errorf("%s is not inside the repository of %s, of which the page is built", root, module)
	}
	return e, nil
}

// version says which innerloop the page is: what git calls the state of the repository at root, else the version of this
// program.
func version(ctx context.Context, root string) string {
	if out, err := command(ctx, root, nil, "git", "describe", "--always", "--dirty", "--tags"); err == nil {
		if v := strings.TrimSpace(string(out)); v != "" {
			return v
		}
	}
	return programs.Of().Short()
}

// hot are the packages in which calls cost a training step time, where pure Go makes it.
var hot = []string{
	"internal/runtime/...", "math/...", "sync/...", module + "/ttt", module + "/internal/blas",
}

// buildWasm compiles a package of the module at root. Only in hot packages are calls inlined: compressed, the file is a
// tenth smaller so.
func buildWasm(ctx context.Context, root, pkg string) ([]byte, error) {
	dir, err := os.MkdirTemp("", module+"-wasm-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	file := filepath.Join(dir, module+".wasm")
	// Without -buildvcs=false every commit would change the file and so its name; the page's scripts have the version.
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-gcflags=all=-l"}
	for _, p := range hot {
		args = append(args, "-gcflags="+p+"=")
	}
	args = append(args, "-o", file, pkg)
	if _, err := command(ctx, root, []string{"GOOS=js", "GOARCH=wasm"}, "go", args...); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(file)
	return joined(b), err
}

// command runs a program in dir and returns what it printed. The error of one that fails holds what it complained of.
func command(ctx context.Context, dir string, env []string, name string, arg ...string) ([]byte, error) {
	what := filepath.Base(name) + " " + arg[0]
	c := exec.CommandContext(ctx, name, arg...)
	c.Dir = dir
	c.Env = append(c.Environ(), env...)
	c.WaitDelay = 3 * time.Second // children that live on keep the pipes open
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	switch {
	case err == nil:
		return out.Bytes(), nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("%s: there is no %s on the PATH", what, name)
	}
	if said := strings.TrimSpace(errs.String()); said != "" {
		return nil, fmt.Errorf("%s fails:\n%s", what, said)
	}
	return nil, fmt.Errorf("%s: %w", what, err)
}

// opticks reads Newton's Opticks from the Go installation's test data, or returns nil where that was left out.
func opticks(goroot string) ([]byte, error) {
	for _, dir := range []string{"src/testdata", "src/compress/testdata"} {
		b, err := os.ReadFile(filepath.Join(goroot, filepath.FromSlash(dir), "Isaac.Newton-Opticks.txt"))
		if !errors.Is(err, os.ErrNotExist) {
			return b, err
		}
	}
	return nil, nil
}
