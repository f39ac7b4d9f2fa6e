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
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// archive packs files as npm does. A name that starts with "->" is a link to what is in it.
func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: name, Mode: 0o777, Size: int64(len(files[name])), Typeflag: tar.TypeReg}
		if to, ok := strings.CutPrefix(files[name], "->"); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, to, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(files[name])); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func integrity(b []byte) string {
	sum := sha512.Sum512(b)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// shop is a registry with packages, and a ui folder whose lock names them. There is no npm on the PATH.
type shop struct {
	ui    string
	files map[string][]byte // by path
	lock  map[string]map[string]any
	asked []string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{ui: t.TempDir(), files: map[string][]byte{}, lock: map[string]map[string]any{"": {}}}
	var lock sync.Mutex
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		s.asked = append(s.asked, r.URL.Path)
		if b, ok := s.files[r.URL.Path]; ok {
			_, _ = w.Write(b)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(srv.Close)
	t.Setenv("npm_config_registry", srv.URL+"/mirror")
	t.Setenv("PATH", t.TempDir())
	edit(t, filepath.Join(s.ui, "package.json"), func(string) string { return "{}" })
	return s
}

// sell puts a package into the registry and the lock.
func (s *shop) sell(t *testing.T, at, version string, dev bool, files map[string]string) {
	t.Helper()
	name := packageName(at)
	if files == nil {
		files = map[string]string{"package/package.json": fmt.Sprintf(`{"name": %q, "version": %q}`, name, version), "package/dist/index.js": "export default " + version[:1] + ";"}
	}
	file := fmt.Sprintf("%s/-/%s-%s.tgz", name, path.Base(name), version)
	b := archive(t, files)
	s.files["/mirror/"+file] = b
	s.lock[at] = map[string]any{"version": version, "resolved": registry + file, "integrity": integrity(b)}
	if dev {
		s.lock[at]["dev"] = true
	}
	s.write(t)
}

func (s *shop) write(t *testing.T) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"lockfileVersion": 3, "packages": s.lock})
	if err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(s.ui, lockName), func(string) string { return string(b) })
}

func (s *shop) install() ([]string, error) {
	var said []string
	err := installPackages(context.Background(), s.ui, func(format string, a ...any) { said = append(said, fmt.Sprintf(format, a...)) })
	return said, err
}

func TestInstallWithoutNPM(t *testing.T) {
	s := newShop(t)
	s.sell(t, "node_modules/uplot", "1.6.32", false, nil)
	s.sell(t, "node_modules/@scope/deep", "2.0.0", false, nil)
	s.sell(t, "node_modules/uplot/node_modules/inner", "3.0.0", false, nil)
	s.sell(t, "node_modules/typescript", "7.0.2", true, nil)
	edit(t, filepath.Join(s.ui, "node_modules", "mine", "package.json"), func(string) string { return `{"version": "1"}` }) // a developer's

	said, err := s.install()
	if err != nil {
		t.Fatal(err)
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "npm   @scope/deep 2.0.0, uplot 1.6.32, inner 3.0.0: installed without npm in ") {
		t.Errorf("said %q", said)
	}
	want := []string{"mine/package.json", "@scope/deep/dist/index.js", "@scope/deep/package.json", "uplot/dist/index.js", "uplot/package.json",
		"uplot/node_modules/inner/dist/index.js", "uplot/node_modules/inner/package.json"}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(tree(t, filepath.Join(s.ui, "node_modules")))); !slices.Equal(got, want) {
		t.Errorf("installed %q, want %q", got, want)
	}
	s.noRest(t)
	if info, err := os.Stat(filepath.Join(s.ui, "node_modules", "uplot", "package.json")); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o111 != 0 {
		t.Errorf("a file is executable, or gone: %v, %v", info.Mode(), err)
	}

	asked := len(s.asked)
	if said, err := s.install(); err != nil || said != nil || len(s.asked) != asked {
		t.Errorf("the second start: said %q, %v, asked for %q", said, err, s.asked[asked:])
	}

	// Another version replaces what is there, and only that.
	s.sell(t, "node_modules/@scope/deep", "2.0.1", false, nil)
	if _, err := s.install(); err != nil {
		t.Fatal(err)
	}
	if got := s.asked[asked:]; len(got) != 1 {
		t.Errorf("asked for %q", got)
	}
	if b, err := os.ReadFile(filepath.Join(s.ui, "node_modules", "@scope", "deep", "package.json")); err != nil || !strings.Contains(string(b), "2.0.1") {
		t.Errorf("%s, %v", b, err)
	}
	s.noRest(t)
}

