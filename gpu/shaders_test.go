package gpu_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
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
		if !strings.Contains(m[6], binds[i].DType.String()) && !strings.HasSuffix(strings.TrimRight(m[6], "> "), binds[i].DType.String()[:1]) {
			return fmt.Errorf("binding %d, %s, is of %s, want %v", i, m[5], m[6], binds[i].DType)
		}
	}
	return nil
}

// TestShadersAreClaimed walks shaders/: every file belongs to exactly one kernel, and their bindings agree.
func TestShadersAreClaimed(t *testing.T) {
	byName := map[string]*prog.Kernel{}
	for _, k := range kernels() {
		if byName[k.Name] != nil {
			t.Errorf("two kernels claim %s.wgsl", k.Name)
		}
		byName[k.Name] = k
		text, err := shaders.Text(k.Name)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := checkBindings(text, k.Binds); err != nil {
			t.Errorf("%s.wgsl: %v", k.Name, err)
		}
		if !strings.HasPrefix(text, "// ") || !strings.Contains(text, "\n// reference: ") {
			t.Errorf("%s.wgsl does not begin with its formula and its reference", k.Name)
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
	soft := prog.DefaultTraits
	soft.Software = true
	return map[string]prog.Traits{"gpu": prog.DefaultTraits, "cpu": soft}
}

// specialisations yields a few sources of each kernel: n samples, both forms of each Accumulate binding, both traits.
func specialisations(k *prog.Kernel, n int, yield func(label, source string) error) error {
	for i := range n {
		c := k.Sample(rand.New(rand.NewPCG(uint64(i), 11)))
		for _, fresh := range []uint32{0, ^uint32(0)} {
			for name, tr := range traits() {
				label := fmt.Sprintf("%s(%+v) fresh=%v on a %s", k.Name, c, fresh != 0, name)
				src, err := shaders.Source(k.Name, k.Consts(c, fresh, tr))
				if err != nil {
					return fmt.Errorf("%s: %w", label, err)
				}
				if err := yield(label, src); err != nil {
					return fmt.Errorf("%s: %w", label, err)
				}
			}
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
