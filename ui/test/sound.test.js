// Sound: the samples of bytes, what is played of them, and their drawing.
import assert from "node:assert/strict";
import test from "node:test";
import { fill, lasting, SAMPLES, SILENT, wave } from "../sound.js";

test("bytes have the samples that the trainer gives them", () => {
  // What data.FromMuLaw says.
  for (const [byte, sample] of [[0, -1], [1, -0.9784046], [64, -0.05950947], [127, -0.00017431847], [128, 0], [129, 0.00017431847], [200, 0.08590547], [255, 0.9784046]]) {
    assert.ok(Math.abs(SAMPLES[byte] - sample) <= 1e-7 * Math.max(1e-3, Math.abs(sample)), `${byte}: ${SAMPLES[byte]}, want ${sample}`);
  }
  assert.equal(SAMPLES.length, 256);
  for (let i = 1; i < 256; i++) assert.ok(SAMPLES[i] > SAMPLES[i - 1]);
  assert.equal(SILENT.length, 128);
  assert.ok(SILENT.every((b) => SAMPLES[b] === 0));
});

test("a browser gets samples at a rate that it plays", () => {
  const as = (/** @type {Float32Array} */ a) => [...a].map((x) => Number(x.toFixed(6)));
  assert.deepEqual(fill([128, 255, 0], 8000), { samples: Float32Array.of(0, SAMPLES[255], -1), rate: 8000 });
  assert.equal(fill([128, 255, 0], 48000).rate, 48000);
  const slow = fill([128, 255, 0], 4000);
  assert.equal(slow.rate, 8000);
  assert.deepEqual(as(slow.samples), as(Float32Array.of(0, SAMPLES[255] / 2, SAMPLES[255], (SAMPLES[255] - 1) / 2, -1, -1)));
  assert.deepEqual([fill([1], 1000).rate, fill([1], 1000).samples.length, fill([1, 2], 5000).rate, fill([], 8000).samples.length], [8000, 8, 10000, 0]);
});

test("how long a sound is", () => {
  assert.deepEqual([0, 0.025, 0.9994, 0.9995, 12.34, 60, 185].map(lasting), ["0 ms", "25 ms", "999 ms", "1.0 s", "12.3 s", "1 min 00 s", "3 min 05 s"]);
});

test("a drawing has the least and the greatest of each column, and every sample is in one", () => {
  const columns = (/** @type {string} */ d) => [...d.matchAll(/M([\d.]+) (-?[\d.]+)V(-?[\d.]+)/g)].map((m) => m.slice(1).map(Number));
  assert.equal(wave([]), "");
  assert.deepEqual(columns(wave([128], 10)), [[5, 99.5, 100.5]]);
  const steps = columns(wave([128, 200, 255, 0], 8));
  for (let i = 1; i < steps.length; i++) assert.ok(steps[i][1] <= steps[i - 1][2] && steps[i][2] >= steps[i - 1][1], "strokes that do not meet");
  const loud = Array(1001).fill(128);
  loud[0] = 0;
  loud[500] = 255;
  loud[1000] = 0;
  const all = columns(wave(loud, 10));
  assert.equal(all.length, 10);
  assert.deepEqual(all.map(([x]) => x), [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]);
  assert.deepEqual(all.map(([, , low]) => low > 190), [true, false, false, false, false, false, false, false, false, true]);
  assert.equal(all.filter(([, high]) => high < 10).length, 1);
  for (const [x, high, low] of columns(wave(Array.from({ length: 100 }, (_, i) => (i * 37) % 256)))) assert.ok(x > 0 && x < 240 && high >= 0 && high < low && low <= 200, `${x} ${high} ${low}`);
});
