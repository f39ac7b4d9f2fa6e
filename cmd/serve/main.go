// Command serve builds the page of innerloop, serves it on this machine, and opens it in the browser:
//
//	go run ./cmd/serve
//
// With -export DIR it writes a static site instead, for any web server. One binary that holds the page, and needs
// neither Go nor the repository where it runs, is made by
//
//	go generate ./cmd/serve
//	go build -tags bundle ./cmd/serve
//
// of which the first writes the page to cmd/serve/site, where the second looks for it: "pattern all:site: no matching
// files found" means that the first is missing.
package main

//go:generate go run . -export site

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"innerloop/cmd/serve/web"
	"innerloop/internal/words"
)

const defaultAddr = "127.0.0.1:8080"

const usage = `usage: ` + program + ` [-addr HOST:PORT] [-open=false] [-export DIR]

Serves the page of innerloop on this machine and opens it in the browser. Training happens there: texts and models
never leave the machine. Ctrl-C ends it; runs stay in the browser and are there at the next start.

  -addr HOST:PORT  where to serve (default ` + defaultAddr + `, or the next port that is free)
  -open=false      do not open the browser
  -export DIR      do not serve: write the page to DIR as a static site, for any web server and any sub-path

The browser keeps runs by address: the same host and port find them again. It offers WebGPU and storage to localhost,
127.0.0.1 and https only: elsewhere the page trains in pure Go and keeps runs in memory, until it is left.
`

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

func main() {
	outliveReaders()
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	addr   string
	given  bool // addr is the user's
	open   bool
	export string
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.addr, "addr", defaultAddr, "")
	f.BoolVar(&o.open, "open", true, "")
	f.StringVar(&o.export, "export", "", "")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	noFolder := false
	f.Visit(func(g *flag.Flag) {
		o.given = o.given || g.Name == "addr"
		noFolder = noFolder || g.Name == "export" && o.export == ""
	})
	if noFolder {
		return o, errors.New("-export: want the name of a folder")
	}
	if _, _, err := net.SplitHostPort(o.addr); err != nil {
		return o, fmt.Errorf("-addr %q: want HOST:PORT, as %s", o.addr, defaultAddr)
	}
	return o, nil
}

// run is the whole program but for the process around it; it returns the exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage)
		return exitOK
	case err != nil:
		fmt.Fprintf(errs, "serve: %v\n\n%s", err, usage)
		return exitUsage
	case o.export != "":
		err = export(ctx, o, out)
	default:
		err = serve(ctx, o, out, errs)
	}
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(errs, "serve: interrupted")
	default:
		fmt.Fprintf(errs, "serve: %v\n", err)
	}
	return exitFailed
}

// buildOptions are what the page is built with; what was done is told to out.
func buildOptions(out io.Writer) web.Options {
	o := web.Options{Log: func(format string, a ...any) { fmt.Fprintf(out, format+"\n", a...) }}
	if dir, err := os.UserCacheDir(); err == nil {
		o.Cache = filepath.Join(dir, "innerloop", "compressed")
	}
	return o
}

func export(ctx context.Context, o options, out io.Writer) error {
	start := time.Now()
	s, err := site(ctx, buildOptions(out))
	if err != nil {
		return err
	}
	if err := s.Export(ctx, o.export); err != nil {
		return fmt.Errorf("-export: %w", err)
	}
	fmt.Fprintf(out, "wrote %s in %.1f s: %s, and beside them what is smaller as .br and .gz\n", o.export, time.Since(start).Seconds(), words.Plural(len(s.Assets), "file"))
	return nil
}
