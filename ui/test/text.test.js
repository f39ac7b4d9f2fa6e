import assert from "node:assert/strict";
import test from "node:test";
import { Grouper, probability, tint } from "../tokens.js";
import { classify } from "../files.js";
import { Track, judge, likeness } from "../verdict.js";
import { bytes, duration, digits, parameters, percent, short } from "../format.js";

const token = (/** @type {number} */ byte, p = 0.5) => ({ byte, p, top: [{ byte, p }] });
/** @param {number[]} list */
const group = (list) => {
  const g = new Grouper();
  return [...list.flatMap((b) => g.add(token(b))), ...g.end()].map((x) => [x.text, x.tokens.map((t) => t.byte)]);
};

test("bytes of one character are one glyph, and broken ones lose nothing", () => {
  assert.deepEqual(group([...new TextEncoder().encode("aé🦊\n")]), [["a", [97]], ["é", [0xc3, 0xa9]], ["🦊", [0xf0, 0x9f, 0xa6, 0x8a]], ["\n", [10]]]);
  assert.deepEqual(group([0xff, 97]), [["\ufffd", [0xff]], ["a", [97]]]);
  assert.deepEqual(group([0xc3, 97]), [["\ufffd", [0xc3]], ["a", [97]]]);
  assert.deepEqual(group([0xe2, 0x82, 0xc3, 0xa9]), [["\ufffd", [0xe2, 0x82]], ["é", [0xc3, 0xa9]]]);
  assert.deepEqual(group([0xc3, 0xff, 97]), [["\ufffd", [0xc3]], ["\ufffd", [0xff]], ["a", [97]]]);
  assert.deepEqual(group([97, 0xe2, 0x82]), [["a", [97]], ["\ufffd", [0xe2, 0x82]]]);
  assert.deepEqual(group([0xef, 0xbb, 0xbf, 97]), [["\ufeff", [0xef, 0xbb, 0xbf]], ["a", [97]]]);
  // Whatever the bytes are, each is in one glyph, in order.
  let seed = 1;
  for (let round = 0; round < 300; round++) {
    const list = Array.from({ length: 12 }, () => ((seed = (seed * 48271) % 2147483647) % 3 === 0 ? 0x61 : 0x80 + (seed % 128)));
    assert.deepEqual(group(list).flatMap(([, b]) => b), list);
  }
});

test("a character is as probable as all its bytes", () => {
  assert.equal(probability({ text: "é", tokens: [token(0xc3, 0.5), token(0xa9, 0.8)] }), 0.4);
  assert.deepEqual([0, 0.05, 0.3, 0.5, 0.95, 1].map(tint), ["p0", "p1", "p2", "p3", "p4", "p4"]);
});

test("files are told apart", () => {
  const kind = (/** @type {string[]} */ ...names) => classify(names.map((name) => ({ name, size: 10 }))).kind;
  assert.equal(kind("book.txt"), "text");
  assert.equal(kind("README"), "text");
  assert.equal(kind("Notes.WAV"), "text");
  assert.equal(kind("song.mp3"), "neither");
  assert.match(classify([{ name: "music/song.flac", size: 10 }]).message, /^song\.flac is a sound of another kind: convert it to \.wav first\.$/);
  assert.equal(kind("run.zip"), "checkpoint");
  assert.equal(kind("model.safetensors", "config.json"), "checkpoint");
  assert.equal(kind("my-run/config.toml", "my-run/checkpoints/step-000010/model.safetensors", "my-run/metrics.jsonl"), "checkpoint");
  assert.equal(classify([{ name: "my-run/config.toml", size: 1 }, { name: "my-run/model.safetensors", size: 1 }]).name, "my-run");
  assert.equal(kind("model.safetensors"), "neither");
  assert.equal(kind("config.json"), "neither");
  assert.equal(kind("a.txt", "b.txt"), "neither");
  assert.equal(kind("pytorch_model.bin"), "neither");
  assert.equal(kind("config.json", "weights.PT"), "neither");
  assert.equal(kind("a.zip", "b.zip"), "neither");
  assert.equal(kind(), "neither");
  assert.equal(classify([{ name: "empty.txt", size: 0 }]).kind, "neither");
});

