//go:build !js

package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"innerloop/gpu/gputest/chromium"
	"innerloop/model/safetensors"
	"innerloop/prog"
	"innerloop/train"
)

// Files that people give the page, and that it cannot use: it says of each what is wrong with it, and goes on.
func TestStrangeFiles(t *testing.T) {
	t.Parallel()
	p := part(t, browse(t, options{}), "/?debug"+tiny+"&train.steps=30", options{})
	p.ready()
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// refused checks that of what was done last a notice says these words, and takes it away.
	refused := func(words ...string) {
		t.Helper()
		p.says("#notices", words...)
		p.says("#status-state", "Ready")
		p.silent("#failure")
		p.Click("#notices .close")
		p.silent("#notices")
	}
	choose := func(input string, files ...string) {
		t.Helper()
		p.Do(chromedp.SetUploadFiles(chromedp.CSS(input), files, chromedp.NodeReady))
	}

	// Texts.
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 40, 40))); err != nil {
		t.Fatal(err)
	}
	flac := file("song.dat", []byte("fLaC\x00\x00\x00\x22"))
	choose("#text-file", flac)
	refused("The text could not be read", "song.dat begins as a sound of another kind does, FLAC", "convert it to WAV")
	p.drop(flac)
	refused("The text could not be read", "song.dat begins as a sound of another kind does, FLAC", "convert it to WAV")
	// A picture's bytes are tokens, as any file's are, though no text: it can be taken, and deleted again.
	p.drop(file("holiday.png", picture.Bytes()))
	p.says("#notices", "This is no plain text.", "holiday.png is taken as it is: each of its bytes is a token.")
	p.Until(`document.querySelector("#data-source option:checked").innerText === "holiday.png"`)
	p.Click("#notices .close")
	p.Click("#delete-text")
	p.says("#text-dialog", "holiday.png", "No kept run reads it.")
	p.Click("#text-yes")
	p.Until(`document.querySelector("#data-source option:checked").innerText === "Stories (generated)"`)
	choose("#text-file", file("nothing.txt", nil))
	refused("nothing.txt is empty")
	p.drop(file("wide.txt", []byte("\xff\xfeO\x00n\x00c\x00e\x00")))
	refused("wide.txt is in UTF-16: save it as UTF-8")
	p.drop(file("a.txt", []byte("one")), file("b.txt", []byte("two")))
	refused("Give one text at a time: these are 2 files.")
	if got := p.Text("#data-source option:checked"); got != "Stories (generated)" {
		t.Errorf("the text is %q after all that", got)
	}

	// Checkpoints.
	llama := filepath.Join(dir, "llama")
	config := file("llama/config.json", []byte(`{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 32000}`))
	weights := filepath.Join(llama, "model.safetensors")
	if err := safetensors.WriteFile(weights, nil, []safetensors.Tensor{safetensors.Float32("model.embed_tokens.weight", []int{4, 8}, make([]float32, 32))}); err != nil {
		t.Fatal(err)
	}
	choose("#upload-files", config, weights)
	refused("The upload could not be taken over", "llama")
	choose("#upload-files", weights)
	refused("model.safetensors needs its config.json: give both together.")
	choose("#upload-files", config)
	refused("config.json needs its model.safetensors: give both together.")
	choose("#upload-files", archive(t, llama, filepath.Join(dir, "llama.zip")))
	refused("The upload could not be taken over", "llama")
	choose("#upload-files", file("pytorch_model.bin", append([]byte("\x80\x02ccollections\nOrderedDict\nq\x00"), make([]byte, 100)...)))
	refused("pytorch_model.bin", "model.safetensors")
	p.drop(file("weights.pt", append([]byte("\x80\x02ccollections\nOrderedDict\nq\x00"), make([]byte, 100)...)))
	refused("weights.pt", "model.safetensors")

	run := keptRun(t)
	whole := archive(t, run, filepath.Join(dir, "whole.zip"))
	b, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	choose("#upload-files", file("half.zip", b[:len(b)/2]))
	refused("The upload could not be taken over", "damaged")
	choose("#upload-files", file("letters.zip", []byte("Once upon a time there was no archive.")))
	refused("The upload could not be taken over", "archive")
	choose("#upload-files", sly(t, filepath.Join(dir, "sly.zip")))
	refused("The upload could not be taken over", "../../runs/evil/config.toml", "not one of a file within a folder")

	// A run one of whose two checkpoints is damaged comes with the other; with both damaged it does not come.
	damage := func(step string) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(run, "checkpoints", step, "optimizer.safetensors"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if _, err := f.WriteAt([]byte{1, 2, 3}, 2000); err != nil {
			t.Fatal(err)
		}
	}
	damage("step-00000004")
	choose("#upload-files", archive(t, run, filepath.Join(dir, "older.zip")))
	p.phase("paused")
	if got := p.step(); got != 2 {
		t.Errorf("the run is at step %d, its whole checkpoint is of 2", got)
	}
	p.says("#notices", "passed over a damaged checkpoint", "step-00000004/optimizer.safetensors")
	p.Click("#stop")
	p.phase("idle")
	p.Click("#notices .close")
	damage("step-00000002")
	choose("#upload-files", archive(t, run, filepath.Join(dir, "none.zip")))
	refused("The upload could not be taken over", "checkpoints/step-00000004/optimizer.safetensors: damaged")

	// After all that, a text of the person's.
	p.drop(file("tale.txt", []byte(strings.Repeat("Once there was a file that was a text. ", 200))))
	p.Until(`document.querySelector("#data-source option:checked").innerText === "tale.txt"`)
	p.Click("#start")
	p.phase("finished")
	p.says("#headline-title", "steps done")
	p.silent("#failure, #notices")
	p.Click("#tab-runs")
	p.says("#runs", "step 4 / 4") // with the settings of the run that came
	if got := chromium.JS[string](p.Tab, `document.querySelector("#runs .run-name").value`); !strings.HasPrefix(got, "tale") {
		t.Errorf("the run of tale.txt is called %q", got)
	}
	if n := chromium.JS[int](p.Tab, `document.querySelectorAll("#runs > li").length`); n != 2 {
		t.Errorf("%d runs are kept, want the one that came and the one that was trained", n)
	}
	if left := ask[struct{ Bytes float64 }](p, "usage", map[string]any{}); left.Bytes > 5e6 {
		t.Errorf("%.0f bytes are in the storage: uploads were left there", left.Bytes)
	}
}

