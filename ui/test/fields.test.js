import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { BY_KEY, FAULTS, FIELDS, GROUPS, NUMERICS, PRESETS, TASKS, WRITING, check, isSound, nudge, parse, print } from "../fields.js";

const field = (/** @type {string} */ key) => {
  const f = BY_KEY.get(key);
  assert.ok(f, key);
  return f;
};

/** Keys of the trainer's configuration, from the struct tags of its source. */
const keys = () => {
  const found = new Set();
  const tags = (/** @type {string} */ file, /** @type {string} */ type) => {
    const source = readFileSync(new URL(file, import.meta.url), "utf8");
    const body = source.match(new RegExp(`^type ${type} struct \\{\\n([^}]*)^\\}`, "m"));
    assert.ok(body, `${file} has no struct ${type}`);
    return [...body[1].matchAll(/toml:"(\w+)"/g)].map((m) => m[1]);
  };
  for (const [type, table] of [["Data", "data"], ["Options", "train"], ["Sample", "sample"]]) for (const name of tags("../../train/config.go", type)) found.add(`${table}.${name}`);
  for (const name of tags("../../model/config.go", "Config")) found.add(`model.${name}`);
  return found;
};

test("every setting is one of the trainer's, and is offered once", () => {
  const known = keys();
  assert.ok(known.size > 30);
  for (const f of FIELDS) assert.ok(known.has(f.key), `the trainer has no ${f.key}`);
  const shown = [...GROUPS.flatMap((g) => g.keys), ...WRITING, ...NUMERICS, "train.fault", "data.task", "data.file"];
  assert.deepEqual([...shown].sort(), FIELDS.map((f) => f.key).sort());
});

test("the settings that act at once are those that the trainer takes during a run", () => {
  const source = readFileSync(new URL("../../wasm/session.go", import.meta.url), "utf8");
  const list = source.match(/var live = \[\]string\{([^}]*)\}/);
  assert.ok(list);
  const live = [...list[1].matchAll(/"([\w.]+)"/g)].map((m) => m[1]);
  assert.deepEqual(FIELDS.filter((f) => f.live).map((f) => f.key).sort(), live.sort());
});

