package model_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/model"
	"innerloop/model/safetensors"
	"innerloop/prog"
)

// readText feeds n random tokens to a new decoder of m.
func readText(t testing.TB, m *model.LM, ex prog.Executor, n int) *model.Decoder {
	t.Helper()
	r := rand.New(rand.NewPCG(9, 9))
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32(r.IntN(m.Config.VocabSize))
	}
	d := model.NewDecoder(m, ex)
	if _, err := d.Feed(ids); err != nil {
		t.Fatal(err)
	}
	return d
}

// generate draws n tokens that follow what d has read, and reads them.
func generate(t *testing.T, d *model.Decoder, s *model.Sampler, n int) (ids []uint32) {
	t.Helper()
	for range n {
		id, err := s.Draw(d.Logits(), d.Position())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Feed([]uint32{id}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// A text generated in pieces with a file in between is the one generated at once: the same tokens and, at the end, the
// same bits of logits.
func TestStateContinues(t *testing.T) {
	gputest.Each(t, func(t *testing.T, ex prog.Executor) {
		for n := range 3 {
			m := randomModel(t, rand.New(rand.NewPCG(uint64(n), 41)), ex)
			for _, o := range []model.SampleOptions{{}, {Temperature: 1, TopK: 10}} {
				path := filepath.Join(t.TempDir(), "state")
				whole := readText(t, m, ex, 13)
				want := generate(t, whole, model.NewSampler(o, 7), 12)
				d := readText(t, m, ex, 13)
				got := generate(t, d, model.NewSampler(o, 7), 5)
				if err := d.Save(path); err != nil {
					t.Fatal(err)
				}
				d.Close()
				d = model.NewDecoder(m, ex)
				if err := d.Load(path); err != nil {
					t.Fatal(err)
				}
				if d.Position() != 18 {
					t.Errorf("position %d, want 18", d.Position())
				}
				if again, err := d.Feed(nil); err != nil || !slices.Equal(again, d.Logits()) {
					t.Errorf("reading nothing: %v", err)
				}
				got = append(got, generate(t, d, model.NewSampler(o, 7), 7)...)
				if !slices.Equal(got, want) || !slices.Equal(d.Logits(), whole.Logits()) {
					t.Errorf("model %d, %+v: got %v, want %v", n, o, got, want)
				}
				d.Close()
				whole.Close()
			}
		}
	})
}

// A state's size does not depend on the length of the text.
func TestStateSize(t *testing.T) {
	ex := prog.NewCPU[float32](1)
	defer ex.Close()
	m, _ := saved(t, ex)
	var sizes []int64
	for _, n := range []int{100, 999} {
		path := filepath.Join(t.TempDir(), "state")
		d := readText(t, m, ex, n)
		if err := d.Save(path); err != nil {
			t.Fatal(err)
		}
		d.Close()
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, st.Size())
	}
	if sizes[0] != sizes[1] {
		t.Errorf("%d bytes after 100 tokens, %d after 999", sizes[0], sizes[1])
	}
}

func TestStateRefused(t *testing.T) {
	ex := prog.NewCPU[float32](1)
	defer ex.Close()
	m, dir := saved(t, ex)
	fresh := model.NewDecoder(m, ex)
	defer fresh.Close()
	good := filepath.Join(dir, "state")
	if err := fresh.Save(good); err == nil || err.Error() != "model: nothing was read: there is no state to save" {
		t.Errorf("saving nothing: got %v", err)
	}
	if _, err := fresh.Feed(nil); err == nil {
		t.Error("a decoder fed nothing gives logits")
	}
	d := readText(t, m, ex, 20)
	defer d.Close()
	if err := d.Save(good); err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(d.Logits())

	// The same model with one weight changed, and one of another shape.
	other := func(change func(c *model.Config)) string {
		c := m.Config
		change(&c)
		o, err := model.New(c, model.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer o.Free(ex)
		if err := errors.Join(o.Prepare(ex), o.Init(ex, 99)); err != nil {
			t.Fatal(err)
		}
		d := readText(t, o, ex, 5)
		defer d.Close()
		path := filepath.Join(t.TempDir(), "state")
		if err := d.Save(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f, err := safetensors.Open(good)
	if err != nil {
		t.Fatal(err)
	}
	meta := f.Metadata()
	f.Close()
	changed := func(key, value string, change func(ts []safetensors.Tensor) []safetensors.Tensor) string {
		ts := read(t, good)
		if change != nil {
			ts = change(ts)
		}
		edited := map[string]string{}
		for k, v := range meta {
			edited[k] = v
		}
		edited[key] = value
		path := filepath.Join(t.TempDir(), "state")
		if err := safetensors.WriteFile(path, edited, ts); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cut := filepath.Join(t.TempDir(), "state")
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	write(t, cut, string(b[:len(b)-1]))
	logits := func(ts []safetensors.Tensor) *safetensors.Tensor {
		return &ts[slices.IndexFunc(ts, func(x safetensors.Tensor) bool { return x.Name == "logits" })]
	}
	for path, want := range map[string]string{
		other(func(*model.Config) {}):                     "it is of another model: weights ",
		other(func(c *model.Config) { c.VocabSize++ }):    "it is of another model: vocab_size: got ",
		other(func(c *model.Config) { c.RopeTheta++ }):    "it is of another model: rope_theta: got 10001, want 10000",
		filepath.Join(dir, "none"):                        "no such file or directory",
		filepath.Join(dir, model.WeightsFile):             `format "pt", want "innerloop.state.1": not a state that innerloop saved`,
		filepath.Join(dir, model.ConfigFile):              "header length",
		cut:                                               "bytes of data in the file",
		changed("format", "innerloop.state.9", nil):       `format "innerloop.state.9", want "innerloop.state.1"`,
		changed("config", "{", nil):                       "its model: unexpected end of JSON input",
		changed("position", "0", nil):                     `position "0", want a number of tokens, 1 to `,
		changed("position", "-5", nil):                    `position "-5", want a number of tokens`,
		changed("position", "99999999999999", nil):        `position "99999999999999", want a number of tokens`,
		changed("position", "1.5", nil):                   `position "1.5", want a number of tokens`,
		changed("weights", strings.Repeat("w", 1e5), nil): `it is of another model: weights "wwww`,
		changed("x", "", func(ts []safetensors.Tensor) []safetensors.Tensor { return ts[:len(ts)-1] }):            " tensors, want ",
		changed("x", "", func(ts []safetensors.Tensor) []safetensors.Tensor { logits(ts).Name = "x"; return ts }): `tensor "logits" is missing`,
		changed("x", "", func(ts []safetensors.Tensor) []safetensors.Tensor {
			logits(ts).DType = safetensors.I32
			return ts
		}): `tensor "logits" is I32 [`,
		changed("x", "", func(ts []safetensors.Tensor) []safetensors.Tensor {
			*logits(ts) = safetensors.Float32("logits", []int{1}, []float32{1})
			return ts
		}): `tensor "logits" is F32 [1], want F32 [`,
	} {
		err := d.Load(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || len(err.Error()) > 500 {
			t.Errorf("%s:\ngot  %v\nwant %s", path, err, want)
		}
		if d.Position() != 20 || !slices.Equal(d.Logits(), before) {
			t.Fatalf("%s: the decoder changed", path)
		}
	}
}

// FuzzLoadState: whatever the file, Load ends with an error of one line or a decoder that reads on.
func FuzzLoadState(f *testing.F) {
	ex := prog.NewCPU[float32](1)
	f.Cleanup(ex.Close)
	c := model.DefaultConfig()
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.NumAttentionHeads, c.MiniBatchSize = 5, 4, 4, 1, 1, 2
	m, err := model.New(c, model.ScanOptions{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { m.Free(ex) })
	if err := errors.Join(m.Prepare(ex), m.Init(ex, 1)); err != nil {
		f.Fatal(err)
	}
	d := readText(f, m, ex, 3)
	f.Cleanup(d.Close)
	path := filepath.Join(f.TempDir(), "state")
	if err := d.Save(path); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		before := d.Position()
		if err := d.Load(path); err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || d.Position() != before {
				t.Fatalf("position %d, was %d: %q", d.Position(), before, err)
			}
			return
		}
		if d.Position() < 1 {
			t.Fatalf("position %d", d.Position())
		}
		if _, err := d.Feed([]uint32{1}); err != nil && d.Position() < 1<<31 {
			t.Fatal(err)
		}
	})
}

// Draws follow softmax(logits/temperature) over the likeliest K, depend on seed and position alone, and are not alike at
// neighbouring ones.
func TestSampler(t *testing.T) {
	logits := []float32{1, -0.5, 2, 0.25, -3}
	o := model.SampleOptions{Temperature: 0.7, TopK: 4}
	const n = 40000
	s := model.NewSampler(o, 3)
	counts := make([]float64, len(logits))
	var drawn []uint32
	for i := range n {
		id, err := s.Draw(logits, i)
		if err != nil {
			t.Fatal(err)
		}
		counts[id]++
		drawn = append(drawn, id)
	}
	if counts[4] != 0 {
		t.Errorf("the fifth likeliest of 4 was drawn %g times", counts[4])
	}
	var sum float64
	for _, l := range logits[:4] {
		sum += math.Exp(float64(l) / o.Temperature)
	}
	for i, l := range logits[:4] {
		p := math.Exp(float64(l)/o.Temperature) / sum
		if sigma := math.Sqrt(n * p * (1 - p)); math.Abs(counts[i]-n*p) > 5*sigma {
			t.Errorf("token %d drawn %g times of %d, want %.0f +- %.0f", i, counts[i], n, n*p, sigma)
		}
	}
	// Independence of neighbours: the likeliest twice in a row as often as its chance squared says.
	p := counts[2] / n
	pairs := 0.0
	for i := range n - 1 {
		if drawn[i] == 2 && drawn[i+1] == 2 {
			pairs++
		}
	}
	if sigma := math.Sqrt(n * p * p); math.Abs(pairs-n*p*p) > 6*sigma {
		t.Errorf("%g pairs, want %.0f +- %.0f", pairs, n*p*p, sigma)
	}
	again, other := model.NewSampler(o, 3), model.NewSampler(o, 4)
	differ := 0
	for i := 99; i >= 0; i-- { // in any order
		a, err := again.Draw(logits, i)
		if err != nil || a != drawn[i] {
			t.Fatalf("position %d: got %d, %v, want %d again", i, a, err, drawn[i])
		}
		if b, _ := other.Draw(logits, i); b != a {
			differ++
		}
	}
	if differ < 20 {
		t.Errorf("another seed draws %d of 100 tokens differently", differ)
	}
	if id, err := model.NewSampler(model.SampleOptions{}, 1).Draw(logits, 5); err != nil || id != 2 {
		t.Errorf("temperature 0: got %d, %v, want 2", id, err)
	}
	if _, err := s.Draw([]float32{0, float32(math.NaN())}, 0); err == nil || err.Error() != "model: the logit of token 1 is NaN: the model's weights are damaged" {
		t.Errorf("NaN: got %v", err)
	}
}
