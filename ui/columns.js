// @ts-check
// Columns of numbers that grow, and what charts ask of them. Nothing here allocates for a point.

/** Column is a Float64Array that grows: data[0 .. length-1] are its values. */
export class Column {
  /** @param {ArrayLike<number>} [values] copied */
  constructor(values) {
    this.data = new Float64Array(Math.max(64, values?.length ?? 0));
    this.length = 0;
    if (values) this.set(values);
  }

  /** @param {number} v */
  push(v) {
    if (this.length === this.data.length) this.#grow(this.length + 1);
    this.data[this.length++] = v;
  }

  /** @param {ArrayLike<number>} values take the place of all */
  set(values) {
    if (values.length > this.data.length) this.#grow(values.length);
    this.data.set(values);
    this.length = values.length;
  }

  /** @param {number} n of the first values are kept */
  truncate(n) {
    this.length = Math.min(this.length, Math.max(0, n));
  }

  /** last is the newest value, NaN where there is none. */
  get last() {
    return this.length > 0 ? this.data[this.length - 1] : NaN;
  }

  /** @param {number} n */
  #grow(n) {
    const data = new Float64Array(Math.max(n, 2 * this.data.length));
    data.set(this.data.subarray(0, this.length));
    this.data = data;
  }
}

/** How curves are smoothed until the person moves the slider; the trainer smooths the losses of its list of runs so, too. */
export const SMOOTHING = 0.8;

/**
 * Smoothed is a column's exponential moving average without the bias of its start:
 * m_t = a m_{t-1} + (1 - a) x_t, value = m_t / (1 - a^t). Values that are not finite are gaps and leave the mean alone.
 */
export class Smoothed extends Column {
  #mean = 0;
  #rest = 1; // a^t
  #alpha = 0;

  /** @param {Column} source @param {number} alpha 0 (no smoothing) to below 1 */
  constructor(source, alpha) {
    super();
    this.source = source;
    this.alpha = alpha;
  }

  get alpha() {
    return this.#alpha;
  }

  set alpha(a) {
    this.#alpha = a;
    this.restart();
  }

  /** restart forgets the values: the source's earlier ones changed. */
  restart() {
    this.length = 0;
    this.#mean = 0;
    this.#rest = 1;
  }