// noRest checks that no temporary folder is left.
func (s *shop) noRest(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(s.ui)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".npm") {
			t.Errorf("left %s", e.Name())
		}
	}
}

func TestInstallAtOnce(t *testing.T) {
	s := newShop(t)
	s.sell(t, "node_modules/uplot", "1.6.32", false, nil)
	s.sell(t, "node_modules/fflate", "0.8.3", false, nil)
	var group sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		group.Go(func() { _, errs[i] = s.install() })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if got := tree(t, filepath.Join(s.ui, "node_modules")); len(got) != 4 {
		t.Errorf("installed %q", slices.Sorted(maps.Keys(got)))
	}
	s.noRest(t)
}

func TestInstallRefuses(t *testing.T) {
	const at = "node_modules/uplot"
	packed := func(name, text string) func(t *testing.T, s *shop) {
		return func(t *testing.T, s *shop) {
			s.sell(t, at, "1.6.32", false, map[string]string{"package/package.json": `{"version": "1.6.32"}`, name: text})
		}
	}
	locked := func(key string, value any) func(t *testing.T, s *shop) {
		return func(t *testing.T, s *shop) {
			s.lock[at][key] = value
			s.write(t)
		}
	}
	for name, c := range map[string]struct {
		do   func(t *testing.T, s *shop)
		want string
	}{
		"changed on its way": {func(_ *testing.T, s *shop) { s.files["/mirror/uplot/-/uplot-1.6.32.tgz"][40] ^= 1 }, "damaged on its way"},
		"another hash":       {locked("integrity", integrity(nil)), "want " + integrity(nil)},
		"no hash":            {locked("integrity", ""), `integrity "" of package-lock.json: want a sha512`},
		"weak hash":          {locked("integrity", "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="), "want a sha512"},
		"elsewhere":          {locked("resolved", "https://evil.example/uplot.tgz"), `from "https://evil.example/uplot.tgz", want it from https://registry.npmjs.org/`},
		"not there":          {locked("resolved", registry+"uplot/-/uplot-9.tgz"), "/mirror/uplot/-/uplot-9.tgz: 404 Not Found"},
		"out of its folder":  {packed("package/../../../../evil.js", "x"), "is no path of a package's file"},
		"absolute":           {packed("/etc/evil.js", "->"), "is no plain file"},
		"absolute file":      {packed("package//etc/evil.js", "x"), "is no path of a package's file"},
		"backslash":          {packed(`package/..\..\evil.js`, "x"), "is no path of a package's file"},
		"no folder":          {packed("evil.js", "x"), "is no path of a package's file"},
		"link":               {packed("package/link", "->/etc"), `"package/link" is no plain file`},
		"no archive": {func(t *testing.T, s *shop) {
			s.files["/mirror/uplot/-/uplot-1.6.32.tgz"] = []byte("<html>sign in first</html>")
			locked("integrity", integrity([]byte("<html>sign in first</html>")))(t, s)
		}, "gzip: invalid header"},
		"cut": {func(t *testing.T, s *shop) {
			b := s.files["/mirror/uplot/-/uplot-1.6.32.tgz"]
			b = b[:len(b)/2]
			s.files["/mirror/uplot/-/uplot-1.6.32.tgz"] = b
			locked("integrity", integrity(b))(t, s)
		}, "unexpected EOF"},
	} {
		s := newShop(t)
		s.sell(t, at, "1.6.32", false, nil)
		c.do(t, s)
		_, err := s.install()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant ...%s...", name, err, c.want)
		}
		if err != nil && (!strings.Contains(err.Error(), "the page needs uplot 1.6.32") || !strings.Contains(err.Error(), "What helps: a connection to http://127.0.0.1:") ||
			!strings.Contains(err.Error(), "no npm on the PATH")) {
			t.Errorf("%s: the error does not help: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(s.ui, filepath.FromSlash(at))); !os.IsNotExist(err) {
			t.Errorf("%s: something was installed (%v)", name, err)
		}
		s.noRest(t)
	}
}

