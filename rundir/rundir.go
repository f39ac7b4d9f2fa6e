// Package rundir is about a run's folder as a place on disk: who may write there (the lock), which of its files the run
// wrote (the manifest), and how one run takes the place of another. What the files hold is train's.
package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"innerloop/internal/symlink"
	"innerloop/model"
	"innerloop/train"
)

// ErrTaken is wrapped by errors of folders that a new run may not have: another run lies there, or files that no run wrote.
var ErrTaken = errors.New("taken")

// taken is an ErrTaken whose text is its own.
type taken string

// Error implements error.
func (t taken) Error() string { return string(t) }

// Is makes it an ErrTaken.
func (t taken) Is(target error) bool { return target == ErrTaken }

func takenf(format string, a ...any) error { return taken(fmt.Sprintf(format, a...)) }

// Place is where a new run is going to be. Nothing is written there before Begin.
type Place struct {
	dir   string
	auto  bool // dir is only the beginning of a name
	force bool
	data  os.FileInfo // the training data, which must stay; nil: none
	lock  *Lock       // nil: the folder is not there yet
}

// Reserve finds out whether a new run with configuration c may have the folder dir, and keeps other processes out of it
// until Begin or Close; with force, a run that is there gives way. What is in the way is an ErrTaken.
func Reserve(dir string, c train.Config, force bool) (*Place, error) {
	p := &Place{dir: dir, force: force, data: dataOf(c)}
	switch st, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		if err := symlink.Dangling(dir); err != nil {
			return nil, err
		}
		return p, nil
	case err != nil:
		return nil, err
	case !st.IsDir():
		return nil, &fs.PathError{Op: "open", Path: dir, Err: errors.New("is a file, want a folder")}
	}
	if err := p.enter(c); err != nil {
		return nil, err
	}
	return p, nil
}

// ReserveNew is Reserve for a folder that Begin makes: dir, or dir-2 and so on where there is something of that name.
func ReserveNew(dir string, c train.Config) *Place {
	return &Place{dir: dir, auto: true, data: dataOf(c)}
}

// dataOf is the file that a run of configuration c reads; nil: none.
func dataOf(c train.Config) os.FileInfo {
	if c.Data.File == "" {
		return nil
	}
	st, err := os.Stat(c.Data.File)
	if err != nil {
		return nil // which is said where it is read
	}
	return st
}

// enter locks the folder and looks into it, in this order.
func (p *Place) enter(c train.Config) (err error) {
	if p.lock, err = Acquire(p.dir); err != nil {
		return err
	}
	if err = Recover(p.dir); err == nil {
		_, err = p.look(c)
	}
	if err != nil {
		p.Close()
	}
	return err
}

// Close gives the place up. After Begin it does nothing.
func (p *Place) Close() {
	if p.lock != nil {
		p.lock.Close() //nolint:errcheck // was only read
		p.lock = nil
	}
}

// look says which files of the run in the folder give way to the new one.
func (p *Place) look(c train.Config) (old []string, err error) {
	files, err := readFiles(p.dir)
	if errors.Is(err, errManifest) {
		return nil, taken(err.Error())
	}
	if err != nil {
		return nil, err
	}
	for _, name := range files.present() { // the weights first: without them nobody takes the folder for a model
		if !p.force && name != ManifestFile {
			return nil, takenf("%s: holds a run already (%s): choose another folder, or --force to replace it, or --resume to go on with it", p.dir, name)
		}
		if name != train.CheckpointsDir {
			old = append(old, name)
			continue
		}
		steps, foreign, err := train.CheckpointFolders(p.dir)
		if err != nil {
			return nil, err
		}
		if foreign != "" {
			return nil, takenf("%s: --force would remove %s, which no run of innerloop wrote: choose another folder, or move it away", p.dir, foreign)
		}
		old = append(old, steps...)
	}
	for _, name := range old {
		if at := holds(filepath.Join(p.dir, name), p.data); at != "" {
			return nil, takenf("%s: --force would remove %s, the text to train on: choose another folder, or move the text away", p.dir, at)
		}
	}
	for _, name := range willWrite(c) {
		if _, err := os.Lstat(filepath.Join(p.dir, name)); err == nil && !files.names[name] {
			return nil, takenf("%s: holds %s, which no run of innerloop wrote and this one would overwrite: choose another folder, or move it away", p.dir, name)
		}
	}
	return old, nil
}

