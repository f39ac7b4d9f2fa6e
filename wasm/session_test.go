//go:build !js

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"innerloop/data"
	"innerloop/gpu"
	"innerloop/model"
	"innerloop/prog"
	"innerloop/train"
)

// schema is messages.schema.json.
var schema = sync.OnceValue(func() *jsonschema.Schema {
	c := jsonschema.NewCompiler()
	s, err := c.Compile("messages.schema.json")
	if err != nil {
		panic(err)
	}
	return s
})

// posted is a message to the page.
type posted struct {
	ID     int64
	Result map[string]any
	Error  *failure
	Event  string
	Data   map[string]any
}

// page is a host for tests: it has no GPU unless open gives one.
type page struct {
	t     *testing.T
	open  func() (Device, error)
	hold  func()                // once, when it yields
	done  func(done, total int) // told of kernels, where a device was opened
	mu    sync.Mutex
	more  *sync.Cond
	all   []posted
	locks map[string]bool
}

func (p *page) Post(message any, columns map[string][]float64) {
	b, err := json.Marshal(message)
	if err != nil {
		p.t.Errorf("post: %v", err)
		return
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		p.t.Error(err)
	}
	for name, c := range columns {
		list := make([]any, len(c))
		for i, v := range c {
			if list[i] = v; math.IsNaN(v) || math.IsInf(v, 0) { // a column may have it, JSON has no word for it
				list[i] = math.MaxFloat64
			}
		}
		for _, in := range []string{"result", "data"} {
			if o, ok := m[in].(map[string]any); ok {
				o[name] = list
			}
		}
	}
	if err := schema().Validate(m); err != nil {
		p.t.Errorf("a message that the schema refuses: %.500s\n%v", b, err)
	}
	var x posted
	b, _ = json.Marshal(m)
	if err := json.Unmarshal(b, &x); err != nil {
		p.t.Error(err)
	}
	p.mu.Lock()
	p.all = append(p.all, x)
	p.more.Broadcast()
	p.mu.Unlock()
}

func (p *page) Storage() Storage { return Storage{Kind: "opfs"} }

func (p *page) Yield() {
	p.mu.Lock()
	hold := p.hold
	p.hold = nil
	p.mu.Unlock()
	if hold != nil {
		hold()
	}
}
func (p *page) Memory() int64 { return 1 << 20 }

func (p *page) Lock(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.locks[name] {
		return false
	}
	p.locks[name] = true
	return true
}

func (p *page) Unlock(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.locks, name)
}

func (p *page) Open(hardware bool, compiled func(done, total int)) (Device, error) {
	p.done = compiled
	if p.open == nil {
		return nil, fmt.Errorf("gpu: %w", gpu.ErrNoAdapter)
	}
	d, err := p.open()
	if err == nil && hardware && d.Info().Traits.Software {
		return nil, fmt.Errorf("gpu: %w; there are: %s", gpu.ErrSoftware, d.Info().Name)
	}
	return d, err
}

// tab is a session with its page.
type tab struct {
	*page
	s    *Session
	root string
	id   int64
	end  func()
}

// newTab opens a session over root and says hello.
func newTab(t *testing.T, root string, open func() (Device, error)) *tab {
	t.Helper()
	p := &page{t: t, open: open, locks: map[string]bool{}}
	p.more = sync.NewCond(&p.mu)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	x := &tab{page: p, s: NewSession(p, root), root: root}
	go func() {
		defer close(done)
		x.s.Run(ctx)
	}()
	x.end = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(x.end)
	x.ask("hello", map[string]any{"device": "auto"})
	return x
}

// post sends a request, which the schema has to know, and returns its number.
func (x *tab) post(method string, params any) int64 {
	x.t.Helper()
	x.id++
	b, err := json.Marshal(map[string]any{"id": x.id, "method": method, "params": params})
	if err != nil {
		x.t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		x.t.Fatal(err)
	}
	if err := schema().Validate(v); err != nil {
		x.t.Fatalf("%s: the schema refuses the request: %v", method, err)
	}
	x.s.Receive(b)
	return x.id
}

