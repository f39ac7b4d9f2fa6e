package model

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// SampleOptions say how a token is drawn from logits.
type SampleOptions struct {
	Temperature float64 // divides the logits; 0: always the likeliest token
	TopK        int     // only the K likeliest tokens; 0: all
}

// Validate reports the first option that makes no sense.
func (o SampleOptions) Validate() error {
	if math.IsNaN(o.Temperature) || o.Temperature < 0 || o.Temperature > 100 {
		return fmt.Errorf("model: temperature %g, want 0 to 100", o.Temperature)
	}
	if o.TopK < 0 {
		return fmt.Errorf("model: top-k %d, want 0 or more", o.TopK)
	}
	return nil
}

// Sampler draws tokens. A draw depends on the seed, the token's position and the logits alone, so that a text that is
// continued later goes on as it would have.
type Sampler struct {
	o     SampleOptions
	seed  uint64
	order []int
	probs []float64
}

// NewSampler returns a sampler of valid options.
func NewSampler(o SampleOptions, seed uint64) *Sampler { return &Sampler{o: o, seed: seed} }

// Draw returns the token at a position of its text, counted from 0, of the distribution softmax(logits/temperature)
// restricted to the TopK likeliest. Logits that are not finite are an error.
func (s *Sampler) Draw(logits []float32, position int) (uint32, error) {
	s.order, s.probs = s.order[:0], s.probs[:0]
	for i, l := range logits {
		if math.IsNaN(float64(l)) || math.IsInf(float64(l), 0) {
			return 0, fmt.Errorf("model: the logit of token %d is %g: the model's weights are damaged", i, l)
		}
		s.order = append(s.order, i)
	}
	slices.SortStableFunc(s.order, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
	if s.o.Temperature == 0 {
		return uint32(s.order[0]), nil
	}
	if s.o.TopK > 0 {
		s.order = s.order[:min(s.o.TopK, len(s.order))]
	}
	var sum float64
	for _, i := range s.order {
		p := math.Exp(float64(logits[i]-logits[s.order[0]]) / s.o.Temperature)
		s.probs = append(s.probs, p)
		sum += p
	}
	u := s.uniform(position) * sum
	for j, p := range s.probs {
		if u -= p; u < 0 {
			return uint32(s.order[j]), nil
		}
	}
	return uint32(s.order[len(s.order)-1]), nil
}

// uniform is a number in [0,1) for a position: the first of a generator whose two words of seed are seed and position,
// both mixed by the finaliser of SplitMix64 (Steele, Lea and Flood 2014), for neighbours must not resemble each other.
func (s *Sampler) uniform(position int) float64 {
	mix := func(x uint64) uint64 {
		x += 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		return x ^ x>>31
	}
	var p rand.PCG
	p.Seed(mix(s.seed), mix(mix(s.seed)+uint64(position)))
	return float64(p.Uint64()>>11) / (1 << 53)
}
