// @ts-check
// What the page calls a model.
import assert from "node:assert/strict";
import test from "node:test";
import { kind, tttLayers } from "../kind.js";

/** @param {string | undefined} layers @param {{ [key: string]: any }} [more] */
const of = (layers, more = {}) => {
  const c = { "model.num_hidden_layers": 6, "model.block": layers === undefined ? "ttt" : "hybrid", "model.layers": layers ?? "all", "model.ttt_layer_type": "linear", ...more };
  return (/** @type {string} */ key) => Reflect.get(c, key);
};

test("layers with a test-time-training memory are counted as the trainer counts them", () => {
  for (const [layers, n] of /** @type {const} */ ([[undefined, 6], ["all", 6], ["none", 0], ["middle", 2], ["1", 1], ["0, 2,2", 2], ["6", NaN], ["x", NaN], ["", NaN]])) {
    assert.equal(tttLayers(of(layers)), n, String(layers));
  }
  assert.equal(tttLayers(of("middle", { "model.num_hidden_layers": 1 })), 1);
});

test("a model is called what it is", () => {
  assert.equal(kind(of(undefined), 1000), "a TTT-Linear model of 1,000 parameters");
  assert.equal(kind(of(undefined, { "model.ttt_layer_type": "mlp" })), "a TTT-MLP model");
  assert.equal(kind(of("none")), "an attention-only baseline");
  assert.equal(kind(of("middle")), "a hybrid model (attention, TTT-Linear in 2 of 6 layers)");
  assert.equal(kind(of("all", { "model.ttt_layer_type": "mlp" })), "a hybrid model (attention, TTT-MLP in all 6 layers)");
  assert.equal(kind(of("9")), "a hybrid model (attention, TTT-Linear in some of 6 layers)");
});
