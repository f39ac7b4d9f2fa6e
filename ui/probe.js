// @ts-check
// An inner event's numbers: means over layers, heads and positions, of the finite ones among them.

/**
 * @typedef {object} InnerData the data of an inner event; the columns are [layers][heads][miniBatches], flat
 * @property {string} run
 * @property {number} step
 * @property {number} layers
 * @property {number} heads
 * @property {number} miniBatches
 * @property {number} miniBatchSize
 * @property {ArrayLike<number>} start
 * @property {ArrayLike<number>} before
 * @property {ArrayLike<number>} after
 * @property {ArrayLike<number>} drift
 */
/** @typedef {"start" | "before" | "after" | "drift"} Name */
/** @typedef {import("./grid.js").Cell} Cell */

/** Probe is a copy of such an event. */
export class Probe {
  /** @param {InnerData} d */
  constructor(d) {
    const n = d.layers * d.heads * d.miniBatches;
    const column = (/** @type {Name} */ name) => {
      if (d[name].length !== n) throw new RangeError(`inner loop: ${name} has ${d[name].length} values, want ${d.layers} layers x ${d.heads} heads x ${d.miniBatches} mini-batches`);
      return Float64Array.from(d[name]);
    };
    this.run = d.run;
    this.step = d.step;
    this.layers = d.layers;
    this.heads = d.heads;
    this.length = d.miniBatches;
    this.size = d.miniBatchSize;
    this.start = column("start");
    this.before = column("before");
    this.after = column("after");
    this.drift = column("drift");
    /** @type {Map<string, Float64Array>} */
    this.means = new Map();
  }

  /** fits tells whether other has the same shape. @param {Probe} other */
  fits(other) {
    return this.layers === other.layers && this.heads === other.heads && this.length === other.length && this.size === other.size;
  }

  /** broken is how many of the layers' heads have a value that is not finite. */
  get broken() {
    let n = 0;
    for (let i = 0; i < this.layers * this.heads; i++) {
      let finite = true;
      for (let t = i * this.length; t < (i + 1) * this.length && finite; t++) {
        finite = Number.isFinite(this.start[t]) && Number.isFinite(this.before[t]) && Number.isFinite(this.after[t]) && Number.isFinite(this.drift[t]);
      }
      if (!finite) n++;
    }
    return n;
  }

  /**
   * of is a column by position for a layer and a head, or the mean over all layers or heads that are finite there; NaN where
   * none is.
   * @param {Name} name @param {Cell} c
   * @returns {{ values: Float64Array, from: number, length: number }}
   */
  of(name, { layer, head }) {
    const { length } = this;
    if (layer >= 0 && head >= 0) return { values: this[name], from: (layer * this.heads + head) * length, length };
    const key = `${name} ${layer} ${head}`;
    let mean = this.means.get(key);
    if (!mean) {
      mean = this.#mean(this[name], layer, head);
      this.means.set(key, mean);
    }
    return { values: mean, from: 0, length };
  }

  /** @param {Float64Array} all @param {number} layer @param {number} head */
  #mean(all, layer, head) {
    const { layers, heads, length } = this;
    const sum = new Float64Array(length);
    const n = new Float64Array(length);
    for (let l = Math.max(0, layer); l < (layer < 0 ? layers : layer + 1); l++) {
      for (let k = Math.max(0, head); k < (head < 0 ? heads : head + 1); k++) {
        const from = (l * heads + k) * length;
        for (let t = 0; t < length; t++) {
          const v = all[from + t];
          if (!Number.isFinite(v)) continue;
          sum[t] += v;
          n[t]++;
        }
      }
    }
    return sum.map((s, t) => (n[t] > 0 ? s / n[t] : NaN));
  }

  /** mean is of's mean over the positions. @param {Name} name @param {Cell} c */
  mean(name, c) {
    const { values, from, length } = this.of(name, c);
    let sum = 0;
    let n = 0;
    for (let i = from; i < from + length; i++) {
      if (!Number.isFinite(values[i])) continue;
      sum += values[i];
      n++;
    }
    return n > 0 ? sum / n : NaN;
  }

  /** reduction is by which part of W0's loss the step makes it smaller, over all positions: 1 - after / start. @param {Cell} c */
  reduction(c) {
    return 1 - this.mean("after", c) / this.mean("start", c);
  }
}