func TestInstallBadLock(t *testing.T) {
	s := newShop(t)
	for lock, want := range map[string]string{
		`{`: "package-lock.json: unexpected end",
		`{"packages": {"node_modules/../../evil": {"version": "1"}}}`: `package-lock.json: "node_modules/../../evil" is no path of a package`,
		`{"packages": {"/etc": {"version": "1"}}}`:                    `"/etc" is no path of a package`,
	} {
		edit(t, filepath.Join(s.ui, lockName), func(string) string { return lock })
		if _, err := s.install(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want ...%s...", lock, err, want)
		}
	}
	if _, err := (&shop{ui: t.TempDir()}).install(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want that there is no lock", err)
	}
}

// Where there is no network, the error says what helps.
func TestInstallWithoutNetwork(t *testing.T) {
	s := newShop(t)
	s.sell(t, "node_modules/uplot", "1.6.32", false, nil)
	srv := httptest.NewServer(nil)
	t.Setenv("npm_config_registry", srv.URL)
	srv.Close()
	if _, err := s.install(); err == nil || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), "npm_config_registry") {
		t.Errorf("%v", err)
	}
}

// npm is asked first, told to run no scripts, and believed only as far as the packages are there.
func TestInstallWithNPM(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("npm is played by a shell script")
	}
	fake := func(t *testing.T, script string) *shop {
		sh := "/bin/sh"
		s := newShop(t)
		s.sell(t, "node_modules/uplot", "1.6.32", false, nil)
		bin := filepath.Join(os.Getenv("PATH"), "npm")
		if err := os.WriteFile(bin, []byte("#!"+sh+"\nPATH=/usr/bin:/bin\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := fake(t, `echo "$@" >npm-args
[ -e package.json ] && [ -e package-lock.json ] || exit 9
mkdir -p node_modules/uplot && echo '{"version": "1.6.32", "args": "'"$*"'"}' >node_modules/uplot/package.json`)
	if said, err := s.install(); err != nil || len(said) != 1 || !strings.HasPrefix(said[0], "npm   uplot 1.6.32: installed by npm in ") || len(s.asked) != 0 {
		t.Errorf("said %q, asked for %q, %v", said, s.asked, err)
	}
	if b, err := os.ReadFile(filepath.Join(s.ui, "node_modules", "uplot", "package.json")); err != nil || !strings.Contains(string(b), `"ci --omit=dev --ignore-scripts `) {
		t.Errorf("%s, %v", b, err)
	}
	s.noRest(t)

	for name, script := range map[string]string{"fails": "echo 'npm error broken' >&2; exit 1", "does nothing": "exit 0"} {
		s := fake(t, script)
		if said, err := s.install(); err != nil || len(said) != 1 || !strings.Contains(said[0], "installed without npm") {
			t.Errorf("npm %s: said %q, %v", name, said, err)
		}
		clear(s.files)
		if err := os.RemoveAll(filepath.Join(s.ui, "node_modules")); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"fails": "npm ci fails:\nnpm error broken", "does nothing": "npm ci left out node_modules/uplot"}[name]
		if _, err := s.install(); err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), want) {
			t.Errorf("npm %s, and the registry has nothing: %v", name, err)
		}
	}
}
