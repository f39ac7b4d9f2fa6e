// @ts-check
import test from "node:test";
import assert from "node:assert/strict";
import { beginning, marks, summary, waits } from "../changes.js";

const run = /** @type {any} */ ({
  config: { "train.lr": 0.02, "train.steps": 600, "train.clip": 1, "model.hidden_size": 64 },
  changes: [
    { step: 40, key: "train.lr", from: 0.003, to: 0.01 }, { step: 40, key: "train.clip", from: 2, to: 1 }, { step: 90, key: "train.lr", from: 0.01, to: 0.02 },
    { step: 300, key: "train.steps", from: 300, to: 600 },
  ],
});

test("the beginning of a run is what a link of it says: every key's first value", () => {
  assert.deepEqual(beginning(run), { "train.lr": 0.003, "train.steps": 300, "train.clip": 2, "model.hidden_size": 64 });
  assert.equal(run.config["train.lr"], 0.02);
});

test("changes after one step are one mark, at the first step that is different", () => {
  assert.deepEqual(marks(run.changes), [
    { step: 41, text: "Learning rate 0.003 → 0.01, Largest gradient 2 → 1" }, { step: 91, text: "Learning rate 0.01 → 0.02" }, { step: 301, text: "Steps 300 → 600" },
  ]);
  assert.match(summary(run.changes), /^Learning rate .* from step 41 on; .* from step 91 on; Steps 300 → 600 from step 301 on$/);
});

test("a setting waits for the next start unless the run has it or began with it", () => {
  assert.equal(waits(run, "train.lr", 0.02), false);
  assert.equal(waits(run, "train.lr", 0.003), false);
  assert.equal(waits(run, "train.lr", 0.01), true);
  assert.equal(waits(run, "model.hidden_size", 128), true);
  assert.equal(waits(run, "data.file", "x"), false); // not known of the run
});
