//go:build !js

package e2e

import (
	"path"
	"path/filepath"
	"strings"
	"testing"

	"innerloop/cmd/serve/web"
)

// packedSite is packed for a test.
func packedSite(t *testing.T) *web.Site {
	t.Helper()
	needsPage(t)
	s, err := packed()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The first visit brings at most 1.6 MB.
func TestWeight(t *testing.T) {
	t.Parallel()
	s := packedSite(t)
	const most = 1_600_000
	total, kinds := 0, map[string]int{}
	for name, a := range s.Assets {
		if strings.HasSuffix(name, ".txt") || strings.HasPrefix(path.Base(name), "bench") {
			continue // comes when it is asked for; the bench page is another page
		}
		n := len(a.Data)
		if br := a.Brotli(); br != nil {
			n = len(br)
		}
		total += n
		kinds[filepath.Ext(name)] += n
		t.Logf("%-34s %8d bytes, %8d as served", name, len(a.Data), n)
	}
	for _, want := range []string{".html", ".css", ".js", ".wasm"} {
		if kinds[want] == 0 {
			t.Errorf("the page has no %s", want)
		}
	}
	t.Logf("together %d bytes as served, of which wasm %d and scripts %d", total, kinds[".wasm"], kinds[".js"])
	if total > most {
		t.Errorf("the page weighs %d bytes as served, want at most %d", total, most)
	}
}
