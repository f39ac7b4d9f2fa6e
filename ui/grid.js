// @ts-check
// Layers by heads, as small pictures: each cell has its curves where it is large enough, and a tint for its number. Click or
// arrow keys choose one; the row and the column in front are the means.
import { h, put } from "./dom.js";
import { font } from "./plot.js";

/** @typedef {import("./curve.js").Theme} Theme */
/** @typedef {{ layer: number, head: number }} Cell -1: the mean over all */
/**
 * @typedef {object} Picture of a cell
 * @property {number} value what tints it; NaN: unknown
 * @property {string} text the value, as a person reads it
 * @property {{ values: Float64Array, from: number, length: number, colour: string, dash: boolean }[]} curves values[from .. from+length-1]
 */
/**
 * @typedef {object} Content
 * @property {number} layers
 * @property {number} heads
 * @property {(c: Cell) => Picture} picture
 * @property {boolean} signed values below zero are bad, and shown so
 * @property {string} caption
 */

/** Grid is that picture in an element. */
export class Grid {
  /** @type {Content | null} */
  #content = null;
  /** @type {Cell} */
  #chosen = { layer: -1, head: -1 };
  /** @type {Cell | null} */
  #over = null;
  #place = { left: 0, top: 0, width: 0, height: 0, gap: 1 };
  #canvas = h("canvas", { "aria-hidden": "true" });
  #caption = h("p", { class: "inner-caption" });

