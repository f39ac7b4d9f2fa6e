//go:build !js

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// scripts are the page's and those of the contenders' workers.
var scripts = []string{"page", "ours", "hand", "jax", "tf"}

// site is what the browser asks for, by path.
type site map[string]asset

type asset struct {
	kind string
	body []byte
}

// ServeHTTP implements http.Handler. The page is isolated: it then has a clock of 5 us instead of 100.
func (s site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, ok := s[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Embedder-Policy", "require-corp")
	h.Set("Content-Type", a.kind)
	_, _ = w.Write(a.body)
}

// folder is this folder in the module.
func folder(ctx context.Context) (string, error) {
	mod, err := output(exec.CommandContext(ctx, "go", "env", "GOMOD"))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(mod), "bench", "peers")
	if _, err := os.Stat(filepath.Join(dir, "package.json")); err != nil {
		return "", fmt.Errorf("run this in innerloop's repository: %w", err)
	}
	return dir, nil
}

// installed says whether npm's packages are there.
func installed(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json"))
	return err == nil
}

// install gets npm's packages, of the versions that package-lock.json names.
func install(ctx context.Context, dir string) error {
	_, err := output(exec.CommandContext(ctx, "npm", "ci", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"))
	return err
}

// build makes the site of in; the packages have to be there.
func build(ctx context.Context, dir string, in *inputs) (site, error) {
	s := site{
		"/":            {"text/html; charset=utf-8", []byte("<!doctype html><title>peers</title><script type=module src=/page.js></script>\n")},
		"/favicon.ico": {"image/x-icon", nil},
	}
	manifest, err := in.manifest()
	if err != nil {
		return nil, err
	}
	s["/data/manifest"] = asset{"application/json", manifest}
	add := func(name string, body []byte) { s["/data/"+name] = asset{"application/octet-stream", body} }
	add("weights", bytesOf(in.weights))
	add("text", in.text)
	add("a", bytesOf(in.a))
	add("b", bytesOf(in.b))
	for _, form := range forms {
		add(form, bytesOf(in.product(form)))
	}
	if err := s.bundle(dir); err != nil {
		return nil, err
	}
	return s, s.compile(ctx, dir)
}

// bundle adds the scripts, each in one file with what it imports.
func (s site) bundle(dir string) error {
	var entries []string
	for _, name := range scripts {
		entries = append(entries, filepath.Join(dir, name+".js"))
	}
	r := api.Build(api.BuildOptions{
		EntryPoints: entries, AbsWorkingDir: dir, Outdir: filepath.Join(dir, "site"), // nothing is written there
		Bundle: true, MinifySyntax: true, MinifyWhitespace: true,
		Format: api.FormatESModule, Platform: api.PlatformBrowser, Target: api.ES2022,
		External: []string{"/wasm_exec.js"}, TsconfigRaw: "{}", LogLevel: api.LogLevelSilent,
	})
	var errs []error
	for _, m := range r.Errors {
		at := ""
		if l := m.Location; l != nil {
			at = fmt.Sprintf("%s:%d: ", l.File, l.Line)
		}
		errs = append(errs, errors.New(at+m.Text))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, f := range r.OutputFiles {
		s["/"+filepath.Base(f.Path)] = asset{"text/javascript; charset=utf-8", f.Contents}
	}
	return nil
}

// compile adds our side, and Go's script that runs it.
func (s site) compile(ctx context.Context, dir string) error {
	tmp, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // the system clears it
	wasm := filepath.Join(tmp, "ours.wasm")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", wasm, ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if _, err := output(cmd); err != nil {
		return err
	}
	root, err := output(exec.CommandContext(ctx, "go", "env", "GOROOT"))
	if err != nil {
		return err
	}
	for _, f := range []struct{ path, kind, file string }{
		{"/ours.wasm", "application/wasm", wasm},
		{"/wasm_exec.js", "text/javascript; charset=utf-8", filepath.Join(root, "lib", "wasm", "wasm_exec.js")},
	} {
		body, err := os.ReadFile(f.file)
		if err != nil {
			return err
		}
		s[f.path] = asset{f.kind, body}
	}
	return nil
}

// output runs a command and returns what it prints, trimmed; an error holds what it said.
func output(c *exec.Cmd) (string, error) {
	var said strings.Builder
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
