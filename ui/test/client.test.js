// The page's end: what it sends is what the schema says, and what it gets may be anything.
import assert from "node:assert/strict";
import test from "node:test";
import Ajv from "ajv/dist/2020.js";
import { Client, RequestError } from "../client.js";
import { schema } from "./types.mjs";

const ajv = new Ajv({ strict: true, strictRequired: false, allowUnionTypes: true });
const validate = ajv.compile(schema);
const valid = (message) => assert.ok(validate(message), `${JSON.stringify(message)}: ${ajv.errorsText(validate.errors)}`);

/** FakeWorker keeps what it was sent, as a worker gets it. */
class FakeWorker {
  sent = [];
  ended = false;
  postMessage(m) { this.sent.push(structuredClone(m)); }
  terminate() { this.ended = true; }
  say(m) { this.onmessage({ data: structuredClone(m) }); }
}

function setup() {
  const workers = [];
  const events = [];
  const client = new Client({
    url: "worker.js",
    onEvent: (name, data) => events.push([name, data]),
    create: () => {
      workers.push(new FakeWorker());
      return workers.at(-1);
    },
  });
  return { client, workers, events, worker: () => workers.at(-1) };
}

const failure = { code: "config", message: "lr is -1", key: "train.lr", step: 3, checkpoint: 2 };
const run = {
  id: "run-1", name: "Run", created: "2025-01-01T00:00:00Z", step: 1, steps: 2, loss: 5.5, valLoss: null, parameters: 3, bytes: 4,
  config: { "train.lr": 1e-3, "sample.prompts": ["a"], "train.carry_state": true, "data.file": "" }, open: true, reached: 1, changes: [{ step: 1, key: "train.lr", from: 0.003, to: 0.001 }], problem: "",
};
const device = { name: "GPU", backend: "webgpu", software: false, asked: "auto", problem: "", message: "" };

/** requests has each method with what it takes. */
const requests = {
  hello: { device: "auto" }, describe: { config: { "train.lr": 0.1 } }, start: { config: {}, name: "", paused: false, weights: "" },
  open: { run: "run-1", paused: true, text: "", otherText: false }, pause: {}, resume: {}, step: {}, stop: {}, save: {}, runs: {}, cancel: {}, diagnose: {},
  set: { key: "sample.prompts", value: ["a", "b"] }, metrics: { run: "run-1" }, norms: { run: "run-1" }, download: { run: "run-1" }, delete: { run: "run-1" },
  rename: { run: "run-1", name: "x" }, generate: { text: "a", tokens: 3, temperature: 0.5, topK: 0, seed: 1 },
};

/** events has each event with what it tells, columns as JSON writes them. */
const events = {
  preparing: { what: "kernels", done: 7, total: 80 },
  state: { state: "running", run, error: null }, steps: { run: "run-1", seconds: 0.5, left: 2, rows: [{ step: 1, loss: 5, gradNorm: 1, lr: 0.1, tokens: 10 }] },
  eval: { run: "run-1", step: 1, loss: 5, bitsPerByte: 7, tokens: 10, seconds: 0.1 }, saved: { run: "run-1", step: 1, seconds: 0.1 },
  sample: { run: "run-1", step: 1, prompt: "a", text: "b" },
  inner: { run: "run-1", step: 1, layers: 1, heads: 1, miniBatches: 1, miniBatchSize: 4, start: [1], before: [1], after: [1], drift: [1] },
  norms: {
    run: "run-1", step: 1, layers: [3], heads: 1, eps: 1e-5, bound: 2, stdMin: [0.1], stdMean: [0.2], highGain: [0], maxZ: [1.5], gain: [10], xvMin: [-1], xvMax: [1], xkMin: [-1], xkMax: [1], outMin: [-2],
    outMax: [2], keyMin: [1], keyMax: [1], nonFinite: [0],
  },
  token: { request: 1, tokens: [{ byte: 65, p: 0.5, top: [{ byte: 65, p: 0.5 }] }] }, memory: { wasm: 1, gpu: 2 }, device, notice: failure,
};

