// @ts-check
// What the normalisers of the reconstruction target did: the probes of a step, what they break, and their history.
import { Column } from "./columns.js";

/** @typedef {import("./client.js").Events["norms"]} NormsData */
/** @typedef {import("./messages.d.ts").PastNorms} PastNorms */
/** @typedef {{ sign: string, what: string }} Breach of an invariant */
/** @typedef {{ step: number, label: string }} Mark */

/** The probes, by the names of their columns. */
export const PROBES = /** @type {const} */ (["stdMin", "stdMean", "highGain", "maxZ", "gain", "xvMin", "xvMax", "xkMin", "xkMax", "outMin", "outMax", "keyMin", "keyMax", "nonFinite"]);
/** @typedef {typeof PROBES[number]} ProbeName */

/** Those of which the least is the worst. @type {Set<ProbeName>} */
const LEAST = new Set(["stdMin", "stdMean", "xvMin", "xkMin", "outMin", "keyMin"]);

/** What rounding may add to |z|, and to a key's length. */
const Z_SLACK = 1e-4;
const KEY_SLACK = 1e-3;

/** BREACHES are the invariants' signs with what each says. @type {Breach[]} */
export const BREACHES = [
  { sign: "▲", what: "|z| is over its bound" },
  { sign: "▼", what: "std is below 0" },
  { sign: "◆", what: "keys are not of length 1" },
  { sign: "✕", what: "values are not finite" },
];

/**
 * breaches are the invariants that cell i of a step breaks.
 * @param {NormsData} d @param {number} i
 */
export function breaches(d, i) {
  const off = Math.max(Math.abs(d.keyMax[i] - 1), Math.abs(d.keyMin[i] - 1));
  const broken = [!(d.maxZ[i] <= d.bound * (1 + Z_SLACK)), d.stdMin[i] < 0, !(off <= KEY_SLACK), !(d.nonFinite[i] === 0)];
  return BREACHES.filter((_, k) => broken[k]);
}

/**
 * Series are what the history draws, each of a row of probes.
 * @typedef {object} Series
 * @property {string} key of its explanation
 * @property {string} title
 * @property {string} unit
 * @property {string} header of the file's column
 * @property {"log" | "zero" | "auto"} axis log: unless there are values below 0; auto: where they are decades apart
 * @property {(v: (probe: ProbeName) => number, bound: number) => number} of
 */
const most = (/** @type {number} */ a, /** @type {number} */ b) => Math.max(Math.abs(a), Math.abs(b));
/** @type {Series[]} */
export const SERIES = [
  { key: "norm-std", title: "Min std", unit: "", header: "std_min", axis: "log", of: (v) => v("stdMin") },
  { key: "norm-z", title: "|z| / bound", unit: "", header: "max_z_over_bound", axis: "auto", of: (v, bound) => v("maxZ") / bound },
  { key: "norm-high-gain", title: "Rows, gain > 100", unit: "%", header: "high_gain_rows_percent", axis: "zero", of: (v) => 100 * v("highGain") },
  { key: "norm-gain", title: "Amplification", unit: "×", header: "gain", axis: "log", of: (v) => v("gain") },
  { key: "norm-xv", title: "Largest |XV|", unit: "", header: "xv_abs_max", axis: "auto", of: (v) => most(v("xvMin"), v("xvMax")) },
  { key: "norm-xk", title: "Largest |XK|", unit: "", header: "xk_abs_max", axis: "auto", of: (v) => most(v("xkMin"), v("xkMax")) },
  { key: "norm-out", title: "Largest |out|", unit: "", header: "out_abs_max", axis: "auto", of: (v) => most(v("outMin"), v("outMax")) },
  { key: "norm-key", title: "‖XK‖ off 1", unit: "", header: "key_length_error", axis: "auto", of: (v) => most(v("keyMax") - 1, v("keyMin") - 1) },
  { key: "norm-nonfinite", title: "Not finite", unit: "values", header: "non_finite", axis: "zero", of: (v) => v("nonFinite") },
];