/** A run of losses. @param {(i: number) => number} f @param {number} n */
const run = (f, n) => {
  const t = new Track();
  for (let i = 0; i < n; i++) t.add({ rows: [{ step: i + 1, loss: f(i), tokens: 2048 * (i + 1) }], seconds: 0.1, left: 0.3 * (2 * n - i - 1) }, 2048, 2 * n);
  return t;
};

test("the verdict follows the losses", () => {
  const noise = (/** @type {number} */ i) => ((i * 7919) % 97) / 970;
  assert.equal(judge(run(() => 5, 5), 100).tone, "none");
  assert.equal(judge(run((i) => 1.3 + 4 * Math.exp(-i / 60) + noise(i), 100), 300).word, "Going well");
  assert.equal(judge(run((i) => 2 + noise(i), 100), 1000).tone, "flat");
  assert.equal(judge(run((i) => 2 + noise(i), 900), 1000).tone, "good");
  assert.equal(judge(run((i) => (i < 60 ? 2 : 2 + (i - 60) / 10) + noise(i), 100), 300).word, "Loss is rising");
  assert.equal(judge(run((i) => 7 + noise(i), 100), 300).word, "Not learning");
  assert.equal(likeness(Math.log(256)), "256");
  assert.equal(likeness(Math.log(6.3)), "6.3");
  assert.equal(likeness(13.8), "984609");
  for (const loss of [14, 40, 710, 1e30]) assert.equal(likeness(loss), "over a million");
});

test("the track knows its speed and forgets what was taken back", () => {
  const t = run((i) => 10 - i / 10, 50);
  assert.ok(Math.abs(t.tokensPerSecond - 20480) < 1);
  assert.ok(Math.abs(t.left(100) - 15) < 1e-9 && Math.abs(t.left(150) - 30) < 1e-9); // a run that is made longer takes longer
  t.truncate(20);
  assert.equal(t.losses.length, 20);
  assert.equal(t.losses.at(-1), 10 - 1.9);
  t.add({ rows: [{ step: 21, loss: 3, tokens: 21 * 2048 }], seconds: 0.1, left: 1 }, 2048);
  assert.ok(Math.abs(t.tokensPerSecond - 20480) < 1);
  const kept = new Track();
  kept.load({ step: [1, 2, 3], loss: [5, 4, 3], valStep: [2], valLoss: [4.5] });
  assert.deepEqual([kept.step, [...kept.losses], kept.evals], [3, [5, 4, 3], [{ step: 2, loss: 4.5 }]]);
  assert.ok(Number.isNaN(kept.tokensPerSecond) && Number.isNaN(kept.left(10)) && !kept.measured);
});

test("numbers are short and have units", () => {
  assert.deepEqual([0, 999, 1000, 12_345_678, 999_600].map(bytes), ["0 bytes", "999 bytes", "1.00 kB", "12.3 MB", "1.00 MB"]);
  assert.deepEqual([0.035, 0.8, 42, 59.7, 185, 7440, 3e5].map(duration), ["35.0 ms", "0.8 s", "42 s", "1 min 00 s", "3 min 05 s", "2 h 04 min", "3 days"]);
  assert.equal(duration(NaN), "–");
  assert.deepEqual([361_000, 1_234_567, 900].map(parameters), ["0.361 M", "1.23 M", "900"]);
  assert.deepEqual([0.00012, 1.5, 12.34, 123.4, 1234].map(digits), ["0.000120", "1.50", "12.3", "123", "1,234"]);
  assert.deepEqual([1, 0.5, 0.012, 0].map(percent), ["100 %", "50 %", "1.2 %", "< 0.1 %"]);
  assert.equal(short(11_300), "11.3 k");
});