// await waits for a message.
func (x *tab) await(what string, is func(posted) bool) posted {
	x.t.Helper()
	return x.awaitFrom(0, what, is)
}

func (x *tab) awaitFrom(from int, what string, is func(posted) bool) posted {
	x.t.Helper()
	late := time.AfterFunc(10*time.Minute, func() {
		x.mu.Lock()
		x.more.Broadcast()
		x.mu.Unlock()
	})
	defer late.Stop()
	end := time.Now().Add(60 * time.Second)
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := from; ; {
		for ; i < len(x.all); i++ {
			if is(x.all[i]) {
				return x.all[i]
			}
		}
		if time.Now().After(end) {
			var names []string
			for _, m := range x.all {
				names = append(names, fmt.Sprintf("%d%s", m.ID, m.Event))
			}
			x.t.Fatalf("no %s in a minute; messages: %s", what, strings.Join(names, " "))
		}
		x.more.Wait()
	}
}

// count is the number of messages so far.
func (x *tab) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.all)
}

// try asks and waits for the answer.
func (x *tab) try(method string, params any) posted {
	x.t.Helper()
	id := x.post(method, params)
	return x.await("answer to "+method, func(m posted) bool { return m.ID == id })
}

// ask is try that wants no error.
func (x *tab) ask(method string, params any) map[string]any {
	x.t.Helper()
	m := x.try(method, params)
	if m.Error != nil {
		x.t.Fatalf("%s: %s: %s", method, m.Error.Code, m.Error.Message)
	}
	return m.Result
}

// refused is try that wants an error of a code, whose message holds a text.
func (x *tab) refused(code, text, method string, params any) {
	x.t.Helper()
	m := x.try(method, params)
	if m.Error == nil || m.Error.Code != code || !strings.Contains(m.Error.Message, text) {
		x.t.Errorf("%s %v: got %+v, want %s: %s", method, params, m.Error, code, text)
	}
}

// state waits for the state, in messages from the one given on.
func (x *tab) state(from int, state string) posted {
	x.t.Helper()
	return x.awaitFrom(from, "state "+state, func(m posted) bool { return m.Event == "state" && m.Data["state"] == state })
}

var none = map[string]any{}

// tiny is a run that takes a moment.
func tiny(more map[string]any) map[string]any {
	c := map[string]any{
		"model.hidden_size": 16, "model.intermediate_size": 24, "model.num_hidden_layers": 1, "model.num_attention_heads": 2, "model.mini_batch_size": 4,
		"train.steps": 30, "train.batch_size": 2, "train.seq_len": 16, "train.warmup_steps": 3, "train.eval_every": 10, "train.log_every": 5,
		"data.story_bytes": 20000, "sample.tokens": 10,
	}
	maps.Copy(c, more)
	for k, v := range c { // as JSON has it
		if n, ok := v.(int); ok {
			c[k] = float64(n)
		}
	}
	return c
}

func start(config map[string]any, paused bool) map[string]any {
	return map[string]any{"config": config, "name": "", "paused": paused, "weights": ""}
}

func run(id string) map[string]any { return map[string]any{"run": id} }

func idOf(result map[string]any) string { return result["run"].(map[string]any)["id"].(string) }

// losses are a run's curve by its kept metrics.
func (x *tab) losses(id string) []float64 {
	x.t.Helper()
	var out []float64
	for _, v := range x.ask("metrics", run(id))["loss"].([]any) {
		out = append(out, v.(float64))
	}
	return out
}