/** Rows that are kept, at most and, for cells of their own, at least. */
const MOST_ROWS = 8192;
const LEAST_ROWS = 256;
/** Marks that are kept. */
const MOST_MARKS = 60;

/**
 * NormHistory keeps every probe over the steps: of the worst head, and of each head where there are not too many. When it is
 * full, two rows become one, the worse of both, so that no spike is lost.
 */
export class NormHistory {
  step = new Column();
  run = "";
  bound = NaN;
  /** Changes of eps and faults. @type {Mark[]} */
  marks = [];
  #layers = "";
  #cells = 0; // that have a history of their own
  #rows = 0; // of room
  #data = new Float32Array(0); // [rows][1 + cells][probes], of which the first is the worst
  #row = new Float32Array(0);
  #stride = 1; // events in a row
  #open = 0; // events in the last row
  #eps = NaN;
  #fault = "";

  /** @param {number} [budget] of numbers */
  constructor(budget = 1 << 22) {
    this.budget = budget;
  }

  clear() {
    this.step.truncate(0);
    this.marks = [];
    this.run = "";
    this.bound = NaN;
    this.#layers = "";
    this.#data = new Float32Array(0);
    this.#stride = 1;
    this.#open = 0;
    this.#eps = NaN;
    this.#fault = "";
  }

  /** own says whether cells have a history of their own. */
  get own() {
    return this.#cells > 0;
  }

