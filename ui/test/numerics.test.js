// @ts-check
// What the numerics panel knows: broken invariants, scales and colours of the heat map, and the history of the probes.
import assert from "node:assert/strict";
import test from "node:test";
import { Column } from "../columns.js";
import { QUANTITIES, colour, place, readings } from "../heatmap.js";
import { NormHistory, PROBES, SERIES, breaches, brief, print } from "../norms.js";

/** A step's probes, healthy but for what over says. @param {number} step @param {{ [name: string]: any }} [over] @param {number} [cells] heads of one layer */
const event = (step, over = {}, cells = 2) => {
  const fill = (/** @type {number} */ x) => new Float64Array(cells).fill(x);
  const base = { run: "r", step, layers: [3], heads: cells, eps: 1e-5, bound: 4, ...Object.fromEntries(PROBES.map((p) => [p, fill(1)])), maxZ: fill(2), nonFinite: fill(0), highGain: fill(0) };
  for (const [k, v] of Object.entries(over)) Reflect.set(base, k, Array.isArray(v) && k !== "layers" ? Float64Array.from(v) : v);
  return /** @type {import("../norms.js").NormsData} */ (/** @type {unknown} */ (base));
};
const series = (/** @type {string} */ key) => SERIES.find((s) => s.key === key) ?? assert.fail(key);
const read = (/** @type {NormHistory} */ h, /** @type {string} */ key, cell = -1) => {
  const c = new Column();
  h.read(series(key), cell, c);
  return Array.from(c.data.subarray(0, c.length));
};
const steps = (/** @type {NormHistory} */ h) => Array.from(h.step.data.subarray(0, h.step.length));

test("a broken invariant is told from what rounding does", () => {
  const signs = (/** @type {object} */ over) => breaches(event(1, over), 0).map((b) => b.sign).join("");
  assert.equal(signs({}), "");
  assert.equal(signs({ maxZ: [4.0002, 0] }), "");
  assert.equal(signs({ maxZ: [4.01, 0] }), "▲");
  assert.equal(signs({ maxZ: [0, 400] }), ""); // the other head's
  assert.equal(signs({ maxZ: [NaN, 0] }), "▲");
  assert.equal(signs({ stdMin: [0, 1] }), "");
  assert.equal(signs({ stdMin: [-0.4, 1] }), "▼");
  assert.equal(signs({ keyMin: [0.9995, 1], keyMax: [1.0005, 1] }), "");
  assert.equal(signs({ keyMin: [0.9, 1] }), "◆");
  assert.equal(signs({ keyMax: [22, 1], nonFinite: [1, 0], maxZ: [Infinity, 1] }), "▲◆✕");
});

test("scales: the brighter, the nearer to trouble", () => {
  for (const [id, d, low, high, fine, bad] of /** @type {const} */ ([
    ["std", {}, 0.01, 0.5, 0.5, 1e-5], ["std", { eps: 0 }, 0, 3, 3, 0], ["z", {}, 0, 1, 0, 1], ["high-gain", {}, 0, 1, 0, 1], ["gain", {}, 2, 100, 2, 1e5], ["gain", { eps: 0 }, 2, 100, 2, 1e8], ["nonfinite", {}, 0, 0, 0, 1],
  ])) {
    const q = QUANTITIES.find((x) => x.id === id) ?? assert.fail(id);
    const s = q.scale(event(1, d), low, high);
    assert.ok(place(s, fine) < 0.2, `${id} ${fine}: ${place(s, fine)}`);
    assert.ok(place(s, bad) > 0.85, `${id} ${bad}: ${place(s, bad)}`);
    for (const x of [NaN, Infinity, -Infinity, 0, 1e300, -1]) assert.ok(place(s, x) >= 0 && place(s, x) <= 1, `${id} ${x}`);
    assert.equal(place(s, NaN), 1);
  }
});

