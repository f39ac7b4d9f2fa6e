package version

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestOf(t *testing.T) {
	at := ", " + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")"
	const rev = "0123456789abcdef0123456789abcdef01234567"
	for _, c := range []struct {
		main     string
		settings []debug.BuildSetting
		long     string
		short    string
	}{
		{"(devel)", nil, "devel (unknown commit", "devel"},
		{"", nil, "devel (unknown commit", "devel"},
		{"(devel)", []debug.BuildSetting{{Key: "vcs.revision", Value: rev}, {Key: "vcs.modified", Value: "false"}}, "devel (commit 0123456789ab", "0123456789ab"},
		{"(devel)", []debug.BuildSetting{{Key: "vcs.revision", Value: rev}, {Key: "vcs.modified", Value: "true"}}, "devel (commit 0123456789ab-dirty", "0123456789ab-dirty"},
		{"v0.0.0-20260102030405-0123456789ab+dirty", []debug.BuildSetting{{Key: "vcs.revision", Value: rev}, {Key: "vcs.modified", Value: "true"}}, "devel (commit 0123456789ab-dirty", "0123456789ab-dirty"},
		{"v0.0.0-20260102030405-0123456789ab", nil, "devel (commit 0123456789ab", "0123456789ab"},   // installed by go install at a commit
		{"v1.2.4-0.20260102030405-0123456789ab", nil, "devel (commit 0123456789ab", "0123456789ab"}, // after a release
		{"v1.2.3", nil, "v1.2.3 (unknown commit", "v1.2.3"},                                                          // installed by go install at a release
		{"v1.2.3-rc-1", nil, "v1.2.3-rc-1 (unknown commit", "v1.2.3-rc-1"},                                           // a release too
		{"v1.2.3", []debug.BuildSetting{{Key: "vcs.revision", Value: rev}}, "v1.2.3 (commit 0123456789ab", "v1.2.3"}, // built in a work tree
	} {
		i := of(&debug.BuildInfo{Main: debug.Module{Version: c.main}, Settings: c.settings})
		if got := i.String(); got != c.long+at {
			t.Errorf("%s %v: got %q, want %q", c.main, c.settings, got, c.long+at)
		}
		if got := i.Short(); got != c.short {
			t.Errorf("%s %v: got %q, want %q", c.main, c.settings, got, c.short)
		}
	}
	if got := of(nil).String(); got != "devel (unknown commit"+at {
		t.Errorf("no build info: %q", got)
	}
}