test("the tasks are those that the trainer generates", () => {
  const source = readFileSync(new URL("../../data/tasks.go", import.meta.url), "utf8");
  assert.deepEqual(TASKS.map(([v]) => v), [...source.matchAll(/\{Task\{"(\w+)"/g)].map((m) => m[1]));
});

test("what is a sound, and the settings that only one of the two has", () => {
  const source = readFileSync(new URL("../../data/tasks.go", import.meta.url), "utf8");
  const rated = [...source.matchAll(/\{Task\{"(\w+)", "[^"]*", (\w+)\}/g)].filter((m) => m[2] !== "0").map((m) => m[1]);
  assert.deepEqual(TASKS.map(([v]) => v).filter((task) => isSound((k) => (k === "data.task" ? task : ""))), rated);
  for (const [file, sound] of /** @type {const} */ ([["/texts/a.wav", true], ["/x/A.WAV", true], ["/texts/a.txt", false], ["/texts/wav", false]])) {
    for (const task of ["stories", "sounds"]) {
      const get = (/** @type {string} */ k) => (k === "data.file" ? file : k === "data.task" ? task : undefined);
      assert.equal(isSound(get), sound, file);
      for (const key of ["data.sample_rate", "sample.seconds", "sample.sound_temperature"]) assert.equal(field(key).when?.({ get }), sound, key);
      for (const key of ["sample.tokens", "sample.temperature", "sample.top_k", "data.document"]) assert.equal(field(key).when?.({ get }), !sound, key);
    }
  }
});

test("the faults are those that the trainer knows", () => {
  const source = readFileSync(new URL("../../model/fault.go", import.meta.url), "utf8");
  assert.deepEqual(FAULTS, [...source.matchAll(/^\t\w+ +Fault = "([\w-]+)"/gm)].map((m) => m[1]));
});

test("every setting is explained in a sentence, and every number has a range", () => {
  for (const f of FIELDS) {
    assert.match(f.help, /^[A-Z].{10,}\.$/, f.key);
    if (f.kind === "int" || f.kind === "number") assert.ok(f.min !== undefined && f.max !== undefined && f.min < f.max && f.scale, f.key);
    if (f.kind === "choice") assert.ok(f.choices && f.choices.length > 1, f.key);
  }
});

test("presets hold what the fields take", () => {
  assert.equal(new Set(PRESETS.map((p) => p.id)).size, PRESETS.length);
  for (const p of PRESETS) {
    for (const [key, value] of [...p.values, ...(p.software ?? [])]) {
      assert.equal(check(field(key), value), "", `${p.id}: ${key}`);
      assert.ok(!key.startsWith("data."), `${p.id} changes the data`);
    }
  }
});

test("parse takes what people write and names what it cannot take", () => {
  for (const [key, text, value] of /** @type {const} */ ([
    ["model.hidden_size", "64", 64], ["model.hidden_size", " 64 ", 64], ["train.steps", "1e3", 1000], ["train.lr", "3e-4", 0.0003], ["train.lr", ".5", 0.5],
    ["train.lr", "+1", 1], ["model.use_gate", "true", true], ["model.ttt_layer_type", "mlp", "mlp"], ["data.document", " x ", " x "], ["train.seed", "9007199254740991", 9007199254740991],
  ])) {
    assert.deepEqual(parse(field(key), text), { value, error: "" }, `${key}=${text}`);
  }
  assert.deepEqual(parse(field("sample.prompts"), '["a","b"]'), { value: ["a", "b"], error: "" });
  for (const [key, text, error] of /** @type {const} */ ([
    ["model.hidden_size", "1e99", "want 2 to 4,096"], ["model.hidden_size", "1e999", "want 2 to 4,096"], ["model.hidden_size", "64.5", "want a whole number"], ["model.hidden_size", "", "want a number"],
    ["model.hidden_size", "0x40", "want a number"], ["model.hidden_size", "Infinity", "want a number"], ["model.hidden_size", "NaN", "want a number"], ["model.hidden_size", "1", "want 2 to 4,096"],
    ["train.lr", "-1", "want 0 to 10"], ["train.lr", "1,5", "want a number"], ["train.seed", "9007199254740993", "want 0 to 9,007,199,254,740,991"], ["train.seed", "-1", "want 0 to 9,007,199,254,740,991"],
    ["model.use_gate", "1", "want true or false"], ["model.ttt_layer_type", "constructor", "want linear or mlp"], ["sample.prompts", "a", "want a list of texts"], ["sample.prompts", "{}", "want a list of texts"],
    ["sample.prompts", "[1]", "want a text"], ["data.document", "a\u0000", "want no control characters"],
  ])) {
    assert.deepEqual(parse(field(key), text), { value: undefined, error }, `${key}=${text}`);
  }
});

test("print is what parse reads back", () => {
  for (const [key, value] of /** @type {const} */ ([["train.lr", 1e-7], ["train.lr", 0.1 + 0.2], ["train.seed", 9007199254740991], ["model.use_gate", false], ["data.document", "\n\n"]])) {
    assert.deepEqual(parse(field(key), print(value)), { value, error: "" });
  }
  assert.deepEqual(parse(field("sample.prompts"), print(["a\nb", "\"c\""])).value, ["a\nb", "\"c\""]);
});

test("an arrow key goes to the next sensible value and stays inside the range", () => {
  for (const [key, from, by, to] of /** @type {const} */ ([
    ["model.hidden_size", 128, 1, 256], ["model.hidden_size", 128, -1, 64], ["model.hidden_size", 4096, 1, 4096], ["model.hidden_size", 2, -1, 2], ["model.num_hidden_layers", 2, 1, 3],
    ["train.lr", 0.003, 1, 0.005], ["train.lr", 0.003, -1, 0.002], ["train.lr", 0.005, 1, 0.01], ["train.lr", 0.01, -1, 0.005], ["train.lr", 0.001, -1, 0.0005], ["train.steps", 300, 1, 500],
    ["train.steps", 1, -1, 0], ["train.steps", 0, 1, 1], ["train.lr", 10, 1, 10], ["train.min_lr_ratio", 0.1, 1, 0.15], ["train.min_lr_ratio", 0, -1, 0], ["sample.temperature", 0.8, 1, 0.9], ["train.carry_tokens", 0, 1, 1],
  ])) {
    assert.equal(nudge(field(key), from, by), to, `${key} ${from} ${by}`);
  }
});
