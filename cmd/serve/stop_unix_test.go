//go:build unix

package main

import (
	"bufio"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"innerloop/internal/check"
)

func init() { check.HearSignals() }

// hangUp checks that a server goes on where nobody reads what it prints, and that a terminal that hangs up ends it as
// Ctrl-C does.
func hangUp(t *testing.T, bin string) {
	t.Helper()
	c := exec.Command(bin, "-addr", "127.0.0.1:0", "-open=false")
	c.Dir, c.Env = t.TempDir(), []string{"PATH=/nonexistent"}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill() //nolint:errcheck // it has ended
	at := ""
	for lines := bufio.NewScanner(out); at == "" && lines.Scan(); {
		if s := strings.TrimSpace(lines.Text()); strings.HasPrefix(s, "http://") {
			at = s
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _ := get(t, at); code != 200 {
		t.Errorf("GET %s: %d", at, code)
	}
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil { // it prints that it stopped
		t.Errorf("after a hang-up, without a reader: %v", err)
	}
}
