import assert from "node:assert/strict";
import test from "node:test";
import { Settings, differences } from "../settings.js";

const DEFAULTS = { "model.hidden_size": 128, "model.num_hidden_layers": 2, "model.ttt_layer_type": "linear", "model.ttt_base_lr": 1, "train.lr": 0.003, "train.steps": 1000, "data.file": "", "data.story_bytes": 1048576, "sample.prompts": ["a"], "model.rms_norm_eps": 1e-6 };
const make = () => new Settings(DEFAULTS);

test("settings begin with the trainer's values, of the keys that the page knows", () => {
  const s = make();
  assert.equal(s.get("train.lr"), 0.003);
  assert.equal(s.has("model.rms_norm_eps"), false);
  assert.deepEqual(s.overrides(), {});
  assert.equal(s.get("constructor"), undefined);
  assert.equal(s.get("__proto__"), undefined);
});

test("what was changed differs until it is the default again", () => {
  const s = make();
  assert.equal(s.set("train.lr", 0.01), "");
  assert.equal(s.differs("train.lr"), true);
  assert.deepEqual(s.overrides(), { "train.lr": 0.01 });
  s.set("train.lr", 0.003);
  assert.equal(s.differs("train.lr"), false);
  s.set("sample.prompts", ["a"]);
  assert.equal(s.differs("sample.prompts"), false);
  s.set("train.lr", 0.02);
  s.reset("train.lr");
  assert.equal(s.get("train.lr"), 0.003);
});

test("a value that does not fit is refused and changes nothing", () => {
  const s = make();
  for (const [key, value] of /** @type {[string, unknown][]} */ ([["model.hidden_size", "64"], ["model.hidden_size", 1e99], ["model.hidden_size", NaN], ["model.ttt_layer_type", "attention"], ["train.lr", null], ["sample.prompts", "a"], ["foo", 1], ["__proto__", { polluted: 1 }], ["constructor", 1], ["model.rms_norm_eps", 1]])) {
    assert.notEqual(s.set(key, value), "", key);
  }
  assert.deepEqual(s.overrides(), {});
  assert.equal(/** @type {any} */ ({}).polluted, undefined);
});

test("replace takes what fits, drops the rest and tells once", () => {
  const s = make();
  s.set("train.lr", 0.01);
  /** @type {string[][]} */
  const told = [];
  s.onChange((keys) => told.push(keys));
  s.replace([["train.steps", 50], ["model.hidden_size", "x"], ["__proto__", 1], ["device", "auto"]]);
  assert.deepEqual(s.overrides(), { "train.steps": 50 });
  assert.deepEqual(told, [["train.lr", "train.steps"]]);
  s.replace([["train.steps", 50]]);
  assert.equal(told.length, 1);
});

test("a preset keeps the data and is recognised", () => {
  const s = make();
  assert.equal(s.current(), "small");
  s.set("data.file", "/texts/a.txt");
  assert.equal(s.current(), "small");
  s.preset("mlp");
  assert.equal(s.current(), "mlp");
  assert.deepEqual(s.overrides(), { "data.file": "/texts/a.txt", "model.ttt_layer_type": "mlp", "model.ttt_base_lr": 0.1 });
  s.set("train.lr", 0.5);
  assert.equal(s.current(), "");
  s.preset("small");
  assert.deepEqual(s.overrides(), { "data.file": "/texts/a.txt" });
});

test("differences are in the page's order, unknown keys last", () => {
  const a = { "train.lr": 0.1, "model.hidden_size": 64, "zzz": 1, "sample.prompts": ["a"], "train.steps": 5 };
  const b = { "train.lr": 0.2, "model.hidden_size": 128, "sample.prompts": ["a"], "train.steps": 5 };
  assert.deepEqual(differences(a, b), [{ key: "model.hidden_size", a: 64, b: 128 }, { key: "train.lr", a: 0.1, b: 0.2 }, { key: "zzz", a: 1, b: undefined }]);
});

test("defaults follow what is set, as the trainer has them", () => {
  const s = new Settings({ ...DEFAULTS, "model.variant": "lm", "model.pre_conv": true, "model.block": "ttt", "train.fault": "" });
  const understood = (/** @type {import("../settings.js").Config} */ more) => ({ ...DEFAULTS, "model.variant": "lm", "model.pre_conv": true, "model.block": "ttt", "train.fault": "", ...s.overrides(), ...more });
  s.set("train.fault", "std-aliased");
  assert.deepEqual(s.follow(understood({ "model.variant": "video" }), s.overrides()), ["model.variant"]); // for the rail to show
  assert.equal(s.get("model.variant"), "video");
  assert.equal(s.differs("model.variant"), false); // nobody set it
  assert.deepEqual(s.overrides(), { "train.fault": "std-aliased" });
  // What somebody then sets is said, also where it is what the default was: the trainer has to see the contradiction.
  s.set("model.variant", "lm");
  assert.deepEqual(s.overrides(), { "model.variant": "lm", "train.fault": "std-aliased" });
  s.reset("model.variant");
  assert.equal(s.get("model.variant"), "video");
  // Without the fault the default is what it was.
  s.reset("train.fault");
  s.follow(understood({}), s.overrides());
  assert.equal(s.get("model.variant"), "lm");
  // A preset is recognised whatever followed before it.
  s.set("model.block", "hybrid");
  s.follow(understood({ "model.pre_conv": false }), s.overrides());
  assert.equal(s.get("model.pre_conv"), false);
  s.preset("hybrid");
  assert.equal(s.current(), "hybrid");
});