// drop drops files on the page, as from a file manager.
func (p *page) drop(files ...string) {
	p.t.Helper()
	data := &input.DragData{Items: []*input.DragDataItem{}, Files: files, DragOperationsMask: 1}
	for _, typ := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
		if _, err := chromedp.Call(p.Context(), input.DispatchDragEvent, input.DispatchDragEventParams{Type: typ, X: 640, Y: 400, Data: data}); err != nil {
			p.t.Fatal(err)
		}
		if typ == input.DispatchDragEventTypeDragOver {
			p.says("#drop", "Drop it here")
		}
	}
	p.silent("#drop")
}

// archive makes a .zip of a folder.
func archive(t *testing.T, dir, path string) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z := zip.NewWriter(f)
	if err := z.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// sly makes a .zip whose files would lie among the kept runs.
func sly(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z := zip.NewWriter(f)
	for _, name := range []string{"model.safetensors", "../../runs/evil/config.toml", "../../runs/evil/run.json"} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(w).Encode(map[string]any{"name": "evil"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// keeper saves a run's checkpoints.
type keeper struct {
	run *train.Run
	dir string
	log *train.Log
}

func (k keeper) Steps(s []train.Step, _ float64) error { return k.log.Steps(s, 1) }
func (k keeper) Eval(e train.Eval) error               { return k.log.Eval(e) }
func (k keeper) Save(int) error {
	_, err := k.run.Save(k.dir, 0)
	return err
}

// keptRun trains four steps and keeps two checkpoints.
func keptRun(t *testing.T) string {
	t.Helper()
	c := train.Demo()
	for key, v := range map[string]float64{
		"model.hidden_size": 16, "model.intermediate_size": 24, "model.num_hidden_layers": 1, "model.num_attention_heads": 2, "model.mini_batch_size": 4,
		"train.batch_size": 1, "train.seq_len": 16, "train.steps": 4, "train.save_every": 2, "data.story_bytes": 5000,
	} {
		if err := c.SetValue(key, v); err != nil {
			t.Fatal(err)
		}
	}
	text, err := train.Corpus(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	run, err := train.New(c, prog.NewCPU[float32](0), text)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	dir := t.TempDir()
	if err := train.SaveConfig(dir, c); err != nil {
		t.Fatal(err)
	}
	log, _, err := train.OpenLog(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	if err := run.Train(context.Background(), keeper{run, dir, log}); err != nil {
		t.Fatal(err)
	}
	return dir
}
