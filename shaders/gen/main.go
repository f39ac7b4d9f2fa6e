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
	"strings"
	"text/template"
)

//go:embed matmul.tmpl
var text string

// kernel is what the template makes a shader of.
type kernel struct {
	Form string // nn, nt or tn: the letter of a and of b, t where it is transposed
	Kind string // "": k by 4; k1: k one by one; tile: through workgroup memory
	Max  int    // the largest TM and TN
}

// kernels are all that there are. A transposed a is read along its rows, so that k goes one by one anyway.
var kernels = []kernel{
	{"nn", "", 16}, {"nt", "", 16}, {"tn", "", 16},
	{"nn", "k1", 16}, {"nt", "k1", 16},
	{"nn", "tile", 8}, {"nt", "tile", 8}, {"tn", "tile", 8},
}

// file is the shader's name in the folder shaders.
func (k kernel) file() string {
	return strings.TrimSuffix("matmul_"+k.Form+"_"+k.Kind, "_") + ".wgsl"
}

// Rows and Cols count the rows, and the columns by fours, of the largest tile; Blocks its rows by fours.
func (k kernel) Rows() []int   { return upTo(k.Max) }
func (k kernel) Cols() []int   { return upTo(k.Max / 4) }
func (k kernel) Blocks() []int { return upTo(k.Max / 4) }

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
	err = t.Execute(&b, k)
	return b.Bytes(), err
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
