// @ts-check
// The heat map of what the normalisers did: layer by head, one quantity at a time. The brighter, the nearer to trouble.
import { h, put } from "./dom.js";
import { BREACHES, breaches, brief, print } from "./norms.js";

/** @typedef {import("./norms.js").NormsData} NormsData */
/**
 * @typedef {object} Scale where a quantity's values lie
 * @property {number} dark the value of the darkest colour
 * @property {number} bright that of the brightest
 * @property {boolean} log
 *
 * @typedef {object} Quantity
 * @property {string} id
 * @property {string} label
 * @property {string} title with its unit
 * @property {(d: NormsData, i: number) => number} of
 * @property {(x: number) => string} text
 * @property {(d: NormsData, low: number, high: number) => Scale} scale of values from low to high
 */

/** As a part of one. @param {number} x */
const percent = (x) => (Number.isFinite(x) ? `${brief(100 * x)} %` : brief(x));

/** @type {Quantity[]} */
export const QUANTITIES = [
  {
    id: "std", label: "Min std", title: "Smallest standard deviation of XV − XK, logarithmic", of: (d, i) => d.stdMin[i], text: brief,
    scale: (d, low, high) => ({ dark: Math.max(1, high), bright: Math.max(1e-12, Math.min(d.eps || 1e-8, low || 1e-12)), log: true }),
  },
  { id: "z", label: "|z| / bound", title: "Largest |z|, as a part of its bound √(n−1)", of: (d, i) => d.maxZ[i] / d.bound, text: (x) => (x < 10 ? percent(x) : `${brief(x)}×`), scale: () => ({ dark: 0, bright: 1, log: false }) },
  { id: "high-gain", label: "Gain > 100", title: "Share of rows whose gain 1/(std+eps) is above 100, in %", of: (d, i) => d.highGain[i], text: percent, scale: () => ({ dark: 0, bright: 1, log: false }) },
  {
    id: "gain", label: "Amplification", title: "Largest 1/(std+eps): what gradients are multiplied by, logarithmic", of: (d, i) => d.gain[i], text: (x) => `${brief(x)}×`,
    scale: (d, low, high) => ({ dark: Math.min(1, low > 0 ? low : 1), bright: Math.max(high, d.eps > 0 ? 1 / d.eps : 1e8), log: true }),
  },
  { id: "nonfinite", label: "Not finite", title: "Values that are infinite or no numbers", of: (d, i) => d.nonFinite[i], text: brief, scale: (_, __, high) => ({ dark: 0, bright: Math.max(1, high), log: false }) },
];

/** Cividis, which people see alike whatever colours they tell apart: from dark to bright. */
const PALETTE = [[0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115], [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56]];

/** gradient is the palette as the style sheet's. */
const gradient = `linear-gradient(90deg, ${PALETTE.map((c) => `rgb(${c})`).join(", ")})`;

/**
 * place is where x lies on a scale, from 0 (dark) to 1 (bright). What is no number is as bad as can be.
 * @param {Scale} s @param {number} x
 */
export function place({ dark, bright, log }, x) {
  if (Number.isNaN(x)) return 1;
  const at = log ? (Math.log(Math.max(x, 1e-300)) - Math.log(dark)) / (Math.log(bright) - Math.log(dark)) : (x - dark) / (bright - dark);
  return Number.isNaN(at) ? 0 : Math.min(1, Math.max(0, at));
}

/**
 * colour is the palette's at t from 0 to 1, with the ink, black or white, that reads better on it.
 * @param {number} t
 * @returns {{ fill: string, ink: string }}
 */
