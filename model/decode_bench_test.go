package model_test

import (
	"fmt"
	"testing"

	"innerloop/gpu/gputest"
	"innerloop/model"
)

// BenchmarkDecode times a token after a short and a long context: the cost of a token does not depend on what was read.
func BenchmarkDecode(b *testing.B) {
	for _, ex := range gputest.Executors(b) {
		for _, kind := range []string{"linear", "mlp"} {
			c := model.DefaultConfig()
			c.TTTLayerType = kind
			m, err := model.New(c, model.ScanOptions{})
			if err != nil {
				b.Fatal(err)
			}
			if err := m.Prepare(ex); err != nil {
				b.Fatal(err)
			}
			if err := m.Init(ex, 1); err != nil {
				b.Fatal(err)
			}
			for _, context := range []int{256, 8192} {
				b.Run(fmt.Sprintf("%s/context=%d/%s", kind, context, ex.Name), func(b *testing.B) {
					d := model.NewDecoder(m, ex)
					defer d.Close()
					ids := make([]uint32, context)
					for i := range ids {
						ids[i] = uint32(i*i) % 256
					}
					if _, err := d.Feed(ids); err != nil {
						b.Fatal(err)
					}
					if _, err := d.Feed(ids[:1]); err != nil { // some drivers compile at the first run
						b.Fatal(err)
					}
					for b.Loop() {
						if _, err := d.Feed(ids[:1]); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
				})
			}
			m.Free(ex)
		}
	}
}
