package train

import (
	"strings"
	"testing"
)

// The advice on numbers that ran away fits what is to blame, and names a lower learning rate only where that helps.
func TestAdvice(t *testing.T) {
	operation, half := &Origin{Operation: "matmul", Layer: -1, Micro: -1}, &Origin{Operation: "matmul_f16", Half: true, Layer: -1, Micro: -1}
	for _, c := range []struct {
		cause  string
		e      NonFiniteError
		advice string
	}{
		{"operation", NonFiniteError{Origin: operation}, "Try a lower train.lr"},
		{"", NonFiniteError{}, "Try a lower train.lr"},
		{"half", NonFiniteError{Origin: half}, "16 bits, which end at 65504: set train.precision=f32"},
		{"fault", NonFiniteError{Origin: operation, Fault: "std-aliased"}, "The fault std-aliased is in the layer"},
		{"fault", NonFiniteError{Origin: half, Fault: "std-aliased"}, "The fault std-aliased is in the layer"},
		{"fault", NonFiniteError{Fault: "std-aliased"}, "The fault std-aliased is in the layer"},
		{"device", NonFiniteError{Trace: errFinite}, "innerloop doctor"},
		{"device", NonFiniteError{Trace: errFinite, Fault: "std-aliased"}, "innerloop doctor"},
		{"loaded", NonFiniteError{Origin: &Origin{Parameter: true, Loaded: true}, Fault: "std-aliased"}, "begin with weights that are finite"},
		{"parameter", NonFiniteError{Origin: &Origin{Parameter: true}, Fault: "std-aliased"}, "Go on from weights that are finite"},
		{"given", NonFiniteError{Origin: &Origin{Given: true}, Fault: "std-aliased"}, "the step was not made"},
	} {
		text := c.e.Error()
		if c.e.Cause() != c.cause || !strings.Contains(text, c.advice) || strings.Contains(text, "train.lr") != strings.HasPrefix(c.advice, "Try") || strings.Contains(text, "\n") {
			t.Errorf("%+v: cause %q, want %q; %s, want %s", c.e, c.e.Cause(), c.cause, text, c.advice)
		}
	}
}
