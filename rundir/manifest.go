package rundir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"innerloop/model"
	"innerloop/model/safetensors"
	"innerloop/train"
)

// ManifestFile lists the names of what a run wrote to its folder. All else in there is somebody else's.
const ManifestFile = "files.json"

const manifestFormat = "innerloop.files.1"

// manifest is the content of ManifestFile.
type manifest struct {
	Format string   `json:"format"`
	Files  []string `json:"files"`
}

// errManifest is wrapped by the error of a manifest that is damaged.
var errManifest = errors.New("the manifest is damaged")

// files are the names of what a run wrote, or is going to write, to a folder.
type files struct {
	dir   string
	names map[string]bool
	data  os.FileInfo // what the run reads, which is never its own; nil: none
}

// runNames are those that a run may have in its folder, the most telling first, beside event files and samples.
var runNames = []string{model.WeightsFile, train.MetricsFile, train.RunConfigFile, model.ConfigFile, train.CheckpointsDir, train.NormsFile, train.ExitFile, ManifestFile}

// readFiles reads the manifest of a folder. A run from before there were manifests counts as having written what runs
// wrote then, where the folder is plainly a run's.
func readFiles(dir string) (files, error) {
	f := files{dir: dir, names: map[string]bool{}}
	path := filepath.Join(dir, ManifestFile)
	b, err := train.ReadRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return foundFiles(dir)
	}
	if err != nil {
		return f, err
	}
	if !bytes.Contains(b, []byte("innerloop")) { // somebody else's file of that name
		return foundFiles(dir)
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil || m.Format != manifestFormat {
		return f, fmt.Errorf("%s: %w: nobody knows which files here are the run's; choose another folder, or remove this one yourself", path, errManifest)
	}
	for _, name := range m.Files {
		if !slices.Contains(runNames, name) && !isEvents(name) && !isSample(name) {
			return f, fmt.Errorf("%s: %w: it names %.80q, which no run writes; choose another folder, or remove this one yourself", path, errManifest, name)
		}
		f.names[name] = true
	}
	f.names[ManifestFile] = true
	return f, nil
}

// foundFiles are those of a folder without a manifest.
func foundFiles(dir string) (files, error) {
	f := files{dir: dir, names: map[string]bool{}}
	c, err := train.LoadRun(dir)
	if err != nil || !exists(dir, train.CheckpointsDir) && !exists(dir, train.MetricsFile) {
		return f, nil // no run's: nothing is known to be one's
	}
	es, err := os.ReadDir(dir)
	if err != nil {
		return f, err
	}
	sound := c.Data.Task == "sounds" && c.Data.File == "" || strings.EqualFold(filepath.Ext(c.Data.File), ".wav")
	data := dataOf(c)
	for _, e := range es {
		name := e.Name()
		switch {
		case name == train.NormsFile && c.Model.Variant != model.VariantVideo, isSample(name) && !sound, holds(filepath.Join(dir, name), data) != "":
		case slices.Contains(runNames, name) || isEvents(name) || isSample(name):
			f.names[name] = true
		}
	}
	delete(f.names, ManifestFile)
	return f, nil
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// isEvents says whether name is that of an event file of ours.
func isEvents(name string) bool {
	rest, ok := strings.CutPrefix(name, "events.out.tfevents.")
	at, n, ok2 := strings.Cut(rest, ".innerloop.")
	return ok && ok2 && digits(at) && digits(n)
}

// isSample says whether name is that of a sample of ours: sample-1.wav, or sample-1-2.wav where that was taken.
func isSample(name string) bool {
	rest, ok := strings.CutPrefix(name, "sample-")
	rest, ok2 := strings.CutSuffix(rest, ".wav")
	a, b, two := strings.Cut(rest, "-")
	return ok && ok2 && digits(a) && (!two || digits(b))
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// present are the names that are there, the most telling first.
func (f files) present() []string {
	var names []string
	for name := range f.names {
		if exists(f.dir, name) {
			names = append(names, name)
		}
	}
	place := func(name string) int {
		if i := slices.Index(runNames, name); i >= 0 {
			return i
		}
		return len(runNames)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := place(a) - place(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return names
}

// write writes the manifest to a folder, whole or not at all.
func (f files) write(dir string) error {
	m := manifest{Format: manifestFormat}
	for name := range f.names {
		m.Files = append(m.Files, name)
	}
	slices.Sort(m.Files)
	return safetensors.WriteFileAtomic(filepath.Join(dir, ManifestFile), 0o644, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(m)
	})
}
