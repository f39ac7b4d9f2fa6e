package train

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"innerloop/prog"
)

// Origin is where a step's first value that is not finite came from.
type Origin struct {
	Step      int  // of the run, from 1
	Micro     int  // micro-batch, from 0; -1: it belongs to none
	Layer     int  // from 0; -1: it belongs to none
	Backward  bool // in the backward pass
	Parameter bool // a parameter was not finite when the step began
	Loaded    bool // and it was so from the start: no step has been made since the weights were initialised or loaded
	Given     bool // something else that the step began with was not: an input, carried memory, a table
	Half      bool // it is an infinity of 16 bits, which end at prog.MaxHalf: of 32 it may be none

	Operation string // the kernel that wrote the value or, where it was there before, the first that reads it
	Call      string // the operation with its constants

	Tensor    string // by its name without the micro-batch's
	Shape     []int
	Index     []int // along each axis, of the first element that is not finite
	Value     float64
	NonFinite int // elements of the tensor

	Inputs []Input // what the operation read; of a parameter, itself and its moments
}

// Input is a summary of a tensor that an operation read.
type Input struct {
	Binding   string // the operation's name for it
	Tensor    string
	Shape     []int
	Parameter bool
	NonFinite int     // elements
	Min, Max  float64 // of the finite ones; 0 where there are none
	Largest   string  // the element of the largest magnitude; empty: none
	First     []float32
	Same      []float32 // the element at the index of the one that was written, where the tensors are of one length
}

// where names the place: micro-batch 0, layer 3, backward.
func (o *Origin) where() string {
	var s []string
	if o.Micro >= 0 {
		s = append(s, fmt.Sprintf("micro-batch %d", o.Micro))
	}
	if o.Layer >= 0 {
		s = append(s, fmt.Sprintf("layer %d", o.Layer))
	} else {
		s = append(s, "outside the layers")
	}
	if o.Backward {
		s = append(s, "backward")
	}
	return strings.Join(s, ", ")
}

func (o *Origin) element() string { return o.Tensor + index(o.Index) }

// index prints [3,17].
func index(at []int) string {
	s := make([]string, len(at))
	for i, x := range at {
		s[i] = strconv.Itoa(x)
	}
	return "[" + strings.Join(s, ",") + "]"
}

// String says it in one line, without a full stop.
func (o *Origin) String() string {
	switch {
	case o.Operation == "" && o.Parameter:
		return fmt.Sprintf("parameter %s is %g", o.element(), o.Value)
	case o.Operation == "":
		return fmt.Sprintf("the step's input %s is %g", o.element(), o.Value)
	case o.Parameter:
		return fmt.Sprintf("before the step, parameter %s is %g; first read by %s (%s)", o.element(), o.Value, o.Operation, o.where())
	case o.Given:
		return fmt.Sprintf("before the step, %s is %g; first read by %s (%s)", o.element(), o.Value, o.Operation, o.where())
	}
	s := fmt.Sprintf("first %s (%s) wrote %g to %s", o.Operation, o.where(), o.Value, o.element())
	for _, in := range o.Inputs {
		if in.Parameter {
			return s + ", of " + in.Tensor
		}
	}
	return s
}

// Detail is a line of what is known of an Origin.
type Detail struct {
	What string `json:"what"` // step, place, operation, wrote or given, read
	Text string `json:"text"`
}

// Cause says what an Origin blames: "loaded", a parameter that was not finite from the start; "parameter", one that was not
// before the step; "given", something else that the step began with; "half", a value that is too large for 16 bits;
// "operation", one of the step's own.
func (o *Origin) Cause() string {
	switch {
	case o.Loaded:
		return "loaded"
	case o.Parameter:
		return "parameter"
	case o.Given:
		return "given"
	case o.Half:
		return "half"
	}
	return "operation"
}

// List says it in several lines, with the values that went in.
func (o *Origin) List() (list []Detail) {
	line := func(what, format string, a ...any) { list = append(list, Detail{what, fmt.Sprintf(format, a...)}) }
	line("step", "%d", o.Step)
	line("place", "%s", o.where())
	wrote := "wrote"
	if o.Parameter || o.Given {
		wrote = "given"
	}
	if o.Call != "" {
		line("operation", "%s", o.Call)
	}
	line(wrote, "%s %s: %s is %g, the first of %d of %d that are not finite", o.Tensor, shape(o.Shape), index(o.Index), o.Value, o.NonFinite, prog.Shape(o.Shape).Len())
	for _, in := range o.Inputs {
		name := in.Tensor
		if in.Binding != "" {
			name = in.Binding + " = " + name
		}
		line("read", "%s %s: %s", name, shape(in.Shape), in.values())
	}
	return list
}