  /** add takes a step's probes. @param {NormsData} d @param {string} fault that the run has, or "" */
  add(d, fault) {
    const layers = `${d.layers} ${d.heads}`;
    if (d.run !== this.run || layers !== this.#layers) this.#begin(d, layers);
    if (this.step.length > 0 && d.step <= this.step.last) this.truncate(d.step - 1);
    this.#mark(d, fault);
    this.bound = d.bound;
    this.#fill(d);
    this.#append(d.step);
  }

  /**
   * load takes what a run's log has, in place of what there was: the worst of all heads, and none of a head by itself.
   * @param {PastNorms} past
   */
  load(past) {
    this.#begin(past, `${past.layers} ${past.heads}`);
    this.bound = past.bound;
    let fault = "";
    let change = 0;
    past.step.forEach((step, i) => {
      while (change < past.faults.length && past.faults[change].step <= step) ({ fault } = past.faults[change++]);
      this.#mark({ step, eps: past.eps[i] }, fault);
      this.#row.fill(NaN);
      PROBES.forEach((name, p) => (this.#row[p] = past[name][i]));
      this.#append(step);
    });
  }

  // The row of a step, after the others.
  /** @param {number} step */
  #append(step) {
    const { length } = this.step;
    if (length > 0 && this.#open < this.#stride) {
      this.#merge(length - 1, this.#row, 0);
      this.step.data[length - 1] = step;
      this.#open++;
      return;
    }
    if (length === this.#rows) this.#halve();
    this.#put(this.step.length, this.#row);
    this.step.push(step);
    this.#open = 1;
  }

  /** @param {{ run: string, layers: number[], heads: number }} d @param {string} layers */
  #begin(d, layers) {
    this.clear();
    this.run = d.run;
    this.#layers = layers;
    const n = d.layers.length * d.heads;
    const own = PROBES.length * (n + 1) * LEAST_ROWS <= this.budget;
    this.#cells = own ? n : 0;
    this.#row = new Float32Array(PROBES.length * (1 + this.#cells));
    this.#rows = Math.max(2, Math.min(MOST_ROWS, Math.floor(this.budget / this.#row.length)) & ~1);
  }

  /** @param {{ step: number, eps: number }} d @param {string} fault */
  #mark(d, fault) {
    const { length } = this.step;
    if (length > 0 && d.eps !== this.#eps) this.marks.push({ step: d.step, label: `eps ${print(this.#eps)} → ${print(d.eps)}` });
    if (fault !== this.#fault && (length > 0 || fault)) this.marks.push({ step: d.step, label: fault ? `fault ${fault}` : "fault taken out" });
    this.marks.splice(0, this.marks.length - MOST_MARKS);
    this.#eps = d.eps;
    this.#fault = fault;
  }

  // A step's probes as a row.
  /** @param {NormsData} d */
  #fill(d) {
    const n = d.layers.length * d.heads;
    PROBES.forEach((name, p) => {
      const column = d[name];
      let worst = column[0];
      for (let i = 0; i < n; i++) {
        worst = worse(LEAST.has(name), worst, column[i]);
        if (this.#cells > 0) this.#row[(1 + i) * PROBES.length + p] = column[i];
      }
      this.#row[p] = worst;
    });
  }

  /** @param {number} i @param {Float32Array} row */
  #put(i, row) {
    const size = this.#row.length;
    if ((i + 1) * size > this.#data.length) {
      const data = new Float32Array(Math.min(this.#rows, Math.max(64, 2 * (i + 1))) * size);
      data.set(this.#data);
      this.#data = data;
    }
    this.#data.set(row, i * size);
  }

  /** @param {number} i a row that becomes the worse of it and the one in from @param {Float32Array} from @param {number} at */
  #merge(i, from, at) {
    const size = this.#row.length;
    for (let k = 0; k < size; k++) {
      const o = i * size + k;
      this.#data[o] = worse(LEAST.has(PROBES[k % PROBES.length]), this.#data[o], from[at + k]);
    }
  }

  #halve() {
    const size = this.#row.length;
    const half = this.step.length >> 1;
    for (let i = 0; i < half; i++) {
      this.#data.copyWithin(i * size, 2 * i * size, (2 * i + 1) * size);
      this.#merge(i, this.#data, (2 * i + 1) * size);
      this.step.data[i] = this.step.data[2 * i + 1];
    }
    this.step.truncate(half);
    this.#stride *= 2;
  }

  /** truncate forgets what came after step: the run goes on from there. @param {number} step */
  truncate(step) {
    let n = this.step.length;
    while (n > 0 && this.step.data[n - 1] > step) n--;
    if (n < this.step.length) this.#open = this.#stride;
    this.step.truncate(n);
    this.marks = this.marks.filter((m) => m.step <= step);
  }

  /**
   * read writes a series into a column.
   * @param {Series} series @param {number} cell -1: the worst @param {Column} into
   */
  read(series, cell, into) {
    into.truncate(0);
    if (cell >= this.#cells) return;
    const size = this.#row.length;
    let at = (1 + cell) * PROBES.length;
    const v = (/** @type {ProbeName} */ name) => this.#data[at + INDEX[name]];
    for (let i = 0; i < this.step.length; i++, at += size) into.push(series.of(v, this.bound));
  }
}

const INDEX = /** @type {{ [P in ProbeName]: number }} */ (Object.fromEntries(PROBES.map((name, i) => [name, i])));

/** worse of two: what is no number is worst. @param {boolean} least @param {number} a @param {number} b */
function worse(least, a, b) {
  if (Number.isNaN(a) || Number.isNaN(b)) return NaN;
  return (least ? b < a : b > a) ? b : a;
}

/** print is a number as people write an eps: 1e-5, 0.02. @param {number} x */
export const print = (x) => (x !== 0 && Math.abs(x) < 1e-3 ? Number(x.toPrecision(3)).toExponential() : String(Number(x.toPrecision(3))));

/** brief is a number in few characters: 0.0123, 42.1, 2.7e7. @param {number} x */
export function brief(x) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "NaN" : x > 0 ? "∞" : "−∞";
  const a = Math.abs(x);
  if (a === 0) return "0";
  if (a >= 9999.5 || a < 1e-3) return x.toExponential(1).replace("e+", "e").replace("-", x < 0 ? "−" : "-");
  return x.toFixed(a >= 99.95 ? 0 : a >= 9.995 ? 1 : a >= 0.9995 ? 2 : a >= 0.01 ? 3 : 4).replace("-", "−");
}
