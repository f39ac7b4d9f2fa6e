// @ts-check
// The settings that the page offers: what they are called, what they mean and what they may be. Their defaults come from
// the trainer. Ranges are what the page takes from a person or a link; the trainer has the last word (describe).

/**
 * @typedef {number | boolean | string | string[]} Value
 * @typedef {object} Field
 * @property {string} key
 * @property {"int" | "number" | "switch" | "choice" | "text" | "lines"} kind
 * @property {string} label
 * @property {string} help one sentence
 * @property {string} [formula]
 * @property {string} [unit]
 * @property {number} [min]
 * @property {number} [max]
 * @property {"add" | "double" | "1-2-5"} [scale] what an arrow key does
 * @property {number} [step] what it adds
 * @property {[value: string, label: string][]} [choices]
 * @property {boolean} [live] acts on the open run at once
 * @property {[from: number, to: number]} [slider] a logarithmic slider below the number
 * @property {(settings: { get(key: string): Value | undefined }) => boolean} [when] shown only then
 *
 * @typedef {object} Group
 * @property {string} id
 * @property {string} title
 * @property {string[]} keys
 */

/** The generated tasks of data.task. @type {[value: string, label: string, noun: string][]} */
export const TASKS = [
  ["stories", "Stories (generated)", "generated stories"],
  ["recall", "Recall: what did the key stand for?", "a recall task"],
  ["copy", "Copy: say it again", "a copying task"],
  ["sums", "Sums: add two numbers", "sums"],
  ["sounds", "Sounds (generated)", "generated sounds"],
];

/**
 * isSound says whether what is read is a sound: the generated one, or a WAV file, which the worker keeps as .wav.
 * @param {(key: string) => unknown} get of settings, or of a run's configuration
 */
export const isSound = (get) => (get("data.file") ? /\.wav$/i.test(String(get("data.file"))) : get("data.task") === "sounds");

/** The faults of train.fault. What each is about comes from the trainer. */
export const FAULTS = ["std-aliased", "std-clamped", "std-maximum", "one-pass", "half-stats", "bfloat-stats", "raw-keys", "near-keys", "stale-eps", "norm-weights", "norm-biases", "future-leak"];

const hybrid = (/** @type {{ get(key: string): Value | undefined }} */ s) => s.get("model.block") === "hybrid";