  /** @param {Theme} theme @param {(c: Cell) => void} choose */
  constructor(theme, choose) {
    this.theme = theme;
    this.choose = choose;
    this.box = h("div", {
      class: "inner-cells", role: "group", tabIndex: 0, "aria-label": "Layers by heads: the arrow keys choose one",
      onkeydown: (/** @type {KeyboardEvent} */ e) => this.#key(e),
      onpointermove: (/** @type {PointerEvent} */ e) => this.#hover(this.#at(e)),
      onpointerleave: () => this.#hover(null),
      onclick: (/** @type {PointerEvent} */ e) => {
        const c = this.#at(e);
        if (c) this.choose(c);
      },
    }, this.#canvas);
    this.element = h("div", { class: "inner-grid" }, this.box, this.#caption);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.box);
  }

  /** show draws content with the chosen cell marked. @param {Content} content @param {Cell} chosen */
  show(content, chosen) {
    this.#content = content;
    this.#chosen = chosen;
    this.element.hidden = content.layers * content.heads <= 1;
    this.element.style.setProperty("--rows", String(this.#rows.length));
    this.draw();
  }

  // The indices down and across: the mean first, where it is not the same.
  get #rows() {
    return indices(this.#content?.layers ?? 0);
  }

  get #columns() {
    return indices(this.#content?.heads ?? 0);
  }

  draw() {
    const content = this.#content;
    const { clientWidth: width, clientHeight: height } = this.box;
    if (!content || this.element.hidden || width < 20 || height < 20) return;
    const px = devicePixelRatio;
    this.#canvas.width = Math.round(width * px);
    this.#canvas.height = Math.round(height * px);
    this.#canvas.style.width = `${width}px`;
    this.#canvas.style.height = `${height}px`;
    const ctx = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
    ctx.scale(px, px);
    const rows = this.#rows;
    const columns = this.#columns;
    const left = 16;
    const top = 14;
    // The means stand a little apart.
    const w = Math.min(64, (width - left) / (columns.length + (columns.length > 1 ? 0.25 : 0)));
    const h = Math.min(48, (height - top) / (rows.length + (rows.length > 1 ? 0.25 : 0)));
    this.#place = { left, top, width: w, height: h, gap: Math.min(w, h) >= 12 ? 2 : Math.min(w, h) >= 5 ? 1 : 0 };

    const pictures = rows.map((layer) => columns.map((head) => content.picture({ layer, head })));
    let most = content.signed ? 0.05 : 0;
    for (const row of pictures) for (const p of row) if (Number.isFinite(p.value)) most = Math.max(most, Math.abs(p.value));
    rows.forEach((layer, r) => columns.forEach((head, c) => this.#cell(ctx, { layer, head }, pictures[r][c], most || 1)));
    this.#labels(ctx, rows, columns);
    this.#frame(ctx, this.#chosen, this.theme.colour("--accent"), 2);
    if (this.#over) this.#frame(ctx, this.#over, this.theme.colour("--ink-2"), 1);
    this.#say();
  }

  /** @param {Cell} c @returns {[number, number, number, number]} left, top, width, height */
  #rectangle({ layer, head }) {
    const { left, top, width, height, gap } = this.#place;
    const along = (/** @type {number} */ i, /** @type {number} */ n, /** @type {number} */ size) => (n > 1 ? (i < 0 ? 0 : (i + 1.25) * size) : 0);
    return [
      left + along(head, this.#content?.heads ?? 0, width), top + along(layer, this.#content?.layers ?? 0, height), Math.max(1, width - gap), Math.max(1, height - gap),
    ];
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Cell} c @param {Picture} picture @param {number} most */
  #cell(ctx, c, picture, most) {
    const { theme } = this;
    const [x, y, w, h] = this.#rectangle(c);
    const bad = (this.#content?.signed ?? false) && picture.value < 0;
    const large = w >= 24 && h >= 14;
    ctx.fillStyle = theme.colour("--line");
    ctx.globalAlpha = 0.35;
    ctx.fillRect(x, y, w, h);
    if (Number.isFinite(picture.value)) {
      ctx.fillStyle = theme.colour(bad ? "--c2" : "--c1");
      ctx.globalAlpha = Math.min(1, Math.abs(picture.value) / most) * (large ? 0.3 : 0.9);
      ctx.fillRect(x, y, w, h);
    }
    ctx.globalAlpha = 1;
    if (large) this.#curves(ctx, picture, x + 2, y + 2, w - 4, h - 4);
    if (bad || !Number.isFinite(picture.value)) {
      ctx.strokeStyle = theme.colour("--ink"); // colour alone would not tell
      ctx.lineWidth = 1;
      const r = Math.min(3, w / 3, h / 3);
      ctx.beginPath();
      ctx.moveTo(x + w - 2 * r - 1, y + 1 + r);
      ctx.lineTo(x + w - 1, y + 1 + r);
      if (Number.isFinite(picture.value)) {
        ctx.moveTo(x + w - 1 - r, y + 1);
        ctx.lineTo(x + w - 1 - r, y + 1 + 2 * r);
      }
      ctx.stroke();
    }
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Picture} picture @param {number} x @param {number} y @param {number} w @param {number} h */
  #curves(ctx, { curves }, x, y, w, h) {
    let low = Infinity;
    let high = -Infinity;
    for (const { values, from, length } of curves) {
      for (let i = from; i < from + length; i++) {
        if (!Number.isFinite(values[i])) continue;
        low = Math.min(low, values[i]);
        high = Math.max(high, values[i]);
      }
    }
    if (!(low <= high)) return;
    const span = high - low || 1;
    ctx.lineWidth = 1.25;
    for (const { values, from, length, colour, dash } of curves) {
      ctx.strokeStyle = this.theme.colour(colour);
      ctx.setLineDash(dash ? [3, 2] : []);
      ctx.beginPath();
      const stride = Math.max(1, Math.floor(length / (2 * w)));
      let gap = true;
      for (let i = 0; i < length; i += stride) {
        const v = values[from + i];
        const px = x + (length > 1 ? (i / (length - 1)) * w : w / 2);
        const py = y + (1 - (v - low) / span) * h;
        if (!Number.isFinite(v)) gap = true;
        else if (gap) {
          ctx.moveTo(px - 0.5, py);
          ctx.lineTo(px, py);
          gap = false;
        } else ctx.lineTo(px, py);
      }
      ctx.stroke();
    }
    ctx.setLineDash([]);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number[]} rows @param {number[]} columns */
  #labels(ctx, rows, columns) {
    const { width, height } = this.#place;
    ctx.fillStyle = this.theme.colour("--ink-2");
    ctx.font = `10px ${font}`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "center";
    const every = (/** @type {number} */ size, /** @type {number} */ least) => [1, 2, 4, 8, 16].find((n) => n * size >= least) ?? 32;
    const across = every(width, 15);
    const down = every(height, 11);
    for (const head of columns) {
      const [x, , w] = this.#rectangle({ layer: -1, head });
      // 0 would stand on the mean's sign where cells are small.
      if (head < 0 || (head % across === 0 && (head > 0 || width >= 9))) ctx.fillText(head < 0 ? "μ" : String(head), x + w / 2, 6);
    }
    for (const layer of rows) {
      const [, y, , h] = this.#rectangle({ layer, head: -1 });
      if (layer < 0 || (layer % down === 0 && (layer > 0 || height >= 9))) ctx.fillText(layer < 0 ? "μ" : String(layer), 7, y + h / 2 + 0.5);
    }
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Cell} c @param {string} colour @param {number} width */
  #frame(ctx, c, colour, width) {
    const [x, y, w, h] = this.#rectangle(c);
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.strokeRect(x + width / 2 - 1, y + width / 2 - 1, w + 2 - width, h + 2 - width);
  }

  #say() {
    const c = this.#over ?? this.#chosen;
    const content = this.#content;
    if (!content) return;
    put(this.#caption, h("span", {}, nameOf(c)), h("span", { class: "inner-number" }, content.picture(c).text));
    this.element.title = content.caption;
  }

  /** @param {PointerEvent} e @returns {Cell | null} */
  #at(e) {
    const r = this.#canvas.getBoundingClientRect();
    const x = e.clientX - r.left;
    const y = e.clientY - r.top;
    const { left, top, width, height } = this.#place;
    const along = (/** @type {number} */ p, /** @type {number} */ n, /** @type {number} */ size) => {
      if (n <= 1) return p >= 0 && p < size ? 0 : NaN;
      if (p < size) return p >= 0 ? -1 : NaN;
      const i = Math.floor(p / size - 1.25);
      return i >= 0 && i < n ? i : NaN;
    };
    const content = this.#content;
    if (!content) return null;
    const c = { layer: along(y - top, content.layers, height), head: along(x - left, content.heads, width) };
    return Number.isNaN(c.layer) || Number.isNaN(c.head) ? null : c;
  }

  /** @param {Cell | null} c */
  #hover(c) {
    if (c?.layer === this.#over?.layer && c?.head === this.#over?.head) return;
    this.#over = c;
    this.draw();
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    if (!this.#content || e.ctrlKey || e.metaKey || e.altKey) return;
    const rows = this.#rows;
    const columns = this.#columns;
    const r = rows.indexOf(this.#chosen.layer);
    const c = columns.indexOf(this.#chosen.head);
    /** @type {{ [key: string]: [number, number] }} */
    const to = { ArrowUp: [r - 1, c], ArrowDown: [r + 1, c], ArrowLeft: [r, c - 1], ArrowRight: [r, c + 1], Home: [0, 0], End: [rows.length - 1, columns.length - 1] };
    const next = to[e.key];
    if (!next) return;
    e.preventDefault();
    e.stopPropagation();
    const clamp = (/** @type {number} */ i, /** @type {number} */ n) => Math.min(n - 1, Math.max(0, i));
    this.choose({ layer: rows[clamp(next[0], rows.length)], head: columns[clamp(next[1], columns.length)] });
  }
}

/** nameOf is what a cell is called. @param {Cell} c */
export function nameOf({ layer, head }) {
  if (layer < 0 && head < 0) return "mean of all";
  if (layer < 0) return `head ${head}, mean of layers`;
  if (head < 0) return `layer ${layer}, mean of heads`;
  return `layer ${layer}, head ${head}`;
}

/** @param {number} n -1 is the mean of several */
const indices = (n) => (n > 1 ? Array.from({ length: n + 1 }, (_, i) => i - 1) : Array.from({ length: n }, (_, i) => i));
