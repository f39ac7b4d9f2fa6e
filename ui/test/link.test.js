import assert from "node:assert/strict";
import test from "node:test";
import { FIELDS } from "../fields.js";
import { decode, encode } from "../link.js";

const all = () => true;
const plain = (/** @type {ReturnType<typeof decode>} */ d) => ({ values: Object.fromEntries(d.values), refused: d.refused, more: d.more });

test("a link has what differs, and gives it back", () => {
  const entries = /** @type {[string, import("../fields.js").Value][]} */ ([
    ["model.hidden_size", 64], ["train.lr", 0.01], ["model.use_gate", true], ["model.ttt_layer_type", "mlp"], ["data.file", "/texts/a & b=c#d.txt"], ["data.document", "\n\n"],
    ["sample.prompts", ["Once & upon=a time", "\"Where is ", "größer 🦊"]],
  ]);
  const link = encode(entries);
  assert.match(link, /^#model\.hidden_size=64&train\.lr=0\.01&model\.use_gate=true&model\.ttt_layer_type=mlp&data\.file=\/texts\//);
  assert.equal(/[\s"<>]/.test(link), false);
  assert.deepEqual(plain(decode(link, all)), { values: Object.fromEntries(entries), refused: [], more: 0 });
  assert.equal(encode([]), "");
  assert.deepEqual(plain(decode("", all)), { values: {}, refused: [], more: 0 });
  assert.deepEqual(plain(decode("#&&", all)), { values: {}, refused: [], more: 0 });
});

test("each bad entry is refused by name, and the rest applies", () => {
  const d = decode("#__proto__=1&constructor=x&toString&train.lr=0.01&model.hidden_size=1e99&train.steps=abc&model.ttt_layer_type=%E0%A4&foo.bar=2&train.seed=-1&=5&train.lr=0.02&model.use_gate=1", all);
  assert.deepEqual(Object.fromEntries(d.values), { "train.lr": 0.01 });
  assert.deepEqual(d.refused, [
    { key: "__proto__", reason: "unknown setting" }, { key: "constructor", reason: "unknown setting" }, { key: "toString", reason: "want setting=value" },
    { key: "model.hidden_size", reason: "got 1e99, want 2 to 4,096" }, { key: "train.steps", reason: "got abc, want a number" }, { key: "model.ttt_layer_type", reason: "not a percent-encoded text" },
    { key: "foo.bar", reason: "unknown setting" }, { key: "train.seed", reason: "got -1, want 0 to 9,007,199,254,740,991" }, { key: "(nothing)", reason: "unknown setting" },
    { key: "train.lr", reason: "named twice: the first counts" }, { key: "model.use_gate", reason: "got 1, want true or false" },
  ]);
  assert.equal(/** @type {any} */ ({})["1"], undefined);
  assert.equal(Object.getPrototypeOf({}), Object.prototype);
});

test("keys that the trainer has not are unknown", () => {
  assert.deepEqual(decode("#data.task=recall", (k) => k !== "data.task").refused, [{ key: "data.task", reason: "unknown setting" }]);
  assert.deepEqual(decode("#data.task=recall", all).refused, []);
});

test("a mistyped key is answered with the one that was meant", () => {
  const said = (/** @type {string} */ key, known = all) => decode(`#${key}=1`, known).refused[0].reason;
  for (const [key, want] of Object.entries({
    "train.lrr": "train.lr", "trian.lr": "train.lr", "lr": "train.lr", "model.lr": "train.lr", "Train.LR": "train.lr", "learning_rate": "train.lr", "hidden_size": "model.hidden_size", "model.hiden_size": "model.hidden_size",
    "modle.hidden-szie": "model.hidden_size", "train.batchsize": "train.batch_size", "heads": "model.num_attention_heads", "data.file_": "data.file", "train.stpes": "train.steps",
  })) assert.equal(said(key), `unknown setting: did you mean ${want}?`, key);
  for (const key of ["a", "", "nothing", "train.", ".", "__proto__", "model.constructor", "train.x".repeat(2000)]) assert.equal(said(key), "unknown setting", key);
  assert.equal(said("train.lrr", (k) => k !== "train.lr"), "unknown setting"); // what the trainer has not is not offered
});

test("a megabyte is read, and what is short in it applies", () => {
  const long = decode(`#train.lr=0.01&data.document=${"x".repeat(1 << 20)}`, all);
  assert.deepEqual(Object.fromEntries(long.values), { "train.lr": 0.01 });
  assert.match(long.refused[0].reason, /^1048\d+ characters, want at most 16384$/);
  const many = decode(`#${"a=1&".repeat(1 << 18)}train.steps=7`, all);
  assert.deepEqual(Object.fromEntries(many.values), { "train.steps": 7 });
  assert.equal(many.refused.length + many.more, 1 << 18);
  assert.ok(many.refused.length <= 12);
  const key = decode(`#${"k".repeat(10000)}=1`, all);
  assert.ok(key.refused[0].key.length <= 41);
});

test("text that would mislead is shown harmless", () => {
  const { refused } = decode(`#${encodeURIComponent("x")}\u202etxt=1&train.steps=${encodeURIComponent("\u202e\u0007<img>")}`, all);
  assert.deepEqual(refused, [{ key: "x·txt", reason: "unknown setting" }, { key: "train.steps", reason: "got ··<img>, want a number" }]);
});

test("a file is a text of this browser and nothing else", () => {
  for (const path of ["/etc/passwd", "/runs/a/config.toml", "/texts/../runs/x", "/texts/a\\..\\b", "relative.txt", "/texts/"]) {
    const d = decode(`#data.file=${encodeURIComponent(path)}`, all);
    assert.equal(d.values.size, 0, path);
    assert.equal(d.refused[0].key, "data.file", path);
  }
  assert.equal(decode("#data.file=/texts/book.txt", all).values.get("data.file"), "/texts/book.txt");
  assert.equal(decode("#data.file=", all).values.get("data.file"), "");
});

test("any value that a field takes survives the link", () => {
  for (const f of FIELDS) {
    /** @type {import("../fields.js").Value[]} */
    const values = f.kind === "switch" ? [true, false] : f.kind === "choice" ? (f.choices ?? []).map(([v]) => v) : f.kind === "lines" ? [[], ["&=#%", "é"]] : f.kind === "text" ? ["", f.key === "data.file" ? "/texts/%41.txt" : "<|end|> %41+"] : [f.min ?? 0, f.max ?? 1];
    for (const v of values) assert.deepEqual(decode(encode([[f.key, v]]), all).values.get(f.key), v, f.key);
  }
});
