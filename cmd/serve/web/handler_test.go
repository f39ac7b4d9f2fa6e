package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
)

// small is a site of a page, a script that compresses, and an icon that does not.
func small(t *testing.T) *Site {
	t.Helper()
	s := &Site{Assets: map[string]*Asset{}}
	for name, text := range map[string]string{
		index: "<!doctype html><head></head>" + strings.Repeat("<p>page</p>", 9), "assets/main-1.js": strings.Repeat("go();", 500), "assets/i-1.png": "\x89PNG",
		"assets/t-1.wasm": strings.Repeat("\x00asm", 500),
	} {
		if err := s.add(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.quick(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request whose headers alternate names and values.
func ask(h http.Handler, method, path string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, "http://localhost:8080"+path, nil)
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{Port: 8080}))
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHeaders(t *testing.T) {
	h := small(t).Handler()
	const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; " +
		"worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	always := map[string]string{
		"Content-Security-Policy": policy, "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp",
		"Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
	}
	const forever = "public, max-age=31536000, immutable"
	for _, c := range []struct {
		method, path        string
		code                int
		kind, cacheFor, fit string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "no-cache", "Accept-Encoding"},
		{"GET", "/index.html", 200, "text/html; charset=utf-8", "no-cache", "Accept-Encoding"},
		{"HEAD", "/assets/main-1.js", 200, "text/javascript; charset=utf-8", forever, "Accept-Encoding"},
		{"GET", "/assets/t-1.wasm?x", 200, "application/wasm", forever, "Accept-Encoding"},
		{"GET", "/assets/i-1.png", 200, "image/png", forever, "Accept-Encoding"},
		{"GET", "/assets/main-2.js", 404, "text/plain; charset=utf-8", "no-store", ""},
		{"GET", "/assets/", 404, "text/plain; charset=utf-8", "no-store", ""},
		{"GET", "/../index.html", 404, "text/plain; charset=utf-8", "no-store", ""},
		{"GET", "//index.html", 404, "text/plain; charset=utf-8", "no-store", ""},
		{"POST", "/", 405, "text/plain; charset=utf-8", "no-store", ""},
		{"OPTIONS", "/none", 405, "text/plain; charset=utf-8", "no-store", ""},
	} {
		r := ask(h, c.method, c.path)
		want := maps.Clone(always)
		maps.Copy(want, map[string]string{"Content-Type": c.kind, "Cache-Control": c.cacheFor, "Vary": c.fit})
		if c.code == 405 {
			want["Allow"] = "GET, HEAD"
		}
		if r.StatusCode != c.code {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, r.StatusCode, c.code)
		}
		for name, value := range want {
			if got := r.Header.Get(name); got != value {
				t.Errorf("%s %s: %s is %q, want %q", c.method, c.path, name, got, value)
			}
		}
		if b := body(t, r); c.code != 200 && len(b) > 100 {
			t.Errorf("%s %s: %d bytes of an error", c.method, c.path, len(b))
		}
	}
}

func TestHeadIsGetWithoutBody(t *testing.T) {
	h := small(t).Handler()
	get, head := ask(h, "GET", "/", "Accept-Encoding", "br"), ask(h, "HEAD", "/", "Accept-Encoding", "br")
	for name := range get.Header {
		if get.Header.Get(name) != head.Header.Get(name) {
			t.Errorf("%s: GET %q, HEAD %q", name, get.Header.Get(name), head.Header.Get(name))
		}
	}
	if b := body(t, head); b != "" {
		t.Errorf("HEAD sent %d bytes", len(b))
	}
	if n := len(body(t, get)); int64(n) != get.ContentLength && get.Header.Get("Content-Length") == "" {
		t.Errorf("GET sent %d bytes without saying so", n)
	}
}

func TestEncodings(t *testing.T) {
	s := small(t)
	h := s.Handler()
	const js, png = "/assets/main-1.js", "/assets/i-1.png"
	for _, c := range []struct{ path, accept, want string }{
		{js, "", ""},
		{js, "gzip, deflate, br, zstd", "br"},
		{js, "gzip", "gzip"},
		{js, "X-GZIP", "gzip"},
		{js, "br;q=0.5, gzip;q=0.8", "gzip"},
		{js, "br;q=0, gzip", "gzip"},
		{js, "br ; Q=0.1", "br"},
		{js, "*", "br"},
		{js, "br;q=0, *;q=0.1", "gzip"},
		{js, "identity, br;q=0.9", ""},
		{js, "deflate", ""},
		{js, "gzip;q=nonsense", ""},
		{js, "gzip;q=2", ""},
		{js, ",;,;;q", ""},
		{js, "identity;q=0, gzip;q=0.001", "gzip"},
		{js, "identity;q=0", "406"},
		{js, "*;q=0", "406"},
		{js, "br;q=0, gzip;q=0, *;q=0", "406"},
		{png, "br, gzip", ""}, // no smaller
		{png, "br, identity;q=0", "406"},
	} {
		r := ask(h, "GET", c.path, "Accept-Encoding", c.accept)
		if c.want == "406" {
			if r.StatusCode != http.StatusNotAcceptable || r.Header.Get("ETag") != "" {
				t.Errorf("%q: %d, want 406", c.accept, r.StatusCode)
			}
			continue
		}
		if got := r.Header.Get("Content-Encoding"); got != c.want || r.StatusCode != http.StatusOK {
			t.Errorf("%s, %q: %d %q, want %q", c.path, c.accept, r.StatusCode, got, c.want)
		}
		var in io.Reader = r.Body
		switch c.want {
		case "br":
			in = brotli.NewReader(r.Body)
		case "gzip":
			var err error
			if in, err = gzip.NewReader(r.Body); err != nil {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(in)
		if want := s.Assets[c.path[1:]].Data; err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, %q: %d bytes, want %d (%v)", c.path, c.accept, len(got), len(want), err)
		}
	}
	// Several fields are one list.
	if r := ask(h, "GET", js, "Accept-Encoding", "deflate", "Accept-Encoding", "gzip"); r.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("two fields: %q, want gzip", r.Header.Get("Content-Encoding"))
	}
}

