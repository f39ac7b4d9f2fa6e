// @ts-check
// The charts' columns: growth, smoothing, decimation, and how often there is drawing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Column, Pacer, Smoothed, decimate, extent, lowerBound, merged, nearest, room, spread } from "../columns.js";

/** @param {Column} c */
const values = (c) => Array.from(c.data.subarray(0, c.length));

/** A stream of numbers in [0, 1). @param {number} seed */
const numbers = (seed) => () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;

test("a column grows, shrinks and is replaced", () => {
  const c = new Column([1, 2, 3]);
  for (let i = 4; i <= 1000; i++) c.push(i);
  assert.equal(c.length, 1000);
  assert.equal(c.last, 1000);
  assert.deepEqual(values(c), Array.from({ length: 1000 }, (_, i) => i + 1));
  c.truncate(2);
  assert.deepEqual(values(c), [1, 2]);
  c.truncate(50);
  assert.equal(c.length, 2);
  c.set(new Float64Array(5000).fill(7));
  assert.equal(c.length, 5000);
  assert.equal(c.data[4999], 7);
  assert.ok(Number.isNaN(new Column().last));
});

test("a growing column allocates rarely", () => {
  const c = new Column();
  const buffers = new Set();
  for (let i = 0; i < 100_000; i++) {
    c.push(i);
    buffers.add(c.data);
  }
  assert.ok(buffers.size <= 12, `${buffers.size} buffers for 100,000 values`);
});

test("smoothing is the moving average without its start's bias", () => {
  const x = [4, 1, 3, NaN, 2, Infinity, 5];
  const source = new Column(x);
  const s = new Smoothed(source, 0.75);
  s.update();
  // Straight from the weights: value = sum a^(age) x / sum a^(age) over the finite values so far.
  x.forEach((v, i) => {
    if (!Number.isFinite(v)) return assert.ok(Number.isNaN(s.data[i]), `value ${i}`);
    const seen = x.slice(0, i + 1).filter(Number.isFinite);
    const weight = (/** @type {number} */ k) => 0.75 ** (seen.length - 1 - k);
    const want = seen.reduce((sum, y, k) => sum + weight(k) * y, 0) / seen.reduce((sum, _, k) => sum + weight(k), 0);
    assert.ok(Math.abs(s.data[i] - want) < 1e-12, `value ${i}: ${s.data[i]}, want ${want}`);
  });
});

test("smoothing goes on where it stopped, and anew where the past changed", () => {
  const next = numbers(3);
  const source = new Column(Array.from({ length: 50 }, next));
  const s = new Smoothed(source, 0.9);
  s.update();
  for (let i = 0; i < 50; i++) {
    source.push(next());
    s.update();
  }
  const whole = new Smoothed(source, 0.9);
  whole.update();
  assert.deepEqual(values(s), values(whole));
  source.truncate(20);
  s.update();
  assert.deepEqual(values(s), values(whole).slice(0, 20));
  s.alpha = 0;
  s.update();
  assert.deepEqual(values(s), values(source));
});

test("searching in ascending values", () => {
  const xs = [1, 2, 4, 8];
  assert.deepEqual([0, 1, 3, 8, 9].map((x) => lowerBound(xs, 4, x)), [0, 0, 2, 3, 4]);
  assert.deepEqual([0, 2.9, 3.1, 6, 100].map((x) => nearest(xs, 4, x)), [0, 1, 2, 3, 3]);
  assert.equal(nearest(xs, 0, 1), -1);
});

test("few points are all drawn", () => {
  const xs = Float64Array.from([1, 2, 3]);
  const out = new Uint32Array(room(10));
  assert.equal(decimate(xs, xs, 0, 3, 0, 5, 10, out), 3);
  assert.deepEqual([...out.subarray(0, 3)], [0, 1, 2]);
});

test("of many points each column of pixels keeps its first, least, greatest and last", () => {
  const next = numbers(1);
  const n = 50_000;
  const xs = Float64Array.from({ length: n }, (_, i) => i + 1);
  const ys = Float64Array.from({ length: n }, () => (next() < 0.02 ? NaN : next()));
  for (const [x0, x1, buckets] of [[1, n, 640], [1000.5, 30_000, 333], [-5, 2 * n, 97]]) {
    const out = new Uint32Array(room(buckets));
    const k = decimate(xs, ys, 0, n, x0, x1, buckets, out);
    const kept = [...out.subarray(0, k)];
    assert.ok(k <= room(buckets));
    for (let i = 1; i < k; i++) assert.ok(kept[i] > kept[i - 1], "in order, each once");
    const set = new Set(kept);
    const width = (x1 - x0) / buckets;
    for (let b = 0; b < buckets; b++) {
      let low = -1;
      let high = -1;
      let first = -1;
      let last = -1;
      for (let i = 0; i < n; i++) {
        if (xs[i] < x0 + b * width) continue;
        if (xs[i] >= x0 + (b + 1) * width) break;
        if (Number.isNaN(ys[i])) continue;
        if (first < 0) first = i;
        last = i;
        if (low < 0 || ys[i] < ys[low]) low = i;
        if (high < 0 || ys[i] > ys[high]) high = i;
      }
      for (const i of [first, low, high, last]) assert.ok(i < 0 || set.has(i), `bucket ${b} of ${buckets} lost point ${i}`);
    }
  }
});

