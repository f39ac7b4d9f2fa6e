package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// A perplexity is the loss's, or it is said that it is beyond numbers: none is made up.
func TestPerplexity(t *testing.T) {
	for _, c := range []struct {
		loss       float64
		text, json string
	}{
		{0, "1.0000", `"perplexity":1}`},
		{5.5, "244.6919", `"perplexity":244.69193226422038}`},
		{700, "1.0142e+304", `"perplexity":1.0142320547350045e+304}`},
		{709.8, "beyond 1e308", `"perplexity":null}`},
		{1e30, "beyond 1e308", `"perplexity":null}`},
	} {
		var r evalResult
		if err := r.set(c.loss, 1); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(r)
		if got := perplexity(r.Perplexity); got != c.text || err != nil || !strings.Contains(string(b), c.json) {
			t.Errorf("loss %g: %s, %s, %v, want %s, ...%s", c.loss, got, b, err, c.text, c.json)
		}
		if !bytes.Contains(b, []byte(`"loss":`)) || r.BitsPerByte != c.loss/math.Ln2 {
			t.Errorf("loss %g: %s", c.loss, b)
		}
	}
	for _, loss := range []float64{math.NaN(), math.Inf(1)} {
		if err := new(evalResult).set(loss, 1); exitCode(err) != exitData {
			t.Errorf("loss %g: %v", loss, err)
		}
	}
}