func TestNotModified(t *testing.T) {
	s := small(t)
	h := s.Handler()
	tag := ask(h, "GET", "/").Header.Get("ETag")
	if other := ask(h, "GET", "/assets/main-1.js").Header.Get("ETag"); tag == "" || tag == other {
		t.Fatalf("ETags %q and %q", tag, other)
	}
	for value, want := range map[string]int{
		tag: 304, strings.TrimPrefix(tag, "W/"): 304, `"other", ` + tag: 304, "*": 304, `W/"other"`: 200, `"`: 200, "": 200,
	} {
		r := ask(h, "GET", "/", "If-None-Match", value)
		if r.StatusCode != want {
			t.Errorf("If-None-Match: %s: %d, want %d", value, r.StatusCode, want)
		}
		if b := body(t, r); want == 304 && (b != "" || r.Header.Get("ETag") != tag || r.Header.Get("Vary") == "") {
			t.Errorf("304 with body %q, headers %v", b, r.Header)
		}
	}
}

// There are no ranges: a request for one is answered with the whole.
func TestRange(t *testing.T) {
	r := ask(small(t).Handler(), "GET", "/assets/main-1.js", "Range", "bytes=0-9")
	if r.StatusCode != http.StatusOK || r.Header.Get("Accept-Ranges") != "none" || len(body(t, r)) != 2500 {
		t.Errorf("%d, Accept-Ranges %q", r.StatusCode, r.Header.Get("Accept-Ranges"))
	}
}

func TestHost(t *testing.T) {
	s := small(t)
	for _, c := range []struct {
		extra, host string
		ok          bool
	}{
		{"", "localhost:8080", true},
		{"", "LocalHost:8080", true},
		{"", "127.0.0.1:8080", true},
		{"", "[::1]:8080", true},
		{"", "localhost:8081", false},
		{"", "localhost", false}, // port 80
		{"", "127.0.0.1.evil.example:8080", false},
		{"", "evil.example:8080", false},
		{"", "192.168.0.7:8080", false},
		{"", "", false},
		{"", "localhost:8080:8080", false},
		{"box.lan", "box.lan:8080", true},
		{"box.lan", "localhost:8080", true},
		{"box.lan", "other.lan:8080", false},
		{"[::2]", "[::2]:8080", true},
		{"0.0.0.0", "192.168.0.7:8080", true},
		{"::", "[fe80::1]:8080", true},
		{"0.0.0.0", "evil.example:8080", false},
		{"0.0.0.0", "192.168.0.7:8081", false},
	} {
		var hosts []string
		if c.extra != "" {
			hosts = []string{c.extra}
		}
		r := ask(s.Handler(hosts...), "GET", "/", "Host", c.host)
		if want := map[bool]int{true: 200, false: 421}[c.ok]; r.StatusCode != want {
			t.Errorf("Host %q with %q: %d, want %d", c.host, c.extra, r.StatusCode, want)
		}
		if b := body(t, r); !c.ok && strings.Contains(b, "page") {
			t.Errorf("Host %q: sent the page", c.host)
		}
	}
}

// Over a real connection the port is that of the listener.
func TestHostOverTCP(t *testing.T) {
	srv := httptest.NewServer(small(t).Handler())
	defer srv.Close()
	for host, want := range map[string]int{"": 200, "localhost:1": 421, "evil.example": 421} {
		req, err := http.NewRequest(http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		r, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close() //nolint:errcheck // was not read
		if r.StatusCode != want {
			t.Errorf("Host %q: %d, want %d", host, r.StatusCode, want)
		}
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	f.Add("br;q=0.5, gzip;q=NaN, *;q=0")
	a := &Asset{Data: []byte("data")}
	a.packed.Store(&packed{br: []byte("b"), gz: []byte("g")})
	f.Fuzz(func(t *testing.T, accept string) {
		got, encoding, ok := a.choose([]string{accept})
		want := map[string]string{"br": "b", "gzip": "g", "identity": "data", "": ""}[encoding]
		if string(got) != want || ok != (encoding != "") {
			t.Errorf("%q: %q, %q, %v", accept, got, encoding, ok)
		}
	})
}
