package memlimit

import (
	"testing"
	"testing/fstest"
)

const (
	unified  = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	versions = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n" +
		"33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	machineOf = "MemTotal:       16777216 kB\nMemFree:        1 kB\n" // 16 GiB
	none      = "9223372036854771712\n"                               // of version 1
)

func TestPhysical(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		bytes int64
		from  string
	}{
		"nothing is known": {map[string]string{}, 0, ""},
		"no groups":        {map[string]string{"proc/meminfo": machineOf}, 16 << 30, "the machine's memory"},
		"version 2: a scope of systemd, whose slice allows less": {map[string]string{
			"proc/meminfo": machineOf, "proc/self/mountinfo": unified, "proc/self/cgroup": "0::/user.slice/user-1000.slice/run-r1.scope\n",
			"sys/fs/cgroup/user.slice/user-1000.slice/run-r1.scope/memory.max":  "4294967296\n",
			"sys/fs/cgroup/user.slice/user-1000.slice/run-r1.scope/memory.high": "max\n",
			"sys/fs/cgroup/user.slice/user-1000.slice/memory.max":               "2147483648\n",
			"sys/fs/cgroup/user.slice/memory.max":                               "max\n",
		}, 2 << 30, "memory.max of the control group /user.slice/user-1000.slice"},
		"version 2: memory.high is less": {map[string]string{
			"proc/meminfo": machineOf, "proc/self/mountinfo": unified, "proc/self/cgroup": "0::/a\n",
			"sys/fs/cgroup/a/memory.max": "4294967296\n", "sys/fs/cgroup/a/memory.high": "1073741824\n",
		}, 1 << 30, "memory.high of the control group /a"},
		"version 2: max everywhere": {map[string]string{
			"proc/meminfo": machineOf, "proc/self/mountinfo": unified, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n",
		}, 16 << 30, "the machine's memory"},
		"a limit above the machine's memory": {map[string]string{
			"proc/meminfo": machineOf, "proc/self/mountinfo": unified, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "68719476736\n",
		}, 16 << 30, "the machine's memory"},
		"version 2: a container with a namespace of its own sees its group as the root": {map[string]string{
			"proc/meminfo": machineOf, "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "536870912\n",
		}, 512 << 20, "memory.max of the control group /"},
		"version 2: a container without one has its group mounted": {map[string]string{
			"proc/meminfo": machineOf, "proc/self/mountinfo": "30 23 0:26 /docker/0123 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "proc/self/cgroup": "0::/docker/0123/job\n",
			"sys/fs/cgroup/memory.max": "1073741824\n", "sys/fs/cgroup/job/memory.max": "536870912\n", "sys/fs/cgroup/docker/0123/memory.max": "1\n",
		}, 512 << 20, "memory.max of the control group /docker/0123/job"},
		"version 2: a group outside of the namespace": {map[string]string{
			"proc/meminfo": machineOf, "proc/self/mountinfo": unified, "proc/self/cgroup": "0::/../other\n",
			"sys/fs/cgroup/memory.max": "536870912\n", "sys/fs/other/memory.max": "1\n", "sys/fs/cgroup/other/memory.max": "1\n",
		}, 512 << 20, "memory.max of the control group /"},
		"version 2: a name that only begins as the root's": {map[string]string{
			"proc/meminfo": machineOf, "proc/self/mountinfo": "30 23 0:26 /docker/01 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "proc/self/cgroup": "0::/docker/0123\n",
			"sys/fs/cgroup/23/memory.max": "1\n", "sys/fs/cgroup/memory.max": "536870912\n",
		}, 512 << 20, "memory.max of the control group /docker/01"},
		"version 1, nested": {map[string]string{
			"proc/meminfo": machineOf, "proc/self/mountinfo": versions, "proc/self/cgroup": "9:name=systemd:/\n5:cpu,cpuacct:/jobs\n4:memory:/jobs/one\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": none, "sys/fs/cgroup/memory/jobs/memory.limit_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/jobs/one/memory.limit_in_bytes": none, "sys/fs/cgroup/cpu,cpuacct/jobs/memory.limit_in_bytes": "1\n",
		}, 1 << 30, "memory.limit_in_bytes of the control group /jobs"},
		"version 1 without a limit": {map[string]string{
			"proc/meminfo": machineOf, "proc/self/mountinfo": versions, "proc/self/cgroup": "4:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": none,
		}, 16 << 30, "the machine's memory"},
		"version 1: memory beside another controller": {map[string]string{
			"proc/self/mountinfo": "35 31 0:32 / /cg\\040roup/mem rw - cgroup cgroup rw,hugetlb,memory\n", "proc/self/cgroup": "4:hugetlb,memory:/a\n",
			"cg roup/mem/a/memory.limit_in_bytes": "1048576\n",
		}, 1 << 20, "memory.limit_in_bytes of the control group /a"},
		"both versions": {map[string]string{
			"proc/meminfo": machineOf, "proc/self/mountinfo": versions, "proc/self/cgroup": "4:memory:/a\n0::/b\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1073741824\n", "sys/fs/cgroup/unified/b/memory.max": "536870912\n",
		}, 512 << 20, "memory.max of the control group /b"},
		"nonsense": {map[string]string{
			"proc/meminfo": "MemTotal: many kB\n", "proc/self/mountinfo": unified + "x\n - cgroup2\n", "proc/self/cgroup": "0:\n0::a\n\n0::/../..\n0::/a\n",
			"sys/fs/cgroup/memory.max": "-5\n", "sys/fs/cgroup/a/memory.max": "", "memory.max": "1",
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for f, text := range c.files {
				root[f] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := physical(root); got != (Limit{c.bytes, c.from}) {
				t.Errorf("got %+v, want %d %q", got, c.bytes, c.from)
			}
		})
	}
}
