package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"innerloop/gpu"
	"innerloop/train"
)

// messages.schema.json says what crosses between the page and its worker; the types here are its Go side.

// request is a message of the page.
type request struct {
	ID     int64           `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// reply answers a request: a result or an error.
type reply struct {
	ID     int64    `json:"id"`
	Result any      `json:"result,omitempty"`
	Error  *failure `json:"error,omitempty"`
}

// event is a message that nobody asked for.
type event struct {
	Event string `json:"event"`
	Data  any    `json:"data"`
}

// octets are bytes that JSON has as a list of numbers.
type octets []byte

// MarshalJSON implements json.Marshaler; the list is also what []byte is read from.
func (b octets) MarshalJSON() ([]byte, error) { //nolint:unparam // the interface has the error
	out := []byte{'['}
	for i, x := range b {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendUint(out, uint64(x), 10)
	}
	return append(out, ']'), nil
}

// empty is the result of methods that have none.
type empty struct{}

// The codes of failures.
const (
	codeUsage     = "usage"
	codeConfig    = "config"
	codeData      = "data"
	codeNeedsText = "needs-text"
	codeMemory    = "memory"
	codeShader    = "shader"
	codeLost      = "lost"
	codeDevice    = "device"
	codeStorage   = "storage"
	codeNonFinite = "non-finite"
	codeLocked    = "locked"
	codeCancelled = "cancelled"
	codeInternal  = "internal"
)

// failure is an error as the page is told it.
type failure struct {
	Code       string   `json:"code"`
	Message    string   `json:"message"`
	Key        string   `json:"key"`
	Keys       []string `json:"keys,omitempty"` // all that the message names, where it names several
	Step       int      `json:"step"`
	Checkpoint int      `json:"checkpoint"` // the step of the one that is kept; -1: none

	Origin []train.Detail `json:"origin,omitempty"` // of the first value that is not finite
	Cause  string         `json:"cause,omitempty"`  // what that blames

	err error
}

// Error implements error.
func (f *failure) Error() string { return f.Message }

// Unwrap gives errors.Is and errors.As the cause.
func (f *failure) Unwrap() error { return f.err }

func failf(code, format string, a ...any) error {
	err := fmt.Errorf(format, a...)
	return &failure{Code: code, Message: err.Error(), Checkpoint: -1, err: errors.Unwrap(err)}
}

// fail gives err a code, unless it has one or is nil.
func fail(code string, err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	return failf(code, "%w", plain(err))
}

// plain is err in words for people where the storage is full: which file it was matters little.
func plain(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return &fullError{err}
	}
	return err
}

type fullError struct{ err error }

func (*fullError) Error() string {
	return "the browser's storage is full: delete runs, or make room on this device"
}
func (e *fullError) Unwrap() error { return e.err }

// isFile says whether err is one of the file system's.
func isFile(err error) bool {
	var no syscall.Errno
	return errors.As(err, &no)
}

// asFailure is err as the page is told it; a device's or a file's error has a code of its own.
func asFailure(err error) *failure {
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{Code: codeInternal, Checkpoint: -1}
	}
	g := *f
	if g.Message == "" {
		g.Message = plain(err).Error()
	}
	var bad *train.NonFiniteError
	var shader *gpu.ShaderError
	switch {
	case errors.As(err, &bad):
		g.Code, g.Step = codeNonFinite, bad.Step
		g.Cause = bad.Cause()
		if bad.Origin != nil {
			g.Origin = bad.Origin.List()
		}
	case errors.Is(err, gpu.ErrLost):
		g.Code = codeLost
	case errors.Is(err, gpu.ErrOutOfMemory):
		g.Code = codeMemory
	case errors.As(err, &shader):
		g.Code = codeShader
	case g.Code == codeInternal && isFile(err):
		g.Code = codeStorage
	}
	if g.Key == "" && g.Code == codeConfig {
		if g.Keys = keysIn(g.Message); len(g.Keys) > 0 {
			g.Key = g.Keys[0]
		}
	}
	return &g
}

// keysIn finds the configuration's keys that a message names, in its order: whole or, of the model's keys, without their
// table; and the one that it begins with.
func keysIn(message string) (keys []string) {
	known := map[string]string{}
	for _, v := range train.Values(train.Default()) {
		table, name, _ := strings.Cut(v.Key, ".")
		known[v.Key] = v.Key
		if _, there := known[name]; strings.Contains(name, "_") && !there {
			known[name] = v.Key
		}
		if strings.HasPrefix(message, table+": "+name+" ") {
			keys = append(keys, v.Key)
		}
	}
	for _, w := range strings.FieldsFunc(message, func(r rune) bool { return r != '_' && r != '.' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		if k := known[strings.Trim(w, ".")]; k != "" && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// decode reads the parameters of a request, strictly.
func decode[T any](q request) (p T, err error) {
	d := json.NewDecoder(bytes.NewReader(q.Params))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, failf(codeUsage, "%s: %w", q.Method, err)
	}
	return p, nil
}

type (
	helloParams struct {
		Device string `json:"device"`
	}
	describeParams struct {
		Config map[string]any `json:"config"`
	}
	startParams struct {
		Config  map[string]any `json:"config"`
		Name    string         `json:"name"`
		Paused  bool           `json:"paused"`
		Weights string         `json:"weights"`
	}
	openParams struct {
		Run       string `json:"run"`
		Paused    bool   `json:"paused"`
		Text      string `json:"text"`
		OtherText bool   `json:"otherText"`
	}
	setParams struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	}
	runParams struct {
		Run string `json:"run"`
	}
	renameParams struct {
		Run  string `json:"run"`
		Name string `json:"name"`
	}
	generateParams struct {
		Text        string  `json:"text"`
		Bytes       octets  `json:"bytes"` // in place of text
		Tokens      int     `json:"tokens"`
		Temperature float64 `json:"temperature"`
		TopK        int     `json:"topK"`
		Seed        uint64  `json:"seed"`
	}
	importParams struct {
		Dir  string `json:"dir"`
		Name string `json:"name"`
	}
)

type (
	deviceInfo struct {
		Name     string `json:"name"`
		Backend  string `json:"backend"`
		Software bool   `json:"software"`
		Asked    string `json:"asked"`
		Problem  string `json:"problem"`
		Message  string `json:"message"`
	}
	// Storage says where files are kept.
	Storage struct {
		Kind    string `json:"kind"`
		Problem string `json:"problem"`
	}
	helloResult struct {
		Version  string         `json:"version"`
		Device   deviceInfo     `json:"device"`
		Storage  Storage        `json:"storage"`
		Defaults map[string]any `json:"defaults"`
		Faults   []faultInfo    `json:"faults"`
	}
	description struct {
		Config     map[string]any `json:"config"`
		Parameters int            `json:"parameters"`
		Bytes      int64          `json:"bytes"`
		Dispatches int            `json:"dispatches"`
		Flops      float64        `json:"flops"`
		Tokens     int            `json:"tokens"`
		Step       span           `json:"step"`
		Run        span           `json:"run"`
		Problem    *failure       `json:"problem"`
	}
	runInfo struct {
		ID         string         `json:"id"`
		Name       string         `json:"name"`
		Created    string         `json:"created"`
		Step       int            `json:"step"`
		Steps      int            `json:"steps"`
		Loss       *float64       `json:"loss"`
		ValLoss    *float64       `json:"valLoss"`
		Parameters int            `json:"parameters"`
		Bytes      int64          `json:"bytes"`
		Config     map[string]any `json:"config"`
		Open       bool           `json:"open"`
		Reached    int            `json:"reached"`
		Changes    []change       `json:"changes"`
		Problem    string         `json:"problem"`
	}
	runResult struct {
		Run *runInfo `json:"run"`
	}
	runsResult struct {
		Runs []*runInfo `json:"runs"`
	}
	// metricsResult has its columns apart, which JSON would be slow for.
	metricsResult struct {
		Run string `json:"run"`
	}
	generated struct {
		Tokens    int     `json:"tokens"`
		Read      int     `json:"read"`
		Kept      int     `json:"kept"`
		Step      int     `json:"step"`
		Seconds   float64 `json:"seconds"`
		Cancelled bool    `json:"cancelled"`
	}
	downloadResult struct {
		Dir   string   `json:"dir"`
		Name  string   `json:"name"`
		Files []string `json:"files"`
	}
	stateData struct {
		State string   `json:"state"`
		Run   *runInfo `json:"run"`
		Error *failure `json:"error"`
	}
	stepRow struct {
		Step     int     `json:"step"`
		Loss     float64 `json:"loss"`
		GradNorm float64 `json:"gradNorm"`
		LR       float64 `json:"lr"`
		Tokens   int64   `json:"tokens"`
	}
	stepsData struct {
		Run     string    `json:"run"`
		Seconds float64   `json:"seconds"`
		Left    float64   `json:"left"`
		Rows    []stepRow `json:"rows"`
	}
	evalData struct {
		Run         string  `json:"run"`
		Step        int     `json:"step"`
		Loss        float64 `json:"loss"`
		BitsPerByte float64 `json:"bitsPerByte"`
		Tokens      int     `json:"tokens"`
		Seconds     float64 `json:"seconds"`
	}
	savedData struct {
		Run     string  `json:"run"`
		Step    int     `json:"step"`
		Seconds float64 `json:"seconds"`
	}
	sampleData struct {
		Run    string `json:"run"`
		Step   int    `json:"step"`
		Prompt string `json:"prompt"`
		Text   string `json:"text"`
		Bytes  octets `json:"bytes,omitempty"` // of a sound, in place of text
	}
	innerData struct {
		Run           string `json:"run"`
		Step          int    `json:"step"`
		Layers        int    `json:"layers"`
		Heads         int    `json:"heads"`
		MiniBatches   int    `json:"miniBatches"`
		MiniBatchSize int    `json:"miniBatchSize"`
	}
	byteProb struct {
		Byte int     `json:"byte"`
		P    float64 `json:"p"`
	}
	tokenInfo struct {
		byteProb
		Top []byteProb `json:"top"`
	}
	tokenData struct {
		Request int64       `json:"request"`
		Tokens  []tokenInfo `json:"tokens"`
	}
	memoryData struct {
		Wasm int64 `json:"wasm"`
		GPU  int64 `json:"gpu"`
	}
)
