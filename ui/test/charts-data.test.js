// @ts-check
// What the charts show: a run's history, the inner loop's probes, ticks, and the files behind them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { History } from "../history.js";
import { Probe } from "../probe.js";
import { cell, csv } from "../table.js";
import { around, linearTicks, logTicks, tick } from "../ticks.js";

/** @param {{ data: Float64Array, length: number }} c */
const values = (c) => Array.from(c.data.subarray(0, c.length));
/** @param {number} from @param {number} to @param {number} perStep */
const rows = (from, to, perStep = 100) => Array.from({ length: to - from + 1 }, (_, i) => ({ step: from + i, loss: 1 / (from + i), gradNorm: 2, lr: 1e-3, tokens: (from + i) * perStep }));

test("a history is loaded and grown", () => {
  const m = new History();
  m.load({ run: "a", step: [1, 2], loss: [5, 4], gradNorm: [1, 1], lr: [1e-3, 1e-3], tokensPerSecond: [10, 20], valStep: [0], valLoss: [5.5] });
  assert.equal(m.append({ run: "a", seconds: 0.5, rows: rows(3, 4) }), false);
  assert.deepEqual(values(m.step), [1, 2, 3, 4]);
  assert.deepEqual(values(m.loss), [5, 4, 1 / 3, 1 / 4]);
  assert.deepEqual(values(m.tokensPerSecond), [10, 20, 400, 400]);
  m.eval({ run: "a", step: 4, loss: 4.5 });
  assert.deepEqual([values(m.valStep), values(m.valLoss)], [[0, 4], [5.5, 4.5]]);
  assert.equal(m.append({ run: "a", seconds: 1, rows: [] }), false);
  m.clear();
  for (const c of [m.step, m.loss, m.gradNorm, m.lr, m.tokensPerSecond, m.valStep, m.valLoss]) assert.equal(c.length, 0);
});

test("tokens a second of a run that goes on with other batches", () => {
  const m = new History();
  // Ten steps of 64 tokens were made elsewhere; those of now have 512.
  m.append({ run: "a", seconds: 2, rows: [11, 12].map((step) => ({ step, loss: 1, gradNorm: 1, lr: 1, tokens: 640 + 512 * (step - 10) })) });
  assert.deepEqual(values(m.tokensPerSecond), [512, 512]);
});

test("tokens a second come from the tokens of the event before", () => {
  const m = new History();
  m.append({ run: "a", seconds: 2, rows: rows(1, 2) }); // the run's first steps: 200 tokens
  m.append({ run: "a", seconds: 0.25, rows: [{ step: 3, loss: 1, gradNorm: 1, lr: 1, tokens: 700 }] }); // a larger step
  m.append({ run: "a", seconds: 0, rows: rows(4, 4) });
  assert.deepEqual(values(m.tokensPerSecond), [100, 100, 2000, NaN]);
});

test("rows after a resume take the place of the earlier ones", () => {
  const m = new History();
  m.append({ run: "a", seconds: 1, rows: rows(1, 10) });
  m.eval({ run: "a", step: 5, loss: 3 });
  m.eval({ run: "a", step: 10, loss: 2 });
  assert.equal(m.append({ run: "a", seconds: 1, rows: [{ step: 7, loss: 70, gradNorm: 1, lr: 1, tokens: 700 }] }), true);
  assert.deepEqual(values(m.step), [1, 2, 3, 4, 5, 6, 7]);
  assert.equal(m.loss.last, 70);
  assert.equal(m.tokensPerSecond.last, 100);
  assert.deepEqual(values(m.valStep), [5]);
  m.truncate(4);
  assert.deepEqual(values(m.step), [1, 2, 3, 4]);
  assert.equal(m.valStep.length, 0);
  m.eval({ run: "a", step: 4, loss: 3 });
  m.eval({ run: "a", step: 4, loss: 2.5 });
  assert.deepEqual([values(m.valStep), values(m.valLoss)], [[4], [2.5]]);
});

/** @param {Partial<import("../probe.js").InnerData>} [more] */
const probe = (more) => new Probe({
  run: "a", step: 1, layers: 2, heads: 2, miniBatches: 2, miniBatchSize: 8,
  start: [1, 2, 3, 4, 5, 6, 7, 8], before: [1, 1, 1, 1, 1, 1, 1, 1], after: [1, 1, NaN, 2, 2, 2, 4, 4], drift: [0, 1, 0, 1, 0, 1, 0, 1], ...more,
});
/** @param {{ values: Float64Array, from: number, length: number }} c */
const column = ({ values, from, length }) => Array.from(values.subarray(from, from + length));

test("a probe's heads, and means over heads, layers and both", () => {
  const p = probe();
  assert.deepEqual(column(p.of("start", { layer: 1, head: 0 })), [5, 6]);
  assert.deepEqual(column(p.of("start", { layer: 0, head: -1 })), [2, 3]);
  assert.deepEqual(column(p.of("start", { layer: -1, head: 1 })), [5, 6]);
  assert.deepEqual(column(p.of("start", { layer: -1, head: -1 })), [4, 5]);
  assert.equal(p.mean("start", { layer: -1, head: -1 }), 4.5);
  assert.equal(p.reduction({ layer: 1, head: 0 }), 1 - 2 / 5.5);
});