  /** update adds the values that the source has since gained. */
  update() {
    if (this.length > this.source.length) this.restart();
    const { data, length } = this.source;
    const a = this.#alpha;
    for (let i = this.length; i < length; i++) {
      const x = data[i];
      if (!Number.isFinite(x)) {
        this.push(NaN);
        continue;
      }
      this.#mean = a * this.#mean + (1 - a) * x;
      this.#rest *= a;
      this.push(this.#mean / (1 - this.#rest));
    }
  }
}

/**
 * lowerBound is the index of the first of n ascending values that is not below x, or n.
 * @param {ArrayLike<number>} xs @param {number} n @param {number} x
 */
export function lowerBound(xs, n, x) {
  let lo = 0;
  let hi = n;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (xs[mid] < x) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

/**
 * nearest is the index of the value closest to x among n ascending ones, -1 where there is none.
 * @param {ArrayLike<number>} xs @param {number} n @param {number} x
 */
export function nearest(xs, n, x) {
  const i = lowerBound(xs, n, x);
  if (i === n) return n - 1;
  return i > 0 && x - xs[i - 1] < xs[i] - x ? i - 1 : i;
}

/** room is how many indices decimate may write. @param {number} buckets */
export const room = (buckets) => 4 * (buckets + 2);

/**
 * decimate writes the indices, within [i0, i1), of the points that show: all where they are few, else of each of the
 * buckets that divide [x0, x1) the first, the least, the greatest and the last, in order, so that no spike is lost. A bucket
 * of nothing but gaps keeps one. What lies outside [x0, x1) falls into a bucket at either side.
 * @param {Float64Array} xs ascending
 * @param {Float64Array} ys
 * @param {number} i0
 * @param {number} i1
 * @param {number} x0
 * @param {number} x1
 * @param {number} buckets
 * @param {Uint32Array} out has room(buckets)
 * @param {boolean} [sampled] the last alone, for a curve that is smooth
 * @returns {number} how many
 */
export function decimate(xs, ys, i0, i1, x0, x1, buckets, out, sampled = false) {
  let n = 0;
  if (i1 - i0 <= 4 * buckets) {
    for (let i = i0; i < i1; i++) out[n++] = i;
    return n;
  }
  const width = (x1 - x0) / buckets;
  let i = i0;
  for (let b = -1; b <= buckets && i < i1; b++) {
    const end = b === buckets ? Infinity : x0 + (b + 1) * width;
    let first = -1;
    let last = -1;
    let low = i;
    let high = i;
    const from = i;
    for (; i < i1 && xs[i] < end; i++) {
      const y = ys[i];
      if (!Number.isFinite(y)) continue;
      if (first < 0) first = low = high = i;
      else if (y < ys[low]) low = i;
      else if (y > ys[high]) high = i;
      last = i;
    }
    if (first < 0) {
      if (i > from) out[n++] = from;
      continue;
    }
    if (sampled) {
      out[n++] = last;
      continue;
    }
    out[n++] = first;
    const a = Math.min(low, high);
    const c = Math.max(low, high);
    if (a > first) out[n++] = a;
    if (c > first && c > a) out[n++] = c;
    if (last > c) out[n++] = last;
  }
  return n;
}

/**
 * extent widens range, [least, greatest], by the finite values (positive: those above 0) at n indices.
 * @param {Float64Array} ys @param {Uint32Array} indices @param {number} n @param {boolean} positive @param {[number, number]} range
 */
export function extent(ys, indices, n, positive, range) {
  for (let k = 0; k < n; k++) {
    const y = ys[indices[k]];
    if (!Number.isFinite(y) || (positive && y <= 0)) continue;
    if (y < range[0]) range[0] = y;
    if (y > range[1]) range[1] = y;
  }
}

/**
 * spread is at most max of the indices 0..n-1, evenly spread, the first and the last among them.
 * @param {number} n @param {number} max
 * @returns {number[]}
 */
export function spread(n, max) {
  if (n <= max) return Array.from({ length: n }, (_, i) => i);
  if (max < 2) return max < 1 ? [] : [n - 1];
  return Array.from({ length: max }, (_, k) => Math.round((k * (n - 1)) / (max - 1)));
}

/**
 * merged is the ascending union of two ascending columns.
 * @param {Column} a @param {Column} b
 */
export function merged(a, b) {
  const out = new Column();
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const x = i < a.length ? a.data[i] : Infinity;
    const y = j < b.length ? b.data[j] : Infinity;
    if (!(x > y)) i++;
    if (!(y > x)) j++;
    out.push(Math.min(x, y));
  }
  return out;
}

/**
 * Pacer calls fn in an animation frame, at most once an interval however often it is asked. A hidden tab has no frames,
 * so nothing is done there.
 */
export class Pacer {
  #asked = false;
  #last = -Infinity;
  #timer = 0;

  /**
   * @param {(now: number) => void} fn
   * @param {number} interval milliseconds
   * @param {{ now(): number, frame(f: () => void): void, after(f: () => void, ms: number): number, never(timer: number): void }} [clock]
   */
  constructor(fn, interval, clock = browserClock) {
    this.fn = fn;
    this.interval = interval;
    this.clock = clock;
  }

  /** ask wants a call: now, in the next frame, where the person waits for it. @param {boolean} [now] */
  ask(now = false) {
    if (this.#asked && !(now && this.#timer)) return;
    this.#asked = true;
    const { clock } = this;
    if (this.#timer) clock.never(this.#timer);
    this.#timer = 0;
    const wait = now ? 0 : this.#last + this.interval - clock.now();
    const frame = () => {
      this.#timer = 0;
      clock.frame(() => this.#call());
    };
    if (wait > 0) this.#timer = clock.after(frame, wait);
    else frame();
  }

  #call() {
    this.#asked = false;
    this.#last = this.clock.now();
    this.fn(this.#last);
  }
}

const browserClock = {
  now: () => performance.now(),
  frame: (/** @type {() => void} */ f) => void requestAnimationFrame(f),
  after: (/** @type {() => void} */ f, /** @type {number} */ ms) => /** @type {number} */ (/** @type {unknown} */ (setTimeout(f, ms))),
  never: (/** @type {number} */ timer) => clearTimeout(timer),
};