/** @type {Field[]} */
export const FIELDS = [
  // Data. Task and file have one list of their own on the page.
  {
    key: "data.task", kind: "choice", label: "Text", choices: TASKS.map(([v, label]) => [v, label]),
    help: "What the model reads: text or sound that is made up here, Newton's Opticks, or a file of yours, which never leaves this machine.",
  },
  { key: "data.file", kind: "text", label: "File", help: "The text file that the model reads byte by byte, or the sound, a WAV file, sample by sample." },
  {
    key: "data.sample_rate", kind: "int", label: "Samples", unit: "a second", min: 1000, max: 48000, scale: "double",
    help: "The rate to which a sound is brought: a byte is one sample, so that a higher one is better to hear and longer to read.", when: (s) => isSound((k) => s.get(k)),
  },
  {
    key: "data.story_bytes", kind: "int", label: "Length", unit: "bytes", min: 1024, max: 67108864, scale: "double",
    help: "How much text is made up for training and validation.", when: (s) => !s.get("data.file"),
  },
  {
    key: "data.val_fraction", kind: "number", label: "Held out", unit: "part", min: 0, max: 0.9, scale: "add", step: 0.05,
    help: "The part of the text, its end, that the model never trains on: the validation loss is measured there.",
  },
  {
    key: "data.document", kind: "text", label: "Ends a document",
    help: "Text at which a document ends and the inner state starts anew; empty: the whole text is one document.", when: (s) => !isSound((k) => s.get(k)),
  },

  // Model
  {
    key: "model.hidden_size", kind: "int", label: "Width", min: 2, max: 4096, scale: "double",
    help: "Numbers that stand for each byte between the layers; has to be a multiple of the heads.", formula: "C = H · F",
  },
  { key: "model.num_hidden_layers", kind: "int", label: "Layers", min: 1, max: 64, scale: "add", step: 1, help: "Blocks, one behind the other, each with a TTT layer and a feed-forward network." },
  {
    key: "model.num_attention_heads", kind: "int", label: "Heads", min: 1, max: 256, scale: "double",
    help: "Inner models in each layer, side by side; each sees its share of the width.", formula: "F = C / H",
  },
  { key: "model.intermediate_size", kind: "int", label: "Feed-forward width", min: 1, max: 16384, scale: "double", help: "Width inside each block's SwiGLU network; usually 8/3 of the model's width.", formula: "W₃ (silu(W₁x) ⊙ W₂x)" },
  { key: "model.pre_conv", kind: "switch", label: "Convolution first", help: "A short convolution before each TTT layer shows it the last few bytes at every place.", formula: "x ← x + conv(norm(x))" },
  { key: "model.conv_kernel", kind: "int", label: "Convolution width", unit: "bytes", min: 1, max: 64, scale: "add", step: 1, help: "How many bytes back the convolutions see, the present one included." },
  { key: "model.use_gate", kind: "switch", label: "Gate", help: "Multiplies what a TTT layer says by a learned gate.", formula: "out ⊙ gelu(W_g x)" },
  { key: "model.share_qk", kind: "switch", label: "Shared query and key", help: "One projection for queries and keys; a convolution each tells them apart." },
  { key: "model.tie_word_embeddings", kind: "switch", label: "Tied embedding", help: "The matrix that reads bytes also writes them: fewer parameters." },
  {
    key: "model.block", kind: "choice", label: "Blocks", choices: [["ttt", "TTT alone"], ["hybrid", "Hybrid: attention, then TTT"]],
    help: "What a block is made of: the TTT layer of the official model, or causal attention and, in the layers chosen for it, a gated TTT layer.", formula: "x + tanh(α) · TTT(norm(x))",
  },
  { key: "model.layers", kind: "text", label: "TTT in", help: "Blocks of a hybrid that have a TTT layer: all, none, middle, or numbers from 0 on as in 29,30,31.", when: hybrid },
  { key: "model.gate_init", kind: "number", label: "Gate's start α", min: -10, max: 10, scale: "add", step: 0.05, help: "How much of the TTT layer a hybrid block lets through at first; it is learned from there.", formula: "tanh(α)", when: hybrid },
  { key: "model.attention_window", kind: "int", label: "Attention sees", unit: "bytes", min: 0, max: 1048576, scale: "double", help: "How far back the attention of a hybrid looks, the present byte included; 0: all.", when: hybrid },
  {
    key: "model.max_position_embeddings", kind: "int", label: "Positions", min: 1, max: 1048576, scale: "double",
    help: "The longest text, in bytes, that attention and the video variant can place.", when: (s) => hybrid(s) || s.get("model.variant") === "video",
  },

  // Inner loop
  {
    key: "model.variant", kind: "choice", label: "Variant", choices: [["lm", "Language model"], ["video", "Video: normalised target"]],
    help: "The TTT layer of the official language model, or that of the video model: keys of length 1 and a normalised target, which the Numerics tab looks into.", formula: "target = γ (d − mean) / (std + eps) + β + XK, d = XV − XK",
  },
  {
    key: "model.ttt_layer_type", kind: "choice", label: "Inner model", choices: [["linear", "Linear (TTT-Linear)"], ["mlp", "Two layers (TTT-MLP)"]],
    help: "The small model that learns while it reads: its weights are the layer's memory.", formula: "linear: f(k) = k + LN(kW + b)",
  },
  {
    key: "model.mini_batch_size", kind: "int", label: "Mini-batch", unit: "bytes", min: 1, max: 256, scale: "double",
    help: "Bytes between two updates of the inner model: fewer remember better, more are faster.", formula: "W ← W − Σ η ∂ℓ/∂W over K bytes",
  },
  {
    key: "model.ttt_base_lr", kind: "number", label: "Inner learning rate", min: 0, max: 100, scale: "1-2-5",
    help: "How far each inner step goes; every head learns to scale it for every byte.", formula: "η = base · σ(w·x + c) / F",
  },
  { key: "train.scan_checkpoint_every", kind: "int", label: "Keep a state every", unit: "mini-batches", min: 1, max: 4096, scale: "double", help: "Inner states that are kept for the backward pass: a higher number takes less memory and more time." },

  // Optimiser
  { key: "train.lr", kind: "number", label: "Learning rate", min: 0, max: 10, scale: "1-2-5", live: true, slider: [1e-5, 1e-1], help: "Size of the outer steps after the warm-up: too high and the loss jumps, too low and nothing happens.", formula: "AdamW: θ ← θ − lr · m̂ / (√v̂ + ε)" },
  { key: "train.warmup_steps", kind: "int", label: "Warm-up", unit: "steps", min: 0, max: 1000000, scale: "1-2-5", live: true, help: "Steps in which the learning rate rises from nothing to its value.", formula: "lr · step / warm-up" },
  { key: "train.min_lr_ratio", kind: "number", label: "Ends at", unit: "× rate", min: 0, max: 1, scale: "add", step: 0.05, live: true, help: "After the warm-up the learning rate falls along a cosine to this part of its value.", formula: "lr · (r + (1 − r)(1 + cos πt) / 2)" },
  { key: "train.weight_decay", kind: "number", label: "Weight decay", min: 0, max: 10, scale: "1-2-5", live: true, help: "Pulls the matrices towards zero with every step, against learning by heart.", formula: "θ ← θ − lr · λ · θ" },
  { key: "train.clip", kind: "number", label: "Largest gradient", min: 0, max: 1000, scale: "1-2-5", live: true, help: "Gradients with a greater norm are shortened to it; 0: never.", formula: "g ← g · min(1, clip / ‖g‖)" },
  { key: "train.beta1", kind: "number", label: "β₁", min: 0, max: 0.9999, scale: "add", step: 0.01, help: "How long the optimiser remembers gradients.", formula: "m ← β₁ m + (1 − β₁) g" },
  { key: "train.beta2", kind: "number", label: "β₂", min: 0, max: 0.99999, scale: "add", step: 0.01, help: "How long the optimiser remembers their squares.", formula: "v ← β₂ v + (1 − β₂) g²" },

  // Run
  { key: "train.steps", kind: "int", label: "Steps", min: 0, max: 10000000, scale: "1-2-5", live: true, help: "Updates of the weights until the run is finished." },
  { key: "train.batch_size", kind: "int", label: "Sequences", unit: "a step", min: 1, max: 1024, scale: "double", help: "Pieces of text that a step reads side by side." },
  { key: "train.seq_len", kind: "int", label: "Sequence length", unit: "bytes", min: 2, max: 65536, scale: "double", help: "Bytes of each piece: how far back the inner models can have learned from." },
  { key: "train.micro_batches", kind: "int", label: "Micro-batches", unit: "a step", min: 1, max: 256, scale: "add", step: 1, help: "Batches whose gradients are added up for one update: a larger batch in the same memory." },
  { key: "train.carry_state", kind: "switch", label: "Carry the state", help: "Each sequence goes on from the inner state of the last step's: the model trains on texts longer than a sequence." },
  { key: "train.carry_tokens", kind: "int", label: "Carry for", unit: "bytes", min: 0, max: 16777216, scale: "double", help: "Length of those texts, a multiple of the sequence length; 0: to the end of the text.", when: (s) => s.get("train.carry_state") === true },
  {
    key: "train.precision", kind: "choice", label: "Precision", choices: [["f32", "32 bits"], ["f16", "16 bits where that does"]],
    help: "Of the weights and activations that matrix products read, and of what is kept for the backward pass: 16 bits take less memory. Sums, states, norms and updates always have 32.",
  },
  { key: "train.eval_every", kind: "int", label: "Validate every", unit: "steps", min: 0, max: 1000000, scale: "1-2-5", live: true, help: "Steps between measurements on the held-out text; 0: only at the end." },
  { key: "train.seed", kind: "int", label: "Seed", min: 0, max: Number.MAX_SAFE_INTEGER, scale: "add", step: 1, help: "Where the random numbers begin: the same seed and settings give the same run." },
  { key: "sample.prompts", kind: "lines", label: "Prompts", live: true, help: "The beginnings of text that the model continues while it trains, one in each line." },

  // On the panel of the numerics.
  {
    key: "model.target_eps", kind: "number", label: "eps", min: 0, max: 1, scale: "1-2-5", live: true, slider: [1e-8, 1e-2],
    help: "Added to the standard deviation that the target is divided by. It guards gradients: values are bounded whatever it is.", formula: "z = (d − mean) / (std + eps), |z| ≤ √(n − 1)",
  },
  {
    key: "train.fault", kind: "choice", label: "Fault", live: true, choices: [["", "none"], ...FAULTS.map((f) => /** @type {[string, string]} */ ([f, f]))],
    help: "A known mistake, put into the layer on purpose: see what it does to the numbers, and whether the diagnosis names it.",
  },

  // How the model writes: beside the samples.
  { key: "sample.temperature", kind: "number", label: "Temperature", min: 0, max: 5, scale: "add", step: 0.1, live: true, help: "How daring it writes: 0 takes the likeliest byte each time, 1 draws by the model's own probabilities.", formula: "p ∝ exp(logit / T)", when: (s) => !isSound((k) => s.get(k)) },
  { key: "sample.top_k", kind: "int", label: "Top-k", min: 0, max: 256, scale: "add", step: 5, live: true, help: "Only the k likeliest bytes are drawn from; 0: all.", when: (s) => !isSound((k) => s.get(k)) },
  { key: "sample.tokens", kind: "int", label: "Length", unit: "bytes", min: 1, max: 10000, scale: "add", step: 50, live: true, help: "Bytes that the model adds each time.", when: (s) => !isSound((k) => s.get(k)) },
  { key: "sample.sound_temperature", kind: "number", label: "Temperature", min: 0, max: 5, scale: "add", step: 0.1, live: true, help: "How daring it plays: 1 draws by the model's own probabilities; much below, a sound ends in silence.", formula: "p ∝ exp(logit / T)", when: (s) => isSound((k) => s.get(k)) },
  { key: "sample.seconds", kind: "number", label: "Seconds", min: 0.01, max: 60, scale: "1-2-5", live: true, help: "Seconds of sound that the model adds each time; where that takes long, samples during training are shorter.", when: (s) => isSound((k) => s.get(k)) },
];

