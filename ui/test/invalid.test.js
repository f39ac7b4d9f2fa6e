// Values that do not fit, and sliders.
import assert from "node:assert/strict";
import test from "node:test";
import { BY_KEY, FIELDS, mend, parse, place, slid, slide } from "../fields.js";

const field = (/** @type {string} */ key) => /** @type {import("../fields.js").Field} */ (BY_KEY.get(key));

test("what does not fit is answered with what to enter and what applies until then", () => {
  const say = (/** @type {string} */ key, /** @type {string} */ text, /** @type {any} */ value) => mend(parse(field(key), text).error, value);
  assert.equal(say("model.hidden_size", "99999", 128), "Enter 2 to 4,096: until then it is 128.");
  assert.equal(say("model.hidden_size", "", 128), "Enter a number: until then it is 128.");
  assert.equal(say("model.hidden_size", "16.5", 128), "Enter a whole number: until then it is 128.");
  assert.equal(say("data.story_bytes", "1", 1048576), "Enter 1,024 to 67,108,864: until then it is 1,048,576.");
  assert.equal(say("train.lr", "11", 0.003), "Enter 0 to 10: until then it is 0.003.");
  assert.equal(mend("want no control characters", "a"), "Enter no control characters: until then the last one that fits applies.");
});

test("every key moves a slider, whatever the value", () => {
  const sliders = FIELDS.filter((f) => f.slider);
  assert.deepEqual(sliders.map((f) => f.key), ["train.lr", "model.target_eps"]);
  for (const f of sliders) {
    const [from, to] = /** @type {[number, number]} */ (f.slider);
    for (let v = from * 2; v < to / 2; v *= 1.7) {
      const x = Number(v.toPrecision(3));
      for (const key of ["ArrowUp", "ArrowRight", "PageUp"]) assert.ok(Number(slide(f, x, key)) > x, `${f.key} ${x} ${key}`);
      for (const key of ["ArrowDown", "ArrowLeft", "PageDown"]) assert.ok(Number(slide(f, x, key)) < x, `${f.key} ${x} ${key}`);
      assert.deepEqual([slide(f, x, "Home"), slide(f, x, "End")], [from, to]);
    }
    // Up to the end and back, by few keys.
    let v = from;
    let keys = 0;
    for (; v < to; keys++) v = Number(slide(f, v, "ArrowUp"));
    assert.equal(v, to);
    assert.ok(keys <= 3 * Math.log10(to / from), `${f.key}: ${keys} keys`);
    for (; v > from; keys--) v = Number(slide(f, v, "ArrowDown"));
    assert.deepEqual([v, keys], [from, 0]);
    assert.deepEqual([slide(f, to, "ArrowUp"), slide(f, from, "ArrowDown"), slide(f, 0, "ArrowUp"), slide(f, 0, "PageUp")], [to, from, from, from]);
    assert.deepEqual([slide(f, to * 100, "ArrowDown"), slide(f, 1, "a"), slide(f, 1, "Tab")], [to, undefined, undefined]);
  }
  const eps = field("model.target_eps");
  assert.deepEqual(["ArrowUp", "ArrowDown", "PageUp", "PageDown"].map((k) => slide(eps, 1e-5, k)), [2e-5, 5e-6, 1e-4, 1e-6]);
});

test("a slider that is moved, however little, gives another value of two digits", () => {
  for (const f of FIELDS.filter((x) => x.slider)) {
    const [from, to] = /** @type {[number, number]} */ (f.slider);
    const step = 0.02; // the control's
    for (let at = Math.log10(from) + step; at < Math.log10(to) - step; at += step) {
      const v = Number((10 ** at).toPrecision(2));
      for (const by of [step, -step]) {
        if (place(f, v) + by < Math.log10(from) || place(f, v) + by > Math.log10(to)) continue; // the control's ends
        const next = slid(f, place(f, v) + by, v);
        assert.ok(by > 0 ? next > v : next < v, `${f.key}: ${v} moved by ${by} is ${next}`);
        assert.equal(next, Number(next.toPrecision(2)));
        assert.ok(next >= from && next <= to);
      }
    }
    assert.equal(slid(f, place(f, to), to), to);
  }
});
