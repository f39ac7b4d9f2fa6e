// Command hostprog answers the page as the trainer would, but only to show what the worker makes of it.
package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"
	"syscall/js"
	"unsafe"
)

type request struct {
	ID     int
	Method string
	Params map[string]any
}

type object = map[string]any

var host = js.Global().Get("innerloopHost")

func main() {
	log.SetFlags(0)
	requests := make(chan request, 100)
	host.Set("receive", js.FuncOf(func(_ js.Value, args []js.Value) any {
		var q request
		if err := json.Unmarshal([]byte(args[0].String()), &q); err != nil {
			panic(err)
		}
		requests <- q
		return nil
	}))
	for q := range requests {
		result, err := answer(q)
		message := object{"id": q.ID, "result": result}
		if err != nil {
			message = object{"id": q.ID, "error": object{"code": "storage", "message": err.Error(), "key": "", "step": 0, "checkpoint": -1}}
		}
		columns := js.Global().Get("Object").New()
		if q.Method == "metrics" {
			b := js.Global().Get("Uint8Array").New(16)
			js.CopyBytesToJS(b, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 4, 0x40}) // 1, 2.5
			columns.Set("loss", b)
		}
		text, err := json.Marshal(message)
		if err != nil {
			panic(err)
		}
		host.Call("post", string(text), columns)
	}
}

// await waits for a promise.
func await(p js.Value) js.Value {
	got := make(chan js.Value, 1)
	then := js.FuncOf(func(_ js.Value, args []js.Value) any {
		got <- args[0]
		return nil
	})
	defer then.Release()
	p.Call("then", then)
	return <-got
}

func answer(q request) (any, error) {
	text := func(key string) string { s, _ := q.Params[key].(string); return s }
	switch q.Method {
	case "hello":
		return object{
			"storage": object{"kind": host.Get("storage").Get("kind").String(), "problem": host.Get("storage").Get("problem").String()},
			"memory":  host.Call("memory").Int(),
			"gpu":     js.Global().Get("innerloopGPU").Type().String(),
		}, nil
	case "metrics":
		return object{"run": text("run")}, nil
	case "set":
		switch text("key") {
		case "lock":
			return object{"locked": await(host.Call("lock", text("value"))).Bool()}, nil
		case "unlock":
			host.Call("unlock", text("value"))
		case "read":
			b, err := os.ReadFile(text("value"))
			return object{"text": string(b)}, err
		case "write":
			path, content, _ := strings.Cut(text("value"), "=")
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return nil, err
			}
			return object{}, os.WriteFile(path, []byte(content), 0o644)
		}
		return object{}, nil
	case "import":
		files := []string{}
		err := filepath.WalkDir(text("dir"), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				rel, _ := filepath.Rel(text("dir"), path)
				b, err := os.ReadFile(path)
				files = append(files, fmt.Sprintf("%s=%s", rel, b))
				return err
			}
			return err
		})
		return object{"files": files, "name": text("name")}, err
	case "download":
		return object{"dir": "/runs/" + text("run"), "name": "My run", "files": []string{"config.toml", "checkpoints/state.json"}}, nil
	case "save":
		log.Print("a line of the log")
		fmt.Println("a line of stdout")
	case "pause":
		panic("boom")
	case "resume": // a trap of WebAssembly: beyond its memory
		return *(*byte)(unsafe.Pointer(^uintptr(0) >> 32 &^ 0xffff)), nil
	case "stop":
		os.Exit(0)
	}
	return object{}, nil
}