// holds finds the file data at or below a path; an empty name: it is not there.
func holds(path string, data os.FileInfo) (at string) {
	if data == nil {
		return ""
	}
	_ = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error { // what cannot be read is not removed either
		if err != nil || d.IsDir() {
			return nil
		}
		if st, err := d.Info(); err == nil && os.SameFile(st, data) {
			at = name
			return fs.SkipAll
		}
		return nil
	})
	return at
}

// willWrite are the names that a run of configuration c is going to have, but for those that are found when they are
// wanted: event files and samples.
func willWrite(c train.Config) []string {
	names := []string{ManifestFile, train.RunConfigFile, train.MetricsFile, train.CheckpointsDir, model.WeightsFile, model.ConfigFile, train.ExitFile}
	if c.Model.Variant == model.VariantVideo { // the layers whose normalisers are logged
		names = append(names, train.NormsFile)
	}
	return names
}

// Begin makes the place the folder of a run with configuration c, which it writes there. What it returns beside are the
// files of an earlier run that are gone. On an error, and where the process is killed, the folder is the earlier run's or
// the new one's.
func (p *Place) Begin(c train.Config) (_ *Folder, gone []string, err error) {
	var made []string
	defer func() {
		if err == nil {
			return
		}
		p.Close()
		for _, d := range made {
			os.Remove(d) //nolint:errcheck // not empty: not ours alone
		}
	}()
	if p.lock == nil {
		if made, err = p.make(); err != nil {
			return nil, nil, err
		}
		if err := p.enter(c); err != nil { // another process may have been here first
			return nil, nil, err
		}
	}
	if err := p.lock.Check(); err != nil {
		return nil, nil, err
	}
	if gone, err = p.look(c); err != nil { // again: it took a while
		return nil, nil, err
	}
	f := &Folder{Dir: p.dir, lock: p.lock, files: files{dir: p.dir, names: map[string]bool{}, data: p.data}}
	for _, name := range willWrite(c) {
		f.files.names[name] = true
	}
	if len(gone) > 0 {
		if err := clean(p.dir); err != nil {
			return nil, nil, err
		}
	}
	err = Swap{
		Old: gone,
		New: []string{train.RunConfigFile, ManifestFile},
		Fill: func(dir string) error {
			return errors.Join(train.SaveConfig(dir, c), f.files.write(dir))
		},
	}.Do(p.dir)
	if err != nil {
		return nil, nil, err
	}
	p.lock = nil // it is the folder's
	return f, gone, nil
}

// make makes the folder, which other processes may be making too, and says which folders above it it made, the innermost
// first.
func (p *Place) make() (made []string, err error) {
	if made, err = MakeAll(filepath.Dir(p.dir)); err != nil {
		return made, err
	}
	dir, err := mkdirNew(p.dir, p.auto)
	if err == nil {
		p.dir = dir
		return append([]string{dir}, made...), nil
	}
	if !p.auto && errors.Is(err, fs.ErrExist) { // since a moment ago: enter looks into it
		return made, nil
	}
	return made, err
}

// mkdirNew makes a folder that was not there; where another name will do, the first free one of dir, dir-2, dir-3.
func mkdirNew(dir string, another bool) (string, error) {
	for n, name := 2, dir; ; n++ {
		err := os.Mkdir(name, 0o755)
		if err == nil || !another || !errors.Is(err, fs.ErrExist) {
			return name, err
		}
		name = fmt.Sprintf("%s-%d", dir, n)
	}
}

// mkdirBeside makes a folder that was not there, of dir's name with more at its end. Where that is too long for the file
// system, whose limit nothing tells, characters before it give way.
func mkdirBeside(dir, more string) (string, error) {
	in, base := filepath.Split(dir)
	for {
		name, err := mkdirNew(in+base+more, true)
		_, last := utf8.DecodeLastRuneInString(base)
		if !errors.Is(err, syscall.ENAMETOOLONG) || len(base) <= last {
			return name, err
		}
		base = base[:len(base)-last]
	}
}

