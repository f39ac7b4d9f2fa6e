// @ts-check
// One set of axes with curves: uPlot has the axes, the cursor and the selection; the curves are drawn here, each from its
// own columns, so that a redraw looks at every value once and draws a few points for each column of pixels.
import uPlot from "uplot";
import { extent, nearest } from "./columns.js";
import { around, linearTicks, logTicks, tick } from "./ticks.js";

/** @typedef {import("./curve.js").Curve} Curve */
/** @typedef {import("./curve.js").Theme} Theme */
/** @typedef {import("./group.js").Group} Group */

/**
 * @typedef {object} Axes
 * @property {string} x what the x axis counts: step
 * @property {boolean} [log]
 * @property {boolean} [zero] the y axis begins at 0
 * @property {number} [gutter] pixels left of the plot
 * @property {(v: number, increment: number) => string} [tick] what the y axis writes
 */

/** @param {uPlot} u columns of pixels that its curves have */
const buckets = (u) => Math.max(1, Math.round(u.bbox.width));

/** longest is how many characters the curves' tags have at most. @param {Curve[]} curves */
const longest = (curves) => Math.max(0, ...curves.map((c) => c.style.tag?.length ?? 0));

/** font is the page's, on a canvas. */
export const font = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

/** Plot is one canvas with its axes. */
export class Plot {
  /** @type {Curve[]} */
  curves = [];
  /** @type {uPlot | null} */
  u = null;
  #width = 0;
  #height = 0;
  /** @type {[number, number]} */
  #x = [0, 1];
  /** @type {[number, number]} */
  #y = [0, 1];
  #frame = [new Float64Array([0, 1]), new Float64Array(2)];
  /** @type {HTMLElement[]} */
  #dots = [];
  /** @type {WeakSet<uPlot>} */
  #done = new WeakSet();

