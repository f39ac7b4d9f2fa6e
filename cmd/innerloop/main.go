// Command innerloop trains, scores and samples test-time-training language models without a browser.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"innerloop/internal/version"
	"innerloop/train"
)

func main() {
	endAtQuit()
	limitMemory()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// app is what the commands share: where they read and write.
type app struct {
	in  io.Reader
	out *sink
	err io.Writer // what is worth knowing and no failure
	tty *os.File  // out, if it is a terminal
}

// sink is an output that remembers its first failure, so that commands print freely and main reports it once.
type sink struct {
	w   io.Writer
	err error
	// gone is told, once, that who read the output has gone: then that is no failure, for what is printed is not the
	// command's work. nil: it is.
	gone func(err error)
}

// Write implements io.Writer.
func (s *sink) Write(b []byte) (int, error) {
	if s.err == nil {
		_, s.err = s.w.Write(b)
		if s.err != nil && s.failure() == nil {
			s.gone(s.err)
		}
	}
	return len(b), nil
}

// failure is what kept the output from being written, as an error of the program.
func (s *sink) failure() error {
	if s.err == nil || s.gone != nil && readerGone(s.err) {
		return nil
	}
	return failf(exitOutput, "standard output: %w", cause(s.err))
}

func (s *sink) printf(format string, a ...any) { fmt.Fprintf(s, format, a...) }

// run is the whole program but for the process around it; it returns the exit code.
func run(args []string, in io.Reader, out, errs io.Writer) (code int) {
	a := &app{in: in, out: &sink{w: out}, err: errs}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		a.tty = f
	}
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(errs, "innerloop: internal error: %v\n%s", p, debug.Stack())
			code = exitInternal
		}
	}()
	root := a.command()
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(errs)
	err := root.Execute()
	if err == nil {
		err = a.out.failure()
	}
	if err != nil {
		fmt.Fprintf(errs, "innerloop: %s\n", oneLine(err))
	}
	return exitCode(err)
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "innerloop COMMAND",
		Short: "Train test-time-training (TTT) language models",
		Long: `innerloop trains test-time-training (TTT) language models on a GPU through WebGPU (Vulkan, Metal, DX12), or in
pure Go where there is none. Tokens are bytes: any file is a text. Checkpoints are model.safetensors and config.json,
named and shaped as the official PyTorch model's.`,
		Example: `  innerloop train                                    train on generated stories, then show samples
  innerloop train --data book.txt --out runs/book    train on a text of your own
  innerloop train --resume runs/book                 go on with a run that was stopped or killed
  innerloop runs                                     the runs so far, side by side
  innerloop generate --model runs/book --prompt "It was"
  innerloop doctor                                   which devices there are, and whether they work`,
		Version:           version.Of().String(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			hint := "see innerloop --help"
			if s := c.SuggestionsFor(args[0]); len(s) > 0 {
				hint = "did you mean " + strings.Join(s, " or ") + "?"
			}
			return failf(exitUsage, "unknown command %q: %s", args[0], hint)
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("innerloop {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(a.trainCommand(), a.runsCommand(), a.evalCommand(), a.generateCommand(), a.exportCommand(), a.importCommand(), a.diagnoseCommand(), a.logsCommand(), a.doctorCommand(), a.benchCommand())
	root.AddCommand(&cobra.Command{Use: "config", Short: "The configuration file, all keys with their defaults", Long: configTopic()})
	root.AddCommand(&cobra.Command{Use: "faults", Short: "Known faults that can be put into a TTT layer", Long: faultsTopic()})
	root.AddCommand(&cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesTopic})
	cobra.AddTemplateFunc("options", options)
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpCommand(helpCommand(root))
	root.InitDefaultCompletionCmd()
	for _, c := range allCommands(root) {
		c.DisableFlagsInUseLine = true
		if c.HasSubCommands() && c != root && !c.Runnable() {
			c.Args, c.RunE = cobra.ArbitraryArgs, func(c *cobra.Command, args []string) error {
				if len(args) == 0 {
					return c.Help()
				}
				return failf(exitUsage, "unknown command %q: see %s --help", args[0], c.CommandPath())
			}
		}
	}
	return root
}

// usageTemplate is the end of every help text.
const usageTemplate = `Usage:
  {{.UseLine}}
{{- if .HasExample}}

Examples:
{{.Example}}{{end}}
{{- if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{end}}{{end}}{{end}}
{{- if .HasHelpSubCommands}}

Help topics:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{end}}{{end}}{{end}}
{{- if .HasAvailableLocalFlags}}

Options:
{{options .LocalFlags}}{{end}}
{{- if .HasAvailableSubCommands}}

{{.CommandPath}} COMMAND --help says more about a command{{if .HasHelpSubCommands}}, {{.CommandPath}} help TOPIC about a topic{{end}}.{{end}}
`

// options lists options within the width of help texts.
func options(f *pflag.FlagSet) string { return strings.TrimRight(f.FlagUsagesWrapped(110), "\n") }

func allCommands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, s := range c.Commands() {
		all = append(all, allCommands(s)...)
	}
	return all
}

// helpCommand is cobra's own, but that an unknown topic is an error.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [command or topic]",
		Short: "Help about a command or a topic",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			if at, _, err := root.Find(args); err == nil {
				for _, s := range at.Commands() {
					names = append(names, cobra.CompletionWithDesc(s.Name(), s.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return failf(exitUsage, "no help for %q: see innerloop --help", strings.Join(args, " "))
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		},
	}
}

// noArgs refuses arguments that are not options.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return failf(exitUsage, "%s takes options only, got %q: see %s --help", c.Name(), args[0], c.CommandPath())
	}
	return nil
}

// configTopic is the default configuration, which is its own documentation, with what a run without a file has instead.
func configTopic() string {
	text, err := train.Default().Text()
	if err != nil {
		return err.Error() // cannot be: the type encodes
	}
	demo := map[string]string{}
	for _, d := range train.Diff(train.Default(), train.Demo()) {
		demo[d.Key] = d.B
	}
	var b strings.Builder
	table := ""
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "[") {
			table = strings.Trim(line, "[]\n") + "."
		}
		if key, _, ok := strings.Cut(line, " = "); ok && demo[table+key] != "" {
			fmt.Fprintf(&b, "# without a configuration file: %s\n", demo[table+key])
		}
		b.WriteString(line)
	}
	return `A configuration is a TOML file; what it leaves out has these values. An unknown key is an error. A single value
is changed by --set, as in --set model.hidden_size=256. A run's folder holds its whole configuration, config.toml.

` + b.String()
}
