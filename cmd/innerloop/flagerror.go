package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"innerloop/internal/words"
	"innerloop/train"
)

// flagError says in the words of the other errors what is wrong with an option.
func flagError(c *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	said, hint := err.Error(), "see "+c.CommandPath()+" --help"
	switch {
	case errors.As(err, &value):
		said = badValue(value)
	case errors.As(err, &missing):
		name, _ := pflag.UnquoteUsage(missing.GetFlag())
		said = fmt.Sprintf("--%s needs a value, as in --%s %s", missing.GetSpecifiedName(), missing.GetSpecifiedName(), name)
	case errors.As(err, &unknown):
		name, dashes := unknown.GetSpecifiedName(), "--"
		if s := unknown.GetSpecifiedShortnames(); s != "" {
			name, dashes = s, "-"
		}
		said = fmt.Sprintf("unknown option %s%s", dashes, printable(name))
		if near := nearOption(c, name); near != "" {
			hint = "did you mean " + near + "?"
		}
	}
	return failf(exitUsage, "%s: %s", said, hint)
}

// badValue says what an option got and what it wants.
func badValue(e *pflag.InvalidValueError) string {
	flag, got := e.GetFlag(), e.GetValue()
	var n *strconv.NumError
	if !errors.As(e, &n) { // the option's own words
		return fmt.Sprintf("--%s: %v", flag.Name, errors.Unwrap(e))
	}
	want := map[string]string{
		"int": "a whole number", "uint64": "a whole number, 0 or more", "float64": "a number", "bool": "true or false", "intSlice": "whole numbers with commas between",
	}[flag.Value.Type()]
	if errors.Is(n, strconv.ErrRange) && !strings.HasPrefix(got, "-") {
		want += " that is not so large"
	}
	return fmt.Sprintf("--%s %.60q, want %s", flag.Name, got, want)
}

// nearOption is the option that somebody who wrote name most likely meant: one of c's, or a key of the configuration,
// for which --set is; empty: none is near.
func nearOption(c *cobra.Command, name string) string {
	name = strings.TrimLeft(name, "-")
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if n := words.Nearest(strings.ReplaceAll(name, "_", "-"), names); n != "" {
		return "--" + n
	}
	if c.Flags().Lookup("set") == nil {
		return ""
	}
	keys := train.Meant(name)
	for i, k := range keys {
		keys[i] = "--set " + k + "=VALUE"
	}
	return strings.Join(keys, " or ")
}

// printable is text that an error repeats: as it stands, but for what is long or cannot be seen.
func printable(s string) string {
	if q := strconv.Quote(s); len(s) > 60 || strings.ContainsAny(s, " \"'") || q[1:len(q)-1] != s {
		return fmt.Sprintf("%.60q", s)
	}
	return s
}
