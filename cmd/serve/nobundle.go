//go:build !bundle

package main

import (
	"context"

	"innerloop/cmd/serve/web"
)

const program = "go run ./cmd/serve" // as its user calls it

// site builds the page.
func site(ctx context.Context, o web.Options) (*web.Site, error) { return web.Build(ctx, o) }