  /** @param {HTMLElement} host a positioned element that it fills @param {Group} group @param {Theme} theme @param {Axes} axes */
  constructor(host, group, theme, axes) {
    this.host = host;
    this.group = group;
    this.theme = theme;
    this.axes = axes;
    group.plots.push(this);
    this.observer = new ResizeObserver(() => {
      const { clientWidth: w, clientHeight: h } = host;
      if (w === this.#width && h === this.#height) return;
      this.#width = w;
      this.#height = h;
      group.redraw(true);
    });
    this.observer.observe(host);
  }

  /** log makes the y axis logarithmic, or not. @param {boolean} on */
  log(on) {
    this.axes.log = on;
    this.#drop();
    this.group.redraw(true);
  }

  /** replace takes other curves. @param {Curve[]} curves */
  replace(curves) {
    if (longest(curves) !== longest(this.curves)) this.#drop(); // tags need room at the right
    this.curves = curves;
  }

  /** empty: there is nothing to draw. */
  get empty() {
    return this.curves.every((c) => c.x.length === 0);
  }

  /** draw brings everything up to date, at once. */
  draw() {
    const range = this.group.range();
    if (this.#width < 20 || this.#height < 20) return;
    if (!range || this.empty) return this.#drop();
    this.#x = range;
    const u = (this.u ??= this.#make(this.#width, this.#height, 1, this.host));
    this.#frame[0][0] = range[0];
    this.#frame[0][1] = range[1];
    for (let pixels = 0, tries = 0; pixels !== buckets(u) && tries < 2; tries++) {
      pixels = buckets(u); // the axes' labels may change it
      this.#prepare(pixels);
      u.batch(() => {
        if (u.width !== this.#width || u.height !== this.#height) u.setSize({ width: this.#width, height: this.#height });
        u.setData(this.#frame);
      });
    }
    this.move();
  }

  /** @param {number} pixels */
  #prepare(pixels) {
    const log = this.axes.log ?? false;
    /** @type {[number, number]} */
    const y = [Infinity, -Infinity];
    for (const c of this.curves) {
      c.prepare(this.#x[0], this.#x[1], pixels);
      if (c.style.fit !== false) extent(c.y.data, c.index, c.count, log, y);
    }
    this.#y = around(y[0], y[1], log, this.axes.zero ?? false);
  }

  /** move puts the line and the dots where the group's cursor is. */
  move() {
    const { u } = this;
    if (!u) return;
    const x = this.group.cursor;
    const inside = x !== null && x >= this.#x[0] && x <= this.#x[1];
    const left = inside ? u.valToPos(x, "x") : -10;
    if (Math.abs((u.cursor.left ?? -10) - left) > 0.01) u.setCursor({ left, top: inside ? Math.max(0, u.cursor.top ?? 0) : -10 }, false);
    this.curves.forEach((c, i) => {
      const k = inside && c.shown ? c.at(x) : -1;
      const y = k < 0 ? NaN : c.y.data[k];
      this.#dot(i, c, k < 0 ? NaN : u.valToPos(c.x.data[k], "x"), Number.isFinite(y) && (!this.axes.log || y > 0) ? u.valToPos(y, "y") : NaN);
    });
    for (let i = this.curves.length; i < this.#dots.length; i++) this.#dots[i].hidden = true;
  }

  /** @param {number} i @param {Curve} curve @param {number} left @param {number} top pixels */
  #dot(i, curve, left, top) {
    const dot = (this.#dots[i] ??= document.createElement("div"));
    dot.hidden = !(left >= 0 && top >= 0 && top <= this.#height) || curve.style.dot === false;
    if (dot.hidden) return;
    dot.className = "chart-dot";
    dot.style.background = this.theme.colour(curve.style.colour);
    dot.style.transform = `translate(${left}px, ${top}px)`;
    if (dot.parentNode !== this.u?.over) this.u?.over.append(dot);
  }

  #drop() {
    this.u?.destroy();
    this.u = null;
    this.#dots = [];
  }

  /** destroy takes the plot out of its group and the page. */
  destroy() {
    this.observer.disconnect();
    this.#width = 0; // never drawn again
    this.#drop();
    this.group.plots = this.group.plots.filter((p) => p !== this);
  }

  /**
   * picture draws the plot anew on a canvas of its own.
   * @param {number} scale device pixels a CSS pixel
   * @returns {{ canvas: HTMLCanvasElement, width: number, height: number } | null} null: there is nothing to see
   */
  picture(scale) {
    if (!this.u) return null;
    const k = scale / uPlot.pxRatio;
    const { width, height } = this.u;
    const u = this.#make(width * k, height * k, k, null);
    this.#prepare(buckets(u));
    u.batch(() => u.setData(this.#frame));
    const { canvas } = u.ctx;
    this.#done.add(u); // it would draw once more
    u.destroy();
    this.#prepare(buckets(this.u));
    return { canvas, width, height };
  }

  /**
   * @param {number} width @param {number} height CSS pixels
   * @param {number} k how much larger everything is drawn
   * @param {HTMLElement | null} host null: only a picture
   */
  #make(width, height, k, host) {
    const { axes, theme, group } = this;
    const axis = {
      stroke: () => theme.colour("--ink-2"),
      font: `${11 * k}px ${font}`,
      filter: (/** @type {uPlot} */ _, /** @type {number[]} */ splits) => splits,
      ticks: { show: false },
      grid: { stroke: () => theme.colour("--line"), width: k },
    };
    const gap = (axes.gutter ?? 44) * k;
    const most = (/** @type {number} */ pixels, /** @type {number} */ space) => Math.max(2, Math.floor(pixels / (uPlot.pxRatio * k * space)));
    /** @type {uPlot.Options} */
    const options = {
      width, height,
      padding: [7 * k, (10 + 7 * longest(this.curves)) * k, 0, 0],
      legend: { show: false },
      series: [{}, { auto: false, paths: () => null, points: { show: false } }],
      scales: {
        x: { time: false, range: () => this.#x },
        y: { distr: axes.log ? 3 : 1, range: () => this.#y },
      },
      axes: [
        {
          ...axis, size: 20 * k, gap: 4 * k,
          splits: (u, _, low, high) => linearTicks(low, high, most(u.bbox.width, 64)).filter(Number.isInteger),
          values: (_, splits) => splits.map((v) => tick(v, splits.length > 1 ? splits[1] - splits[0] : 1)),
        },
        {
          ...axis, size: gap, gap: 6 * k,
          splits: (u, _, low, high) => {
            const n = most(u.bbox.height, 24);
            return axes.log ? logTicks(low, high, n) : linearTicks(low, high, n);
          },
          values: (_, splits) => {
            const write = axes.tick ?? tick;
            const decades = axes.log && splits.length > 1 && splits[splits.length - 1] / splits[0] >= 10;
            return splits.map((v) => write(v, decades || splits.length < 2 ? 10 ** Math.floor(Math.log10(v || 1) + 1e-9) : splits[1] - splits[0]));
          },
        },
      ],
      cursor: {
        show: host !== null, x: true, y: false, points: { show: false },
        drag: { x: true, y: false, setScale: false, dist: 4 },
        move: (u, left, top) => {
          const steps = group.steps();
          if (left < 0 || !steps) return [left, top];
          const x = u.posToVal(left, "x");
          return [u.valToPos(steps.data[nearest(steps.data, steps.length, x)], "x"), top];
        },
        bind: {
          dblclick: () => () => {
            group.show(null);
            return null;
          },
        },
      },
      hooks: {
        draw: [(u) => !this.#done.has(u) && this.#paint(u, k)],
        setCursor: [
          (u) => {
            const left = u.cursor.left ?? -10;
            const steps = group.steps();
            if (left < 0 || !steps) group.point(null);
            else group.point(steps.data[nearest(steps.data, steps.length, u.posToVal(left, "x"))]);
          },
        ],
        setSelect: [
          (u) => {
            const { left, width: w } = u.select;
            if (w < 4) return;
            const range = /** @type {[number, number]} */ ([u.posToVal(left, "x"), u.posToVal(left + w, "x")]);
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            group.show(range);
          },
        ],
      },
    };
    const u = new uPlot(options, this.#frame, host ?? undefined);
    if (host) {
      u.over.addEventListener("pointermove", (e) => {
        if (e.pointerType === "touch") u.setCursor({ left: e.clientX - u.rect.left, top: e.clientY - u.rect.top });
      });
    }
    return u;
  }

  /** @param {uPlot} u @param {number} k */
  #paint(u, k) {
    const { ctx, bbox } = u;
    const px = k * uPlot.pxRatio;
    ctx.save();
    ctx.fillStyle = this.theme.colour("--ink-2");
    ctx.font = `${Math.round(11 * px)}px ${font}`;
    ctx.textAlign = "right";
    ctx.textBaseline = "top";
    if (bbox.left > 38 * px) ctx.fillText(this.axes.x, bbox.left - 6 * px, bbox.top + bbox.height + 4 * px);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top - 2 * px, bbox.width + 2 * px, bbox.height + 4 * px);
    ctx.clip();
    this.#marks(ctx, bbox, px);
    for (const c of this.curves) if (c.count > 0) this.#line(ctx, bbox, c, px);
    ctx.restore();
    this.#tags(ctx, bbox, px);
    ctx.restore();
  }

  // The group's marks, with their numbers where there is room.
  /** @param {CanvasRenderingContext2D} ctx @param {uPlot.BBox} b @param {number} px */
  #marks(ctx, b, px) {
    ctx.strokeStyle = ctx.fillStyle = this.theme.colour("--ink-2");
    ctx.font = `600 ${Math.round(10 * px)}px ${font}`;
    ctx.textAlign = "left";
    ctx.lineWidth = px;
    ctx.setLineDash([2 * px, 3 * px]);
    let free = -Infinity;
    this.group.marks.forEach((x, i) => {
      if (x < this.#x[0] || x > this.#x[1]) return;
      const left = Math.round(this.#left(b, x)) + px / 2;
      ctx.beginPath();
      ctx.moveTo(left, b.top);
      ctx.lineTo(left, b.top + b.height);
      ctx.stroke();
      if (left < free) return;
      const { width } = ctx.measureText(String(i + 1));
      ctx.fillText(String(i + 1), left + 2 * px + width > b.left + b.width ? left - 2 * px - width : left + 2 * px, b.top);
      free = left + width + 5 * px;
    });
    ctx.setLineDash([]);
  }

  /** @param {uPlot.BBox} b @param {number} v */
  #left(b, v) {
    return b.left + ((v - this.#x[0]) / (this.#x[1] - this.#x[0])) * b.width;
  }

  /** @param {uPlot.BBox} b @param {number} v */
  #top(b, v) {
    const [low, high] = this.#y;
    const at = this.axes.log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low);
    return b.top + (1 - at) * b.height;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {uPlot.BBox} b @param {Curve} curve @param {number} px */
  #line(ctx, b, curve, px) {
    const { x, y, index, count, style } = curve;
    const low = this.axes.log ? Number.MIN_VALUE : -Infinity;
    ctx.strokeStyle = ctx.fillStyle = this.theme.colour(style.colour);
    ctx.globalAlpha = style.alpha ?? 1;
    ctx.lineWidth = (style.width ?? 1) * px;
    ctx.lineJoin = "round";
    ctx.lineCap = "round";
    ctx.setLineDash((style.dash ?? []).map((d) => d * px));
    ctx.beginPath();
    let run = 0; // points since the last gap
    let left = 0;
    let top = 0;
    for (let k = 0; k < count; k++) {
      const v = y.data[index[k]];
      if (!(v >= low && v < Infinity)) {
        if (run === 1) ctx.lineTo(left + 0.01, top);
        run = 0;
        continue;
      }
      left = this.#left(b, x.data[index[k]]);
      top = this.#top(b, v);
      if (run++ === 0) ctx.moveTo(left, top);
      else ctx.lineTo(left, top);
    }
    if (run === 1) ctx.lineTo(left + 0.01, top);
    ctx.stroke();
    ctx.setLineDash([]);
    if (style.points ? count <= b.width / (7 * px) : count === 1) this.#points(ctx, b, curve, (style.points ? 2.5 : 2) * px);
    ctx.globalAlpha = 1;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {uPlot.BBox} b @param {Curve} curve @param {number} radius */
  #points(ctx, b, { x, y, index, count }, radius) {
    ctx.beginPath();
    for (let k = 0; k < count; k++) {
      const v = y.data[index[k]];
      if (!Number.isFinite(v) || (this.axes.log && v <= 0)) continue;
      const left = this.#left(b, x.data[index[k]]);
      const top = this.#top(b, v);
      ctx.moveTo(left + radius, top);
      ctx.arc(left, top, radius, 0, 2 * Math.PI);
    }
    ctx.fill();
  }

  // The curves' names beside their ends, moved apart where they would overlap.
  /** @param {CanvasRenderingContext2D} ctx @param {uPlot.BBox} b @param {number} px */
  #tags(ctx, b, px) {
    /** @type {{ tag: string, left: number, top: number, colour: string }[]} */
    const tags = [];
    for (const { x, y, index, count, style } of this.curves) {
      if (!style.tag || count === 0) continue;
      let k = count - 1;
      while (k > 0 && (x.data[index[k]] > this.#x[1] || !Number.isFinite(y.data[index[k]]))) k--;
      const v = y.data[index[k]];
      if (!Number.isFinite(v) || (this.axes.log && v <= 0)) continue;
      tags.push({ tag: style.tag, left: Math.max(b.left, this.#left(b, x.data[index[k]])), top: this.#top(b, v), colour: style.colour });
    }
    ctx.font = `600 ${Math.round(10 * px)}px ${font}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    tags.sort((p, q) => p.top - q.top);
    const line = 11 * px;
    const bottom = b.top + b.height;
    /** @type {number[]} */
    const tops = [];
    tags.forEach((t, i) => {
      let top = Math.min(Math.max(b.top, t.top), bottom - px);
      for (let j = 0; j < i; j++) {
        if (Math.abs(tags[j].left - t.left) > 1.3 * line || Math.abs(tops[j] - top) >= line) continue;
        top = tops[j] + line <= bottom ? tops[j] + line : tops[j] - line;
      }
      tops.push(top);
    });
    tags.forEach((t, i) => {
      if (t.top >= b.top - px && t.top <= bottom + px) {
        ctx.fillStyle = this.theme.colour(t.colour);
        ctx.beginPath();
        ctx.arc(t.left, t.top, 2 * px, 0, 2 * Math.PI);
        ctx.fill();
      }
      ctx.fillStyle = this.theme.colour("--ink");
      ctx.fillText(t.tag, t.left + 5 * px, tops[i]);
    });
  }
}
