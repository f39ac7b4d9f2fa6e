package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"
)

// serve builds the page and serves it until ctx ends.
func serve(ctx context.Context, o options, out, errs io.Writer) error {
	l, err := listen(o, out) // before the build: a port that is taken is told at once
	if err != nil {
		return err
	}
	defer l.Close() //nolint:errcheck // closed by the server, or nothing came of it
	s, err := site(ctx, buildOptions(out))
	if err != nil {
		return err
	}

	host, _, _ := net.SplitHostPort(o.addr) // parse has checked it
	server := &http.Server{
		Handler:           s.Handler(answersTo(host)...),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(errs, "serve: ", 0),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()

	at := address(host, l)
	fmt.Fprintf(out, "\n  %s\n\n", at)
	if unspecified(host) {
		fmt.Fprintln(out, "Other machines reach it too, but browsers offer them neither WebGPU nor storage unless it comes by https.")
	}
	if o.open {
		if err := open(at); err != nil {
			fmt.Fprintf(out, "Open the address above in a browser (%v).\n", err)
		}
	}
	compressed := make(chan bool)
	go func() {
		defer close(compressed)
		_ = s.Compress(ctx) // fails by ctx alone
	}()

	select {
	case err = <-served:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		server.Close() //nolint:errcheck // those who are still reading have had their time
	}
	select {
	case <-compressed:
	case <-end.Done(): // the cache outlives that
	}
	fmt.Fprintln(out, "stopped")
	return nil
}

// listen opens the address. Where the default one is taken, and nobody asked for it, the next ports are tried, so that
// the same few addresses, by which browsers keep runs, come again.
func listen(o options, out io.Writer) (net.Listener, error) {
	l, err := net.Listen("tcp", o.addr)
	if err == nil {
		return l, nil
	}
	if o.given {
		return nil, fmt.Errorf("-addr %s: %w", o.addr, cause(err))
	}
	host, text, _ := net.SplitHostPort(o.addr) // parse has checked it
	port, _ := strconv.Atoi(text)              // the default
	for i := 1; i <= 10; i++ {
		next := port + i
		if i == 10 {
			next = 0 // any
		}
		if l, e := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(next))); e == nil {
			fmt.Fprintf(out, "%s: %v, so another port serves. The browser keeps runs by address: those of the other are not here.\n", o.addr, cause(err))
			return l, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", o.addr, cause(err))
}

// cause takes the names of calls and addresses off an error of package net.
func cause(err error) error {
	var o *net.OpError
	var s *os.SyscallError
	if errors.As(err, &s) {
		return s.Err
	}
	if errors.As(err, &o) {
		return o.Err
	}
	return err
}

func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// answersTo are the names that requests may give the host, beside those of this machine for itself.
func answersTo(host string) []string {
	if !unspecified(host) {
		return []string{host}
	}
	names := []string{"0.0.0.0"}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	return names
}

// address is where a browser on this machine finds the page.
func address(host string, l net.Listener) string {
	if unspecified(host) {
		host = "127.0.0.1"
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "http://" + net.JoinHostPort(host, port) + "/"
}
