// How long things will take, in words. What the times are is the trainer's part (wasm/costs_test.go), for the same cases.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { PRESETS } from "../fields.js";
import { about } from "../format.js";

test("what was measured becomes words that promise no more", () => {
  for (const c of JSON.parse(readFileSync(new URL("../../wasm/testdata/estimates.json", import.meta.url), "utf8"))) {
    assert.deepEqual([about(c.step), about(c.run)], c.words, c.name);
    assert.deepEqual([about(c.step, true), about(c.run, true)], c.brief, c.name);
  }
});

test("times are rounded as coarsely as they are known", () => {
  const one = (/** @type {number} */ s) => about({ low: s, high: s });
  assert.deepEqual([0.0004, 0.004, 0.031, 0.35, 0.97, 1.2, 9, 12, 33, 58].map(one), [
    "about 1 millisecond", "about 4 milliseconds", "about 30 milliseconds", "about 350 milliseconds", "about 1 second", "about 1 second", "about 9 seconds", "about 10 seconds", "about 35 seconds", "about 1 minute",
  ]);
  assert.deepEqual([170, 185, 560, 3001, 3540, 5400, 7000, 36000, 3e5].map(one), [
    "about 3 minutes", "about 3 minutes", "about 9 minutes", "about 50 minutes", "about 60 minutes", "about 90 minutes", "about 2 hours", "about 10 hours", "about 3 days",
  ]);
  assert.equal(about({ low: 3600, high: 7200 }), "60 minutes to 2 hours");
  assert.equal(about({ low: 7000, high: 14000 }), "1 to 4 hours");
  for (const bad of [{ low: 0, high: 0 }, { low: 0, high: 5 }, { low: NaN, high: NaN }, { low: 1, high: Infinity }, { low: -1, high: 1 }]) assert.equal(about(bad), "");
  // What is said is within a half of what is meant, from milliseconds to days.
  const unit = { millisecond: 1e-3, second: 1, minute: 60, hour: 3600, day: 86400 };
  for (let s = 0.002; s < 1e6; s *= 1.07) {
    const [, n, name] = one(s).match(/^about ([0-9,]+) (\w+?)s?$/) ?? [];
    const said = Number(n.replaceAll(",", "")) * unit[/** @type {keyof typeof unit} */ (name)];
    assert.ok(said / s < 1.5 && s / said < 1.5, `${s} s: ${one(s)}`);
  }
});

test("no preset promises a time", () => {
  for (const p of PRESETS) assert.doesNotMatch(`${p.note} ${p.help}`, /\b(seconds?|minutes?|hours?)\b/);
});
