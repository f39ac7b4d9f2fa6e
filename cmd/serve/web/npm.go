package web

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	registry     = "https://registry.npmjs.org/" // which package-lock.json names
	lockName     = "package-lock.json"
	maxPackage   = 32 << 20  // bytes of a package, packed
	maxUnpacked  = 256 << 20 // and unpacked
	fetchTimeout = time.Minute
)

// locked is a package as package-lock.json holds it.
type locked struct {
	Version, Resolved, Integrity string
	Dev, DevOptional             bool
}

// runtimePackages reads the packages that the page itself needs, by path from ui: node_modules/uplot.
func runtimePackages(ui string) (map[string]locked, error) {
	text, err := os.ReadFile(filepath.Join(ui, lockName))
	if err != nil {
		return nil, err
	}
	var lock struct{ Packages map[string]locked }
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, fmt.Errorf("%s: %w", lockName, err)
	}
	maps.DeleteFunc(lock.Packages, func(at string, p locked) bool { return at == "" || p.Dev || p.DevOptional })
	for at := range lock.Packages {
		if !strings.HasPrefix(at, "node_modules/") || at != path.Clean(at) || !filepath.IsLocal(filepath.FromSlash(at)) {
			return nil, fmt.Errorf("%s: %q is no path of a package", lockName, at)
		}
	}
	return lock.Packages, nil
}

// installed says whether the folder of a package holds it.
func (p locked) installed(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "package.json"))
	var got struct{ Version string }
	return err == nil && json.Unmarshal(text, &got) == nil && got.Version == p.Version
}

// missing lists the packages that ui lacks, in order, those of others after them.
func missing(ui string, packages map[string]locked) []string {
	var out []string
	for _, at := range slices.Sorted(maps.Keys(packages)) {
		if !packages[at].installed(filepath.Join(ui, filepath.FromSlash(at))) {
			out = append(out, at)
		}
	}
	return out
}