/** The rail. @type {Group[]} */
export const GROUPS = [
  { id: "data", title: "Data", keys: ["data.sample_rate", "data.story_bytes", "data.val_fraction", "data.document"] },
  {
    id: "model", title: "Model",
    keys: ["model.hidden_size", "model.num_hidden_layers", "model.num_attention_heads", "model.intermediate_size", "model.pre_conv", "model.conv_kernel", "model.use_gate", "model.share_qk", "model.tie_word_embeddings", "model.block", "model.layers", "model.gate_init", "model.attention_window", "model.max_position_embeddings"],
  },
  { id: "inner-loop", title: "Inner loop", keys: ["model.variant", "model.ttt_layer_type", "model.mini_batch_size", "model.ttt_base_lr", "train.scan_checkpoint_every"] },
  { id: "optimiser", title: "Optimiser", keys: ["train.lr", "train.warmup_steps", "train.min_lr_ratio", "train.weight_decay", "train.clip", "train.beta1", "train.beta2"] },
  {
    id: "run", title: "Run",
    keys: ["train.steps", "train.batch_size", "train.seq_len", "train.micro_batches", "train.carry_state", "train.carry_tokens", "train.precision", "train.eval_every", "train.seed", "sample.prompts"],
  },
];

/** The fields beside the samples. */
export const WRITING = ["sample.temperature", "sample.top_k", "sample.tokens", "sample.sound_temperature", "sample.seconds"];

