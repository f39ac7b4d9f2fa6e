package train

import (
	"encoding/json"
	"io"
	"path/filepath"
	"time"

	"innerloop/model/safetensors"
)

// ExitFile says how the last process that trained a run ended. It is missing while one trains, and where one was killed.
const ExitFile = "exit.json"

// Ending is the content of ExitFile.
type Ending struct {
	Code    int       `json:"code"`  // the process's exit code
	Error   string    `json:"error"` // what the process said; empty: all went well
	Step    int       `json:"step"`  // that the run had reached
	Host    string    `json:"host"`
	Job     string    `json:"job"` // the batch system's name for it; empty: there was none
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
}

// Write writes dir's ExitFile, whole or not at all.
func (e Ending) Write(dir string) error {
	return safetensors.WriteFileAtomic(filepath.Join(dir, ExitFile), 0o644, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(e)
	})
}

// ReadEnding reads dir's ExitFile; without one the error is fs.ErrNotExist.
func ReadEnding(dir string) (e Ending, err error) {
	b, err := ReadRegular(filepath.Join(dir, ExitFile))
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	return e, err
}