test("what each method sends is what the schema says", async () => {
  const { client, worker } = setup();
  const named = new Set();
  for (const d of Object.values(schema.$defs)) {
    const m = d.properties?.method;
    for (const name of m ? m.enum ?? [m.const] : []) named.add(name);
  }
  named.delete("import"); // which the worker makes of files: see the next test
  assert.deepEqual(Object.keys(requests).sort(), [...named].sort());
  for (const [method, params] of Object.entries(requests)) {
    void client.request(method, params);
    valid(worker().sent.at(-1));
  }
  assert.deepEqual(worker().sent.map((m) => m.id), Object.keys(requests).map((_, i) => i + 1));
  assert.ok(!validate({ id: 1, method: "hello", params: {} }) && !validate({ id: 0, method: "runs", params: {} })); // that the schema refuses at all
});

test("the samples of events are what the schema says, and reach who listens", () => {
  const { client, worker, events: seen } = setup();
  const named = Object.values(schema.$defs).map((d) => d.properties?.event?.const).filter(Boolean);
  assert.deepEqual(Object.keys(events).sort(), named.sort());
  for (const [event, data] of Object.entries(events)) {
    valid({ event, data });
    const got = [];
    const off = client.on(event, (d) => got.push(d));
    worker().say({ event, data });
    off();
    worker().say({ event, data });
    assert.deepEqual(got, [data]);
  }
  assert.equal(seen.length, 2 * named.length);
});

test("files go with their folders", async () => {
  const { client, worker } = setup();
  const inFolder = new File(["x"], "config.toml");
  Object.defineProperty(inFolder, "webkitRelativePath", { value: "run/config.toml" });
  const sent = [];
  worker().postMessage = (m) => sent.push(m);
  void client.request("import", { files: [inFolder, new File(["m"], "model.safetensors")], name: "run" });
  void client.request("text", { file: new Blob(["abc"]), name: "a.txt" });
  assert.deepEqual(sent[0].params.files.map((f) => f.path), ["run/config.toml", "model.safetensors"]);
  assert.ok(sent[0].params.files.every((f) => f.file instanceof Blob));
  assert.equal(sent[0].params.name, "run");
  assert.equal(sent[1].params.name, "a.txt");
});

test("answers and refusals find their requests", async () => {
  const { client, worker } = setup();
  const [a, b, c] = [client.request("runs", {}), client.request("describe", { config: {} }), client.request("save", {})];
  worker().say({ id: 3, result: {} });
  worker().say({ id: 2, error: failure });
  worker().say({ id: 1, result: { runs: [run] } });
  worker().say({ id: 1, result: { runs: [] } }); // said twice
  assert.deepEqual(await a, { runs: [run] });
  await assert.rejects(b, (e) => {
    assert.ok(e instanceof RequestError && e instanceof Error);
    assert.deepEqual({ code: e.code, message: e.message, key: e.key, step: e.step, checkpoint: e.checkpoint }, failure);
    return true;
  });
  assert.deepEqual(await c, {});
  assert.equal(client.pending.size, 0);
});

test("a signal ends the waiting, and text that is being generated", async () => {
  const { client, worker } = setup();
  const stop = new AbortController();
  const [text, runs] = [client.request("generate", requests.generate, { signal: stop.signal }), client.request("runs", {}, { signal: stop.signal })];
  stop.abort();
  await assert.rejects(text, { name: "AbortError" });
  await assert.rejects(runs, { name: "AbortError" });
  assert.deepEqual(worker().sent.map((m) => m.method), ["generate", "runs", "cancel"]);
  worker().say({ id: 1, result: {} });
  await assert.rejects(client.request("runs", {}, { signal: stop.signal }), { name: "AbortError" });
  assert.equal(worker().sent.length, 3);
  const done = new AbortController();
  const answered = client.request("generate", requests.generate, { signal: done.signal });
  worker().say({ id: client.nextID - 1, result: { tokens: 1 } });
  await answered;
  done.abort();
  assert.equal(worker().sent.at(-1).method, "generate"); // nothing is cancelled any more
});

test("restart refuses what was asked, and what the old worker says is not heard", async () => {
  const { client, workers, events: seen } = setup();
  const asked = client.request("runs", {});
  client.restart();
  await assert.rejects(asked, { code: "internal", message: "the worker was restarted" });
  assert.equal(workers.length, 2);
  assert.ok(workers[0].ended && !workers[1].ended);
  const again = client.request("runs", {});
  workers[0].say({ id: 2, result: { runs: ["old"] } });
  workers[0].say({ event: "exit", data: { code: 2, output: "" } });
  workers[1].say({ id: 2, result: { runs: [] } });
  assert.deepEqual(await again, { runs: [] });
  assert.deepEqual(seen, []);
  client.dispose();
  assert.ok(workers[1].ended);
  await assert.rejects(client.request("runs", {}), { code: "internal" });
});

