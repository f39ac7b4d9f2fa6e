// @ts-check
// What the layers' numbers say against a run in the headline.
import assert from "node:assert/strict";
import test from "node:test";
import { trouble } from "../health.js";
import { PROBES } from "../norms.js";

/** @param {{ [probe: string]: number[] }} [more] @returns {any} two heads of a layer, healthy but for more */
const norms = (more = {}) => ({ run: "r", step: 1, layers: [3], heads: 2, eps: 1e-5, bound: 5, ...Object.fromEntries(PROBES.map((p) => [p, [1, 1]])), maxZ: [2, 3], nonFinite: [0, 0], highGain: [0, 0.005], ...more });

test("a healthy run has none, with numbers and before there are any", () => {
  assert.equal(trouble("", norms()), null);
  assert.equal(trouble("", null), null);
  assert.equal(trouble("", norms({ maxZ: [5, 5.0001] })), null); // rounding
});

test("|z| of 290 times its bound is no run that goes well", () => {
  const fault = trouble("std-aliased", norms({ maxZ: [3, 1450] }));
  assert.deepEqual([fault?.tone, fault?.word], ["bad", "A fault is in"]);
  assert.match(fault?.why ?? "", /^\|z\| is 290 times its bound\. That is the fault std-aliased/);
  const none = trouble("", norms({ maxZ: [3, 1450] }));
  assert.deepEqual([none?.tone, none?.word], ["bad", "Numbers are wrong"]);
  assert.match(none?.why ?? "", /^\|z\| is 290 times its bound\. The diagnosis/);
  assert.match(trouble("", norms({ maxZ: [3, 6] }))?.why ?? "", /1\.2 times/);
});

test("every broken invariant is told", () => {
  const t = trouble("", norms({ maxZ: [3, 50], keyMax: [1, 22], nonFinite: [1, 0] }));
  assert.match(t?.why ?? "", /^\|z\| is 10 times its bound, and keys are not of length 1, and values are not finite\./);
  assert.match(trouble("", norms({ maxZ: [NaN, 1] }))?.why ?? "", /^\|z\| is over its bound/);
  assert.match(trouble("", norms({ keyMax: [3, 1] }))?.why ?? "", /^Keys are not of length 1\./);
  assert.match(trouble("", norms({ stdMin: [-1, 1] }))?.why ?? "", /^Std is below 0\./);
});

test("a fault that breaks no invariant is told too, and a gain that is high in many rows", () => {
  assert.deepEqual([trouble("stale-eps", norms())?.tone, trouble("stale-eps", norms())?.word], ["flat", "A fault is in"]);
  assert.equal(trouble("future-leak", null)?.word, "A fault is in");
  assert.match(trouble("near-keys", norms({ highGain: [1, 0.4] }))?.why ?? "", /^In 100 % of a head's rows gradients are multiplied by more than 100\. The fault near-keys was put in/);
  assert.equal(trouble("", norms({ highGain: [0.02, 0] }))?.word, "Gradients are amplified");
  assert.equal(trouble("", norms({ highGain: [NaN, 0.01] })), null); // an older log does not say
});
