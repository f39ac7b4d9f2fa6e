// @ts-check
// Plots that belong together.
import { Pacer } from "./columns.js";

/** @typedef {import("./columns.js").Column} Column */
/** @typedef {import("./plot.js").Plot} Plot */

/** Group is plots that share their x axis: its range, the cursor and when they are drawn. */
export class Group {
  /** @type {Plot[]} */
  plots = [];
  /** @type {number | null} */
  cursor = null;
  /** @type {[number, number] | null} */
  zoom = null;
  /** Places on the x axis that a line marks, with their numbers from 1 on. @type {number[]} */
  marks = [];
  /** Called, at most once a frame, when the cursor moved. @type {() => void} */
  moved = () => {};
  /** Called when the range was chosen or reset. @type {() => void} */
  zoomed = () => {};
  /** Called after drawing. @type {() => void} */
  drawn = () => {};
  /** What this round has still to draw. @type {Plot[]} */
  #round = [];
  #again = false;
  #draws = new Pacer(() => this.#draw(), 100);
  #moves = new Pacer(() => this.#move(), 0);

  /** @param {number} least of the x axis's range, where there are few points */
  constructor(least) {
    this.least = least;
  }

  /** redraw draws all plots, ten times a second at most; now: in the next frame. @param {boolean} [now] */
  redraw(now = false) {
    this.#again = true;
    this.#draws.ask(now);
  }

  /** steps is the x column that the cursor walks along: the one of the first curve that has any. @returns {Column | null} */
  steps() {
    let best = null;
    for (const p of this.plots) {
      for (const c of p.curves) {
        if (c.x.length === 0) continue;
        if (!c.style.sparse) return c.x;
        best ??= c.x;
      }
    }
    return best;
  }

  /** @returns {[number, number] | null} null: there is nothing to see */
  range() {
    if (this.zoom) return this.zoom;
    let low = Infinity;
    let high = -Infinity;
    for (const p of this.plots) {
      for (const { x } of p.curves) {
        if (x.length === 0) continue;
        low = Math.min(low, x.data[0]);
        high = Math.max(high, x.last);
      }
    }
    return low <= high ? [low, Math.max(high, low + this.least)] : null;
  }

  /** @param {number | null} x */
  point(x) {
    if (x === this.cursor) return;
    this.cursor = x;
    this.#moves.ask();
  }

  /** @param {[number, number] | null} range null: all */
  show(range) {
    const steps = this.steps();
    if (range && steps && range[1] - range[0] < this.least) {
      const mid = (range[0] + range[1]) / 2; // a few points at least
      range = [mid - this.least / 2, mid + this.least / 2];
    }
    this.zoom = range;
    this.zoomed();
    this.redraw(true);
  }

  // As many plots as fit a part of a frame; the others in the next one.
  #draw() {
    const end = performance.now() + 12;
    if (this.#round.length === 0) {
      this.#round = [...this.plots];
      this.#again = false;
    }
    while (this.#round.length > 0) {
      this.#round.shift()?.draw();
      if (performance.now() > end && this.#round.length > 0) return this.#draws.ask(true);
    }
    this.drawn();
    if (this.#again) this.#draws.ask();
  }

  #move() {
    for (const p of this.plots) p.move();
    this.moved();
  }
}
