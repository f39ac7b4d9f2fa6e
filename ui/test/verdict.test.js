// What the page concludes from losses, and that it has one number for one moment.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Column, SMOOTHING, Smoothed } from "../columns.js";
import { loss } from "../format.js";
import { Track, judge } from "../verdict.js";

/** A small generator, so that every run of the test is the same. @param {number} seed */
function normal(seed) {
  let s = seed;
  const uniform = () => ((s = (s * 48271) % 2147483647) / 2147483647);
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/**
 * words are the verdicts of a run, at every tenth step.
 * @param {{ steps: number, every: number, training: (step: number) => number, unseen: (step: number) => number, noise?: number, seed?: number }} o
 */
function words({ steps, every, training, unseen, noise = 0.05, seed = 7 }) {
  const random = normal(seed);
  const track = new Track();
  const all = [];
  for (let step = 1; step <= steps; step++) {
    track.add({ rows: [{ step, loss: training(step) + noise * random(), tokens: step }], seconds: 0.1, left: 1 }, 1, steps);
    if (step % every === 0) track.eval(step, unseen(step) + 0.01 * random());
    if (step % 10 === 0) all.push({ step, ...judge(track, steps) });
  }
  return all;
}
const heart = (/** @type {ReturnType<typeof words>} */ all) => all.filter((v) => v.word === "Learning by heart");

test("a few noisy losses say nothing of a pause or a rise", () => {
  const track = new Track();
  // The first losses of the generated sounds, as they were measured: a pause, if two of them are held against two.
  [5.55, 5.54, 5.39, 5.32, 5.51, 5.15, 5.36, 5.36, 4.48, 4.85, 5.34].forEach((loss, i) => track.add({ rows: [{ step: i + 1, loss, tokens: i + 1 }], seconds: 0.1, left: 1 }, 1, 300));
  assert.deepEqual(judge(track, 300), { tone: "none", word: "Just begun", why: "It is too early to say how it goes." });
  for (let seed = 1; seed <= 40; seed++) {
    const all = words({ steps: 300, every: 50, training: (step) => 3 + 2.5 * Math.exp(-step / 60), unseen: () => 5, noise: 0.2, seed }).filter((v) => v.step < 50);
    assert.deepEqual(all.filter((v) => v.tone !== "good" && v.tone !== "none"), [], `seed ${seed}`);
  }
  // One that runs away is told at once.
  assert.ok(words({ steps: 300, every: 300, training: (step) => (step < 20 ? 3 : 3 + (step - 20) / 5), unseen: () => 5 }).some((v) => v.step < 50 && v.word === "Loss is rising"));
});

test("a validation is not held against losses of other steps", () => {
  // The default first run: from 5.5 to 2 in 90 steps, validated every 50. Unseen text costs what the training text does.
  const fast = (/** @type {number} */ step) => 1.4 + 4.1 * Math.exp(-step / 45);
  assert.ok(fast(50) - fast(90) > 0.7); // as much as learning by heart, if steps are mixed up
  for (const noise of [0, 0.05, 0.3, 1]) {
    for (const every of [50, 100, 25]) {
      for (let seed = 1; seed <= 20; seed++) assert.deepEqual(heart(words({ steps: 300, every, training: fast, unseen: fast, noise, seed })), [], `noise ${noise}, seed ${seed}`);
    }
  }
});

test("the default first run, as it was measured, is not said to learn by heart", () => {
  const { loss: losses, evals } = JSON.parse(readFileSync(new URL("testdata/first-run.json", import.meta.url), "utf8"));
  for (const every of [25, 50]) {
    const track = new Track();
    losses.forEach((/** @type {number} */ x, /** @type {number} */ i) => {
      const step = i + 1;
      track.add({ rows: [{ step, loss: x, tokens: 2048 * step }], seconds: 0.1, left: 1 }, 2048, 1000);
      const val = evals.find((/** @type {[number, number]} */ e) => e[0] === step && step % every === 0);
      if (val) track.eval(step, val[1]);
      assert.notEqual(judge(track, 1000).word, "Learning by heart", `step ${step}`);
    });
    assert.ok(track.evals.length >= 3);
  }
});

test("learning by heart is said where it is so, with the numbers and their steps", () => {
  const training = (/** @type {number} */ step) => 0.4 + 3 * Math.exp(-step / 60);
  const unseen = (/** @type {number} */ step) => 2 + 0.002 * step;
  const all = words({ steps: 300, every: 50, training, unseen });
  const said = heart(all);
  assert.ok(said.length > 0 && said.at(-1)?.step === 300 && said.every((v) => v.step >= 150), JSON.stringify(said));
  const why = said.at(-1)?.why ?? "";
  const m = why.match(/^Unseen text costs more than the training text: at step 300 ([0-9.]+) against ([0-9.]+), at step 250 ([0-9.]+) against ([0-9.]+)\. More text/);
  assert.ok(m, why);
  const [, v300, t300, v250, t250] = m.map(Number);
  assert.ok(Math.abs(v300 - unseen(300)) < 0.1 && Math.abs(v250 - unseen(250)) < 0.1 && Math.abs(t300 - training(300)) < 0.1 && Math.abs(t250 - training(250)) < 0.1, why);
});

test("one validation is not enough, nor is unseen text that is harder but still gets cheaper", () => {
  const training = () => 1;
  assert.deepEqual(heart(words({ steps: 190, every: 100, training, unseen: () => 2 })), []);
  assert.deepEqual(heart(words({ steps: 300, every: 50, training, unseen: (step) => 2.5 - step / 500 })), []);
  assert.deepEqual(heart(words({ steps: 300, every: 50, training, unseen: (step) => (step === 200 ? 2 : 1) })), []); // a single bad one
  assert.ok(heart(words({ steps: 300, every: 50, training, unseen: (step) => 2 + step / 500 })).length > 0);
});

test("a kept run that is opened gets the verdict that it had", () => {
  const training = (/** @type {number} */ step) => 0.4 + 3 * Math.exp(-step / 60);
  const step = Array.from({ length: 300 }, (_, i) => i + 1);
  const track = new Track();
  track.load({ step, loss: step.map(training), valStep: [50, 100, 150, 200, 250, 300], valLoss: [2, 2.1, 2.2, 2.3, 2.4, 2.5] });
  assert.equal(judge(track, 600).word, "Learning by heart");
  track.truncate(60);
  assert.notEqual(judge(track, 600).word, "Learning by heart");
  assert.deepEqual(track.evals, [{ step: 50, loss: 2 }]);
});

test("the loss of a step is the same in the headline, the legend and the list", () => {
  const random = normal(3);
  const column = new Column();
  const track = new Track();
  const same = () => {
    const curve = new Smoothed(column, SMOOTHING); // the legend's
    curve.update();
    assert.equal(track.smooth, curve.last);
    assert.equal(loss(track.smoothAt(column.length)), loss(curve.last));
  };
  for (let step = 1; step <= 500; step++) {
    const x = 2 + random();
    column.push(x);
    track.add({ rows: [{ step, loss: x, tokens: step }], seconds: 0.1, left: 1 }, 1);
    if (step % 100 === 0) same();
  }
  column.truncate(420);
  track.truncate(420);
  same();
  const kept = new Track();
  kept.load({ step: Array.from(column.data.subarray(0, 420), (_, i) => i + 1), loss: column.data.subarray(0, 420), valStep: [], valLoss: [] });
  assert.equal(kept.smooth, track.smooth);
  track.smoothing = 0;
  assert.equal(track.smooth, column.last);
  assert.ok(Number.isNaN(track.smoothAt(421)) && Number.isNaN(new Track().smooth));
});
