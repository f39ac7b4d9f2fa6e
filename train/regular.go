package train

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// errNoFile is what is wrong with a pipe, a device or a socket that has the name of a run's file: reading it could wait, or
// go on, for ever.
var errNoFile = errors.New("is no regular file")

// openRegular opens a regular file of a run's folder to be read.
func openRegular(path string) (*os.File, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if m := st.Mode(); !m.IsRegular() && !m.IsDir() { // of a folder, reading tells
		return nil, &fs.PathError{Op: "open", Path: path, Err: errNoFile}
	}
	return os.Open(path)
}

// ReadRegular reads a file of a run's folder; a pipe, a device or a socket of that name is an error.
func ReadRegular(path string) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

// LoadRun reads the configuration of the run in dir; without one the error is fs.ErrNotExist.
func LoadRun(dir string) (Config, error) {
	path := filepath.Join(dir, RunConfigFile)
	b, err := ReadRegular(path)
	if err != nil {
		return Default(), err
	}
	return Parse(path, b)
}

// CheckpointFolders lists the checkpoints of the run in dir, whole or not, with the path below dir. What else lies among
// them is left out; a file in a checkpoint that no run wrote there is named.
func CheckpointFolders(dir string) (folders []string, foreign string, err error) {
	es, err := os.ReadDir(filepath.Join(dir, CheckpointsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	for _, e := range es {
		at := filepath.Join(CheckpointsDir, e.Name())
		if _, ok := stepOfFolder(e.Name()); !ok || !e.IsDir() {
			continue
		}
		if foreign = foreignFile(filepath.Join(dir, at)); foreign != "" {
			return nil, filepath.Join(at, foreign), nil
		}
		folders = append(folders, at)
	}
	return folders, "", nil
}

// foreignFile is the name of something in a checkpoint that no run wrote there; an empty name: there is nothing.
func foreignFile(checkpoint string) string {
	es, err := os.ReadDir(checkpoint)
	if err != nil {
		return ""
	}
	for _, e := range es {
		if !slices.Contains(checkpointFiles, e.Name()) && e.Name() != stateFile && !desktop(e.Name()) {
			return e.Name()
		}
	}
	return ""
}

// desktop says whether name is one of the files that desktops leave in folders which somebody looked at.
func desktop(name string) bool {
	return name == ".DS_Store" || name == "Thumbs.db" || name == "desktop.ini"
}
