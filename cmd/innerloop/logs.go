package main

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"innerloop/lab"
)

func (a *app) logsCommand() *cobra.Command {
	logs := &cobra.Command{
		Use:   "logs COMMAND",
		Short: "Read training logs about the normaliser of TTT layers, ours or another program's",
	}
	var asJSON bool
	compare := &cobra.Command{
		Use:   "compare A B [--json]",
		Short: "Put two logs side by side, and say what cannot be",
		Long: `Read two logs with lines such as

  Layer 29: XV output: min=-27262976, max=1376256

in any spelling that names a layer, a quantity (XV input, XV output, XK, std, z, weight, bias) and its least and greatest
value, and print the layers' ranges side by side, how many times smaller the second log's are, and what the invariants of
the normaliser say about each log. Whatever its input and eps, a normaliser whose mean, standard deviation and difference
belong together gives values of at most sqrt(n-1), n being the channels of a head; larger ones are no numerical accident.

eps=... and head_dim=... are taken from anywhere in a log. Progress bars, colours, UTF-16 and numbers such as
tensor(-20.25, device='cuda:0') are read. The exit code is 8, as that of diagnose, where one of the logs has what cannot be.`,
		Example: `  innerloop logs compare before.log after.log`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return failf(exitUsage, "logs compare takes two files, got %s: see %s --help", plural(len(args), "argument"), c.CommandPath())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.compareLogs(args[0], args[1], asJSON) },
	}
	compare.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	logs.AddCommand(compare)
	return logs
}

func readLog(path string) (*lab.Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, failf(exitData, "%s: %w", path, cause(err))
	}
	l, err := lab.ParseLog(path, f)
	return l, fail(exitData, errors.Join(err, f.Close()))
}

func (a *app) compareLogs(pathA, pathB string, asJSON bool) error {
	x, err := readLog(pathA)
	if err != nil {
		return err
	}
	y, err := readLog(pathB)
	if err != nil {
		return err
	}
	c := lab.Compare(x, y)
	if asJSON {
		if err := a.printJSON(comparisonJSON(c)); err != nil {
			return err
		}
		return unhealthyLog(c)
	}
	for i, l := range []*lab.Log{x, y} {
		a.out.printf("%s  %s: %s", []string{"A", "B"}[i], shown(l.Name), plural(len(l.Layers()), "layer"))
		if !math.IsNaN(l.Eps) {
			a.out.printf(", eps %g", l.Eps)
		}
		if l.N > 0 {
			a.out.printf(", head_dim %d", l.N)
		}
		a.out.printf("\n")
	}
	rows := [][]string{{"layer", "", "A min", "A max", "B min", "B max", "A / B"}}
	last := -1
	for _, r := range c.Rows {
		layer := ""
		if r.Layer != last {
			layer = strconv.Itoa(r.Layer)
		}
		last = r.Layer
		lo := func(r lab.Range, v float64) string {
			if r.Count == 0 {
				return ""
			}
			return strconv.FormatFloat(v, 'g', 6, 64)
		}
		factor := ""
		if !math.IsNaN(r.Factor) {
			factor = strconv.FormatFloat(r.Factor, 'g', 3, 64)
		}
		rows = append(rows, []string{layer, r.Quantity, lo(r.A, r.A.Min), lo(r.A, r.A.Max), lo(r.B, r.B.Min), lo(r.B, r.B.Max), factor})
	}
	a.out.printf("\n%s", table(rows))
	if len(c.Findings) == 0 {
		a.out.printf("\nNothing that the invariants forbid.\n")
		return nil
	}
	a.out.printf("\nWhat the invariants say (heads of %d channels, weights of 1 and biases of 0 where a log names no others):\n", lab.UsualHead)
	for _, f := range c.Findings {
		a.out.printf("  %s, layer %d: %s: %s\n", shown(f.Log), f.Layer, f.Cause, f.Text)
	}
	return unhealthyLog(c)
}

// unhealthyLog is the error of logs that are certain to be of layers that are not healthy; nil: none is.
func unhealthyLog(c *lab.Comparison) error {
	var first *lab.LogFinding
	for i, f := range c.Findings { // the inconsistent normaliser first, as diagnose has it
		if f.Certain && (first == nil || f.Cause == lab.Inconsistent && first.Cause != lab.Inconsistent) {
			first = &c.Findings[i]
		}
	}
	if first == nil {
		return nil
	}
	return failf(exitUnhealthy, "logs compare: not healthy: %s, layer %d: %s", first.Log, first.Layer, first.Cause)
}

// printJSON prints v, indented.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// jsonNumber is a number as JSON can have it: null where it is not finite.
type jsonNumber float64

// MarshalJSON implements json.Marshaler.
func (n jsonNumber) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// comparisonJSON is a comparison as logs compare --json prints it.
func comparisonJSON(c *lab.Comparison) any {
	type side struct {
		Min jsonNumber `json:"min"`
		Max jsonNumber `json:"max"`
	}
	type row struct {
		Layer    int        `json:"layer"`
		Quantity string     `json:"quantity"`
		A        *side      `json:"a"` // null: that log does not say
		B        *side      `json:"b"`
		Factor   jsonNumber `json:"factor"` // largest magnitude of a / of b
	}
	type finding struct {
		Log     string `json:"log"`
		Layer   int    `json:"layer"`
		Cause   string `json:"cause"`
		Text    string `json:"text"`
		Certain bool   `json:"certain"`
	}
	rows, findings := []row{}, []finding{}
	of := func(r lab.Range) *side {
		if r.Count == 0 {
			return nil
		}
		return &side{jsonNumber(r.Min), jsonNumber(r.Max)}
	}
	for _, r := range c.Rows {
		rows = append(rows, row{r.Layer, r.Quantity, of(r.A), of(r.B), jsonNumber(r.Factor)})
	}
	for _, f := range c.Findings {
		findings = append(findings, finding(f))
	}
	return struct {
		A        string    `json:"a"`
		B        string    `json:"b"`
		Rows     []row     `json:"rows"`
		Findings []finding `json:"findings"`
	}{c.A.Name, c.B.Name, rows, findings}
}
