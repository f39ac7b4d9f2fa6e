// @ts-check
// A trainer that is made up, for work on the page's looks: it speaks the protocol and learns nothing.
import { FAULTS } from "../fields.js";

/**
 * @typedef {import("../messages.d.ts").Failure} Failure
 * @typedef {import("../messages.d.ts").Run} Run
 * @typedef {import("../messages.d.ts").Config} Config
 */

/** @type {Config} */
const DEFAULTS = {
  "device": "auto", "model.vocab_size": 256, "model.hidden_size": 128, "model.intermediate_size": 344, "model.num_hidden_layers": 2, "model.num_attention_heads": 4,
  "model.ttt_layer_type": "linear", "model.ttt_base_lr": 1, "model.mini_batch_size": 16, "model.use_gate": false, "model.share_qk": false, "model.pre_conv": true,
  "model.conv_kernel": 4, "model.tie_word_embeddings": true, "data.task": "stories", "data.file": "", "data.val_fraction": 0.02, "data.document": "", "data.story_bytes": 1048576,
  "train.steps": 1000, "train.batch_size": 8, "train.seq_len": 256, "train.micro_batches": 1, "train.lr": 0.003, "train.warmup_steps": 30, "train.min_lr_ratio": 0.1,
  "train.beta1": 0.9, "train.beta2": 0.95, "train.weight_decay": 0.1, "train.clip": 1, "train.seed": 1, "train.eval_every": 50, "train.carry_state": false,
  "train.carry_tokens": 0, "train.precision": "f32", "train.scan_checkpoint_every": 1,
  "model.block": "ttt", "model.layers": "all", "model.variant": "lm", "model.target_eps": 1e-5, "model.gate_init": 0.1, "model.attention_window": 0, "model.max_position_embeddings": 2048, "train.fault": "", "sample.prompts": ["Once upon a time"], "sample.tokens": 120, "sample.temperature": 0.5, "sample.top_k": 40,
};

const STORY = " there was a little fox named Mira. Mira loved to count the lamps by the river, café after café. One day she lost the small key of her grandmother's box, and she looked for it under the bridge, behind the mill and in the tall grass. \"Where is my key?\" asked Mira. \"It is in your pocket,\" said the owl.\nMira laughed. ";

const wait = (/** @type {number} */ ms) => new Promise((f) => setTimeout(f, ms));
const random = (() => {
  let s = 7;
  return () => ((s = (s * 16807) % 2147483647) - 1) / 2147483646;
})();

/** Made-up losses: falling, with noise. @param {number} step @param {number} [floor] */
const lossAt = (step, floor = 1.25) => floor + (5.6 - floor) * Math.exp(-step / 28) * 0.6 + (5.6 - floor) * 0.4 * Math.exp(-step / 190) + (random() - 0.5) * 0.12;

/** A client without a worker. What happens is set by the page's address: ?state=running&at=140. */
export class FakeClient {
  /** @type {Map<string, Set<(d: any) => void>>} */ #on = new Map();
  /** @type {Run[]} */ runs = [];
  /** @type {Run | null} */ run = null;
  state = "idle";
  timer = 0;
  cancelled = false;
  query = new URLSearchParams(location.search);
  tokens = 0;

  /** @param {string} event @param {(data: any) => void} fn */
  on(event, fn) {
    this.#on.set(event, (this.#on.get(event) ?? new Set()).add(fn));
  }