// installPackages brings the packages that the page needs into ui/node_modules, at the versions of package-lock.json:
// with npm, and where there is none, or it fails, without. They come into a folder of their own first and are moved, so
// that nothing is left half installed, and packages of developers stay.
func installPackages(ctx context.Context, ui string, log func(string, ...any)) error {
	packages, err := runtimePackages(ui)
	if err != nil {
		return err
	}
	need := missing(ui, packages)
	if len(need) == 0 {
		return nil
	}
	start := time.Now()
	tmp, err := os.MkdirTemp(ui, ".npm-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // a temporary folder
	by := "by npm"
	npmErr := npm(ctx, ui, tmp)
	if npmErr == nil && len(missing(tmp, packages)) > 0 {
		npmErr = fmt.Errorf("npm ci left out %s", strings.Join(missing(tmp, packages), ", "))
	}
	if npmErr != nil && ctx.Err() == nil {
		by = "without npm"
		if err := fetchAll(ctx, tmp, packages, need); err != nil {
			return installError(packages, need, npmErr, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, at := range need {
		if err := moveIn(filepath.Join(tmp, filepath.FromSlash(at)), filepath.Join(ui, filepath.FromSlash(at)), packages[at], filepath.Join(tmp, "old")); err != nil {
			return err
		}
	}
	log("npm   %s: installed %s in %.1f s", list(packages, need), by, time.Since(start).Seconds())
	return nil
}

// moveIn moves a package from its temporary place to its own. Another process may do the same meanwhile.
func moveIn(from, to string, p locked, old string) error {
	if p.installed(to) { // as part of the one around it, or by another process
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(to); err == nil { // another version
		if err := os.MkdirAll(old, 0o755); err != nil {
			return err
		}
		away, err := os.MkdirTemp(old, "")
		if err != nil {
			return err
		}
		if err := os.Rename(to, filepath.Join(away, "package")); err != nil && !p.installed(to) {
			return err
		}
	}
	if err := os.Rename(from, to); err != nil && !p.installed(to) {
		return err
	}
	return nil
}

// list names packages: uplot 1.6.32, fflate 0.8.3.
func list(packages map[string]locked, paths []string) string {
	var out []string
	for _, at := range paths {
		out = append(out, packageName(at)+" "+packages[at].Version)
	}
	return strings.Join(out, ", ")
}

func packageName(at string) string {
	return at[strings.LastIndex(at, "node_modules/")+len("node_modules/"):]
}

func installError(packages map[string]locked, need []string, npmErr, err error) error {
	how := fmt.Sprintf("npm failed too: %v", npmErr)
	if errors.Is(npmErr, exec.ErrNotFound) {
		how = "there is no npm on the PATH to try"
	}
	return fmt.Errorf(`the page needs %s of the registry of npm, once, and cannot have it: %w
(%s)
What helps: a connection to %s; a mirror in npm_config_registry or a proxy in HTTPS_PROXY, if you use one;
or a copy of the folder ui/node_modules from a machine that has it`, list(packages, need), err, how, registryBase())
}

// npm installs into dir what ui/package-lock.json says.
func npm(ctx context.Context, ui, dir string) error {
	bin, err := exec.LookPath("npm")
	if err != nil {
		return err
	}
	for _, name := range []string{"package.json", lockName} {
		b, err := os.ReadFile(filepath.Join(ui, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			return err
		}
	}
	_, err = command(ctx, dir, nil, bin, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund",
		"--loglevel=error", "--fetch-retries=1", "--fetch-timeout=30000")
	return err
}

// registryBase is the registry that packages come from, with a slash at the end.
func registryBase() string {
	for _, name := range []string{"npm_config_registry", "NPM_CONFIG_REGISTRY"} {
		if at := os.Getenv(name); at != "" {
			return strings.TrimSuffix(at, "/") + "/"
		}
	}
	return registry
}

// fetchAll downloads packages into dir and checks them.
func fetchAll(ctx context.Context, dir string, packages map[string]locked, need []string) error {
	for _, at := range need {
		if err := packages[at].fetch(ctx, filepath.Join(dir, filepath.FromSlash(at))); err != nil {
			return fmt.Errorf("%s %s: %w", packageName(at), packages[at].Version, err)
		}
	}
	return nil
}

// fetch downloads a package, checks it, and unpacks it into dir.
func (p locked) fetch(ctx context.Context, dir string) error {
	file, ok := strings.CutPrefix(p.Resolved, registry)
	if !ok {
		return fmt.Errorf("%s has it from %q, want it from %s", lockName, p.Resolved, registry)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	at, err := url.JoinPath(registryBase(), file)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // was only read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", at, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxPackage+1))
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	if len(data) > maxPackage {
		return fmt.Errorf("%s: more than %d bytes", at, maxPackage)
	}
	if err := p.verify(data); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	if err := unpack(data, dir); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// verify compares the SHA-512 of what came with the one that package-lock.json holds.
func (p locked) verify(data []byte) error {
	sum := sha512.Sum512(data)
	got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	for want := range strings.FieldsSeq(p.Integrity) {
		if strings.HasPrefix(want, "sha512-") {
			if got != want {
				return fmt.Errorf("integrity %s, want %s of %s: damaged on its way, or not the package that it was", got, want, lockName)
			}
			return nil
		}
	}
	return fmt.Errorf("integrity %q of %s: want a sha512", p.Integrity, lockName)
}

// unpack writes the files of a package's archive into dir. Nothing but plain files below its one folder is taken.
func unpack(data []byte, dir string) error {
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // a folder
	left := int64(maxUnpacked)
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeXGlobalHeader:
			continue
		case h.Typeflag != tar.TypeReg:
			return fmt.Errorf("%q is no plain file", h.Name)
		}
		_, name, ok := strings.Cut(h.Name, "/") // archives hold one folder, mostly named package
		if name = filepath.FromSlash(name); !ok || strings.Contains(h.Name, `\`) || !filepath.IsLocal(name) {
			return fmt.Errorf("%q is no path of a package's file", h.Name)
		}
		if left -= h.Size; left < 0 {
			return fmt.Errorf("more than %d bytes unpacked", maxUnpacked)
		}
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := writeFile(root, name, r); err != nil {
			return err
		}
	}
}

func writeFile(root *os.Root, name string, from io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