// MakeAll is os.MkdirAll that tells which folders it made, the innermost first. A link in its way that leads nowhere is an
// error: it is no folder of ours to make, nor to remove.
func MakeAll(dir string) (made []string, err error) {
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); err == nil {
			if err := symlink.Dangling(d); err != nil {
				return nil, err
			}
			break
		}
		if filepath.Dir(d) == d {
			break
		}
		made = append(made, d)
	}
	return made, os.MkdirAll(dir, 0o755)
}

// Folder is the folder of a run that this process trains.
type Folder struct {
	Dir   string
	lock  *Lock
	files files
}

// Resume opens the folder of a run that goes on, and keeps other processes out of it.
func Resume(dir string) (*Folder, error) {
	lock, err := Acquire(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{Dir: dir, lock: lock}
	if err = Recover(dir); err == nil {
		if err = clean(dir); errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			err = nil // it may be a whole run that only asks whether it is one; GoOn finds out whether it may write
		}
	}
	if err == nil {
		f.files, err = readFiles(dir)
		if errors.Is(err, errManifest) { // the run itself says what it is: what it wrote is found as without a manifest
			f.files, err = foundFiles(dir)
			f.files.names[ManifestFile] = true
		}
	}
	if err != nil {
		lock.Close() //nolint:errcheck // was only read
		return nil, err
	}
	return f, nil
}

// GoOn says that the run goes on with configuration c: it may write what such a run writes. A file in its way that no run
// wrote is an ErrTaken.
func (f *Folder) GoOn(c train.Config) error {
	f.files.data = dataOf(c)
	f.files.names[train.RunConfigFile] = true // whoever goes on with the run has named it
	names := willWrite(c)
	for _, name := range names {
		if !f.MayWrite(name) {
			return takenf("%s: holds %s, which this run did not write and would overwrite: move it away", f.Dir, name)
		}
	}
	return f.Claim(names...)
}

// MayWrite says whether the run may write a file of that name: there is none, or it is the run's own.
func (f *Folder) MayWrite(name string) bool {
	path := filepath.Join(f.Dir, name)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return f.files.names[name] && holds(path, f.files.data) == ""
}

// Owns says whether the run wrote the file of that name, or has claimed it.
func (f *Folder) Owns(name string) bool { return f.files.names[name] }

// Claim notes names as the run's own, in its manifest, before the files are written.
func (f *Folder) Claim(names ...string) error {
	added := false
	for _, name := range names {
		added = added || !f.files.names[name]
		f.files.names[name] = true
	}
	if !added {
		return nil
	}
	if err := f.Check(); err != nil {
		return err
	}
	return f.files.write(f.Dir)
}

// Free is the first of name, name-2 and so on that the run may write, as in sample-1-2.wav, and is the run's from now on.
func (f *Folder) Free(name string) (string, error) {
	ext := filepath.Ext(name)
	free := name
	for n := 2; !f.MayWrite(free); n++ {
		free = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ext), n, ext)
	}
	return free, f.Claim(free)
}

// Check is an ErrMoved where the folder is no longer the one that was locked: another folder, perhaps another run's, or
// none has its name.
func (f *Folder) Check() error { return f.lock.Check() }

// Beside makes a new folder next to the run's, for what must not be lost after ErrMoved: c, and the run's next checkpoint.
func (f *Folder) Beside(c train.Config) (string, error) {
	if _, err := MakeAll(filepath.Dir(f.Dir)); err != nil {
		return "", err
	}
	dir, err := mkdirBeside(filepath.Clean(f.Dir), "-saved")
	if err != nil {
		return dir, err
	}
	beside := files{names: map[string]bool{}}
	for _, name := range willWrite(c) {
		beside.names[name] = true
	}
	return dir, errors.Join(train.SaveConfig(dir, c), beside.write(dir))
}

// Close lets other processes train the run.
func (f *Folder) Close() error { return f.lock.Close() }

// clean removes what a killed process left half-written in a run's folder.
func clean(dir string) error {
	if err := train.Clean(dir); err != nil {
		return err
	}
	es, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range es {
		stem := strings.TrimRight(e.Name(), "0123456789")
		name, hidden := strings.CutPrefix(stem, ".")
		if hidden && stem != e.Name() && (name == ManifestFile || isSample(name)) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