// Details is List as text, a line each.
func (o *Origin) Details() string {
	var s strings.Builder
	for _, d := range o.List() {
		fmt.Fprintf(&s, "%-10s %s\n", d.What, d.Text)
	}
	return s.String()
}

func shape(dims []int) string { return strings.ReplaceAll(index(dims), ",", " ") }

func (in Input) values() string {
	var s []string
	if len(in.Same) > 0 {
		s = append(s, fmt.Sprintf("%g there", in.Same[0]))
	}
	if in.Largest != "" {
		s = append(s, fmt.Sprintf("%.6g to %.6g, largest %s", in.Min, in.Max, in.Largest))
	}
	if in.NonFinite > 0 {
		s = append(s, fmt.Sprintf("%d not finite", in.NonFinite))
	}
	first := make([]string, len(in.First))
	for i, f := range in.First {
		first[i] = strconv.FormatFloat(float64(f), 'g', 6, 32)
	}
	return strings.Join(append(s, "begins "+strings.Join(first, " ")), "; ")
}

// microOf is the number of the micro-batch in a dotted name, micro0.layers.3.q; -1: there is none.
func microOf(name string) int {
	for part := range strings.SplitSeq(name, ".") {
		if n, ok := strings.CutPrefix(part, "micro"); ok {
			if i, err := strconv.Atoi(n); err == nil {
				return i
			}
		}
	}
	return -1
}

// layerOf is the number of the layer in a dotted name; -1: there is none.
func layerOf(name string) int {
	_, after, _ := strings.Cut("."+name, ".layers.")
	n, _, _ := strings.Cut(after, ".")
	if i, err := strconv.Atoi(n); err == nil {
		return i
	}
	return -1
}

// bare is a dotted name without its micro-batch.
func bare(name string) string {
	parts := strings.Split(name, ".")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return microOf(p) >= 0 }), ".")
}

// called is what people know t by.
func (r *Run) called(t *prog.Tensor) string {
	name := t.Name()
	a := t.Arena()
	m, v := r.train.Moments()
	of := func(what string) string {
		name := strings.TrimPrefix(name, a.Name()+".")
		if name == a.Name() {
			return a.Name()
		}
		return what + " of " + name
	}
	switch {
	case a == r.Model.Grads:
		return of("gradient")
	case a == m:
		return of("first moment")
	case a == v:
		return of("second moment")
	case a != nil && strings.HasPrefix(a.Name(), "memory"):
		return "carried memory " + name
	}
	// A temporary's gradient has its name with a d before it.
	if of, ok := strings.CutPrefix(name, "d"); ok && a == nil && microOf(of) >= 0 {
		return "gradient of " + bare(of)
	}
	return bare(name)
}

func (r *Run) input(v prog.Values) Input {
	in := Input{Binding: v.Name, Tensor: r.called(v.Tensor), Shape: v.Tensor.Shape(), Parameter: v.Tensor.Arena() == r.Model.Arena, NonFinite: v.NonFinite, Min: float64(v.Min), Max: float64(v.Max), First: v.First, Same: v.Same}
	if v.At >= 0 {
		t, i := prog.Locate(v.Tensor, v.At)
		in.Largest = index(t.Index(i))
		if t != v.Tensor && t.Len() != v.Tensor.Len() {
			in.Largest = r.called(t) + in.Largest
		}
	}
	return in
}

// given is the Origin of element i of t, an input of the step to be made, that is x.
func (r *Run) given(t *prog.Tensor, i int, x float32) *Origin {
	return &Origin{
		Step: r.step + 1, Micro: microOf(t.Name()), Layer: -1, Given: true,
		Tensor: r.called(t), Shape: t.Shape(), Index: t.Index(i), Value: float64(x), NonFinite: 1,
	}
}

// badInput is the Origin of an input of the step to be made that is not finite; nil: there is none.
func (r *Run) badInput() *Origin {
	s := r.train.Inputs
	for _, t := range s.Arena.Tensors() {
		if t.DType() != prog.F32 {
			continue
		}
		for i, x := range s.F32(t) {
			if !finite(float64(x)) {
				return r.given(t, i, x)
			}
		}
	}
	return nil
}

// writes says whether a step changes a.
func writes(s prog.Step, a *prog.Arena) bool {
	for j, t := range s.Tensors {
		if t.Arena() == a && (s.Kernel == nil || s.Kernel.Binds[j].Access != prog.Read) {
			return true
		}
	}
	return false
}

// errFinite is trace's error where the step was finite.
var errFinite = errors.New("executed again, everything was finite: the device computes differently from time to time")

