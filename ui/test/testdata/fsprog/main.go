// Command fsprog asks of a file system what training asks of it, through package os. It is the same program on this
// machine and in the browser. Its first argument is a folder to work in; "time" as the second measures instead.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"innerloop/model/safetensors"
)

var failures int

// check runs f in a folder of its own.
func check(root, name string, f func(dir string) error) {
	dir := filepath.Join(root, name)
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = f(dir)
	}
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		failures++
		fmt.Printf("FAIL %s: %v\n", name, err)
		return
	}
	fmt.Printf("ok %s\n", name)
}

// want returns an error unless err is the one wanted.
func want(err, wanted error) error {
	if !errors.Is(err, wanted) {
		return fmt.Errorf("got the error %v, want %v", err, wanted)
	}
	return nil
}

func content(path, text string) error {
	b, err := os.ReadFile(path)
	if err == nil && string(b) != text {
		err = fmt.Errorf("%s holds %.40q (%d bytes), want %.40q (%d bytes)", path, b, len(b), text, len(text))
	}
	return err
}

func names(dir string, wanted ...string) error {
	es, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var got []string
	for _, e := range es {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		got = append(got, name)
	}
	if !slices.Equal(got, wanted) {
		return fmt.Errorf("%s holds %q, want %q", dir, got, wanted)
	}
	return nil
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }

// all returns the first error of calls that depend on each other.
func all(steps ...func() error) error {
	for i, s := range steps {
		if err := s(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

func main() {
	root := os.Args[1]
	if len(os.Args) > 2 && os.Args[2] == "time" {
		if err := measure(root); err != nil {
			fmt.Println("FAIL", err)
			os.Exit(1)
		}
		return
	}
	check(root, "files", files)
	check(root, "folders", folders)
	check(root, "errors", wrongUse)
	check(root, "rename", rename)
	check(root, "rename-folder", renameFolder)
	check(root, "append", appending)
	check(root, "seek", seeking)
	check(root, "together", together)
	check(root, "atomic", atomic)
	check(root, "big", big)
	if runtime.GOOS == "js" {
		check(root, "full", full)
	}
	fmt.Fprintln(os.Stderr, "a line of stderr")
	if failures > 0 {
		os.Exit(1)
	}
}

func files(dir string) error {
	p := filepath.Join(dir, "a.txt")
	return all(
		func() error { return write(p, "one") },
		func() error { return content(p, "one") },
		func() error { return write(p, "2") }, // truncates
		func() error { return os.Mkdir(filepath.Join(dir, "x"), 0o755) },
		func() error { return content(dir+"/./x/..//a.txt", "2") },
		func() error { return os.Remove(filepath.Join(dir, "x")) },
		func() error { return os.Chmod(p, 0o600) },
		func() error { return os.Truncate(p, 4) },
		func() error { return content(p, "2\x00\x00\x00") },
		func() error {
			st, err := os.Stat(p)
			if err == nil && (st.Size() != 4 || st.IsDir() || !st.Mode().IsRegular() || time.Since(st.ModTime()).Abs() > time.Hour) {
				err = fmt.Errorf("stat: %d bytes, %v, %v", st.Size(), st.Mode(), st.ModTime())
			}
			return err
		},
		func() error { return write(filepath.Join(dir, ".hidden 1 ü.txt"), "") },
		func() error { return names(dir, ".hidden 1 ü.txt", "a.txt") },
		func() error { return os.Remove(p) },
		func() error { return names(dir, ".hidden 1 ü.txt") },
		func() error { return want(content(p, ""), fs.ErrNotExist) },
	)
}

func folders(dir string) error {
	deep := filepath.Join(dir, "a", "b", "c")
	return all(
		func() error { return os.MkdirAll(deep, 0o755) },
		func() error { return os.MkdirAll(deep, 0o755) },
		func() error {
			for i := range 30 {
				if err := write(filepath.Join(deep, fmt.Sprintf("%02d", i)), "x"); err != nil {
					return err
				}
			}
			es, err := os.ReadDir(deep)
			if err == nil && (len(es) != 30 || es[29].Name() != "29") {
				err = fmt.Errorf("ReadDir: %v", es)
			}
			return err
		},
		func() error { return names(filepath.Dir(deep), "c/") },
		func() error {
			d, err := os.Open(deep)
			if err != nil {
				return err
			}
			return errors.Join(d.Sync(), d.Close())
		},
		func() error { return os.RemoveAll(filepath.Join(dir, "a")) },
		func() error { return os.RemoveAll(filepath.Join(dir, "a")) },
		func() error { return names(dir) },
	)
}

func wrongUse(dir string) error {
	file, folder := filepath.Join(dir, "file"), filepath.Join(dir, "folder")
	open := func(path string, flags int) error {
		f, err := os.OpenFile(path, flags, 0o644)
		if err == nil {
			return f.Close()
		}
		return err
	}
	return all(
		func() error { return write(file, "x") },
		func() error { return os.Mkdir(folder, 0o755) },
		func() error { return write(filepath.Join(folder, "inner"), "x") },
		func() error { return want(os.Mkdir(folder, 0o755), fs.ErrExist) },
		func() error { return want(os.Mkdir(file, 0o755), fs.ErrExist) },
		func() error { return want(os.Mkdir(filepath.Join(dir, "no", "folder"), 0o755), fs.ErrNotExist) },
		func() error { return want(os.MkdirAll(filepath.Join(file, "under"), 0o755), syscall.ENOTDIR) },
		func() error { return want(open(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY), fs.ErrExist) },
		func() error { return want(open(filepath.Join(dir, "none"), os.O_WRONLY), fs.ErrNotExist) },
		func() error { return want(open(filepath.Join(file, "under"), os.O_RDONLY), syscall.ENOTDIR) },
		func() error { return want(open(folder, os.O_WRONLY), syscall.EISDIR) },
		func() error { return want(os.Remove(folder), syscall.ENOTEMPTY) },
		func() error { return want(os.Remove(filepath.Join(dir, "none")), fs.ErrNotExist) },
		func() error {
			return want(write(filepath.Join(dir, strings.Repeat("n", 256)), ""), syscall.ENAMETOOLONG)
		},
		func() error {
			_, err := os.ReadFile(folder)
			return want(err, syscall.EISDIR)
		},
		func() error {
			_, err := os.ReadDir(file)
			return want(err, syscall.ENOTDIR)
		},
		func() error {
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			_, err = f.Write([]byte("x"))
			return errors.Join(want(err, syscall.EBADF), f.Close())
		},
		func() error {
			_, err := os.Readlink(file)
			return want(err, syscall.EINVAL)
		},
		func() error { return content(file, "x") }, // and all that did no harm
		func() error { return names(dir, "file", "folder/") },
	)
}

func rename(dir string) error {
	a, b, folder := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "folder")
	return all(
		func() error { return errors.Join(write(a, "new"), write(b, "something old"), os.Mkdir(folder, 0o755)) },
		func() error { return os.Rename(a, a) },
		func() error { return os.Rename(a, b) },
		func() error { return content(b, "new") },
		func() error { return names(dir, "b", "folder/") },
		func() error { return os.Rename(b, filepath.Join(folder, "c")) },
		func() error { return want(os.Rename(b, a), fs.ErrNotExist) },
		func() error { return write(a, "x") },
		func() error { return want(os.Rename(a, folder), fs.ErrExist) },
		func() error { return want(os.Rename(folder, a), syscall.ENOTDIR) },
		func() error { return want(os.Rename(folder, filepath.Join(folder, "d")), syscall.EINVAL) },
		func() error { return content(filepath.Join(folder, "c"), "new") },
	)
}

func renameFolder(dir string) error {
	from, to := filepath.Join(dir, ".partial-step-00000300"), filepath.Join(dir, "step-00000300")
	inner := filepath.Join("optimizer", "deep")
	return all(
		func() error { return os.MkdirAll(filepath.Join(from, inner), 0o755) },
		func() error { return write(filepath.Join(from, "state.json"), "{}") },
		func() error { return write(filepath.Join(from, "model.safetensors"), strings.Repeat("m", 100000)) },
		func() error { return write(filepath.Join(from, inner, "m"), "mm") },
		func() error { return os.Rename(from, to) },
		func() error { return names(dir, "step-00000300/") },
		func() error { return names(to, "model.safetensors", "optimizer/", "state.json") },
		func() error { return content(filepath.Join(to, "model.safetensors"), strings.Repeat("m", 100000)) },
		func() error { return content(filepath.Join(to, inner, "m"), "mm") },
		func() error { return os.Mkdir(from, 0o755) },
		func() error { return want(os.Rename(from, to), fs.ErrExist) },
	)
}

func appending(dir string) error {
	p := filepath.Join(dir, "metrics.jsonl")
	var text string
	for i := range 3 {
		f, err := os.OpenFile(p, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		for range 2 {
			if _, err := fmt.Fprintf(f, "line %d\n", i); err != nil {
				return err
			}
			text += fmt.Sprintf("line %d\n", i)
			if err := content(p, text); err != nil { // while it is open to write
				return err
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return content(p, text)
}

func seeking(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "f"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	b := make([]byte, 4)
	return all(
		func() error { _, err := f.WriteString("0123456789"); return err },
		func() error { _, err := f.WriteAt([]byte("ab"), 12); return err },
		func() error { _, err := f.ReadAt(b, 10); return err },
		func() error {
			if string(b) != "\x00\x00ab" {
				return fmt.Errorf("ReadAt: %q", b)
			}
			return nil
		},
		func() error {
			_, err := f.ReadAt(b, 12)
			return want(err, io.EOF)
		},
		func() error { _, err := f.Seek(-3, io.SeekEnd); return err },
		func() error {
			rest, err := io.ReadAll(f)
			if err == nil && string(rest) != "\x00ab" {
				err = fmt.Errorf("read %q", rest)
			}
			return err
		},
		func() error { return f.Truncate(5) },
		func() error { return f.Sync() },
		func() error { return f.Close() },
		func() error { return want(f.Sync(), os.ErrClosed) },
		func() error { return content(filepath.Join(dir, "f"), "01234") },
	)
}

// together has one file open several times, and replaces and removes files that are being read.
func together(dir string) error {
	p, q := filepath.Join(dir, "p"), filepath.Join(dir, "q")
	text := strings.Repeat("0123456789", 1<<16)
	if err := errors.Join(write(p, text), write(q, "new")); err != nil {
		return err
	}
	a, err := os.Open(p)
	if err != nil {
		return err
	}
	b, err := os.Open(p)
	if err != nil {
		return err
	}
	head := make([]byte, 100)
	if _, err := io.ReadFull(a, head); err != nil {
		return err
	}
	// Written in place, a reader sees it.
	w, err := os.OpenFile(p, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if _, err := w.WriteAt([]byte("X"), 100); err != nil {
		return err
	}
	next := make([]byte, 1)
	if _, err := io.ReadFull(a, next); err != nil || next[0] != 'X' {
		return fmt.Errorf("read %q of a file that is being written, want X (%v)", next, err)
	}
	if err := w.Close(); err != nil {
		return err
	}
	if _, err := b.ReadAt(next, 100); err != nil || next[0] != 'X' {
		return fmt.Errorf("read %q of a file that was written, want X (%v)", next, err)
	}
	// Replaced and removed, a reader keeps what it opened.
	if err := os.Rename(q, p); err != nil {
		return err
	}
	rest, err := io.ReadAll(a)
	if err != nil || string(rest) != text[101:] {
		return fmt.Errorf("read %d bytes of a file that was replaced, want %d (%v)", len(rest), len(text)-101, err)
	}
	if err := errors.Join(a.Close(), b.Close(), content(p, "new")); err != nil {
		return err
	}
	if a, err = os.Open(p); err != nil {
		return err
	}
	if err := os.Remove(p); err != nil {
		return err
	}
	rest, err = io.ReadAll(a)
	if err != nil || string(rest) != "new" {
		return fmt.Errorf("read %q of a file that was removed (%v)", rest, err)
	}
	return errors.Join(a.Close(), names(dir))
}

func atomic(dir string) error {
	p := filepath.Join(dir, "config.json")
	put := func(text string, fail error) error {
		return safetensors.WriteFileAtomic(p, 0o644, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return errors.Join(err, fail)
		})
	}
	return all(
		func() error { return put("one", nil) },
		func() error { return put("two", nil) },
		func() error { return content(p, "two") },
		func() error { return want(put("half", io.ErrUnexpectedEOF), io.ErrUnexpectedEOF) },
		func() error { return content(p, "two") },
		func() error { return names(dir, "config.json") },
		func() error {
			f, err := os.CreateTemp(dir, "x*y")
			if err != nil {
				return err
			}
			return errors.Join(f.Close(), os.Remove(f.Name()))
		},
	)
}

// big reads 3 MB at places that straddle what is read ahead.
func big(dir string) error {
	p := filepath.Join(dir, "big")
	b := make([]byte, 3<<20+17)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	if err := os.WriteFile(p, b, 0o644); err != nil {
		return err
	}
	got, err := os.ReadFile(p)
	if err != nil || !bytes.Equal(got, b) {
		return fmt.Errorf("ReadFile: %d bytes, want %d (%v)", len(got), len(b), err)
	}
	f, err := os.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, at := range []int{1<<20 - 5, 0, 2<<20 - 1, 3 << 20, 7} {
		part := make([]byte, 17)
		if n, err := f.ReadAt(part, int64(at)); err != nil || !bytes.Equal(part, b[at:at+17]) {
			return fmt.Errorf("ReadAt %d: %d bytes (%v)", at, n, err)
		}
	}
	return nil
}

// full asks for more than any browser gives.
func full(dir string) error {
	p := filepath.Join(dir, "f")
	if err := write(p, "kept"); err != nil {
		return err
	}
	f, err := os.OpenFile(p, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("x"), 1<<45)
	return errors.Join(want(err, syscall.ENOSPC), want(f.Truncate(1<<45), syscall.ENOSPC), f.Close(), content(p, "kept"))
}

// measure prints how long a checkpoint's work takes.
func measure(root string) error {
	b := make([]byte, 10<<20)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	took := func(what string, f func() error) error {
		began := time.Now()
		err := f()
		fmt.Printf("time %-24s %8.1f ms\n", what, time.Since(began).Seconds()*1000)
		return err
	}
	p := filepath.Join(root, "ten")
	from, to := filepath.Join(root, "from"), filepath.Join(root, "to")
	return all(
		func() error {
			return took("sha256-10MB", func() error { sha256.Sum256(b); return nil })
		},
		func() error {
			return took("write-10MB", func() error {
				return safetensors.WriteFileAtomic(p, 0o644, func(w io.Writer) error { _, err := w.Write(b); return err })
			})
		},
		func() error {
			return took("write-10MB-by-4kB", func() error {
				return safetensors.WriteFileAtomic(p, 0o644, func(w io.Writer) error {
					for i := 0; i < len(b); i += 4096 {
						if _, err := w.Write(b[i : i+4096]); err != nil {
							return err
						}
					}
					return nil
				})
			})
		},
		func() error {
			return took("read-10MB", func() error { _, err := os.ReadFile(p); return err })
		},
		func() error {
			return took("read-and-sha256-10MB", func() error {
				f, err := os.Open(p)
				if err != nil {
					return err
				}
				defer f.Close()
				_, err = io.Copy(sha256.New(), f)
				return err
			})
		},
		func() error {
			return took("write-8-small-files", func() error {
				for i := range 8 {
					if err := os.MkdirAll(from, 0o755); err != nil {
						return err
					}
					err := safetensors.WriteFileAtomic(filepath.Join(from, fmt.Sprint(i)), 0o644, func(w io.Writer) error { _, err := w.Write(b[:1024]); return err })
					if err != nil {
						return err
					}
				}
				return nil
			})
		},
		func() error { return took("rename-their-folder", func() error { return os.Rename(from, to) }) },
		func() error { return took("remove-it", func() error { return os.RemoveAll(to) }) },
		func() error {
			return took("append-1000-lines", func() error {
				f, err := os.OpenFile(filepath.Join(root, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
				if err != nil {
					return err
				}
				for range 1000 {
					if _, err := f.WriteString("{\"step\":1,\"loss\":2.5}\n"); err != nil {
						return err
					}
				}
				return f.Close()
			})
		},
		func() error { return os.Remove(p) },
	)
}