test("the program's end is told once, and begins anew with restart", async () => {
  const { client, worker, workers } = setup();
  const crashes = [];
  client.on("crash", (d) => crashes.push(d));
  const asked = client.request("runs", {});
  worker().say({ event: "exit", data: { code: 2, output: "log\npanic: boom\n\ngoroutine 1 [running]:\n" } });
  await assert.rejects(asked, { code: "internal", message: "the trainer ended with code 2: panic: boom" });
  await assert.rejects(client.request("runs", {}), { message: "the trainer ended with code 2: panic: boom" });
  assert.equal(crashes.length, 1);
  assert.equal(crashes[0].output, "log\npanic: boom\n\ngoroutine 1 [running]:\n");
  const { output, ...told } = crashes[0];
  assert.ok(ajv.validate({ $ref: "innerloop/messages#/$defs/Failure" }, told));
  client.restart();
  const again = client.request("runs", {});
  worker().say({ id: 2, result: { runs: [] } });
  await again;
  assert.equal(workers.length, 2);
});

test("a worker that cannot be loaded, or that fails", async () => {
  for (const [happens, why] of [
    [(w) => w.onerror({ preventDefault() {}, message: "" }), /worker\.js could not be loaded/],
    [(w) => w.onerror({ preventDefault() {}, message: "Uncaught TypeError: x" }), /Uncaught TypeError: x/],
    [(w) => w.onmessageerror({}), /could not be read/],
  ]) {
    const { client, worker } = setup();
    let crashed;
    client.on("crash", (d) => { crashed = d; });
    const asked = client.request("runs", {});
    happens(worker());
    await assert.rejects(asked, (e) => why.test(e.message) && e.code === "internal");
    assert.match(crashed.message, why);
  }
});

test("the program's coming is told", () => {
  const { client, worker } = setup();
  const got = [];
  client.on("progress", (d) => got.push(d));
  worker().say({ event: "loading", data: { loaded: 1, total: 2 } });
  assert.deepEqual(got, [{ loaded: 1, total: 2 }]);
});

test("messages of any kind do no harm", async () => {
  const { client, worker, events: seen } = setup();
  const asked = client.request("runs", {});
  const said = [null, undefined, 1, "x", [], {}, { id: "1" }, { id: 99, result: {} }, { id: null, result: {} }, { id: -1, error: failure }, { id: 2 ** 53, result: {} }, { event: 7 }, { event: "__proto__", data: { polluted: 1 } }, { event: "constructor" }, { event: "nope", data: null }, { event: "steps" }, { event: "", data: {} }];
  for (const m of said) worker().say(m);
  assert.equal({}.polluted, undefined);
  assert.equal(client.pending.size, 1);
  assert.deepEqual(seen.map(([name]) => name), ["__proto__", "constructor", "nope", "steps", ""]);
  worker().say({ id: 1, result: { runs: [] } });
  assert.deepEqual(await asked, { runs: [] });
  for (const reply of [{}, { error: null }, { error: "text" }, { error: {} }, { result: undefined }, { error: { code: "data" } }]) {
    const p = client.request("runs", {});
    worker().say({ id: client.nextID - 1, ...reply });
    await assert.rejects(p, (e) => e instanceof RequestError && typeof e.message === "string" && e.message !== "");
  }
  worker().say({ event: "exit" }); // with nothing
  await assert.rejects(client.request("runs", {}), /ended with code -1/);
});

test("a listener that throws leaves the others theirs", (t) => {
  const reported = [];
  globalThis.reportError = (e) => reported.push(e.message);
  t.after(() => delete globalThis.reportError);
  const { client, worker, events: seen } = setup();
  let got = 0;
  client.on("memory", () => { throw new Error("page's bug"); });
  client.on("memory", () => got++);
  worker().say({ event: "memory", data: { wasm: 1, gpu: 2 } });
  assert.deepEqual([got, seen.length, reported], [1, 1, ["page's bug"]]);
});