/** The field on the numerics panel; the faults are a list of their own there. */
export const NUMERICS = ["model.target_eps"];

/** The smallest model that shows everything once. @type {[key: string, value: Value][]} */
const TINY = [
  ["model.hidden_size", 64], ["model.intermediate_size", 172], ["model.num_hidden_layers", 1], ["model.num_attention_heads", 2],
  ["train.steps", 300], ["train.batch_size", 4], ["train.seq_len", 128], ["train.warmup_steps", 10], ["train.lr", 0.005], ["train.eval_every", 50],
];

/**
 * What a preset changes of the defaults, the data apart, and besides where a processor plays the GPU.
 * @type {{ id: string, title: string, note: string, help: string, values: [key: string, value: Value][], software?: [key: string, value: Value][] }[]}
 */
export const PRESETS = [
  {
    id: "tiny", title: "Tiny", note: "one layer", help: "One narrow layer and a few hundred steps: to see everything once, on any machine.",
    values: TINY,
  },
  { id: "small", title: "Small", note: "default", help: "Two layers that learn to spell and to form sentences.", values: [] },
  { id: "mlp", title: "TTT-MLP", note: "two-layer memory", help: "The inner model has a hidden layer: a better memory, slower.", values: [["model.ttt_layer_type", "mlp"], ["model.ttt_base_lr", 0.1]] },
  {
    id: "larger", title: "Larger", note: "wants a GPU", help: "Four layers, twice as wide, on longer text: hundreds of times the work of the tiny one.",
    values: [
      ["model.hidden_size", 256], ["model.intermediate_size", 688], ["model.num_hidden_layers", 4], ["model.num_attention_heads", 4],
      ["train.steps", 1000], ["train.seq_len", 512], ["train.warmup_steps", 100], ["train.lr", 0.002],
    ],
  },
  {
    id: "hybrid", title: "Hybrid video", note: "attention and TTT", help: "Attention with the video model's TTT layer after it: the one with the guarded normalisation that the Numerics tab looks into.",
    values: [["model.block", "hybrid"], ["model.variant", "video"], ["model.layers", "all"], ["model.pre_conv", false]],
    software: TINY,
  },
];

