package ttt_test

import (
	"encoding/json"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/internal/check"
	"innerloop/op"
	"innerloop/prog"
	"innerloop/ttt"
)

// videoGolden is the configuration in a golden file's metadata.
type videoGolden struct {
	Layer     string
	Dim       int     `json:"model_dim"`
	Heads     int     `json:"num_heads"`
	MiniBatch int     `json:"mini_batch_size"`
	BaseLR    float64 `json:"ttt_base_lr"`
	Theta     float64 `json:"rope_theta"`
	Causal    bool    `json:"causal_in_mini_batch"`
	TargetEps float64 `json:"target_eps"`
	InnerEps  float64 `json:"inner_ln_eps"`
}

// scanParams are the parameters of the scan, which lie one after the other, in their order.
func scanParams(mlp bool) []string {
	if mlp {
		return []string{"W1", "b1", "W2", "b2", "ttt_norm_weight", "ttt_norm_bias"}
	}
	return []string{"W1", "b1", "ttt_norm_weight", "ttt_norm_bias"}
}

// otherParams are the rest.
var otherParams = []string{"wq.weight", "wq.bias", "wk.weight", "wk.bias", "wv.weight", "wv.bias", "wo.weight", "wo.bias",
	"learnable_ttt_lr_weight", "learnable_ttt_lr_bias", "post_norm.weight", "post_norm.bias"}

// videoParams are a layer's parameters by the names of the official state dict.
func videoParams(mlp bool, at func(name string) *prog.Tensor) ttt.VideoParams {
	p := ttt.VideoParams{
		WQ: at("wq.weight"), BQ: at("wq.bias"), WK: at("wk.weight"), BK: at("wk.bias"), WV: at("wv.weight"), BV: at("wv.bias"),
		WO: at("wo.weight"), BO: at("wo.bias"), LRW: at("learnable_ttt_lr_weight"), LRB: at("learnable_ttt_lr_bias"),
		PostW: at("post_norm.weight"), PostB: at("post_norm.bias"),
		Inner: ttt.LinearParams{W1: at("W1"), B1: at("b1"), Gamma: at("ttt_norm_weight"), Beta: at("ttt_norm_bias")},
	}
	if mlp {
		p.Inner = ttt.MLPParams{W1: at("W1"), B1: at("b1"), W2: at("W2"), B2: at("b2"), Gamma: at("ttt_norm_weight"), Beta: at("ttt_norm_bias")}
	}
	return p
}

// TestGoldenVideo compares a layer with the official implementation in float64: output, gradients, and the target's
// inputs and output.
func TestGoldenVideo(t *testing.T) {
	for _, g := range check.Goldens(t, "video-") {
		t.Run(g.Name, func(t *testing.T) {
			gputest.Each(t, func(t *testing.T, ex prog.Executor) { goldenVideo(t, g, ex) })
			t.Run("float64", func(t *testing.T) {
				ex := prog.NewCPU[float64](2)
				defer ex.Close()
				goldenVideo(t, g, ex)
			})
		})
	}
}

func goldenVideo(t *testing.T, g check.Golden, ex prog.Executor) {
	var c videoGolden
	if err := json.Unmarshal([]byte(g.Metadata()["config"]), &c); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	mlp := c.Layer == "mlp"
	params, data := prog.NewArena("params"), prog.NewArena("data")
	names := append(scanParams(mlp), otherParams...)
	for _, n := range names {
		params.Add(n, prog.F32, g.Shape(t, "param."+n)...)
	}
	x := params.Add("x", prog.F32, g.Shape(t, "x")...) // among the parameters for the sake of its gradient
	b, l := x.Dim(0), x.Dim(1)
	grads := params.Mirror("grads")
	params.WithGrad(grads)
	f := c.Dim / c.Heads
	in := ttt.VideoInputs{X: x, Pos: data.Add("pos", prog.U32, b, l), Table: data.Add("table", prog.F32, l, f/2, 2), Eps: data.Add("eps", prog.F32, 1)}
	dout := data.Add("dout", prog.F32, b, l, c.Dim)
	o := ttt.VideoOptions{BaseLR: c.BaseLR, Options: ttt.Options{
		Heads: c.Heads, MiniBatch: c.MiniBatch, CheckpointEvery: 3, Eps: c.InnerEps, NonCausal: !c.Causal,
	}}
	var y ttt.VideoLayer
	p, err := prog.Record("video", func(r *prog.Recorder) {
		for _, g := range grads.Tensors() {
			r.Clear(g)
		}
		y = ttt.Video(r, in, videoParams(mlp, params.Lookup), o)
		for _, v := range []*prog.Tensor{y.Out, y.XV, y.XK, y.Target} {
			r.Keep(v)
		}
		r.SetGrad(y.Out, dout)
		r.Backward()
	})
	must(err)
	run, err := ex.Load(p)
	must(err)
	defer run.Close()
	for _, n := range names {
		must(ex.Write(params.Lookup(n), g.F32(t, "param."+n)))
	}
	must(ex.Write(x, g.F32(t, "x")))
	s := prog.NewStage(data)
	for i := range b * l {
		s.U32(in.Pos)[i] = uint32(i % l)
	}
	op.RoPETable(s.F32(in.Table), l, f, c.Theta)
	s.F32(in.Eps)[0] = float32(c.TargetEps)
	copy(s.F32(dout), g.F32(t, "dout"))
	must(ex.Upload(s))
	must(run.Run())

	worst := map[float64]float64{}
	compare := func(name string, got []float32, tol float64) {
		t.Helper()
		want := g.F64(t, name)
		check.Within(t, name, got, want, tol)
		worst[tol] = max(worst[tol], check.RelErr(got, want))
	}
	for name, v := range map[string]*prog.Tensor{"out": y.Out, "probe.XV_in": y.XV, "probe.XK": y.XK, "probe.XV_out": y.Target} {
		got := make([]float32, v.Len())
		must(run.Read(v, got))
		compare(name, got, 1e-5)
	}
	for _, n := range append(names, "x") {
		got := make([]float32, params.Lookup(n).Len())
		must(ex.Read(grads.Lookup(n), got))
		if n == "x" {
			compare("dx", got, 1e-4)
		} else {
			compare("grad."+n, got, 1e-4)
		}
	}
	t.Logf("forward %.1e, gradients %.1e", worst[1e-5], worst[1e-4])
	for _, a := range []*prog.Arena{params, grads, data} {
		ex.Free(a)
	}
}
