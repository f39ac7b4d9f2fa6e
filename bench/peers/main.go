//go:build !js

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

type options struct {
	rounds   int
	seconds  float64
	seed     uint64
	suite    string
	only     string
	profile  bool
	json     bool
	hardware bool
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 7, "rounds in which each contender takes its turn")
	flag.Float64Var(&o.seconds, "seconds", 1, "seconds that a turn lasts, about")
	flag.Uint64Var(&o.seed, "seed", 1, "of the inputs")
	flag.StringVar(&o.suite, "suite", "all", "matmul, step or all")
	flag.StringVar(&o.only, "only", "hand,jax,tf", "contenders beside ours, separated by commas")
	flag.BoolVar(&o.profile, "profile", false, "time each kernel of our step by itself, too")
	flag.BoolVar(&o.json, "json", false, "print one JSON object")
	flag.BoolVar(&o.hardware, "hardware", false, "let the browser take a GPU instead of the CPU that plays one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// run measures and prints; progress goes to errs.
func run(ctx context.Context, o options, out, errs io.Writer) error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case o.rounds < 1:
		return fmt.Errorf("-rounds %d: want at least 1", o.rounds)
	case !(o.seconds > 0 && o.seconds <= 60): // NaN too
		return fmt.Errorf("-seconds %g: want more than 0 and at most 60", o.seconds)
	case o.suite != "all" && o.suite != "matmul" && o.suite != "step":
		return fmt.Errorf("-suite %q: want matmul, step or all", o.suite)
	}
	for name := range strings.SplitSeq(o.only, ",") {
		if name == "ours" || !slices.Contains(matmulContenders, name) {
			return fmt.Errorf("-only %s: no contender %q, want some of hand, jax, tf", o.only, name)
		}
	}
	dir, err := folder(ctx)
	if err != nil {
		return err
	}
	if !installed(dir) {
		fmt.Fprintln(errs, "npm ci")
		if err := install(ctx, dir); err != nil {
			return err
		}
	}
	fmt.Fprintln(errs, "build")
	in, err := newInputs(o.seed)
	if err != nil {
		return err
	}
	s, err := build(ctx, dir, in)
	if err != nil {
		return err
	}
	p, closeAll, err := browse(ctx, s, o.hardware)
	if err != nil {
		return err
	}
	defer closeAll()
	r, err := measure(p, o, errs)
	if err != nil {
		return errors.Join(err, ctx.Err())
	}
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	r.print(out)
	return nil
}
