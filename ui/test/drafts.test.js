// @ts-check
import test from "node:test";
import assert from "node:assert/strict";
import { draftOf, keepDraft } from "../drafts.js";

/** A store of so many characters. @param {number} [room] */
function store(room = Infinity) {
  const m = new Map();
  return /** @type {any} */ ({ getItem: (/** @type {string} */ k) => m.get(k) ?? null, setItem: (/** @type {string} */ k, /** @type {string} */ v) => { if (v.length > room) throw new DOMException("full", "QuotaExceededError"); m.set(k, v); }, m });
}

test("a run's text is there again, and goes with the run", () => {
  const s = store();
  keepDraft("a", { text: "Once upon a time there", draft: " was" }, s);
  keepDraft("b", { text: "", draft: "x" }, s);
  assert.deepEqual(draftOf("a", s), { text: "Once upon a time there", draft: " was" });
  keepDraft("a", null, s);
  keepDraft("b", { text: "", draft: "" }, s);
  assert.equal(draftOf("a", s), null);
  assert.equal(draftOf("b", s), null);
});

test("the oldest make room, and a store that refuses or holds something else does no harm", () => {
  const s = store();
  for (let i = 0; i < 20; i++) keepDraft(`r${i}`, { text: "t".repeat(150_000), draft: "" }, s);
  assert.equal(draftOf("r14", s), null);
  assert.ok(draftOf("r19", s) && draftOf("r15", s));
  s.m.set("innerloop.drafts", '{"no":"list"}');
  assert.equal(draftOf("r19", s), null);
  keepDraft("a", { text: "long", draft: "" }, store(3));
  keepDraft("a", { text: "long", draft: "" }, undefined);
});
