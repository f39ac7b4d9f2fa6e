package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Handler serves the site over HTTP. Requests must name the host localhost, 127.0.0.1, [::1] or one of hosts, with the
// port that they came to; others get 421, so that a foreign name that is made to point at this machine reads nothing. An
// unspecified address among hosts (0.0.0.0, ::) admits every numeric address, which no foreign name can be.
func (s *Site) Handler(hosts ...string) http.Handler {
	h := &handler{site: s, policy: s.policy() + "; frame-ancestors 'none'", hosts: map[string]bool{}}
	for _, name := range append([]string{"localhost", "127.0.0.1", "::1"}, hosts...) {
		name = strings.ToLower(strings.Trim(name, "[]"))
		h.hosts[name] = true
		if ip, err := netip.ParseAddr(name); err == nil && ip.IsUnspecified() {
			h.anyIP = true
		}
	}
	return h
}

type handler struct {
	site   *Site
	policy string
	hosts  map[string]bool
	anyIP  bool
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	for name, value := range map[string]string{
		"Content-Security-Policy":      h.policy,
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Embedder-Policy": "require-corp",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), serial=(), hid=(), midi=()",
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
		"Accept-Ranges":                "none",
	} {
		head.Set(name, value)
	}
	if !h.admits(r) {
		refuse(w, http.StatusMisdirectedRequest, fmt.Sprintf("this server does not answer for %q: call it by the address that it printed", r.Host))
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "this server takes GET and HEAD only")
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = index
	}
	a := h.site.Assets[name]
	if a == nil || !strings.HasPrefix(r.URL.Path, "/") {
		refuse(w, http.StatusNotFound, "no such file")
		return
	}

	tag := `W/"` + a.sum[:32] + `"` // weak: one for all encodings
	head.Set("ETag", tag)
	head.Set("Vary", "Accept-Encoding")
	head.Set("Cache-Control", "no-cache")
	if immutable(name) {
		head.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, encoding, ok := a.choose(r.Header.Values("Accept-Encoding"))
	if !ok {
		head.Del("ETag")
		refuse(w, http.StatusNotAcceptable, "none of the encodings br, gzip, identity is accepted")
		return
	}
	if encoding != "identity" {
		head.Set("Content-Encoding", encoding)
	}
	head.Set("Content-Type", a.Type)
	head.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // a browser that hung up
	}
}

// refuse answers with an error in one line.
func refuse(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, fmt.Sprintf("%d: %s", code, why), code)
}

// admits says whether the request was meant for this server.
func (h *handler) admits(r *http.Request) bool {
	name, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		name, port = r.Host, "80"
	}
	name = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && port != strconv.Itoa(at.Port) {
		return false
	}
	if h.hosts[name] {
		return true
	}
	_, err = netip.ParseAddr(name)
	return h.anyIP && err == nil
}

// matches says whether an If-None-Match names the tag.
func matches(values []string, tag string) bool {
	for v := range strings.SplitSeq(strings.Join(values, ","), ",") {
		v = strings.TrimSpace(v)
		if v == "*" || strings.TrimPrefix(v, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// choose returns the form of the asset that the client likes best, the smallest where it does not care.
func (a *Asset) choose(accept []string) (body []byte, encoding string, ok bool) {
	type form struct {
		body     []byte
		encoding string
		q        float64
	}
	p := a.forms()
	q := qualities(accept)
	forms := []form{{p.br, "br", q("br")}, {p.gz, "gzip", q("gzip")}, {a.Data, "identity", q("identity")}}
	forms = slices.DeleteFunc(forms, func(f form) bool { return f.body == nil && f.encoding != "identity" || f.q == 0 })
	if len(forms) == 0 {
		return nil, "", false
	}
	best := slices.MaxFunc(forms, func(x, y form) int { // the first of equals
		switch {
		case x.q < y.q:
			return -1
		case x.q > y.q:
			return 1
		}
		return 0
	})
	return best.body, best.encoding, true
}

// qualities reads Accept-Encoding. Identity that is not named is taken where nothing else is.
func qualities(accept []string) func(coding string) float64 {
	const least = 1e-6
	q := map[string]float64{}
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, params, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "x-gzip" {
			name = "gzip"
		}
		v := 1.0
		for param := range strings.SplitSeq(params, ";") {
			key, value, _ := strings.Cut(param, "=")
			if strings.EqualFold(strings.TrimSpace(key), "q") {
				f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
				if err != nil || !(f >= 0 && f <= 1) {
					f = 0 // not understood: not taken
				}
				v = f
			}
		}
		if name != "" {
			q[name] = v
		}
	}
	return func(coding string) float64 {
		if v, ok := q[coding]; ok {
			return v
		}
		v, other := q["*"]
		if coding == "identity" && (!other || v > 0) {
			return least
		}
		return v
	}
}