  /** @param {string} event @param {any} data */
  emit(event, data) {
    for (const fn of this.#on.get(event) ?? []) fn(structuredClone(data));
  }

  restart() {}

  /** @param {string} method @param {any} params @returns {Promise<any>} */
  async request(method, params) {
    await wait(20);
    const fn = /** @type {any} */ (this)[`do_${method}`];
    if (!fn) throw this.error("usage", `unknown method ${method}`);
    return structuredClone(await fn.call(this, params));
  }

  /** @param {string} code @param {string} message @param {Partial<Failure>} [more] */
  error(code, message, more = {}) {
    return Object.assign(new Error(message), { code, key: "", step: 0, checkpoint: -1, ...more });
  }

  async do_hello() {
    for (let i = 1; i <= 10; i++) {
      this.emit("progress", { loaded: i * 140_000, total: 1_400_000 });
      if (this.query.get("state") === "loading" && i === 6) await wait(1e9);
    }
    const no = this.query.get("state") === "no-gpu";
    if (this.query.get("state") === "broken") throw this.error("internal", "the trainer's program could not be loaded: innerloop.wasm: 404 Not Found");
    for (let i = 0; i < Number(this.query.get("kept") ?? 3); i++) {
      /** @type {Config} */
      const config = { ...DEFAULTS, .../** @type {Config[]} */ ([{ "model.ttt_layer_type": "mlp", "model.ttt_base_lr": 0.1 }, { "model.hidden_size": 64, "model.intermediate_size": 172, "train.lr": 0.005, "train.steps": 300 }, { "train.lr": 0.01, "data.file": "/texts/emma.txt" }])[i % 3] };
      this.runs.push({ id: `run-${i}`, name: ["patient otter", "bright harbour", "quiet meadow"][i % 3], created: new Date(Date.now() - (i + 1) * 5.2e6).toISOString(), step: Number(config["train.steps"]), steps: Number(config["train.steps"]), loss: 1.31 + i / 9, valLoss: 1.42 + i / 8, parameters: 361_000, bytes: 4_400_000, config, open: false, problem: "" });
    }
    if (["kept", "needs-text"].includes(this.query.get("state") ?? "")) Object.assign(this.runs[0], { step: 412, loss: 1.53, valLoss: 1.6 });
    if (this.query.has("state")) setTimeout(() => this.play(/** @type {string} */ (this.query.get("state"))), 150);
    return {
      version: "devel", defaults: DEFAULTS, faults: FAULTS.map((name, i) => ({ name, about: "the normaliser divides by the difference itself in place of its standard deviation".slice(0, 40 + 5 * i), video: i < 9 })),
      device: no ? { name: "pure Go", backend: "go", software: true, problem: "no-webgpu", message: "" } : { name: this.query.get("gpu") ?? "SwiftShader Device (LLVM 10.0.0)", backend: "webgpu", software: !this.query.has("gpu"), problem: "", message: "" },
      storage: { kind: this.query.get("state") === "memory" ? "memory" : "opfs", problem: this.query.get("state") === "memory" ? "SecurityError" : "" },
    };
  }

  /** @param {string} state */
  async play(state) {
    const at = Number(this.query.get("at") ?? 300);
    if (["running", "paused", "finished", "failed", "lost"].includes(state)) {
      await this.do_start({ config: this.query.has("video") ? { "model.variant": "video", "model.block": "hybrid", "model.pre_conv": false } : {}, name: "", paused: true });
      this.quick(state === "finished" ? 1000 : at);
      if (state === "running" || state === "lost") await this.do_resume();
      if (state === "paused") this.enter("paused");
      if (state === "finished") this.enter("finished");
      if (state === "failed") this.enter("failed", { code: this.query.get("code") ?? "non-finite", message: this.query.get("message") ?? "train: step 301: loss NaN, gradient norm NaN: not finite; the step's update was not made. Try a lower train.lr or model.ttt_base_lr, or a longer warm-up", key: "", step: 301, checkpoint: 280 });
      if (state === "lost") this.emit("notice", { code: "lost", message: "device lost: a valid external Instance reference no longer exists. The run goes on from the checkpoint of step 280 on a new device", key: "", step: 301, checkpoint: 280 });
    }
  }

  /** quick makes many steps at once. @param {number} n */
  quick(n) {
    const run = /** @type {Run} */ (this.run);
    const rows = [];
    for (let i = 0; i < n; i++) rows.push(this.row());
    this.emit("steps", { run: run.id, seconds: n * 0.21, rows });
    for (let s = 5; s <= n; s += 5) this.norms(s);
    for (let s = 50; s <= run.step; s += 50) this.emit("eval", { run: run.id, step: s, loss: lossAt(s) + 0.08, bitsPerByte: 2, tokens: 20000, seconds: 0.5 });
    this.more();
    for (const s of [n / 4, n / 2, (3 * n) / 4, n].map(Math.round)) this.sample(s);
  }

  row() {
    const run = /** @type {Run} */ (this.run);
    run.step++;
    this.tokens += 2048;
    run.loss = lossAt(run.step, run.config["model.ttt_layer_type"] === "mlp" ? 1.15 : 1.25);
    return { step: run.step, loss: run.loss, gradNorm: 0.4 + 2 * Math.exp(-run.step / 20) + random() * 0.2, lr: 0.003 * Math.min(1, run.step / 30) * (0.55 + 0.45 * Math.cos((Math.PI * run.step) / run.steps)), tokens: this.tokens };
  }

  /** @param {number} step */
  sample(step) {
    const run = /** @type {Run} */ (this.run);
    const noise = Math.max(0, 1 - step / 250);
    const text = [...STORY.slice(0, 120)].map((c) => (random() < noise * 0.8 ? String.fromCharCode(97 + Math.floor(random() * 26)) : c)).join("");
    this.emit("sample", { run: run.id, step, prompt: "Once upon a time", text });
  }

  /** @param {number} step */
  norms(step) {
    const run = /** @type {Run} */ (this.run);
    const c = run.config;
    if (c["model.variant"] !== "video") return;
    const [l, n] = [Number(this.query.get("layers") ?? 2), Number(this.query.get("heads") ?? 4)];
    const eps = Number(c["model.target_eps"]);
    const wild = c["train.fault"] === "std-aliased" ? 1e5 : 1;
    const raw = c["train.fault"] === "raw-keys" ? 3 : 1;
    const flat = (/** @type {(i: number) => number} */ f) => Float64Array.from({ length: l * n }, (_, i) => f(i));
    const std = flat((i) => 0.02 * (1 + (i % n)) * (0.6 + 0.4 * random()) * (1 + Math.exp(-step / 60)));
    this.emit("norms", {
      run: run.id, step, layers: Array.from({ length: l }, (_, i) => i), heads: n, eps, bound: 5.48, stdMin: std, stdMean: std.map((s) => 3 * s), highGain: std.map((s) => (s + eps < 0.01 ? 0.2 : 0)),
      maxZ: flat(() => (3 + 1.5 * random()) * wild), gain: std.map((s) => 1 / (s + eps)), xvMin: flat(() => -1 - random()), xvMax: flat(() => 1 + random()), xkMin: flat(() => -0.6 * raw), xkMax: flat(() => 0.7 * raw),
      outMin: flat(() => -4 * wild), outMax: flat(() => 4.2 * wild), keyMin: flat(() => 1 * raw - 1e-7), keyMax: flat(() => raw + 1e-7), nonFinite: flat(() => 0),
    });
  }

  async do_diagnose() {
    await wait(400);
    const run = /** @type {Run} */ (this.run);
    const bad = run.config["train.fault"] !== "";
    const measure = "layer 0: |z| reaches 45123.2, bound 5.48; layer 1: the std in use is off by 3.2e+04 of the inputs' own; layer 0: the exit differs from weight*z + bias + XK by 1.2e-07; it computes (d - mean) / (d + eps)";
    const mend = "Look at what the normaliser divides by: the standard deviation of the very difference whose mean it takes off. Raising eps hides the fault and keeps the error.";
    const hypotheses = [["H5", "the normaliser is inconsistent: mean, std and difference do not belong together", "inconsistent-normaliser"], ["K", "keys are not L2-normalised", "keys-not-normalised"], ["H4", "the statistics are made in half precision", "half-precision"], ["O", "the variance is made in one pass", "one-pass-variance"], ["C", "a clamp or a maximum stands in for eps", "eps-not-added"], ["F", "a token sees those after it", "future-leak"], ["H2", "the norm's weight or bias is far from 1 and 0", "norm-parameters"], ["H1", "the standard deviation is nearly 0 in many rows, and eps does not make up for it", "small-std"]]
      .map(([id, text, cause], i) => ({ id, text, cause, verdict: bad && i === 0 ? "supported" : i === 4 ? "undecidable" : "refuted", measurement: measure, ...(bad && i === 0 ? { mend } : {}) }));
    const video = run.config["model.variant"] === "video";
    const two = (/** @type {number} */ x) => Float64Array.of(x, x * 1.2);
    return {
      cause: bad ? "inconsistent-normaliser" : "healthy", summary: bad ? `${measure}. ${mend}` : "the invariants hold and no hypothesis is supported", step: run.step, eps: run.config["model.target_eps"], bound: video ? 5.48 : 0, hypotheses: video ? hypotheses : hypotheses.slice(5, 7), layers: video ? [0, 1] : [],
      ...(video ? { xvMin: two(-1.2), xvMax: two(1.3), xkMin: two(-0.6), xkMax: two(0.7), outMin: two(bad ? -2.7e7 : -3), outMax: two(bad ? 8e5 : 3.2), stdMin: two(0.02), highGain: two(0), maxZ: two(bad ? 4.5e4 : 3.2), keyMin: Float64Array.of(1, 1), keyMax: Float64Array.of(1, 1), gain: two(40), nonFinite: two(0) } : {}),
    };
  }

  more() {
    const run = /** @type {Run} */ (this.run);
    const [layers, heads, n] = [2, 4, 16];
    const flat = (/** @type {(l: number, h: number, t: number) => number} */ f) => Float64Array.from({ length: layers * heads * n }, (_, i) => f(Math.floor(i / heads / n), Math.floor(i / n) % heads, i % n));
    const learned = Math.min(1, run.step / 300);
    this.emit("inner", {
      run: run.id, step: run.step, layers, heads, miniBatches: n, miniBatchSize: 16,
      start: flat((l, h) => 1.1 - 0.3 * learned + 0.1 * h + 0.2 * l + 0.02 * random()), before: flat((l, h, t) => 1.1 - 0.3 * learned + 0.1 * h + 0.2 * l - learned * 0.3 * (1 - Math.exp(-t / 4)) + 0.02 * random()),
      after: flat((l, h, t) => 1.02 - 0.3 * learned + 0.1 * h + 0.2 * l - learned * 0.32 * (1 - Math.exp(-t / 4)) + 0.02 * random()), drift: flat((l, h, t) => 0.02 * (h + 1) * Math.sqrt(t) * (1 + l)),
    });
    this.emit("memory", { wasm: 21_300_000, gpu: 47_800_000 });
  }

  /** @param {string} state @param {any} [error] */
  enter(state, error = null) {
    this.state = state;
    clearInterval(this.timer);
    if (state === "running") this.timer = /** @type {any} */ (setInterval(() => this.tick(), 210));
    if (this.run) this.run.open = state !== "idle";
    this.emit("state", { state, run: this.run, error });
    if (state === "idle") this.run = null;
  }

  tick(steps = Number(this.query.get("speed") ?? 2)) {
    const run = /** @type {Run} */ (this.run);
    const rows = [];
    for (let i = 0; i < steps && run.step < run.steps; i++) rows.push(this.row());
    this.emit("steps", { run: run.id, seconds: 0.21, rows });
    this.norms(run.step);
    if (run.step % 50 < steps) this.emit("eval", { run: run.id, step: run.step, loss: lossAt(run.step) + 0.08, bitsPerByte: 2, tokens: 20000, seconds: 0.5 });
    if (run.step % 30 < steps) {
      this.more();
      this.sample(run.step);
      this.emit("saved", { run: run.id, step: run.step, seconds: 0.02 });
    }
    if (run.step >= run.steps) this.enter("finished");
  }

  /** @param {any} p */
  do_describe({ config }) {
    const c = { ...DEFAULTS, ...config };
    const [w, l, h] = [c["model.hidden_size"], c["model.num_hidden_layers"], c["model.num_attention_heads"]];
    const bad = w % h !== 0 ? { code: "config", message: `model: hidden_size ${w}, want a multiple of num_attention_heads ${h}`, key: "model.hidden_size", step: 0, checkpoint: -1 } : null;
    const n = 256 * w + l * (4 * w * w + (w * w) / h + 3 * w * c["model.intermediate_size"]);
    const tokens = c["train.batch_size"] * c["train.seq_len"] * c["train.micro_batches"];
    return bad ? { config: c, parameters: 0, bytes: 0, dispatches: 0, flops: 0, tokens: 0, seconds: 0, problem: bad } : { config: c, parameters: n, bytes: 16 * n + tokens * w * l * 90, dispatches: 200, flops: 6 * n * tokens, tokens, seconds: (6 * n * tokens) / 2e10, problem: null };
  }

  /** @param {any} p */
  async do_start({ config, paused }) {
    if (this.run) this.enter("idle");
    const c = { ...DEFAULTS, ...config };
    this.run = { id: `run-${Date.now()}`, name: "clever lantern", created: new Date().toISOString(), step: 0, steps: c["train.steps"], loss: null, valLoss: null, parameters: 361_000, bytes: 0, config: c, open: true, problem: "" };
    this.runs.unshift(this.run);
    this.tokens = 0;
    this.emit("state", { state: "loading", run: this.run, error: null });
    await wait(this.query.has("state") ? 10 : 500);
    this.enter(paused ? "paused" : "running");
    return { run: this.run };
  }

  /** @param {any} p */
  async do_open({ run, paused, text, otherText }) {
    if (this.query.get("state") === "needs-text" && !otherText) throw this.error("needs-text", text ? "the text is not the one that the run was trained on: SHA-256 differs" : "the run reads emma.txt, which is not in this browser: add the text to go on", { key: "data.file", checkpoint: 412 });
    if (this.run) this.enter("idle");
    this.run = this.runs.find((r) => r.id === run) ?? null;
    this.emit("state", { state: "loading", run: this.run, error: null });
    await wait(300);
    this.enter(paused ? (this.run && this.run.step >= this.run.steps ? "finished" : "paused") : "running");
    return { run: this.run };
  }
  do_pause() { this.enter("paused"); return {}; }
  do_resume() { this.enter("running"); return {}; }
  do_step() { this.enter("running"); clearInterval(this.timer); this.tick(1); this.enter("paused"); return {}; }
  do_stop() { this.enter("idle"); return {}; }
  do_save() { return {}; }
  do_runs() { return { runs: this.runs }; }
  /** @param {any} p */
  do_set({ key, value }) {
    if (!this.run) throw this.error("usage", "set: no run is open");
    this.run.config[key] = value;
    if (key === "train.steps") this.run.steps = value;
    if (this.state === "finished" && this.run.step < this.run.steps) this.enter("paused");
    return {};
  }
  /** @param {any} p */
  do_metrics({ run }) {
    const r = /** @type {Run} */ (this.runs.find((x) => x.id === run));
    const step = Float64Array.from({ length: r.step }, (_, i) => i + 1);
    const valStep = step.filter((s) => s % 50 === 0);
    return { run, step, loss: step.map((s) => lossAt(s, 1.4)), gradNorm: step.map((s) => 0.4 + 2 * Math.exp(-s / 20) + random() * 0.2), lr: step.map((s) => 0.003 * Math.min(1, s / 30)), tokensPerSecond: step.map(() => 9500 + 800 * random()), valStep, valLoss: valStep.map((s) => lossAt(s, 1.5)) };
  }
  do_download() { return { name: "clever-lantern", blob: new Blob(["zip"]) }; }
  /** @param {any} p */
  do_delete({ run }) {
    if (this.run?.id === run) this.enter("idle");
    this.runs = this.runs.filter((r) => r.id !== run);
    return {};
  }
  /** @param {any} p */
  do_rename({ run, name }) {
    for (const r of this.runs) if (r.id === run) r.name = name;
    return {};
  }
  /** @param {any} p */
  do_import({ name }) {
    this.runs.unshift({ ...this.runs[0], id: `import-${Date.now()}`, name, step: 40, steps: 1000 });
    return { run: this.runs[0] };
  }
  /** @param {any} p */
  async do_text({ file, name }) {
    const head = new Uint8Array(await file.slice(0, 4096).arrayBuffer());
    if (head.includes(0)) throw this.error("data", `${name}: a binary file, not text: byte 0 at ${head.indexOf(0)}`);
    return { path: `/texts/${name}`, bytes: file.size, kind: "text" };
  }
  do_usage() { return { bytes: 13_400_000 + this.runs.length * 4_400_000, quota: 61e9 }; }
  do_cancel() { this.cancelled = true; return {}; }
  /** @param {any} p */
  async do_generate({ text, tokens }) {
    this.cancelled = false;
    const bytes = new TextEncoder().encode(STORY);
    let i = 0;
    for (; i < tokens && !this.cancelled; i++) {
      await wait(8);
      const byte = bytes[i % bytes.length];
      const p = random() ** 0.4;
      const rest = [101, 97, 32, 111, 116, 105, 10].filter((b) => b !== byte).slice(0, 4);
      this.emit("token", { request: 1, tokens: [{ byte, p, top: [{ byte, p }, ...rest.map((b, j) => ({ byte: b, p: (1 - p) * 0.5 ** (j + 1) }))].sort((a, b) => b.p - a.p) }] });
    }
    const kept = Math.max(0, text.length - 12);
    return { tokens: i, read: text.length - kept, kept, step: this.run?.step ?? 0, seconds: i * 0.009, cancelled: this.cancelled };
  }
}
