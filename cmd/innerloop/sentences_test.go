package main

import (
	"strings"
	"testing"
)

// Bad usage ends with one sentence that says what was given, what is wanted, and what to do.
func TestSentences(t *testing.T) {
	t.Chdir(t.TempDir())
	for args, want := range map[string]string{
		"trian":                                           `unknown command "trian": did you mean train?`,
		"bench foo":                                       `unknown command "foo": see innerloop bench --help`,
		"completion foo":                                  `unknown command "foo": see innerloop completion --help`,
		"train --steps abc":                               `--steps "abc", want a whole number: see innerloop train --help`,
		"train --steps 1e3":                               `--steps "1e3", want a whole number: see innerloop train --help`,
		"train --steps 99999999999999999999":              `--steps "99999999999999999999", want a whole number that is not so large: see innerloop train --help`,
		"train --seed -1":                                 `--seed "-1", want a whole number, 0 or more: see innerloop train --help`,
		"train --quiet=maybe":                             `--quiet "maybe", want true or false: see innerloop train --help`,
		"train --resume=":                                 `--resume: empty, want a folder: see innerloop train --help`,
		"train --steps":                                   `--steps needs a value, as in --steps N: see innerloop train --help`,
		"train --set":                                     `--set needs a value, as in --set KEY=VALUE: see innerloop train --help`,
		"train --step 3":                                  `unknown option --step: did you mean --steps?`,
		"train --no_sample":                               `unknown option --no_sample: did you mean --no-sample?`,
		"train -steps 3":                                  `unknown option -steps: did you mean --steps?`,
		"train --hidden_size 64":                          `unknown option --hidden_size: did you mean --set model.hidden_size=VALUE?`,
		"train --batch-size 64":                           `unknown option --batch-size: did you mean --set train.batch_size=VALUE?`,
		"train --nothing":                                 `unknown option --nothing: see innerloop train --help`,
		"generate --hidden_size 64":                       `unknown option --hidden_size: see innerloop generate --help`,
		"train -x":                                        `unknown option -x: see innerloop train --help`,
		"train --set hidden_size=64":                      `--set: unknown key hidden_size: did you mean model.hidden_size?`,
		"train --set model.hiden_size=64":                 `--set: unknown key model.hiden_size: did you mean model.hidden_size?`,
		"train --set train.clip=-1":                       `train: train.clip -1, want a finite number, 0 or more`,
		"train --set train.beta1=1":                       `train: train.beta1 1, want 0 to less than 1`,
		"train --set model.num_hidden_layers=0":           `model: num_hidden_layers 0, want 1 to 1024`,
		"train --set model.hidden_size=130":               `model: hidden_size 130, want a multiple of num_attention_heads 4`,
		"eval --val-fraction x":                           `--val-fraction "x", want a number: see innerloop eval --help`,
		"bench compare":                                   `bench compare needs what to compare: --build FILE twice, or --against NAME, a second device`,
		"bench compare --build a":                         `got 1 build, want --build FILE twice`,
		"bench decode --contexts 5,x":                     `--contexts "5,x", want whole numbers with commas between: see innerloop bench decode --help`,
		"generate --model m --prompt x --top-k -1":        `--top-k -1, want 0 or more`,
		"generate --model m --prompt x --temperature NaN": `--temperature NaN, want 0 to 100`,
		"generate --model m --prompt-wav x --prompt-seconds 0": `--prompt-wav begins a sound: want --wav, a file for it (or --tokens 0 and --save-state)`,
		"runs a b":       `runs takes one folder, got 2 arguments: see innerloop runs --help`,
		"logs compare a": `logs compare takes two files, got 1 argument: see innerloop logs compare --help`,
	} {
		out, errs, code := innerloop(strings.Fields(args)...)
		if errs != "innerloop: "+want+"\n" || code != exitUsage || out != "" {
			t.Errorf("%s: exit code %d, output %.80q, got\n%swant\n%s", args, code, out, errs, want)
		}
	}
}
