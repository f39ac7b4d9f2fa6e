//go:build bundle

package main

import (
	"context"
	"embed"
	"io/fs"

	"innerloop/cmd/serve/web"
)

//go:embed all:site
var bundled embed.FS

const program = "serve" // as its user calls it

// site is the page that was exported before this binary was built.
func site(_ context.Context, _ web.Options) (*web.Site, error) {
	dir, err := fs.Sub(bundled, "site")
	if err != nil {
		return nil, err
	}
	return web.Load(dir)
}
