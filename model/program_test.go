package model_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"innerloop/model"
)

var update = flag.Bool("update", false, "write the program listings of testdata/programs anew")

// The recorded training step of each kind of layer is the listing in testdata: a change of what a step does shows in
// the diff.
func TestTrainStepListing(t *testing.T) {
	for _, kind := range []string{"linear", "mlp", "linear-f16"} {
		c := model.DefaultConfig()
		c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.NumAttentionHeads, c.MiniBatchSize = 16, 8, 12, 1, 2, 4
		layer, half := strings.CutSuffix(kind, "-f16")
		c.TTTLayerType, c.PreConv, c.ShareQK, c.UseGate = layer, true, true, true
		m, err := model.New(c, model.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := model.NewTrainStep(m, model.StepOptions{Batch: 2, SeqLen: 8, Half: half})
		if err != nil {
			t.Fatal(err)
		}
		got := s.Program.String()
		path := filepath.Join("..", "testdata", "programs", "train-step-"+kind+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range max(len(g), len(w)) {
			if i >= len(g) || i >= len(w) || g[i] != w[i] {
				t.Errorf("%s: line %d differs (go test ./model -run Listing -update writes it anew)\n got %q\nwant %q", kind, i+1, at(g, i), at(w, i))
				break
			}
		}
		if st := s.Program.Stats(); st.TempBytes >= st.RawBytes {
			t.Errorf("%s: temporaries take %d bytes, unshared %d: no memory is shared", kind, st.TempBytes, st.RawBytes)
		}
	}
}

func at(s []string, i int) string {
	if i < len(s) {
		return s[i]
	}
	return ""
}