test("what is not finite is left out and counted", () => {
  const p = probe();
  assert.equal(p.broken, 1);
  assert.deepEqual(column(p.of("after", { layer: 0, head: -1 })), [1, 1.5]);
  assert.deepEqual(column(p.of("after", { layer: 0, head: 1 })), [NaN, 2]);
  assert.equal(p.mean("after", { layer: 0, head: 1 }), 2);
  const none = probe({ drift: new Float64Array(8).fill(NaN) });
  assert.equal(none.broken, 4);
  assert.ok(Number.isNaN(none.mean("drift", { layer: -1, head: -1 })));
  assert.deepEqual(column(none.of("drift", { layer: -1, head: 0 })), [NaN, NaN]);
});

test("probes of other shapes are told apart, impossible ones refused", () => {
  assert.ok(probe().fits(probe({ step: 9 })));
  assert.ok(!probe().fits(probe({ layers: 1, heads: 4 })));
  assert.ok(!probe().fits(probe({ miniBatchSize: 16 })));
  assert.throws(() => probe({ after: [1, 2] }), /after has 2 values, want 2 layers x 2 heads x 2 mini-batches/);
});

test("ticks are round and fit the axis", () => {
  assert.deepEqual(linearTicks(1.3, 5.9, 5), [2, 3, 4, 5]);
  assert.deepEqual(linearTicks(0, 0.003, 3), [0, 0.001, 0.002, 0.003]);
  assert.deepEqual(logTicks(0.02, 30, 4), [0.1, 1, 10]);
  assert.deepEqual(logTicks(0.4, 7, 6), [0.5, 1, 2, 5]);
  assert.deepEqual(logTicks(2, 6, 5), [2, 3, 4, 5, 6]);
  for (const [low, high] of [[1e-9, 1e9], [0.9, 1.1], [3e-4, 2.9e-3], [1, 1e5]]) {
    const ticks = logTicks(low, high, 5);
    assert.ok(ticks.length >= 2 && ticks.length <= 7, `${low} to ${high}: ${ticks}`);
    for (const t of ticks) assert.ok(t >= low && t <= high * (1 + 1e-9));
  }
});

test("values that a rounding sets apart have an axis", () => {
  for (const v of [0.003, 5.545, -1e6, 1e-9, 2 ** 60, 1e300]) {
    const above = v * (1 + Number.EPSILON);
    const [low, high] = [Math.min(v, above), Math.max(v, above)];
    assert.ok(linearTicks(low, high, 5).length <= 12, `${low} to ${high}`);
    const [a, b] = around(low, high, false, false);
    assert.ok(a < low && b > high && b - a > 1e-3 * Math.abs(v), `${low} to ${high}: ${a} to ${b}`);
    const ticks = linearTicks(a, b, 5);
    assert.ok(ticks.length >= 2 && ticks.length <= 7, `${ticks}`);
  }
  for (const [low, high] of [[0, 5e-324], [-1.7e308, 1.7e308], [NaN, 1], [0, Infinity], [3, 3]]) assert.ok(linearTicks(low, high, 5).length <= 12);
});

test("ticks are written short, with the digits that tell them apart", () => {
  const write = (/** @type {number} */ step, /** @type {number[]} */ ...ticks) => ticks.map((t) => tick(t, step));
  assert.deepEqual(write(0.25, 0, 0.25, 0.5), ["0", "0.25", "0.50"]);
  assert.deepEqual(write(2500, 2500, 10_000, 12_500), ["2.5k", "10k", "12.5k"]);
  assert.deepEqual(write(100, 900, 1000, 1100), ["900", "1000", "1100"]);
  assert.deepEqual(write(1e-4, 1e-4, 2e-4), ["1e-4", "2e-4"]);
  assert.deepEqual(write(2.5e-4, 2.5e-4, 5e-4), ["2.5e-4", "5.0e-4"]);
  assert.deepEqual(write(2e5, 1e6, 1.2e6), ["1M", "1.2M"]);
  assert.deepEqual(write(0.1, -0.5), ["-0.5"]);
});

test("ranges hold their values with air around, and exist without any", () => {
  assert.deepEqual(around(Infinity, -Infinity, false, false), [0, 1]);
  assert.deepEqual(around(Infinity, -Infinity, true, false), [0.1, 10]);
  assert.equal(around(3, 20, false, true)[0], 0);
  for (const [low, high] of [[2, 5], [4, 4], [0, 0], [-3, -1]]) {
    const [a, b] = around(low, high, false, false);
    assert.ok(a < low && b > high, `${low} to ${high}: ${a} to ${b}`);
  }
  for (const [low, high] of [[0.1, 20], [3, 3]]) {
    const [a, b] = around(low, high, true, false);
    assert.ok(a > 0 && a < low && b > high);
  }
});

test("cells of CSV files", () => {
  assert.deepEqual([1.5, 3e-7, NaN, undefined, "a", 'say "a, b"', "two\nlines", "=1+1", "-x"].map(cell), ["1.5", "3e-7", "NaN", "", "a", '"say ""a, b"""', '"two\nlines"', "'=1+1", "'-x"]);
});

test("a long CSV file is made in parts, whole", async () => {
  let pauses = 0;
  function* lines() {
    for (let i = 0; i < 10_000; i++) yield [i, i / 2];
  }
  const blob = await csv(["step", "half"], lines(), async () => void pauses++);
  assert.ok(pauses >= 2, "the page could breathe");
  const text = await blob.text();
  const got = text.split("\r\n");
  assert.equal(got.length, 10_002);
  assert.equal(got[0], "step,half");
  assert.equal(got[10_000], "9999,4999.5");
  assert.equal(got[10_001], "");
});
