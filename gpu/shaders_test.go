package gpu_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"innerloop/gpu"
	"innerloop/prog"
	"innerloop/shaders"
)

var bindingDecl = regexp.MustCompile(`(?m)^@group\((\d+)\) @binding\((\d+)\) var<(\w+)(?:, (\w+))?> (\w+): (.*);`)

// checkBindings reports where a shader's bindings differ from its kernel's.
func checkBindings(text string, binds []prog.Binding) error {
	ms := bindingDecl.FindAllStringSubmatch(text, -1)
	if n := strings.Count(text, "@binding("); n != len(ms) {
		return fmt.Errorf("%d @binding, of which %d begin a line as @group(0) @binding(i) var<storage, access> name: type;", n, len(ms))
	}
	if len(ms) != len(binds) {
		return fmt.Errorf("%d bindings, want %d", len(ms), len(binds))
	}
	for i, m := range ms {
		access := "read_write"
		if binds[i].Access == prog.Read {
			access = "read"
		}
		if got, want := m[1]+" "+m[2]+" "+m[3]+" "+m[4]+" "+m[5], fmt.Sprintf("0 %d storage %s %s", i, access, binds[i].Name); got != want {
			return fmt.Errorf("binding %d is %q, want %q", i, got, want)
		}
		if want := binds[i].DType.WGSL(); !strings.Contains(m[6], want) && !strings.HasSuffix(strings.TrimRight(m[6], "> "), want[:1]) {
			return fmt.Errorf("binding %d, %s, is of %s, want %s", i, m[5], m[6], want)
		}
	}
	return nil
}

// TestShadersAreClaimed walks shaders/: every file belongs to exactly one kernel, and their bindings agree.
func TestShadersAreClaimed(t *testing.T) {
	byName := map[string]*prog.Kernel{}
	for _, k := range kernels() {
		for _, name := range k.Shaders {
			if byName[name] != nil {
				t.Errorf("two kernels claim %s.wgsl", name)
			}
			byName[name] = k
			text, err := shaders.Text(name)
			if err != nil {
				t.Error(err)
				continue
			}
			if err := checkBindings(text, k.Binds); err != nil {
				t.Errorf("%s.wgsl: %v", name, err)
			}
			if !strings.HasPrefix(text, "// ") || !strings.Contains(text, "\n// reference: ") {
				t.Errorf("%s.wgsl does not begin with its formula and its reference", name)
			}
		}
	}
	for _, n := range shaders.Names() {
		if byName[n] == nil {
			t.Errorf("no kernel claims %s.wgsl", n)
		}
	}
}

func TestCheckBindings(t *testing.T) {
	good := "@group(0) @binding(0) var<storage, read> x: array<f32>;\n@group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>;\n"
	binds := []prog.Binding{prog.In("x"), {Name: "y", Access: prog.Write, DType: prog.U32}}
	if err := checkBindings(good, binds); err != nil {
		t.Error(err)
	}
	for _, r := range [][2]string{{"binding(1)", "binding(2)"}, {"read>", "read_write>"}, {"x:", "z:"}, {"u32", "f32"}, {"group(0) @binding(0)", "group(1) @binding(0)"}, {"@group(0) @binding(1)", " @group(0) @binding(1)"}, {"storage, read>", "uniform>"}} {
		if err := checkBindings(strings.Replace(good, r[0], r[1], 1), binds); err == nil {
			t.Errorf("%s for %s: no error", r[1], r[0])
		}
	}
}

// traits are the devices that kernels are specialised for in tests: WebGPU's promise, with a GPU and with a CPU.
func traits() map[string]prog.Traits {
	soft, short := prog.DefaultTraits, prog.DefaultTraits
	soft.Software = true
	short.Software, short.ShortLoops = true, true
	return map[string]prog.Traits{"gpu": prog.DefaultTraits, "cpu": soft, "cpu that likes short loops": short}
}

// specialisations yields a few sources of each kernel: n samples, both forms of each Accumulate binding, all traits,
// and of every other variant one.
func specialisations(k *prog.Kernel, n int, yield func(label, source string) error) error {
	seen := map[string]bool{}
	for i := range max(n, 100) {
		c := k.Sample(rand.New(rand.NewPCG(uint64(i), 11)))
		for name, tr := range traits() {
			for j, v := range k.Variants(c, tr) {
				key := fmt.Sprint(name, v.Shader, v.Name)
				if (i >= n || j > 0) && seen[key] {
					continue
				}
				seen[key] = true
				forms := []uint32{0, ^uint32(0)}
				if i >= n || j > 0 {
					forms = forms[i%2:][:1]
				}
				for _, fresh := range forms {
					label := fmt.Sprintf("%s(%+v) fresh=%v on a %s, %s", k.Name, c, fresh != 0, name, v.Name)
					src, err := shaders.Source(v.Shader, k.VariantConsts(c, fresh, v))
					if err != nil {
						return fmt.Errorf("%s: %w", label, err)
					}
					if err := yield(label, src); err != nil {
						return fmt.Errorf("%s: %w", label, err)
					}
				}
			}
		}
	}
	for _, s := range k.Shaders {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(seen)), func(key string) bool { return strings.Contains(key, s) }) {
			return fmt.Errorf("%s: no sample takes %s.wgsl", k.Name, s)
		}
	}
	return nil
}

// TestWorkgroups checks that every kernel stays inside WebGPU's default limits on a device that offers no more.
func TestWorkgroups(t *testing.T) {
	for _, k := range kernels() {
		d := prog.DefaultTraits
		if len(k.Binds) > 8 {
			t.Errorf("%s: %d storage buffers, want at most 8", k.Name, len(k.Binds))
		}
		err := specialisations(k, 8, func(_, src string) error {
			mem, inv, err := gpu.WorkgroupOf(src)
			if err == nil && (mem > d.WorkgroupMemory || inv > d.MaxInvocations) {
				err = fmt.Errorf("%d bytes and %d invocations, want at most %d and %d", mem, inv, d.WorkgroupMemory, d.MaxInvocations)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
