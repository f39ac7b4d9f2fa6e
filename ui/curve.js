// @ts-check
// What a plot draws: curves, and the colours they have.
import { Column, Smoothed, decimate, lowerBound, nearest, room } from "./columns.js";

/** Theme is the colours of the style sheet, by custom property, as they are where root stands. */
export class Theme {
  /** @type {Map<string, string>} */
  #colours = new Map();

  /** @param {Element} root */
  constructor(root) {
    this.root = root;
  }

  /** @param {string} name as --c1 */
  colour(name) {
    let c = this.#colours.get(name);
    if (c === undefined) {
      c = getComputedStyle(this.root).getPropertyValue(name).trim() || "#808080";
      this.#colours.set(name, c);
    }
    return c;
  }

  /** forget makes colours be read anew. */
  forget() {
    this.#colours.clear();
  }
}

/**
 * Curve is a line of one column over another.
 * @typedef {object} Style
 * @property {string} label
 * @property {string} colour custom property
 * @property {number} [width] pixels
 * @property {number} [alpha]
 * @property {number[]} [dash]
 * @property {boolean} [points] mark them, where there is room
 * @property {boolean} [sampled] where there are many points, one for each column of pixels is enough
 * @property {boolean} [sparse] its value holds until the next one: an evaluation
 * @property {boolean} [dot] false: none at the cursor
 * @property {string} [tag] beside its end
 * @property {boolean} [fit] false: the y axis need not hold it
 */
export class Curve {
  /** @param {Column} x ascending @param {Column} y @param {Style} style */
  constructor(x, y, style) {
    this.x = x;
    this.y = y;
    this.style = style;
    this.shown = true;
    this.index = new Uint32Array(0);
    this.count = 0; // of index that are to be drawn
  }

  /** at is the index of the point that is read out at x, -1 where there is none. @param {number} x */
  at(x) {
    const n = Math.min(this.x.length, this.y.length);
    if (n === 0) return -1;
    if (this.style.sparse) return lowerBound(this.x.data, n, x + 1e-9) - 1;
    return x < this.x.data[0] || x > this.x.data[n - 1] ? -1 : nearest(this.x.data, n, x);
  }

  /** read is the value at x, or the newest; NaN: none. @param {number | null} x */
  read(x) {
    if (this.y instanceof Smoothed) this.y.update();
    if (x === null) return this.y.last;
    const i = this.at(x);
    return i < 0 ? NaN : this.y.data[i];
  }

  /** prepare chooses the points that show. @param {number} x0 @param {number} x1 @param {number} pixels */
  prepare(x0, x1, pixels) {
    if (this.y instanceof Smoothed) this.y.update();
    if (this.index.length < room(pixels)) this.index = new Uint32Array(room(pixels));
    const n = Math.min(this.x.length, this.y.length);
    const from = Math.max(0, lowerBound(this.x.data, n, x0) - 1); // so that lines reach the edges
    const to = Math.min(n, lowerBound(this.x.data, n, x1) + 2);
    this.count = this.shown ? decimate(this.x.data, this.y.data, from, to, x0, x1, pixels, this.index, this.style.sampled) : 0;
  }
}