// trace executes the step after the last one again, which is to change nothing, and finds where its first value that is
// not finite comes from. It leaves the run as it was.
func (r *Run) trace() (_ *Origin, err error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	p := r.train.Program
	update := slices.IndexFunc(p.Steps, func(s prog.Step) bool { return writes(s, r.Model.Arena) })
	if update < 0 {
		return nil, fmt.Errorf("train: %s has no update", p.Name)
	}
	restore := func() error { return errors.Join(r.train.Rewind(r.ex), r.ex.Upload(r.train.Inputs)) }
	defer func() { err = errors.Join(err, r.train.Rewind(r.ex)) }()
	bad, err := prog.Trace(r.ex, r.trainR, p, update, restore)
	if err != nil {
		return nil, err
	}
	if bad == nil {
		return nil, errFinite
	}
	st := &p.Steps[bad.Step]
	o := &Origin{
		Step: r.step + 1, Micro: microOf(st.Scope), Layer: layerOf(st.Scope), Backward: st.Backward,
		Tensor: r.called(bad.Tensor), Shape: bad.Tensor.Shape(), Index: bad.Tensor.Index(bad.Index), Value: float64(bad.Value), NonFinite: bad.Count,
		Operation: st.Label(), Call: st.Label(),
	}
	if st.Kernel != nil {
		o.Operation = st.Kernel.Name
	}
	for _, v := range bad.Reads {
		o.Inputs = append(o.Inputs, r.input(v))
	}
	if !bad.Input {
		o.Half = bad.Tensor.DType() == prog.F16 && math.IsInf(o.Value, 0)
		return o, nil
	}
	o.Parameter = bad.Tensor.Arena() == r.Model.Arena
	o.Loaded = o.Parameter && r.step == r.began
	o.Given = !o.Parameter
	if !o.Parameter {
		return o, nil
	}
	// The moments tell whether an update made it so.
	first, second := r.train.Moments()
	for _, a := range []*prog.Arena{first, second} {
		t := a.Lookup(bad.Tensor.Name())
		x := make([]float32, t.Len())
		if err := r.ex.Read(t, x); err != nil {
			return nil, err
		}
		o.Inputs = append(o.Inputs, r.input(prog.Summarize("", t, x)))
	}
	return o, nil
}

// NonFiniteError says that a step's loss or gradient was not a finite number. The step changed nothing: the run is what
// it was before.
type NonFiniteError struct {
	Step           int
	Loss, GradNorm float64 // NaN where the step was not begun, for an input that is not finite
	Origin         *Origin // where it comes from; nil: that could not be found out
	Trace          error   // why not
	Fault          string  // that the model has been given
}

// Cause says what is to blame: what the Origin does, unless a known fault is in the layer, "fault", or the step was finite
// when it was executed again, "device". It is empty where nothing is known.
func (e *NonFiniteError) Cause() string {
	cause := ""
	switch {
	case e.Origin != nil:
		cause = e.Origin.Cause()
	case errors.Is(e.Trace, errFinite):
		return "device"
	}
	if e.Fault != "" && (cause == "" || cause == "half" || cause == "operation") {
		return "fault"
	}
	return cause
}

// Error implements error.
func (e *NonFiniteError) Error() string {
	o := e.Origin
	unmade := o != nil && o.Operation == ""
	if unmade && !o.Parameter {
		return fmt.Sprintf("train: step %d: not finite; the step was not made: %v", e.Step, o)
	}
	s := fmt.Sprintf("train: step %d: loss %.6g, gradient norm %.6g: not finite; the step's update was not made", e.Step, e.Loss, e.GradNorm)
	switch {
	case unmade:
		s = fmt.Sprintf("train: step %d: not finite; the step was not made: %v", e.Step, o)
	case o != nil:
		s += fmt.Sprintf(". Its origin: %v", o)
	case e.Trace != nil:
		s += fmt.Sprintf(". Its origin was not found: %v", e.Trace)
	}
	switch e.Cause() {
	case "loaded":
		return s + ". It was so before the run's first step, as it was initialised or loaded: begin with weights that are finite, such as another checkpoint, and check what wrote these"
	case "parameter":
		return s + ". Go on from weights that are finite, such as an earlier checkpoint"
	case "fault":
		return s + ". The fault " + e.Fault + " is in the layer, and no learning rate makes up for it: take it out, train.fault"
	case "half":
		return s + fmt.Sprintf(". It is too large for 16 bits, which end at %d: set train.precision=f32, in which the run goes on from the same checkpoint", prog.MaxHalf)
	case "device":
		return s + ". Test the device with innerloop doctor, or choose another with --device"
	}
	return s + ". Try a lower train.lr or model.ttt_base_lr, or a longer warm-up"
}
