// @ts-check
// What the failure panel says of what went wrong, and what it offers.
import assert from "node:assert/strict";
import test from "node:test";
import { meaning } from "../panels.js";
import { schema } from "./types.mjs";

/** @typedef {import("../messages.d.ts").Failure} Failure */

/** @param {Partial<Failure>} f */
const of = (f) => meaning({ code: "non-finite", checkpoint: 20, ...f });

test("each kind of failure has a meaning and advice of its own", () => {
  const { code, cause } = schema.$defs.Failure.properties;
  const all = [...code.enum.map((/** @type {Failure["code"]} */ c) => of({ code: c })), ...cause.enum.map((/** @type {Failure["cause"]} */ c) => of({ cause: c }))];
  for (const m of all) assert.ok(m.what && m.advice && m.what !== "Training stopped", JSON.stringify(m));
  assert.equal(new Set(code.enum.map((/** @type {Failure["code"]} */ c) => of({ code: c }).advice)).size, code.enum.length);
});

test("steps that were too large are taken again with half the learning rate", () => {
  for (const cause of /** @type {const} */ ([undefined, "operation"])) {
    const m = of({ cause });
    assert.match(m.advice, /^Usually the steps were too large\. Halve the learning rate/);
    assert.deepEqual([m.halve, m.goOn], [true, true]);
  }
  assert.equal(of({ checkpoint: -1 }).goOn, false);
  assert.equal(of({ code: "memory" }).halve, false);
});

test("a weight that was no number from the start is none of the learning rate's", () => {
  for (const checkpoint of [-1, 20]) {
    const m = of({ cause: "loaded", checkpoint });
    assert.match(m.what, /from the start/);
    assert.match(m.advice, /before the run's first step/);
    assert.match(m.advice, /another checkpoint/);
    assert.doesNotMatch(m.advice, /too large|halve/i);
    assert.deepEqual([m.halve, m.goOn], [false, false]); // that checkpoint has it too
  }
});

test("what is too large for 16 bits, a fault, and a device are none of the learning rate's", () => {
  const half = of({ cause: "half" });
  assert.match(half.advice, /In 32 bits the run goes on/);
  assert.deepEqual([half.halve, half.goOn, half.mend?.key, half.mend?.value], [false, true, "train.precision", "f32"]);
  const fault = of({ cause: "fault" });
  assert.match(fault.advice, /Take it out/);
  assert.deepEqual([fault.halve, fault.mend?.key, fault.mend?.value], [false, "train.fault", ""]);
  assert.equal(of({ cause: "half", checkpoint: -1 }).mend, undefined); // nothing to go on from
  const device = of({ cause: "device" });
  assert.deepEqual([device.halve, device.goOn, device.mend], [false, true, undefined]);
  for (const m of [half, fault, device]) assert.doesNotMatch(m.advice, /halve|too large\. /i);
});

test("a weight that became no number, and what a step was given, are told from both", () => {
  const became = of({ cause: "parameter" });
  assert.match(became.advice, /an update since then/);
  assert.deepEqual([became.halve, became.goOn], [true, true]);
  const given = of({ cause: "given" });
  assert.doesNotMatch(given.advice, /steps were too large/);
  assert.deepEqual([given.halve, given.goOn], [false, true]);
});
