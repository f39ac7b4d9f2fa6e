package gpu

import "testing"

func TestWorkgroupOf(t *testing.T) {
	for _, c := range []struct {
		src string
		mem int
		sz  [3]int
	}{
		{"@compute @workgroup_size(64) fn main() {}", 0, [3]int{64, 1, 1}},
		{"const WG: u32 = 64u;\nconst H = WG / 2u;\n@compute @workgroup_size(WG, H, 2,)", 0, [3]int{64, 32, 2}},
		{"const R: u32 = 4u; // rows\nvar<workgroup> part: array<f32, (16u * R)>;\n@workgroup_size(16, R)", 256, [3]int{16, 4, 1}},
		{"var<workgroup> a: f32;\nvar<workgroup> b: array<vec4<f32>, 8>;\n@workgroup_size(1)", 144, [3]int{1, 1, 1}},
		{"var<workgroup> a: array<array<vec3f, 2>, (1u + 2u * 3u - 8u / 4u)>;\n@workgroup_size(1)", 160, [3]int{1, 1, 1}},
		{"const R: u32 =\n  4u;\n\n  var<workgroup> a: array<f32,\n    R>;\n\n\nfn f() { const R: u32 = 5u; }\n@workgroup_size(1)", 16, [3]int{1, 1, 1}},
		{"const A: u32 = 3u;\nvar<workgroup> a: array<atomic<u32>, max(A, 5u)>; // var<workgroup> c: array<f32, 100>;\n@workgroup_size(1)", 20, [3]int{1, 1, 1}},
	} {
		w, err := workgroupOf(c.src)
		if err != nil || w.memory != c.mem || w.size != c.sz {
			t.Errorf("%s: got %+v, %v, want %d, %v", c.src, w, err, c.mem, c.sz)
		}
	}
	for _, src := range []string{"", "var<workgroup> a: S;\n@workgroup_size(1)", "const A = A;\n@workgroup_size(A)", "@workgroup_size(B)", "const Z = 0;\n@workgroup_size(4 / Z)"} {
		if w, err := workgroupOf(src); err == nil {
			t.Errorf("%q: got %+v, want an error", src, w)
		}
	}
}