export function colour(t) {
  const x = t * (PALETTE.length - 1);
  const i = Math.min(PALETTE.length - 2, Math.floor(x));
  const rgb = PALETTE[i].map((c, k) => Math.round(c + (x - i) * (PALETTE[i + 1][k] - c)));
  const [r, g, b] = rgb.map((c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return { fill: `rgb(${rgb.join(" ")})`, ink: light > 0.179 ? "#000" : "#fff" }; // where both have the same contrast
}

/**
 * readings are all numbers of a head, with their names.
 * @param {NormsData} d @param {number} i
 * @returns {[name: string, value: string][]}
 */
export function readings(d, i) {
  const range = (/** @type {number} */ a, /** @type {number} */ b) => `${brief(a)} to ${brief(b)}`;
  return [
    ["std, min", brief(d.stdMin[i])], ["std, mean", brief(d.stdMean[i])], ["rows, gain > 100", percent(d.highGain[i])],
    ["|z|, max", `${brief(d.maxZ[i])} of ${brief(d.bound)}`], ["amplification", `${brief(d.gain[i])}×`],
    ["XV", range(d.xvMin[i], d.xvMax[i])], ["XK", range(d.xkMin[i], d.xkMax[i])], ["out", range(d.outMin[i], d.outMax[i])],
    ["‖XK‖", range(d.keyMin[i], d.keyMax[i])], ["not finite", brief(d.nonFinite[i])],
  ];
}

/** HeatMap is the grid of cells with its legend and the numbers of one head. */
export class HeatMap {
  /** @type {NormsData | null} */ #data = null;
  #quantity = QUANTITIES[1];
  #chosen = 0;
  #over = -1;
  #shape = "";
  /** @type {{ node: HTMLElement, text: HTMLElement, sign: HTMLElement }[]} */ #cells = [];
  #grid = h("div", { class: "heat-grid", role: "grid" });
  #low = h("span");
  #high = h("span");
  #ramp = h("span", { class: "heat-ramp" });
  #title = h("p", { class: "heat-title" });
  #signs = h("p", { class: "heat-signs" });
  #name = h("h4");
  #numbers = h("dl");
  #wrong = h("p", { class: "heat-wrong" });
  #live = h("p", { class: "for-readers", role: "status" });

  /** @param {(cell: number) => void} chosen is told the cell that the person chooses */
  constructor(chosen) {
    this.chosen = chosen;
    this.buttons = QUANTITIES.map((q) => h("button", { type: "button", class: "small", "data-quantity": q.id, "aria-pressed": String(q === this.#quantity), title: q.title, onclick: () => this.show(q) }, q.label));
    this.choice = h("div", { class: "segments", role: "group", "aria-label": "What the heat map shows" }, ...this.buttons);
    this.element = h("div", { class: "heat" },
      h("div", { class: "heat-map" }, this.#title, this.#grid,
        h("div", { class: "heat-legend" }, this.#low, this.#ramp, this.#high), this.#signs),
      h("div", { class: "heat-numbers" }, this.#name, this.#wrong, this.#numbers), this.#live);
    this.#ramp.style.background = gradient;
    this.#grid.addEventListener("keydown", (e) => this.#key(e));
    this.#grid.addEventListener("pointerover", (e) => this.#hover(this.#index(e.target)));
    this.#grid.addEventListener("pointerleave", () => this.#hover(-1));
    this.#grid.addEventListener("click", (e) => this.#index(e.target) >= 0 && this.choose(this.#index(e.target)));
    this.#grid.addEventListener("focusin", (e) => this.#index(e.target) >= 0 && this.choose(this.#index(e.target)));
  }

  /** show takes another quantity. @param {Quantity} q */
  show(q) {
    this.#quantity = q;
    for (const b of this.buttons) b.setAttribute("aria-pressed", String(b.dataset.quantity === q.id));
    this.#draw();
  }

  /** update takes a step's probes; null: there are none. @param {NormsData | null} d */
  update(d) {
    this.#data = d;
    if (d && this.#shape !== `${d.layers} ${d.heads}`) this.#build(d);
    this.#draw();
  }

  /** cell is the one that is chosen. */
  get cell() {
    return this.#chosen;
  }

  /** nameOf is what a cell is called. @param {number} i */
  nameOf(i) {
    const d = this.#data;
    return d ? `layer ${d.layers[Math.floor(i / d.heads)]}, head ${i % d.heads}` : "";
  }

  /** @param {number} i */
  choose(i) {
    if (i !== this.#chosen) {
      this.#select(this.#chosen, false);
      this.#select(i, true);
      this.#chosen = i;
      this.chosen(i);
    }
    this.#read();
    const d = this.#data;
    if (d) put(this.#live, `${this.nameOf(i)}: ${[...breaches(d, i).map((b) => b.what), ...readings(d, i).map(([k, v]) => `${k} ${v}`)].join(", ")}`);
  }

  /** @param {number} i @param {boolean} on */
  #select(i, on) {
    const { node } = this.#cells[i];
    node.tabIndex = on ? 0 : -1;
    node.setAttribute("aria-selected", String(on));
  }

  /** @param {NormsData} d */
  #build(d) {
    this.#shape = `${d.layers} ${d.heads}`;
    this.#chosen = Math.min(this.#chosen, d.layers.length * d.heads - 1);
    this.#over = -1;
    this.#cells = [];
    this.#grid.setAttribute("aria-label", `Normalisers, ${d.layers.length} layers by ${d.heads} heads`);
    this.#grid.style.setProperty("--layers", String(d.layers.length));
    const every = d.heads > 24 ? 8 : 1;
    put(this.#grid,
      h("div", { role: "row", class: "heat-row" }, h("span", { role: "columnheader", class: "heat-corner" }, h("span", { class: "for-readers" }, "layer")),
        ...Array.from({ length: d.heads }, (_, k) => h("span", { role: "columnheader", class: "heat-head", "aria-label": `head ${k}` }, k % every ? "" : d.heads > 8 ? String(k) : `head ${k}`))),
      ...d.layers.map((layer, l) => h("div", { role: "row", class: "heat-row" }, h("span", { role: "rowheader", class: "heat-layer", "aria-label": `layer ${layer}` }, d.layers.length > 16 ? String(layer) : `layer ${layer}`),
        ...Array.from({ length: d.heads }, (_, k) => {
          const i = l * d.heads + k;
          const text = h("span", { class: "heat-value" });
          const sign = h("span", { class: "heat-sign", "aria-hidden": "true" });
          const node = h("div", { role: "gridcell", class: "heat-cell", "data-cell": i, tabIndex: i === this.#chosen ? 0 : -1, "aria-selected": String(i === this.#chosen) }, text, sign);
          this.#cells.push({ node, text, sign });
          return node;
        }))));
    this.chosen(this.#chosen);
  }

  #draw() {
    const d = this.#data;
    if (!d) return;
    const q = this.#quantity;
    let low = Infinity;
    let high = -Infinity;
    for (let i = 0; i < this.#cells.length; i++) {
      const x = q.of(d, i);
      if (!Number.isFinite(x)) continue;
      low = Math.min(low, x);
      high = Math.max(high, x);
    }
    const scale = q.scale(d, low, high);
    const found = new Set();
    this.#cells.forEach(({ node, text, sign }, i) => {
      const x = q.of(d, i);
      const { fill, ink } = colour(place(scale, x));
      const bad = breaches(d, i);
      const signs = bad.map((b) => b.sign).join("");
      const value = q.text(x);
      for (const b of bad) found.add(b);
      node.style.background = fill;
      node.style.color = ink;
      node.classList.toggle("broken", bad.length > 0);
      if (text.textContent !== value) text.textContent = value;
      if (sign.textContent !== signs) sign.textContent = signs;
      const label = `${this.nameOf(i)}: ${q.label} ${value}${bad.map((b) => `, ${b.what}`).join("")}`;
      if (node.ariaLabel !== label) node.setAttribute("aria-label", label);
    });
    put(this.#title, q.title);
    put(this.#low, q.text(scale.dark));
    const eps = q.id === "std" && scale.bright === d.eps ? " = eps" : q.id === "gain" && d.eps > 0 && scale.bright === 1 / d.eps ? " = 1/eps" : "";
    put(this.#high, `${scale.bright > 0 && q.id === "std" ? print(scale.bright) : q.text(scale.bright)}${eps}`);
    put(this.#signs, ...BREACHES.filter((b) => found.has(b)).map((b) => h("span", {}, h("b", {}, b.sign), ` ${b.what}`)));
    this.#read();
  }

  #read() {
    const d = this.#data;
    if (!d) return;
    const i = this.#over >= 0 ? this.#over : this.#chosen;
    put(this.#name, this.nameOf(i).replace("l", "L"));
    const bad = breaches(d, i);
    this.#wrong.classList.toggle("fine", bad.length === 0);
    put(this.#wrong, bad.length === 0 ? "All invariants hold." : bad.map((b) => `${b.sign} ${b.what}`).join("; "));
    const list = readings(d, i);
    if (this.#numbers.children.length !== list.length) put(this.#numbers, ...list.map(([k]) => h("div", {}, h("dt", {}, k), h("dd"))));
    list.forEach(([, v], k) => put(/** @type {Element} */ (this.#numbers.children[k].lastElementChild), v));
  }

  /** @param {EventTarget | null} target */
  #index(target) {
    const cell = target instanceof Element ? target.closest("[data-cell]") : null;
    return cell ? Number(cell.getAttribute("data-cell")) : -1;
  }

  /** @param {number} i */
  #hover(i) {
    if (i === this.#over) return;
    this.#over = i;
    this.#read();
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    const heads = this.#data?.heads ?? 0;
    if (heads === 0 || e.ctrlKey || e.metaKey || e.altKey) return;
    const i = this.#chosen;
    const k = i % heads;
    /** @type {{ [key: string]: number }} */
    const to = { ArrowLeft: k > 0 ? i - 1 : i, ArrowRight: k < heads - 1 ? i + 1 : i, ArrowUp: i - heads, ArrowDown: i + heads, Home: i - k, End: i - k + heads - 1 };
    const next = to[e.key];
    if (next === undefined) return;
    e.preventDefault();
    e.stopPropagation();
    if (next >= 0 && next < this.#cells.length) this.#cells[next].node.focus();
  }
}