test("a gap as wide as a column of pixels stays one", () => {
  const xs = Float64Array.from({ length: 1000 }, (_, i) => i);
  const ys = xs.map((x) => (x >= 400 && x < 600 ? NaN : x));
  const out = new Uint32Array(room(10));
  const k = decimate(xs, ys, 0, 1000, 0, 1000, 10, out);
  assert.ok([...out.subarray(0, k)].some((i) => Number.isNaN(ys[i])));
  const sampled = decimate(xs, ys, 0, 1000, 0, 1000, 10, out, true);
  assert.deepEqual([...out.subarray(0, sampled)], [99, 199, 299, 399, 400, 500, 699, 799, 899, 999]);
});

test("extents leave out what an axis cannot show", () => {
  const ys = Float64Array.from([3, NaN, -2, Infinity, 0, 9]);
  const all = Uint32Array.from([0, 1, 2, 3, 4, 5]);
  /** @type {[number, number]} */
  const range = [Infinity, -Infinity];
  extent(ys, all, 6, false, range);
  assert.deepEqual(range, [-2, 9]);
  /** @type {[number, number]} */
  const positive = [Infinity, -Infinity];
  extent(ys, all, 6, true, positive);
  assert.deepEqual(positive, [3, 9]);
});

test("rows of tables are spread evenly, the newest among them", () => {
  assert.deepEqual(spread(3, 200), [0, 1, 2]);
  const rows = spread(12_345, 200);
  assert.equal(rows.length, 200);
  assert.equal(new Set(rows).size, 200);
  assert.equal(rows[0], 0);
  assert.equal(rows[199], 12_344);
  assert.deepEqual(spread(10, 1), [9]);
  assert.deepEqual(spread(10, 0), []);
});

test("columns of steps are merged", () => {
  assert.deepEqual(values(merged(new Column([1, 2, 3]), new Column([0, 2, 5, 6]))), [0, 1, 2, 3, 5, 6]);
  assert.deepEqual(values(merged(new Column(), new Column([4]))), [4]);
});

/** A clock that is moved by hand. */
function fakeClock() {
  let now = 0;
  /** @type {(() => void)[]} */
  let frames = [];
  /** @type {Map<number, { at: number, f: () => void }>} */
  const timers = new Map();
  let made = 0;
  const run = (/** @type {number} */ ms, visible = true) => {
    for (const end = now + ms; now < end; now++) {
      for (const [id, { at, f }] of timers) {
        if (at > now) continue;
        timers.delete(id);
        f();
      }
      if (!visible || now % 16 !== 0) continue;
      const due = frames;
      frames = [];
      for (const f of due) f();
    }
  };
  return {
    run,
    clock: {
      now: () => now,
      frame: (/** @type {() => void} */ f) => void frames.push(f),
      after: (/** @type {() => void} */ f, /** @type {number} */ ms) => {
        timers.set(++made, { at: now + ms, f });
        return made;
      },
      never: (/** @type {number} */ id) => void timers.delete(id),
    },
  };
}

test("drawing is ten times a second at most, however often it is asked for", () => {
  const { run, clock } = fakeClock();
  let calls = 0;
  const pacer = new Pacer(() => calls++, 100, clock);
  for (let i = 0; i < 100; i++) {
    pacer.ask();
    run(10);
  }
  assert.ok(calls >= 8 && calls <= 10, `${calls} calls in a second`);
  run(1000);
  const settled = calls;
  run(1000);
  assert.equal(calls, settled, "nothing is drawn without being asked");
});

test("a person does not wait, and a hidden tab draws once it is seen", () => {
  const { run, clock } = fakeClock();
  let calls = 0;
  const pacer = new Pacer(() => calls++, 100, clock);
  pacer.ask();
  run(20);
  assert.equal(calls, 1);
  pacer.ask();
  pacer.ask(true);
  run(20);
  assert.equal(calls, 2, "in the next frame");
  run(300);
  assert.equal(calls, 2, "one call for both");
  for (let i = 0; i < 50; i++) {
    pacer.ask();
    run(20, false);
  }
  assert.equal(calls, 2, "hidden");
  run(20);
  assert.equal(calls, 3);
});
