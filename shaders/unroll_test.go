package shaders

import (
	"strings"
	"testing"
)

// Loops are written out with their variable as a literal, inner ones too; components and longer names stay.
func TestUnroll(t *testing.T) {
	src := `a
for (var k = 0u; k < N; k++) {  // unroll
  let x = v[k].k + k_2 + kk * k;
  for (var j = 0u; j < M; j++) {  // unroll
    s[j] += x[N * k + j];
  }
}
for (var k = 0u; k < N; k++) {
}`
	got, err := unroll(strings.Split(src, "\n"), map[string]any{"N": 2, "M": 1})
	if err != nil {
		t.Fatal(err)
	}
	want := `a
{
  let x = v[0u].k + k_2 + kk * 0u;
  {
    s[0u] += x[N * 0u + 0u];
  }
}
{
  let x = v[1u].k + k_2 + kk * 1u;
  {
    s[0u] += x[N * 1u + 0u];
  }
}
for (var k = 0u; k < N; k++) {
}`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got %s\nwant %s", s, want)
	}
	for _, bad := range []string{
		"for (var k = 1u; k < N; k++) {", "for (var k = 0u; j < N; k++) {", "for (var k = 0u; k < X; k++) {", "while (true) {",
		"for (var k = 0u; k < N; k++) {  // unroll\n  }",
	} {
		if _, err := unroll(strings.Split(strings.TrimSuffix(bad, unrolled)+unrolled+"\n  }", "\n"), map[string]any{"N": 2}); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}