test("what stands on a colour can be read", () => {
  const light = (/** @type {number[]} */ rgb) => {
    const [r, g, b] = rgb.map((c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let before = -1;
  for (let t = 0; t <= 1; t += 0.01) {
    const { fill, ink } = colour(t);
    const l = light(/** @type {RegExpMatchArray} */ (fill.match(/\d+/g)).map(Number));
    assert.ok((ink === "#000" ? (l + 0.05) / 0.05 : 1.05 / (l + 0.05)) >= 4.5, `${t}: ${ink} on ${fill}`);
    assert.ok(l > before, `${t}: not brighter than below`);
    before = l;
  }
});

test("all numbers of a head are read out", () => {
  const all = new Map(readings(event(1, { maxZ: [0.5, 3e7], stdMin: [1, 2e-9], highGain: [0, 0.25] }), 1));
  assert.equal(all.get("|z|, max"), "3.0e7 of 4.00");
  assert.equal(all.get("std, min"), "2.0e-9");
  assert.equal(all.get("rows, gain > 100"), "25.0 %");
  assert.equal(all.size, 10);
});

test("numbers in few characters", () => {
  assert.deepEqual([0, 1, -1.5, 42.123, 1234, -27656192, 0.0123, 0.00123, -1e-7, NaN, Infinity, -Infinity].map(brief), ["0", "1.00", "−1.50", "42.1", "1234", "−2.8e7", "0.012", "0.0012", "−1.0e-7", "NaN", "∞", "−∞"]);
  assert.deepEqual([0, 1e-5, 1e-8, 0.01, 0.5, 1].map(print), ["0", "1e-5", "1e-8", "0.01", "0.5", "1"]);
});

test("the history has the worst head and each head", () => {
  const h = new NormHistory();
  h.add(event(1, { stdMin: [0.5, 0.25], maxZ: [1, 2], gain: [2, 4], xvMin: [-9, -1], xvMax: [1, 3], keyMax: [1, 1.5], keyMin: [1, 1] }), "");
  h.add(event(3, { maxZ: [8, 2] }), "");
  assert.deepEqual(steps(h), [1, 3]);
  assert.deepEqual(read(h, "norm-std"), [0.25, 1]);
  assert.deepEqual(read(h, "norm-z"), [0.5, 2]);
  assert.deepEqual(read(h, "norm-z", 1), [0.5, 0.5]);
  assert.deepEqual(read(h, "norm-xv"), [9, 1]);
  assert.deepEqual(read(h, "norm-xv", 1), [3, 1]);
  assert.deepEqual(read(h, "norm-key"), [0.5, 0]);
  assert.ok(Number.isNaN(read((h.add(event(4, { maxZ: [NaN, 1] }), ""), h), "norm-z")[2]));
});

test("changes of eps and faults are marked, and forgotten with what came after a step", () => {
  const h = new NormHistory();
  h.add(event(1), "");
  h.add(event(2), "");
  h.add(event(3, { eps: 1e-3 }), "");
  h.add(event(4, { eps: 1e-3 }), "std-aliased");
  h.add(event(5, { eps: 1e-3 }), "");
  assert.deepEqual(h.marks, [{ step: 3, label: "eps 1e-5 → 0.001" }, { step: 4, label: "fault std-aliased" }, { step: 5, label: "fault taken out" }]);
  h.truncate(3);
  assert.deepEqual(steps(h), [1, 2, 3]);
  assert.equal(h.marks.length, 1);
  h.add(event(2, { eps: 1e-3 }), ""); // it goes on from an earlier one
  assert.deepEqual(steps(h), [1, 2]);
  h.add(event(1, { run: "other" }), "raw-keys");
  assert.deepEqual([steps(h), h.run, h.marks.map((m) => m.label)], [[1], "other", ["fault raw-keys"]]);
});

test("a history that is full keeps every spike, and its size", () => {
  const rows = 16;
  const h = new NormHistory(PROBES.length * 3 * rows);
  assert.equal(h.own, false);
  // So small a budget has no room for heads of their own: the worst alone, in 48 rows.
  const n = 1000;
  for (let i = 1; i <= n; i++) h.add(event(i, { maxZ: [1, i === 777 ? 4000 : 2], stdMin: [i === 333 ? 1e-6 : 1, 1] }), "");
  assert.equal(h.own, false);
  assert.ok(h.step.length <= 3 * rows && h.step.length >= rows, String(h.step.length));
  assert.equal(h.step.last, n);
  assert.equal(Math.max(...read(h, "norm-z")), 1000);
  assert.equal(Math.min(...read(h, "norm-std")), Math.fround(1e-6));
  assert.deepEqual(read(h, "norm-z", 0), []);
  const all = steps(h);
  assert.deepEqual(all, [...all].sort((a, b) => a - b));
  assert.equal(new Set(all).size, all.length);
  const spike = read(h, "norm-z").indexOf(1000);
  assert.ok(all[spike] >= 777 && (spike === 0 || all[spike - 1] < 777), "the spike stands at its step");
});

test("a full history of many steps stays within its budget, heads included", () => {
  const budget = PROBES.length * 3 * 300;
  const h = new NormHistory(budget);
  for (let i = 1; i <= 5000; i++) h.add(event(i, { gain: [i, 1] }), "");
  assert.equal(h.own, true);
  assert.ok(h.step.length <= 300 && h.step.length >= 100);
  assert.equal(read(h, "norm-gain", 0).at(-1), 5000);
  assert.ok(read(h, "norm-gain", 1).every((x) => x === 1));
});

test("a history that was read goes on with what comes", () => {
  const h = new NormHistory();
  h.add(event(7, { run: "other" }), "raw-keys");
  const past = { run: "r", layers: [3], heads: 2, bound: 4, faults: [{ step: 2, fault: "std-aliased" }], step: Float64Array.of(1, 2), eps: Float64Array.of(1e-5, 0.5), ...Object.fromEntries(PROBES.map((p) => [p, Float64Array.of(1, 8)])) };
  h.load(/** @type {any} */ (past));
  assert.deepEqual(steps(h), [1, 2]);
  assert.deepEqual(read(h, "norm-z"), [0.25, 2]);
  assert.ok(read(h, "norm-z", 0).every(Number.isNaN)); // the log has no heads
  h.add(event(3, { eps: 0.5 }), "std-aliased");
  assert.deepEqual(steps(h), [1, 2, 3]);
  assert.deepEqual(read(h, "norm-z"), [0.25, 2, 0.5]);
  assert.equal(read(h, "norm-z", 1)[2], 0.5);
  assert.deepEqual(h.marks.map((m) => `${m.step} ${m.label}`), ["2 eps 1e-5 → 0.5", "2 fault std-aliased"]);
});