// The life of a run: started, paused, stepped, resumed, finished, listed, renamed, made longer, downloaded, deleted.
func TestLife(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	d := x.ask("describe", map[string]any{"config": tiny(nil)})
	if d["problem"] != nil || d["parameters"].(float64) < 1000 || d["step"].(map[string]any)["high"] != 0.0 || d["tokens"].(float64) != 32 {
		t.Errorf("description %v", d)
	}
	id := idOf(x.ask("start", start(tiny(nil), true)))
	from := x.count()
	for range 3 {
		x.ask("step", none)
		x.state(from, statePaused)
		from = x.count()
	}
	if l := x.losses(id); len(l) != 3 {
		t.Errorf("%d losses after 3 single steps", len(l))
	}
	x.ask("resume", none)
	done := x.state(from, stateFinished)
	if r := done.Data["run"].(map[string]any); r["step"].(float64) != 30 || r["loss"] == nil || r["valLoss"] == nil {
		t.Errorf("finished: %v", r)
	}
	l := x.losses(id)
	if len(l) != 30 || !(l[29] < l[0]-0.3) {
		t.Errorf("losses %v", l)
	}
	for _, e := range []string{"steps", "eval", "saved", "sample", "inner", "memory"} {
		x.await(e, func(m posted) bool { return m.Event == e && (e == "memory" || m.Data["run"] == id) })
	}
	x.refused(codeUsage, "all of its 30 steps", "resume", none)
	x.refused(codeConfig, "want at least the 30", "set", map[string]any{"key": "train.steps", "value": 29})
	x.refused(codeUsage, "cannot change", "set", map[string]any{"key": "train.seed", "value": 2})
	x.refused(codeConfig, "got fast", "set", map[string]any{"key": "train.lr", "value": "fast"})
	x.ask("set", map[string]any{"key": "train.steps", "value": 33})
	x.ask("rename", map[string]any{"run": id, "name": "mine"})
	from = x.count()
	x.ask("resume", none)
	x.state(from, stateFinished)
	runs := x.ask("runs", none)["runs"].([]any)
	if r := runs[0].(map[string]any); len(runs) != 1 || r["name"] != "mine" || r["step"].(float64) != 33 || r["open"] != true || r["bytes"].(float64) < 1000 {
		t.Errorf("runs %v", runs)
	}
	files := x.ask("download", run(id))["files"].([]any)
	for _, want := range []string{"config.toml", "config.json", "model.safetensors", "metrics.jsonl", "run.json", "checkpoints/step-00000033/state.json", "checkpoints/step-00000033/optimizer.safetensors"} {
		if !slices.Contains(files, any(want)) {
			t.Errorf("download: no %s in %v", want, files)
		}
	}
	x.ask("stop", none)
	x.refused(codeUsage, "no run is open", "resume", none)
	x.ask("delete", run(id))
	if r := x.ask("runs", none)["runs"].([]any); len(r) != 0 {
		t.Errorf("runs after delete: %v", r)
	}
	x.refused(codeData, "no such run", "open", map[string]any{"run": id, "paused": true, "text": "", "otherText": false})
}

