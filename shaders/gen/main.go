// Command gen writes the shaders of the matrix products, shaders/matmul_*.wgsl but matmul_any, from one template:
// three forms (the matrices as they are, b transposed, a transposed), each in the variants that op/matmul_tune.go
// chooses from.
package main

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

//go:embed matmul.tmpl
var text string

// half is the function that makes a binary16, as every shader with such a result has it.
//
//go:embed half.wgsl
var half string

// kernel is what the template makes a shader of.
type kernel struct {
	Form string // nn, nt or tn: the letter of a and of b, t where it is transposed
	Kind string // "": k by 4; k1: k one by one; tile: through workgroup memory
	Max  int    // the largest TM and TN

	Packed []string // the bindings that hold binary16, two in a word
	Fuse   string   // what becomes of the sums, see fusions; "": they are added to out
}

// The fusions, what is done with a sum where it is made.
const (
	gluBwd = "glu_bwd" // it is the gradient of act(gate) * up: gate's and up's are made of it
	add    = "add"     // a row, or a matrix, is added
)

// kernels are all that there are. A transposed a is read along its rows, so that k goes one by one anyway.
var kernels = []kernel{
	{"nn", "", 16, nil, ""}, {"nt", "", 16, nil, ""}, {"tn", "", 16, nil, ""},
	{"nn", "k1", 16, nil, ""}, {"nt", "k1", 16, nil, ""},
	{"nn", "tile", 8, nil, ""}, {"nt", "tile", 8, nil, ""}, {"tn", "tile", 8, nil, ""},

	{"nt", "", 16, packedAB, ""}, {"nt", "", 16, packedAll, ""}, {"nn", "", 16, packedB, ""}, {"tn", "", 16, packedB, ""},
	{"nt", "tile", 8, packedAB, ""}, {"nt", "tile", 8, packedAll, ""}, {"nn", "tile", 8, packedB, ""}, {"tn", "tile", 8, packedB, ""},

	{"nn", "", 16, nil, gluBwd}, {"nn", "k1", 16, nil, gluBwd}, {"nn", "tile", 8, nil, gluBwd},
	{"nt", "", 16, nil, add}, {"nt", "k1", 16, nil, add}, {"nt", "tile", 8, nil, add},
}

// What a Linear and its gradients read and write packed: input and weight; a kept output too; one of the two.
var packedAB, packedAll, packedB = []string{"a", "b"}, []string{"a", "b", "out"}, []string{"b"}

// file is the shader's name in the folder shaders.
func (k kernel) file() string {
	name := "matmul_" + k.Form
	if k.Fuse != "" {
		name += "_" + k.Fuse
	}
	if len(k.Packed) > 0 {
		name += "_f16"
	}
	if k.Packs("out") {
		name += "_out"
	}
	return strings.TrimSuffix(name+"_"+k.Kind, "_") + ".wgsl"
}

// Packs says whether a binding holds binary16.
func (k kernel) Packs(binding string) bool { return slices.Contains(k.Packed, binding) }

// Rows and Cols count the rows, and the columns by fours, of the largest tile; Blocks its rows by fours.
func (k kernel) Rows() []int   { return upTo(k.Max) }
func (k kernel) Cols() []int   { return upTo(k.Max / 4) }
func (k kernel) Blocks() []int { return upTo(k.Max / 4) }

// Reference is the function in Go.
func (k kernel) Reference() string {
	return "matmul" + strings.ToUpper(k.Form) + map[string]string{gluBwd: "GLUBwd", add: "Add"}[k.Fuse]
}

// Formula is the sum, Multiples what has to be one of 4.
func (k kernel) Formula() string {
	a, b := "a[z,i,k]", "b[z,k,j]"
	if k.Form == "tn" {
		a = "a[z,k,i]"
	}
	if k.Form == "nt" {
		b = "b[z,j,k]"
	}
	return a + " * " + b
}

func (k kernel) Multiples() string {
	if k.Form == "tn" {
		return "M and N"
	}
	return "K and N"
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// when is the comment that keeps a line for tiles of more than row rows and 4*col columns; see shaders.Source.
func when(row, col int) string { return whenStep(0, row, col) }

// whenStep is when for the summand step of a round.
func whenStep(step, row, col int) string {
	var c []string
	if step > 0 {
		c = append(c, "KS > 1")
	}
	if row >= 4 {
		c = append(c, fmt.Sprintf("TM > %d", row/4*4))
	}
	if col > 0 {
		c = append(c, fmt.Sprintf("TN > %d", 4*col))
	}
	if len(c) == 0 {
		return ""
	}
	return "  // if " + strings.Join(c, " and ")
}

// source is the text of k's shader.
func (k kernel) source() ([]byte, error) {
	t, err := template.New("matmul").Funcs(template.FuncMap{
		"half": func() string { return half },
		"when": when,
		"step": whenStep,
		"upto": upTo,
		"add":  func(a, b int) int { return a + b },
		"mul":  func(a, b int) int { return a * b },
		"div":  func(a, b int) int { return a / b },
		"part": func(i int) string { return "xyzw"[i%4 : i%4+1] },
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err = t.Execute(&b, k); err != nil {
		return nil, err
	}
	src := b.String()
	for _, m := range k.Packed {
		if m != "out" {
			src = unpacked(src, m)
		}
	}
	return []byte(src), nil
}

// unpacked makes every element m[i] that the code of main and the functions before it read one of m4(i), which unpacks.
func unpacked(src, m string) string {
	declared := strings.Index(src, "fn edge")
	out, rest := src[:declared], src[declared:]
	read := regexp.MustCompile(`\b` + m + `\[`)
	for {
		at := read.FindStringIndex(rest)
		if at == nil {
			return out + rest
		}
		end, depth := at[1], 1
		for ; depth > 0; end++ {
			switch rest[end] {
			case '[':
				depth++
			case ']':
				depth--
			}
		}
		out += rest[:at[0]] + m + "4(" + rest[at[1]:end-1] + ")"
		rest = rest[end:]
	}
}

func main() {
	dir := flag.String("o", ".", "the folder of the shaders")
	flag.Parse()
	for _, k := range kernels {
		src, err := k.source()
		if err == nil {
			err = os.WriteFile(filepath.Join(*dir, k.file()), src, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "gen:", err)
			os.Exit(1)
		}
	}
}
