package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"innerloop/train"
)

// configFlags are the options that make a configuration.
type configFlags struct {
	file string
	set  []string
}

func (f *configFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "config", "", "TOML configuration `FILE`; see innerloop help config")
	c.Flags().StringArrayVar(&f.set, "set", nil, "change one value of the configuration, `KEY=VALUE` as in model.hidden_size=256; may be repeated")
	if err := c.MarkFlagFilename("config", "toml"); err != nil {
		panic(err)
	}
	err := c.RegisterFlagCompletionFunc("set", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return configKeys(reflect.TypeFor[train.Config](), ""), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
	if err != nil {
		panic(err)
	}
}

// configKeys lists the keys of a configuration as --set takes them.
func configKeys(t reflect.Type, prefix string) (keys []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := prefix + f.Tag.Get("toml")
		switch {
		case f.Tag.Get("toml") == "-":
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, configKeys(f.Type, name+".")...)
		default:
			keys = append(keys, cobra.CompletionWithDesc(name+"=", f.Tag.Get("comment")))
		}
	}
	return keys
}

// load brings what the options say to settings: the file, then --set.
func (f *configFlags) load(s *train.Settings) error {
	if f.file != "" {
		if err := s.Load(f.file); err != nil {
			return fail(exitUsage, fileError(f.file, err))
		}
	}
	for _, x := range f.set {
		if err := s.Set(x); err != nil {
			return failf(exitUsage, "--set: %w", err)
		}
	}
	return nil
}

// faultLine names the fault that is put in, and what comes with it.
func faultLine(fault, brought string) string {
	if brought != "" {
		brought = ", which brings " + brought
	}
	return "fault   " + fault + brought + "\n"
}

// fileError makes an error of package os read path: cause; others stay.
func fileError(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", path, cause(err))
	}
	return err
}

// textName names a text in a folder's name: book of /texts/book.txt.
func textName(file string) string {
	if file == "" {
		return "stories"
	}
	base := filepath.Base(file)
	base = strings.TrimSuffix(base, filepath.Ext(base))
	base = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' || r > 127 {
			return r
		}
		return '-'
	}, base)
	const most = 100 // of a name's bytes: file systems take 143 to 255, and a date, or -saved, follows
	if len(base) > most {
		base = strings.ToValidUTF8(base[:most], "")
	}
	if base = strings.Trim(base, ".-"); base == "" {
		return "run"
	}
	return base
}