// A tab that is closed at any moment loses nothing: what goes on is, bit for bit, the run that was not interrupted; and
// it is the one that train.Run makes.
func TestRefresh(t *testing.T) {
	whole := newTab(t, t.TempDir(), nil)
	from := whole.count()
	one := idOf(whole.ask("start", start(tiny(nil), false)))
	whole.state(from, stateFinished)
	want := whole.losses(one)

	root := t.TempDir()
	x := newTab(t, root, nil)
	id := idOf(x.ask("start", start(tiny(nil), true)))
	for _, cut := range []int{1, 4, 9} {
		from := x.count()
		for range cut {
			x.ask("step", none)
			x.state(from, statePaused)
			from = x.count()
		}
		// The tab dies: what the session did not write is lost.
		y := newTab(t, root, nil)
		y.ask("open", map[string]any{"run": id, "paused": true, "text": "", "otherText": false})
		x = y
	}
	from = x.count()
	x.ask("resume", none)
	x.state(from, stateFinished)
	if got := x.losses(id); !slices.Equal(got, want) {
		t.Errorf("losses in pieces %v, in one go %v", got, want)
	}

	c, err := config(tiny(nil))
	if err != nil {
		t.Fatal(err)
	}
	text, err := train.Corpus(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	r, err := train.New(c, prog.NewCPU[float32](0), text)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var o losses
	if err := r.Train(context.Background(), &o); err != nil || !slices.Equal([]float64(o), want) {
		t.Errorf("train.Run: %v, the session: %v (%v)", o, want, err)
	}
}

// losses is an observer.
type losses []float64

func (l *losses) Steps(steps []train.Step, _ float64) error {
	for _, s := range steps {
		*l = append(*l, s.Loss)
	}
	return nil
}
func (*losses) Eval(train.Eval) error { return nil }
func (*losses) Save(int) error        { return nil }

// Requests are answered while a run trains, in the middle of validations and samples too.
func TestBusy(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	id := idOf(x.ask("start", start(tiny(map[string]any{"train.steps": 100000, "train.eval_every": 1}), false)))
	for i := range 20 {
		x.ask("describe", map[string]any{"config": tiny(map[string]any{"train.seed": i})})
		x.ask("runs", none)
		if i%5 == 0 {
			x.ask("metrics", run(id))
			x.ask("set", map[string]any{"key": "train.lr", "value": 0.001})
		}
	}
	from := x.count()
	x.awaitFrom(from, "validation", func(m posted) bool { return m.Event == "eval" })
	x.ask("pause", none)
	n := len(x.losses(id))
	if n < 1 || n != len(x.losses(id)) {
		t.Errorf("%d losses while paused", n)
	}
	evals := map[float64]int{}
	for _, m := range x.all {
		if m.Event == "eval" {
			evals[m.Data["step"].(float64)]++
		}
	}
	for s, n := range evals {
		if n != 1 {
			t.Errorf("%d validations of step %v", n, s)
		}
	}
}

// The prompt box goes on from the inner state: what was read once is not read again, and the text is the same as if it
// were.
func TestGenerate(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	x.ask("start", start(tiny(nil), true))
	gen := func(text string, n int) (string, map[string]any) {
		t.Helper()
		id := x.post("generate", map[string]any{"text": text, "tokens": n, "temperature": 1, "topK": 0, "seed": 7})
		m := x.await("end of generation", func(m posted) bool { return m.ID == id })
		if m.Error != nil {
			t.Fatal(m.Error)
		}
		var out []byte
		for _, m := range x.all {
			if m.Event == "token" && m.Data["request"] == float64(id) {
				for _, tok := range m.Data["tokens"].([]any) {
					tok := tok.(map[string]any)
					top := tok["top"].([]any)
					if p := top[0].(map[string]any)["p"].(float64); len(top) != likeliest || p < tok["p"].(float64)-1e-12 || p < 1.0/256 {
						t.Errorf("token %v", tok)
					}
					out = append(out, byte(tok["byte"].(float64)))
				}
			}
		}
		return string(out), m.Result
	}
	ascii := func(s string) string { return strings.ToValidUTF8(s, "?") }
	all, r := gen("Once upon", 40)
	if r["read"] != 9.0 || r["kept"] != 0.0 || r["tokens"] != 40.0 {
		t.Errorf("first: %v", r)
	}
	a, _ := gen("Once upon", 10)
	if a != all[:10] {
		t.Errorf("10 tokens %q, of 40 %q", a, all[:10])
	}
	if ascii(a) == a { // the page can only send what is text
		b, r := gen("Once upon"+a, 30)
		if r["kept"] != 18.0 || r["read"] != 1.0 || b != all[10:] {
			t.Errorf("goes on with %q, want %q; %v", b, all[10:], r)
		}
	}
	x.step()
	if _, r := gen("Once upon", 1); r["kept"] != 0.0 {
		t.Errorf("new weights went on with the old state: %v", r)
	}
	id := x.post("generate", map[string]any{"text": "a", "tokens": 100000, "temperature": 1, "topK": 0, "seed": 7})
	x.await("token", func(m posted) bool { return m.Event == "token" && m.Data["request"] == float64(id) })
	x.ask("cancel", none)
	if m := x.await("end", func(m posted) bool { return m.ID == id }); m.Result["cancelled"] != true {
		t.Errorf("cancelled: %v", m)
	}
	x.refused(codeUsage, "1 to", "generate", map[string]any{"text": "", "tokens": 1, "temperature": 1, "topK": 0, "seed": 1})
}

// A run of sound, of a file or generated, shows samples as bytes, and goes on with bytes that are no text.
func TestSound(t *testing.T) {
	root := t.TempDir()
	x := newTab(t, root, nil)
	path := filepath.Join(root, "notes.wav")
	notes := data.Sounds(1, 8000, 16000)
	if err := os.WriteFile(path, data.EncodeWAV(notes), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config map[string]any
		rate   float64
	}{
		{map[string]any{"data.file": path, "sample.seconds": 0.00125, "sample.prompts": []string{}}, 8000},
		{map[string]any{"data.task": "sounds", "data.sample_rate": 4000, "sample.seconds": 0.0025, "data.story_bytes": 2000}, 4000},
	} {
		from := x.count()
		id := idOf(x.ask("start", start(tiny(c.config), false)))
		done := x.state(from, stateFinished)
		if got := done.Data["run"].(map[string]any)["config"].(map[string]any)["data.sample_rate"]; got != c.rate {
			t.Errorf("%v: rate %v, want %v", c.config, got, c.rate)
		}
		s := x.await("sample", func(m posted) bool { return m.Event == "sample" && m.Data["run"] == id })
		if b, _ := s.Data["bytes"].([]any); len(b) != 10 || s.Data["text"] != "" || s.Data["prompt"] != "" {
			t.Errorf("%v: sample %v, want 10 bytes", c.config, s.Data)
		}
	}
	silence := make([]int, 40)
	for i := range silence {
		silence[i] = int(data.Silence)
	}
	ask := map[string]any{"text": "", "bytes": silence, "tokens": 5, "temperature": 1, "topK": 0, "seed": 1}
	if r := x.ask("generate", ask); r["read"] != 40.0 || r["tokens"] != 5.0 {
		t.Errorf("generated %v", r)
	}
	// What was drawn is known but for the last: bytes of 128 and more stay what they are.
	var drawn []int
	for _, m := range x.all {
		if m.Event == "token" {
			for _, tok := range m.Data["tokens"].([]any) {
				drawn = append(drawn, int(tok.(map[string]any)["byte"].(float64)))
			}
		}
	}
	ask["bytes"] = append(silence, drawn...)
	if r := x.ask("generate", ask); r["read"] != 1.0 || r["kept"] != 44.0 {
		t.Errorf("went on with %v: %v", drawn, r)
	}
	ask["bytes"] = []int{}
	x.refused(codeUsage, "a text of 0 bytes, want 1 to", "generate", ask)
	x.s.Receive([]byte(`{"id":900,"method":"generate","params":{"text":"","bytes":[256],"tokens":1,"temperature":1,"topK":0,"seed":1}}`))
	if m := x.await("answer", func(m posted) bool { return m.ID == 900 }); m.Error == nil || m.Error.Code != codeUsage || !strings.Contains(m.Error.Message, "256") {
		t.Errorf("a byte of 256: %v", m.Error)
	}
	bad := filepath.Join(root, "bad.wav")
	if err := os.WriteFile(bad, data.EncodeWAV(notes)[:60], 0o644); err != nil {
		t.Fatal(err)
	}
	x.refused(codeData, "bad.wav: byte 36: cut off", "start", start(tiny(map[string]any{"data.file": bad}), true))
}

// Bad values are refused with the key that is wrong, and change nothing.
func TestBadConfig(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	for _, bad := range []struct {
		key   string
		value any
		names string
	}{
		{"model.hidden_size", 17, "model.hidden_size"}, {"model.num_hidden_layers", 1e6, "model.num_hidden_layers"}, {"train.lr", -1, "train.lr"},
		{"train.seq_len", 1.5, "train.seq_len"}, {"constructor", 1, "constructor"}, {"model.ttt_layer_type", "rnn", "model.ttt_layer_type"},
		{"train.steps", "many", "train.steps"}, {"model.num_hidden_layers", 1000, "model.num_hidden_layers"},
	} {
		c := tiny(map[string]any{bad.key: bad.value})
		p, _ := x.ask("describe", map[string]any{"config": c})["problem"].(map[string]any)
		if p == nil || p["code"] != codeConfig || p["key"] != bad.names {
			t.Errorf("%s = %v: %v", bad.key, bad.value, p)
		}
		if f := x.try("start", start(c, false)).Error; f == nil || f.Key != bad.names {
			t.Errorf("start with %s = %v: %v", bad.key, bad.value, f)
		}
	}
	if r := x.ask("runs", none)["runs"].([]any); len(r) != 0 {
		t.Errorf("runs were kept: %v", r)
	}
}

// Messages that are no requests of the schema are answered with an error where they have a number, and never end the session.
func TestHostileMessages(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	for i, m := range []string{
		`{"id":%d,"method":"start","params":{"config":{"__proto__":{"a":1}},"name":"","paused":true,"weights":""}}`,
		`{"id":%d,"method":"start","params":{"config":null,"name":"","paused":true,"weights":"../.."}}`,
		`{"id":%d,"method":"open","params":{"run":"../../etc","paused":true,"text":"","otherText":false}}`,
		`{"id":%d,"method":"delete","params":{"run":".."}}`,
		`{"id":%d,"method":"import","params":{"dir":"/runs","name":""}}`,
		`{"id":%d,"method":"import","params":{"dir":"/imports/../../..","name":""}}`,
		`{"id":%d,"method":"nothing","params":{}}`,
		`{"id":%d,"method":"pause","params":{"more":1}}`,
		`{"id":%d,"method":"generate","params":{"text":1}}`,
		`{"id":%d,"method":"hello","params":{"device":"quantum"}}`,
		`{"id":%d}`,
	} {
		id := int64(1000 + i)
		x.s.Receive(fmt.Appendf(nil, m, id))
		if a := x.await("answer", func(m posted) bool { return m.ID == id }); a.Error == nil {
			t.Errorf("%s: no error", m)
		}
	}
	for _, m := range []string{"", "null", "[]", "{", `{"id":-1}`, `{"id":"x"}`, "\x00\xff"} {
		x.s.Receive([]byte(m))
	}
	x.ask("runs", none)
}

// What the command line writes can be taken over: a run goes on bit for bit, weights begin a new run, and what is
// neither is refused in one sentence.
func TestImport(t *testing.T) {
	c, err := config(tiny(nil))
	if err != nil {
		t.Fatal(err)
	}
	text, err := train.Corpus(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	r, err := train.New(c, prog.NewCPU[float32](0), text)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var o losses
	r.StopAt = 20
	if err := r.Train(context.Background(), &o); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	x := newTab(t, root, nil)
	upload := func(n string) string {
		dir := filepath.Join(root, importsDir, n)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	save := func(dir string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil { // a run makes no folder of its own anew
			t.Fatal(err)
		}
		if _, err := r.Save(dir, 1); err != nil {
			t.Fatal(err)
		}
		if err := train.SaveConfig(dir, c); err != nil {
			t.Fatal(err)
		}
	}
	save(filepath.Join(upload("1"), "book"))
	imported := x.ask("import", map[string]any{"dir": "/imports/1", "name": "book"})
	if k := imported["run"].(map[string]any); k["step"] != 20.0 || k["name"] != "book" {
		t.Errorf("imported: %v", k)
	}
	r.StopAt = 0
	if err := r.Train(context.Background(), &o); err != nil {
		t.Fatal(err)
	}
	from := x.count()
	id := idOf(imported)
	x.ask("open", map[string]any{"run": id, "paused": false, "text": "", "otherText": false})
	x.state(from, stateFinished)
	if got := x.losses(id); !slices.Equal(got, []float64(o)[20:]) {
		t.Errorf("went on with %v, want %v", got, o[20:])
	}

	weights := upload("2")
	if err := r.Model.Save(r.Executor(), weights); err != nil {
		t.Fatal(err)
	}
	w := x.ask("import", map[string]any{"dir": "/imports/2", "name": "weights"})["run"].(map[string]any)
	x.ask("open", map[string]any{"run": w["id"], "paused": true, "text": "", "otherText": false})
	x.ask("set", map[string]any{"key": "train.lr", "value": 0})
	x.step()
	if l := x.losses(w["id"].(string)); len(l) != 1 || l[0] > o[25] { // random weights have ln 256 = 5.55
		t.Errorf("first loss with trained weights: %v", l)
	}

	for name, fill := range map[string]func(dir string){
		"no checkpoint": func(dir string) { put(t, filepath.Join(dir, "photo.jpg"), []byte{0xff, 0xd8}) },
		"unknown key": func(dir string) {
			save(dir)
			put(t, filepath.Join(dir, train.RunConfigFile), []byte("[model]\nattention = 3\n"))
		},
		"damaged": func(dir string) {
			save(dir)
			put(t, filepath.Join(dir, train.CheckpointsDir, "step-00000030", "model.safetensors"), []byte("x"))
		},
		"model_type": func(dir string) {
			put(t, filepath.Join(dir, model.ConfigFile), []byte(`{"model_type": "llama"}`))
		},
		"model.safetensors": func(dir string) {
			put(t, filepath.Join(dir, model.ConfigFile), []byte(`{"model_type": "ttt", "vocab_size": 256, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "num_hidden_layers": 1}`))
		},
	} {
		fill(upload(name))
		x.refused(codeData, name, "import", map[string]any{"dir": "/imports/" + name, "name": ""})
	}
	if n := len(x.ask("runs", none)["runs"].([]any)); n != 2 {
		t.Errorf("%d runs after two imports", n)
	}
}

// A run whose text is not in this browser asks for it, and goes on with another only when it is told to.
func TestNeedsText(t *testing.T) {
	root := t.TempDir()
	x := newTab(t, root, nil)
	file := filepath.Join(root, "book.txt")
	book := []byte(strings.Repeat("The quick brown fox jumps over the lazy dog. ", 300))
	write := func(b []byte) {
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(book)
	id := idOf(x.ask("start", start(tiny(map[string]any{"data.file": file}), true)))
	x.step()
	x.ask("stop", none)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	open := func(text string, other bool) map[string]any {
		return map[string]any{"run": id, "paused": true, "text": text, "otherText": other}
	}
	x.refused(codeNeedsText, "book.txt", "open", open("", false))
	x.refused(codeNeedsText, "book.txt", "start", start(tiny(map[string]any{"data.file": file}), true)) // a link may name it
	write([]byte(strings.Repeat("Another text. ", 900)))
	x.refused(codeNeedsText, "not the one", "open", open(file, false))
	x.ask("open", open(file, true))
	x.ask("stop", none)
	write(book)
	x.ask("open", open(file, false))
}

// Two tabs cannot train one run.
func TestLocked(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	id := idOf(x.ask("start", start(tiny(nil), true)))
	x.ask("stop", none)
	x.Lock(lockName(id)) // the other tab
	x.refused(codeLocked, "another tab", "open", map[string]any{"run": id, "paused": true, "text": "", "otherText": false})
	x.refused(codeLocked, "another tab", "delete", run(id))
	x.Unlock(lockName(id))
	x.ask("delete", run(id))
}

// fragile is a device that is lost before some step.
type fragile struct {
	prog.Executor
	left int
}

func (f *fragile) Bytes() int64 { return 0 }
func (f *fragile) Cancel()      {}

func (f *fragile) Upload(s *prog.Stage) error {
	if f.left--; f.left < 0 {
		return fmt.Errorf("gpu: test: %w", gpu.ErrLost)
	}
	return f.Executor.Upload(s)
}

func (f *fragile) Sync() error {
	if f.left < 0 {
		return gpu.ErrLost
	}
	return nil
}

// A lost device is replaced once, and the run goes on from its checkpoint as if nothing had been; the second time it
// says so and stops, and can be gone on with.
func TestLostDevice(t *testing.T) {
	whole := newTab(t, t.TempDir(), nil)
	from := whole.count()
	one := idOf(whole.ask("start", start(tiny(nil), false)))
	whole.state(from, stateFinished)
	want := whole.losses(one)

	lives := []int{40, 50, 1 << 30}
	x := newTab(t, t.TempDir(), func() (Device, error) {
		d := &fragile{prog.NewCPU[float32](0), lives[0]}
		lives = lives[1:]
		return d, nil
	})
	from = x.count()
	id := idOf(x.ask("start", start(tiny(map[string]any{"train.save_every": 5}), false)))
	n := x.awaitFrom(from, "notice", func(m posted) bool { return m.Event == "notice" })
	if n.Data["code"] != codeLost || !strings.Contains(n.Data["message"].(string), "goes on") {
		t.Errorf("first loss: %v", n.Data)
	}
	f := x.state(from, stateFailed)
	e := f.Data["error"].(map[string]any)
	if e["code"] != codeLost || !strings.Contains(e["message"].(string), "second time") || e["checkpoint"].(float64) < 5 {
		t.Errorf("second loss: %v", e)
	}
	from = x.count()
	x.ask("resume", none)
	x.state(from, stateFinished)
	if got := x.losses(id); !slices.Equal(got, want) {
		t.Errorf("losses %v, want %v", got, want)
	}
}

// A loss that is not finite stops the run, names the step, and keeps the last checkpoint, from which it can go on.
func TestNonFinite(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	id := idOf(x.ask("start", start(tiny(map[string]any{"train.clip": 0, "train.log_every": 1, "train.save_every": 5}), true)))
	from := x.count()
	for range 5 {
		x.ask("step", none)
		x.state(from, statePaused)
		from = x.count()
	}
	w := x.s.open.run.Model
	bad := w.Lookup(w.Names()[0])
	v := make([]float32, bad.Len())
	for i := range v {
		v[i] = float32(1e38)
	}
	if err := x.s.open.run.Executor().Write(bad, v); err != nil {
		t.Fatal(err)
	}
	x.ask("resume", none)
	e := x.state(from, stateFailed).Data["error"].(map[string]any)
	if e["code"] != codeNonFinite || e["step"] != 6.0 || e["checkpoint"] != 5.0 {
		t.Errorf("%v", e)
	}
	said := map[string]string{}
	for _, l := range e["origin"].([]any) {
		said[l.(map[string]any)["what"].(string)] = l.(map[string]any)["text"].(string)
	}
	if said["step"] != "6" || !strings.HasPrefix(said["place"], "micro-batch 0") || said["operation"] == "" || !strings.Contains(said["wrote"], "that are not finite") || !strings.Contains(said["read"], "begins") {
		t.Errorf("its origin is told as %q", said)
	}
	from = x.count()
	x.ask("resume", none)
	x.state(from, stateFinished)
	if l := x.losses(id); len(l) != 30 || !(l[29] < l[0]) {
		t.Errorf("losses %v", l)
	}
}

// A validation whose loss is not finite stops the run too, and the page is told so in words that it can read.
func TestNonFiniteEval(t *testing.T) {
	x := newTab(t, t.TempDir(), nil)
	x.ask("start", start(tiny(map[string]any{"train.log_every": 1, "train.eval_every": 5, "train.save_every": 5}), true))
	from := x.count()
	for range 5 {
		x.ask("step", none)
		x.state(from, statePaused)
		from = x.count()
	}
	o := x.s.open
	o.eval = nil // as if the pause had come before its end
	for _, name := range o.run.Model.Names() {
		w := o.run.Model.Lookup(name)
		v := make([]float32, w.Len())
		for i := range v {
			v[i] = float32(math.NaN())
		}
		if err := o.run.Executor().Write(w, v); err != nil {
			t.Fatal(err)
		}
	}
	x.ask("resume", none)
	e := x.state(from, stateFailed).Data["error"].(map[string]any)
	if e["code"] != codeNonFinite || e["step"] != 5.0 || e["checkpoint"] != 5.0 || !strings.Contains(e["message"].(string), "validation loss after step 5 is NaN") {
		t.Errorf("%v", e)
	}
	from = x.count()
	x.ask("resume", none)
	x.state(from, stateFinished)
}

// put writes a file.
func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// step makes one step and waits for its end.
func (x *tab) step() {
	x.t.Helper()
	from := x.count()
	x.ask("step", none)
	x.state(from, statePaused)
}