/** Fields by key. @type {ReadonlyMap<string, Field>} */
export const BY_KEY = new Map(FIELDS.map((f) => [f.key, f]));

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** Longest text that a field takes, in characters, and most lines. */
const LONGEST = 2000;
const MOST_LINES = 8;

/**
 * check says what is wrong with value as field's, or "".
 * @param {Field} field
 * @param {unknown} value
 * @returns {string}
 */
export function check(field, value) {
  switch (field.kind) {
    case "int":
    case "number": {
      if (typeof value !== "number" || Number.isNaN(value)) return "want a number";
      if (value < (field.min ?? -Infinity) || value > (field.max ?? Infinity)) return `want ${range(field)}`;
      return field.kind === "int" && !Number.isInteger(value) ? "want a whole number" : "";
    }
    case "switch":
      return typeof value === "boolean" ? "" : "want true or false";
    case "choice": {
      const names = (field.choices ?? []).map(([v]) => v);
      return typeof value === "string" && names.includes(value) ? "" : `want ${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
    }
    case "text":
      return plain(value);
    case "lines": {
      if (!Array.isArray(value)) return "want a list of texts";
      if (value.length > MOST_LINES) return `want at most ${MOST_LINES} lines`;
      return value.map(plain).find((e) => e !== "") ?? "";
    }
  }
}

/** @param {unknown} s */
function plain(s) {
  if (typeof s !== "string") return "want a text";
  if (s.length > LONGEST) return `want at most ${LONGEST} characters`;
  return /[\0-\x08\x0b-\x1f\x7f]/.test(s) ? "want no control characters" : "";
}

/** @param {Field} field */
function range(field) {
  const show = (/** @type {number} */ x) => (x > 999 ? x.toString().replace(/\B(?=(\d{3})+$)/g, ",") : String(x));
  return `${show(field.min ?? 0)} to ${show(field.max ?? Number.MAX_SAFE_INTEGER)}`;
}

/**
 * parse reads what a person or a link says.
 * @param {Field} field
 * @param {string} text
 * @returns {{ value: Value, error: "" } | { value: undefined, error: string }}
 */
export function parse(field, text) {
  const t = text.trim();
  /** @type {Value | undefined} */
  let value;
  switch (field.kind) {
    case "int":
    case "number":
      if (!DECIMAL.test(t)) return { value: undefined, error: "want a number" };
      value = Number(t);
      break;
    case "switch":
      if (t !== "true" && t !== "false") return { value: undefined, error: "want true or false" };
      value = t === "true";
      break;
    case "lines":
      try {
        value = JSON.parse(t);
      } catch {
        return { value: undefined, error: "want a list of texts" };
      }
      break;
    default:
      value = text;
  }
  const error = check(field, value);
  return error ? { value: undefined, error } : { value: /** @type {Value} */ (value), error: "" };
}

/**
 * print is what parse reads back to the same value.
 * @param {Value} value
 */
export const print = (value) => (Array.isArray(value) ? JSON.stringify(value) : String(value));

/**
 * nudge is the value one arrow key up (1) or down (-1), inside the range.
 * @param {Field} field
 * @param {number} value
 * @param {1 | -1} by
 */
export function nudge(field, value, by) {
  let next = value;
  if (field.scale === "double") {
    // To the next power of two, or the next multiple of 8 times one where the value is none.
    next = by > 0 ? value * 2 : value / 2;
    if (field.kind === "int") next = Math.max(1, Math.floor(next));
    if (value === 0) next = by > 0 ? 1 : 0;
  } else if (field.scale === "1-2-5") {
    next = ladder(value, by, field.kind === "int");
  } else {
    const step = field.step ?? 1;
    next = Number((Math.round(value / step + by) * step).toPrecision(12));
  }
  return Math.min(field.max ?? next, Math.max(field.min ?? next, next));
}

/**
 * ladder is the next rung of ... 0.1 0.2 0.5 1 2 5 10 ... above or below x.
 * @param {number} x
 * @param {1 | -1} by
 * @param {boolean} whole
 */
function ladder(x, by, whole) {
  if (x <= 0) return by > 0 ? (whole ? 1 : 1e-4) : 0;
  const power = Math.floor(Math.log10(x) + 1e-9);
  const rungs = [];
  for (let p = power - 1; p <= power + 1; p++) for (const m of [1, 2, 5]) rungs.push(Number(`${m}e${p}`));
  const near = x * 1e-9;
  const next = by > 0 ? rungs.find((r) => r > x + near) : rungs.reverse().find((r) => r < x - near);
  if (next === undefined || (whole && next < 1)) return by > 0 ? x : 0;
  return next;
}

/**
 * slide is the value that a key gives a field's slider: arrows go by the number's own steps, Page Up and Down by factors of
 * ten, Home and End to the ends. undefined: the key is none of these.
 * @param {Field} field with a slider
 * @param {number} value
 * @param {string} key
 */
export function slide(field, value, key) {
  const [from, to] = field.slider ?? [0, 0];
  const inside = (/** @type {number} */ x) => Math.min(to, Math.max(from, Number(x.toPrecision(12))));
  // A value beyond an end comes in by that end.
  const by = (/** @type {number} */ next) => inside(value < from ? (next > value ? from : value) : value > to ? (next < value ? to : value) : next);
  switch (key) {
    case "ArrowUp":
    case "ArrowRight":
      return by(nudge(field, value, 1));
    case "ArrowDown":
    case "ArrowLeft":
      return by(nudge(field, value, -1));
    case "PageUp":
      return by(value === 0 ? from : value * 10);
    case "PageDown":
      return by(value / 10);
    case "Home":
      return from;
    case "End":
      return to;
  }
  return undefined;
}

/**
 * slid is the value of two digits where a slider stands that the person moved from a value. However short the way, it is
 * another value.
 * @param {Field} field with a slider
 * @param {number} at its position, the value's logarithm to base 10
 * @param {number} before the value
 */
export function slid(field, at, before) {
  const [from, to] = field.slider ?? [0, 0];
  const two = (/** @type {number} */ x) => Number(x.toPrecision(2));
  let value = two(10 ** at);
  if (value === two(before) && at !== place(field, before)) {
    const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
    value = two(at > place(field, before) ? value + unit : value - unit);
  }
  return Math.min(to, Math.max(from, value));
}

/** place is where a slider stands for a value. @param {Field} field with a slider @param {number} value */
export function place(field, value) {
  const [from, to] = field.slider ?? [1, 1];
  return Math.log10(Math.min(to, Math.max(from, value)));
}

/**
 * mend says what to do about a value that does not fit, of which check said why, and what applies until it does.
 * @param {string} why
 * @param {Value | undefined} value that applies
 */
export function mend(why, value) {
  const show = typeof value === "number" ? (Math.abs(value) > 9999 ? value.toString().replace(/\B(?=(\d{3})+$)/g, ",") : String(value)) : "";
  const rest = show ? `: until then it is ${show}.` : ": until then the last one that fits applies.";
  return `${why.replace(/^want /, "Enter ")}${rest}`;
}
